"""The errors that agents raise at their edges; each says what was expected and what came."""

from typing import final


class AgentError(Exception):
    """Base of all errors of the agents."""


@final
class BoxRefused(AgentError):
    """A sealed relay message cannot be opened: `field` names the part at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@final
class RecordRefused(AgentError):
    """A meter record does not continue its chain: `field` names the part at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@final
class TransactionRefused(AgentError):
    """The node did not admit a transaction; `reason` is the node's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
class CallFailed(AgentError):
    """A view reverted or could not be asked; `reason` is the node's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
class PortUnavailable(AgentError):
    """The node, relay or device cannot be reached now; the shell tries again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
