"""A database in memory with plyvel's interface, as far as the chain store uses it, and an undo log.

A mark costs nothing to take; going back to it costs as much as was written since. Keys are sorted
when somebody iterates over their first byte, not at each write.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, final


@final
class MemoryDb:
    """Keys and values are bytes; a key has at least one byte."""

    def __init__(self, rows: Mapping[bytes, bytes] | None = None) -> None:
        self._rows: dict[int, dict[bytes, bytes]] = {}  # By first byte.
        self._sorted: dict[int, list[bytes]] = {}
        self._undo: list[tuple[bytes, bytes | None]] = []
        self._marks = 0
        for key, value in (rows or {}).items():
            self._put(key, value)

    # plyvel's interface.

    def get(self, key: bytes, *, verify_checksums: bool = False) -> bytes | None:
        """Return the value of `key`, or None."""
        del verify_checksums
        rows = self._rows.get(key[0])
        return None if rows is None else rows.get(key)

    def write_batch(self, *, sync: bool = False, transaction: bool = False) -> "Batch":
        """Return a batch; nothing is written if its `with` block ends with an error."""
        del sync, transaction  # It is always one, and never torn.
        return Batch(self)

    def iterator(
        self,
        *,
        start: bytes,
        stop: bytes,
        include_stop: bool = False,
        include_key: bool = True,
        include_value: bool = True,
        verify_checksums: bool = False,
    ) -> "Rows":
        """Return the rows of start..stop in the order of their keys, as they are now."""
        del verify_checksums
        found = self._range(start, stop, include_stop=include_stop)
        if not include_value:
            return Rows(iter([key for key, _ in found]))
        if not include_key:
            return Rows(iter([value for _, value in found]))
        return Rows(iter(found))

    def close(self) -> None:
        """Do nothing: the owner may go on."""

    # Going back.

    def mark(self) -> int:
        """Return a mark for `revert`; from now on what is written can be undone."""
        self._marks += 1
        return len(self._undo)

    def revert(self, mark: int) -> None:
        """Undo all that was written since the mark was taken; the mark stays valid."""
        while len(self._undo) > mark:
            key, value = self._undo.pop()
            if value is None:
                self._remove(key)
            else:
                self._put(key, value)

    def release(self) -> None:
        """Give one mark back; without any, nothing needs to be remembered."""
        self._marks -= 1
        if not self._marks:
            self._undo.clear()

    def replace(self, rows: Mapping[bytes, bytes]) -> None:
        """Hold `rows` and nothing else; every mark is void."""
        self._marks = 0
        for held in (self._rows, self._sorted):
            held.clear()
        self._undo.clear()
        for key, value in rows.items():
            self._put(key, value)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows, ascending by key."""
        for first in sorted(self._rows):
            rows = self._rows[first]
            yield from ((key, rows[key]) for key in sorted(rows))

    def write(self, changes: list[tuple[bytes, bytes | None]]) -> None:
        """Write a batch; None deletes."""
        for key, value in changes:
            if self._marks:
                self._undo.append((key, self.get(key)))
            if value is None:
                self._remove(key)
            else:
                self._put(key, value)

    def _put(self, key: bytes, value: bytes) -> None:
        rows = self._rows.setdefault(key[0], {})
        if key not in rows:
            self._sorted.pop(key[0], None)
        rows[key] = value

    def _remove(self, key: bytes) -> None:
        rows = self._rows.get(key[0], {})
        if rows.pop(key, None) is not None:
            self._sorted.pop(key[0], None)

    def _range(self, start: bytes, stop: bytes, *, include_stop: bool) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for first in sorted(self._rows):
            if not start[:1] <= bytes((first,)) <= stop[:1]:
                continue
            rows = self._rows[first]
            keys = self._sorted.get(first)
            if keys is None:
                keys = self._sorted[first] = sorted(rows)
            end = bisect_right(keys, stop) if include_stop else bisect_left(keys, stop)
            found += [(key, rows[key]) for key in keys[bisect_left(keys, start) : end]]
        return found


@final
class Batch:
    """Changes that are written together when the `with` block ends well."""

    def __init__(self, db: MemoryDb) -> None:
        self._db = db
        self._changes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes, /) -> None:
        """Set a key."""
        self._changes.append((key, value))

    def delete(self, key: bytes, /) -> None:
        """Remove a key."""
        self._changes.append((key, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._db.write(self._changes)


@final
class Rows:
    """An iterator that can stand in a `with` statement, as plyvel's."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
