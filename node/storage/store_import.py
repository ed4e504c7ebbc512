"""A chain database in the making: certified state that comes chunk by chunk, in any order.

It lies beside the node's own database until it is whole. What is there survives a restart, so
that a download goes on where it stopped; nothing of it is read as a chain before `finish`, whose
last, synced batch writes the head.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final

import plyvel

from crypto.errors import DecodeError
from crypto.hashing import Digest
from crypto.merkle_chunk import CHUNKS, Chunk, ChunkTop, join_chunks
from node.errors import CorruptStore, StorageError
from node.storage.block_store import ChainStore
from node.storage.block_write import BlockWrite
from node.storage.history import Batch
from node.storage.rows import NODE_PREFIX, STATE_PREFIX, row_value

TARGET_KEY: Final = b"!target"
_DONE: Final = b"!chunk"
_WRITE_BUFFER_BYTES: Final = 32 << 20
"""Far above a node's own: rows come by the million, and a crash costs no more than a download."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBlock:
    """The block at which a chain begins here: its state came whole."""

    write: BlockWrite
    """Of the block, without changes and nodes."""
    genesis: BlockWrite
    """Block 0, without changes and nodes."""
    hand_overs: Sequence[tuple[int, Digest, bytes]]
    """Of each epoch up to the block: height and hash of the block before, and the encoding."""


@final
class StoreImport:
    """One owner, one thread."""

    def __init__(self, path: Path, db: plyvel.DB, target: bytes) -> None:
        self._path = path
        self._db = db
        self.target = target
        self.tops: dict[int, ChunkTop] = {}
        for chunk in range(CHUNKS):
            row = db.get(_DONE + bytes((chunk,)))
            try:
                if row is not None:
                    self.tops[chunk] = ChunkTop.from_bytes(row)
            except DecodeError as error:
                raise CorruptStore(f"{path}: chunk {chunk}: {error}; delete it") from None

    @classmethod
    def open(cls, path: Path, target: bytes) -> Self:
        """Go on with the download of `target` at `path`, or begin it there.

        Args:
            path: a directory of its own; what is there for another target is deleted.
            target: what the chunks are of: hash of the block.

        Raises:
            StorageError: the disk fails.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            try:
                db = _open(path)
            except plyvel.CorruptionError:  # Nothing there is of worth yet.
                shutil.rmtree(path)
                path.mkdir()
                db = _open(path)
            if db.get(TARGET_KEY) != target:
                db.close()
                shutil.rmtree(path)
                path.mkdir()
                db = _open(path)
                db.put(TARGET_KEY, target, sync=True)
            return cls(path, db, target)
        except (plyvel.Error, OSError) as error:
            raise StorageError(f"{path} cannot be used: {error}") from error

    def close(self) -> None:
        """Release the database; what is there stays."""
        self._db.close()

    def put_chunk(self, number: int, entries: Sequence[tuple[bytes, bytes]], chunk: Chunk) -> None:
        """Keep a chunk that was verified. Not synced: what a crash loses is fetched again."""
        try:
            with self._db.write_batch() as batch:
                for digest, (key, value) in zip(chunk.digests, entries, strict=True):
                    batch.put(STATE_PREFIX + digest, row_value(key, value))
                _put_nodes(batch, chunk.nodes)
                batch.put(_DONE + bytes((number,)), chunk.top.to_bytes())
        except plyvel.Error as error:
            raise StorageError(f"{self._path} cannot be written: {error}") from error
        self.tops[number] = chunk.top

    def finish(self, base: BaseBlock, state_root: Digest, genesis_hash: Digest) -> None:
        """Make it a chain that begins at `base`, and close it; all chunks are there.

        Raises:
            CorruptStore: the chunks do not add up to `state_root`.
            StorageError: the disk fails.
        """
        self._join(state_root)
        store = ChainStore(self._path, genesis_hash, db=self._db)
        try:
            store.write_base(base.genesis, base.write, base.hand_overs)
        finally:
            store.close()

    def begin(self, first: BlockWrite, state_root: Digest, genesis_hash: Digest) -> None:
        """Make it a chain whose block 0 is `first`, and close it; all chunks are there.

        Args:
            first: its changes and nodes are over the state of the chunks.
            state_root: of that state, before them.
            genesis_hash: of the chain that begins here.

        Raises:
            CorruptStore, StorageError: as `finish`.
        """
        self._join(state_root)
        store = ChainStore(self._path, genesis_hash, db=self._db)
        try:
            store.write(first)
        finally:
            store.close()

    def _join(self, state_root: Digest) -> None:
        """Make one state of the chunks, all of it synced."""
        root, nodes = join_chunks([self.tops[chunk] for chunk in range(CHUNKS)])
        if root != state_root:
            raise CorruptStore(f"{self._path} does not add up to the state that was asked for")
        try:
            with self._db.write_batch() as batch:
                _put_nodes(batch, nodes)
                for chunk in range(CHUNKS):
                    batch.delete(_DONE + bytes((chunk,)))
                batch.delete(TARGET_KEY)
            # Opening anew brings all that was not synced from the log into synced tables: only then
            # may a head say that it is there.
            self._db.close()
            self._db = _open(self._path)
        except plyvel.Error as error:
            raise StorageError(f"{self._path} cannot be written: {error}") from error


def _put_nodes(batch: Batch, nodes: Mapping[bytes, bytes]) -> None:
    for path, node in nodes.items():
        batch.put(NODE_PREFIX + path, node)


def _open(path: Path) -> plyvel.DB:
    return plyvel.DB(
        str(path),
        create_if_missing=True,
        write_buffer_size=_WRITE_BUFFER_BYTES,
        bloom_filter_bits=10,
    )


def swap(fresh: Path, path: Path) -> None:
    """Put a finished database in the place of the node's own, which nobody has open.

    A crash between the renames leaves no database at `path`, and the node begins anew.
    """
    old = former(path)
    if old.exists():
        shutil.rmtree(old)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    if old.exists():
        shutil.rmtree(old)


def former(path: Path) -> Path:
    """Return where `swap` moves the database that it replaces, before it deletes it."""
    return path.with_name(path.name + ".old")
