"""The simulated network: which copies of a message arrive, and when."""

import random
from collections import Counter
from typing import final

from consensus.sim.faults import Censor, LinkQuality

PERFECT = LinkQuality(delay_min_ms=1, delay_mean_ms=1, is_fifo=True)
"""What links are like after healing: no loss, in order, a millisecond or two."""
SLOW_MS = 100
"""A delay above this counts as the fault `delay`: it outlasts a retransmission timer."""


@final
class Network:
    """Directed links between instances, with the faults that are in force now."""

    def __init__(
        self, rng: random.Random, count: int, quality: LinkQuality, fired: Counter[str]
    ) -> None:
        self._random = rng
        self._count = count
        self._quality = quality
        self._fired = fired
        self._cuts = [[0] * count for _ in range(count)]
        """How many partitions cut each link now: [source][target]."""
        self._clogged_until = [[0] * count for _ in range(count)]
        self._last = [[0] * count for _ in range(count)]
        self.censors: list[Censor] = []
        """In force now."""
        self._asymmetric = 0
        """Partitions in force that cut one direction only (decides the name of the fault)."""

    def set_quality(self, quality: LinkQuality) -> None:
        self._quality = quality

    def partition(self, group_of: tuple[int, ...], *, one_way: bool, start: bool) -> None:
        """Begin (or, with `start` false, end) a partition."""
        delta = 1 if start else -1
        self._asymmetric += delta if one_way else 0
        for source in range(self._count):
            for target in range(self._count):
                apart = group_of[source] != group_of[target]
                if apart and not (one_way and group_of[source] != group_of[0]):
                    self._cuts[source][target] += delta

    def clog(self, source: int, target: int, until_ms: int) -> None:
        """Let the link hold everything until then."""
        self._clogged_until[source][target] = until_ms

    def heal(self) -> None:
        """End every partition, clog and censor."""
        self.censors.clear()
        for row in (*self._cuts, *self._clogged_until):
            row[:] = [0] * self._count
        self._asymmetric = 0

    def cut(self, one: int, other: int) -> None:
        """Cut the link between two instances for good: only `heal` ends this."""
        self._cuts[one][other] += 1
        self._cuts[other][one] += 1

    def is_cut(self, source: int, target: int) -> bool:
        """Whether a message from `source` to `target` would be lost to a partition."""
        return self._cuts[source][target] > 0

    def spare(self, source: int, kind: str, targets: list[int]) -> list[int]:
        """The targets that censors let such a message reach."""
        for censor in self.censors:
            if kind in censor.kinds and (source in censor.muted or not censor.muted):
                reached = [target for target in targets if target in censor.spared]
                name = "selective_loss" if censor.muted else "censorship"
                self._fired[name] += len(targets) - len(reached)
                targets = reached
        return targets

    def arrivals(self, now_ms: int, source: int, target: int) -> tuple[int, ...]:
        """Times at which the copies of a message sent now arrive: none, one or two."""
        fired = self._fired
        if self._cuts[source][target] > 0:
            fired["partition_asymmetric" if self._asymmetric else "partition_symmetric"] += 1
            return ()
        quality = self._quality
        draw = self._random.random
        if quality.loss_permille and draw() * 1000 < quality.loss_permille:
            fired["loss"] += 1
            return ()
        first = self._arrival(now_ms, source, target)
        if quality.duplication_permille and draw() * 1000 < quality.duplication_permille:
            fired["duplication"] += 1
            return (first, self._arrival(now_ms, source, target))
        return (first,)

    def _arrival(self, now_ms: int, source: int, target: int) -> int:
        quality = self._quality
        at = now_ms + quality.delay_min_ms
        if quality.delay_mean_ms > 1:
            at += int(self._random.expovariate(1.0) * quality.delay_mean_ms)
        clogged = self._clogged_until[source][target]
        if clogged > at:
            self._fired["clogging"] += 1
            at = clogged + quality.delay_min_ms
        if at - now_ms > SLOW_MS:
            self._fired["delay"] += 1
        last = self._last[source]
        if at >= last[target]:
            last[target] = at
        elif quality.is_fifo:
            at = last[target]
        else:
            self._fired["reordering"] += 1
        return at
