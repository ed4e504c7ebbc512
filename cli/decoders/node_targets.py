"""Targets: frames and the handshake, relay, gossip, snapshots, certificates, settings, invites."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, cast, final

import aiohttp

from cli.decoders import loop, material
from cli.decoders.target import Finding, Target
from crypto import codec
from crypto.errors import DecodeError
from crypto.merkle_chunk import prove_chunk
from node import gossip, snapshot_wire
from node.p2p import frames
from node.p2p.errors import LinkRefused
from node.p2p.handshake import Handshake
from node.p2p.link import Socket
from node.relay import Envelope, Hop, Refusal, Refused, Relay, RelayConfig
from node.storage.rows import read_state_row, state_row
from vm.versions import FIRST_PROTOCOL, WIRE_VERSION

_NOW_MS: Final = 1_767_225_660_000
_MESSAGE_KINDS: Final = (
    aiohttp.WSMsgType.BINARY,
    aiohttp.WSMsgType.TEXT,
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
    aiohttp.WSMsgType.PING,
)
_MEMBERS: Final = 4


# Frames and the handshake.


def _frame(data: bytes) -> bytes:
    channel, payload = frames.decode_frame(data)
    return frames.encode_frame(channel, payload)


def _hello() -> frames.Hello:
    return frames.Hello(
        version=WIRE_VERSION,
        genesis_hash=material.chain().chain.genesis.hash,
        name="lindenweg-4",
        protocol=FIRST_PROTOCOL,
    )


def _hello_frame() -> bytes:
    return frames.encode_frame(frames.Channel.HELLO, _hello().encode())


@final
@dataclass(slots=True)
class _Peer:
    """A socket whose other end says one thing."""

    message: aiohttp.WSMessage
    heard: list[bytes] = field(default_factory=list)

    async def send_bytes(self, data: bytes) -> None:
        self.heard.append(data)

    async def receive(self) -> aiohttp.WSMessage:
        return self.message


def _handshake(data: bytes) -> bytes | None:
    """Both roles; byte one says what kind of message the peer sends, the rest is its content.

    Whoever is refused by the one that was dialled has heard nothing; whoever is taken has said the
    one hello of this chain.
    """
    if not data:
        return None
    kind, content = _MESSAGE_KINDS[data[0] % len(_MESSAGE_KINDS)], data[1:]
    extra = content.decode("utf-8", "replace") if kind is aiohttp.WSMsgType.CLOSE else None
    said = content.decode("utf-8", "replace") if kind is aiohttp.WSMsgType.TEXT else content
    message = aiohttp.WSMessage(kind, said, extra)
    ours = Handshake(material.chain().chain.genesis.hash, "me", FIRST_PROTOCOL)
    heard = [_taken(role, _Peer(message)) for role in (ours.dial, ours.accept)]
    if heard[0] != heard[1]:
        raise Finding("dialling and accepting disagree about a hello")
    hello = heard[0]
    if hello is None:
        raise LinkRefused("in both roles")
    if (hello.version, hello.genesis_hash) != (WIRE_VERSION, _hello().genesis_hash):
        raise Finding("another chain's hello was taken")
    return data[:1] + frames.encode_frame(frames.Channel.HELLO, hello.encode())


def _taken(role: Callable[[Socket], Coroutine[Any, Any, frames.Hello]], peer: _Peer) -> Any:
    try:
        return loop.run(role(cast("Socket", peer)))
    except LinkRefused:
        if role.__name__ == "accept" and peer.heard:
            raise Finding("who was refused has heard something") from None
        return None


def _version(data: bytes) -> None:
    """What an older or a newer node says first is understood as far as its version."""
    version = frames.hello_version(data)
    try:
        hello = frames.Hello.decode(data)
    except DecodeError:
        return
    if hello.version != version:
        raise Finding("a hello has two versions")


# Relay and gossip.


def _envelopes() -> list[bytes]:
    return [
        Envelope(to_key=bytes(32), window=3, expires_ms=_NOW_MS + 900, payload=payload).encode()
        for payload in (b"x", b"sealed" * 100)
    ]


def _relay(data: bytes) -> None:
    """A member's payload: it is refused by a number, or taken, and held once."""
    relay = Relay(RelayConfig(window_ms=900_000), me=0, members=range(_MEMBERS))
    relay.subscribe(1, [bytes(32)], _NOW_MS)
    for member in range(1, _MEMBERS):
        relay.peer_up(member, _NOW_MS)
    effects = relay.receive(1, data, _NOW_MS)
    refused = next((effect for effect in effects if isinstance(effect, Refused)), None)
    if relay.held_count != (refused is None):
        raise Finding("what was refused is held, or what was taken is not")
    if refused is None and relay.receive(2, data, _NOW_MS):
        raise Finding("an envelope was taken twice")
    if refused is not None and refused.reason is Refusal.MALFORMED:
        raise DecodeError("relay", refused.detail)


def _batches() -> list[bytes]:
    raws = material.block(1).transactions
    return [codec.encode(raws), codec.encode(raws[:1])]


def _batch(data: bytes) -> bytes:
    return codec.encode(gossip.decode_batch(data))


# Snapshots.


def _offers() -> snapshot_wire.Offers:
    heights = (2, 4)
    return snapshot_wire.Offers(
        tuple(
            snapshot_wire.Offer(material.block(height).header, material.seal(height))
            for height in heights
        )
    )


def _snapshot_messages() -> list[bytes]:
    named = material.digest(5)
    messages: tuple[snapshot_wire.SnapshotMessage, ...] = (
        snapshot_wire.AskOffers(),
        _offers(),
        snapshot_wire.GetPart(named, 7, 1 << 20),
        snapshot_wire.Part(named, 7, 0, 5, b"bytes"),
        snapshot_wire.Gone(named),
    )
    return [snapshot_wire.encode_snapshot_message(message) for message in messages]


def _snapshot(data: bytes) -> bytes:
    return snapshot_wire.encode_snapshot_message(snapshot_wire.decode_snapshot_message(data))


def _entries() -> list[tuple[bytes, bytes]]:
    rows = (row for key, row in material.chain().db.rows() if key[:1] == b"s")
    return [read_state_row(row) for row in rows]


def _chunks() -> list[bytes]:
    """The state's entries whose hashes begin with one byte, and the way to them."""
    tree, rows = material.chain().chain.tree, _entries()
    return [
        snapshot_wire.encode_chunk(
            prove_chunk(tree, chunk), [row for row in rows if state_row(*row)[0][1] == chunk]
        )
        for chunk in (0, 1)
    ]


def _chunk(data: bytes) -> bytes:
    return snapshot_wire.encode_chunk(*snapshot_wire.decode_chunk(data))


def _epochs(data: bytes) -> bytes:
    return snapshot_wire.encode_epochs(
        [step.to_bytes() for step in snapshot_wire.decode_epochs(data)]
    )


def _state_row(data: bytes) -> None:
    """Our own database's; a row that is not whole is found out by whoever writes it again."""
    key, value = read_state_row(data)
    if len(key) + len(value) > len(data):
        raise Finding("a row holds more than its bytes")


TARGETS: Final = (
    Target(
        name="frame",
        covers=(frames.decode_frame,),
        run=_frame,
        refuses=(DecodeError,),
        seeds=lambda: [_hello_frame(), *(bytes((each,)) + b"payload" for each in frames.Channel)],
    ),
    Target(
        name="hello",
        covers=(frames.Hello.decode,),
        run=lambda data: frames.Hello.decode(data).encode(),
        refuses=(DecodeError,),
        seeds=lambda: [_hello().encode()],
        bytes_max=1024,
    ),
    Target(
        name="hello-version",
        covers=(frames.hello_version,),
        run=_version,
        refuses=(DecodeError,),
        seeds=lambda: [_hello().encode(), codec.encode([WIRE_VERSION + 1, "what is to come"])],
        bytes_max=1024,
    ),
    Target(
        name="handshake",
        covers=(Handshake,),
        run=_handshake,
        refuses=(LinkRefused,),
        seeds=lambda: [b"\0" + _hello_frame()],
        bytes_max=1024,
    ),
    Target(
        name="relay",
        covers=(Envelope.decode,),
        run=lambda data: Envelope.decode(data).encode(),
        refuses=(DecodeError,),
        seeds=_envelopes,
        bytes_max=8192,
    ),
    Target(
        name="relay-hop",
        covers=(Relay,),
        run=_relay,
        refuses=(DecodeError,),
        seeds=lambda: [
            bytes((hop,)) + envelope for hop, envelope in zip(Hop, _envelopes(), strict=False)
        ],
        bytes_max=8192,
    ),
    Target(
        name="gossip",
        covers=(gossip.decode_batch,),
        run=_batch,
        refuses=(DecodeError,),
        seeds=_batches,
        bytes_max=8192,
    ),
    Target(
        name="snapshot-message",
        covers=(snapshot_wire.decode_snapshot_message,),
        run=_snapshot,
        refuses=(DecodeError,),
        seeds=_snapshot_messages,
    ),
    Target(
        name="snapshot-chunk",
        covers=(snapshot_wire.decode_chunk,),
        run=_chunk,
        refuses=(DecodeError,),
        seeds=_chunks,
        bytes_max=32 << 10,
    ),
    Target(
        name="snapshot-epochs",
        covers=(snapshot_wire.decode_epochs,),
        run=_epochs,
        refuses=(DecodeError,),
        seeds=lambda: [
            snapshot_wire.encode_epochs([step.to_bytes() for step in material.hand_overs()])
        ],
        bytes_max=8192,
    ),
    Target(
        name="state-row",
        covers=(read_state_row,),
        run=_state_row,
        refuses=(),
        seeds=lambda: [state_row(b"key", b"value")[1]],
        bytes_max=128,
    ),
)
