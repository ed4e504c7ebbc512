"""A small model of the view change, checked in every state that it can reach.

Not our code: four members, one height, two blocks, a few views; one member is Byzantine and has
every message that it could sign at every moment. Messages are never lost and never used up, so
whoever may have received one may act on it, or not. What is left is the question whether the rules
of votes, certificates and choices (1, 2, 3, 4, 10) can decide two blocks. States that differ only
in the names of the blocks, or of members that lead no view, are one (symmetry).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, permutations
from typing import final

CORRECT = 3
"""Correct members, numbered from 0; the fourth is Byzantine."""
BYZANTINE = CORRECT
BLOCKS = (0, 1)
_NOTHING = -1


class Bug(Enum):
    """A mistake to plant, each the break of one rule."""

    FORGETS_CERTIFICATE = "a VIEW-CHANGE says that nothing was prepared (rule 1)"
    BELIEVES_NEW_VIEW = "a NEW-VIEW is not checked (rule 1)"
    SMALL_QUORUM = "two votes are a quorum (rule 3)"
    LOWEST_VIEW_WINS = "the certificate of the lowest view is chosen (rule 4)"
    VOTES_BELOW = "votes go on in views below the one asked for (rule 10)"


@final
@dataclass(frozen=True, slots=True)
class Member:
    """What a correct member has done so far."""

    view: int
    """Entered or asked for: it acts in no lower one."""
    votes: tuple[int, ...]
    """By view: nothing, 2 * block (proposed or prepared), 2 * block + 1 (committed)."""
    asked: tuple[int | None, ...]
    """By view: its VIEW-CHANGE; None if there is none, nothing, or 2 * view + block."""


State = tuple[Member, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the search found."""

    states: int
    forks: tuple[State, ...]
    """The first states in which two blocks are decided: none if the rules are sound."""
    decided: int
    """States in which a block is decided."""
    carried: int
    """States in which a block that a later view had to carry is decided there."""


@final
class Model:
    """The rules, for one order of leaders."""

    def __init__(self, leaders: tuple[int, ...], bug: Bug | None = None) -> None:
        self.leaders = leaders
        """By view: a correct member, or BYZANTINE."""
        self._bug = bug
        self._quorum = 2 if bug is Bug.SMALL_QUORUM else 3
        self._views = range(len(leaders))
        free = [i for i in range(CORRECT) if i not in leaders]
        self._renamings = [
            tuple(dict(zip(free, order, strict=True)).get(i, i) for i in range(CORRECT))
            for order in permutations(free)
        ]

    def initial(self) -> State:
        views = len(self.leaders)
        return (Member(0, (_NOTHING,) * views, (None,) * views),) * CORRECT

    def canonical(self, state: State) -> State:
        """One of all states that differ in names only."""
        named = (tuple(state[i] for i in order) for order in self._renamings)
        return min(
            (found for one in named for found in (one, tuple(map(_swap_blocks, one)))), key=_key
        )

    def successors(self, state: State) -> Iterator[State]:
        """Each step that one correct member may take."""
        for i in range(CORRECT):
            for member in self._steps(state, i):
                yield (*state[:i], member, *state[i + 1 :])

    def decided(self, state: State) -> set[int]:
        """Blocks for which enough COMMITs exist, the Byzantine member's included."""
        return {
            block
            for view in self._views
            for block in BLOCKS
            if sum(m.votes[view] == 2 * block + 1 for m in state) + 1 >= self._quorum
        }

    def _steps(self, state: State, i: int) -> Iterator[Member]:
        own = state[i]
        for view in self._views:
            if view < own.view and self._bug is not Bug.VOTES_BELOW:
                continue
            if own.votes[view] == _NOTHING:
                for block in self._blocks_to_vote_for(state, i, view):
                    yield _voted(own, view, 2 * block)
            elif not _is_commit(own.votes[view]) and own.votes[view] // 2 in self._prepared(
                state, view
            ):
                yield _voted(own, view, own.votes[view] + 1)
            if view > own.view:
                yield self._asking(own, view)

    def _asking(self, own: Member, view: int) -> Member:
        """It states the certificate of the highest view that it committed on."""
        said = _NOTHING
        if self._bug is not Bug.FORGETS_CERTIFICATE:
            held = (2 * u + own.votes[u] // 2 for u in range(view) if _is_commit(own.votes[u]))
            said = max((c for c in held), default=_NOTHING)
        asked = (*own.asked[:view], said, *own.asked[view + 1 :])
        return Member(view, own.votes, asked)

    def _blocks_to_vote_for(self, state: State, i: int, view: int) -> set[int]:
        leader = self.leaders[view]
        if leader not in (i, BYZANTINE):
            vote = state[leader].votes[view]
            return set() if vote == _NOTHING else {vote // 2}
        if leader == i and view > 0 and state[i].asked[view] is None:
            return set()
        return self._allowed(state, view)

    def _prepared(self, state: State, view: int) -> set[int]:
        """Blocks with a certificate in a view, if the Byzantine member helps."""
        leader = self.leaders[view]
        found = set()
        for block in BLOCKS:
            voters = [i for i in range(CORRECT) if state[i].votes[view] // 2 == block]
            others = sum(i != leader for i in voters) + (leader != BYZANTINE)
            if (leader == BYZANTINE or leader in voters) and others >= self._quorum - 1:
                found.add(block)
        return found

    def _allowed(self, state: State, view: int) -> set[int]:
        """Blocks that some NEW-VIEW for this view lets its leader propose."""
        if view == 0 or (self._bug is Bug.BELIEVES_NEW_VIEW and self.leaders[view] == BYZANTINE):
            return set(BLOCKS)
        said = [a for m in state if (a := m.asked[view]) is not None]
        lies = [_NOTHING, *(2 * u + b for u in range(view) for b in self._prepared(state, u))]
        proofs = [*combinations(said, self._quorum)]
        for proof in combinations(said, self._quorum - 1):
            proofs += [(*proof, lie) for lie in lies]
        found: set[int] = set()
        for proof in proofs:
            found |= self._choice(proof)
        return found

    def _choice(self, proof: tuple[int, ...]) -> set[int]:
        certificates = [c for c in proof if c != _NOTHING]
        if not certificates:
            return set(BLOCKS)
        pick = min if self._bug is Bug.LOWEST_VIEW_WINS else max
        view = pick(c // 2 for c in certificates)
        blocks = {c % 2 for c in certificates if c // 2 == view}
        return blocks if len(blocks) == 1 else set()  # Two in one view: evidence, no choice.


def check(leaders: tuple[int, ...], bug: Bug | None = None) -> Verdict:
    """Visit every state, breadth first; stop at the first fork."""
    model = Model(leaders, bug)
    first = model.canonical(model.initial())
    seen = {first}
    layer = [first]
    decided = carried = 0
    while layer:
        following: list[State] = []
        for state in layer:
            blocks = model.decided(state)
            decided += bool(blocks)
            carried += bool(blocks) and any(
                a not in (None, _NOTHING) for m in state for a in m.asked
            )
            if len(blocks) > 1:
                return Verdict(states=len(seen), forks=(state,), decided=decided, carried=carried)
            for successor in model.successors(state):
                one = model.canonical(successor)
                if one not in seen:
                    seen.add(one)
                    following.append(one)
        layer = following
    return Verdict(states=len(seen), forks=(), decided=decided, carried=carried)


def leaderships(views: int) -> list[tuple[int, ...]]:
    """Orders of leaders in turn, as ours are, with the Byzantine member in each place or none."""
    found = []
    for turn in range(CORRECT + 1):
        order = [i - (i > turn) if i != turn else BYZANTINE for i in range(CORRECT + 1)]
        found.append(tuple(order[view % (CORRECT + 1)] for view in range(views)))
    return found


def _is_commit(vote: int) -> bool:
    return vote != _NOTHING and vote % 2 == 1


def _voted(own: Member, view: int, vote: int) -> Member:
    votes = (*own.votes[:view], vote, *own.votes[view + 1 :])
    return Member(max(view, own.view), votes, own.asked)


def _swap_blocks(member: Member) -> Member:
    votes = tuple(v if v == _NOTHING else v ^ 2 for v in member.votes)
    asked = tuple(a if a in (None, _NOTHING) else a ^ 1 for a in member.asked)
    return Member(member.view, votes, asked)


def _key(state: State) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    return [(m.view, m.votes, tuple(-2 if a is None else a for a in m.asked)) for m in state]
