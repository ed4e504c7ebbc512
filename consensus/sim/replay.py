"""Runs recorded steps again, without clock, queue or dice; skips what no longer applies."""

from collections.abc import Sequence
from typing import assert_never, final

from consensus.events import Event, Tick
from consensus.sim.cluster import Cluster
from consensus.sim.community import Ready
from consensus.sim.faults import FaultPlan
from consensus.sim.forgery import Forger
from consensus.sim.instance import Instance
from consensus.sim.trace import (
    Answer,
    Ask,
    Deliver,
    Link,
    Said,
    Spoil,
    Start,
    Step,
    Stop,
    Submit,
    Wake,
    fingerprint,
)
from consensus.sim.violation import InvariantViolation


@final
class Replay:
    """A cluster driven by a list of steps.

    A message is delivered only if its sender sent it in this run too, or could have if it is a
    liar; an answer only if the application owes it. So every subsequence of a run is a run that
    could happen.
    """

    def __init__(self, plan: FaultPlan, *, is_real: bool = False) -> None:
        self._cluster = Cluster(plan, self, is_real=is_real)
        cluster = self._cluster
        self._forger = Forger(cluster.epochs, cluster.checkers.sign_once)
        self._liars = {cluster.instances[i].member for i in plan.liars}
        self._sent: set[tuple[int, int | None, str]] = set()

    @property
    def instances(self) -> list[Instance]:
        """Of the cluster that is driven."""
        return self._cluster.instances

    def run(self, steps: Sequence[Step]) -> None:
        """Take the steps.

        Raises:
            InvariantViolation: a property failed.
        """
        for step in steps:
            self._take(step)

    # What the cluster tells its driver.

    def send(self, source: int, key: int | None, message: Said) -> None:
        sender = self._cluster.instances[source].member
        self._sent.add((sender, key, fingerprint(message)))

    def request(self, instance: int, answer: Event) -> None:
        """Nothing to plan: the steps say when the answer comes."""

    def stopped(self, instance: int) -> None:
        """Nothing to plan: the steps say who notices."""

    def entered(self, instance: int) -> None:
        """Nothing to plan: the steps say who notices."""

    def _can_arrive(self, sender: int, target: int, message: Said) -> bool:
        name = fingerprint(message)
        if (sender, None, name) in self._sent or (sender, target, name) in self._sent:
            return True
        if sender not in self._liars or isinstance(message, Ready):
            return False
        return self._forger.could_say(self._cluster.charter.public[sender], message)

    def _take(self, step: Step) -> None:
        instance = self._cluster.instances[step.instance]
        match step:
            case Deliver(at, _, sender, message):
                if self._can_arrive(sender, instance.member, message):
                    instance.receive(sender, message, at)
            case Wake(at):
                instance.step(Tick(), at)
            case Answer(at, _, event):
                instance.answer(event, at)
            case Submit(at, _, nonce):
                self._cluster.checkers.validity.submitted.add(nonce)
                instance.submit(nonce, at)
            case Link(at, _, key, is_up):
                instance.link(key, at, is_up=is_up)
            case _:
                _take_rare(instance, step)


def _take_rare(instance: Instance, step: Stop | Start | Spoil | Ask) -> None:
    match step:
        case Stop(_, _, crash):
            instance.arm_stop(crash)
        case Start(at):
            instance.start(at)
        case Spoil(_, _, fault):
            instance.spoil(fault)
        case Ask():
            instance.question()
        case _:
            assert_never(step)


def fails(plan: FaultPlan, steps: Sequence[Step], checker: str, *, is_real: bool = False) -> bool:
    """Whether these steps break the property that `checker` guards."""
    try:
        Replay(plan, is_real=is_real).run(steps)
    except InvariantViolation as violation:
        return violation.checker == checker
    return False
