"""Breaks a running testnet on purpose, under load: kills, pauses, partitions; then looks closely.

Acknowledged means that a node returned a receipt of a sealed block. After the last fault is
healed every acknowledged transfer must be in the chain of every node at the height that its
receipt named, and all heads must be equal. What the clients saw, transfers and reads at every
node, must be explained by one sequential ledger (`testnet.history`).
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from node.rpc.client import RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.errors import TimedOut
from testnet.history import AccountState, Read, check_history, start_of
from testnet.launcher import Say, wait_until_answering
from testnet.load import Acknowledged, LaneResult, LoadAccount, prepare_accounts, run_lane
from testnet.processes import node_label
from testnet.readers import read_all, run_reader
from testnet.status import wait_for_equal_heads

HEAL_SECONDS = 60.0
_BATCH = 100
_LANE_PAUSE_S = 0.2
_READ_PAUSE_S = 0.15
_VIOLATIONS_SHOWN = 20
_RETRY_SECONDS = 0.1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosOptions:
    """How long and how hard; the faults are drawn from the seed."""

    seconds: float = 60.0
    seed: int = 0
    accounts_per_household: int = 2
    fault_seconds: tuple[float, float] = (0.5, 4.0)
    """Shortest and longest fault."""
    quiet_seconds: tuple[float, float] = (0.5, 2.0)
    """Shortest and longest time between two faults."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Traffic:
    """What the clients of a run did and saw."""

    lanes: Sequence[LaneResult]
    reads: Sequence[Read]
    start: Mapping[bytes, AccountState]
    """The accounts before it."""


@final
class _Faults:
    """Each method is one fault, from its beginning until it is healed."""

    def __init__(self, cluster: Cluster, rng: random.Random, options: ChaosOptions) -> None:
        self._cluster = cluster
        self._rng = rng
        self._options = options

    def table(self) -> list[tuple[str, int, Callable[[], Awaitable[str]]]]:
        """Return (name, weight, fault)."""
        return [
            ("kill", 4, self.kill),
            ("pause", 3, self.pause),
            ("partition", 4, self.partition),
            ("cut_off", 2, self.cut_off),
            ("kill_all", 1, self.kill_all),
        ]

    async def kill(self) -> str:
        """Kill one node as a power cut does, and start it again after a while."""
        name = self._one()
        self._cluster.processes.kill([node_label(name)])
        await self._last()
        self._cluster.start_node(name)
        return name

    async def kill_all(self) -> str:
        """Cut everybody's power."""
        self._cluster.processes.kill([node_label(name) for name in self._cluster.names])
        await self._last()
        for name in self._cluster.names:
            self._cluster.start_node(name)
        return "all"

    async def pause(self) -> str:
        """Stop one or two nodes in their tracks and let them go on."""
        names = self._rng.sample(self._cluster.names, self._rng.choice((1, 1, 2)))
        for name in names:
            self._cluster.processes.signal(node_label(name), signal.SIGSTOP)
        await self._last()
        for name in names:
            self._cluster.processes.signal(node_label(name), signal.SIGCONT)
        return ", ".join(names)

    async def partition(self) -> str:
        """Cut the neighbourhood into two sides that do not hear each other."""
        names = list(self._cluster.names)
        self._rng.shuffle(names)
        cut = self._rng.randint(1, len(names) - 1)
        sides = (names[:cut], names[cut:])
        for side, other in (sides, sides[::-1]):
            for name in side:
                await _admin(self._cluster, name, "hearth_adminPartition", other)
        await self._last()
        await self._heal()
        return f"{', '.join(sides[0])} | {', '.join(sides[1])}"

    async def cut_off(self) -> str:
        """Let one node drop its links; the others learn of it only by its silence."""
        name = self._one()
        others = [other for other in self._cluster.names if other != name]
        await _admin(self._cluster, name, "hearth_adminPartition", others)
        await self._last()
        await self._heal()
        return name

    async def _heal(self) -> None:
        for name in self._cluster.names:
            await _admin(self._cluster, name, "hearth_adminHeal")

    def _one(self) -> str:
        return self._rng.choice(self._cluster.names)

    async def _last(self) -> None:
        await asyncio.sleep(self._rng.uniform(*self._options.fault_seconds))


async def run_chaos(cluster: Cluster, options: ChaosOptions, say: Say) -> dict[str, Any]:
    """Break and heal the testnet for a while, then check it. Returns the report; `ok` decides.

    Raises:
        NotRunning: not all nodes run at the start.
    """
    cluster.require_running()
    rng = random.Random(f"chaos/{options.seed}")
    accounts = await prepare_accounts(cluster, options.accounts_per_household, "chaos")
    addresses = [account.key.address for account in accounts]
    # Equal heads hold all that the preparation sealed, whichever node is asked.
    await wait_for_equal_heads(cluster, HEAL_SECONDS)
    first = await read_all(cluster, cluster.names[0], addresses, HEAL_SECONDS)
    stop = asyncio.Event()
    lanes = _start_lanes(cluster, accounts, stop, options)
    readers = _start_readers(cluster, addresses, stop, options)
    say(f"{len(accounts)} accounts send; faults for {options.seconds:.0f} s")
    try:
        fired = await _break_and_heal(cluster, rng, options, say)
        await wait_until_answering(cluster, cluster.names)
        stop.set()
        async with asyncio.timeout(HEAL_SECONDS):
            results = await asyncio.gather(*lanes)
            reads = [read for reader in readers for read in await reader]
    except TimeoutError:
        raise TimedOut(
            f"transfers are still not sealed {HEAL_SECONDS:.0f} s after the last fault"
        ) from None
    finally:
        for task in (*lanes, *readers):
            task.cancel()
    say("healed; comparing all nodes")
    traffic = _Traffic(
        lanes=results, reads=reads, start={read.account: start_of(read) for read in first}
    )
    return await _verify(cluster, traffic, fired, options)


def _start_lanes(
    cluster: Cluster, accounts: Sequence[LoadAccount], stop: asyncio.Event, options: ChaosOptions
) -> list[asyncio.Task[LaneResult]]:
    recipients = [account.key.address for account in accounts]
    return [
        asyncio.create_task(
            run_lane(
                cluster,
                account,
                recipients,
                stop,
                rng=random.Random(f"lane/{options.seed}/{index}"),
                pause_s=_LANE_PAUSE_S,
            )
        )
        for index, account in enumerate(accounts)
    ]


def _start_readers(
    cluster: Cluster, addresses: Sequence[bytes], stop: asyncio.Event, options: ChaosOptions
) -> list[asyncio.Task[list[Read]]]:
    return [
        asyncio.create_task(
            run_reader(
                cluster,
                name,
                addresses,
                stop,
                rng=random.Random(f"reader/{options.seed}/{name}"),
                pause_s=_READ_PAUSE_S,
            )
        )
        for name in cluster.names
    ]


async def _break_and_heal(
    cluster: Cluster, rng: random.Random, options: ChaosOptions, say: Say
) -> Counter[str]:
    fired: Counter[str] = Counter()
    table = _Faults(cluster, rng, options).table()
    # Once each in any order, so that a short run fires them all; then by weight.
    queue = rng.sample(table, len(table))
    until = time.monotonic() + options.seconds
    while time.monotonic() < until or queue:
        if queue:
            name, _, fault = queue.pop()
        else:
            name, _, fault = rng.choices(table, weights=[weight for _, weight, _ in table])[0]
        whom = await fault()
        fired[name] += 1
        say(f"{name}: {whom}")
        await wait_until_answering(cluster, cluster.names)
        await asyncio.sleep(rng.uniform(*options.quiet_seconds))
    return fired


async def _verify(
    cluster: Cluster, traffic: _Traffic, fired: Counter[str], options: ChaosOptions
) -> dict[str, Any]:
    acknowledged = [ack for lane in traffic.lanes for ack in lane.acknowledged]
    height, block_hash, state_root = await wait_for_equal_heads(cluster, HEAL_SECONDS)
    lost: dict[str, list[str]] = {}
    for name in cluster.names:
        missing = await missing_on(cluster, name, acknowledged)
        if missing:
            lost[name] = missing
    refused = [words for lane in traffic.lanes for words in lane.refused]
    reads, violations = await _explain(cluster, traffic)
    return {
        "ok": not (lost or refused or violations) and bool(acknowledged) and bool(traffic.reads),
        "seed": options.seed,
        "seconds": options.seconds,
        "nodes": len(cluster.names),
        "faults": dict(fired),
        "submitted": sum(lane.submitted for lane in traffic.lanes),
        "acknowledged": len(acknowledged),
        "retries": sum(lane.retries for lane in traffic.lanes),
        "refused": refused,
        "lost": sum(len(missing) for missing in lost.values()),
        "lost_on": lost,
        "reads": reads,
        "linearizable": not violations,
        "violations": violations[:_VIOLATIONS_SHOWN],
        "heads_equal": True,
        "height": height,
        "block_hash": block_hash,
        "state_root": state_root,
    }


async def _explain(cluster: Cluster, traffic: _Traffic) -> tuple[int, list[str]]:
    """Return how many reads there are, and what no sequential ledger explains."""
    reads = list(traffic.reads)
    # Now every node must show every acknowledged transfer.
    for name in cluster.names:
        reads += await read_all(cluster, name, tuple(traffic.start), HEAL_SECONDS)
    writes = [write for lane in traffic.lanes for write in lane.writes]
    return len(reads), check_history(writes, reads, traffic.start)


async def missing_on(
    cluster: Cluster, name: str, acknowledged: Sequence[Acknowledged]
) -> list[str]:
    """Return the acknowledged transfers that a node has not, or has at another height."""
    missing = []
    for start in range(0, len(acknowledged), _BATCH):
        part = acknowledged[start : start + _BATCH]
        receipts = await cluster.client(name).batch(
            [("eth_getTransactionReceipt", [ack.hash]) for ack in part]
        )
        for ack, receipt in zip(part, receipts, strict=True):
            if not isinstance(receipt, dict) or int(receipt["blockNumber"], 16) != ack.height:
                missing.append(ack.hash)
    return missing


async def _admin(cluster: Cluster, name: str, method: str, *params: Any) -> None:
    """Make an admin call until it is answered; raises TimedOut."""
    until = time.monotonic() + HEAL_SECONDS
    while True:
        try:
            await cluster.client(name).call(method, *params)
        except (Unreachable, RpcError) as error:
            if time.monotonic() > until:
                raise TimedOut(f"{name} does not answer {method}: {error}") from None
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return
