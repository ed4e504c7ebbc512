"""The state tree in 256 chunks, by the first byte of a key's hash, each verified by itself.

A chunk is a subtree two levels below the root: all keys whose hash begins with one byte, with
their values. Its proof is the way from the root to where the subtree begins, as for a key
(`crypto.merkle.Proof`), so whoever has a root can take chunks from anybody in any order, and
knows of each that it is right and that nothing is missing. The nodes above, at most 17, follow
from the chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from operator import add, ge
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
_NIBBLES: Final = tuple(bytes((nibble,)) for nibble in range(_ARITY))
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
    digests: Sequence[Digest]
    """Hashes of its keys, in their order."""


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
    digests = [key_hash(key) for key, _ in entries]
    if any(digest[0] != chunk for digest in digests):
        raise InvalidProof("holds a key of another chunk")
    if any(map(ge, digests, islice(digests, 1, None))):
        raise InvalidProof("must have each key once, in the order of their hashes")
    if not all(value for _, value in entries):
        raise InvalidProof("holds a key without a value")
    values = [value_hash(value) for _, value in entries]
    hashes = list(map(leaf_hash, digests, values))
    leaves = list(map(add, digests, values))
    if len(leaves) < 2:
        leaf = leaves[0] if leaves else None
        top = hashes[0] if hashes else EMPTY
        return Chunk(ChunkTop(len(leaves), top, leaf), {}, digests)
    subtree = _Subtree(leaves, hashes)
    top = subtree.build(bytes((chunk >> 4, chunk & 15)), 0, len(leaves))
    return Chunk(ChunkTop(len(leaves), top, None), subtree.nodes, digests)


@final
class _Subtree:
    """The nodes over sorted leaves."""

    def __init__(self, leaves: list[bytes], hashes: list[Digest]) -> None:
        self._leaves = leaves
        self._hashes = hashes
        self.nodes: Nodes = {}

    def build(self, path: bytes, start: int, end: int) -> Digest:
        """Add the subtree of leaves[start:end], at least two, at `path`; return its hash."""
        leaves, depth = self._leaves, len(path)
        byte, shift = depth >> 1, 0 if depth & 1 else 4
        children = [EMPTY] * _ARITY
        while start < end:
            nibble = leaves[start][byte] >> shift & 15
            stop = start + 1
            while stop < end and leaves[stop][byte] >> shift & 15 == nibble:
                stop += 1
            child = path + _NIBBLES[nibble]
            if stop - start == 1:
                self.nodes[child] = leaves[start]
                children[nibble] = self._hashes[start]
            else:
                children[nibble] = self.build(child, start, stop)
            start = stop
        node = self.nodes[path] = b"".join(children)
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
