"""The deterministic simulator: one seed, one run, in two phases.

Safety phase: faults of every kind, clients all along; nothing may ever go wrong. Liveness
phase (after TigerBeetle's VOPR): a core of q correct instances is healed, everything else may
stay dead or Byzantine; all that clients handed in must commit soon, and then quiet must come.
"""

import random
from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import final

from consensus.events import Event, Tick
from consensus.sim.aftermath import Core, require_quiet, view_of, why_stuck
from consensus.sim.cluster import Cluster
from consensus.sim.faults import (
    Blackout,
    Censor,
    Clog,
    Crash,
    DiskFreed,
    DiskFull,
    FaultPlan,
    LogDamage,
    LogLoss,
    Partition,
    Pause,
    Question,
    Renewal,
    Spoiling,
)
from consensus.sim.memory import require_bounded
from consensus.sim.network import PERFECT, Network
from consensus.sim.plans import draw_plan
from consensus.sim.profiles import DEFAULT, Profile
from consensus.sim.result import RunResult
from consensus.sim.seat import holders
from consensus.sim.trace import (
    Answer,
    Ask,
    Deliver,
    Link,
    Said,
    Spoil,
    Start,
    Stop,
    Submit,
    Trace,
    Wake,
    fingerprint,
)
from consensus.sim.violation import InvariantViolation, certificate_size

LIVENESS_MS_MAX = 15_000
"""Virtual time in which the healed core must have executed everything."""
FEW_TOLD_MS_MAX = 40_000
"""The same where clients reach f + 1 members only: views pass until one of these leads."""
FRESH_NONCES = 3
FRESH_NONCES_FIRST = 1_000_000
"""Transactions that come only after healing."""
CHANGING_SETTLE_MS = 8_000
"""The same where the member set may change once more, and again."""
SETTLE_MS = 4_000
"""How long the run goes on after that, to see that it becomes quiet."""
QUIET_MS = 1_500
"""Last part of it, in which no instance of the core may build a block or write a vote."""
COMPUTE_MS_MAX = 6
"""The application answers after 0 to this many ms."""
NOTICE_MS_MAX = 50
"""The transport notices a broken or mended link after 1 to this many ms."""

_DELIVER, _WAKE, _ANSWER, _SUBMIT, _LINK, _STOP, _START, _FAULT, _MEND, _SPOIL = range(10)

_UNPAUSED = frozenset((_STOP, _START, _FAULT, _MEND, _SPOIL))
"""What happens to an instance, or to the network, also while the instance is paused."""


@final
class World:
    """One run. The random source decides everything that the plan does not."""

    def __init__(
        self,
        rng: random.Random,
        n: int,
        profile: Profile = DEFAULT,
        *,
        plan: FaultPlan | None = None,
        is_real: bool = False,
        is_recorded: bool = False,
    ) -> None:
        self.profile = profile
        drawn = draw_plan(rng, n, certificate_size(n), (n - 1) // 3, profile)
        self.plan = plan or drawn
        self._random = rng
        self.trace = Trace(is_kept=is_recorded)
        self.cluster = Cluster(self.plan, self, is_real=is_real)
        self._instances = self.cluster.instances
        self.fired: Counter[str] = self.cluster.fired
        self._network = Network(rng, len(self._instances), self.plan.links, self.fired)
        members = self.plan.identities
        self._others = [[j for j, m in enumerate(members) if m != own] for own in members]
        self._of_key = holders(self.plan)
        self._seconds = self.plan.seconds
        self._core = Core(self.cluster)
        self._now = 0
        self._order = 0
        self._queue: list[tuple[int, int, int, int, object, object]] = []
        self._wake: list[int | None] = [None] * len(members)
        self._paused_until = [0] * len(members)
        self._wanted = {nonce for _, nonce in self.plan.submissions}
        self._is_watched = False
        self._told: set[int] = set()  # Reached by clients since they started, after healing.
        self._is_done = False
        self.messages = 0

    def run(self) -> RunResult:
        """Run both phases.

        Raises:
            InvariantViolation: a property failed.
        """
        plan = self.plan
        for i in range(len(self._instances)):
            self._push(self._random.randint(0, 20), _START, i)
        for at_ms, nonce in plan.submissions:
            self.cluster.checkers.validity.submitted.add(nonce)
            for i in range(len(self._instances)):
                self._push(at_ms + self._random.randint(0, 20), _SUBMIT, i, nonce)
        for fault in plan.faults:
            self._push(fault.start_ms, _FAULT, 0, fault)
        self.fired["clock_skew"] += sum(1 for ms in plan.skew_ms if ms)
        self._run_until(plan.safety_ms)
        self._heal()
        healed_ms = self._now
        is_core_told = set(self._core.members) <= set(self._core.told())
        self._run_until(healed_ms + (LIVENESS_MS_MAX if is_core_told else FEW_TOLD_MS_MAX))
        self._core.follow()
        if self._is_done:
            done_ms = self._now
            self._settle(done_ms)
        elif self._core.is_enough:
            raise InvariantViolation("liveness", why_stuck(self._core.instances, self._wanted))
        else:
            self.fired["quarantined"] += 1
            done_ms = healed_ms
        core = self._core.instances or self._instances
        return RunResult(
            n=plan.n,
            trace_sha256=self.trace.sha256(),
            messages=self.messages,
            blocks=min(len(instance.disk.blocks) for instance in core),
            fired=dict(self.fired),
            virtual_ms=self._now,
            liveness_ms=done_ms - healed_ms,
            view_max=max(view_of(instance) for instance in core),
        )

    # What the cluster tells its driver.

    def send(self, source: int, key: int | None, message: Said) -> None:
        targets = self._others[source] if key is None else self._of_key[key]
        instance = self._instances[source]
        sender = instance.member
        links = instance.seat.links
        if links is not None:
            targets = [j for j in targets if self._instances[j].member in links]
        name = fingerprint(message)
        arrivals = self._network.arrivals
        if self._network.censors:
            targets = self._network.spare(source, type(message).__name__, targets)
        for target in targets:
            for at in arrivals(self._now, source, target):
                self._order += 1
                heappush(self._queue, (at, self._order, _DELIVER, target, (sender, message), name))
        if source in self._seconds:
            self.fired["liar" if source in self.plan.liars else "twins"] += 1

    def request(self, instance: int, answer: Event) -> None:
        self._push(self._now + self._random.randint(0, COMPUTE_MS_MAX), _ANSWER, instance, answer)

    def entered(self, instance: int) -> None:
        self._notice_links(instance)

    def stopped(self, instance: int) -> None:
        self._wake[instance] = None
        if self._random.randrange(4):  # Otherwise nobody notices until it is back.
            self._notice_links(instance)

    # The queue.

    def _push(
        self, at_ms: int, kind: int, instance: int, a: object = None, b: object = None
    ) -> None:
        self._order += 1
        heappush(self._queue, (at_ms, self._order, kind, instance, a, b))

    def _run_until(self, end_ms: int) -> None:
        queue = self._queue
        while queue and queue[0][0] < end_ms and not self._is_done:
            at, _, kind, i, a, b = heappop(queue)
            if self._paused_until[i] > at and kind not in _UNPAUSED:
                self.fired["pause"] += 1
                self._push(self._paused_until[i], kind, i, a, b)
                continue
            self._now = at
            if kind == _DELIVER:
                self._deliver(at, i, a, b)
            elif kind == _WAKE:
                self._wake_up(at, i, a)
            else:
                self._do_rare(at, kind, i, a)
            self._schedule_wake(at, i)
        if not self._is_done:
            self._now = end_ms

    def _schedule_wake(self, at: int, i: int) -> None:
        wake = self._instances[i].wake_ms()
        if wake != self._wake[i]:
            self._wake[i] = wake
            if wake is not None:
                self._push(max(wake, at + 1), _WAKE, i, wake)

    def _deliver(self, at: int, i: int, sent: object, name: object) -> None:
        instance = self._instances[i]
        if instance.replica is None:
            return
        assert isinstance(sent, tuple)
        sender, message = sent
        self.messages += 1
        self.trace.add(f"{at} {i} {sender} {name}")
        if self.trace.is_kept:
            self.trace.steps.append(Deliver(at, i, sender, message))
        instance.receive(sender, message, at)

    def _wake_up(self, at: int, i: int, wake: object) -> None:
        if self._wake[i] != wake:
            return  # The replica has changed its mind since.
        self._wake[i] = None
        self.trace.add(f"{at} {i} wake")
        if self.trace.is_kept:
            self.trace.steps.append(Wake(at, i))
        self._instances[i].step(Tick(), at)

    def _do_rare(self, at: int, kind: int, i: int, a: object) -> None:
        if kind == _ANSWER:
            self._answer(at, i, a)
        elif kind == _SUBMIT:
            assert isinstance(a, int)
            self.trace.add(f"{at} {i} submit {a}")
            if self.trace.is_kept:
                self.trace.steps.append(Submit(at, i, a))
            self._instances[i].submit(a, at)
        elif kind == _LINK:
            self._link(at, i, a)
        elif kind == _STOP:
            assert isinstance(a, Crash)
            self._stop(at, i, a)
        elif kind == _START:
            self._start(at, i)
        elif kind == _SPOIL:
            assert isinstance(a, Spoiling)
            self._spoil(at, i, a)
        else:
            self._fault(a, starts=kind == _FAULT)

    def _answer(self, at: int, i: int, event: object) -> None:
        answer: Event = event  # type: ignore[assignment]  # pushed by `request` only
        self.trace.add(f"{at} {i} {type(answer).__name__}")
        if self.trace.is_kept:
            self.trace.steps.append(Answer(at, i, answer))
        self._instances[i].answer(answer, at)
        if self._is_watched and not self._is_done:
            self._core.follow()
            self._tell(self._core.told())
            core = self._core.instances
            self._is_done = bool(core) and all(self._wanted <= each.app.executed for each in core)

    def _link(self, at: int, i: int, key: object) -> None:
        """Tell an instance how its link with the holder of `key` stands now."""
        assert isinstance(key, int)
        is_up = any(
            self._instances[j].replica is not None
            and not self._network.is_cut(i, j)
            and not self._network.is_cut(j, i)
            for j in self._of_key[key]
        )
        self.trace.add(f"{at} {i} link {key} {is_up}")
        if self.trace.is_kept:
            self.trace.steps.append(Link(at, i, key, is_up))
        self._instances[i].link(key, at, is_up=is_up)

    def _stop(self, at: int, i: int, crash: Crash) -> None:
        self.trace.add(f"{at} {i} stop {crash}")
        if self.trace.is_kept:
            self.trace.steps.append(Stop(at, i, crash))
        self._instances[i].arm_stop(crash)

    def _start(self, at: int, i: int) -> None:
        is_down = self._instances[i].replica is None
        self.trace.add(f"{at} {i} start")
        if self.trace.is_kept:
            self.trace.steps.append(Start(at, i))
        self._instances[i].start(at)
        if is_down:
            self._told.discard(i)  # What it was told before is forgotten.
            self._notice_links(i)

    def _spoil(self, at: int, i: int, fault: Spoiling) -> None:
        self.trace.add(f"{at} {i} spoil {fault}")
        if self.trace.is_kept:
            self.trace.steps.append(Spoil(at, i, fault))
        self._instances[i].spoil(fault)

    def _question(self, i: int) -> None:
        self.trace.add(f"{self._now} {i} ask")
        if self.trace.is_kept:
            self.trace.steps.append(Ask(self._now, i))
        self._instances[i].question()

    def _notice_links(self, i: int) -> None:
        """Let the transports of `i` and of all others find out how their links stand."""
        own = self._instances[i].member
        for j in self._others[i]:
            at = self._now + self._random.randint(1, NOTICE_MS_MAX)
            self._push(at, _LINK, j, own)
            self._push(at, _LINK, i, self._instances[j].member)

    # Faults and phases.

    def _fault(self, fault: object, *, starts: bool) -> None:
        match fault:
            case Partition(group_of=group_of, one_way=one_way, end_ms=end_ms):
                self._network.partition(group_of, one_way=one_way, start=starts)
                if starts:
                    self._push(end_ms, _MEND, 0, fault)
                if fault.is_noticed or not starts:
                    for i in range(len(self._instances)):
                        self._notice_links(i)
            case Censor(end_ms=end_ms) if starts:
                self._network.censors.append(fault)
                self._push(end_ms, _MEND, 0, fault)
            case Censor():
                self._network.censors.remove(fault)
            case Clog(source=source, target=target, end_ms=end_ms):
                self._network.clog(source, target, end_ms)
            case _:
                self._fault_of_instance(fault)

    def _fault_of_instance(self, fault: object) -> None:
        match fault:
            case Crash():
                self._crash(fault)
            case Pause(instance=i, end_ms=end_ms):
                self._paused_until[i] = end_ms
            case Question(instance=i):
                self._question(i)
            case Blackout(end_ms=end_ms):
                self.fired["blackout"] += 1
                for i in range(len(self._instances)):
                    self._crash(Crash(start_ms=self._now, end_ms=end_ms, instance=i))
            case DiskFull(instance=i, end_ms=end_ms):
                self._push(self._now, _SPOIL, i, fault)
                self._push(end_ms, _SPOIL, i, DiskFreed(instance=i))
                self._push(end_ms, _START, i)
            case LogLoss() | LogDamage() | Renewal():
                i, end_ms = fault.instance, fault.end_ms
                self._crash(Crash(start_ms=self._now, end_ms=end_ms, instance=i))
                self._push(self._now, _SPOIL, i, fault)
            case _:
                raise TypeError(f"not a fault: {fault}")

    def _crash(self, crash: Crash) -> None:
        self._push(self._now, _STOP, crash.instance, crash)
        self._push(crash.end_ms, _START, crash.instance)

    def _heal(self) -> None:
        """End all faults; leave outside the core what is down down, and twins on any side."""
        self._end_of_safety()
        faults = _UNPAUSED | {_LINK}
        self._queue = [entry for entry in self._queue if entry[2] not in faults]
        self._queue.sort()
        self._network.heal()
        self._network.set_quality(PERFECT)
        self._is_watched = True
        self._paused_until = [0] * len(self._instances)
        self._core.follow()
        down = self._core.may_stay_down()
        for i in down:
            self._stop(self._now, i, Crash(start_ms=0, end_ms=0, instance=i))
        for i in self._core.must_renew():
            self._stop(self._now, i, Crash(start_ms=0, end_ms=0, instance=i))
            self._spoil(self._now, i, Renewal(start_ms=0, end_ms=0, instance=i))
        for i in range(len(self._instances)):
            if i not in down:
                self._start(self._now, i)
                self._notice_links(i)
        for i in self._core.members:
            self._question(i)
        self._part_twins()
        self._submit_more()
        self._tell(self._core.told())

    def _tell(self, targets: Iterable[int]) -> None:
        """Have clients hand in what is wanted, once to each of these instances and life of it."""
        up = (i for i in targets if i not in self._told and self._instances[i].replica is not None)
        for i in up:
            self._told.add(i)
            for nonce in sorted(self._wanted - self._instances[i].app.executed):
                self._push(self._now + self._random.randint(0, 50), _SUBMIT, i, nonce)

    def _end_of_safety(self) -> None:
        for instance in self._instances:
            if instance.replica is not None and instance.is_correct:
                require_bounded(instance.index, instance.replica, self.cluster.epochs.newest.n)
            self._spoil(self._now, instance.index, DiskFreed(instance=instance.index))

    def _submit_more(self) -> None:
        """New work, so that a core that had already executed everything must move too."""
        for nonce in range(FRESH_NONCES_FIRST, FRESH_NONCES_FIRST + FRESH_NONCES):
            self._wanted.add(nonce)
            self.cluster.checkers.validity.submitted.add(nonce)

    def _part_twins(self) -> None:
        """Show each instance both halves of a twin, or one of them only, for good."""
        for second in self.plan.seconds:
            first = self.plan.identities[second]
            for j in self._others[second]:
                hidden = self._random.choice((None, first, second))
                if hidden is not None:
                    self._network.cut(hidden, j)

    def _settle(self, done_ms: int) -> None:
        """Go on while idle: no block, no write, no growth of memory or view (rules 15, 33)."""
        self._is_done = False
        self._is_watched = False
        settle_ms = CHANGING_SETTLE_MS if self.plan.changes else SETTLE_MS
        self._run_until(done_ms + settle_ms - QUIET_MS)
        self._core.follow()
        core = self._core.instances
        before = [(instance.builds, instance.writes) for instance in core]
        self._run_until(done_ms + settle_ms)
        after = [(instance.builds, instance.writes) for instance in core]
        # A liar may wake a cluster: a false proposal, or its word beside that of a correct member
        # that once asked for a view alone, makes f + 1 and with it a view change.
        is_provoked = any(self._instances[i].replica is not None for i in self.plan.liars)
        if after != before and not is_provoked:
            raise InvariantViolation("idle", f"builds and writes while idle: {before} to {after}")
        require_quiet(self.cluster, core)
