"""Why a node stopped, for whoever asks after it: written where room was kept for it.

A node whose disk is full cannot write a line any more. So a small file is filled with blanks at the
start, and its place is used at the end; `hearth node why` reads it when nobody answers.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Final, final

WORDS_BYTES: Final = 2048
LOW_BYTES: Final = 256 << 20
"""Less room than this on the disk is worth a warning: LevelDB compacts into new files."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_TEXTS: Final = ("No space left on device", "Disk quota exceeded", "File too large")


@final
class LastWords:
    """The file `stopped.txt` of a home."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def reserve(self) -> None:
        """Fill the file with blanks: the node runs, and has nothing to say yet."""
        with contextlib.suppress(OSError):
            self._write(b"")

    def say(self, words: str) -> None:
        """Write down why the node stops, in the room that was kept; nothing if it stopped well."""
        with contextlib.suppress(OSError):
            self._write(words.encode()[:WORDS_BYTES])

    def read(self) -> str:
        """Return what it said last; empty if nothing."""
        try:
            return self.path.read_bytes()[:WORDS_BYTES].decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, data.ljust(WORDS_BYTES), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def stop_reason(error: Exception) -> str:
    """Return in words why a node stops after `error`, and what the household can do."""
    text = str(error) or repr(error)
    cause: BaseException | None = error
    while cause is not None:
        is_full = isinstance(cause, OSError) and cause.errno in _NO_ROOM
        if is_full or any(each in str(cause) for each in _NO_ROOM_TEXTS):
            return (
                f"The disk is full: {text}. Make room where the node's home is, and start the node "
                "again: it goes on where it was, and nothing that it acknowledged is lost."
            )
        cause = cause.__cause__ or cause.__context__
    return f"The node has stopped after an error: {text}. Its log has more."


def free_bytes(path: Path) -> int | None:
    """Return the room that is left on the disk of `path`; None if it cannot be told."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def explain_disk(free: int | None) -> list[str]:
    """Return a warning while room is scarce."""
    if free is None or free >= LOW_BYTES:
        return []
    return [
        f"The disk is nearly full: {free >> 20} MB are left. Make room: a node that cannot write "
        "stops, and votes no more."
    ]
