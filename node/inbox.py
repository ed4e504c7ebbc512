"""What waits for the replica: its shell's own events, and each member's messages up to a bound."""

from collections import deque
from typing import final

from consensus.events import Event, Receive
from consensus.membership import MemberIndex
from consensus.messages import Message

MEMBER_BYTES_MAX = 16 << 20
"""Of one member's messages; more are dropped, as a network may: what matters is repeated."""
MESSAGE_COST_BYTES = 512
"""Counted for each message beside its bytes: decoded, a small one takes more than those."""


@final
class Inbox:
    """A queue; nobody's flood fills it up or displaces another member's votes. Pure."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._costs: deque[tuple[int, int]] = deque()
        """Member and cost of each Receive among the events, in their order."""
        self._waiting: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._events)

    def has_room(self, member: int, size: int) -> bool:
        """Whether a message of `size` bytes would be taken; ask before decoding it."""
        cost = size + MESSAGE_COST_BYTES
        return self._waiting.get(member, 0) + cost <= MEMBER_BYTES_MAX

    def receive(self, member: int, message: Message, size: int) -> None:
        """Queue a member's message behind everything else."""
        cost = size + MESSAGE_COST_BYTES
        self._waiting[member] = self._waiting.get(member, 0) + cost
        self._costs.append((member, cost))
        self._events.append(Receive(MemberIndex(member), message))

    def put(self, event: Event) -> None:
        """Queue an event of this node behind everything else."""
        self._events.append(event)

    def put_first(self, event: Event) -> None:
        """Queue an answer to the replica before everything else."""
        self._events.appendleft(event)

    def pop(self) -> Event:
        """Return the next event; there must be one."""
        event = self._events.popleft()
        if isinstance(event, Receive):
            member, cost = self._costs.popleft()
            self._waiting[member] -= cost
        return event
