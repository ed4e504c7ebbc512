"""How a testnet is: one line for each node, and whether all agree."""

import asyncio
from dataclasses import dataclass
from typing import Any, final

from node.rpc.client import RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.errors import TimedOut
from testnet.processes import agent_label, meter_label, node_label, rss_mb

ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One household of a testnet; what its node said is None if it does not answer."""

    name: str
    kind: str
    node_pid: int | None
    agent_pid: int | None
    meter_pid: int | None
    rss_mb: float
    rpc_url: str
    status: dict[str, Any] | None
    """As `hearth_status`."""


async def collect_status(cluster: Cluster) -> list[NodeRow]:
    """Ask every node how it is; never raises for a node that does not answer."""
    return list(await asyncio.gather(*(_row(cluster, name) for name in cluster.names)))


async def wait_for_equal_heads(cluster: Cluster, seconds: float) -> tuple[int, str, str]:
    """Wait until all nodes have the same head; return (height, block hash, state root).

    Raises:
        TimedOut: they have not; says who has what.
    """
    heads: dict[str, tuple[int, str, str] | None] = {}
    try:
        async with asyncio.timeout(seconds):
            while True:
                heads = {row.name: _head(row.status) for row in await collect_status(cluster)}
                first = next(iter(heads.values()))
                if first is not None and all(head == first for head in heads.values()):
                    return first
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        shown = "; ".join(
            f"{name}: {f'height {head[0]}, {head[1][:10]}' if head else 'no answer'}"
            for name, head in heads.items()
        )
        raise TimedOut(f"heads differ after {seconds:.0f} s: {shown}") from None


async def wait_until_whole(cluster: Cluster, seconds: float) -> None:
    """Wait until every node votes and hears all others; raises TimedOut.

    A node that is back but only follows yet, or has not dialled everybody, is still a fault: a
    second one would leave no quorum.
    """
    others = len(cluster.names) - 1
    lacking: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                lacking = [
                    row.name
                    for row in await collect_status(cluster)
                    if row.status is None
                    or row.status["isLearner"]
                    or row.status["peersUp"] < others
                ]
                if not lacking:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimedOut(f"after {seconds:.0f} s not whole again: {', '.join(lacking)}") from None


async def _row(cluster: Cluster, name: str) -> NodeRow:
    entry, processes = cluster.manifest.household(name), cluster.processes
    node_pid = processes.pid(node_label(name))
    try:
        status = await asyncio.wait_for(cluster.client(name).call("hearth_status"), ANSWER_SECONDS)
    except (Unreachable, RpcError, TimeoutError):
        status = None
    return NodeRow(
        name=name,
        kind=entry.kind,
        node_pid=node_pid,
        agent_pid=processes.pid(agent_label(name)),
        meter_pid=processes.pid(meter_label(name)),
        rss_mb=rss_mb(node_pid) if node_pid is not None else 0.0,
        rpc_url=entry.rpc_url,
        status=status,
    )


def _head(status: dict[str, Any] | None) -> tuple[int, str, str] | None:
    return None if status is None else (status["height"], status["hash"], status["stateRoot"])
