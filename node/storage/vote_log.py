"""The vote log on disk: written and synced before a promise leaves the node (rules 23 and 26).

The format is `consensus.vote_log`'s; this is the file around it. What is appended is written by
`sync`, as one frame: so only the last frame can ever be torn. The file is filled with zeros ahead
of the frames, because a sync of data inside a file that does not grow need not write the file's
size as well; docs/spec/storage.md has what that was measured to save.

A failed write or sync stops the node for good: after a failed fsync nobody knows what the disk
holds, and trying again may report success for pages that the kernel has dropped.
"""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import final

from consensus.errors import CorruptLog
from consensus.vote_log import Record, compact, encode_frame, replay
from node.errors import CorruptStore, StorageError

REWRITE_BYTES = 8 << 20
"""Length above which void records are dropped by a rewrite: once in hundreds of blocks."""
LOG_BYTES_MAX = 64 << 20
"""A larger file is refused at start: what binds at any moment fits into it many times."""
RESERVE_BYTES = 1 << 20
"""Zeros that are written ahead at a time."""
_MARGIN_BYTES = 4096
"""Zeros kept behind the last other byte when the file is read: no record ends in so many."""


def begin_log(path: Path) -> None:
    """Make the log of a key that was made just now, and so has promised nothing to anybody.

    Such a log is whole from its first day, where one that appears later may replace one that
    was lost. Call it after the key is written: if the power fails between, the log is unproven.
    A log that is there already stays what it is.

    Raises:
        StorageError: the disk fails.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        _sync_folder(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error}") from error


def distrust_log(path: Path) -> None:
    """Note that a key has come here which may have promised more than the log says, or will say.

    Raises:
        StorageError: the disk fails.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _mark_of(path).touch()
        _sync_folder(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error}") from error


@final
class VoteLogFile:
    """The log of one node; `records` are those that still bind it."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, replay it and cut off a torn tail.

        Raises:
            CorruptStore: damage before the tail: what this node has promised is unknown.
            StorageError: the disk fails.
        """
        self._path = path
        self._mark = _mark_of(path)
        self._pending: list[tuple[Record, ...]] = []
        self._compact: Callable[[Iterable[Record]], tuple[Record, ...]] | None = None
        """Set by `advance`: without the head nobody can say which records are void."""
        self._rewrite_above = REWRITE_BYTES
        self.records: tuple[Record, ...] = ()
        try:
            is_new = not path.exists()
            if is_new:
                self._mark.touch()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if is_new:
                _sync_folder(path)
            self._size = self._recover()
            self._reserved = self._size
        except OSError as error:
            raise StorageError(f"{path} cannot be opened: {error}") from error

    @property
    def size(self) -> int:
        """Bytes of frames in the file; zeros follow."""
        return self._size

    @property
    def is_unproven(self) -> bool:
        """Whether this key may have promised more than is in here.

        So it is from when the file is made, which may be because it was lost, until the node
        has found out what its votes are worth. It outlives restarts.
        """
        return self._mark.exists()

    def prove(self, *, is_proven: bool) -> None:
        """Note, durably, whether the log is known to be whole. Raises StorageError."""
        try:
            if is_proven:
                self._mark.unlink(missing_ok=True)
            else:
                self._mark.touch()
            _sync_folder(self._path)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, records: tuple[Record, ...]) -> None:
        """Take records; `sync` writes them, and must return before what they promise is sent."""
        self._pending.append(records)
        self.records += records

    def sync(self) -> None:
        """Write what was appended; when this returns it survives a power cut.

        Raises:
            StorageError: the disk fails; stop the node.
        """
        groups, self._pending = self._pending, []
        if not groups:
            return
        try:
            frame = encode_frame(tuple(r for group in groups for r in group), self._size)
        except ValueError:  # Too much for one frame, so one at a time.
            for group in groups:
                self._write(encode_frame(group, self._size))
        else:
            self._write(frame)
        if self._size > self._rewrite_above and self._compact is not None:
            # Views that fail at one height add records, and no block comes to make them void.
            self.records = self._compact(self.records)
            self._rewrite()

    def _write(self, frame: bytes) -> None:
        try:
            end = self._size + len(frame)
            if end > self._reserved:
                self._reserved = end + RESERVE_BYTES
                _write_all(self._file, frame + bytes(RESERVE_BYTES), self._size)
            else:
                _write_all(self._file, frame, self._size)
            os.fdatasync(self._file)
        except OSError as error:
            raise self._failure(error) from error
        self._size = end

    def advance(self, *, epoch: int, term: int, height: int) -> None:
        """Forget what no longer binds once the block at `height` is durable.

        `epoch` and `term` are those of `height` + 1. The file shrinks by a rewrite, seldom. Call
        it once at the start, too: until then nothing can be dropped.
        """
        self._compact = partial(compact, epoch=epoch, term=term, height=height)
        self.records = self._compact(self.records)
        if self._size > self._rewrite_above:
            self._rewrite()

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _recover(self) -> int:
        size = os.fstat(self._file).st_size
        if size > LOG_BYTES_MAX:
            raise CorruptStore(f"{self._path} must be at most {LOG_BYTES_MAX} bytes, got {size}")
        data = self._path.read_bytes()
        used = len(data.rstrip(b"\0"))
        try:
            found = replay(data[: used + _MARGIN_BYTES])
        except CorruptLog as error:
            raise CorruptStore(
                f"{self._path} is damaged: {error}. This node no longer knows what it has "
                "promised, and must not vote: restore the file from the very same disk, or let "
                "the members admit this household anew under another node key."
            ) from error
        if found.valid_bytes < size:
            os.ftruncate(self._file, found.valid_bytes)
            os.fsync(self._file)
        self.records = found.records
        return found.valid_bytes

    def _rewrite(self) -> None:
        """Replace the file by one with the binding records alone; a crash leaves old or new."""
        assert not self._pending, "sync comes before advance"
        fresh = self._path.with_name(self._path.name + ".new")
        frames = b""
        for record in self.records:
            frames += encode_frame((record,), len(frames))
        try:
            file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            _write_all(file, frames + bytes(RESERVE_BYTES), 0)
            os.fsync(file)
            fresh.replace(self._path)
            _sync_folder(self._path)
        except OSError as error:
            raise self._failure(error) from error
        os.close(self._file)
        self._file, self._size = file, len(frames)
        self._reserved = self._size + RESERVE_BYTES
        # Where what binds is large itself, not a rewrite for each record that follows.
        self._rewrite_above = max(REWRITE_BYTES, 2 * self._size)

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path} cannot be written: {error}; the node must stop")


def _mark_of(path: Path) -> Path:
    return path.with_name(path.name + ".unproven")


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(path: Path) -> None:
    """Make the file's name durable: without it a synced file may be gone after a power cut."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
