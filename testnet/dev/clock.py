"""The clock of a chain for developers: it runs by itself, and moves when it is told to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from testnet.dev.errors import DevRefusal

MILLISECOND_MAX = 2**53
"""Beyond, JavaScript reads times inexactly."""


@final
@dataclass(frozen=True, slots=True)
class ClockState:
    """A moment of the clock."""

    reading_ms: int
    next_ms: int | None


@final
class VirtualClock:
    """Unix milliseconds: what a source counts, moved by an offset.

    The next block's time may be set apart from it; once that block is sealed the clock goes on
    from there.
    """

    def __init__(self, start_ms: int, source: Callable[[], int]) -> None:
        """Begin at `start_ms`; `source` counts milliseconds from anywhere, or stands still."""
        self._source = source
        self._offset = start_ms - source()
        self._moved_ms = 0
        self.next_ms: int | None = None
        """Time of the next block, if somebody has chosen one."""

    @property
    def reading_ms(self) -> int:
        """What the clock shows."""
        return self._source() + self._offset

    @property
    def moved_ms(self) -> int:
        """How far `advance` has moved it, in all."""
        return self._moved_ms

    def now_ms(self) -> int:
        """Return the time that a block made now has."""
        return self.reading_ms if self.next_ms is None else self.next_ms

    def advance(self, milliseconds: int) -> None:
        """Move on. Raises DevRefusal."""
        _check(self.reading_ms + milliseconds)
        self._offset += milliseconds
        self._moved_ms += milliseconds

    def set(self, time_ms: int) -> None:
        """Show `time_ms` and go on from there. Raises DevRefusal."""
        _check(time_ms)
        self._offset = time_ms - self._source()

    def set_next(self, time_ms: int) -> None:
        """Choose the time of the next block. Raises DevRefusal."""
        _check(time_ms)
        self.next_ms = time_ms

    def on_block(self, time_ms: int) -> None:
        """A block is sealed: a chosen time is used up, and the clock is not behind the head."""
        if self.next_ms is not None or self.reading_ms < time_ms:
            self.set(time_ms)
        self.next_ms = None

    def capture(self) -> ClockState:
        """Return the moment."""
        return ClockState(self.reading_ms, self.next_ms)

    def restore(self, state: ClockState) -> None:
        """Go back to a moment, and on from there: what passed since has not."""
        self.set(state.reading_ms)
        self.next_ms = state.next_ms


def _check(time_ms: int) -> None:
    if not 0 <= time_ms < MILLISECOND_MAX:
        raise DevRefusal(f"time must lie in 0..2**53 ms, got {time_ms}")
