"""The simulated disk of one instance: a vote log with an unsynced tail, and a block store.

A crash keeps what was synced and any prefix of what was not; blocks are written in atomic
batches, so they are there whole or not at all. A disk that fails can also lose the log, or
turn a bit in it; whoever has such a disk is faulty.
"""

from collections import Counter
from typing import Generic, TypeVar, final

from consensus.sim.faults import LogDamage, LogLoss

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
        self._frames: list[tuple[int, int]] = []
        """Where each write to the log begins and ends."""
        self._damaged_at: int | None = None
        self.is_full = False
        """No write goes through: whoever tries one stops."""
        self.is_unproven = False
        """Whether the log may lack what was promised: it was lost, or has never been told from
        one that was. Durable, as the node's own mark is."""

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
        begin = len(self.log)
        self._frames.append((begin, begin + len(data)))
        self._unsynced += data

    def append_part(self, data: bytes) -> None:
        """Write what there was room for: no whole write, also if it stays."""
        self._unsynced += data

    def sync(self) -> None:
        self._synced += self._unsynced
        self._unsynced = b""

    def rewrite(self, data: bytes) -> None:
        """Replace the log at once (written beside it, synced, renamed)."""
        is_prefix = self.log.startswith(data)
        self._frames = [frame for frame in self._frames if is_prefix and frame[1] <= len(data)]
        if data and not is_prefix:
            self._frames = [(0, len(data))]
        self._synced, self._unsynced, self._damaged_at = data, b"", None

    def lose_log(self) -> None:
        """Forget what was synced; the blocks stay."""
        if self.log:
            self._fired["log_lost"] += 1
        self.rewrite(b"")
        self.is_unproven = True

    def wipe(self) -> None:
        """Forget the chain, too."""
        self._fired["wiped"] += 1
        self.lose_log()
        self.blocks.clear()

    def spoil(self, fault: LogLoss | LogDamage) -> None:
        """Fail, while the process is down."""
        if isinstance(fault, LogDamage):
            self.damage(fault.place_permille, fault.bit)
        elif fault.is_wiped:
            self.wipe()
        else:
            self.lose_log()

    def damage(self, place_permille: int, bit: int) -> None:
        """Turn one bit of the log, once."""
        if not self._synced or self._damaged_at is not None:
            return
        at = len(self._synced) * place_permille // 1000
        turned = bytes([self._synced[at] ^ (1 << bit)])
        self._synced = self._synced[:at] + turned + self._synced[at + 1 :]
        self._damaged_at = at
        self._fired["log_damaged"] += 1

    @property
    def is_damaged(self) -> bool:
        return self._damaged_at is not None

    @property
    def has_hole(self) -> bool:
        """Whether a whole write lies behind the damage: then nothing may be guessed (rule 26)."""
        at = self._damaged_at
        return at is not None and any(
            at < begin < end <= len(self.log) for begin, end in self._frames
        )

    def crash(self, kept_permille: int) -> None:
        """Lose power: of the unsynced tail only a prefix remains."""
        kept = len(self._unsynced) * kept_permille // 1000
        if kept < len(self._unsynced):
            self._fired["lost_unsynced"] += 1
        if 0 < kept < len(self._unsynced):
            self._fired["torn_write"] += 1
        self._synced += self._unsynced[:kept]
        self._unsynced = b""
