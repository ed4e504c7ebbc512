"""The agents' ports over a node's RPC and a meter's files: what `market.agents` may not import."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar, final

from market.agents.devices.readings import QuarterReading
from market.agents.errors import CallFailed, PortUnavailable, TransactionRefused
from market.agents.observations import BlockSeen, TransactionStatus
from market.agents.runtime import Sign
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms
from node.rpc.client import RpcClient, RpcError, Unreachable
from testnet.grid.house import House
from testnet.home_files import parse_reading, reading_line
from vm.transaction import sign_transaction

T = TypeVar("T")

READINGS_POLL_S = 0.05
"""How often the meter's file is looked at; a testnet's quarter-hour lasts two seconds."""
RETRY_S = 0.25


def signer(chain_id: int) -> Sign:
    """Bind the chain's transaction format for the agents' runtime."""

    def sign(key: Any, nonce: int, to: bytes, data: bytes, gas_limit: int) -> bytes:
        return sign_transaction(
            key, chain_id=chain_id, nonce=nonce, to=to, data=data, gas_limit=gas_limit
        )

    return sign


@final
class WallClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1000)


@final
class RpcChain:
    """`ChainPort` over the household's own node."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def head(self) -> int:
        return int(await _reach(self._client.call("eth_blockNumber")), 16)

    async def call(self, to: bytes, data: bytes) -> bytes:
        call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
        try:
            output: str = await _reach(self._client.call("eth_call", call, "latest"))
        except RpcError as error:
            raise CallFailed(error.message) from None
        return bytes.fromhex(output[2:])

    async def nonce(self, address: bytes) -> int:
        count = self._client.call("eth_getTransactionCount", "0x" + address.hex(), "pending")
        return int(await _reach(count), 16)

    async def send_raw(self, raw: bytes) -> bytes:
        try:
            digest: str = await _reach(
                self._client.call("eth_sendRawTransaction", "0x" + raw.hex())
            )
        except RpcError as error:
            raise TransactionRefused(error.message) from None
        return bytes.fromhex(digest[2:])

    async def blocks(self, from_height: int) -> AsyncIterator[BlockSeen]:
        async for block in self._client.subscribe_blocks(from_height):
            yield _block_seen(block)


def _block_seen(block: dict[str, Any]) -> BlockSeen:
    return BlockSeen(
        height=block["height"],
        time_ms=block["timeMs"],
        transactions=tuple(
            TransactionStatus(
                hash=_bytes(each["hash"]),
                sender=_bytes(each["from"]),
                is_success=each["status"] in (1, "0x1"),
            )
            for each in block["transactions"]
        ),
        events=tuple(
            (
                _bytes(log["address"]),
                tuple(_bytes(topic) for topic in log["topics"]),
                _bytes(log["data"]),
            )
            for log in block["logs"]
        ),
    )


@final
class RpcRelay:
    """`RelayPort` over the household's own node."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def send(self, to_key: bytes, window: int, payload: bytes) -> None:
        try:
            await _reach(self._client.relay_send(to_key, window, payload))
        except RpcError as error:
            raise TransactionRefused(error.message) from None

    async def listen(self, key: bytes) -> AsyncIterator[bytes]:
        async for envelope in self._client.relay_subscribe([key]):
            yield envelope["payload"]


@final
class MeterFileDevices:
    """`DevicePort` of the household's agents: follows the lines that the meter appends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def readings(self) -> AsyncIterator[QuarterReading]:
        """Yield past readings, then each as it is appended. Raises BadFile on a malformed line."""
        self._path.touch()  # Whoever comes first: the meter appends.
        with self._path.open("rb") as file:
            partial = b""
            while True:
                partial += file.readline()
                if partial.endswith(b"\n"):
                    reading = parse_reading(partial)
                    partial = b""
                    yield reading
                else:
                    await asyncio.sleep(READINGS_POLL_S)


@final
class SimulatedHouse:
    """`DevicePort` of the meter: the simulated house, a quarter-hour when it is over.

    The file that the agents follow gets each line before the meter sees the reading. What it
    holds from an earlier run is simulated again, which gives the same, and not written twice.
    """

    def __init__(
        self,
        house: House,
        *,
        history: tuple[QuarterReading, ...],
        first_window: int,
        terms: MarketTerms,
        readings: Path,
    ) -> None:
        """Take a house that has been stepped through `history`."""
        self._house = house
        self._history = history
        self._first_window = first_window
        self._terms = terms
        self._readings = readings

    async def readings(self) -> AsyncIterator[QuarterReading]:
        written = count_lines(self._readings)
        with self._readings.open("ab") as file:
            for reading in self._history:
                if reading.quarter >= written:
                    file.write(reading_line(reading))
            file.flush()
            for passed, reading in enumerate(self._future(), start=1):
                begin = self._terms.start(self._first_window)
                at_ms = begin + passed * self._terms.window_ms // QUARTERS_PER_WINDOW
                wait_s = at_ms / 1000 - time.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                if reading.quarter >= written:
                    file.write(reading_line(reading))
                    file.flush()
                yield reading

    def _future(self) -> Iterator[QuarterReading]:
        while True:
            yield self._house.step()


def count_lines(path: Path) -> int:
    """Return how many lines a file of ours holds; a torn last line, left by a crash, is cut off.

    What is cut off is made again: the same readings give the same lines.
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
    return data.count(b"\n")


async def patiently(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask again until the node can be reached."""
    while True:
        try:
            return await ask()
        except (Unreachable, PortUnavailable):
            await asyncio.sleep(RETRY_S)


async def _reach(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except Unreachable as error:
        raise PortUnavailable(str(error)) from None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
