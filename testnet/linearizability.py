"""Whether a recorded history is linearizable: a search for an order that explains it.

An order explains a history if the sequential model accepts its operations in that order, and if no
operation stands before one that had been answered when it was invoked (Herlihy and Wing 1990). The
search is that of Wing and Gong (1993) with the memory of Lowe (2017): of all that could come next
one is tried after the other, and no set of operations done is visited twice in one state.

The chain tells where in its order an operation took effect. Such a `place` is a claim that the
history must bear out, and it keeps the search short: only operations without one may have to be
tried in several places.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

A = TypeVar("A")
S = TypeVar("S")

CONFIGURATIONS_MAX: Final = 500_000
"""Sets of operations done, with a state, that are visited before the search gives up: a minute."""


class Undecided(Exception):
    """The search was given up; whether the history is linearizable is not known."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[A]):
    """One operation as its client saw it. Times are of one clock, in any unit.

    Raises:
        ValueError: it is answered before it is invoked, or has a place but may not have happened.
    """

    action: A
    """What the model is asked to do; with the answer, if there was one."""
    invoked: int
    answered: int | None = None
    """None: no answer was seen here, so that it may take effect at any time after `invoked`."""
    is_certain: bool = True
    """Whether it must have taken effect; without an answer it may not have."""
    place: int | None = None
    """Where it is said to stand; those with lower numbers come before it."""

    def __post_init__(self) -> None:
        if self.answered is not None and self.answered < self.invoked:
            raise ValueError(f"answered at {self.answered}, before its call at {self.invoked}")
        if self.place is not None and not self.is_certain:
            raise ValueError(f"what stands at place {self.place} has taken effect")


@final
@dataclass(frozen=True, slots=True)
class Order:
    """What the search found; operations by their index."""

    is_complete: bool
    """Whether all certain operations are in `done`: then the history is linearizable."""
    done: tuple[int, ...]
    """The order; if it is not complete the longest that was found."""
    stuck: tuple[int, ...]
    """What could have come next after `done`, had the model let it; empty if complete."""


@final
@dataclass(slots=True)
class _Frame(Generic[S]):
    """A point of the search: what is done, the state after it, and what is still to be tried."""

    done: int
    """A bit for each operation, in the order of invocation."""
    state: S
    first: int
    """All operations before this one are done."""
    placed: int
    """Of the operations with a place, in their order, all before this one are done."""
    candidates: list[int]
    to_try: Iterator[int]


def find_order(
    operations: Sequence[Operation[A]], initial: S, step: Callable[[S, A], S | None]
) -> Order:
    """Return an order that explains `operations`, or how far one can get.

    Args:
        operations: the history, in any order.
        initial: the model's state before it; hashable.
        step: the model: the state after an action, or None if it cannot happen in that state.

    Raises:
        Undecided: there are too many orders to try.
    """
    by_time = sorted(range(len(operations)), key=lambda index: operations[index].invoked)
    search = _Search([operations[index] for index in by_time], initial, step)
    is_complete = search.run()
    return Order(
        is_complete=is_complete,
        done=tuple(by_time[index] for index in search.longest),
        stuck=() if is_complete else tuple(by_time[index] for index in search.stuck),
    )


@final
class _Search(Generic[A, S]):
    """Depth first, without recursion: histories are long."""

    def __init__(
        self, operations: list[Operation[A]], initial: S, step: Callable[[S, A], S | None]
    ) -> None:
        self._operations = operations
        self._step = step
        self._certain = sum(1 << i for i, op in enumerate(operations) if op.is_certain)
        self._by_place = sorted(
            (op.place, i) for i, op in enumerate(operations) if op.place is not None
        )
        self._path: list[int] = []
        self._frames = [self._frame(0, initial, 0, 0)]
        self._visited: set[tuple[int, S]] = {(0, initial)}
        self.longest: tuple[int, ...] = ()
        self.stuck = tuple(self._frames[0].candidates)

    def run(self) -> bool:
        """Whether an order of all certain operations exists; `longest` is then that order."""
        while self._frames:
            frame = self._frames[-1]
            if not self._certain & ~frame.done:
                self.longest = tuple(self._path)
                return True
            index = next(frame.to_try, None)
            if index is not None:
                self._try(frame, index)
                continue
            self._frames.pop()
            if self._path:
                self._path.pop()
        return False

    def _try(self, frame: "_Frame[S]", index: int) -> None:
        state = self._step(frame.state, self._operations[index].action)
        if state is None:
            return
        done = frame.done | 1 << index
        if (done, state) in self._visited:
            return
        if len(self._visited) >= CONFIGURATIONS_MAX:
            raise Undecided(f"after {CONFIGURATIONS_MAX} configurations")
        self._visited.add((done, state))
        self._path.append(index)
        self._frames.append(self._frame(done, state, frame.first, frame.placed))
        if len(self._path) > len(self.longest):
            self.longest = tuple(self._path)
            self.stuck = tuple(self._frames[-1].candidates)

    def _frame(self, done: int, state: S, first: int, placed: int) -> "_Frame[S]":
        while done >> first & 1:
            first += 1
        while placed < len(self._by_place) and done >> self._by_place[placed][1] & 1:
            placed += 1
        candidates = self._next(done, first, placed)
        return _Frame(done, state, first, placed, candidates, iter(candidates))

    def _next(self, done: int, first: int, placed: int) -> list[int]:
        """Return what may come next: whatever nothing that is left over must come before."""
        lowest = self._by_place[placed][0] if placed < len(self._by_place) else None
        candidates = []
        limit: int | None = None
        for index in range(first, len(self._operations)):
            operation = self._operations[index]
            if done >> index & 1:
                continue
            # All that follow were invoked later still.
            if limit is not None and operation.invoked > limit:
                break
            if operation.answered is not None:
                limit = operation.answered if limit is None else min(limit, operation.answered)
            if operation.place is None or lowest is None or operation.place <= lowest:
                candidates.append(index)
        return candidates
