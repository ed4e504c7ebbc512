"""The shipped extract of SimBench, and the tool that makes it anew from the full package.

`python -m testnet.grid.extract OUT.npz` reads grid `1-LV-rural2--2-no_sw` of the `simbench`
package (extra `simbench`) and writes the series and element tables that the demo needs; the file
under `testnet/data` is the result. Data © the SimBench project, Open Database License 1.0 (see
`testnet/data/LICENSE-simbench.md`).

Shapes: `time` holds the label of each quarter-hour of 2016; a series holds one value per
quarter-hour, relative to its element's rated power. A storage element of SimBench is PV and
battery in one that only ever feeds in: its size is the PV's rated power, the PV series is named
in its profile, and its own series is not used; the state of charge is simulated instead.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:  # The processes that only want a profile's shape do without it.
    import numpy as np
    from numpy.typing import NDArray

GRID = "1-LV-rural2--2-no_sw"
SHIPPED = Path(__file__).parents[1] / "data" / "simbench-lv-rural2.npz"
QUARTERS_PER_DAY = 96


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadElement:
    """One household: a load with an H0 series."""

    bus: int
    name: str
    rated_w: float
    series: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PvElement:
    """One generator at a bus."""

    bus: int
    rated_w: float
    series: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StorageElement:
    """One PV system with battery at a bus; `efficiency` holds for each direction."""

    bus: int
    pv_rated_w: float
    pv_series: str
    capacity_wh: float
    power_w: float
    efficiency: float


@final
@dataclass(frozen=True, slots=True)
class Extract:
    """Series and elements of one low-voltage grid over one year."""

    time: tuple[str, ...]
    series: "dict[str, NDArray[np.float64]]"
    loads: tuple[LoadElement, ...]
    generators: tuple[PvElement, ...]
    storages: tuple[StorageElement, ...]

    def first_quarter(self, date: str) -> int:
        """Index of 00:00 of `date` (ISO, for example 2016-05-18).

        Raises:
            ValueError: the date is not one that the series cover.
        """
        try:
            year, month, day = date.split("-")
            return self.time.index(f"{day}.{month}.{year} 00:00")
        except ValueError:
            raise ValueError(
                f"day must be a date of 2016 like 2016-05-18 that the series cover, got {date!r}"
            ) from None


def load_extract(path: Path = SHIPPED) -> Extract:
    """Read an extract from an .npz file."""
    import numpy as np  # noqa: PLC0415  See above.

    with np.load(path, allow_pickle=False) as data:
        tables = json.loads(str(data["tables"]))
        names = [name.removeprefix("series/") for name in data.files if name.startswith("series/")]
        return Extract(
            time=tuple(str(label) for label in data["time"]),
            series={name: data[f"series/{name}"].astype(np.float64) for name in names},
            loads=tuple(LoadElement(**row) for row in tables["loads"]),
            generators=tuple(PvElement(**row) for row in tables["generators"]),
            storages=tuple(StorageElement(**row) for row in tables["storages"]),
        )


def _element_tables(net: Any) -> dict[str, list[dict[str, Any]]]:
    """Household loads, PV and PV-with-battery elements of a SimBench net, as plain rows."""
    households = net.load[net.load.profile.str.startswith("H0-")]
    return {
        "loads": [
            {"bus": int(r.bus), "name": r.name_, "rated_w": r.p_mw * 1e6, "series": r.profile}
            for r in households.rename(columns={"name": "name_"}).itertuples()
        ],
        "generators": [
            {"bus": int(r.bus), "rated_w": r.p_mw * 1e6, "series": r.profile}
            for r in net.sgen.itertuples()
        ],
        "storages": [
            {
                "bus": int(r.bus),
                "pv_rated_w": abs(r.p_mw) * 1e6,
                "pv_series": r.profile.split("_")[1],
                "capacity_wh": r.max_e_mwh * 1e6,
                "power_w": abs(r.min_p_mw) * 1e6,
                "efficiency": float(r.efficiency_percent),
            }
            for r in net.storage.itertuples()
        ],
    }


def make_extract(out: Path) -> None:
    """Write the extract of `GRID` from the installed `simbench` package to `out`."""
    import numpy as np  # noqa: PLC0415  See above.
    import simbench  # noqa: PLC0415  The full package is needed only here.

    net = simbench.get_simbench_net(GRID)
    tables = _element_tables(net)
    arrays: dict[str, Any] = {
        "time": np.array(list(net.profiles["load"].time)),
        "tables": np.array(json.dumps(tables)),
    }
    for name in sorted({row["series"] for row in tables["loads"]}):
        arrays[f"series/{name}"] = net.profiles["load"][f"{name}_pload"].to_numpy()
    pv = {row["series"] for row in tables["generators"]}
    pv |= {row["pv_series"] for row in tables["storages"]}
    for name in sorted(pv):
        arrays[f"series/{name}"] = net.profiles["renewables"][name].to_numpy()
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    make_extract(Path(sys.argv[1]))
