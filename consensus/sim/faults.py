"""The faults of one run, as values drawn from the seed before it starts.

Swarm testing (Groce et al., ISSTA 2012): each seed enables a random subset of the faults, each
with a random strength, because runs in which everything happens at once hide the bugs that need
a long quiet stretch. A plan is a value, so a failing one can be printed and shortened.
"""

from dataclasses import dataclass
from enum import Enum
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
    "selective_loss",
    "blackout",
    "log_lost",
    "log_damaged",
    "twins",
    "liar",
    "flood",
    "false_answer",
    "mutation",
    "disk_full",
    "wiped",
    "admitted",
    "evicted",
    "rotated",
    "reincarnated",
    "rested",
    "upgraded",
)
"""Names under which a run counts how often each fault fired."""

TOLERANCE_MS = 2_000
"""How far ahead of a clock a fresh block's time may lie (the toy application's rule)."""
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
    muted: tuple[int, ...] = ()
    """Only what these instances send is stopped (selective loss); of all, if there are none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """All instances lose power at once, for so long that a block proposed before it is old."""

    start_ms: int
    end_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogLoss:
    """Instance crashes and comes back with its chain and without its vote log (rule 25)."""

    start_ms: int
    end_ms: int
    instance: int
    is_wiped: bool = False
    """Whether the chain is lost, too."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogDamage:
    """Instance crashes, and one bit of what it had synced to its vote log turns (rule 26)."""

    start_ms: int
    end_ms: int
    instance: int
    place_permille: int
    """Which byte, as a share of the log."""
    bit: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull:
    """No write of an instance goes through: it stops at the first, and at each after a start."""

    start_ms: int
    end_ms: int
    instance: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFreed:
    """There is room again; ends a `DiskFull`."""

    instance: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The signer of an instance is asked to repeat its newest votes, and to belie them.

    No fault of anybody: it looks whether a restart or a rewritten log has made it forget
    (rule 24). Every other guard of the core would have to fail before a message could ask.
    """

    start_ms: int
    instance: int


class ChangeKind(Enum):
    """What a change does to the member set."""

    ADMIT = "admitted"
    EVICT = "evicted"
    ROTATE = "rotated"
    REINCARNATE = "reincarnated"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the member set that a client hands in; keys are numbers."""

    kind: ChangeKind
    key: int
    """Who is admitted, or the member that it is about."""
    new_key: int = 0
    """That takes the place of `key`, where it rotates."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Instance stops, and starts again with software that knows the new rules."""

    start_ms: int
    end_ms: int
    instance: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """From a height on, blocks are made by rules that older software does not know."""

    first_height: int
    old: tuple[int, ...]
    """Instances that run such software until a `Renewal`."""


Fault = (
    Partition
    | Clog
    | Crash
    | Pause
    | Censor
    | Blackout
    | LogLoss
    | LogDamage
    | DiskFull
    | Question
    | Renewal
)
Spoiling = LogLoss | LogDamage | DiskFull | DiskFreed | Renewal
"""What happens to the disk of an instance, or to the software on it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All that will go wrong in a run of the cluster `identities`.

    Keys have numbers: the founders' are 0..n-1, in the order of the keys, so that they are their
    indexes in the first epoch; those of later members follow.
    """

    n: int
    """Founders."""
    identities: tuple[int, ...]
    """Key of each instance: 0..n-1, the second instance of each twin, who comes later."""
    liars: tuple[int, ...]
    """Second instances that are no replicas but say anything."""
    flooders: tuple[int, ...] = ()
    """Those of them that also send more than anybody could keep."""
    disrupters: tuple[int, ...] = ()
    """Those that change real messages at random."""
    unsound: tuple[int, ...] = ()
    """Members whose disk breaks its word: they run our code and count among the f faulty."""
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
    changes: tuple[Change, ...] = ()
    """Of the member set; handed in as transactions with the nonces from CHANGE_NONCES_FIRST on."""
    newcomers: int = 0
    """Instances, the last ones, that are no founders'."""
    upgrade: Upgrade | None = None
    """Of the rules, once in the run."""

    @property
    def twins(self) -> tuple[int, ...]:
        """Founders that run twice, or run and lie: the Byzantine members."""
        return self.identities[self.n : len(self.identities) - self.newcomers]

    @property
    def seconds(self) -> range:
        """The second instances of twins."""
        return range(self.n, len(self.identities) - self.newcomers)

    @property
    def faulty(self) -> frozenset[int]:
        """Founders, at most f of any member set, that are held to no property."""
        return frozenset((*self.twins, *self.unsound))

    @property
    def faulty_keys(self) -> frozenset[int]:
        """Their keys, and those that take the place of these."""
        found = set(self.faulty)
        for change in self.changes:
            if change.kind is ChangeKind.ROTATE and change.key in found:
                found.add(change.new_key)
        return frozenset(found)

    @property
    def has_blackout(self) -> bool:
        """Whether a proposal may come to its readers so late that it is refused by the clock."""
        return any(isinstance(fault, Blackout) for fault in self.faults)
