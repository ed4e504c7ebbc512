"""The replicated key-value state as a block sees it: reads through, writes that can be undone."""

from typing import Protocol, TypeAlias, final

Changes: TypeAlias = "list[tuple[bytes, bytes | None]]"
"""Net changes of a block, ascending by key; None deletes."""

_UNWRITTEN = b""
"""In the undo log: the key was not written before. No write holds an empty value."""


class StateReader(Protocol):
    """The state after some block, read-only: LevelDB in a node, a dict in tests."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value of `key`, or None; never an empty value."""


@final
class Journal:
    """Changes over a read-only base with an undo log: a snapshot is the log's length.

    One flat dict and one list, rather than a dict for each frame, so that a read costs the same
    at any call depth and undoing costs as much as was done. Empty values do not exist: writing
    one deletes the key, so that absence has one form.

    Attributes:
        writes: what `put` set and is not undone, for a look without a call; only `put` and `revert`
            may change it.
    """

    __slots__ = ("_base", "_cache", "_undo", "writes")

    def __init__(self, base: StateReader) -> None:
        self._base = base
        self._cache: dict[bytes, bytes | None] = {}  # What the base holds, for keys read so far.
        self.writes: dict[bytes, bytes | None] = {}
        self._undo: list[tuple[bytes, bytes | None]] = []  # Key, old write or `_UNWRITTEN`.

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` as changed so far, or None."""
        writes = self.writes
        if key in writes:
            return writes[key]
        return self.read(key)

    def read(self, key: bytes) -> bytes | None:
        """Return what the base holds under `key`, whatever was written since."""
        cache = self._cache
        if key in cache:
            return cache[key]
        value = cache[key] = self._base.get(key)
        return value

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set `key`; None or an empty value deletes it."""
        writes = self.writes
        self._undo.append((key, writes.get(key, _UNWRITTEN)))
        writes[key] = value or None

    def snapshot(self) -> int:
        """Return a mark to which `revert` can go back, until an earlier mark is reverted to."""
        return len(self._undo)

    def revert(self, mark: int) -> None:
        """Undo every `put` since the mark was taken."""
        undo, writes = self._undo, self.writes
        assert 0 <= mark <= len(undo), f"mark {mark} lies beyond the log of {len(undo)}"
        while len(undo) > mark:
            key, old = undo.pop()
            if old == _UNWRITTEN:
                del writes[key]
            else:
                writes[key] = old

    def changes(self) -> Changes:
        """Return the net changes over the base, ascending by key."""
        writes = self.writes
        return [(key, writes[key]) for key in sorted(writes) if writes[key] != self.read(key)]
