"""When the power of one instance fails."""

from typing import final

from consensus.events import Effect, Persist
from consensus.sim.faults import Crash


@final
class Fuse:
    """Counts effects, or writes to the vote log only, until the one in which the power fails."""

    __slots__ = ("_crash", "_left")

    def __init__(self, crash: Crash | None) -> None:
        """`crash`: what is to happen; None lets the power be."""
        self._crash = crash
        self._left = 0 if crash is None else crash.effects

    @property
    def kept_permille(self) -> int:
        """Share of an unsynced write that is on the disk afterwards."""
        return 0 if self._crash is None else self._crash.kept_permille

    def burns_at(self, effect: Effect) -> bool:
        """Whether the power fails before `effect` is done; counts it."""
        if self._crash is None:
            return False
        if isinstance(effect, Persist) or not self._crash.is_at_write:
            self._left -= 1
        return self._left <= 0
