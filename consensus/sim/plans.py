"""Draws the faults of a run from its random source: every plan that a profile allows."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from consensus.sim.changes import add_changes
from consensus.sim.faults import (
    PREFIX_MAX,
    Blackout,
    Censor,
    Clog,
    Crash,
    DiskFull,
    Fault,
    FaultPlan,
    LinkQuality,
    LogDamage,
    LogLoss,
    Partition,
    Pause,
    Question,
)
from consensus.sim.profiles import Profile
from consensus.sim.upgrades import add_upgrade

LOSS_PERMILLE_MAX = 300
DUPLICATION_PERMILLE_MAX = 500
SKEW_MS_MAX = 500
DRIFT_PERMILLE_MAX = 10
"""Two clocks stay within `TOLERANCE_MS` for 50 s, so that no correct primary is refused."""
CENSORED_TOGETHER = (
    ("Commit", "Blocks"),
    ("Commit", "Blocks"),
    ("Commit",),
    ("Prepare",),
    ("Prepare", "Blocks"),
    ("PrePrepare",),
    ("ViewChange",),
    ("NewView",),
    ("NewView", "ViewChange"),
    ("HeadReply", "BodyReply"),
    ("Status",),
)
"""Kinds that a censor stops; COMMITs without blocks, or who is left behind would just be told."""
ROTATED_TOGETHER = (
    ("Prepare",),
    ("Prepare",),
    ("Prepare", "Commit"),
    ("Commit", "Blocks"),
    ("NewView",),
    ("NewView", "Prepare"),
)
"""Kinds that reach only a few in a round: one view prepares, decides or begins for them alone."""
MUTED_TOGETHER = (
    ("ViewChange",),
    ("ViewChange", "NewView"),
    ("PrePrepare", "Prepare", "Commit"),
    ("Status",),
)
"""Kinds that some members cannot make heard in a round."""
OUTAGE_MS = (17_000, 20_000)
"""A blackout outlasts the age that a fresh block may have, by more than clocks differ."""
ROUND_MS = (150, 250, 300, 350, 500)
"""About as long as a view lasts that decides nothing, so that each round spoils another view."""
ROUNDS_MAX = 10

FaultT = TypeVar("FaultT", bound=Fault)


def draw_plan(rng: random.Random, n: int, quorum: int, f: int, profile: Profile) -> FaultPlan:
    """Draw the faults of one run of `n` members with certificates of `quorum` and `f` faults."""

    def enabled(permille: int) -> bool:
        return not profile.is_gentle and rng.randrange(1000) < permille

    faulty = sorted(rng.sample(range(n), rng.randint(1, f)))
    faulty = faulty if enabled(profile.faulty_permille) else []
    unsound = tuple(i for i in faulty if enabled(profile.unsound_permille))
    identities = (*range(n), *(i for i in faulty if i not in unsound))
    count = len(identities)
    liars = tuple(i for i in range(n, count) if enabled(profile.liar_permille))
    links = LinkQuality(
        loss_permille=rng.randint(1, LOSS_PERMILLE_MAX) if enabled(profile.other_permille) else 0,
        duplication_permille=(
            rng.randint(1, DUPLICATION_PERMILLE_MAX) if enabled(profile.other_permille) else 0
        ),
        delay_min_ms=rng.randint(1, 10),
        delay_mean_ms=rng.choice((1, 2, 5, 10, 30, 100)) if enabled(700) else 1,
        is_fifo=not enabled(600),
    )
    faults = [
        fault
        for permille, draw in (
            (profile.partition_permille, _draw_partitions),
            (profile.crash_permille, _draw_crashes),
            (profile.censor_permille, _draw_censors),
            (profile.rotation_permille, _draw_rotation),
            (profile.split_permille, _draw_split),
            (profile.other_permille, _draw_clogs),
            (profile.other_permille, _draw_pauses),
            (1000, _draw_questions),
        )
        if enabled(permille)
        for fault in draw(rng, count, profile.safety_ms)
    ]
    faults += [_draw_unsound(rng, i, profile.safety_ms) for i in unsound]
    core = tuple(sorted(rng.sample([i for i in range(n) if i not in faulty], quorum)))
    outside = [i for i in range(count) if i not in core]
    down = tuple(i for i in outside if enabled(500))
    told = (*core, *(i for i in outside if i not in down and not enabled(300)))
    if enabled(profile.few_told_permille):
        told = tuple(sorted(rng.sample(core, f + 1)))
    skewed = enabled(profile.other_permille)
    plan = FaultPlan(
        n=n,
        identities=identities,
        liars=liars,
        flooders=tuple(i for i in liars if enabled(profile.flooder_permille)),
        unsound=unsound,
        dice=rng.getrandbits(32),
        links=links,
        skew_ms=_draw_each(rng, count, SKEW_MS_MAX if skewed else 0),
        drift_permille=_draw_each(rng, count, DRIFT_PERMILLE_MAX if skewed else 0),
        faults=tuple(faults),
        safety_ms=profile.safety_ms,
        prefix=rng.randrange(PREFIX_MAX + 1),
        submissions=_draw_submissions(rng, profile),
        down_in_liveness=down,
        core=core,
        told=told,
    )
    plan = _black_out(rng, plan) if enabled(profile.blackout_permille) else plan
    return plan if profile.is_gentle else _add_newer(plan, profile)


def _add_newer(plan: FaultPlan, profile: Profile) -> FaultPlan:
    """Faults from dice of their own, so that the schedules of older seeds stay what they were."""
    rng = random.Random(plan.dice)

    def enabled(permille: int) -> bool:
        return rng.randrange(1000) < permille

    full: list[Fault] = []
    if enabled(profile.full_permille):
        for _ in range(rng.randint(1, 4)):
            start, end = _draw_span(rng, plan.safety_ms, 1_500)
            instance = rng.randrange(len(plan.identities))
            if not any(
                f.start_ms < start < f.end_ms for f in plan.faults if isinstance(f, Blackout)
            ):
                full.append(DiskFull(start_ms=start, end_ms=end, instance=instance))
    disrupters = tuple(i for i in plan.liars if enabled(profile.disrupter_permille))
    faults = tuple(
        replace(fault, is_wiped=True)
        if isinstance(fault, LogLoss) and enabled(profile.wiped_permille)
        else fault
        for fault in plan.faults
    )
    plan = replace(plan, faults=(*faults, *full), disrupters=disrupters)
    plan = add_changes(rng, plan) if enabled(profile.changing_permille) else plan
    return add_upgrade(rng, plan) if enabled(profile.upgrade_permille) else plan


def _black_out(rng: random.Random, plan: FaultPlan) -> FaultPlan:
    """Put an outage into the plan, often after a while in which nothing could be decided.

    What was drawn for later comes after it. Clocks do not drift: they would differ by more
    than a fresh block is allowed to.
    """
    count = len(plan.identities)
    start = rng.randrange(300, plan.safety_ms)
    length = rng.randint(*OUTAGE_MS)
    before = rng.randint(10, 200)
    unseen = tuple(
        sorted(rng.sample(range(count), rng.randint(1, max(1, count - plan.n // 2 - 1))))
    )
    seen = tuple(i for i in range(count) if i not in unseen)
    prelude: list[Fault] = []
    if rng.randrange(4):  # A block is prepared, not decided, and some have never seen it.
        stopped = (("Commit", "Blocks"), ()), (("PrePrepare", "NewView", "ViewChange"), seen)
        prelude += [
            Censor(start_ms=start - before, end_ms=start, kinds=kinds, spared=spared)
            for kinds, spared in stopped
        ]
    return replace(
        plan,
        faults=(
            *(_later(fault, start, length) for fault in plan.faults),
            *prelude,
            Blackout(start_ms=start, end_ms=start + length),
        ),
        submissions=(
            *((at + length if at >= start else at, nonce) for at, nonce in plan.submissions),
            (start - before, len(plan.submissions) + 1),
        ),
        safety_ms=plan.safety_ms + length,
        drift_permille=(0,) * count,
    )


def _later(fault: FaultT, start_ms: int, length_ms: int) -> FaultT:
    if fault.start_ms < start_ms:
        return fault
    moved = replace(fault, start_ms=fault.start_ms + length_ms)
    return moved if isinstance(moved, Question) else replace(moved, end_ms=moved.end_ms + length_ms)


def _draw_each(rng: random.Random, count: int, bound: int) -> tuple[int, ...]:
    return tuple(rng.randint(-bound, bound) for _ in range(count))


def _draw_span(rng: random.Random, safety_ms: int, longest_ms: int) -> tuple[int, int]:
    start = rng.randrange(safety_ms)
    return start, start + rng.randint(20, longest_ms)


def _draw_groups(rng: random.Random, count: int) -> tuple[int, ...]:
    """Assign groups: uniform over members, a uniform size, or one instance alone."""
    shape = rng.randrange(3)
    if shape == 0:
        return tuple(rng.randrange(2) for _ in range(count))
    cut_off = rng.sample(range(count), 1 if shape == 1 else rng.randint(1, count - 1))
    return tuple(int(i in cut_off) for i in range(count))


def _draw_partitions(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    one_way_permille = rng.choice((0, 300, 1000))
    found: list[Fault] = []
    for _ in range(rng.randint(1, 6)):
        start, end = _draw_span(rng, safety_ms, 1_500)
        found.append(
            Partition(
                start_ms=start,
                end_ms=end,
                group_of=_draw_groups(rng, count),
                one_way=rng.randrange(1000) < one_way_permille,
                is_noticed=rng.randrange(2) == 0,
            )
        )
    return found


def _draw_crashes(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    found: list[Fault] = []
    everybody = rng.randrange(4) == 0  # A power cut: the correlated crash of a neighbourhood.
    for _ in range(rng.randint(1, 2 if everybody else 6)):
        start, end = _draw_span(rng, safety_ms, 1_000)
        found += [
            Crash(
                start_ms=start,
                end_ms=end + rng.randrange(100),
                instance=instance,
                effects=rng.choice((0, 1, 1, 2, 3, 5)),
                is_at_write=rng.randrange(2) == 0,
                kept_permille=rng.choice((0, 0, rng.randrange(1000), 1000)),
            )
            for instance in (range(count) if everybody else (rng.randrange(count),))
        ]
    return found


def _draw_censors(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    found: list[Fault] = []
    for _ in range(rng.randint(1, 5)):
        start, end = _draw_span(rng, safety_ms, 1_500)
        size = rng.choice((0, 1, 1, 1, rng.randint(1, count - 1)))
        spared = tuple(sorted(rng.sample(range(count), size)))
        kinds = rng.choice(CENSORED_TOGETHER)
        found.append(Censor(start_ms=start, end_ms=end, kinds=kinds, spared=spared))
    return found


def _draw_rotation(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    """Round after round, some kinds reach only a few, and a few are not heard.

    So one view after another prepares, or begins, with other members only: certificates of
    several views meet in a later one, and groups ask for different views.
    """
    found: list[Fault] = []
    start = rng.randrange(safety_ms // 2)
    kinds = rng.choice(ROTATED_TOGETHER)
    favoured_max = rng.choice((1, 1, 2, count // 2))
    is_muting = rng.randrange(2) == 0
    for _ in range(rng.randint(2, ROUNDS_MAX)):
        end = start + rng.choice(ROUND_MS)
        spared = tuple(sorted(rng.sample(range(count), rng.randint(0, favoured_max))))
        found.append(Censor(start_ms=start, end_ms=end, kinds=kinds, spared=spared))
        if is_muting:
            muted = tuple(sorted(rng.sample(range(count), rng.randint(1, count // 2))))
            unheard = rng.choice(MUTED_TOGETHER)
            found.append(Censor(start_ms=start, end_ms=end, kinds=unheard, spared=(), muted=muted))
        start = end
    return found


def _draw_split(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    """Up to healing nothing is decided; new views reach some, whom the others then lose.

    So at healing one group has entered a view that the other has given up, and each lacks the
    other's newest VIEW-CHANGE.
    """
    start = safety_ms - rng.randint(600, 2_500)
    turn = rng.randrange(start, safety_ms)
    some = tuple(sorted(rng.sample(range(count), rng.randint(1, count // 2))))
    rest = tuple(i for i in range(count) if i not in some)
    groups = ((some, some), (rest, rest)) if rng.randrange(2) else ((some, some),)
    return (
        Censor(start_ms=start, end_ms=safety_ms, kinds=("PrePrepare", "Commit"), spared=()),
        Censor(start_ms=start, end_ms=safety_ms, kinds=("NewView",), spared=some),
        *(
            Censor(start_ms=turn, end_ms=safety_ms, kinds=("ViewChange",), spared=own, muted=muted)
            for own, muted in groups
        ),
    )


def _draw_questions(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    return [
        Question(start_ms=rng.randrange(safety_ms), instance=rng.randrange(count))
        for _ in range(rng.randint(0, 6))
    ]


def _draw_unsound(rng: random.Random, member: int, safety_ms: int) -> Fault:
    start, end = _draw_span(rng, safety_ms, 1_000)
    if rng.randrange(2):
        return LogLoss(start_ms=start, end_ms=end, instance=member)
    return LogDamage(
        start_ms=start,
        end_ms=end,
        instance=member,
        place_permille=rng.randrange(1000),
        bit=rng.randrange(8),
    )


def _draw_clogs(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    found: list[Fault] = []
    for _ in range(rng.randint(1, 6)):
        start, end = _draw_span(rng, safety_ms, 1_000)
        source, target = rng.sample(range(count), 2)
        found.append(Clog(start_ms=start, end_ms=end, source=source, target=target))
    return found


def _draw_pauses(rng: random.Random, count: int, safety_ms: int) -> Sequence[Fault]:
    found: list[Fault] = []
    for _ in range(rng.randint(1, 3)):
        start, end = _draw_span(rng, safety_ms, 1_500)
        found.append(Pause(start_ms=start, end_ms=end, instance=rng.randrange(count)))
    return found


def _draw_submissions(rng: random.Random, profile: Profile) -> tuple[tuple[int, int], ...]:
    """Transactions in bursts, so that there are both busy and idle stretches."""
    total = rng.randint(3, profile.nonces_max)
    times: list[int] = []
    while len(times) < total:
        start = rng.randrange(profile.safety_ms)
        gap = rng.choice((0, 5, 50))
        times += [start + k * gap for k in range(rng.randint(1, 8))]
    return tuple((at, nonce) for nonce, at in enumerate(sorted(times[:total]), start=1))
