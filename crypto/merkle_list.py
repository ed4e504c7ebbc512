"""A binary Merkle tree over a list of byte strings (RFC 6962, section 2.1), with our tags.

A block commits to its transactions and receipts by such a root, and a path proves that an item
stands at an index. Departures from the RFC: tagged BLAKE2b in place of SHA-256 over a prefix byte,
and the root also hashes the number of items. Without it one path would prove the last of three
items to be the second of two, and a prover could choose the index.
"""

from collections.abc import Sequence
from typing import Final

from crypto.errors import InvalidProof
from crypto.hashing import DIGEST_BYTES, Digest, pair_hasher, part_hasher, tagged_hash

_leaf: Final = part_hasher(b"hearth/list/leaf")
_node: Final = pair_hasher(b"hearth/list/node")

COUNT_LIMIT = 2**32
"""More items than any block can have; bounds the loop over a stranger's count."""


def list_root(items: Sequence[bytes]) -> Digest:
    """Return the root over `items` in order; an empty list has a root of its own."""
    if not items:
        return tagged_hash(b"hearth/list/empty")
    row = [_leaf(item) for item in items]
    while len(row) > 1:
        row = _parents(row)
    return _root(len(items), row[0])


def prove_item(items: Sequence[bytes], index: int) -> list[Digest]:
    """Return the siblings from the item at `index` up to the root, at most ⌈log2(count)⌉.

    Raises:
        IndexError: there is no such item.
    """
    if not 0 <= index < len(items):
        raise IndexError(f"index must lie in 0..{len(items) - 1}, got {index}")
    path: list[Digest] = []
    row = [_leaf(item) for item in items]
    while len(row) > 1:
        sibling = index ^ 1
        if sibling < len(row):
            path.append(row[sibling])
        row = _parents(row)
        index //= 2
    return path


def verify_item(root: bytes, index: int, count: int, item: bytes, path: Sequence[bytes]) -> None:
    """Accept that `item` stands at `index` in the list of `count` items under `root`, or raise.

    Raises:
        InvalidProof: index out of range, a path of another length, or another root.
    """
    if not 0 <= index < count < COUNT_LIMIT:
        raise InvalidProof(f"index must lie in 0..{count - 1}, got {index}")
    current: Digest = _leaf(item)
    siblings = iter(path)
    width = count
    while width > 1:
        if index ^ 1 < width:
            sibling = next(siblings, None)
            if sibling is None or len(sibling) != DIGEST_BYTES:
                raise InvalidProof("path is too short, or holds what is not 32 bytes")
            current = _node(sibling, current) if index % 2 else _node(current, sibling)
        index //= 2
        width = (width + 1) // 2
    if next(siblings, None) is not None:
        raise InvalidProof("path is too long")
    current = _root(count, current)
    if current != root:
        raise InvalidProof(f"leads to root {current.hex()}, expected {root.hex()}")


def _parents(row: list[Digest]) -> list[Digest]:
    """Return the row above; an odd last node rises as it is (as the RFC's split gives it)."""
    above = [_node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
    return above + row[-1:] if len(row) % 2 else above


def _root(count: int, top: bytes) -> Digest:
    return tagged_hash(b"hearth/list/root", count.to_bytes(8, "big"), top)
