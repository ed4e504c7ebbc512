"""BSA, the battery's agent: what it holds, what it can take and give, what a plan does to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from market.agents.devices.readings import QuarterReading

_PPM = 1_000_000
QUARTERS_PER_HOUR = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryModel:
    """Nameplate of a home battery that serves the household's own consumption first.

    `efficiency_ppm` holds in each direction. Integers, rounded so that the battery never gives
    more than it holds.
    """

    capacity_wh: int
    power_w: int
    efficiency_ppm: int

    def __post_init__(self) -> None:
        if self.capacity_wh <= 0 or self.power_w <= 0:
            raise ValueError("capacity_wh and power_w must be positive")
        if not 0 < self.efficiency_ppm <= _PPM:
            raise ValueError(f"efficiency_ppm must be in 1..{_PPM}, got {self.efficiency_ppm}")

    def charge(self, soc_wh: int, surplus_wh: int) -> tuple[int, int]:
        """Return (taken, state of charge after) for one quarter-hour."""
        room = (self.capacity_wh - soc_wh) * _PPM // self.efficiency_ppm
        taken = max(0, min(surplus_wh, self.power_w // QUARTERS_PER_HOUR, room))
        return taken, soc_wh + taken * self.efficiency_ppm // _PPM

    def discharge(self, soc_wh: int, deficit_wh: int) -> tuple[int, int]:
        """Return (given, state of charge after) for one quarter-hour."""
        available = soc_wh * self.efficiency_ppm // _PPM
        given = min(deficit_wh, self.power_w // QUARTERS_PER_HOUR, available)
        return given, soc_wh - -(-given * _PPM // self.efficiency_ppm)

    def crossing(self, soc_wh: int, nets_wh: Sequence[int]) -> tuple[list[int], int]:
        """Return what crosses the connection in each quarter-hour, and the final state of charge.

        Args:
            soc_wh: state of charge before the first.
            nets_wh: production less consumption of each quarter-hour; so is the result.
        """
        crossing = []
        for net in nets_wh:
            if net > 0:
                moved, soc_wh = self.charge(soc_wh, net)
                crossing.append(net - moved)
            else:
                moved, soc_wh = self.discharge(soc_wh, -net)
                crossing.append(net + moved)
        return crossing, soc_wh


@final
class BatteryStateAgent:
    """Follows the battery through its readings."""

    def __init__(self, model: BatteryModel | None) -> None:
        self.model = model
        self.soc_wh = 0

    def take(self, reading: QuarterReading) -> None:
        """Learn the state of charge at the end of a quarter-hour."""
        self.soc_wh = reading.soc_wh

    def capability_wh(self) -> tuple[int, int]:
        """Return (can take, can give) in the next quarter-hour; zeros without a battery."""
        if self.model is None:
            return 0, 0
        most = self.model.power_w
        return self.model.charge(self.soc_wh, most)[0], self.model.discharge(self.soc_wh, most)[0]

    def crossing(self, nets_wh: Sequence[int]) -> list[int]:
        """Return what crosses the connection if production less consumption is `nets_wh`."""
        if self.model is None:
            return list(nets_wh)
        return self.model.crossing(self.soc_wh, nets_wh)[0]
