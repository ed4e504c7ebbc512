"""Many seeds on many processes: what `hearth fuzz` runs."""

import gc
import multiprocessing
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import final

from consensus.sim.faults import FAULTS, FaultPlan
from consensus.sim.minimise import minimise
from consensus.sim.profiles import MIX, PROFILES, Profile
from consensus.sim.replay import fails
from consensus.sim.trace import Step, describe
from consensus.sim.violation import InvariantViolation
from consensus.sim.world import World

NS = (4, 5, 6, 7)
"""Sizes of member sets from which a seed draws: 3f + 1 and all that lie between."""
QUARANTINED = "quarantined"
SEEDS_PER_TASK = 10
MINIMISE_RUNS_MAX = 1_500
"""Replays spent on shortening one failing run."""
MINIMISE_STEPS_MAX = 2_000_000
"""Steps in all of them together, about a minute: a run that hardly shortens must end, too."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A property that failed, and the run that shows it."""

    seed: int
    n: int
    profile: str
    """Name of the profile: `hearth fuzz --seed SEED --profile NAME` runs it again."""
    checker: str
    message: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """One run."""

    seed: int
    n: int
    profile: str
    trace_sha256: str
    messages: int
    blocks: int
    fired: dict[str, int]
    liveness_ms: int
    seconds: float
    """Of processor time."""
    violation: Violation | None

    def to_json(self) -> dict[str, object]:
        violation = self.violation
        return {
            "seed": self.seed,
            "n": self.n,
            "profile": self.profile,
            "trace_sha256": self.trace_sha256,
            "messages": self.messages,
            "blocks_decided": self.blocks,
            "faults_fired": self.fired,
            "liveness_ms": self.liveness_ms,
            "violation": None if violation is None else _violation_json(violation),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzReport:
    """A campaign."""

    seeds: int
    violations: tuple[Violation, ...]
    messages: int
    """Delivered to running replicas."""
    messages_per_s: int
    """For each core: over the processor time that the workers spent in runs."""
    seconds: float
    """Of wall time."""
    cpu_seconds: float
    """Of processor time, of all workers together."""
    faults_fired: dict[str, int]
    quarantined: int
    """Runs in which too many correct members had vote logs in doubt to demand that it goes on."""
    blocks_decided: int
    liveness_ms_max: int
    seeds_by_n: dict[int, int]

    def to_json(self) -> dict[str, object]:
        return {
            "seeds": self.seeds,
            "violations": len(self.violations),
            "violation_list": [_violation_json(violation) for violation in self.violations],
            "messages": self.messages,
            "messages_per_s": self.messages_per_s,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "faults_fired": self.faults_fired,
            "quarantined": self.quarantined,
            "blocks_decided": self.blocks_decided,
            "liveness_ms_max": self.liveness_ms_max,
            "seeds_by_n": {str(n): count for n, count in self.seeds_by_n.items()},
        }


def _violation_json(violation: Violation) -> dict[str, object]:
    return {
        "seed": violation.seed,
        "n": violation.n,
        "profile": violation.profile,
        "checker": violation.checker,
        "message": violation.message,
    }


def make_world(
    seed: int,
    ns: Sequence[int] = NS,
    profile: Profile | None = None,
    *,
    plan: FaultPlan | None = None,
    is_real: bool = False,
    is_recorded: bool = False,
) -> World:
    """The run of `seed`: its size, plan and dice all come from one random source.

    So does the profile, if none is given; a run of the mix is the same as one of the profile
    that it drew.
    """
    rng = random.Random(seed)
    n = rng.choice(tuple(ns))
    drawn = rng.choice(MIX)
    return World(rng, n, profile or drawn, plan=plan, is_real=is_real, is_recorded=is_recorded)


def run_seed(
    seed: int,
    ns: Sequence[int] = NS,
    profile: Profile | None = None,
    *,
    is_real: bool = False,
) -> SeedResult:
    """Run one seed; a violation is in the result, never raised."""
    world = make_world(seed, ns, profile, is_real=is_real)
    began = time.process_time()
    checker = message = ""
    blocks = liveness_ms = 0
    gc.disable()  # A run makes few cycles, and ends soon.
    try:
        result = world.run()
        blocks, liveness_ms = result.blocks, result.liveness_ms
    except InvariantViolation as error:
        checker, message = error.checker, str(error)
    except Exception:  # noqa: BLE001  # A core that raises has failed, whatever it raises.
        checker, message = "exception", traceback.format_exc(limit=-4)
    finally:
        gc.enable()
    violation: Violation | None = None
    if checker:
        violation = Violation(
            seed=seed,
            n=world.plan.n,
            profile=world.profile.name,
            checker=checker,
            message=message,
        )
    return SeedResult(
        seed=seed,
        n=world.plan.n,
        profile=world.profile.name,
        trace_sha256=world.trace.sha256(),
        messages=world.messages,
        blocks=blocks,
        fired={name: world.fired[name] for name in (*FAULTS, QUARANTINED)},
        liveness_ms=liveness_ms,
        seconds=time.process_time() - began,
        violation=violation,
    )


def run_seeds(
    seeds: Iterable[int],
    ns: Sequence[int] = NS,
    workers: int = 2,
    profile: Profile | None = None,
    *,
    is_real: bool = False,
    on_result: Callable[[SeedResult], None] | None = None,
) -> FuzzReport:
    """Run many seeds.

    Args:
        seeds: each is one run.
        ns: sizes of the member set from which each seed draws.
        workers: processes; 1 stays in this one.
        profile: bounds from which the faults are drawn; otherwise each seed draws one of the mix.
        is_real: Ed25519 in place of the stand-in.
        on_result: called in this process for every finished seed, for progress.
    """
    began = time.perf_counter()
    tally = _Tally(on_result)
    tasks = ((chunk, tuple(ns), profile, is_real) for chunk in _chunks(seeds))
    if workers <= 1:
        for task in tasks:
            tally.add(_run_chunk(task))
    else:
        # Spawned, not forked: each worker has its own PYTHONHASHSEED.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for results in pool.map(_run_chunk, tasks):
                tally.add(results)
    return tally.report(time.perf_counter() - began)


def _chunks(seeds: Iterable[int]) -> Iterator[tuple[int, ...]]:
    source = iter(seeds)
    while chunk := tuple(islice(source, SEEDS_PER_TASK)):
        yield chunk


def _run_chunk(
    task: tuple[tuple[int, ...], tuple[int, ...], Profile | None, bool],
) -> list[SeedResult]:
    seeds, ns, profile, is_real = task
    return [run_seed(seed, ns, profile, is_real=is_real) for seed in seeds]


@final
class _Tally:
    """Sums over the results of a campaign."""

    def __init__(self, on_result: Callable[[SeedResult], None] | None) -> None:
        self._on_result = on_result
        self._seeds = self._messages = self._blocks = self._liveness_ms = 0
        self._seconds = 0.0
        self._fired: Counter[str] = Counter()
        self._by_n: Counter[int] = Counter()
        self._violations: list[Violation] = []

    def add(self, results: list[SeedResult]) -> None:
        for result in results:
            self._seeds += 1
            self._messages += result.messages
            self._blocks += result.blocks
            self._seconds += result.seconds
            self._liveness_ms = max(self._liveness_ms, result.liveness_ms)
            self._fired.update(result.fired)
            self._by_n[result.n] += 1
            if result.violation is not None:
                self._violations.append(result.violation)
            if self._on_result is not None:
                self._on_result(result)

    def report(self, wall_s: float) -> FuzzReport:
        return FuzzReport(
            seeds=self._seeds,
            violations=tuple(self._violations),
            messages=self._messages,
            messages_per_s=int(self._messages / self._seconds) if self._seconds else 0,
            seconds=wall_s,
            cpu_seconds=self._seconds,
            faults_fired={name: self._fired[name] for name in FAULTS},
            quarantined=self._fired[QUARANTINED],
            blocks_decided=self._blocks,
            liveness_ms_max=self._liveness_ms,
            seeds_by_n=dict(sorted(self._by_n.items())),
        )


def explain(
    violation: Violation,
    ns: Sequence[int] = NS,
    *,
    is_real: bool = False,
) -> list[str]:
    """The shortest run found that still shows `violation`, as lines for a reader.

    A broken safety property is shown by a few steps; a run that gets stuck, by a few faults.
    """
    profile = PROFILES[violation.profile]
    world = make_world(violation.seed, ns, profile, is_real=is_real, is_recorded=True)
    plan = world.plan
    try:
        world.run()
    except InvariantViolation:
        pass
    except Exception:  # noqa: BLE001  # As in `run_seed`.
        return [violation.message, *describe(world.trace.steps[-20:])]
    if fails(plan, world.trace.steps, violation.checker, is_real=is_real):
        steps = _shorten(plan, world.trace.steps, violation.checker, is_real=is_real)
        return [f"profile {profile.name}, twins {plan.twins}", *describe(steps)]

    def is_stuck(shorter: FaultPlan) -> bool:
        again = make_world(violation.seed, ns, profile, plan=shorter, is_real=is_real)
        try:
            again.run()
        except InvariantViolation as error:
            return error.checker == violation.checker
        return False

    short_faults = minimise(
        plan.faults, lambda few: is_stuck(replace(plan, faults=tuple(few))), budget=60
    )
    smaller = replace(plan, faults=tuple(short_faults))
    return [str(replace(smaller, faults=())), *(str(fault) for fault in smaller.faults)]


def _shorten(plan: FaultPlan, steps: Sequence[Step], checker: str, *, is_real: bool) -> list[Step]:
    left = MINIMISE_STEPS_MAX

    def still_fails(shorter: Sequence[Step]) -> bool:
        nonlocal left
        left -= len(shorter)
        return left > 0 and fails(plan, shorter, checker, is_real=is_real)

    return minimise(steps, still_fails, budget=MINIMISE_RUNS_MAX)
