"""Every schedule of a small cluster in which one member runs twice (Twins, OPODIS 2021).

In each view an adversary chooses how the instances fall into two groups, which hear nothing of
each other in that view, and whom its COMMITs reach: all of the group, or one correct
instance only. After the last view all links are mended, and the correct members must go on. All
choices are tried. Schedules that lead to one state, or to the same with the twins exchanged, are
continued once: that is the symmetry which is removed.

One transaction is open until the links are mended, and each proposal for it differs from every
other: the height is the one at which a fork would have to begin.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from marshal import dumps
from typing import final

from consensus.config import ConsensusConfig
from consensus.events import Event, PeerUp, Tick
from consensus.membership import MemberIndex
from consensus.messages import (
    BodyReply,
    Commit,
    GetBody,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from consensus.replica import Replica
from consensus.sim.branch import fork, name_of, value_of
from consensus.sim.cluster import Cluster
from consensus.sim.community import Ready
from consensus.sim.stage import calm_plan
from consensus.sim.trace import Said
from consensus.sim.violation import InvariantViolation
from consensus.state import State

ALL = -1
"""Whom the COMMITs of a view reach, where it is not one instance."""
VIEW_MS = 20_000
"""Virtual time between the beginnings of two views: above every time-out in so few views."""
_CONFIG = ConsensusConfig(heartbeat_overdue_ms=1_000_000)
"""Silence means nothing: links are open all along, though little is heard."""
RECOVERY_MS = 20_000
"""Virtual time in which the mended cluster must have executed something new."""
FRESH = 1_000_000
EXCHANGES_MAX = 200

_Signed = PrePrepare | Prepare | Commit | ViewChange | NewView


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the adversary chose for one view."""

    groups: tuple[int, ...] = ()
    """Group of each instance."""
    commits: int = ALL


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TwinsViolation:
    """A schedule that breaks a property."""

    twin: int
    choices: tuple[Choice, ...]
    checker: str
    message: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TwinsReport:
    """An enumeration."""

    n: int
    views: int
    scenarios: int
    """Continuations that were run: all that are left when symmetry is removed."""
    states: int
    """Different states in which the cluster was mended."""
    violations: tuple[TwinsViolation, ...]
    views_max: int
    messages: int
    seconds: float

    def to_json(self) -> dict[str, object]:
        return {
            "n": self.n,
            "views": self.views,
            "scenarios": self.scenarios,
            "states": self.states,
            "exhaustive": True,
            "violations": len(self.violations),
            "violation_list": [
                {
                    "twin": v.twin,
                    "choices": [
                        {"groups": list(c.groups), "commits": c.commits} for c in v.choices
                    ],
                    "checker": v.checker,
                    "message": v.message,
                }
                for v in self.violations
            ],
            "views_max": self.views_max,
            "messages": self.messages,
            "seconds": round(self.seconds, 1),
        }


@final
class TwinCluster:
    """`n` members, one of them twice; the caller says what arrives, view by view."""

    def __init__(self, n: int, twin: int) -> None:
        self.n = n
        self.twin = twin
        self.view = 0
        self.choices: tuple[Choice, ...] = (Choice(groups=(0,) * (n + 1)),)
        """One for each view so far; the last one is in force."""
        self.now_ms = 0
        self.messages = 0
        self._in_flight: list[tuple[int, int, Message]] = []
        self._answers: list[tuple[int, Event]] = []
        plan = replace(calm_plan(n, puppets=(twin,)), skew_ms=(*(0,) * n, 1))  # Two proposals.
        self.cluster = Cluster(plan, self, config=_CONFIG)
        self.instances = self.cluster.instances
        for instance in self.instances:
            instance.start(0)
            for i in range(n):
                if i != instance.member:
                    instance.step(PeerUp(MemberIndex(i)), 0)
        self._exchange(lambda *_: True)
        self._submit(1)

    # What the cluster tells its driver.

    def entered(self, instance: int) -> None:
        """The member set does not change."""

    def send(self, source: int, member: int | None, message: Said) -> None:
        assert not isinstance(message, Ready), "the member set does not change"
        own = self.instances[source].member
        for target, instance in enumerate(self.instances):
            if instance.member != own and member in (None, instance.member):
                self._in_flight.append((source, target, message))

    def request(self, instance: int, answer: Event) -> None:
        self._answers.append((instance, answer))

    def stopped(self, instance: int) -> None:
        self._answers = [(i, answer) for i, answer in self._answers if i != instance]

    # The three choices of a view, in order.

    def open_view(self, groups: tuple[int, ...]) -> None:
        """Let the members of each group agree on the view, and hear its proposals."""
        self.choices = (*self.choices[: self.view], Choice(groups=groups))
        self._exchange(self._is_open)

    def spread_commits(self, reached: int) -> None:
        """Let the COMMITs reach some; then all lose patience with the view."""
        self.choices = (*self.choices[:-1], replace(self.choice, commits=reached))
        self._exchange(lambda a, b, m: self._is_open(a, b, m) or self._is_commit(a, b, m))
        self._lose_patience()
        self.view += 1
        self._in_flight = [entry for entry in self._in_flight if self._is_of_later(entry[2])]
        self.now_ms = self.view * VIEW_MS

    @property
    def choice(self) -> Choice:
        """In force now."""
        return self.choices[-1]

    def targets(self, kind: type[Message]) -> list[int]:
        """Instances that messages of this kind, sent in the present view, could reach."""
        return sorted(
            {
                target
                for source, target, message in self._in_flight
                if isinstance(message, kind) and self._are_together(source, target, message)
            }
        )

    def name(self) -> bytes:
        """The same for states that differ by exchanged twins only."""
        names = [dumps(name_of(instance), 2) for instance in self.instances]
        first, second = names[self.twin], names[self.n]
        order = {self.twin: 0, self.n: 1}
        if second < first:
            order = {self.twin: 1, self.n: 0}
            names[self.twin], names[self.n] = second, first
        groups: tuple[int, ...] = self.choice.groups
        flying = sorted(
            (
                order.get(source, 2),
                self.instances[source].member,
                order.get(target, 2),
                self.instances[target].member,
                dumps(value_of(message), 2),
                groups[source] == groups[target],
            )
            for source, target, message in self._in_flight
        )
        agreed = [digest for digest, _ in self.cluster.checkers.agreement.history]
        found = [self.view, names, flying, agreed]
        return blake2b(dumps(found, 2), digest_size=16).digest()

    def recover(self) -> None:
        """Mend all links; the correct members must execute something new together.

        Raises:
            InvariantViolation: they do not, or another property fails on the way.
        """
        correct = [instance for instance in self.instances if instance.is_correct]
        self._submit(FRESH)
        end_ms = self.now_ms + RECOVERY_MS
        self._exchange(lambda *_: True)
        while any(FRESH not in instance.app.executed for instance in correct):
            if self.now_ms >= end_ms:
                heights = [len(instance.disk.blocks) for instance in correct]
                raise InvariantViolation("liveness", f"stuck at heights {heights} when mended")
            wakes = (instance.wake_ms() for instance in self.instances)
            self.now_ms = max(self.now_ms + 1, min(at for at in wakes if at is not None))
            for instance in self.instances:
                wake = instance.wake_ms()
                if wake is not None and wake <= self.now_ms:
                    instance.step(Tick(), self.now_ms)
            self._exchange(lambda *_: True)

    def _submit(self, nonce: int) -> None:
        self.cluster.checkers.validity.submitted.add(nonce)
        for instance in self.instances:
            instance.submit(nonce, self.now_ms)

    # What arrives.

    def _exchange(self, arrives: Callable[[int, int, Message], bool]) -> None:
        """Deliver and answer until nothing that may arrive is under way."""
        for _ in range(EXCHANGES_MAX):
            now = [entry for entry in self._in_flight if arrives(*entry)]
            if not now and not self._answers:
                return
            self._in_flight = [entry for entry in self._in_flight if not arrives(*entry)]
            for source, target, message in now:
                self.messages += 1
                sender = self.instances[source].member
                self.instances[target].receive(sender, message, self.now_ms)
            answers, self._answers = self._answers, []
            for i, answer in answers:
                self.instances[i].answer(answer, self.now_ms)
        raise InvariantViolation("livelock", f"no rest after {EXCHANGES_MAX} exchanges")

    def _are_together(self, source: int, target: int, message: Message) -> bool:
        groups = self.choice.groups
        if groups[source] != groups[target]:
            return False
        return not isinstance(message, _Signed) or message.slot.view == self.view

    def _is_open(self, source: int, target: int, message: Message) -> bool:
        kinds = PrePrepare | Prepare | ViewChange | NewView | GetBody | BodyReply
        return isinstance(message, kinds) and self._are_together(source, target, message)

    def _is_commit(self, source: int, target: int, message: Message) -> bool:
        return (
            isinstance(message, Commit)
            and self.choice.commits in (ALL, target)
            and self._are_together(source, target, message)
        )

    def _is_of_later(self, message: Message) -> bool:
        return isinstance(message, _Signed) and message.slot.view >= self.view

    # Time.

    def _lose_patience(self) -> None:
        """Let every timer go off that runs in the present view or below."""
        while True:
            due = [at for i in range(self.n + 1) if (at := self._deadline(i)) is not None]
            if not due:
                return
            self.now_ms = max(self.now_ms + 1, min(due))
            for i, instance in enumerate(self.instances):
                at = self._deadline(i)
                if at is not None and at <= self.now_ms:
                    instance.step(Tick(), self.now_ms)

    def _deadline(self, i: int) -> int | None:
        replica = self.instances[i].replica
        assert isinstance(replica, Replica)
        state: State = vars(replica)["_s"]
        if state.asked > self.view:
            return None
        times = (state.timers.progress_deadline, state.timers.view_deadline)
        return min((at for at in times if at is not None), default=None)


def enumerate_twins(
    n: int = 4,
    views: int = 4,
    *,
    workers: int = 1,
    on_twin: Callable[[TwinsReport], None] | None = None,
) -> TwinsReport:
    """Try every schedule with each member as the twin; a process for each of `workers`."""
    tasks = [(n, views, twin) for twin in range(n)]
    reports: list[TwinsReport] = []

    def done(report: TwinsReport) -> None:
        reports.append(report)
        if on_twin is not None:
            on_twin(report)

    if workers <= 1:
        for task in tasks:
            done(enumerate_twin(*task))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for report in pool.map(enumerate_twin, *zip(*tasks, strict=True)):
                done(report)
    return TwinsReport(
        n=n,
        views=views,
        scenarios=sum(r.scenarios for r in reports),
        states=sum(r.states for r in reports),
        violations=tuple(violation for r in reports for violation in r.violations),
        views_max=max(r.views_max for r in reports),
        messages=sum(r.messages for r in reports),
        seconds=sum(r.seconds for r in reports),
    )


def enumerate_twin(n: int, views: int, twin: int, violations_max: int = 3) -> TwinsReport:
    """Try every schedule in which the member `twin` runs twice.

    Ends early only when `violations_max` have been found.
    """
    began = time.process_time()
    search = _Search(n, views, violations_max)
    search.run(twin)
    return TwinsReport(
        n=n,
        views=views,
        scenarios=search.scenarios,
        states=search.states,
        violations=tuple(search.violations),
        views_max=search.views_max,
        messages=search.messages,
        seconds=time.process_time() - began,
    )


_Act = Callable[[TwinCluster], None]


@final
class _Search:
    """All states at the end of one view, then of the next; the last ones are mended at once."""

    def __init__(self, n: int, views: int, violations_max: int) -> None:
        self._n = n
        self._views = views
        self._violations_max = violations_max
        self.scenarios = self.states = self.messages = self.views_max = 0
        self.violations: list[TwinsViolation] = []

    def run(self, twin: int) -> None:
        """All schedules in which the member `twin` runs twice."""
        states = [TwinCluster(self._n, twin)]
        for _ in range(1, self._views):
            states = list(self._advance(states))
        for cluster in self._advance(states):
            self.states += 1
            self._judge(cluster, TwinCluster.recover)
            self.messages += cluster.messages
            entered = [i.replica.view for i in cluster.instances if i.replica is not None]
            self.views_max = max(self.views_max, *entered)

    def _advance(self, states: list[TwinCluster]) -> Iterator[TwinCluster]:
        """Each state at the end of the next view, once."""
        opened: set[bytes] = set()
        closed: set[bytes] = set()
        for state in states:
            for begun in self._branches(state, _groupings(state), opened):
                yield from self._branches(begun, _spread_commits(begun), closed)

    def _branches(
        self, state: TwinCluster, acts: Iterator[_Act], seen: set[bytes]
    ) -> Iterator[TwinCluster]:
        for act in acts:
            if len(self.violations) >= self._violations_max:
                return
            branch = fork(state)
            branch.messages = 0
            self.scenarios += 1
            is_sound = self._judge(branch, act)
            self.messages += branch.messages
            branch.messages = 0
            if is_sound and (name := branch.name()) not in seen:
                seen.add(name)
                yield branch

    def _judge(self, cluster: TwinCluster, act: _Act) -> bool:
        """Take one more step of a schedule; note a property that it breaks."""
        try:
            act(cluster)
        except InvariantViolation as violation:
            checker, message = violation.checker, str(violation)
        except Exception:  # noqa: BLE001  # A core that raises has failed, whatever it raises.
            checker, message = "exception", traceback.format_exc(limit=-3)
        else:
            return True
        self.violations.append(
            TwinsViolation(
                twin=cluster.twin,
                choices=cluster.choices,
                checker=checker,
                message=message,
            )
        )
        return False


def _groupings(cluster: TwinCluster) -> Iterator[_Act]:
    """All ways to make at most two groups; who is in the first one with instance 0 is said."""
    others = cluster.n
    for bits in range(1 << others):
        groups = (0, *(bits >> i & 1 for i in range(others)))
        yield partial(TwinCluster.open_view, groups=groups)


def _spread_commits(cluster: TwinCluster) -> Iterator[_Act]:
    """COMMITs reach all of the group, or one correct instance: it decides alone."""
    alone = [i for i in cluster.targets(Commit) if cluster.instances[i].is_correct]
    for reached in (ALL, *alone):
        yield partial(TwinCluster.spread_commits, reached=reached)
