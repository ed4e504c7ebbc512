"""The simulated disk of one instance: a vote log with an unsynced tail, and a block store.

A crash keeps what was synced and any prefix of what was not; blocks are written in atomic
batches, so they are there whole or not at all.
"""

from collections import Counter
from typing import Generic, TypeVar, final

BlockT = TypeVar("BlockT")


@final
class Disk(Generic[BlockT]):
    """What survives a crash of an instance."""

    def __init__(self, fired: Counter[str]) -> None:
        self._fired = fired
        self._synced = b""
        self._unsynced = b""
        self.blocks: list[BlockT] = []
        """Sealed blocks of heights 1, 2, ...: index is height - 1."""

    @property
    def log(self) -> bytes:
        """All that the process would read back now."""
        return self._synced + self._unsynced

    @property
    def durable_log(self) -> bytes:
        """What a crash cannot take away."""
        return self._synced

    def append(self, data: bytes) -> None:
        """Write to the log; not durable until `sync`."""
        self._unsynced += data

    def sync(self) -> None:
        self._synced += self._unsynced
        self._unsynced = b""

    def rewrite(self, data: bytes) -> None:
        """Replace the log at once (written beside it, synced, renamed)."""
        self._synced, self._unsynced = data, b""

    def crash(self, kept_permille: int) -> None:
        """Lose power: of the unsynced tail only a prefix remains."""
        kept = len(self._unsynced) * kept_permille // 1000
        if kept < len(self._unsynced):
            self._fired["lost_unsynced"] += 1
        if 0 < kept < len(self._unsynced):
            self._fired["torn_write"] += 1
        self._synced += self._unsynced[:kept]
        self._unsynced = b""
