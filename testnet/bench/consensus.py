"""`hearth bench consensus`: latency, throughput, failover, restart and idleness of real nodes.

Nodes are processes on this machine with everything on: TLS, RPC, fsync. Times are wall time as the
client sees it; processor time is of the node processes.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testnet.bench.bed import BASE_PORT, Bed, open_bed
from testnet.bench.quiet import idle, light
from testnet.bench.recovery import failover, restart
from testnet.bench.throughput import load
from testnet.launcher import Say

PARTS = ("idle", "light", "failover", "restart", "load")
"""In the order in which they run: idle nodes are measured before anything has grown."""
ROOT = Path(".hearth") / "bench"
"""Under the working directory, on a real disk: a temporary folder may be in memory."""
LOAD_SECONDS = 120.0
IDLE_SECONDS = 60.0


def run(
    say: Say,
    *,
    nodes: int = 4,
    parts: Sequence[str] = PARTS,
    seconds: float | None = None,
    base_port: int = BASE_PORT,
) -> dict[str, Any]:
    """Run the parts on one testnet and return the figures; `say` gets the progress.

    Args:
        say: takes lines of progress.
        nodes: how many households.
        parts: names out of `PARTS`.
        seconds: length of `load` and `idle`; None for the documented ones.
        base_port: first port.

    Raises:
        ValueError: an unknown part.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, got {', '.join(unknown)}")
    return asyncio.run(_run(say, nodes, parts, seconds=seconds, base_port=base_port))


async def _run(
    say: Say, nodes: int, parts: Sequence[str], *, seconds: float | None, base_port: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": nodes, "fsync": True}
    async with open_bed(nodes, ROOT, base_port, say) as bed:
        for part in PARTS:
            if part in parts:
                figures[part] = await _part(bed, part, seconds)
                say(f"{part}: {figures[part]}")
    return figures


async def _part(bed: Bed, part: str, seconds: float | None) -> dict[str, Any]:
    match part:
        case "idle":
            return await idle(bed, IDLE_SECONDS if seconds is None else seconds)
        case "light":
            return await light(bed)
        case "failover":
            return await failover(bed)
        case "restart":
            return await restart(bed)
        case _:
            return await load(bed, LOAD_SECONDS if seconds is None else seconds)
