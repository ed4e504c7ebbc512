"""Frames between peers: one WebSocket binary message each, `channel (1 byte) | payload`.

The first frame of each side is a hello, so that nodes of different chains or protocol versions
part with a reason instead of misreading each other. `docs/spec/wire.md` is the format in words.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self, final

from consensus.config import MAX_MESSAGE_BYTES
from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES
from vm.versions import PROTOCOL_MAX

SUBPROTOCOL = "hearth.1"
"""WebSocket subprotocol: a stray WebSocket client is refused before the hello."""
PATH = "/p2p"
GENESIS_PATH = "/genesis"
"""Where a newcomer fetches the genesis file, which it checks by the hash in its invite."""
FRAME_BYTES_MAX = 1 + MAX_MESSAGE_BYTES
"""Largest frame: the channel and the largest consensus message."""
HELLO_BYTES_MAX = 512
HELLO_FIELDS_MAX = 32
"""Of any version's hello."""
WIRE_VERSION_MAX = 2**16 - 1
NAME_LENGTH_MAX = 64
SNAPSHOT_BYTES_MAX = (1 << 20) + (64 << 10)
"""A part of a chunk, and what names it."""
READY_BYTES_MAX = 64 << 10
"""READYs for one proposal, one for each of MAX_MEMBERS, fit several times."""


class Channel(IntEnum):
    """What a payload is. Numbers are on the wire; a lower one is sent first."""

    HELLO = 0
    CONSENSUS = 1
    """Proposals and votes: small, and the chain waits for them."""
    CATCH_UP = 2
    """Blocks and bodies that somebody asked for: large, nobody's vote waits behind them."""
    TRANSACTIONS = 3
    RELAY = 4
    READY = 5
    """READYs of open membership changes: small, and seldom."""
    SNAPSHOT = 6
    """State in chunks, for a node that joins: what is left of the line."""


FRAME_LIMITS = {
    Channel.HELLO: 1 + HELLO_BYTES_MAX,
    Channel.CONSENSUS: FRAME_BYTES_MAX,
    Channel.CATCH_UP: FRAME_BYTES_MAX,
    Channel.TRANSACTIONS: 1 + (1 << 20),
    Channel.RELAY: 1 + (16 << 10),
    Channel.READY: 1 + READY_BYTES_MAX,
    Channel.SNAPSHOT: 1 + SNAPSHOT_BYTES_MAX,
}
"""Largest frame of each channel, channel byte included."""


def encode_frame(channel: Channel, payload: bytes) -> bytes:
    """Return the frame of `payload`.

    Raises:
        ValueError: the payload is larger than the channel's limit: our own mistake.
    """
    limit = FRAME_LIMITS[channel]
    if len(payload) >= limit:
        raise ValueError(f"{channel.name} payload must be below {limit} bytes, got {len(payload)}")
    return bytes((channel,)) + payload


def decode_frame(frame: bytes) -> tuple[Channel, bytes]:
    """Return (channel, payload) of a frame that a peer sent.

    Raises:
        DecodeError: empty, an unknown channel, or too large for its channel.
    """
    if not frame:
        raise DecodeError("frame", "must not be empty")
    try:
        channel = Channel(frame[0])
    except ValueError:
        raise DecodeError(
            "frame.channel", f"must lie in 0..{max(Channel):d}, got {frame[0]}"
        ) from None
    limit = FRAME_LIMITS[channel]
    if len(frame) > limit:
        raise DecodeError("frame", f"must be at most {limit} bytes on {channel.name}")
    return channel, frame[1:]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What each side says first."""

    version: int
    """Of the wire (`vm.versions`); another one is refused before the rest is read."""
    genesis_hash: bytes
    """32 bytes."""
    name: str
    """The member's name, for people; identity is the certificate's key."""
    protocol: int
    """Newest version of the rules of blocks that the node's software supports."""

    def encode(self) -> bytes:
        """Return the canonical array [version, genesis hash, name, protocol]."""
        return codec.encode([self.version, self.genesis_hash, self.name, self.protocol])

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse strictly.

        Raises:
            DecodeError: names the field that is not as it must be.
        """
        value = codec.decode(payload, field="hello", max_bytes=HELLO_BYTES_MAX)
        version, genesis_hash, name, protocol = codec.as_list(value, "hello", length=4)
        return cls(
            version=codec.as_int(version, "hello.version", hi=WIRE_VERSION_MAX),
            genesis_hash=codec.as_bytes(genesis_hash, "hello.genesis_hash", length=DIGEST_BYTES),
            name=codec.as_str(name, "hello.name", NAME_LENGTH_MAX),
            protocol=codec.as_int(protocol, "hello.protocol", 1, PROTOCOL_MAX),
        )


def hello_version(payload: bytes) -> int:
    """Return the wire version that a hello begins with, whatever follows it.

    Raises:
        DecodeError: not a list that begins with a version.
    """
    value = codec.decode(payload, field="hello", max_bytes=HELLO_BYTES_MAX)
    fields = codec.as_list(value, "hello", max_length=HELLO_FIELDS_MAX)
    return codec.as_int(fields[0] if fields else None, "hello.version", hi=WIRE_VERSION_MAX)
