"""A testnet of four nodes for real clients, each client with a household's account of its own."""

import asyncio
import json
import random
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli import interfaces
from cli.contract_artifact import load
from crypto.keys import AccountKey, checksum_address
from market.abi import ADDRESSES
from node.rpc.client import RpcClient
from testnet.cluster import Cluster
from testnet.errors import PortBusy
from testnet.launcher import UpOptions, up

HERE = Path(__file__).parent
PACKAGES = ("ethers", "solc", "viem")
NODE_SECONDS = 60
WINDOW_MS = 600_000
"""Window 1 is negotiated for as long as window 0 lasts: longer than all of these tests."""
RECORD_MS = 60_000
EUR = 10**8


@dataclass(frozen=True)
class Net:
    """A running testnet, and what a client has to be told to use it."""

    cluster: Cluster
    coin: dict[str, Any]
    """Artifact of the Vyper contract."""
    abis: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {name: interfaces.json_abi(name) for name in ADDRESSES}
    )

    def household(self, index: int) -> AccountKey:
        return self.cluster.keys(self.cluster.names[index]).account

    def url(self, index: int) -> str:
        return self.cluster.manifest.household(str(index)).rpc_url

    def facts(self, index: int) -> dict[str, Any]:
        """Return what a program in another language needs to act for a household, as JSON."""
        return {
            "http": self.url(index),
            "ws": self.url(index).replace("http://", "ws://"),
            "key": "0x" + self.household(index).secret.hex(),
            "neighbour": checksum_address(self.household((index + 1) % 4).address),
            "chainId": self.cluster.genesis.chain_id,
            "coin": self.coin,
            "natives": {
                name: {"address": checksum_address(address), "abi": self.abis[name]}
                for name, address in ADDRESSES.items()
            },
        }

    def ask(self, index: int, method: str, *params: Any) -> Any:
        """Ask a household's node with our own client."""

        async def call() -> Any:
            async with RpcClient(self.url(index), None) as client:
                return await client.call(method, *params)

        return asyncio.run(call())

    def view(self, index: int, contract: str, method: str, *args: Any) -> Any:
        """Return what a view of a native contract answers, by name, at a household's node."""
        asked = {"contract": contract, "method": method, "args": list(args)}
        return self.ask(index, "hearth_call", asked)


def start(root: Path) -> Cluster:
    """Start four nodes on ports that are free; the default ones are left to people."""

    async def attempt(base_port: int) -> Cluster:
        options = UpOptions(
            name="clients",
            root=root,
            base_port=base_port,
            window_ms=WINDOW_MS,
            record_ms=RECORD_MS,
            has_agents=False,
        )
        async with await up(options, lambda _: None) as cluster:
            return cluster

    bases = random.SystemRandom().sample(range(12_000, 26_000, 200), 20)
    for base_port in bases:  # Below the ports that the system gives to connections.
        try:
            return asyncio.run(attempt(base_port))
        except PortBusy:
            continue
    raise AssertionError(f"no free ports at any of {bases}")


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    cluster = start(tmp_path_factory.mktemp("clients"))
    try:
        yield Net(cluster, load(HERE / "contracts" / "Coin.vy").to_json())
    finally:
        cluster.reset()


def run_node(script: str, *args: str, stdin: str = "") -> Any:
    """Run a script of this folder by Node.js; return the JSON that it prints."""
    done = subprocess.run(
        ["node", script, *args],
        cwd=HERE,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=NODE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"node {script}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def node_packages():
    """Skip what needs Node.js where it is not installed; `make setup` installs its packages."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed: no ethers, viem and solc")
    missing = [name for name in PACKAGES if not (HERE / "node_modules" / name).is_dir()]
    if missing:
        pytest.skip(f"{', '.join(missing)} of npm not installed: run `make setup` where npm is")


@pytest.fixture(scope="session")
def solidity(node_packages):
    """What solc makes of Kiosk.sol and of every published interface."""
    return run_node("compile.mjs", str(HERE.parents[2] / "docs" / "interfaces"))


@pytest.fixture(scope="session")
def kiosk(solidity):
    return solidity["contracts"]["Kiosk"]
