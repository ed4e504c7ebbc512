"""Bench parts without much load: latency of one transaction at a time, and doing nothing."""

import asyncio
import time
from typing import Any

import aiohttp

from testnet.bench.bed import Bed, add_accounts, height, percentile, wait_until_quiet
from testnet.cluster import Cluster
from testnet.load import sign_transfer

LIGHT_RUNS = 400
_LIGHT_WARM_UP = 20
_SUBMIT_TIMEOUT_MS = 10_000
_SYNC_COUNT = "storage_sync_seconds_count"


async def light(bed: Bed, runs: int = LIGHT_RUNS) -> dict[str, Any]:
    """Submit one transfer at a time, at each node in turn; time until its seal is reported.

    From the moment at which the submitter sends it until it has the receipt, over HTTP.
    """
    await add_accounts(bed)
    await wait_until_quiet(bed.cluster)
    account = bed.accounts[0]
    to = bed.accounts[-1].key.address
    times = []
    for run in range(_LIGHT_WARM_UP + runs):
        raw = sign_transfer(account, to, bed.cluster.genesis.chain_id)
        client = bed.cluster.client(bed.cluster.names[run % len(bed.cluster.names)])
        begin = time.perf_counter()
        receipt = await client.call("hearth_submit", f"0x{raw.hex()}", _SUBMIT_TIMEOUT_MS)
        took = time.perf_counter() - begin
        assert receipt["status"] == "0x1", "the transfer is funded"
        if run >= _LIGHT_WARM_UP:
            times.append(1000 * took)
    return {
        "runs": len(times),
        "p50_ms": round(percentile(times, 50), 2),
        "p99_ms": round(percentile(times, 99), 2),
        "max_ms": round(max(times), 2),
    }


async def idle(bed: Bed, seconds: float) -> dict[str, Any]:
    """Watch nodes that have nothing to do."""
    cluster = bed.cluster
    await wait_until_quiet(cluster, 2.0)
    bed.say(f"watching idle nodes for {seconds:.0f} s")
    names = cluster.names
    blocks, syncs = await height(cluster, names[0]), await _syncs(cluster)
    traffic, cpu = await _bytes_on_links(cluster), bed.cpu_seconds()
    begin = time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - begin
    used = [now - before for now, before in zip(bed.cpu_seconds(), cpu, strict=True)]
    links = len(names) * (len(names) - 1)
    moved = await _bytes_on_links(cluster) - traffic
    return {
        "seconds": round(took, 1),
        "blocks": await height(cluster, names[0]) - blocks,
        "fsyncs": await _syncs(cluster) - syncs,
        "cpu_pct": round(100 * max(used) / took, 2),
        "bytes_per_s_per_link": round(moved / took / links),
        "rss_mb": round(bed.rss_mb(), 1),
    }


async def _bytes_on_links(cluster: Cluster) -> int:
    """Return the payload that all nodes have sent and received, over all their links.

    A link counts at both of its ends, in each direction: what one node's router sees of it.
    """
    total = 0
    for name in cluster.names:
        for peer in await cluster.client(name).call("hearth_peers"):
            total += peer["bytesIn"] + peer["bytesOut"]
    return total


async def _syncs(cluster: Cluster) -> int:
    """Return how many writes all nodes have made durable since they started."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for entry in cluster.manifest.households:
            async with session.get(f"{entry.rpc_url}/metrics") as response:
                for line in (await response.text()).splitlines():
                    if line.startswith(_SYNC_COUNT):
                        total += float(line.rpartition(" ")[2])
    return round(total)
