"""What one block writes to the chain's database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from consensus.certificates import Seal
from crypto.hashing import Digest


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockWrite:
    """All that one block adds, changes and removes; written together or not at all."""

    height: int
    digest: Digest
    body: bytes
    seal: Seal | None
    """None for genesis alone."""
    receipts: bytes
    transaction_hashes: tuple[bytes, ...]
    """In the block's order, 32 bytes each."""
    bloom: bytes | None
    """Of the block's logs (256 bytes), None where it has none."""
    changes: Iterable[tuple[bytes, bytes | None]]
    nodes: dict[bytes, bytes | None]
    """Changed nodes of the state tree, by path; None deletes."""
    hand_over: bytes | None = None
    """Encoded `node.hand_over.HandOver`, where this block changes the member set."""
