"""A 16-ary sparse Merkle tree over the state, updated by whole blocks.

The path of a key is the 64 nibbles of its hash. A subtree with no key is EMPTY (32 zero bytes), a
subtree with one key is that key's leaf, wherever it begins, and any other is an inner node over
16 children: so the shape, and with it the root, depends on the contents alone, not on history.
Shape after Gao et al., "Jellyfish Merkle Tree" (2021), with two departures: a node is stored under
its path, without a version (the tree holds the newest state only), and an inner node hashes its
16 children at once (larger proofs, a third of the hashing).

Nodes, by path (one byte for each nibble): an inner node is its 16 children's hashes (512 bytes), a
leaf is key hash and value hash (64 bytes).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

from crypto.errors import DecodeError, InvalidProof
from crypto.hashing import DIGEST_BYTES, Digest, pair_hasher, part_hasher

EMPTY = Digest(bytes(DIGEST_BYTES))
"""Root of the empty tree, and hash of an empty child."""

LEVELS_MAX = 64
"""Nibbles in a key's hash."""

_ARITY = 16
_LEAF_BYTES = 2 * DIGEST_BYTES
_INNER_BYTES = _ARITY * DIGEST_BYTES
_ASCII_TO_NIBBLE = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))

Entry: TypeAlias = tuple[bytes, bytes | None]
"""A key's path and its leaf (key hash, value hash: 64 bytes), or None where the key is deleted."""


class NodeStore(Protocol):
    """Where committed nodes are: a dict's `get`, or a database's."""

    def get(self, path: bytes, /) -> bytes | None:
        """Return the node at `path`, or None."""


@final
@dataclass(frozen=True, slots=True)
class TreeUpdate:
    """What a block changes: the caller writes `nodes` in one atomic batch with its values."""

    root: Digest
    nodes: dict[bytes, bytes | None]
    """Path to node; None: delete it."""


key_hash: Final = part_hasher(b"hearth/state/key")
"""Returns the hash of a key, whose nibbles are the key's path."""
value_hash: Final = part_hasher(b"hearth/state/value")
"""Returns the hash by which a leaf commits to its value."""
leaf_hash: Final = pair_hasher(b"hearth/state/leaf")
"""Returns the hash of a leaf, from those of its key and its value (32 bytes each)."""
inner_hash: Final = part_hasher(b"hearth/state/node")
"""Returns the hash of an inner node: its children's 16 hashes in order, 512 bytes."""


def path_of(key_digest: bytes) -> bytes:
    """Return the 64 nibbles of a key's hash, one byte each."""
    return key_digest.hex().encode("ascii").translate(_ASCII_TO_NIBBLE)


@final
class SparseMerkleTree:
    """The tree whose nodes are in `store`. It writes nothing and remembers nothing."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    @property
    def root(self) -> Digest:
        """The root hash of what the store holds now."""
        node = self._store.get(b"")
        return EMPTY if node is None else _node_hash(node)

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> TreeUpdate:
        """Return root and changed nodes after `changes`: (key, value), None deletes the key.

        Where a key occurs twice, the last wins. Deleting an absent key changes nothing. One
        update at a time: the next must follow the writing of this one's nodes.
        """
        entries: list[Entry] = []
        for key, value in dict(changes).items():
            digest = key_hash(key)
            leaf = None if value is None else digest + value_hash(value)
            entries.append((path_of(digest), leaf))
        entries.sort()  # Paths differ, so leaves are never compared.
        if not entries:
            return TreeUpdate(self.root, {})
        batch = _Batch(self._store.get)
        root = batch.apply(b"", entries, is_present=True)
        return TreeUpdate(root, batch.nodes)

    def prove(self, key: bytes) -> "Proof":
        """Return the proof of the key's value, or of its absence, under the present root."""
        return self.prove_path(path_of(key_hash(key)))

    def prove_path(self, path: bytes) -> "Proof":
        """Return the way along the nibbles of `path`, as far as there are inner nodes.

        The proof's leaf is the one at its end; None where nothing or an inner node is there.
        """
        levels: list[Level] = []
        node = self._store.get(b"")
        while node is not None and len(node) == _INNER_BYTES:
            depth = len(levels)
            if depth == len(path):
                return Proof(tuple(levels), None)
            levels.append(_siblings(node, path[depth]))
            node = self._store.get(path[: depth + 1])
        return Proof(tuple(levels), node)


@final
class _Batch:
    """One update on its way down and up the tree; `nodes` collects what changes."""

    __slots__ = ("_get", "nodes")

    def __init__(self, get: Callable[[bytes], bytes | None]) -> None:
        self._get = get
        self.nodes: dict[bytes, bytes | None] = {}

    def apply(self, path: bytes, entries: list[Entry], *, is_present: bool) -> Digest:
        """Apply `entries`, sorted and all below `path`; return the hash of the subtree there."""
        old = self._get(path) if is_present else None
        if old is not None and len(old) == _INNER_BYTES:
            return self._apply_inner(path, old, entries)
        leaves = [entry for entry in entries if entry[1] is not None]
        if old is not None:
            old_path = path_of(old[:DIGEST_BYTES])
            if all(entry[0] != old_path for entry in entries):
                leaves.append((old_path, old))
                leaves.sort()
            if not leaves:
                self.nodes[path] = None
        return self._build(path, leaves)

    def _build(self, path: bytes, leaves: list[Entry]) -> Digest:
        """Write the subtree of `leaves` at `path`, where there is none, or one leaf."""
        if not leaves:
            return EMPTY
        if len(leaves) == 1:
            leaf = leaves[0][1]
            assert leaf is not None
            self.nodes[path] = leaf
            return leaf_hash(leaf[:DIGEST_BYTES], leaf[DIGEST_BYTES:])
        children = bytearray(_INNER_BYTES)
        for nibble, group in _groups(leaves, len(path)):
            at = nibble * DIGEST_BYTES
            children[at : at + DIGEST_BYTES] = self._build(path + bytes((nibble,)), group)
        return self._write_inner(path, bytes(children))

    def _apply_inner(self, path: bytes, old: bytes, entries: list[Entry]) -> Digest:
        children = bytearray(old)
        for nibble, group in _groups(entries, len(path)):
            at = nibble * DIGEST_BYTES
            is_present = old[at : at + DIGEST_BYTES] != EMPTY
            digest = self.apply(path + bytes((nibble,)), group, is_present=is_present)
            children[at : at + DIGEST_BYTES] = digest
        node = bytes(children)
        if any(entry[1] is None for entry in entries):
            collapsed = self._collapse(path, node)
            if collapsed is not None:
                return collapsed
        return self._write_inner(path, node)

    def _collapse(self, path: bytes, node: bytes) -> Digest | None:
        """Make the subtree empty, or its one leaf, if no more is left of it; else return None."""
        left = [n for n in range(_ARITY) if node[n * 32 : n * 32 + 32] != EMPTY]
        if not left:
            self.nodes[path] = None
            return EMPTY
        if len(left) > 1:
            return None
        child_path = path + bytes(left)
        child = self.nodes[child_path] if child_path in self.nodes else self._get(child_path)
        assert child is not None, "the store lacks a node that its parent has"
        if len(child) == _INNER_BYTES:
            return None
        self.nodes[child_path] = None
        self.nodes[path] = child
        return _node_hash(child)

    def _write_inner(self, path: bytes, node: bytes) -> Digest:
        self.nodes[path] = node
        return inner_hash(node)


def _groups(entries: list[Entry], depth: int) -> list[tuple[int, list[Entry]]]:
    """Return sorted `entries` by their nibble at `depth`."""
    if len(entries) == 1:
        return [(entries[0][0][depth], entries)]
    groups: list[tuple[int, list[Entry]]] = []
    last = -1
    for entry in entries:
        nibble = entry[0][depth]
        if nibble == last:
            groups[-1][1].append(entry)
        else:
            groups.append((nibble, [entry]))
            last = nibble
    return groups


def _node_hash(node: bytes) -> Digest:
    if len(node) == _INNER_BYTES:
        return inner_hash(node)
    return leaf_hash(node[:DIGEST_BYTES], node[DIGEST_BYTES:])


# Proofs ------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Level:
    """The other children of an inner node on the way from the root."""

    bitmap: int
    """Bit n is set where child n is not empty; the bit of the way itself is clear."""
    siblings: tuple[bytes, ...]
    """Hashes of those children, in order."""


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """The way from the root to where a key is, or would be."""

    levels: tuple[Level, ...]
    """From the root down; at most LEVELS_MAX."""
    leaf: bytes | None
    """Key hash and value hash (64 bytes) at the end of the way; None where nothing is there."""

    def to_bytes(self) -> bytes:
        """Return: levels (u8); each bitmap (u16) and its siblings; 1 and the leaf, or 0."""
        parts = [bytes((len(self.levels),))]
        for level in self.levels:
            parts += (level.bitmap.to_bytes(2, "big"), *level.siblings)
        parts += (b"\0",) if self.leaf is None else (b"\1", self.leaf)
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes, *, field: str = "proof") -> "Proof":
        """Return the proof whose encoding is `data` (at most PROOF_BYTES_MAX).

        Raises:
            DecodeError: not the one encoding of a proof.
        """
        if len(data) > PROOF_BYTES_MAX:
            raise DecodeError(field, f"must be at most {PROOF_BYTES_MAX} bytes, got {len(data)}")
        if not data or data[0] > LEVELS_MAX:
            raise DecodeError(f"{field}.levels", f"must be a byte in 0..{LEVELS_MAX}")
        levels, at = [], 1
        for depth in range(data[0]):
            level, at = _read_level(data, at, f"{field}.levels[{depth}]")
            levels.append(level)
        rest = data[at:]
        if rest == b"\0":
            return cls(tuple(levels), None)
        if len(rest) != 1 + _LEAF_BYTES or rest[0] != 1:
            raise DecodeError(f"{field}.leaf", "must be 0, or 1 and 64 bytes, and the last")
        return cls(tuple(levels), rest[1:])


PROOF_BYTES_MAX = 1 + LEVELS_MAX * (2 + (_ARITY - 1) * DIGEST_BYTES) + 1 + _LEAF_BYTES


def verify_proof(root: bytes, key: bytes, value: bytes | None, proof: Proof) -> None:
    """Accept that under `root` the key has `value`, or, where that is None, is absent; or raise.

    Absence is shown by an empty place on the key's way, or by another key's leaf there.

    Raises:
        InvalidProof: the proof does not show it.
    """
    if len(proof.levels) > LEVELS_MAX:
        raise InvalidProof(f"levels must be at most {LEVELS_MAX}, got {len(proof.levels)}")
    digest = key_hash(key)
    path = path_of(digest)
    current = EMPTY
    if proof.leaf is not None:
        if len(proof.leaf) != _LEAF_BYTES:
            raise InvalidProof(f"leaf must be {_LEAF_BYTES} bytes, got {len(proof.leaf)}")
        current = _node_hash(proof.leaf)
    _check_claim(digest, value, proof)
    current = fold_levels(current, path[: len(proof.levels)], proof.levels)
    if current != root:
        raise InvalidProof(f"leads to root {current.hex()}, expected {root.hex()}")


def fold_levels(current: Digest, way: bytes, levels: tuple[Level, ...]) -> Digest:
    """Return the root over a subtree with the hash `current`, at the nibbles of `way`.

    Raises:
        InvalidProof: a level is malformed.
    """
    for level, nibble in zip(reversed(levels), reversed(way), strict=True):
        current = inner_hash(_children(level, nibble, current))
    return current


def _check_claim(digest: Digest, value: bytes | None, proof: Proof) -> None:
    """Check that the end of the way says what is claimed."""
    leaf_key = None if proof.leaf is None else proof.leaf[:DIGEST_BYTES]
    if value is None:
        if leaf_key == digest:
            raise InvalidProof("shows that the key is present")
        depth = len(proof.levels)
        if leaf_key is not None and path_of(leaf_key)[:depth] != path_of(digest)[:depth]:
            raise InvalidProof("ends at a leaf that is not on the key's way")
        return
    if leaf_key != digest:
        raise InvalidProof("shows that the key is absent")
    if proof.leaf != digest + value_hash(value):
        raise InvalidProof("shows another value")


def _siblings(node: bytes, nibble: int) -> Level:
    bitmap, siblings = 0, []
    for n in range(_ARITY):
        child = node[n * DIGEST_BYTES : (n + 1) * DIGEST_BYTES]
        if n != nibble and child != EMPTY:
            bitmap |= 1 << n
            siblings.append(child)
    return Level(bitmap, tuple(siblings))


def _children(level: Level, nibble: int, current: bytes) -> bytes:
    """Return the 512 bytes of the inner node that has `current` at `nibble`."""
    if level.bitmap >> nibble & 1:
        raise InvalidProof("a level names a sibling at the place of the way itself")
    if level.bitmap >> _ARITY or level.bitmap.bit_count() != len(level.siblings):
        raise InvalidProof("a level's bitmap and siblings do not agree")
    siblings = iter(level.siblings)
    children = [next(siblings) if level.bitmap >> n & 1 else EMPTY for n in range(_ARITY)]
    children[nibble] = Digest(current)
    joined = b"".join(children)
    if len(joined) != _INNER_BYTES:
        raise InvalidProof("siblings must be 32 bytes each")
    return joined


def _read_level(data: bytes, at: int, field: str) -> tuple[Level, int]:
    bitmap = int.from_bytes(data[at : at + 2], "big")
    start, end = at + 2, at + 2 + bitmap.bit_count() * DIGEST_BYTES
    if end > len(data):
        raise DecodeError(field, f"ends early: needs {end} bytes, has {len(data)}")
    siblings = tuple(data[i : i + DIGEST_BYTES] for i in range(start, end, DIGEST_BYTES))
    if EMPTY in siblings:
        raise DecodeError(field, "an empty sibling must have no place")
    return Level(bitmap, siblings), end
