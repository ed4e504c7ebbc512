"""The log's file: when it is full it is put aside, and of those put aside the oldest goes."""

import threading
from pathlib import Path
from typing import Final, final

FILE_BYTES_MAX: Final = 16 << 20
"""Of each file: about 50,000 blocks."""
FILES_ASIDE: Final = 3
"""`node.log.1` is the newest of them."""


@final
class LogFile:
    """Lines of text at a path. Any thread may write."""

    def __init__(
        self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, aside: int = FILES_ASIDE
    ) -> None:
        """Go on with the file that is there."""
        self.path = path
        self._bytes_max = bytes_max
        self._aside = aside
        self._lock = threading.Lock()
        self._open()

    def write(self, line: str) -> None:
        """Append a line, which is in the file when this returns; raises OSError."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            if self._bytes and self._bytes + len(data) > self._bytes_max:
                self._turn()
            self._bytes += len(data)
            while data:  # A disk that fills up takes a part before it refuses the rest.
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _turn(self) -> None:
        self._file.close()
        for number in range(self._aside, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self.path
            if older.exists():
                older.replace(self._numbered(number))
        self._open()

    def _open(self) -> None:
        # Without a buffer: what a full disk refuses is not kept to be refused again and again.
        self._file = self.path.open("ab", buffering=0)
        self._bytes = self._file.tell()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
