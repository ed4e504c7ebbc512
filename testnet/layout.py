"""Where the files of a testnet lie, and which ports its processes listen on.

ROOT/NAME/
  testnet.json     what the testnet is (`testnet.manifest`)
  processes.json   what runs (`testnet.processes`)
  genesis.json     bank.json
  logs/            standard output and errors of each process
  HOUSEHOLD/       home of a node: genesis.json, node.toml, household.keys, password, rpc.token,
                   data/, node.log; and for the household's agents: agent.json, agent.log
    meter/         meter.keys, password, profile.json; written by the meter while it runs:
                   readings.jsonl, records.ocmf
  services/SERVICE/  household.keys, password of an account of the community

ROOT is `.hearth/testnet` under the working directory unless told otherwise.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

from testnet.errors import TestnetError

ROOT = Path(".hearth") / "testnet"
DEFAULT_NAME = "default"
BASE_PORT = 26_600
"""p2p of household i; its RPC is at 8545 + i, or for another base B at B + 100 + i."""
RPC_BASE_PORT = 8_545
RPC_OFFSET = 100
HOST = "127.0.0.1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@final
@dataclass(frozen=True, slots=True)
class MeterLayout:
    """The folder of one household's meter, which the node never opens."""

    home: Path

    @property
    def keys(self) -> Path:
        return self.home / "meter.keys"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @property
    def profile(self) -> Path:
        """The simulated house (`testnet.home_files.MeterFile`).

        Only the meter opens it: it holds the future.
        """
        return self.home / "profile.json"

    @property
    def readings(self) -> Path:
        """One JSON line a finished quarter-hour (`testnet.home_files.reading_line`).

        History comes first. The meter appends, the household's agents follow.
        """
        return self.home / "readings.jsonl"

    @property
    def records(self) -> Path:
        """Signed record chain: one OCMF line for the start and for the end of each window."""
        return self.home / "records.ocmf"


@final
@dataclass(frozen=True, slots=True)
class HouseholdLayout:
    """The home of one household: its node's and its agents' files."""

    home: Path

    @property
    def genesis(self) -> Path:
        return self.home / "genesis.json"

    @property
    def node_toml(self) -> Path:
        return self.home / "node.toml"

    @property
    def keys(self) -> Path:
        return self.home / "household.keys"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @property
    def token(self) -> Path:
        """Bearer token of the node's RPC: 64 hex digits, mode 0600."""
        return self.home / "rpc.token"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def node_log(self) -> Path:
        return self.home / "node.log"

    @property
    def agent_settings(self) -> Path:
        """What the household's agents are told (`testnet.home_files.AgentFile`)."""
        return self.home / "agent.json"

    @property
    def agent_log(self) -> Path:
        return self.home / "agent.log"

    @property
    def meter(self) -> MeterLayout:
        return MeterLayout(self.home / "meter")


@final
@dataclass(frozen=True, slots=True)
class ServiceLayout:
    """The folder of a service account: its key file's `account` is the one in genesis."""

    home: Path

    @property
    def keys(self) -> Path:
        return self.home / "household.keys"

    @property
    def password(self) -> Path:
        return self.home / "password"


@final
@dataclass(frozen=True, slots=True)
class TestnetLayout:
    """The folder of one testnet."""

    __test__ = False  # The name begins with "Test", and pytest would take it for one.

    home: Path

    @classmethod
    def of(cls, name: str = DEFAULT_NAME, root: Path = ROOT) -> "TestnetLayout":
        """Return the layout of the testnet `name`; raises TestnetError for an unusable name."""
        if not _NAME.fullmatch(name):
            raise TestnetError(f"name must be letters, digits, '_', '.' or '-', got {name!r}")
        return cls(root / name)

    @property
    def genesis(self) -> Path:
        return self.home / "genesis.json"

    @property
    def manifest(self) -> Path:
        return self.home / "testnet.json"

    @property
    def processes(self) -> Path:
        return self.home / "processes.json"

    @property
    def bank(self) -> Path:
        return self.home / "bank.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def log(self, label: str) -> Path:
        """Standard output and errors of the process `label` ("node-h39")."""
        return self.logs / f"{label}.log"

    def household(self, name: str) -> HouseholdLayout:
        return HouseholdLayout(self.home / name)

    def service(self, name: str) -> ServiceLayout:
        return ServiceLayout(self.home / "services" / name)


def p2p_port(index: int, base_port: int) -> int:
    """Return the port on which member `index` accepts its peers."""
    return base_port + index


def rpc_port(index: int, base_port: int) -> int:
    """Return the port of member `index`'s JSON-RPC."""
    if base_port == BASE_PORT:
        return RPC_BASE_PORT + index
    return base_port + RPC_OFFSET + index
