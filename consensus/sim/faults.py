"""The faults of one run, as values drawn from the seed before it starts.

Swarm testing (Groce et al., ISSTA 2012): each seed enables a random subset of the faults, each
with a random strength, because runs in which everything happens at once hide the bugs that need
a long quiet stretch. A plan is a value, so a failing one can be printed and shortened.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

FAULTS = (
    "loss",
    "duplication",
    "reordering",
    "delay",
    "clogging",
    "censorship",
    "partition_symmetric",
    "partition_asymmetric",
    "clock_skew",
    "crash",
    "lost_unsynced",
    "torn_write",
    "pause",
    "twins",
    "liar",
)
"""Names under which a run counts how often each fault fired."""

LOSS_PERMILLE_MAX = 300
DUPLICATION_PERMILLE_MAX = 500
TOLERANCE_MS = 2_000
"""How far ahead of a clock a fresh block's time may lie (the toy application's rule)."""
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
PREFIX_MAX = 15
"""One less than a term: the first hand-over can be anywhere in the run."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """What every link does to every message during the safety phase."""

    loss_permille: int = 0
    duplication_permille: int = 0
    delay_min_ms: int = 1
    delay_mean_ms: int = 2
    """Mean of the exponential part, on top of the minimum."""
    is_fifo: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.loss_permille <= 1000 or not 0 <= self.duplication_permille <= 1000:
            raise ValueError("loss and duplication are permille, 0..1000")
        if self.delay_min_ms < 1 or self.delay_mean_ms < 1:
            raise ValueError("delays are at least 1 ms: a message never arrives as it leaves")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """From `start_ms` to `end_ms`, instances of different groups hear nothing of each other.

    With `one_way`, only what goes from the first group to the others is lost.
    """

    start_ms: int
    end_ms: int
    group_of: tuple[int, ...]
    """Group number of each instance."""
    one_way: bool = False
    is_noticed: bool = True
    """Whether the transports report the broken links (PeerDown) or keep silent."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Clog:
    """A link that holds all it is given until `end_ms`."""

    start_ms: int
    end_ms: int
    source: int
    target: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Instance stops before the `effects`-th effect (or write) it performs after `start_ms`.

    If that effect is a write, it has begun and is not synced: `kept_permille` of its bytes
    survive. The instance starts again at `end_ms` from what its disk holds.
    """

    start_ms: int
    end_ms: int
    instance: int
    effects: int = 0
    """0: at once, between two steps."""
    is_at_write: bool = False
    """Count writes to the vote log only, so that the power fails in one."""
    kept_permille: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Instance does nothing (a stopped process), then finds all that came in its inbox."""

    start_ms: int
    end_ms: int
    instance: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Censor:
    """Messages of some kinds reach only the instances in `spared`.

    What a schedule of random losses almost never does: one member decides and nobody else, one
    prepares and nobody else, a new view reaches half.
    """

    start_ms: int
    end_ms: int
    kinds: tuple[str, ...]
    """Names of message classes."""
    spared: tuple[int, ...]


Fault = Partition | Clog | Crash | Pause | Censor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All that will go wrong in a run of the cluster `identities`."""

    n: int
    identities: tuple[int, ...]
    """Member index of each instance: 0..n-1, then the second instance of each twin."""
    liars: tuple[int, ...]
    """Second instances that are no replicas but say anything."""
    dice: int
    """Seed of the liars' dice."""
    links: LinkQuality
    skew_ms: tuple[int, ...]
    """Offset of each instance's wall clock."""
    drift_permille: tuple[int, ...]
    """How much faster each instance's clocks run."""
    faults: tuple[Fault, ...]
    safety_ms: int
    prefix: int
    """Sealed blocks that the chain has at the start: a term may end soon."""
    submissions: tuple[tuple[int, int], ...]
    """(at_ms, nonce): when a client hands in which transaction."""
    down_in_liveness: tuple[int, ...]
    """Instances outside the core that stay down after healing."""
    core: tuple[int, ...]
    """The q correct instances that must make progress after healing."""
    told: tuple[int, ...]
    """The instances that clients reach after healing: a primary that is not censors, in effect."""

    @property
    def twins(self) -> tuple[int, ...]:
        """Member indexes that run twice, or run and lie: the Byzantine members."""
        return self.identities[self.n :]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Bounds from which a plan is drawn, and switches for directed campaigns."""

    safety_ms: int = 4_000
    nonces_max: int = 40
    fault_probability: int = 500
    """Permille with which each kind of fault is enabled in a seed."""
    twins_permille: int = 400
    liar_permille: int = 350
    """Of the second instances."""
    crash_permille: int = 600
    partition_permille: int = 600
    censor_permille: int = 400
    is_gentle: bool = False
    """Perfect links and no faults (a baseline)."""


DEFAULT = Profile()
GENTLE = Profile(is_gentle=True)
CENSORED = Profile(censor_permille=1000, partition_permille=200, crash_permille=200)
TWINS = Profile(twins_permille=1000, partition_permille=900, crash_permille=200)
LIARS = Profile(twins_permille=1000, liar_permille=1000, censor_permille=1000, crash_permille=200)
CRASHES = Profile(twins_permille=0, crash_permille=1000)
PARTITIONS = Profile(twins_permille=0, partition_permille=1000, crash_permille=100)


def draw_plan(rng: random.Random, n: int, quorum: int, f: int, profile: Profile) -> FaultPlan:
    """Draw the faults of one run of `n` members with certificates of `quorum` and `f` faults."""

    def enabled(permille: int) -> bool:
        return not profile.is_gentle and rng.randrange(1000) < permille

    twins = _draw_twins(rng, n, f) if enabled(profile.twins_permille) else ()
    identities = (*range(n), *twins)
    count = len(identities)
    links = LinkQuality(
        loss_permille=rng.randint(1, LOSS_PERMILLE_MAX) if enabled(500) else 0,
        duplication_permille=rng.randint(1, DUPLICATION_PERMILLE_MAX) if enabled(500) else 0,
        delay_min_ms=rng.randint(1, 10),
        delay_mean_ms=rng.choice((1, 2, 5, 10, 30, 100)) if enabled(700) else 1,
        is_fifo=not enabled(600),
    )
    skewed = enabled(500)
    faults: list[Fault] = []
    if enabled(profile.partition_permille):
        faults += _draw_partitions(rng, count, profile.safety_ms)
    if enabled(profile.crash_permille):
        faults += _draw_crashes(rng, count, profile.safety_ms)
    if enabled(profile.censor_permille):
        faults += _draw_censors(rng, count, profile.safety_ms)
    if enabled(400):
        faults += _draw_clogs(rng, count, profile.safety_ms)
    if enabled(400):
        faults += _draw_pauses(rng, count, profile.safety_ms)
    correct = [i for i in range(n) if i not in twins]
    core = tuple(sorted(rng.sample(correct, quorum)))
    outside = [i for i in range(count) if i not in core]
    down = tuple(i for i in outside if enabled(500))
    told = (i for i in outside if i not in down and not enabled(300))
    return FaultPlan(
        n=n,
        identities=identities,
        liars=tuple(i for i in range(n, count) if enabled(profile.liar_permille)),
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
        told=(*core, *told),
    )


def _draw_twins(rng: random.Random, n: int, f: int) -> tuple[int, ...]:
    return tuple(sorted(rng.sample(range(n), rng.randint(1, f))))


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
