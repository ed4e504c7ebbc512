"""Draws the changes of the member set in a run, and adds who comes later to its faults."""

import random
from dataclasses import replace

from consensus.sim.community import CHANGE_NONCES_FIRST
from consensus.sim.faults import (
    Blackout,
    Censor,
    Change,
    ChangeKind,
    Crash,
    Fault,
    FaultPlan,
    LogLoss,
    Partition,
)

CHANGES_MAX = 5
MEMBERS_MIN = 4
GROWTH_MAX = 3
"""Members that a run may have more than founders."""
TIME_LEFT_MS = 700
"""Before healing, in which a change that is handed in can still take effect."""


class _Draft:
    """Who would be a member if every change so far took effect."""

    def __init__(self, rng: random.Random, plan: FaultPlan) -> None:
        self._rng = rng
        self._plan = plan
        self.members = list(range(plan.n))
        self.gone: list[int] = []
        self.keys = plan.n
        self.newcomers: list[int] = []
        self._least = plan.n

    def change(self) -> Change:
        """One more change that can be applied after those before."""
        kinds = [ChangeKind.ROTATE, ChangeKind.REINCARNATE]
        if len(self.members) < self._plan.n + GROWTH_MAX:
            kinds += [ChangeKind.ADMIT] * 3
        # Not all changes take effect, so no subset of them may leave more than f faulty members.
        spare = (max(self._least - 1, MEMBERS_MIN) - 1) // 3 - len(self._plan.faulty)
        if len(self.members) > MEMBERS_MIN and spare >= 0:
            kinds += [ChangeKind.EVICT] * 2
        match self._rng.choice(kinds):
            case ChangeKind.ADMIT:
                return self._admit()
            case ChangeKind.EVICT:
                self._least -= 1
                key = self._leave()
                self.gone.append(key)
                return Change(kind=ChangeKind.EVICT, key=key)
            case ChangeKind.ROTATE:
                key, new = self._leave(), self._new_key()
                self.members.append(new)
                return Change(kind=ChangeKind.ROTATE, key=key, new_key=new)
            case kind:
                return Change(kind=kind, key=self._rng.choice(self.members))

    def _admit(self) -> Change:
        if self.gone and self._rng.randrange(3) == 0:
            key = self.gone.pop()
        else:
            key = self._new_key()
            self.newcomers.append(key)
        self.members.append(key)
        return Change(kind=ChangeKind.ADMIT, key=key)

    def _leave(self) -> int:
        return self.members.pop(self._rng.randrange(len(self.members)))

    def _new_key(self) -> int:
        self.keys += 1
        return self.keys - 1


def add_changes(rng: random.Random, plan: FaultPlan) -> FaultPlan:
    """Let the member set change while all else in the plan happens."""
    draft = _Draft(rng, plan)
    forgetful = [f.instance for f in plan.faults if isinstance(f, LogLoss)]
    changes = [draft.change() for _ in range(rng.randint(1, CHANGES_MAX))]
    if forgetful and forgetful[0] in draft.members and rng.randrange(3):
        # Who lost its vote log returns under the same key, without its old votes (rule 25).
        changes.append(Change(kind=ChangeKind.REINCARNATE, key=forgetful[0]))
    last_ms = max(plan.safety_ms - TIME_LEFT_MS, 200)
    times = sorted(_lit(plan, rng.randrange(100, last_ms)) for _ in changes)
    handed_in = tuple((at, CHANGE_NONCES_FIRST + i) for i, at in enumerate(times))
    more = len(draft.newcomers)
    skewed = any(plan.skew_ms)
    return replace(
        plan,
        identities=(*plan.identities, *draft.newcomers),
        newcomers=more,
        changes=tuple(changes),
        submissions=tuple(sorted((*plan.submissions, *handed_in))),
        skew_ms=(*plan.skew_ms, *(rng.randint(-50, 50) if skewed else 0 for _ in range(more))),
        drift_permille=(*plan.drift_permille, *(0 for _ in range(more))),
        faults=(
            *(_widened(rng, fault, len(plan.identities), more) for fault in plan.faults),
            *(
                crash
                for i in range(more)
                if rng.randrange(2)
                for crash in _crashes(rng, len(plan.identities) + i, plan)
            ),
        ),
    )


def _lit(plan: FaultPlan, at_ms: int) -> int:
    """An instant, or the beginning of the blackout that it lies in."""
    outages = (fault for fault in plan.faults if isinstance(fault, Blackout))
    return next((out.start_ms for out in outages if out.start_ms < at_ms < out.end_ms), at_ms)


def _widened(rng: random.Random, fault: Fault, count: int, more: int) -> Fault:
    """A fault that names all instances names the newcomers, too."""
    if isinstance(fault, Partition):
        groups = tuple(rng.choice(fault.group_of) for _ in range(more))
        return replace(fault, group_of=(*fault.group_of, *groups))
    if isinstance(fault, Censor) and not fault.muted:
        also = tuple(i for i in range(count, count + more) if rng.randrange(2))
        return replace(fault, spared=(*fault.spared, *also))
    return fault


def _crashes(rng: random.Random, instance: int, plan: FaultPlan) -> list[Fault]:
    found: list[Fault] = []
    for _ in range(rng.randint(1, 3)):
        start = _lit(plan, rng.randrange(plan.safety_ms))
        found.append(
            Crash(
                start_ms=start,
                end_ms=start + rng.randint(20, 800),
                instance=instance,
                effects=rng.choice((0, 1, 2, 3)),
                is_at_write=rng.randrange(2) == 0,
                kept_permille=rng.choice((0, rng.randrange(1000), 1000)),
            )
        )
    return found
