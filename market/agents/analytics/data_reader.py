"""DRA, the data reader: the household's past and what the chain has shown, which only grow."""

from collections.abc import Sequence
from typing import final

from market.abi import Settled
from market.agents.devices.readings import QuarterReading

SETTLED_KEPT = 24 * 31
"""A month of window totals."""


@final
class DataReader:
    """Readings in order without gaps, and the settled totals of past windows."""

    def __init__(self) -> None:
        self._readings: list[QuarterReading] = []
        self._settled: dict[int, Settled] = {}

    def take(self, reading: QuarterReading) -> bool:
        """Append the next reading; one that is known already, or leaves a gap, is refused."""
        if reading.quarter != self.next_quarter:
            return False
        self._readings.append(reading)
        return True

    def note_settled(self, event: Settled) -> None:
        """Keep a window's totals and prices."""
        self._settled[event.window] = event
        if len(self._settled) > SETTLED_KEPT:
            del self._settled[min(self._settled)]

    @property
    def readings(self) -> Sequence[QuarterReading]:
        """All readings, oldest first; index is the quarter."""
        return self._readings

    @property
    def next_quarter(self) -> int:
        """The quarter-hour that is not read yet: the border between past and future."""
        return len(self._readings)

    def settled(self, window: int) -> Settled | None:
        """Totals and prices of a settled window."""
        return self._settled.get(window)
