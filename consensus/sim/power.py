"""Power loss at every write point: what `hearth fuzz --power` runs.

A calm run is played once to count its writes: each `Persist` of each member, and each block that
a member stores. Then it is played again for each of them, and in the middle of that write all
members lose power. All start again, or all but one, and go on. Nothing that was acknowledged, which
is a block that anybody stored, may be lost, and nobody may sign twice; the checkers see to both.
"""

import multiprocessing
import random
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import final

from consensus.events import Event, PeerUp, Tick
from consensus.membership import MemberIndex
from consensus.messages import Message
from consensus.sim.cluster import Cluster
from consensus.sim.community import Ready
from consensus.sim.faults import Crash
from consensus.sim.stage import calm_plan
from consensus.sim.trace import Said
from consensus.sim.violation import InvariantViolation

NONCES = 6
"""Transactions of a run: some three to six blocks."""
KEPT_PERMILLE = (0, 500, 1000)
"""How much of the write under way is on the disk when the power fails."""
EXCHANGES_MAX = 20_000
RECOVERY_MS = 20_000
FRESH = 1_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where the power fails: in a member's `place`-th write of one sort, counted from 1."""

    member: int
    is_block: bool
    """In the batch that stores a block, which is there whole or not; else in the vote log."""
    place: int
    kept_permille: int
    stays_down: bool
    """Whether the member does not come back until the others have recovered."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PowerResult:
    """One schedule."""

    seed: int
    cut: Cut
    has_fired: bool
    acknowledged: int
    """Blocks that anybody had stored when the power failed."""
    checker: str
    message: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReport:
    """A campaign."""

    schedules: int
    cuts: dict[str, int]
    """Power cuts by the sort of write that they hit."""
    acknowledged: int
    violations: tuple[PowerResult, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        return {
            "schedules": self.schedules,
            "cuts": self.cuts,
            "acknowledged_blocks": self.acknowledged,
            "violations": len(self.violations),
            "violation_list": [
                {"seed": v.seed, "cut": str(v.cut), "checker": v.checker, "message": v.message}
                for v in self.violations
            ],
            "seconds": round(self.seconds, 1),
        }


@final
class PowerRun:
    """A cluster whose messages arrive in an order that one seed gives, until the power fails."""

    def __init__(self, seed: int, cut: Cut | None = None) -> None:
        self._random = random.Random(seed)
        self._cut = cut
        self._n = self._random.choice((4, 4, 5, 7))
        self._now_ms = 0
        self._in_flight: list[tuple[int, int, Message]] = []
        self._answers: list[tuple[int, Event]] = []
        self.has_failed = False
        self.cluster = Cluster(calm_plan(self._n), self)
        self.instances = self.cluster.instances
        self.acknowledged = 0

    def run(self) -> None:
        """Work, fail, recover.

        Raises:
            InvariantViolation: a property failed.
        """
        everybody = range(self._n)
        self._start(everybody)
        self._exchange()
        if self._cut is not None and not self._cut.is_block:
            self._arm(self._cut)
        for nonce in range(1, NONCES + 1):
            self._submit(nonce, everybody)
            if self._random.randrange(2):
                self._exchange(limit=self._random.randrange(40))
        if not self.has_failed:
            self._work(everybody, set(range(1, NONCES + 1)))
        if self._cut is None or not self.has_failed:
            return
        down = self._cut.member if self._cut.stays_down else None
        waking = [i for i in everybody if i != down]
        self._recover(waking)
        if down is not None:
            self._recover([down])
        self._require_equal()

    # What the cluster tells its driver.

    def entered(self, instance: int) -> None:
        """The member set does not change."""

    def send(self, source: int, member: int | None, message: Said) -> None:
        assert not isinstance(message, Ready), "the member set does not change"
        for target in range(self._n):
            if target != source and member in (None, target):
                self._in_flight.append((source, target, message))

    def request(self, instance: int, answer: Event) -> None:
        self._answers.append((instance, answer))

    def stopped(self, instance: int) -> None:
        """One lost power, so all did: they share the line."""
        if not self.has_failed:
            self._fail()

    def _fail(self) -> None:
        self.has_failed = True
        self.acknowledged = max(len(instance.disk.blocks) for instance in self.instances)
        for instance in self.instances:
            instance.arm_stop(Crash(start_ms=0, end_ms=0, instance=instance.index))
        self._in_flight.clear()
        self._answers.clear()

    # What happens.

    def _arm(self, cut: Cut) -> None:
        instance = self.instances[cut.member]
        crash = Crash(
            start_ms=0,
            end_ms=0,
            instance=cut.member,
            effects=cut.place,
            is_at_write=True,
            kept_permille=cut.kept_permille,
        )
        instance.arm_stop(crash)

    def _start(self, members: range | list[int]) -> None:
        for i in members:
            self.instances[i].start(self._now_ms)
        for i in range(self._n):
            for j in range(self._n):
                if i != j and (i in members or j in members) and self.instances[j].replica:
                    self.instances[i].step(PeerUp(MemberIndex(j)), self._now_ms)

    def _submit(self, nonce: int, members: range | list[int]) -> None:
        self.cluster.checkers.validity.submitted.add(nonce)
        for i in members:
            self.instances[i].submit(nonce, self._now_ms)

    def _recover(self, members: list[int]) -> None:
        """Start them; what clients want is executed by all that run, and something new."""
        self._now_ms += 100
        self._start(members)
        running = [i for i in range(self._n) if self.instances[i].replica is not None]
        wanted = {*range(1, NONCES + 1), FRESH + len(running)}
        for nonce in sorted(wanted):
            self._submit(nonce, running)
        self._work(running, wanted)
        for i in running:
            self.instances[i].question()

    def _work(self, members: range | list[int], wanted: set[int]) -> None:
        has_failed = self.has_failed
        end_ms = self._now_ms + RECOVERY_MS
        while not all(wanted <= self.instances[i].app.executed for i in members):
            self._exchange()
            if self.has_failed and not has_failed:
                return
            wakes = [at for i in self.instances if (at := i.wake_ms()) is not None]
            self._now_ms = max(self._now_ms + 1, min(wakes))
            if self._now_ms > end_ms:
                raise InvariantViolation("liveness", f"members {list(members)} are stuck")
            for instance in self.instances:
                wake = instance.wake_ms()
                if wake is not None and wake <= self._now_ms:
                    instance.step(Tick(), self._now_ms)
        self._exchange()

    def _exchange(self, limit: int = EXCHANGES_MAX) -> None:
        """Deliver and answer one thing after another, in a random order."""
        for _ in range(limit):
            total = len(self._in_flight) + len(self._answers)
            if total == 0:
                return
            place = self._random.randrange(total)
            if place < len(self._in_flight):
                source, target, message = self._in_flight.pop(place)
                self.instances[target].receive(source, message, self._now_ms)
            else:
                self._answer(*self._answers.pop(place - len(self._in_flight)))

    def _answer(self, i: int, answer: Event) -> None:
        cut, instance = self._cut, self.instances[i]
        before = len(instance.disk.blocks)
        is_here = (
            cut is not None
            and cut.is_block
            and not self.has_failed
            and cut.member == i
            and any(owed[0] == answer and owed[1] is not None for owed in instance.outstanding)
            and cut.place == before + 1
        )
        if is_here and cut is not None and cut.kept_permille == 0:
            self._fail()
            return
        instance.answer(answer, self._now_ms)
        if is_here and not self.has_failed:
            self._fail()  # The block is there, and nobody heard of it.

    def _require_equal(self) -> None:
        """Everybody holds every block that was acknowledged, and the same."""
        chains = [[block.digest for block in i.disk.blocks] for i in self.instances]
        shortest = min(len(chain) for chain in chains)
        if shortest < self.acknowledged or any(
            c[:shortest] != chains[0][:shortest] for c in chains
        ):
            raise InvariantViolation("acknowledged", f"chains of {[len(c) for c in chains]} blocks")


def cuts_of(seed: int) -> list[Cut]:
    """All write points of a run, counted in one without a cut."""
    run = PowerRun(seed)
    run.run()
    found: list[Cut] = []
    for i, instance in enumerate(run.instances):
        for is_block, writes in ((False, instance.writes), (True, len(instance.disk.blocks))):
            found += [
                Cut(
                    member=i,
                    is_block=is_block,
                    place=place,
                    kept_permille=kept,
                    stays_down=(place + i + seed) % 3 == 0,
                )
                for place in range(1, writes + 1)
                for kept in (KEPT_PERMILLE if not is_block else (0, 1000))
            ]
    return found


def schedules() -> Iterator[tuple[int, Cut]]:
    """Every write point of the run of seed 0, of seed 1, and so on."""
    for seed in count():
        for cut in cuts_of(seed):
            yield seed, cut


def run_schedule(seed: int, cut: Cut) -> PowerResult:
    """Play one schedule; a violation is in the result, never raised."""
    run = PowerRun(seed, cut)
    checker = message = ""
    try:
        run.run()
    except InvariantViolation as error:
        checker, message = error.checker, str(error)
    except Exception:  # noqa: BLE001  # A core that raises has failed, whatever it raises.
        checker, message = "exception", traceback.format_exc(limit=-4)
    return PowerResult(
        seed=seed,
        cut=cut,
        has_fired=run.has_failed,
        acknowledged=run.acknowledged,
        checker=checker,
        message=message,
    )


def run_power(
    number: int, *, workers: int = 1, on_result: Callable[[PowerResult], None] | None = None
) -> PowerReport:
    """Play the first `number` schedules."""
    began = time.perf_counter()
    tasks = list(islice(schedules(), number))
    results: list[PowerResult] = []

    def done(result: PowerResult) -> None:
        results.append(result)
        if on_result is not None:
            on_result(result)

    if workers <= 1:
        for task in tasks:
            done(run_schedule(*task))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for result in pool.map(run_schedule, *zip(*tasks, strict=True), chunksize=20):
                done(result)
    fired = [result for result in results if result.has_fired]
    return PowerReport(
        schedules=len(results),
        cuts={
            "vote_log": sum(not result.cut.is_block for result in fired),
            "block_store": sum(result.cut.is_block for result in fired),
        },
        acknowledged=sum(result.acknowledged for result in fired),
        violations=tuple(result for result in results if result.checker),
        seconds=time.perf_counter() - began,
    )
