"""What a household's processes of a testnet tell each other through files.

`meter/profile.json` is the house that the meter simulates; `agent.json` is what the agents are
told; `meter/readings.jsonl` carries finished quarter-hours from the meter to the agents. The
meter appends a line when the quarter-hour is over, so nobody can read ahead.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self, final

from market.agents.devices.readings import QuarterReading
from testnet import strict_json
from testnet.errors import BadFile
from testnet.grid.community import BatterySpec, HouseholdProfile

VERSION = 1
LINE_BYTES_MAX = 1024


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFile:
    """`profile.json`: the simulated house, and where the meter attests.

    The meter steps the house through `history_quarters` at once when it starts; then chain window
    w is quarter-hours history_quarters + 4 * (w - first_window) and the three after it. Before
    `first_window` nothing flows, and the registers stand at 0, except that what the battery
    holds at the start counts as charged.
    """

    household: bytes
    """20 bytes: the member's account."""
    meter_id: str
    rpc_url: str
    """The household's own node."""
    first_window: int
    history_quarters: int
    profile: HouseholdProfile

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        value = {
            "version": VERSION,
            "household": f"0x{self.household.hex()}",
            "meter_id": self.meter_id,
            "rpc_url": self.rpc_url,
            "first_window": self.first_window,
            "history_quarters": self.history_quarters,
            "profile": asdict(self.profile),
        }
        return (json.dumps(value) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, field: str = "profile.json") -> Self:
        """Parse the file; raises BadFile, naming the entry."""
        value = strict_json.parse(data, field)
        strict_json.check_keys(value, ("version", *(f.name for f in fields(cls))), field)
        _check_version(value["version"], field)
        file = cls(
            household=strict_json.hex_bytes(value["household"], f"{field}: household", 20),
            meter_id=strict_json.text(value["meter_id"], f"{field}: meter_id"),
            rpc_url=strict_json.text(value["rpc_url"], f"{field}: rpc_url"),
            first_window=strict_json.integer(value["first_window"], f"{field}: first_window"),
            history_quarters=strict_json.integer(
                value["history_quarters"], f"{field}: history_quarters"
            ),
            profile=_profile(value["profile"], f"{field}: profile"),
        )
        _check_form(file.to_json(), data, field)
        return file

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises BadFile."""
        return cls.from_json(_read(path), path.name)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """`agent.json`: what a household's agents are told; no future in it."""

    household: str
    seed: int
    """Draws reservation prices and nonces; keys never come from it."""
    first_window: int
    history_quarters: int
    battery: BatterySpec | None
    windows: int | None
    """How many windows to trade, from `first_window` on; None for ever."""

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        return strict_json.render({"version": VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, data: bytes, field: str = "agent.json") -> Self:
        """Parse the file; raises BadFile, naming the entry."""
        value = strict_json.parse(data, field)
        strict_json.check_keys(value, ("version", *(f.name for f in fields(cls))), field)
        _check_version(value["version"], field)
        file = cls(
            household=strict_json.text(value["household"], f"{field}: household"),
            seed=strict_json.integer(value["seed"], f"{field}: seed"),
            first_window=strict_json.integer(value["first_window"], f"{field}: first_window"),
            history_quarters=strict_json.integer(
                value["history_quarters"], f"{field}: history_quarters"
            ),
            battery=_battery(value["battery"], f"{field}: battery"),
            windows=(
                None
                if value["windows"] is None
                else strict_json.integer(value["windows"], f"{field}: windows", 1)
            ),
        )
        _check_form(file.to_json(), data, field)
        return file

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises BadFile."""
        return cls.from_json(_read(path), path.name)


def reading_line(reading: QuarterReading) -> bytes:
    """Return the line of `readings.jsonl` for one quarter-hour, with its newline."""
    return (json.dumps(asdict(reading), separators=(",", ":")) + "\n").encode()


def parse_reading(line: bytes) -> QuarterReading:
    """Return the quarter-hour that a line holds; raises BadFile."""
    field = "readings.jsonl"
    if len(line) > LINE_BYTES_MAX:
        raise BadFile(field, f"a line must be at most {LINE_BYTES_MAX} bytes, got {len(line)}")
    value = strict_json.parse(line, field)
    names = tuple(f.name for f in fields(QuarterReading))
    strict_json.check_keys(value, names, field)
    numbers = {name: strict_json.integer(value[name], f"{field}: {name}") for name in names}
    try:
        reading = QuarterReading(**numbers)
    except ValueError as error:
        raise BadFile(field, str(error)) from None
    _check_form(reading_line(reading), line, field)
    return reading


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(str(path), f"cannot be read: {error.strerror}") from None


def _check_version(value: object, field: str) -> None:
    if value != VERSION:
        raise BadFile(f"{field}: version", f"must be {VERSION}, got {value!r}")


def _check_form(written: bytes, data: bytes, field: str) -> None:
    if written != data:
        raise BadFile(field, "is not in the form in which it was written")


def _profile(value: object, field: str) -> HouseholdProfile:
    entry = strict_json.typed(value, dict, field)
    strict_json.check_keys(entry, tuple(f.name for f in fields(HouseholdProfile)), field)
    try:
        return HouseholdProfile(
            name=strict_json.text(entry["name"], f"{field}.name"),
            bus=strict_json.integer(entry["bus"], f"{field}.bus"),
            load_wh=strict_json.integers(entry["load_wh"], f"{field}.load_wh"),
            pv_wh=strict_json.integers(entry["pv_wh"], f"{field}.pv_wh"),
            battery=_battery(entry["battery"], f"{field}.battery"),
        )
    except ValueError as error:
        raise BadFile(field, str(error)) from None


def _battery(value: object, field: str) -> BatterySpec | None:
    if value is None:
        return None
    entry = strict_json.typed(value, dict, field)
    names = tuple(f.name for f in fields(BatterySpec))
    strict_json.check_keys(entry, names, field)
    numbers = {name: strict_json.integer(entry[name], f"{field}.{name}") for name in names}
    try:
        return BatterySpec(**numbers)
    except ValueError as error:
        raise BadFile(field, str(error)) from None
