"""Why nothing is decided, in fields: a node turns it into words (`/why`)."""

from dataclasses import dataclass
from enum import Enum
from typing import final

from consensus.catch_up import wanted_body
from consensus.membership import Height, MemberIndex, View
from consensus.recovery import heads_needed
from consensus.state import State


class Awaited(Enum):
    """What a replica waits for."""

    NOTHING = "nothing"
    """Idle: no transaction is pending."""
    HALTED = "halted"
    APPLICATION = "application"
    """Building, validating or applying a block."""
    QUORUM = "quorum"
    """Too few members online; `members` are those that are missing."""
    RULES = "rules"
    """The application lacks those of the block above the head."""
    HEADS = "heads"
    """Learner: heads of `members`."""
    INCARNATION = "incarnation"
    """Learner: own signatures are out that the vote log does not know."""
    BLOCKS = "blocks"
    BODY = "body"
    PROPOSAL = "proposal"
    PREPARES = "prepares"
    COMMITS = "commits"
    VIEW_CHANGES = "view_changes"
    NEW_VIEW = "new_view"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One awaited thing: from whom, since when, how much of it is there."""

    awaited: Awaited
    members: tuple[MemberIndex, ...]
    """From whom it could come."""
    since_ms: int
    """When the head or the view last moved."""
    height: Height
    view: View
    have: int
    need: int


def waiting_for(s: State) -> Waiting:
    """The first thing, in the order in which things have to happen, that is missing."""
    awaited, members, have, need = _missing(s)
    return Waiting(
        awaited=awaited,
        members=tuple(members),
        since_ms=s.progressed_ms,
        height=s.height,
        view=s.view,
        have=have,
        need=need,
    )


_Missing = tuple[Awaited, list[MemberIndex], int, int]


def _missing(s: State) -> _Missing:
    if s.halted is not None:
        return Awaited.HALTED, [], 0, 0
    if s.applying is not None:
        return Awaited.APPLICATION, [], 0, 1
    if s.is_resting:
        return Awaited.RULES, [], 0, 1
    wanted = wanted_body(s)
    if wanted is not None:
        return Awaited.BODY, wanted[1], 0, 1
    if s.claimed_max > s.head.height:
        ahead = [m for m in s.others if s.peers[m].claimed_height > s.head.height]
        return Awaited.BLOCKS, ahead, s.head.height, s.claimed_max
    if s.is_learner:
        return _missing_of_learner(s)
    if not s.is_open and s.asked == s.view:
        return Awaited.NOTHING, [], 0, 0
    online = [m for m in map(MemberIndex, range(s.n)) if s.is_online(m)]
    if len(online) < s.q:
        offline = [m for m in s.others if m not in online]
        return Awaited.QUORUM, offline, len(online), s.q
    return _missing_of_view_change(s) if s.asked > s.view else _missing_votes(s)


def _missing_of_learner(s: State) -> _Missing:
    if s.forgotten_term is not None and s.forgotten_term >= s.term:
        return Awaited.INCARNATION, [], s.term, s.forgotten_term + 1
    silent = [m for m in s.others if m not in s.heads]
    own = 0 if s.is_doubtful and s.head.height > 0 else 1
    return Awaited.HEADS, silent, len(s.heads) + own, heads_needed(s) + own


def _missing_of_view_change(s: State) -> _Missing:
    asking = [m.sender for m in s.view_changes if m is not None and m.slot.view >= s.asked]
    if len(asking) < s.q:
        others = [m for m in s.others if m not in asking]
        return Awaited.VIEW_CHANGES, others, len(asking), s.q
    return Awaited.NEW_VIEW, [s.membership.primary(s.term, s.asked)], 0, 1


def _missing_votes(s: State) -> _Missing:
    proposal = s.proposal
    if proposal is None and s.primary != s.me:
        return Awaited.PROPOSAL, [s.primary], 0, 1
    if proposal is None or s.validating is not None:
        return Awaited.APPLICATION, [], 0, 1
    prepared = [v.sender for v in s.prepares if v is not None and v.slot == proposal.slot]
    if len(prepared) < s.q - 1:
        missing = [m for m in s.others if m not in prepared and m != s.primary]
        return Awaited.PREPARES, missing, len(prepared) + 1, s.q
    committed = [v.sender for v in s.commits if v is not None and v.slot == proposal.slot]
    return Awaited.COMMITS, [m for m in s.others if m not in committed], len(committed), s.q
