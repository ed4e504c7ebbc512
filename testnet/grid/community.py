"""Communities of households cut out of the grid extract: who lives where, with which series.

The first eight are the demo's: PV at buses 39 and 83, PV with battery at 12 and 47, consumers at
86, 37, 16 and 34, interleaved so that the first n make a market too. Further households are drawn
from a seed among the other household loads of the grid. Energies are whole watt-hours a
quarter-hour, rounded on the running sum so that no energy is lost to rounding.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar, final

from testnet.grid.extract import (
    QUARTERS_PER_DAY,
    Extract,
    LoadElement,
    PvElement,
    StorageElement,
    load_extract,
)

DEMO_DAY = "2016-05-18"
DEMO_LOADS = (
    (39, "H0-A"),
    (86, "H0-A"),
    (12, "H0-A"),
    (37, "H0-B"),
    (83, "H0-A"),
    (16, "H0-C"),
    (47, "H0-B"),
    (34, "H0-G"),
)
"""(bus, series) of the demo's loads; the first load of that series where a bus has several."""
HISTORY_DAYS = 7
"""Days before the day itself that agents know at the start."""
DAYS_AFTER = 2
"""Days kept behind the day, for the windows in which it is settled and for longer runs."""
HOUSEHOLDS_MIN = 4
HOUSEHOLDS_MAX = 64

_Element = TypeVar("_Element", PvElement, StorageElement)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySpec:
    """A home battery. `efficiency_ppm` holds in each direction (950,000 is 95 %)."""

    capacity_wh: int
    power_w: int
    efficiency_ppm: int

    def __post_init__(self) -> None:
        if self.capacity_wh <= 0 or self.power_w <= 0:
            raise ValueError("capacity_wh and power_w must be positive")
        if not 0 < self.efficiency_ppm <= 1_000_000:
            raise ValueError(f"efficiency_ppm must be in 1..1000000, got {self.efficiency_ppm}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdProfile:
    """One household's physical day: Wh per quarter-hour, history first, then the day."""

    name: str
    bus: int
    load_wh: tuple[int, ...]
    pv_wh: tuple[int, ...]
    battery: BatterySpec | None

    def __post_init__(self) -> None:
        if len(self.load_wh) != len(self.pv_wh):
            raise ValueError(f"{self.name}: load_wh and pv_wh differ in length")
        if min(self.load_wh, default=0) < 0 or min(self.pv_wh, default=0) < 0:
            raise ValueError(f"{self.name}: energies must not be negative")

    @property
    def kind(self) -> str:
        """What the household is, for tables: consumer, PV or PV with battery."""
        if self.battery is not None:
            return "PV + battery"
        return "PV" if any(self.pv_wh) else "consumer"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Community:
    """Households of one run. Quarter-hour `history_quarters` is 00:00 of `day`."""

    day: str
    households: tuple[HouseholdProfile, ...]
    history_quarters: int = HISTORY_DAYS * QUARTERS_PER_DAY


def demo_community(households: int = 8, day: str = DEMO_DAY, seed: int = 0) -> Community:
    """Return `households` households on `day` (ISO date of 2016, from 8 January on).

    Raises:
        ValueError: too few, too many, or a day whose history or follow-up the series lack.
    """
    if not HOUSEHOLDS_MIN <= households <= HOUSEHOLDS_MAX:
        raise ValueError(
            f"households must be {HOUSEHOLDS_MIN} to {HOUSEHOLDS_MAX}, got {households}"
        )
    extract = load_extract()
    start = extract.first_quarter(day) - HISTORY_DAYS * QUARTERS_PER_DAY
    end = start + (HISTORY_DAYS + 1 + DAYS_AFTER) * QUARTERS_PER_DAY
    if start < 0 or end > len(extract.time):
        raise ValueError(
            f"day must have {HISTORY_DAYS} days before and {DAYS_AFTER} after it, got {day}"
        )
    chosen = _choose_loads(extract, households, seed)
    taken: list[str] = []
    profiles = []
    for load in chosen:
        name = f"h{load.bus}" + "b" * sum(t.rstrip("b") == f"h{load.bus}" for t in taken)
        first_at_bus = name == f"h{load.bus}"
        taken.append(name)
        profiles.append(_profile(extract, load, name, start, end, with_devices=first_at_bus))
    return Community(day=day, households=tuple(profiles))


def _choose_loads(extract: Extract, households: int, seed: int) -> list[LoadElement]:
    demo = [
        next(load for load in extract.loads if (load.bus, load.series) == wanted)
        for wanted in DEMO_LOADS
    ]
    others = [load for load in extract.loads if load not in demo]
    random.Random(f"community/{seed}").shuffle(others)
    return (demo + others)[:households]


def _profile(
    extract: Extract, load: LoadElement, name: str, start: int, end: int, *, with_devices: bool
) -> HouseholdProfile:
    """Cut one household out of the series; only the first at a bus owns the bus's devices."""
    generator = _at_bus(extract.generators, load.bus) if with_devices else None
    storage = _at_bus(extract.storages, load.bus) if with_devices else None
    length = end - start
    pv_wh = (0,) * length
    battery = None
    if storage is not None:
        pv_wh = _whole_wh(extract, storage.pv_series, storage.pv_rated_w, start, end)
        battery = BatterySpec(
            capacity_wh=round(storage.capacity_wh),
            power_w=round(storage.power_w),
            efficiency_ppm=round(storage.efficiency * 1_000_000),
        )
    elif generator is not None:
        pv_wh = _whole_wh(extract, generator.series, generator.rated_w, start, end)
    load_wh = _whole_wh(extract, load.series, load.rated_w, start, end)
    return HouseholdProfile(name=name, bus=load.bus, load_wh=load_wh, pv_wh=pv_wh, battery=battery)


def _at_bus(elements: Iterable[_Element], bus: int) -> _Element | None:
    return next((element for element in elements if element.bus == bus), None)


def _whole_wh(
    extract: Extract, series: str, rated_w: float, start: int, end: int
) -> tuple[int, ...]:
    """Watt-hours per quarter-hour, rounded on the running sum."""
    register = 0.0
    whole = 0
    out = []
    for value in extract.series[series][start:end]:
        register += max(0.0, float(value)) * rated_w / 4
        out.append(round(register) - whole)
        whole = round(register)
    return tuple(out)
