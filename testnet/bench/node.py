"""`hearth bench node`: joining, failover, outages, the processor's part by part, and a flood.

Each figure that has a bound is one line, with the bound and whether it is held. Times on real
processes are wall time on a machine that may have other things to do; what is in virtual time, with
measured costs of a step and of a signature charged, says so by its name.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from testnet.bench import cpu_parts, outages, virtual
from testnet.bench.bed import open_bed
from testnet.bench.joining import join, make_testnet
from testnet.bench.recovery import KILLS, failover
from testnet.errors import TestnetError
from testnet.flood import flood
from testnet.launcher import Say

BASE_PORT = 28_800
PARTS: Final = ("join", "failover", "outage", "cpu", "flood")
ROOT = Path(".hearth") / "bench"
"""Under the working directory, on a real disk: a temporary folder may be in memory."""
FLOOD_SECONDS = 300.0
_CPU_BLOCKS = 20
_LARGE, _LARGE_RUNS = 13, 25

MUST: Final[Mapping[str, tuple[Literal["min", "max"], float]]] = {
    "catchup_blocks_per_s": ("min", 40),
    "certified_blocks_per_s": ("min", 150),
    "snapshot_join_s": ("max", 30),
    "failover_n4_killed_p99_ms": ("max", 800),
    "failover_n4_frozen_p99_ms": ("max", 800),
    "virtual_failover_n4_killed_p99_ms": ("max", 800),
    "virtual_failover_n4_silent_p99_ms": ("max", 800),
    "virtual_failover_n13_killed_p99_ms": ("max", 2_000),
    "virtual_failover_n13_silent_p99_ms": ("max", 2_000),
    "virtual_recovery_extra_ms": ("max", 50),
    "flood_growth_mb": ("max", 64),
}
"""Bounds; `virtual_recovery_extra_ms` is by how much a quorum that was lost for two hours takes
longer than one that was lost for two seconds."""


def run(
    say: Say,
    *,
    blocks: int,
    txs: int,
    keys: int,
    base_port: int = BASE_PORT,
    parts: Sequence[str] = PARTS,
    kills: int = KILLS,
    flood_seconds: float = FLOOD_SECONDS,
) -> dict[str, Any]:
    """Run the parts, one after another, and return all figures; `figures` are those with a bound.

    Args:
        say: takes lines of progress.
        blocks: that are replayed.
        txs: transfers in each.
        keys: of the large state that is joined.
        base_port: first port.
        parts: names out of PARTS.
        kills: of the primary, and as many times it is frozen.
        flood_seconds: length of the flood.

    Raises:
        ValueError: an unknown part.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, got {', '.join(unknown)}")
    ROOT.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    if "cpu" in parts:
        found["cpu_us_per_tx"] = _cpu(txs, base_port)
        say(f"cpu: {found['cpu_us_per_tx']}")
    if "outage" in parts:
        found |= _outages(say)
    if "join" in parts:
        found |= _join(say, blocks, txs, keys, base_port)
    if "failover" in parts:
        found |= asyncio.run(_failover(say, kills, base_port))
    if "flood" in parts:
        found |= asyncio.run(_flood(say, flood_seconds, base_port))
    return {**found, "figures": judge(found)}


def judge(found: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return one row for each figure that has a bound and was measured."""
    return [
        {
            "name": name,
            "value": found[name],
            kind: bound,
            "held": found[name] >= bound if kind == "min" else found[name] <= bound,
        }
        for name, (kind, bound) in MUST.items()
        if name in found
    ]


def lines(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows of `judge` as text: what came out, what must, and whether it does."""
    return [
        f"{row['name']}: {row['value']:g} "
        f"(must be {'at least' if 'min' in row else 'at most'} {row.get('min', row.get('max')):g}) "
        f"{'held' if row['held'] else 'MISSED'}"
        for row in figures
    ]


def _join(say: Say, blocks: int, txs: int, keys: int, base_port: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        return asyncio.run(
            join(say, Path(folder), blocks=blocks, txs=txs, keys=keys, base_port=base_port)
        )


def _cpu(txs: int, base_port: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        new = make_testnet(Path(folder), base_port)
        return cpu_parts.measure(new, Path(folder) / "chain", blocks=_CPU_BLOCKS, txs=txs)


def _outages(say: Say) -> dict[str, float]:
    """Return what is measured in virtual time."""
    costs = virtual.signature_costs()
    found: dict[str, float] = {}
    for n, runs in ((4, outages.RUNS), (_LARGE, _LARGE_RUNS)):
        for name, is_noticed in (("killed", True), ("silent", False)):
            result = outages.failover(n, costs, is_noticed=is_noticed, runs=runs)
            found[f"virtual_failover_n{n}_{name}_p50_ms"] = round(result.p50_ms, 1)
            found[f"virtual_failover_n{n}_{name}_p99_ms"] = round(result.p99_ms, 1)
            say(f"virtual failover, n = {n}, {name}: {result}")
    short, long = (
        outages.recovery(4, costs, seconds, seed=outages.PRIMARY_STAYS_LOST)
        for seconds in outages.OUTAGES_S
    )
    say(f"virtual recovery after 2 s: {short:.1f} ms, after two hours: {long:.1f} ms")
    return found | {
        "virtual_recovery_2s_ms": round(short, 1),
        "virtual_recovery_2h_ms": round(long, 1),
        "virtual_recovery_extra_ms": round(long - short, 1),
    }


async def _failover(say: Say, kills: int, base_port: int) -> dict[str, float]:
    async with open_bed(4, ROOT, base_port, say) as bed:
        killed = await failover(bed, kills)
        frozen = await failover(bed, kills, is_frozen=True)
    return {
        f"failover_n4_{name}_{key}": result[key]
        for name, result in (("killed", killed), ("frozen", frozen))
        for key in ("p50_ms", "p99_ms")
    }


async def _flood(say: Say, seconds: float, base_port: int) -> dict[str, float]:
    async with open_bed(4, ROOT, base_port, say) as bed:
        report = await flood(bed, seconds)
    if not report["honest_acknowledged"]:
        raise TestnetError("no honest transfer was sealed during the flood")
    return {"flood_growth_mb": report["growth_mb"], "flood_seconds": seconds}
