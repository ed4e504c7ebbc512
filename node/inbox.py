"""What waits for the replica: its shell's own events, and each member's messages up to a bound."""

from collections import deque
from dataclasses import dataclass
from typing import final

from consensus.events import Event
from consensus.messages import Message

MEMBER_BYTES_MAX = 16 << 20
"""Of one member's messages; more are dropped, as a network may: what matters is repeated."""
MESSAGE_COST_BYTES = 512
"""Counted for each message beside its bytes: decoded, a small one takes more than those."""


@final
@dataclass(frozen=True, slots=True)
class FromPeer:
    """A message of the peer with this number in the roster.

    Its index is looked up when its turn comes: the epoch may have changed while it waited.
    """

    peer: int
    message: Message


@final
@dataclass(frozen=True, slots=True)
class LinkChange:
    """The link with a peer has opened or ended."""

    peer: int
    is_up: bool


Item = Event | FromPeer | LinkChange


@final
class Inbox:
    """A queue; nobody's flood fills it up or displaces another member's votes. Pure."""

    def __init__(self) -> None:
        self._events: deque[Item] = deque()
        self._costs: deque[tuple[int, int]] = deque()
        """Peer and cost of each message among the events, in their order."""
        self._waiting: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def has_room(self, peer: int, size: int) -> bool:
        """Whether a message of `size` bytes would be taken; ask before decoding it."""
        cost = size + MESSAGE_COST_BYTES
        return self._waiting.get(peer, 0) + cost <= MEMBER_BYTES_MAX

    def receive(self, peer: int, message: Message, size: int) -> None:
        """Queue a peer's message behind everything else."""
        cost = size + MESSAGE_COST_BYTES
        self._waiting[peer] = self._waiting.get(peer, 0) + cost
        self._costs.append((peer, cost))
        self._events.append(FromPeer(peer, message))

    def put(self, item: Event | LinkChange) -> None:
        """Queue an event of this node behind everything else."""
        self._events.append(item)

    def put_first(self, event: Event) -> None:
        """Queue an answer to the replica before everything else."""
        self._events.appendleft(event)

    def pop(self) -> Item:
        """Return the next item; there must be one."""
        item = self._events.popleft()
        if isinstance(item, FromPeer):
            peer, cost = self._costs.popleft()
            self._waiting[peer] -= cost
        return item
