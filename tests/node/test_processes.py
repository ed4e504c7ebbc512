"""Four node processes on loopback, killed with SIGKILL: nothing acknowledged is lost."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crypto import curve
from node.config import load
from node.rpc.client import RpcClient, RpcError, Unreachable
from tests.node.homes import household, make_homes
from vm.transaction import sign_transaction

pytestmark = pytest.mark.e2e

_PROGRAM = """
import sys
from pathlib import Path
from node.app import run
sys.exit(run(Path(sys.argv[1]), ()))
"""


class Processes:
    """One process per home; each is ended by its id."""

    def __init__(self, root: Path) -> None:
        self.genesis, self.homes = make_homes(root)
        self.running: dict[int, subprocess.Popen] = {}
        self.clients = [
            RpcClient(f"http://{load(home / 'node.toml').rpc_listen}") for home in self.homes
        ]
        self.nonces = [0] * len(self.homes)

    def start(self, *places: int) -> None:
        for i in places or range(len(self.homes)):
            with (self.homes[i] / "output").open("a") as output:
                self.running[i] = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(self.homes[i])],
                    stdout=output,
                    stderr=output,
                    cwd=Path(__file__).parents[2],
                )

    def kill(self, *places: int, number: int = signal.SIGKILL) -> list[int]:
        processes = [self.running.pop(i) for i in places or list(self.running)]
        for process in processes:
            process.send_signal(number)
        return [process.wait(20) for process in processes]

    def next_tx(self, sender: int) -> str:
        raw = sign_transaction(
            household(sender).account,
            chain_id=self.genesis.chain_id,
            nonce=self.nonces[sender],
            to=bytes(19) + b"\x99",
            gas_limit=30_000,
        )
        self.nonces[sender] += 1
        return "0x" + raw.hex()

    async def submit(self, sender: int, node: int | None = None) -> dict:
        """Return the receipt: the transaction is sealed and durable where it was submitted."""
        client = self.clients[sender if node is None else node]
        return await client.call("hearth_submit", self.next_tx(sender), 20_000)

    async def ready(self) -> None:
        """Wait until every running node answers and votes; a busy machine takes its time."""
        async with asyncio.timeout(60):
            waiting = set(self.running)
            while waiting:
                waiting -= {i for i in waiting if await self._is_ready(i)}
                await asyncio.sleep(0.05)

    async def _is_ready(self, i: int) -> bool:
        assert self.running[i].poll() is None, (self.homes[i] / "output").read_text()
        try:
            status = await self.clients[i].call("hearth_status")
        except (Unreachable, RpcError):
            return False
        return not status["isLearner"] and status["peersUp"] >= 2

    async def heads(self) -> set[tuple[str, str]]:
        """Wait until the running nodes have one head, and return it with its state root."""
        async with asyncio.timeout(20):
            while True:
                found = set()
                for i in self.running:
                    status = await self.clients[i].call("hearth_status")
                    found.add((status["hash"], status["stateRoot"]))
                if len(found) == 1:
                    return found
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        self.kill()


def run(tmp_path, scenario):
    async def main():
        processes = Processes(tmp_path)
        try:
            processes.start()
            await processes.ready()
            await scenario(processes)
        finally:
            await processes.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_killed_node_comes_back_and_catches_up(tmp_path):
    async def scenario(processes):
        receipts = [await processes.submit(i % 4) for i in range(8)]
        processes.kill(1)
        receipts += [await processes.submit(sender) for sender in (0, 2, 3) for _ in range(7)]
        processes.start(1)
        await processes.ready()
        await processes.heads()
        for receipt in receipts:
            again = await processes.clients[1].call(
                "eth_getTransactionReceipt", receipt["transactionHash"]
            )
            assert again["blockHash"] == receipt["blockHash"]
        assert (await processes.submit(1))["status"] == "0x1"
        assert len(await processes.heads()) == 1

    run(tmp_path, scenario)


def test_all_nodes_are_killed_under_load_and_nothing_acknowledged_is_lost(tmp_path):
    async def scenario(processes):
        acknowledged = []
        enough = asyncio.Event()

        async def send(sender):
            while True:
                receipt = await processes.submit(sender)
                acknowledged.append((receipt["transactionHash"], receipt["blockHash"]))
                if len(acknowledged) >= 30:
                    enough.set()

        tasks = [asyncio.create_task(send(sender)) for sender in range(4)]
        await enough.wait()
        processes.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        processes.start()
        await processes.ready()
        await processes.heads()
        for digest, block in acknowledged:
            for client in processes.clients:
                receipt = await client.call("eth_getTransactionReceipt", digest)
                assert receipt["blockHash"] == block
        for sender in range(4):
            address = "0x" + household(sender).account.address.hex()
            count = await processes.clients[sender].call(
                "eth_getTransactionCount", address, "pending"
            )
            processes.nonces[sender] = int(count, 16)
            assert (await processes.submit(sender))["status"] == "0x1"
        await processes.heads()

    run(tmp_path, scenario)


def test_sigterm_ends_a_node_in_order(tmp_path):
    async def scenario(processes):
        await processes.submit(0)
        assert processes.kill(number=signal.SIGTERM) == [0, 0, 0, 0]
        for home in processes.homes:
            output = (home / "output").read_text()
            assert "RPC at" in output
            assert f", curve backend {curve.BACKEND}, " in output
            log = (home / "node.log").read_text()
            assert f'"curve_backend": "{curve.BACKEND}"' in log
            assert '"event": "block"' in log

    run(tmp_path, scenario)
