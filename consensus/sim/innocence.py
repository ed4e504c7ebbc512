"""Nothing that a correct member signs is ever evidence against it (rule 36).

Checked on everything that correct members sign in a run, across crashes and restarts: so what
`consensus.evidence` accepts can be put before judges who know nothing of the run.
"""

from collections.abc import Iterable
from typing import assert_never, final

from consensus.certificates import Kind, SignedVote, Slot
from consensus.errors import MalformedMessage
from consensus.evidence import HiddenCertificate, SplitVote
from consensus.membership import MemberIndex
from consensus.messages import Commit, NewView, Prepare, PrePrepare, Signed, ViewChange
from consensus.wire import signed_core

_Place = tuple[MemberIndex, int, int]
"""Member, epoch, term."""


@final
class Innocence:
    """Compares each vote of a correct member with its others of the term.

    Two votes of one kind for a slot are `SignOnce`'s; here are the offences across kinds.
    """

    def __init__(self) -> None:
        self._votes: dict[tuple[MemberIndex, Slot], list[SignedVote]] = {}
        self._commits: dict[_Place, list[SignedVote]] = {}
        self._asked: dict[_Place, list[ViewChange]] = {}

    def convict(self, message: Signed) -> str | None:
        """Note what a correct member signed; what it proves against that member, if anything."""
        slot = message.slot
        place = (message.sender, slot.epoch, slot.term)
        match message:
            case ViewChange():
                asked = self._asked.setdefault(place, [])
                if message in asked:
                    return None
                asked.append(message)
                return _first(_hides(vote, message) for vote in self._commits.get(place, ()))
            case PrePrepare() | Prepare() | Commit():
                core = signed_core(message)
                here = self._votes.setdefault((message.sender, slot), [])
                if core in here:
                    return None
                here.append(core)
                if core.kind is not Kind.COMMIT:
                    return _first(_splits(core, vote) for vote in here)
                self._commits.setdefault(place, []).append(core)
                found = _first(_hides(core, each) for each in self._asked.get(place, ()))
                return found or _first(_splits(vote, core) for vote in here)
            case NewView():
                return None
            case _:
                assert_never(message)


def _first(found: Iterable[str | None]) -> str | None:
    return next((each for each in found if each is not None), None)


def _hides(commit: SignedVote, asked: ViewChange) -> str | None:
    if asked.slot.view <= commit.slot.view or asked.head.height >= commit.slot.height:
        return None  # The usual cases, without the price of an exception.
    try:
        return repr(HiddenCertificate(commit, asked))
    except MalformedMessage:
        return None


def _splits(vote: SignedVote, commit: SignedVote) -> str | None:
    if vote.digest == commit.digest:
        return None
    try:
        return repr(SplitVote(vote, commit))
    except MalformedMessage:
        return None
