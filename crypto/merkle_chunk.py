"""The state tree in 256 chunks, by the first byte of a key's hash, each verified by itself.

A chunk is a subtree two levels below the root: all keys whose hash begins with one byte, with
their values. Its proof is the way from the root to where the subtree begins, as for a key
(`crypto.merkle.Proof`), so whoever has a root can take chunks from anybody in any order, and
knows of each that it is right and that nothing is missing. The nodes above, at most 17, follow
from the chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from crypto.errors import DecodeError, InvalidProof
from crypto.hashing import DIGEST_BYTES, Digest
from crypto.merkle import (
    EMPTY,
    Proof,
    SparseMerkleTree,
    fold_levels,
    inner_hash,
    key_hash,
    leaf_hash,
    path_of,
    value_hash,
)

CHUNKS: Final = 256
CHUNK_LEVELS: Final = 2
"""Nibbles of a chunk's number."""
_ARITY: Final = 16
_LEAF_BYTES: Final = 2 * DIGEST_BYTES

Nodes = dict[bytes, bytes]
"""Nodes of the tree by path, one byte for each nibble."""


@final
@dataclass(frozen=True, slots=True)
class ChunkTop:
    """What the nodes above a chunk need to know of it."""

    count: int
    """Keys in it."""
    root: Digest
    """Of its subtree; EMPTY where there is no key."""
    leaf: bytes | None
    """The one key's leaf (64 bytes), where there is one: it rises as far as it is alone."""

    def to_bytes(self) -> bytes:
        """Return count (u64), root, and the leaf if there is one."""
        return self.count.to_bytes(8, "big") + self.root + (self.leaf or b"")

    @classmethod
    def from_bytes(cls, data: bytes) -> "ChunkTop":
        """Return what `to_bytes` gave.

        Raises:
            DecodeError: another length.
        """
        end = 8 + DIGEST_BYTES
        if len(data) not in (end, end + _LEAF_BYTES):
            raise DecodeError("chunk_top", f"must be {end} bytes, or a leaf more, got {len(data)}")
        return cls(int.from_bytes(data[:8], "big"), Digest(data[8:end]), data[end:] or None)


@final
@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that was verified."""

    top: ChunkTop
    nodes: Nodes
    """Of its subtree, but for a leaf that is alone."""


def prove_chunk(tree: SparseMerkleTree, chunk: int) -> Proof:
    """Return the way from the root to the chunk, under the present root."""
    way = bytes((chunk >> 4, chunk & 15))
    return tree.prove_path(way)


def verify_chunk(
    root: bytes, chunk: int, entries: Sequence[tuple[bytes, bytes]], proof: Proof
) -> Chunk:
    """Accept `entries` as all keys of a chunk under `root`, with their values, or raise.

    Args:
        root: of the state.
        chunk: 0..255: first byte of the keys' hashes.
        entries: key and value, ascending by the key's hash.
        proof: `prove_chunk`'s.

    Raises:
        InvalidProof: an entry is of another chunk, missing, too many or out of order, or the
            proof leads elsewhere.
    """
    if len(proof.levels) > CHUNK_LEVELS:
        raise InvalidProof(f"levels must be at most {CHUNK_LEVELS}, got {len(proof.levels)}")
    built = build_chunk(chunk, entries)
    way = bytes((chunk >> 4, chunk & 15))[: len(proof.levels)]
    current = built.top.root
    if len(proof.levels) < CHUNK_LEVELS and built.top.count > 1:
        raise InvalidProof("ends above a subtree of several keys")
    if built.top.count == 0:
        current = _stranger(proof.leaf, chunk, way)
    elif proof.leaf != built.top.leaf:
        raise InvalidProof("shows another leaf than the chunk has")
    current = fold_levels(current, way, proof.levels)
    if current != root:
        raise InvalidProof(f"leads to root {current.hex()}, expected {root.hex()}")
    return built


def _stranger(leaf: bytes | None, chunk: int, way: bytes) -> Digest:
    """Return the hash of what stands where an empty chunk would be: nothing, or another's leaf."""
    if leaf is None:
        return EMPTY
    if len(leaf) != 2 * DIGEST_BYTES or leaf[0] == chunk or len(way) == CHUNK_LEVELS:
        raise InvalidProof("shows that the chunk is not empty")
    if path_of(leaf[:DIGEST_BYTES])[: len(way)] != way:
        raise InvalidProof("ends at a leaf that is not on the chunk's way")
    return leaf_hash(leaf[:DIGEST_BYTES], leaf[DIGEST_BYTES:])


def build_chunk(chunk: int, entries: Sequence[tuple[bytes, bytes]]) -> Chunk:
    """Return the subtree of a chunk's keys; raises InvalidProof where they are not in order."""
    leaves: list[bytes] = []
    before = b""
    for key, value in entries:
        digest = key_hash(key)
        if digest[0] != chunk:
            raise InvalidProof("holds a key of another chunk")
        if digest <= before:
            raise InvalidProof("must have each key once, in the order of their hashes")
        if not value:
            raise InvalidProof("holds a key without a value")
        before = digest
        leaves.append(digest + value_hash(value))
    if len(leaves) < 2:
        leaf = leaves[0] if leaves else None
        top = EMPTY if leaf is None else leaf_hash(leaf[:DIGEST_BYTES], leaf[DIGEST_BYTES:])
        return Chunk(ChunkTop(len(leaves), top, leaf), {})
    nodes: Nodes = {}
    top = _build(nodes, bytes((chunk >> 4, chunk & 15)), leaves, 0, len(leaves))
    return Chunk(ChunkTop(len(leaves), top, None), nodes)


def _build(nodes: Nodes, path: bytes, leaves: list[bytes], start: int, end: int) -> Digest:
    """Add the subtree of leaves[start:end], sorted and at least two, at `path`."""
    depth = len(path)
    byte, shift = depth >> 1, 0 if depth & 1 else 4
    children = [EMPTY] * _ARITY
    while start < end:
        nibble = leaves[start][byte] >> shift & 15
        stop = start + 1
        while stop < end and leaves[stop][byte] >> shift & 15 == nibble:
            stop += 1
        child = path + bytes((nibble,))
        if stop - start == 1:
            leaf = nodes[child] = leaves[start]
            children[nibble] = leaf_hash(leaf[:DIGEST_BYTES], leaf[DIGEST_BYTES:])
        else:
            children[nibble] = _build(nodes, child, leaves, start, stop)
        start = stop
    node = nodes[path] = b"".join(children)
    return inner_hash(node)


def join_chunks(tops: Sequence[ChunkTop]) -> tuple[Digest, Nodes]:
    """Return the root over all 256 chunks, and the nodes above them and of lone leaves."""
    assert len(tops) == CHUNKS, f"must be {CHUNKS}, got {len(tops)}"
    nodes: Nodes = {}
    seconds = [
        _join(nodes, bytes((nibble,)), tops[_ARITY * nibble : _ARITY * (nibble + 1)])
        for nibble in range(_ARITY)
    ]
    whole = _join(nodes, b"", seconds)
    if whole.leaf is not None:
        nodes[b""] = whole.leaf
    return whole.root, nodes


def _join(nodes: Nodes, path: bytes, below: Sequence[ChunkTop]) -> ChunkTop:
    """Return what stands at `path` over its 16 children."""
    count = sum(each.count for each in below)
    if count == 0:
        return ChunkTop(0, EMPTY, None)
    if count == 1:
        return next(each for each in below if each.count)
    for nibble, each in enumerate(below):
        if each.leaf is not None:
            nodes[path + bytes((nibble,))] = each.leaf
    node = nodes[path] = b"".join(each.root for each in below)
    return ChunkTop(count, inner_hash(node), None)
