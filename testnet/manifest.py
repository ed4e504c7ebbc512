"""`testnet.json`: what a testnet is, written once when it is made.

What runs stands elsewhere (`testnet.processes`).
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self, final

from testnet import strict_json
from testnet.errors import BadFile, TestnetError
from testnet.layout import HOST

VERSION = 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdEntry:
    """One household. Its place is that in the genesis file; consensus orders by node key."""

    name: str
    kind: str
    """Consumer, PV, or PV + battery."""
    account: bytes
    """20 bytes; holds the household's money and energy."""
    meter_account: bytes
    p2p_port: int
    rpc_port: int

    @property
    def rpc_url(self) -> str:
        return f"http://{HOST}:{self.rpc_port}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """An account of the community; its agents use the RPC of the household `via`."""

    name: str
    account: bytes
    via: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the testnet is.

    Chain window w stands for quarter-hours `history_quarters + 4 * (w - first_window)` and the
    three after it of the households' series; what comes before is history, known at the start.
    """

    version: int = VERSION
    day: str
    """ISO date of the series' day that begins with `first_window`."""
    seed: int
    base_port: int
    window_ms: int
    record_ms: int
    genesis_time_ms: int
    first_window: int
    history_quarters: int
    households: tuple[HouseholdEntry, ...]
    services: tuple[ServiceEntry, ...]

    def household(self, wanted: str) -> HouseholdEntry:
        """Return a household by its name or its index; raises TestnetError."""
        for index, entry in enumerate(self.households):
            if wanted in (entry.name, str(index)):
                return entry
        names = ", ".join(entry.name for entry in self.households)
        raise TestnetError(f"no household {wanted!r} in this testnet; there are {names}")

    def window_start_ms(self, window: int) -> int:
        """Return when the delivery of `window` begins, in Unix milliseconds."""
        return self.genesis_time_ms + window * self.window_ms

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        value = asdict(self)
        value["households"] = [_plain(asdict(entry)) for entry in self.households]
        value["services"] = [_plain(asdict(entry)) for entry in self.services]
        return strict_json.render(value)

    @classmethod
    def from_json(cls, data: bytes, field: str = "testnet.json") -> Self:
        """Parse the file; raises BadFile, naming the entry."""
        value = strict_json.parse(data, field)
        strict_json.check_keys(value, tuple(f.name for f in fields(cls)), field)
        if value["version"] != VERSION:
            raise BadFile(f"{field}: version", f"must be {VERSION}: `hearth testnet reset`")
        entries = strict_json.typed(value["households"], list, f"{field}: households")
        services = strict_json.typed(value["services"], list, f"{field}: services")
        numbers = {
            name: strict_json.integer(value[name], f"{field}: {name}")
            for name in (
                "seed",
                "base_port",
                "window_ms",
                "record_ms",
                "genesis_time_ms",
                "first_window",
                "history_quarters",
            )
        }
        manifest = cls(
            day=strict_json.text(value["day"], f"{field}: day"),
            households=tuple(_household(entry, f"{field}: households") for entry in entries),
            services=tuple(_service(entry, f"{field}: services") for entry in services),
            **numbers,
        )
        if manifest.to_json() != data:
            raise BadFile(field, "is not in the form in which it was written")
        return manifest

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises BadFile."""
        try:
            data = path.read_bytes()
        except OSError as error:
            message = f"cannot be read ({error.strerror}): is there a testnet? `hearth testnet up`"
            raise BadFile(str(path), message) from None
        return cls.from_json(data, path.name)


def _plain(entry: dict[str, object]) -> dict[str, object]:
    return {
        key: f"0x{value.hex()}" if isinstance(value, bytes) else value
        for key, value in entry.items()
    }


def _household(value: object, field: str) -> HouseholdEntry:
    entry = strict_json.typed(value, dict, field)
    strict_json.check_keys(entry, tuple(f.name for f in fields(HouseholdEntry)), field)
    return HouseholdEntry(
        name=strict_json.text(entry["name"], f"{field}.name"),
        kind=strict_json.text(entry["kind"], f"{field}.kind"),
        account=strict_json.hex_bytes(entry["account"], f"{field}.account", 20),
        meter_account=strict_json.hex_bytes(entry["meter_account"], f"{field}.meter_account", 20),
        p2p_port=strict_json.integer(entry["p2p_port"], f"{field}.p2p_port", 1, 65_535),
        rpc_port=strict_json.integer(entry["rpc_port"], f"{field}.rpc_port", 1, 65_535),
    )


def _service(value: object, field: str) -> ServiceEntry:
    entry = strict_json.typed(value, dict, field)
    strict_json.check_keys(entry, tuple(f.name for f in fields(ServiceEntry)), field)
    return ServiceEntry(
        name=strict_json.text(entry["name"], f"{field}.name"),
        account=strict_json.hex_bytes(entry["account"], f"{field}.account", 20),
        via=strict_json.text(entry["via"], f"{field}.via"),
    )
