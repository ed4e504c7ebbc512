"""Messages about snapshots: what a node offers, and what of it another asks for, in parts.

An offer is a block with its seal; the state after it is served in 256 chunks
(`crypto.merkle_chunk`), and beside them what a chain needs to begin there: the hand-overs of all
epochs, the block, its receipts. Each of these items is a byte string that travels in parts.
Canonical msgpack arrays, first the tag.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from consensus.certificates import Seal
from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest
from crypto.merkle import PROOF_BYTES_MAX, Proof
from crypto.merkle_chunk import CHUNKS
from node.epoch_walk import EPOCHS_PER_PIECE
from node.hand_over import HAND_OVER_BYTES_MAX, HandOver, read_seal
from node.storage.rows import encode_seal
from vm.block import HEADER_BYTES, Header, decode_header

EPOCHS: Final = CHUNKS
"""Item: the hand-overs of the first epochs, that of genesis first; see `epochs_item`."""
BODY: Final = CHUNKS + 1
"""Item: the encoded block."""
RECEIPTS: Final = CHUNKS + 2
"""Item: its encoded receipts."""
ITEMS: Final = CHUNKS + 3
"""So many there are at least; those from here on are further pieces of the epochs."""
ITEM_LIMIT: Final = 2**32
PART_BYTES: Final = 1 << 20
"""Of an item, in one message."""
ITEM_BYTES_MAX: Final = 16 << 20
"""Chunks of this size make a state of 4 GB; nothing larger is asked for or held in memory."""
OFFERS_MAX: Final = 4
MESSAGE_BYTES_MAX: Final = PART_BYTES + (64 << 10)
KEY_BYTES_MAX: Final = 64 << 10


@final
@dataclass(frozen=True, slots=True)
class AskOffers:
    """What can you serve?"""

    TAG: ClassVar[int] = 1


@final
@dataclass(frozen=True, slots=True)
class Offer:
    """A block after which the state can be had."""

    header: Header
    seal: Seal

    @property
    def digest(self) -> Digest:
        """The block's hash, which names the snapshot."""
        return self.header.hash


@final
@dataclass(frozen=True, slots=True)
class Offers:
    """The answer, at most OFFERS_MAX, ascending by height."""

    TAG: ClassVar[int] = 2
    offers: tuple[Offer, ...]


@final
@dataclass(frozen=True, slots=True)
class GetPart:
    """Send me of this item what begins at `offset`."""

    TAG: ClassVar[int] = 3
    snapshot: Digest
    item: int
    offset: int


@final
@dataclass(frozen=True, slots=True)
class Part:
    """At most PART_BYTES of an item; the last part ends at `total`."""

    TAG: ClassVar[int] = 4
    snapshot: Digest
    item: int
    offset: int
    total: int
    data: bytes


@final
@dataclass(frozen=True, slots=True)
class Gone:
    """This snapshot is not served any more."""

    TAG: ClassVar[int] = 5
    snapshot: Digest


SnapshotMessage = AskOffers | Offers | GetPart | Part | Gone


def encode_snapshot_message(message: SnapshotMessage) -> bytes:
    """Return the one encoding."""
    match message:
        case AskOffers():
            return codec.encode([message.TAG])
        case Offers(offers):
            rows = [[each.header.to_bytes(), encode_seal(each.seal)] for each in offers]
            return codec.encode([message.TAG, rows])
        case GetPart(snapshot, item, offset):
            return codec.encode([message.TAG, snapshot, item, offset])
        case Part(snapshot, item, offset, total, data):
            return codec.encode([message.TAG, snapshot, item, offset, total, data])
        case Gone(snapshot):
            return codec.encode([message.TAG, snapshot])


def decode_snapshot_message(payload: bytes) -> SnapshotMessage:
    """Return the message whose one encoding is `payload`, or raise DecodeError."""
    value = codec.decode(payload, field="snapshot", max_bytes=MESSAGE_BYTES_MAX)
    fields = codec.as_list(value, "snapshot", max_length=6)
    tag = codec.as_int(fields[0] if fields else None, "snapshot.tag", 1, 5)
    lengths = {1: 1, 2: 2, 3: 4, 4: 6, 5: 2}
    if len(fields) != lengths[tag]:
        raise DecodeError("snapshot", f"tag {tag} has {lengths[tag]} fields, got {len(fields)}")
    if tag == AskOffers.TAG:
        return AskOffers()
    if tag == Offers.TAG:
        return _offers(fields[1])
    snapshot = Digest(codec.as_bytes(fields[1], "snapshot.hash", DIGEST_BYTES))
    if tag == Gone.TAG:
        return Gone(snapshot)
    item = codec.as_int(fields[2], "snapshot.item", 0, ITEM_LIMIT - 1)
    offset = codec.as_int(fields[3], "snapshot.offset", 0, ITEM_BYTES_MAX - 1)
    if tag == GetPart.TAG:
        return GetPart(snapshot, item, offset)
    total = codec.as_int(fields[4], "snapshot.total", 1, ITEM_BYTES_MAX)
    data = codec.as_bytes(fields[5], "snapshot.data", max_length=PART_BYTES)
    if not data or len(data) != min(total - offset, PART_BYTES):
        raise DecodeError("snapshot.data", "must reach to the item's end, or be a whole part")
    return Part(snapshot, item, offset, total, data)


def _offers(value: codec.Value) -> Offers:
    offers = []
    for row in codec.as_list(value, "snapshot.offers", max_length=OFFERS_MAX):
        header, seal = codec.as_list(row, "snapshot.offer", length=2)
        data = codec.as_bytes(header, "snapshot.header", length=HEADER_BYTES)
        offers.append(Offer(decode_header(data), read_seal(seal, "snapshot.seal")))
    numbers = [each.header.number for each in offers]
    if any(b <= a for a, b in zip([0, *numbers], numbers, strict=False)):
        raise DecodeError("snapshot.offers", "must ascend by height, from 1")
    return Offers(tuple(offers))


# Items.


def epochs_item(piece: int) -> int:
    """Return the item that is a piece (from 0) of the hand-overs, EPOCHS_PER_PIECE of them each."""
    return EPOCHS if piece == 0 else ITEMS + piece - 1


def epochs_piece(item: int) -> int | None:
    """Return which piece of the hand-overs an item is, or None."""
    return 0 if item == EPOCHS else None if item < ITEMS else item - ITEMS + 1


def encode_chunk(proof: Proof, entries: list[tuple[bytes, bytes]]) -> bytes:
    """Return canonical [proof, [key, value, key, value, …]]."""
    flat: list[codec.Encodable] = [part for entry in entries for part in entry]
    return codec.encode([proof.to_bytes(), flat])


def decode_chunk(data: bytes) -> tuple[Proof, list[tuple[bytes, bytes]]]:
    """Return proof and entries of what `encode_chunk` made; nothing is verified."""
    value = codec.decode(data, field="chunk", max_bytes=ITEM_BYTES_MAX)
    proof, flat = codec.as_list(value, "chunk", length=2)
    parts = codec.as_list(flat, "chunk.entries")
    if len(parts) % 2:
        raise DecodeError("chunk.entries", "must be keys and values in turn")
    entries = [
        (
            codec.as_bytes(parts[at], "chunk.key", max_length=KEY_BYTES_MAX - 1),
            codec.as_bytes(parts[at + 1], "chunk.value"),
        )
        for at in range(0, len(parts), 2)
    ]
    data = codec.as_bytes(proof, "chunk.proof", max_length=PROOF_BYTES_MAX)
    return Proof.from_bytes(data, field="chunk.proof"), entries


def encode_epochs(steps: list[bytes]) -> bytes:
    """Return the canonical list of encoded hand-overs."""
    return codec.encode(steps)


def decode_epochs(data: bytes) -> list[HandOver]:
    """Return the hand-overs of a piece; no seal is verified."""
    value = codec.decode(data, field="epochs", max_bytes=ITEM_BYTES_MAX)
    return [
        HandOver.from_bytes(codec.as_bytes(step, "epochs", max_length=HAND_OVER_BYTES_MAX))
        for step in codec.as_list(value, "epochs", max_length=EPOCHS_PER_PIECE)
    ]


def part_of(data: bytes, snapshot: Digest, item: int, offset: int) -> Part | None:
    """Return the part of an item that begins at `offset`; None beyond its end."""
    if offset >= len(data) or offset % PART_BYTES:
        return None
    return Part(snapshot, item, offset, len(data), data[offset : offset + PART_BYTES])
