"""What the consensus benches stand on: nodes without agents, accounts, percentiles."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from testnet.cluster import Cluster
from testnet.launcher import Say, UpOptions, up
from testnet.layout import TestnetLayout
from testnet.load import LoadAccount, prepare_accounts
from testnet.processes import cpu_seconds, node_label, rss_mb

BASE_PORT = 28_600
NAME = "bench-consensus"
WINDOW_MS = 3_600_000
"""As in a real community: an idle minute has no deadline of the market in it."""
RECORD_MS = 300_000
QUOTA_GAS = 2**50
"""Quotas bound what a member may use, not what the nodes can do."""
ACCOUNTS = 64
FUNDS = 50_000_000


@final
@dataclass(frozen=True, slots=True)
class Bed:
    """A running testnet with funded accounts."""

    cluster: Cluster
    accounts: list[LoadAccount]
    say: Say

    def node_pids(self) -> list[int]:
        """Return the process ids of the nodes that run."""
        labels = [node_label(name) for name in self.cluster.names]
        return [pid for pid in map(self.cluster.processes.pid, labels) if pid is not None]

    def cpu_seconds(self) -> list[float]:
        """Return what each node has used of a core so far."""
        return [cpu_seconds(pid) for pid in self.node_pids()]

    def rss_mb(self) -> float:
        """Return the memory of the largest node."""
        return max(rss_mb(pid) for pid in self.node_pids())


@asynccontextmanager
async def open_bed(nodes: int, root: Path, base_port: int, say: Say) -> AsyncIterator[Bed]:
    """Start a testnet for a bench, and end and delete it afterwards."""
    layout = TestnetLayout.of(NAME, root)
    if layout.manifest.exists():
        Cluster(layout).reset()  # A bench that was interrupted left it.
    options = UpOptions(
        households=nodes,
        name=NAME,
        root=root,
        base_port=base_port,
        window_ms=WINDOW_MS,
        record_ms=RECORD_MS,
        quota_gas=QUOTA_GAS,
        has_agents=False,
    )
    cluster = await up(options, say)
    try:
        yield Bed(cluster, [], say)
    finally:
        await cluster.close()
        cluster.reset()


async def add_accounts(bed: Bed) -> None:
    """Register and fund the accounts: 64, the same number for every household."""
    per_household = min(16, math.ceil(ACCOUNTS / len(bed.cluster.names)))
    if not bed.accounts:
        bed.accounts.extend(await prepare_accounts(bed.cluster, per_household, "bench", FUNDS))
    bed.say(f"{len(bed.accounts)} accounts registered and funded")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the least value that `percent` % do not exceed."""
    if not values:
        raise ValueError("no values")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]


async def height(cluster: Cluster, name: str) -> int:
    """Return the height of a node."""
    return int(await cluster.client(name).call("eth_blockNumber"), 16)


async def wait_until_quiet(cluster: Cluster, seconds: float = 1.0) -> None:
    """Return when no block was sealed for `seconds`."""
    before = -1
    while True:
        now = await height(cluster, cluster.names[0])
        if now == before:
            return
        before = now
        await asyncio.sleep(seconds)
