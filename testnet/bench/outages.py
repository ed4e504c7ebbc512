"""How long a community stands still when members are gone, in virtual time with measured costs.

What a table of real kills cannot hold: thirteen members on two cores, a primary that falls silent
while its links stay open, and a loss of the quorum for two hours.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from consensus.membership import Height
from testnet.bench.bed import percentile
from testnet.bench.virtual import VirtualMembers

RUNS = 100
WARM_BLOCKS = 4
"""Most blocks before a loss."""
_BEFORE_US = 3_000
"""Longest time from a transaction to the loss of the primary that has it: less than a commit."""
OUTAGES_S = (2, 7_200)
PRIMARY_STAYS_LOST = 1
"""A seed of `recovery` with four members, one of the slow ones: a view has to be waited for."""
_IDLE_MS = 1_000
"""Longest idle time before a loss: a heartbeat and the timers stand anywhere in theirs."""
_LIMIT_US = 60e6


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverResult:
    """From the loss of the primary to the next block in a store, milliseconds."""

    n: int
    is_noticed: bool
    """Whether its links closed, as when its process dies; if not, it only fell silent."""
    runs: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def failover(
    n: int, costs: tuple[float, float], *, is_noticed: bool, runs: int = RUNS
) -> FailoverResult:
    """Lose the primary `runs` times, each time of another community and at another moment.

    In half of the runs the transaction comes when the primary is gone, in the others a little
    before, so that the primary is lost with its proposal under way.
    """
    times = sorted(
        _lose_primary(n, costs, random.Random(f"{n}/{run}"), is_noticed=is_noticed)
        for run in range(runs)
    )
    return FailoverResult(
        n=n,
        is_noticed=is_noticed,
        runs=runs,
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
        max_ms=times[-1],
    )


def _lose_primary(
    n: int, costs: tuple[float, float], rng: random.Random, *, is_noticed: bool
) -> float:
    members = _warm(n, costs, rng, is_timed=True)
    primary = members.replicas[0].primary
    height = members.replicas[0].head.height + 1
    before_us = rng.choice((0, rng.randrange(_BEFORE_US)))
    members.offer()
    members.run_until(members.now_us + before_us)
    lost_us = members.now_us
    members.cut([primary], is_noticed=is_noticed)
    survivors = [i for i in range(n) if i != primary]
    return _until_stored(members, survivors, height, lost_us)


def recovery(
    n: int, costs: tuple[float, float], outage_s: float, *, seed: int = 0, is_timed: bool = True
) -> float:
    """Lose the quorum for a while; return the milliseconds from its return to the next block.

    Just too few members stay together, and just enough are there again when one comes back: the
    others stay lost. A transaction waits for the whole time.
    """
    rng = random.Random(f"{n}/{seed}")
    members = _warm(n, costs, rng, is_timed=is_timed)
    height = members.replicas[0].head.height + 1
    quorum = members.replicas[0].membership.quorum.certificate
    lost = rng.sample(range(n), n - quorum + 1)
    members.cut(lost, is_noticed=rng.random() < 0.5)
    members.offer()
    members.run_until(members.now_us + 1e6 * outage_s)
    assert not any(stored == height for _, stored in members.stored_us), "there was no quorum"
    begin_us = members.now_us
    members.join(lost[0], lost[1:])
    return _until_stored(members, range(n), height, begin_us)


def _warm(
    n: int, costs: tuple[float, float], rng: random.Random, *, is_timed: bool
) -> VirtualMembers:
    """Return members that have decided some blocks and then were idle for a moment."""
    members = VirtualMembers(n, costs, is_timed=is_timed)
    members.start()
    for height in range(1, rng.randrange(2, WARM_BLOCKS + 2)):
        members.offer()
        _run_until_all_stored(members, n, height)
    members.run_until(members.quiet_us() + 1000 * rng.randrange(1, _IDLE_MS))
    return members


def _run_until_all_stored(members: VirtualMembers, n: int, height: int) -> None:
    def is_stored() -> bool:
        return all((i, height) in members.stored_us for i in range(n))

    members.run_until(members.now_us + _LIMIT_US, is_stored)


def _until_stored(
    members: VirtualMembers, where: Sequence[int], height: int, begin_us: float
) -> float:
    """Return the milliseconds until the first of these members has stored the block."""

    def is_stored() -> bool:
        return any((i, height) in members.stored_us for i in where)

    members.run_until(begin_us + _LIMIT_US, is_stored)
    found = [members.stored_us[i, height] for i in where if (i, height) in members.stored_us]
    assert found, f"no block {Height(height)} within {_LIMIT_US / 1e6:.0f} s"
    return (min(found) - begin_us) / 1000
