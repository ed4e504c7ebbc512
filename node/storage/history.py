"""The state of the recent past: for each block, the values that its changes replaced.

A row says what a key held before the block at some height. The state at a height is then the
head's, but for keys that have a row above that height: the lowest such row holds the value. So
nothing is built or cached to read old state, and a read costs the same whatever lies between.

Rows are grouped into generations of `GENERATION` heights, which die as a whole. That keeps the
tombstones of removed rows out of the ranges that are searched: LevelDB steps over each of them.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol, final

import plyvel

HISTORY_BLOCKS: Final = 256
"""Blocks below the head whose state can be read, unless the household chooses otherwise."""
GENERATION: Final = 256
"""Heights whose rows lie together; a search looks into each generation above its height."""
SWEEP_MIN: Final = 64
"""Dead rows that a block removes beside twice as many as it adds: the sweep always catches up."""

FIRST_KEY: Final = b"!history"
"""Holds the lowest height from which on all rows are there, u64."""
_ROW: Final = b"u"
_HEIGHT: Final = Struct(">Q")
_GENERATION: Final = Struct(">I")
_LENGTH: Final = Struct(">H")
_LAST: Final = b"\xff" * 8


class Batch(Protocol):
    """LevelDB's write batch."""

    def put(self, key: bytes, value: bytes, /) -> None: ...
    def delete(self, key: bytes, /) -> None: ...


@final
class History:
    """The rows of one database. The caller writes the batches and knows the head."""

    def __init__(self, db: plyvel.DB, keep: int, stored: bytes | None) -> None:
        """Go on where the last process stopped.

        Args:
            db: open; raises its own errors.
            keep: blocks below the head whose state can be read; 0 keeps no rows.
            stored: value of FIRST_KEY.
        """
        self._db = db
        self._keep = keep
        self._first = None if stored is None else int.from_bytes(stored, "big")
        self._swept = _ROW  # No row lies below.

    def oldest(self, head: int) -> int:
        """Return the lowest height whose state can be read."""
        if self._first is None:
            return head
        return max(self._first - 1, head - self._keep)

    def write(self, batch: Batch, height: int, replaced: list[tuple[bytes, bytes | None]]) -> None:
        """Add the rows of the block at `height` to its batch, and remove some that nobody needs.

        Args:
            batch: of the block; if it fails, this object must not be used again.
            height: above 0.
            replaced: each changed key with the value before the block.
        """
        if self._keep:
            group = _ROW + _GENERATION.pack(height // GENERATION)
            tail = _HEIGHT.pack(height)
            for key, value in replaced:
                batch.put(group + _LENGTH.pack(len(key)) + key + tail, value or b"")
        self._move(batch, height)
        self._sweep(batch, SWEEP_MIN + 2 * len(replaced))

    def _move(self, batch: Batch, height: int) -> None:
        """Let `_first` follow the head at `height`, generation by generation."""
        if not self._keep:
            if self._first is not None:
                batch.delete(FIRST_KEY)
            self._first = None
            return
        first = height if self._first is None else self._first
        needed = (height - self._keep + 1) // GENERATION * GENERATION
        first = max(first, needed)
        if first != self._first:
            batch.put(FIRST_KEY, _HEIGHT.pack(first))
            self._first = first

    def _sweep(self, batch: Batch, limit: int) -> None:
        """Remove at most `limit` rows of dead generations."""
        alive = None if self._first is None else self._first // GENERATION
        stop = _ROW + (_LAST if alive is None else _GENERATION.pack(alive))
        if self._swept >= stop:
            return
        with self._db.iterator(start=self._swept, stop=stop, include_value=False) as keys:
            for _ in range(limit):
                key = next(keys, None)
                if key is None:
                    self._swept = stop
                    return
                batch.delete(key)
                self._swept = key

    def replaced_after(self, key: bytes, height: int, head: int) -> tuple[bool, bytes | None]:
        """Return whether `key` changed above `height`, and its value at `height` if so."""
        middle = _LENGTH.pack(len(key)) + key
        for generation in range((height + 1) // GENERATION, head // GENERATION + 1):
            start = _ROW + _GENERATION.pack(generation) + middle
            with self._db.iterator(
                start=start + _HEIGHT.pack(height + 1),
                stop=start + _LAST,
                include_stop=True,
                include_key=False,
                verify_checksums=True,
            ) as rows:
                value: bytes | None = next(rows, None)
            if value is not None:
                return True, value or None
        return False, None


@final
class PastState:
    """The state after the block at one height (`vm.state.StateReader`); it does not move.

    A read raises HistoryUnavailable once the head has left the height too far behind.
    """

    __slots__ = ("_height", "_read")

    def __init__(self, height: int, read: Callable[[bytes, int], bytes | None]) -> None:
        self._height = height
        self._read = read

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at this height, or None."""
        return self._read(key, self._height)
