"""The relay's shell: performs its effects on the peer network and on local subscribers."""

from collections.abc import Callable, Iterable
from typing import final

from node.links import Links
from node.p2p.frames import Channel
from node.relay import Deliver, Envelope, Refusal, Refused, Relay, RelayEffect, Transmit

_MALFORMED_POINTS = 10
_LIMIT_POINTS = 2
"""Less: the clocks of two nodes do not begin a window at the same moment."""


@final
class RelayRefused(Exception):
    """The household's own envelope is not taken; `reason` says why."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@final
class RelayService:
    """Joins a `Relay` with the network, the clock and the RPC's subscribers."""

    def __init__(self, relay: Relay, links: Links, now_ms: Callable[[], int]) -> None:
        """Nothing is sent before a link is up; `now_ms` is the Unix time in milliseconds."""
        self._relay = relay
        self._links = links
        self._now_ms = now_ms
        self._callbacks: dict[int, Callable[[Envelope], None]] = {}
        self._next_subscriber = 0

    def on_frame(self, member: int, payload: bytes) -> None:
        """Take a payload of the relay channel."""
        self._perform(self._relay.receive(member, payload, self._now_ms()))

    def on_up(self, member: int) -> None:
        """Hand over what the member may lack."""
        self._perform(self._relay.peer_up(member, self._now_ms()))

    def on_down(self, member: int) -> None:
        """Remember that the member must be reached through others."""
        self._relay.peer_down(member)

    def set_members(self, members: Iterable[int]) -> None:
        """Take over the members of a new epoch, by number."""
        self._relay.set_members(members)

    def expire(self) -> None:
        """Drop what has expired."""
        self._relay.expire(self._now_ms())

    def send(self, envelope: Envelope) -> None:
        """Send for this household. Raises RelayRefused."""
        effects = self._relay.send(envelope, self._now_ms())
        for effect in effects:
            if isinstance(effect, Refused):
                raise RelayRefused(effect.reason, effect.detail)
        self._perform(effects)

    def open(self, callback: Callable[[Envelope], None]) -> int:
        """Return a subscriber's handle; `callback` gets each envelope for its keys."""
        self._next_subscriber += 1
        self._callbacks[self._next_subscriber] = callback
        return self._next_subscriber

    def listen(self, subscriber: int, keys: Iterable[bytes]) -> None:
        """Add keys to a subscriber; what is held for them comes at once. Raises DecodeError."""
        self._perform(self._relay.subscribe(subscriber, keys, self._now_ms()))

    def close(self, subscriber: int) -> None:
        """Forget a subscriber."""
        self._relay.unsubscribe(subscriber)
        self._callbacks.pop(subscriber, None)

    def _perform(self, effects: Iterable[RelayEffect]) -> None:
        for effect in effects:
            match effect:
                case Deliver(subscribers, envelope):
                    for subscriber in subscribers:
                        self._callbacks[subscriber](envelope)
                case Transmit(members, payload):
                    for member in members:
                        self._links.send(member, Channel.RELAY, payload)
                case Refused(member, reason, detail):
                    self._charge(member, reason, detail)

    def _charge(self, member: int, reason: Refusal, detail: str) -> None:
        """Suspect the member, unless a late message or a slow clock explains it."""
        if reason is not Refusal.EXPIRED:
            points = _MALFORMED_POINTS if reason is Refusal.MALFORMED else _LIMIT_POINTS
            self._links.suspect(member, f"relay: {detail}", points=points)
