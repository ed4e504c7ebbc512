"""Draws an upgrade of the rules: from which block on, and whose software is too old for how long.

Mostly so few that the others go on without them; sometimes so many that the chain waits at the
height until there are q members with newer software.
"""

import random
from dataclasses import replace

from consensus.sim.faults import Blackout, FaultPlan, Renewal, Upgrade
from consensus.sim.violation import certificate_size

BLOCKS_MAX = 12
"""Above the blocks that a run begins with: most runs come that far."""
RESTART_MS = (20, 800)


def add_upgrade(rng: random.Random, plan: FaultPlan) -> FaultPlan:
    """Let new rules come into force while all else in the plan happens."""
    able = [i for i in range(len(plan.identities)) if i not in plan.liars]
    few = plan.n - certificate_size(plan.n)
    count = rng.randint(1, few if rng.randrange(4) else len(able))
    old = tuple(sorted(rng.sample(able, count)))
    renewals = tuple(_renewal(rng, plan, i) for i in old if rng.randrange(3))
    first_height = plan.prefix + rng.randint(1, BLOCKS_MAX)
    return replace(
        plan,
        upgrade=Upgrade(first_height=first_height, old=old),
        faults=(*plan.faults, *renewals),
    )


def _renewal(rng: random.Random, plan: FaultPlan, instance: int) -> Renewal:
    """Not while all are without power."""
    start = rng.randrange(plan.safety_ms)
    end = start + rng.randint(*RESTART_MS)
    for out in plan.faults:
        if isinstance(out, Blackout) and start < out.end_ms and out.start_ms < end:
            start, end = out.end_ms, out.end_ms + end - start
    return Renewal(start_ms=start, end_ms=end, instance=instance)
