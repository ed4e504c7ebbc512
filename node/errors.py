"""The errors of the node that callers may catch; each says what to do where that is known."""

from typing import final


class NodeError(Exception):
    """Base of everything that this package raises on purpose."""


@final
class ConfigError(NodeError):
    """A setting in `node.toml`, or a file of the node's home, cannot be used.

    Attributes:
        field: the setting or file at fault ("p2p.listen").
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StorageError(NodeError):
    """The node's files cannot be read or written; it stops, because it could break a promise."""


@final
class StoreLocked(StorageError):
    """Another process has the data directory open."""


@final
class CorruptStore(StorageError):
    """What is on disk contradicts itself; the text says how to recover."""


@final
class HistoryUnavailable(NodeError):
    """The state after this block cannot be read: too old, or not there yet.

    Attributes:
        height: that was asked for.
        oldest: height whose state can be read.
    """

    def __init__(self, height: int, oldest: int, head: int) -> None:
        super().__init__(
            f"historical state is not available: block {height} lies outside the blocks "
            f"{oldest}..{head} whose state is kept"
        )
        self.height = height
        self.oldest = oldest


@final
class MempoolFull(NodeError):
    """There is no room for the transaction now.

    Attributes:
        retry_after_ms: when it is worth while to try again.
    """

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


@final
class UnsupportedHeader(NodeError):
    """A block is proven, but made by rules that this program does not know how to read.

    Attributes:
        version: of the protocol.
        height: of the block.
    """

    def __init__(self, version: int, height: int) -> None:
        super().__init__(
            f"block {height} is made by protocol version {version}, which this program does not "
            "support: it needs an update"
        )
        self.version = version
        self.height = height
