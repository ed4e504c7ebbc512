"""What an agent can learn: the values that are stepped into a core."""

from dataclasses import dataclass
from typing import Any, TypeAlias, final

from market.agents.devices.readings import QuarterReading


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStatus:
    """One transaction of a block."""

    hash: bytes
    sender: bytes
    is_success: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSeen:
    """A sealed block: its transactions in order, and its events in order."""

    height: int
    time_ms: int
    transactions: tuple[TransactionStatus, ...]
    events: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]
    """(contract address, topics, data)."""


@final
@dataclass(frozen=True, slots=True)
class MessageArrived:
    """The relay delivered `payload`, sealed to our negotiation key `to_key`."""

    to_key: bytes
    payload: bytes


@final
@dataclass(frozen=True, slots=True)
class ReadingTaken:
    """The devices finished a quarter-hour."""

    reading: QuarterReading


@final
@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; it comes as `now_ms` of the step."""


@final
@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """The decoded return values of the view that was called with `tag`."""

    tag: tuple[str, int]
    values: tuple[Any, ...]


@final
@dataclass(frozen=True, slots=True)
class ViewFailed:
    """The view that was called with `tag` gave no answer."""

    tag: tuple[str, int]
    reason: str


@final
@dataclass(frozen=True, slots=True)
class TransactionSealed:
    """Our transaction is in a block; `is_success` is its receipt's status."""

    account: str
    nonce: int
    is_success: bool


@final
@dataclass(frozen=True, slots=True)
class SendRefused:
    """The node did not admit our transaction."""

    account: str
    nonce: int
    reason: str


@final
@dataclass(frozen=True, slots=True)
class NonceAnswer:
    """The next nonce of our account, by the head's state."""

    account: str
    nonce: int


Observation: TypeAlias = (
    BlockSeen
    | MessageArrived
    | ReadingTaken
    | Tick
    | ViewAnswer
    | ViewFailed
    | TransactionSealed
    | SendRefused
    | NonceAnswer
)
