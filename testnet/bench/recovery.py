"""Bench parts in which nodes are killed: the primary, twenty times; then all of them."""

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from typing import Any

from node.rpc.client import RpcError, Unreachable
from testnet.bench.bed import Bed, add_accounts, percentile
from testnet.chaos import missing_on
from testnet.launcher import wait_until_answering
from testnet.load import LaneResult, LoadAccount, run_lane, sign_transfer
from testnet.processes import node_label
from testnet.status import wait_for_equal_heads, wait_until_whole

KILLS = 20
RESTARTS = 3
LIGHT_TRAFFIC_S = 0.05
"""Longest pause of a lane between two transfers."""
_TRAFFIC_BEFORE_S = 0.5
_QUIET_S = 0.1
_EQUAL_SECONDS = 60.0
_SUBMIT_TIMEOUT_MS = 10_000
_POLL_S = 0.005


async def failover(bed: Bed, kills: int = KILLS, *, is_frozen: bool = False) -> dict[str, Any]:
    """Kill whoever is primary; time until a transfer that came after the kill is sealed.

    Or freeze it (SIGSTOP): then its links stay open, and only its silence tells.

    Light traffic runs until just before (it ends so that the primary does not change between
    asking and killing), and again from the kill on. Between kills the victim comes back and
    catches up.
    """
    await add_accounts(bed)
    cluster, rng = bed.cluster, random.Random("bench/failover")
    times = []
    for run in range(kills):
        await _traffic(bed, _TRAFFIC_BEFORE_S, rng)
        await asyncio.sleep(_QUIET_S)
        status = await cluster.client(cluster.names[run % len(cluster.names)]).call("hearth_status")
        victim = status["primary"]
        survivors = [name for name in cluster.names if name != victim]
        raw = f"0x{_transfer(bed, bed.accounts[0]).hex()}"
        begin = time.perf_counter()
        if is_frozen:
            cluster.processes.signal(node_label(victim), signal.SIGSTOP)
        else:
            cluster.processes.kill([node_label(victim)])
        await _first_receipt(bed, survivors, raw)
        times.append(1000 * (time.perf_counter() - begin))
        if is_frozen:
            cluster.processes.signal(node_label(victim), signal.SIGCONT)
        else:
            cluster.start_node(victim)
        await wait_until_answering(cluster, [victim])
        await _traffic(bed, _TRAFFIC_BEFORE_S, rng, survivors)
        await wait_for_equal_heads(cluster, _EQUAL_SECONDS)
        await wait_until_whole(cluster, _EQUAL_SECONDS)
        what = "freeze" if is_frozen else "kill"
        bed.say(f"{what} {run + 1} of {kills}: {victim}, {times[-1]:.0f} ms")
    return {
        "runs": len(times),
        "p50_ms": round(percentile(times, 50), 1),
        "p99_ms": round(percentile(times, 99), 1),
        "max_ms": round(max(times), 1),
    }


async def restart(bed: Bed, runs: int = RESTARTS) -> dict[str, Any]:
    """Kill all nodes under traffic and start them; time until the first commit, and look for loss.

    The time runs from the first start of a process to the receipt of a new transfer.
    """
    await add_accounts(bed)
    cluster, rng = bed.cluster, random.Random("bench/restart")
    times, lost, acknowledged = [], 0, 0
    for run in range(runs):
        stop = asyncio.Event()
        lanes = _lanes(bed, stop, rng, cluster.names)
        await asyncio.sleep(4 * _TRAFFIC_BEFORE_S)
        cluster.processes.kill([node_label(name) for name in cluster.names])
        raw = f"0x{_transfer(bed, bed.accounts[0]).hex()}"
        begin = time.perf_counter()
        for name in cluster.names:
            cluster.start_node(name)
        await _first_receipt(bed, cluster.names, raw)
        times.append(1000 * (time.perf_counter() - begin))
        await wait_until_answering(cluster, cluster.names)
        stop.set()
        results = await asyncio.gather(*lanes)
        await wait_for_equal_heads(cluster, _EQUAL_SECONDS)
        await wait_until_whole(cluster, _EQUAL_SECONDS)
        acks = [ack for result in results for ack in result.acknowledged]
        acknowledged += len(acks)
        for name in cluster.names:
            lost += len(await missing_on(cluster, name, acks))
        bed.say(f"restart {run + 1} of {runs}: {times[-1]:.0f} ms")
    return {
        "runs": runs,
        "first_commit_ms": round(max(times)),
        "p50_ms": round(percentile(times, 50)),
        "acknowledged": acknowledged,
        "lost": lost,
    }


def _transfer(bed: Bed, account: LoadAccount) -> bytes:
    return sign_transfer(account, bed.accounts[-1].key.address, bed.cluster.genesis.chain_id)


def _lanes(
    bed: Bed, stop: asyncio.Event, rng: random.Random, names: Sequence[str]
) -> list[asyncio.Task[LaneResult]]:
    """Start light traffic; the first account is the bench's own."""
    recipients = [account.key.address for account in bed.accounts]
    senders = [next(a for a in bed.accounts[1:] if a.household == name) for name in names]
    return [
        asyncio.create_task(
            run_lane(
                bed.cluster,
                account,
                recipients,
                stop,
                rng=random.Random(rng.random()),
                pause_s=LIGHT_TRAFFIC_S,
            )
        )
        for account in senders
    ]


async def _traffic(
    bed: Bed, seconds: float, rng: random.Random, names: Sequence[str] | None = None
) -> None:
    """Send light traffic for a while."""
    stop = asyncio.Event()
    lanes = _lanes(bed, stop, rng, bed.cluster.names if names is None else names)
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*lanes)


async def _first_receipt(bed: Bed, names: Sequence[str], raw: str) -> None:
    """Submit at every node of `names` at once, again and again, until one returns the receipt."""
    done = asyncio.Event()

    async def ask(name: str) -> None:
        while not done.is_set():
            try:
                await bed.cluster.client(name).call("hearth_submit", raw, _SUBMIT_TIMEOUT_MS)
                done.set()
            except (Unreachable, RpcError):
                await asyncio.sleep(_POLL_S)

    asking = [asyncio.create_task(ask(name)) for name in names]
    await done.wait()
    for task in asking:
        task.cancel()
