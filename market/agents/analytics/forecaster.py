"""FA, the forecaster: what the household will export or need, from its own past alone.

Load and production of a quarter-hour are each the mean of the same quarter-hour on the last seven
days. What crosses the connection follows by running the battery over the rest of the current
window and the next from its present state. The only input is a history that grows by readings, so
the future cannot be seen.
"""

from collections.abc import Callable, Sequence
from typing import final

from market.agents.analytics.data_reader import DataReader
from market.agents.devices.battery import BatteryStateAgent
from market.agents.devices.readings import QuarterReading

QUARTERS_PER_DAY = 96
DAYS = 7


@final
class Forecaster:
    """Forecasts for quarter-hours that are not read yet."""

    def __init__(self, data: DataReader, battery: BatteryStateAgent) -> None:
        self._data = data
        self._battery = battery

    def load_wh(self, quarter: int) -> int:
        """Consumption expected in `quarter`; 0 without any past day."""
        return self._mean(quarter, lambda reading: reading.load_wh)

    def pv_wh(self, quarter: int) -> int:
        """Production expected in `quarter`; 0 without any past day."""
        return self._mean(quarter, lambda reading: reading.pv_wh)

    def net_wh(self, quarters: Sequence[int]) -> int:
        """Export less import expected over `quarters`, consecutive and not read yet.

        The battery runs from the first quarter-hour that is not read, which may lie before.
        """
        first = min(self._data.next_quarter, quarters[0])
        ahead = range(first, quarters[-1] + 1)
        crossing = self._battery.crossing([self.pv_wh(q) - self.load_wh(q) for q in ahead])
        return sum(crossing[quarters[0] - first :])

    def _mean(self, quarter: int, value: Callable[[QuarterReading], int]) -> int:
        known = self._data.readings
        past = [quarter - day * QUARTERS_PER_DAY for day in range(1, DAYS + 1)]
        values = [value(known[each]) for each in past if 0 <= each < len(known)]
        return sum(values) // len(values) if values else 0
