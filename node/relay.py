"""Store-and-forward of sealed negotiation messages between households: a core that is stepped.

Agents box their messages to a key of the receiver; nodes see that key, a size and an expiry,
and nothing else. An envelope is passed on by its origin to every linked member; when some link
is down, two others are asked to forward it. It is held until it expires, so that a subscriber
or a member that comes late still gets it, once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import tagged_hash

KEY_BYTES = 32
PAYLOAD_BYTES_MAX = 4 << 10
ENVELOPE_BYTES_MAX = PAYLOAD_BYTES_MAX + 64
"""Array header, key, two integers and the payload's header fit into the 64."""
FORWARDERS = 2
"""Members asked to pass an envelope on; one of them may be faulty or cut off as well."""
FORWARD_FACTOR = 4
"""So many sources' limits may come as forwarded from one member."""
KEYS_MAX = 1_024
"""Keys of one subscriber."""
WINDOW_MAX = (1 << 32) - 1
_TIME_MAX_MS = (1 << 53) - 1
_ID_TAG = b"hearth/relay/1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A sealed message to the holder of `to_key`."""

    to_key: bytes
    """32 bytes: the receiver's key for the window."""
    window: int
    """The market window it is about."""
    expires_ms: int
    """Unix milliseconds after which nobody holds it."""
    payload: bytes
    """Ciphertext, 1 to 4,096 bytes."""

    def __post_init__(self) -> None:
        _require(len(self.to_key) == KEY_BYTES, "to_key", f"32 bytes, got {len(self.to_key)}")
        _require(0 <= self.window <= WINDOW_MAX, "window", f"0..{WINDOW_MAX}, got {self.window}")
        _require(
            0 < self.expires_ms <= _TIME_MAX_MS,
            "expires_ms",
            f"1..{_TIME_MAX_MS}, got {self.expires_ms}",
        )
        _require(
            0 < len(self.payload) <= PAYLOAD_BYTES_MAX,
            "payload",
            f"1 to {PAYLOAD_BYTES_MAX} bytes, got {len(self.payload)}",
        )

    def encode(self) -> bytes:
        """Return the canonical array [to key, window, expiry, payload]."""
        return codec.encode([self.to_key, self.window, self.expires_ms, self.payload])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse strictly.

        Raises:
            DecodeError: names the field that is not as it must be.
        """
        value = codec.decode(data, field="envelope", max_bytes=ENVELOPE_BYTES_MAX)
        to_key, window, expires_ms, payload = codec.as_list(value, "envelope", length=4)
        return cls(
            to_key=codec.as_bytes(to_key, "envelope.to_key"),
            window=codec.as_int(window, "envelope.window"),
            expires_ms=codec.as_int(expires_ms, "envelope.expires_ms"),
            payload=codec.as_bytes(payload, "envelope.payload"),
        )


def envelope_id(data: bytes) -> bytes:
    """Return the 32-byte name of an encoded envelope."""
    return tagged_hash(_ID_TAG, data)


class Hop(IntEnum):
    """First byte of a relay payload: what the receiver is to do."""

    KEEP = 0
    """From its origin: deliver and hold."""
    FORWARD = 1
    """From its origin, which cannot reach everybody: pass it on as well."""
    FORWARDED = 2
    """From somebody asked to pass it on: deliver and hold."""


class Refusal(IntEnum):
    """Why an envelope was not taken. Numbers are stable."""

    MALFORMED = 1
    EXPIRED = 2
    TOO_FAR_AHEAD = 3
    OVER_LIMIT = 4
    """The source has used up its messages or bytes of this window."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Limits; the same source may send so much in one window of the clock."""

    window_ms: int
    messages_per_window: int = 4_000
    bytes_per_window: int = 4 << 20
    hold_windows_max: int = 3
    """Largest expiry, in windows from now."""
    held_bytes_max: int = 64 << 20
    """All that is held; each member has an equal share, as origin and forwarder together."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@final
@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the envelope to these local subscribers."""

    subscribers: tuple[int, ...]
    envelope: Envelope


@final
@dataclass(frozen=True, slots=True)
class Transmit:
    """Send the payload to these members on the relay channel."""

    members: tuple[int, ...]
    payload: bytes


@final
@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was taken from `member`; `Refusal.EXPIRED` is not held against it."""

    member: int
    reason: Refusal
    detail: str


RelayEffect = Deliver | Transmit | Refused


@final
@dataclass(slots=True)
class _Usage:
    """What one source has sent in the clock window `bucket`."""

    bucket: int = -1
    messages: int = 0
    bytes: int = 0


@final
@dataclass(slots=True)
class _Held:
    envelope: Envelope
    data: bytes
    source: int


@final
class Relay:
    """One node's relay. Methods return effects, to be performed in order."""

    def __init__(self, config: RelayConfig, *, me: int, members: Iterable[int]) -> None:
        """Nothing is held yet.

        Args:
            config: limits.
            me: this node's number.
            members: the numbers of all members; this one need not be among them.
        """
        self._config = config
        self._me = me
        self.set_members(members)
        self._up: set[int] = set()
        self._held: dict[bytes, _Held] = {}  # By id, in order of arrival.
        self._held_bytes: dict[int, int] = {}
        """By source: the member whose link it came over, or this one."""
        self._usage: dict[tuple[int, bool], _Usage] = {}
        self._subscribers: dict[int, set[bytes]] = {}
        self._by_key: dict[bytes, set[int]] = {}

    def set_members(self, members: Iterable[int]) -> None:
        """Take over the members of a new epoch; what is held stays, also of those who left.

        Peers are known by numbers that outlive the epochs.
        """
        count = len(set(members) | {self._me})
        self._others = count - 1
        self._share_bytes = self._config.held_bytes_max // count

    @property
    def held_count(self) -> int:
        return len(self._held)

    def send(self, envelope: Envelope, now_ms: int) -> tuple[RelayEffect, ...]:
        """Take an envelope from this household's own agents; the same limits hold."""
        data = envelope.encode()
        name = envelope_id(data)
        if name in self._held:
            return ()
        refusal = self._refuse(self._me, envelope, len(data), now_ms, is_forwarded=False)
        if refusal is not None:
            return (refusal,)
        return (*self._transmit(data), *self._hold(name, envelope, data, self._me))

    def receive(self, member: int, payload: bytes, now_ms: int) -> tuple[RelayEffect, ...]:
        """Take what a member sent on the relay channel.

        Refused: an unknown hop byte, an envelope that is malformed, expired or expires too
        late, and what is above the limits of the link's member. A copy of a held envelope is
        ignored: links that come back send some twice.
        """
        hop = payload[0] if payload else None
        if hop is None or hop > Hop.FORWARDED:
            return (Refused(member, Refusal.MALFORMED, f"hop must lie in 0..2, got {hop}"),)
        data = payload[1:]
        try:
            envelope = Envelope.decode(data)
        except DecodeError as error:
            return (Refused(member, Refusal.MALFORMED, str(error)),)
        name = envelope_id(data)
        if name in self._held:
            return ()
        refusal = self._refuse(
            member, envelope, len(data), now_ms, is_forwarded=hop == Hop.FORWARDED
        )
        if refusal is not None:
            return (refusal,)
        effects = self._hold(name, envelope, data, member)
        if hop == Hop.FORWARD:
            others = tuple(m for m in sorted(self._up) if m != member)
            return (Transmit(others, bytes((Hop.FORWARDED,)) + data), *effects)
        return effects

    def subscribe(
        self, subscriber: int, keys: Iterable[bytes], now_ms: int
    ) -> tuple[RelayEffect, ...]:
        """Deliver to `subscriber` what comes for `keys`, what is held for them first.

        Raises:
            DecodeError: a key that is not 32 bytes, or more than KEYS_MAX of them.
        """
        new = set(keys)
        for key in new:
            _require(len(key) == KEY_BYTES, "to_key", f"32 bytes, got {len(key)}")
        mine = self._subscribers.setdefault(subscriber, set())
        new -= mine
        _require(len(mine) + len(new) <= KEYS_MAX, "to_key", f"at most {KEYS_MAX} keys")
        for key in sorted(new):
            mine.add(key)
            self._by_key.setdefault(key, set()).add(subscriber)
        return tuple(
            Deliver((subscriber,), held.envelope)
            for held in self._held.values()
            if held.envelope.to_key in new and held.envelope.expires_ms > now_ms
        )

    def unsubscribe(self, subscriber: int) -> None:
        """Forget a subscriber; unknown ones are fine."""
        gone = self._subscribers.pop(subscriber, None)
        for key in gone or ():
            others = self._by_key[key]
            others.discard(subscriber)
            if not others:
                del self._by_key[key]

    def peer_up(self, member: int, now_ms: int) -> tuple[RelayEffect, ...]:
        """A link is open: send what this household sent before, the member may lack it.

        Each origin does so, and so a member that comes back gets everything once.
        """
        self._up.add(member)
        return tuple(
            Transmit((member,), bytes((Hop.KEEP,)) + held.data)
            for held in self._held.values()
            if held.source == self._me and held.envelope.expires_ms > now_ms
        )

    def peer_down(self, member: int) -> None:
        """A link has ended."""
        self._up.discard(member)

    def expire(self, now_ms: int) -> None:
        """Drop what has expired; call it now and then, at least once a window."""
        gone = [name for name, held in self._held.items() if held.envelope.expires_ms <= now_ms]
        for name in gone:
            held = self._held.pop(name)
            self._held_bytes[held.source] -= len(held.data)

    def _refuse(
        self, source: int, envelope: Envelope, size: int, now_ms: int, *, is_forwarded: bool
    ) -> Refused | None:
        """Charge the source, or say why not."""
        config = self._config
        if envelope.expires_ms <= now_ms:
            return Refused(source, Refusal.EXPIRED, f"expired at {envelope.expires_ms}")
        ahead_ms = envelope.expires_ms - now_ms
        if ahead_ms > config.hold_windows_max * config.window_ms:
            return Refused(
                source,
                Refusal.TOO_FAR_AHEAD,
                f"expires_ms must be at most {config.hold_windows_max} windows ahead, "
                f"got {ahead_ms} ms",
            )
        usage = self._usage.setdefault((source, is_forwarded), _Usage())
        bucket = now_ms // config.window_ms
        if usage.bucket != bucket:
            usage.bucket, usage.messages, usage.bytes = bucket, 0, 0
        # A forwarder carries what others sent: its second account has room for several.
        factor = FORWARD_FACTOR if is_forwarded else 1
        if (
            usage.messages + 1 > factor * config.messages_per_window
            or usage.bytes + size > factor * config.bytes_per_window
            or self._held_bytes.get(source, 0) + size > self._share_bytes
        ):
            return Refused(
                source,
                Refusal.OVER_LIMIT,
                f"at most {factor * config.messages_per_window} messages and "
                f"{factor * config.bytes_per_window} bytes a window, "
                f"{self._share_bytes} bytes held",
            )
        usage.messages += 1
        usage.bytes += size
        return None

    def _hold(
        self, name: bytes, envelope: Envelope, data: bytes, source: int
    ) -> tuple[RelayEffect, ...]:
        self._held[name] = _Held(envelope, data, source)
        self._held_bytes[source] = self._held_bytes.get(source, 0) + len(data)
        subscribers = self._by_key.get(envelope.to_key)
        return (Deliver(tuple(sorted(subscribers)), envelope),) if subscribers else ()

    def _transmit(self, data: bytes) -> tuple[RelayEffect, ...]:
        """To all linked members; if some are not, two are asked to pass it on."""
        up = tuple(sorted(self._up))
        if len(up) == self._others:
            return (Transmit(up, bytes((Hop.KEEP,)) + data),)
        # Chosen by the envelope's own bytes: not always the same two.
        start = data[-1] % len(up) if up else 0
        order = up[start:] + up[:start]
        asked, rest = order[:FORWARDERS], order[FORWARDERS:]
        steps = (
            Transmit(asked, bytes((Hop.FORWARD,)) + data),
            Transmit(rest, bytes((Hop.KEEP,)) + data),
        )
        return tuple(step for step in steps if step.members)


def _require(condition: bool, name: str, expected: str) -> None:  # noqa: FBT001  A check's subject.
    if not condition:
        raise DecodeError(f"envelope.{name}", f"must be {expected}")
