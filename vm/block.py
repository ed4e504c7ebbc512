"""Blocks: a header of fixed width that commits to everything, and the raw transactions.

Nothing here depends on view, proposer or seal: two primaries that build from the same parent,
time and transactions make the same bytes.
"""

from dataclasses import dataclass
from typing import final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash
from crypto.merkle_list import list_root
from vm.errors import BlockReason, InvalidBlock
from vm.transaction import TX_BYTES_MAX

BLOCK_BYTES_MAX = 1024 * 1024
"""Encoded block; two proposals fit a peer's receive buffer."""
BLOCK_TXS_MAX = 2000
"""Above what the block's gas allows at 21,000 each, so gas is what limits by default."""
HEADER_BYTES = 192
"""Four 64-bit numbers and five digests, big-endian, in the order of the fields."""

_BLOCK_TAG = b"hearth/block"
_U63 = 2**63  # Numbers stay below, so that any language reads them as signed 64-bit.
_DIGESTS = ("parent_hash", "transactions_root", "state_root", "receipts_root", "next_members_hash")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What consensus votes on by its hash, and what a light client verifies against."""

    version: int
    """Protocol by whose rules the block is made (`vm.protocol`); first, so that a later one may
    change what follows."""
    number: int
    """Height; 0 is genesis."""
    parent_hash: Digest
    """Hash of the header before; of the genesis file for block 0."""
    time_ms: int
    """Unix milliseconds, strictly increasing."""
    transactions_root: Digest
    """`list_root` of the raw transactions."""
    state_root: Digest
    """Root of the state tree after this block."""
    receipts_root: Digest
    """`list_root` of the encoded receipts."""
    next_members_hash: Digest
    """Hash of the member set that seals the next block (`vm.members`)."""
    gas_used: int

    def __post_init__(self) -> None:
        for name, number in (
            ("version", self.version),
            ("number", self.number),
            ("time_ms", self.time_ms),
            ("gas_used", self.gas_used),
        ):
            if not 0 <= number < _U63:
                raise DecodeError(f"header.{name}", f"must lie in 0..2**63-1, got {number}")
        for name in _DIGESTS:
            digest = getattr(self, name)
            if len(digest) != DIGEST_BYTES:
                raise DecodeError(f"header.{name}", f"must be 32 bytes, got {len(digest)}")

    def to_bytes(self) -> bytes:
        """Return the HEADER_BYTES that are hashed."""
        return b"".join(
            (
                self.version.to_bytes(8, "big"),
                self.number.to_bytes(8, "big"),
                self.parent_hash,
                self.time_ms.to_bytes(8, "big"),
                self.transactions_root,
                self.state_root,
                self.receipts_root,
                self.next_members_hash,
                self.gas_used.to_bytes(8, "big"),
            )
        )

    @property
    def hash(self) -> Digest:
        """The block's hash: 32 bytes, computed anew at each call."""
        return tagged_hash(_BLOCK_TAG, self.to_bytes())


@final
@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, each as its raw bytes."""

    header: Header
    transactions: tuple[bytes, ...]


def decode_header(data: bytes) -> Header:
    """Return the header whose encoding is `data`, or raise DecodeError naming the field."""
    if len(data) != HEADER_BYTES:
        raise DecodeError("header", f"must be {HEADER_BYTES} bytes, got {len(data)}")
    return Header(
        version=int.from_bytes(data[:8], "big"),
        number=int.from_bytes(data[8:16], "big"),
        parent_hash=Digest(data[16:48]),
        time_ms=int.from_bytes(data[48:56], "big"),
        transactions_root=Digest(data[56:88]),
        state_root=Digest(data[88:120]),
        receipts_root=Digest(data[120:152]),
        next_members_hash=Digest(data[152:184]),
        gas_used=int.from_bytes(data[184:], "big"),
    )


def encode_block(block: Block) -> bytes:
    """Return canonical [header, [raw, …]]."""
    return codec.encode([block.header.to_bytes(), list(block.transactions)])


def decode_block(data: bytes) -> Block:
    """Return the block whose one encoding is `data`. Roots are not compared.

    Raises:
        InvalidBlock: OVERSIZED or MALFORMED, with the field's name.
    """
    header, raws = _split(data)
    try:
        return Block(decode_header(header), raws)
    except DecodeError as error:
        raise InvalidBlock(BlockReason.MALFORMED, error.field, error.reason) from None


def block_digest(data: bytes) -> Digest:
    """Return the hash of the block that `data` encodes, without decoding the transactions.

    The transactions root is compared, so that a digest has at most one body: a peer that is
    asked for it cannot answer with other transactions under the right header.

    Raises:
        InvalidBlock: OVERSIZED, MALFORMED or WRONG_TRANSACTIONS_ROOT.
    """
    header, raws = _split(data)
    if header[56:88] != list_root(raws):
        message = "must be the root of the transactions that follow"
        raise InvalidBlock(BlockReason.WRONG_TRANSACTIONS_ROOT, "header.transactions_root", message)
    return tagged_hash(_BLOCK_TAG, header)


def _split(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    if len(data) > BLOCK_BYTES_MAX:
        message = f"must be at most {BLOCK_BYTES_MAX} bytes, got {len(data)}"
        raise InvalidBlock(BlockReason.OVERSIZED, "block", message)
    try:
        value = codec.decode(data, field="block", max_bytes=BLOCK_BYTES_MAX)
        parts = codec.as_list(value, "block", length=2)
        header = codec.as_bytes(parts[0], "header", length=HEADER_BYTES)
        items = codec.as_list(parts[1], "transactions", max_length=BLOCK_TXS_MAX)
        raws = tuple(
            codec.as_bytes(item, f"transactions[{index}]", max_length=TX_BYTES_MAX)
            for index, item in enumerate(items)
        )
    except DecodeError as error:
        raise InvalidBlock(BlockReason.MALFORMED, error.field, error.reason) from None
    return header, raws
