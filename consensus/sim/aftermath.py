"""Who must go on once a run is healed, and what is said of it if nobody does."""

from collections.abc import Sequence
from typing import final

from consensus.replica import Replica
from consensus.sim.cluster import Cluster
from consensus.sim.community import CHANGE_NONCES_FIRST
from consensus.sim.instance import Instance
from consensus.sim.memory import require_bounded
from consensus.sim.violation import InvariantViolation, certificate_size


@final
class Core:
    """The q correct instances of the newest member set that must make progress after healing.

    The set may have changed since the plan was drawn, and may change again: then the core follows
    it. A correct member whose vote log is in doubt is not counted on: it may have to wait for
    members that never answer (rule 25).
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._epoch = 0
        self.members: tuple[int, ...] = cluster.plan.core
        self.is_enough = True
        """Whether there are q such members at all."""

    def follow(self) -> None:
        """Choose anew if another epoch has begun."""
        newest = self._cluster.epochs.newest
        if newest.epoch != self._epoch or not self.is_enough:
            self._epoch = newest.epoch
            self._choose()

    def _choose(self) -> None:
        cluster, plan = self._cluster, self._cluster.plan
        newest = cluster.epochs.newest
        fit = [
            each.index
            for each in cluster.instances
            if each.is_correct
            and cluster.charter.public[each.member] in newest.members
            and not (each.disk.is_unproven and newest.first_height > 1)
        ]
        ordered = sorted(fit, key=lambda i: (i not in plan.core, i))
        needed = certificate_size(newest.n)
        self.is_enough = len(ordered) >= needed
        self.members = tuple(sorted(ordered[:needed]))

    def may_stay_down(self) -> tuple[int, ...]:
        """Instances that nobody needs: while a change may take effect, faulty ones only."""
        cluster, plan = self._cluster, self._cluster.plan
        down = (i for i in plan.down_in_liveness if i not in self.members)
        if not plan.changes or not self._has_open_change():
            return tuple(down)
        return tuple(i for i in down if not cluster.instances[i].is_correct)

    def must_renew(self) -> tuple[int, ...]:
        """Instances that need newer software: while a change may take effect, all correct ones."""
        cluster = self._cluster
        is_settled = self.is_enough and not (cluster.plan.changes and self._has_open_change())
        return tuple(
            each.index
            for each in cluster.instances
            if each.software.is_old
            and each.is_correct
            and (each.index in self.members or not is_settled)
        )

    def _has_open_change(self) -> bool:
        cluster = self._cluster
        numbers = range(len(cluster.plan.changes))
        longest = max(
            (each for each in cluster.instances if each.is_correct),
            key=lambda each: len(each.disk.blocks),
        )
        handed_in = {n for n in numbers if CHANGE_NONCES_FIRST + n in longest.app.executed}
        return len(handed_in) < len(numbers) or bool(longest.app.community.open)

    def told(self) -> tuple[int, ...]:
        """The instances that clients reach."""
        plan = self._cluster.plan
        if not plan.changes:
            return plan.told
        return tuple(sorted({*plan.told, *self.members}))

    @property
    def instances(self) -> list[Instance]:
        return [self._cluster.instances[i] for i in self.members]


def require_quiet(cluster: Cluster, core: Sequence[Instance]) -> None:
    """Raise if an instance of the core has grown beyond all bounds, or is in too high a view."""
    n = max(each.n for each in cluster.epochs.sets)
    for instance in core:
        require_bounded(instance.index, instance.replica, n)
        view = view_of(instance)
        if view > 3 * n:
            raise InvariantViolation("view_growth", f"instance {instance.index} is in {view}")


def why_stuck(core: Sequence[Instance], wanted: set[int]) -> str:
    """What each instance of the core lacks and waits for."""
    lines = ["not executed long after healing:"]
    for instance in core:
        lacking = sorted(wanted - instance.app.executed)
        lines.append(
            f"instance {instance.index} at height {len(instance.disk.blocks)} lacks {lacking[:5]}"
        )
        if isinstance(instance.replica, Replica):
            replica = instance.replica
            lines.append(f"  epoch {replica.epoch}, waits for {replica.waiting_for()}")
    return "\n".join(lines)


def view_of(instance: Instance) -> int:
    """The view that an instance is in."""
    return 0 if instance.replica is None else instance.replica.view
