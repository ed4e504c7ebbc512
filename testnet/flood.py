"""A flood by one member, on real processes: memory stays bounded and honest traffic commits.

The household with the lowest node key turns against the others, because a member dials those above
it. Its node is ended and the flooder takes its keys and its place (`testnet.flooder`), in a
process of its own. The other three of four seal transfers meanwhile.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from typing import Any, final

from node.rpc.client import RpcError, Unreachable
from testnet.bench.bed import Bed, add_accounts, wait_until_quiet
from testnet.errors import TestnetError
from testnet.load import LaneResult, run_lane
from testnet.processes import node_label, rss_mb

GROWTH_MB_MAX = 64.0
"""How far a node's memory may rise above that of its idleness."""
STALL_SECONDS_MAX = 10.0
"""The longest time in which nothing honest is sealed: several failed views in a row."""
LANES = 8
_PAUSE_S = 0.1
_IDLE_S = 3.0
_SAMPLE_S = 0.5


async def flood(bed: Bed, seconds: float) -> dict[str, Any]:
    """Flood for `seconds` and report; `ok` says whether the bounds were held."""
    await add_accounts(bed)
    await wait_until_quiet(bed.cluster)
    await asyncio.sleep(_IDLE_S)
    cluster = bed.cluster
    keys = {member.name: member.node_key for member in cluster.genesis.members}
    villain = min(cluster.names, key=lambda name: keys[name])
    honest = [name for name in cluster.names if name != villain]
    memory = _Memory({name: cluster.processes.pid(node_label(name)) or 0 for name in honest})
    idle = memory.sample()
    cluster.processes.kill([node_label(villain)])
    bed.say(f"{villain} floods {', '.join(honest)} for {seconds:.0f} s")
    stop = asyncio.Event()
    rng = random.Random("flood")
    accounts = [a for a in bed.accounts if a.household != villain][:LANES]
    recipients = [account.key.address for account in accounts]
    lanes = [
        asyncio.create_task(run_lane(cluster, account, recipients, stop, rng=rng, pause_s=_PAUSE_S))
        for account in accounts
    ]
    attack = asyncio.create_task(_attack(bed, villain, seconds))
    stall_s = await _watch(bed, honest, attack, lanes, memory)
    stop.set()
    results = await asyncio.gather(*lanes)
    sent = await attack
    return _report(
        idle=idle,
        peak=memory.peak,
        stall_s=stall_s,
        results=results,
        sent=sent,
        seconds=seconds,
    )


def _report(
    *,
    idle: dict[str, float],
    peak: dict[str, float],
    stall_s: float,
    results: list[LaneResult],
    sent: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    acknowledged = sum(len(result.acknowledged) for result in results)
    growth = {name: round(peak[name] - idle[name], 1) for name in idle}
    refused = [words for result in results for words in result.refused]
    return {
        "ok": max(growth.values()) <= GROWTH_MB_MAX
        and stall_s <= STALL_SECONDS_MAX
        and not refused,
        "seconds": seconds,
        "rss_idle_mb": round(max(idle.values()), 1),
        "rss_max_mb": round(max(peak.values()), 1),
        "growth_mb": max(growth.values()),
        "honest_acknowledged": acknowledged,
        "honest_tps": round(acknowledged / seconds, 1),
        "honest_refused": refused[:3],
        "longest_stall_s": round(stall_s, 2),
        "sent": sent,
    }


@final
class _Memory:
    """Resident memory of the honest nodes, and its peak."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self.peak: dict[str, float] = {}

    def sample(self) -> dict[str, float]:
        """Return what each node takes now, in MB."""
        now = {name: rss_mb(pid) for name, pid in self._pids.items()}
        for name, value in now.items():
            self.peak[name] = max(self.peak.get(name, 0.0), value)
        return now


async def _attack(bed: Bed, villain: str, seconds: float) -> dict[str, Any]:
    layout = bed.cluster.layout
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "testnet.flooder",
        str(layout.home.parent),
        layout.home.name,
        villain,
        str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise TestnetError(f"the flooder ended with {process.returncode}")
    report: dict[str, Any] = json.loads(output)
    return report


async def _watch(
    bed: Bed,
    honest: list[str],
    attack: "asyncio.Task[dict[str, Any]]",
    lanes: "list[asyncio.Task[LaneResult]]",
    memory: _Memory,
) -> float:
    """Sample memory until the attack ends; the longest time without a new block."""
    begin = moved_s = told_s = time.monotonic()
    longest, height = 0.0, -1
    while not attack.done():
        await asyncio.sleep(_SAMPLE_S)
        failed = next((lane for lane in lanes if lane.done()), None)
        if failed is not None:
            failed.result()
        now_s = time.monotonic()
        memory.sample()
        heights = [await _height(bed, name) for name in honest]
        if max(heights) > height:
            height, moved_s = max(heights), now_s
        longest = max(longest, now_s - moved_s)
        if now_s - told_s > 10:
            told_s = now_s
            now = memory.sample()
            figures = ", ".join(f"{name} {now[name]:.0f} MB" for name in honest)
            bed.say(f"{now_s - begin:.0f} s: height {height}, {figures}")
    return longest


async def _height(bed: Bed, name: str) -> int:
    with suppress(RpcError, Unreachable, TimeoutError):
        return int(await bed.cluster.client(name).call("eth_blockNumber"), 16)
    return -1
