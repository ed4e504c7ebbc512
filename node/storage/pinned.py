"""The state at one height, held while the chain goes on, and read in chunks."""

from typing import Final, final

import plyvel

from node.storage.rows import NODE_PREFIX, STATE_PREFIX, read_state_row

_LAST: Final = b"\xff" * 33


@final
class PinnedState:
    """State and tree as they were when it was made. Close it, or the database keeps old rows."""

    def __init__(self, db: plyvel.DB) -> None:
        self._snapshot = db.snapshot()

    def node(self, path: bytes) -> bytes | None:
        """Return a node of the state tree, or None."""
        found: bytes | None = self._snapshot.get(NODE_PREFIX + path, verify_checksums=True)
        return found

    def entries(self, chunk: int) -> list[tuple[bytes, bytes]]:
        """Return key and value of all keys whose hash begins with this byte, by their hash."""
        start = STATE_PREFIX + bytes((chunk,))
        with self._snapshot.iterator(
            start=start, stop=start + _LAST, include_key=False, verify_checksums=True
        ) as rows:
            return [read_state_row(row) for row in rows]

    def close(self) -> None:
        """Let go of the old rows."""
        self._snapshot.close()
