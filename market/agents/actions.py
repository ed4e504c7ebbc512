"""What an agent can do: the values that a core returns and the shell performs."""

from dataclasses import dataclass
from typing import Any, TypeAlias, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SendTransaction:
    """Sign and submit a contract call from one of the agent's accounts.

    The shell answers with `TransactionSealed` or `SendRefused` for (account, nonce).
    """

    account: str
    """Name of the account ("seller"); the shell holds its key."""
    nonce: int
    contract: str
    function: str
    args: tuple[Any, ...]


@final
@dataclass(frozen=True, slots=True)
class AskNonce:
    """Read the account's next nonce from the head; answered by `NonceAnswer`."""

    account: str


@final
@dataclass(frozen=True, slots=True)
class CallView:
    """Call a view at the head; answered by `ViewAnswer` or `ViewFailed` with the same tag."""

    tag: tuple[str, int]
    """What the answer is for: a word, and the window or another number."""
    contract: str
    function: str
    args: tuple[Any, ...]


@final
@dataclass(frozen=True, slots=True)
class RelaySend:
    """Hand sealed bytes to the relay, which holds them until the window begins."""

    to_key: bytes
    window: int
    payload: bytes


@final
@dataclass(frozen=True, slots=True)
class RelayListen:
    """Deliver what the relay holds and gets for `key`, until `until_ms`."""

    key: bytes
    until_ms: int


@final
@dataclass(frozen=True, slots=True)
class Report:
    """A line for status displays and logs; never secret."""

    kind: str
    fields: tuple[tuple[str, int | str], ...] = ()


Action: TypeAlias = SendTransaction | AskNonce | CallView | RelaySend | RelayListen | Report
