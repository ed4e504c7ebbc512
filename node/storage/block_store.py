"""The chain on disk: blocks, seals, receipts, indexes, state and tree, in one LevelDB.

A block is written by ONE batch with `sync=True` (plyvel's default does not survive a power cut), so
a crash leaves the whole block or nothing of it. The store knows bytes and heights, not what they
mean; `docs/spec/storage.md` lists the keys.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Final, final

import plyvel

from consensus.certificates import SIGNATURE_BYTES, Seal
from consensus.membership import Height
from consensus.messages import SealedBlock
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest
from crypto.merkle import key_hash
from node.errors import CorruptStore, HistoryUnavailable, StorageError, StoreLocked
from node.storage.block_write import BlockWrite
from node.storage.history import FIRST_KEY, HISTORY_BLOCKS, Batch, History, PastState
from node.storage.pinned import PinnedState
from node.storage.rows import (
    NODE_PREFIX,
    STATE_PREFIX,
    decode_seal,
    encode_seal,
    state_row,
    value_in,
)
from vm.versions import STORAGE_VERSION

BLOOM_BYTES = 256
CHECKED_HEIGHTS = 20_000
"""Newest heights whose presence is checked at start: more than LevelDB's log can hold."""

_VERSION_KEY: Final = b"!version"
_GENESIS_KEY: Final = b"!genesis"
_HEAD_KEY: Final = b"!head"
_FIRST_KEY: Final = b"!first"
_BLOCK: Final = b"b"
_SEAL: Final = b"z"
_RECEIPTS: Final = b"r"
_HEIGHT_OF: Final = b"h"
_DIGEST_AT: Final = b"i"
_TRANSACTION: Final = b"t"
_BLOOM: Final = b"l"
_MEMBERS: Final = b"e"

_HEIGHT: Final = Struct(">Q")
_PLACE: Final = Struct(">QI")
_LAST: Final = b"\xff" * 8

_RECOVERY = (
    "Stop the node, move this directory away and start again: the node fetches the chain from "
    "its peers. Keep votes.log where it is."
)


@final
class ChainStore:
    """The database of one node. One process and one thread use it at a time."""

    def __init__(
        self,
        path: Path,
        genesis_hash: Digest,
        *,
        history_blocks: int = HISTORY_BLOCKS,
        db: plyvel.DB | None = None,
    ) -> None:
        """Open or create the database at `path` for the chain with this genesis.

        Args:
            path: a directory of its own.
            genesis_hash: 32 bytes.
            history_blocks: below the head, whose state can be read; from 0.
            db: open already, with plyvel's interface, in place of the one at `path`: a chain
                for developers lives in memory.

        Raises:
            StoreLocked: another process has it open.
            CorruptStore: LevelDB finds damage.
            StorageError: it belongs to another chain or another version, or the disk fails.
        """
        self.path = path
        self._db = _open(path) if db is None else db
        self._history_blocks = history_blocks
        try:
            self._check_stamps(genesis_hash)
            self._head = self._read_head()
            self._first = self._read_first()
            self._check_recent()
            self._history = self._open_history()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Release the database; later calls raise."""
        self._db.close()

    def reopen(self) -> None:
        """Go on from what the database holds now: its owner has put back an earlier content."""
        self._head = self._read_head()
        self._first = self._read_first()
        self._history = self._open_history()

    @property
    def head(self) -> tuple[Height, Digest] | None:
        """Height and hash of the newest block, None before genesis is written."""
        return self._head

    @property
    def first(self) -> Height:
        """Lowest height from which on all blocks are there: 1, or where a snapshot began."""
        return self._first

    def pin(self) -> PinnedState:
        """Return the state as it is now, which does not move with the head."""
        return PinnedState(self._db)

    # Writing.

    def write(self, block: BlockWrite) -> None:
        """Write a block durably: when this returns it survives a power cut.

        Raises:
            StorageError: the block does not follow the head, or the disk fails.
        """
        expected = 0 if self._head is None else self._head[0] + 1
        if block.height != expected:
            raise StorageError(f"block {block.height} does not follow: expected {expected}")
        height = _HEIGHT.pack(block.height)
        try:
            # Transaction: an error of a read in here must not write half a batch.
            with self._db.write_batch(sync=True, transaction=True) as batch:
                self._put_block(batch, block, height)
                self._put_state(batch, block)
        except plyvel.Error as error:
            raise self._failure(error) from error
        self._head = (Height(block.height), block.digest)

    def write_base(
        self,
        genesis: BlockWrite,
        base: BlockWrite,
        hand_overs: Iterable[tuple[int, Digest, bytes]],
    ) -> None:
        """Begin the chain at `base`, whose state is here already; durable when it returns.

        Args:
            genesis: block 0.
            base: a later block. Of what lies between there is nothing.
            hand_overs: height and hash of each block that begins an epoch, and its encoding.

        Raises:
            StorageError: there is a chain already, or the disk fails.
        """
        if self._head is not None:
            raise StorageError(f"{self.path} holds a chain already")
        height = _HEIGHT.pack(base.height)
        try:
            with self._db.write_batch(sync=True, transaction=True) as batch:
                for at, digest, hand_over in hand_overs:
                    batch.put(_MEMBERS + _HEIGHT.pack(at + 1), hand_over)
                    batch.put(_DIGEST_AT + _HEIGHT.pack(at), digest)
                self._put_block(batch, genesis, _HEIGHT.pack(0))
                self._put_block(batch, base, height)
                batch.put(_FIRST_KEY, height)
        except plyvel.Error as error:
            raise self._failure(error) from error
        self.reopen()

    def _put_block(self, batch: Batch, block: BlockWrite, height: bytes) -> None:
        put = batch.put
        put(_BLOCK + height, block.body)
        put(_RECEIPTS + height, block.receipts)
        put(_HEIGHT_OF + block.digest, height)
        put(_DIGEST_AT + height, block.digest)
        if block.seal is not None:
            put(_SEAL + height, encode_seal(block.seal))
        if block.hand_over is not None:
            put(_MEMBERS + _HEIGHT.pack(block.height + 1), block.hand_over)
        if block.bloom is not None:
            put(_BLOOM + height, block.bloom)
        for index, digest in enumerate(block.transaction_hashes):
            put(_TRANSACTION + digest, _PLACE.pack(block.height, index))
        put(_HEAD_KEY, height + block.digest)

    def _put_state(self, batch: Batch, block: BlockWrite) -> None:
        changes = list(block.changes)
        if block.height:  # Before genesis there is no state.
            replaced = [(key, self.get(key)) for key, _ in changes]
            self._history.write(batch, block.height, replaced)
        for key, value in changes:
            if value is None:
                batch.delete(STATE_PREFIX + key_hash(key))
            else:
                batch.put(*state_row(key, value))
        for path, node in block.nodes.items():
            if node is None:
                batch.delete(NODE_PREFIX + path)
            else:
                batch.put(NODE_PREFIX + path, node)

    # State.

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a state key at the head, or None (`vm.state.StateReader`)."""
        row = self._get(STATE_PREFIX + key_hash(key))
        return None if row is None else value_in(row, key)

    def past(self, height: int) -> PastState:
        """Return the state after the block at `height`.

        Raises:
            HistoryUnavailable: it is older than what is kept, or above the head.
        """
        self._require_history(height)
        return PastState(height, self._read_past)

    def _read_past(self, key: bytes, height: int) -> bytes | None:
        head = self._require_history(height)
        if height < head:
            try:
                is_changed, value = self._history.replaced_after(key, height, head)
            except plyvel.Error as error:
                raise self._failure(error) from error
            if is_changed:
                return value
        return self.get(key)

    def _require_history(self, height: int) -> int:
        """Return the head's height if the state at `height` can be read."""
        head = -1 if self._head is None else self._head[0]
        oldest = self._history.oldest(head)
        if not oldest <= height <= head:
            raise HistoryUnavailable(height, oldest, head)
        return head

    def node(self, path: bytes) -> bytes | None:
        """Return a node of the state tree at the head, or None."""
        return self._get(NODE_PREFIX + path)

    # Member sets.

    def hand_overs(self, first: int = 0) -> tuple[tuple[Height, bytes], ...]:
        """Return the steps into the epochs that begin at `first` or above, ascending.

        Each comes with its epoch's first height.
        """
        start, stop = _MEMBERS + _HEIGHT.pack(first), _MEMBERS + _LAST
        try:
            rows = self._db.iterator(start=start, stop=stop, verify_checksums=True)
            with rows:
                return tuple(
                    (Height(self._unpack(_HEIGHT, key[1:])[0]), value) for key, value in rows
                )
        except plyvel.Error as error:
            raise self._failure(error) from error

    # Blocks.

    def body(self, height: int) -> bytes | None:
        """Return the encoded block at `height`, or None."""
        return self._get(_BLOCK + _HEIGHT.pack(height))

    def receipts(self, height: int) -> bytes | None:
        """Return the encoded receipts of the block at `height`, or None."""
        return self._get(_RECEIPTS + _HEIGHT.pack(height))

    def seal(self, height: int) -> Seal | None:
        """Return the seal of the block at `height`; None for genesis and above the head."""
        data = self._get(_SEAL + _HEIGHT.pack(height))
        if data is None:
            return None
        try:
            return decode_seal(data)
        except (DecodeError, ValueError) as error:
            raise self._corrupt(f"seal of block {height}: {error}") from None

    def height_of(self, digest: bytes) -> Height | None:
        """Return the height of the block with this hash, or None."""
        data = self._get(_HEIGHT_OF + digest)
        return None if data is None else Height(self._unpack(_HEIGHT, data)[0])

    def transaction(self, digest: bytes) -> tuple[Height, int] | None:
        """Return height and index of the transaction with this hash, or None."""
        data = self._get(_TRANSACTION + digest)
        if data is None:
            return None
        height, index = self._unpack(_PLACE, data)
        return Height(height), index

    def blooms(self, first: int, last: int) -> Iterator[tuple[Height, bytes]]:
        """Yield height and bloom of the blocks in first..last that have logs, ascending."""
        start, stop = _BLOOM + _HEIGHT.pack(first), _BLOOM + _HEIGHT.pack(last)
        try:
            with self._db.iterator(start=start, stop=stop, include_stop=True) as rows:
                for key, bloom in rows:
                    yield Height(_HEIGHT.unpack(key[1:])[0]), bloom
        except plyvel.Error as error:
            raise self._failure(error) from error

    def sealed_blocks(self, first: int, limit: int, bytes_max: int) -> tuple[SealedBlock, ...]:
        """Return consecutive sealed blocks from `first` on: at most `limit` and `bytes_max`.

        The first block is returned whatever its size, so that a reply is never empty when the
        block is there.
        """
        blocks: list[SealedBlock] = []
        size = 0
        for height in range(max(first, 1), max(first, 1) + limit):
            block = self.sealed_block(height)
            if block is None:
                break
            size += len(block.body) + len(block.seal.signatures) * (SIGNATURE_BYTES + 8) + 64
            if blocks and size > bytes_max:
                break
            blocks.append(block)
        return tuple(blocks)

    def sealed_block(self, height: int) -> SealedBlock | None:
        """Return the block at `height` with its seal; None for genesis and what is not kept."""
        if self._head is None or not self._first <= height <= self._head[0]:
            return None
        body, seal = self.body(height), self.seal(height)
        if body is None or seal is None:
            raise self._corrupt(f"block {height} or its seal is missing below the head")
        return SealedBlock(height=Height(height), digest=self.digest(height), body=body, seal=seal)

    def digest(self, height: int) -> Digest:
        """Return the hash of the block at `height`, which must be stored."""
        found = self._get(_DIGEST_AT + _HEIGHT.pack(height))
        if found is None:
            raise self._corrupt(f"hash of block {height} is missing below the head")
        return Digest(found)

    # Helpers.

    def _open_history(self) -> History:
        return History(self._db, self._history_blocks, self._get(FIRST_KEY))

    def _get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise self._failure(error) from error
        return value

    def _check_stamps(self, genesis_hash: Digest) -> None:
        version, genesis = self._get(_VERSION_KEY), self._get(_GENESIS_KEY)
        if version is None and genesis is None:
            with self._db.write_batch(sync=True) as batch:
                batch.put(_VERSION_KEY, _HEIGHT.pack(STORAGE_VERSION))
                batch.put(_GENESIS_KEY, genesis_hash)
            return
        if version != _HEIGHT.pack(STORAGE_VERSION):
            found = "none" if version is None else str(int.from_bytes(version, "big"))
            raise StorageError(
                f"{self.path} has storage version {found}, this program reads "
                f"{STORAGE_VERSION}. {_RECOVERY}"
            )
        if genesis != genesis_hash:
            found = "none" if genesis is None else genesis.hex()
            raise StorageError(
                f"{self.path} belongs to the chain with genesis {found}, "
                f"this node's genesis is {genesis_hash.hex()}"
            )

    def _read_head(self) -> tuple[Height, Digest] | None:
        data = self._get(_HEAD_KEY)
        if data is None:
            return None
        if len(data) != _HEIGHT.size + DIGEST_BYTES:
            raise self._corrupt(f"head must be 40 bytes, got {len(data)}")
        return Height(_HEIGHT.unpack(data[: _HEIGHT.size])[0]), Digest(data[_HEIGHT.size :])

    def _read_first(self) -> Height:
        data = self._get(_FIRST_KEY)
        return Height(1 if data is None else self._unpack(_HEIGHT, data)[0])

    def _check_recent(self) -> None:
        """Refuse a gap below the head: LevelDB drops a damaged record of its log silently.

        A block's batch is one record, so its hash is there if and only if all of it is.
        """
        if self._head is None:
            return
        last = self._head[0]
        first = max(0 if self._first == 1 else self._first, last - CHECKED_HEIGHTS + 1)
        start, stop = _DIGEST_AT + _HEIGHT.pack(first), _DIGEST_AT + _HEIGHT.pack(last)
        try:
            keys = self._db.iterator(start=start, stop=stop, include_stop=True, include_value=False)
            found = sum(1 for _ in keys)
        except plyvel.Error as error:
            raise self._failure(error) from error
        if found != last - first + 1:
            raise self._corrupt(f"of the blocks {first}..{last} only {found} are there")
        if self.digest(last) != self._head[1]:
            raise self._corrupt(f"head names another block {last} than is stored")

    def _unpack(self, layout: Struct, data: bytes) -> tuple[int, ...]:
        if len(data) != layout.size:
            raise self._corrupt(f"index entry must be {layout.size} bytes, got {len(data)}")
        return layout.unpack(data)

    def _corrupt(self, what: str) -> CorruptStore:
        return CorruptStore(f"{self.path} is damaged ({what}). {_RECOVERY}")

    def _failure(self, error: Exception) -> StorageError:
        if isinstance(error, plyvel.CorruptionError):
            return self._corrupt(str(error))
        return StorageError(f"{self.path} cannot be used: {error}")


def _open(path: Path) -> plyvel.DB:
    path.mkdir(parents=True, exist_ok=True)
    try:
        return plyvel.DB(
            str(path),
            create_if_missing=True,
            # Not paranoid_checks: they refuse a log whose last, unsynced record is torn, which is
            # what a power cut leaves. Damage elsewhere is found by _check_recent and by the
            # checksums of each read.
            # Tables are mapped into memory: small ones keep what a compaction touches at a time,
            # and so the node's memory under load, small and steady.
            write_buffer_size=2 << 20,
            max_file_size=1 << 20,
            lru_cache_size=8 << 20,
            bloom_filter_bits=10,
        )
    except plyvel.CorruptionError as error:
        raise CorruptStore(f"{path} is damaged ({error}). {_RECOVERY}") from error
    except plyvel.IOError as error:
        if "lock" in str(error).lower():
            raise StoreLocked(f"{path} is in use: is another node running on it?") from None
        raise StorageError(f"{path} cannot be opened: {error}") from error
    except plyvel.Error as error:
        raise StorageError(f"{path} cannot be opened: {error}") from error
