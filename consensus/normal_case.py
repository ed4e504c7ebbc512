"""The normal case: pre-prepare, prepare, commit, decide (Castro & Liskov, OSDI '99, §4.2).

Intake functions check one message and put it into its table. Rules look at the tables and
act; `Replica` tries them after every event until none applies, so that a vote that came
early, a restart and the end of a learner's quarantine need no code of their own.
"""

from enum import Enum
from typing import assert_never

from consensus.certificates import Kind
from consensus.comparison import compare_commit, compare_prepare, compare_proposal
from consensus.events import (
    Apply,
    Broadcast,
    Build,
    Built,
    NothingToBuild,
    Reason,
    Validate,
    Validated,
)
from consensus.membership import MemberIndex, View
from consensus.messages import Commit, Prepare, PrePrepare, SealedBlock, Vote
from consensus.state import Decision, State, Verdict
from consensus.tally import decided_by_commits, prepared_certificate
from consensus.verification import accuse, is_vote_signed
from consensus.view_change import ask
from consensus.vote_log import CommitRecord, ProposalRecord
from crypto.hashing import Digest


class When(Enum):
    """Where a vote's slot lies, seen from the height under way."""

    PAST = 1
    NOW = 2
    NEXT = 3
    LATER = 4


def when(s: State, vote: Vote) -> When:
    """Place the slot of `vote`; a decided height is past in the very step that decides it."""
    slot = vote.slot
    if slot.epoch != s.epoch:
        return When.LATER if slot.epoch > s.epoch else When.PAST
    ahead = slot.height - s.height
    if ahead == 0:
        return When.NOW if s.applying is None else When.PAST
    if ahead < 0:
        return When.PAST
    return When.NEXT if ahead == 1 else When.LATER


def is_now(s: State, vote: Vote) -> bool:
    """Whether `vote` is for the height under way."""
    slot = vote.slot
    return slot.height == s.height and slot.epoch == s.epoch and s.applying is None


# Intake.


def on_vote(s: State, sender: MemberIndex, vote: Vote) -> None:
    """Sort a vote by its slot.

    Past: ignored, however late a correct member's message may be. Now: into its table. The
    next height: kept aside, one per member and kind, because the sender decided before us.
    Later: only shows that the sender is ahead.
    """
    if vote.slot.epoch == s.epoch and vote.sender != sender:
        # In another epoch the same member may have another index.
        s.suspect(sender, Reason.WRONG_SENDER, f"a vote of member {vote.sender}")
        return
    place = when(s, vote)
    match place:
        case When.PAST:
            return
        case When.NOW:
            if vote.slot.term != s.term:
                s.suspect(sender, Reason.BAD_SLOT, f"term must be {s.term}, got {vote.slot.term}")
            elif isinstance(vote, PrePrepare):
                _on_pre_prepare(s, vote)
            elif isinstance(vote, Prepare):
                _on_prepare(s, vote)
            else:
                _on_commit(s, vote)
        case When.NEXT:
            s.claims(sender, s.head.height + 1)
            _stash(s, vote)
        case When.LATER:
            s.claims(sender, vote.slot.height - 1)
        case _:
            assert_never(place)


def _stash(s: State, vote: Vote) -> None:
    slot = vote.slot
    if isinstance(vote, PrePrepare):
        # Bodies are large: keep one only from the member whose turn it would be.
        view = s.view if slot.term == s.term else View(0)
        if slot.view != view or vote.sender != s.membership.primary(slot.term, view):
            return
        s.stash = {key: kept for key, kept in s.stash.items() if key[1] != PrePrepare.TAG}
    s.stash[vote.sender, vote.TAG] = vote


def replay_stash(s: State) -> None:
    """Take in the votes that were kept aside for the height that is now under way."""
    kept, s.stash = s.stash, {}
    for vote in kept.values():
        on_vote(s, vote.sender, vote)


def _on_pre_prepare(s: State, m: PrePrepare) -> None:
    """Accept one proposal per view: the first, by its primary, whose body has its digest.

    Only for the entered view, and for the view asked for (its NEW-VIEW may come later). A
    second, different one is evidence, and reason enough to change the view.
    """
    view = m.slot.view
    if view not in (s.view, s.asked):
        return
    if m.sender != s.membership.primary(s.term, view):
        s.suspect(m.sender, Reason.WRONG_PRIMARY, f"not the primary of view {view}")
        return
    known = s.pre_prepares.get(view)
    if known is not None and (known.digest == m.digest or not s.may_check(m.sender)):
        return
    if not is_vote_signed(s, m):
        s.suspect(m.sender, Reason.BAD_SIGNATURE, "PRE-PREPARE")
        return
    if known is not None:
        accuse(s, known, m)
        _reject_view(s, view)
        return
    if s.digest_of(m.body) != m.digest:
        s.suspect(m.sender, Reason.BODY_MISMATCH, "the body of a PRE-PREPARE")
        _reject_view(s, view)
        return
    s.pre_prepares[view] = m
    compare_proposal(s, m)
    s.timers.progress_deadline = None  # Starts anew: the primary has done its part.


def _on_prepare(s: State, m: Prepare) -> None:
    """Keep a member's newest PREPARE of the entered view or a later one.

    The primary's is ignored: the PRE-PREPARE is its vote, and both would count it twice.
    """
    if m.slot.view < s.view or m.sender == s.membership.primary(s.term, m.slot.view):
        return
    known = s.prepares[m.sender]
    if known is not None and (known.slot.view > m.slot.view or known == m):
        return
    if known is not None and not s.may_check(m.sender):
        return
    if not is_vote_signed(s, m):
        s.suspect(m.sender, Reason.BAD_SIGNATURE, "PREPARE")
    elif known is None or known.slot.view < m.slot.view:
        s.prepares[m.sender] = m
        compare_prepare(s, m)
    elif known.digest != m.digest:
        accuse(s, known, m)


def _on_commit(s: State, m: Commit) -> None:
    """Keep a member's newest COMMIT, of any view: it may decide even a view we left."""
    known = s.commits[m.sender]
    if known is not None and (known.slot.view > m.slot.view or known == m):
        return
    if known is not None and not s.may_check(m.sender):
        return
    if not is_vote_signed(s, m):
        s.suspect(m.sender, Reason.BAD_SIGNATURE, "COMMIT")
    elif known is None or known.slot.view < m.slot.view:
        s.commits[m.sender] = m
        s.commits_changed = True
        compare_commit(s, m)
    elif known.digest != m.digest:
        accuse(s, known, m)


def on_built(s: State, event: Built | NothingToBuild) -> None:
    """Propose what the application built, unless the occasion is gone."""
    if event.height != s.height or not s.is_building:
        return
    s.is_building = False
    if isinstance(event, NothingToBuild):
        s.is_pending = False
    elif _may_build(s):
        s.verdicts[event.digest] = Verdict.EXECUTED
        _propose(s, event.digest, event.body)


def on_validated(s: State, event: Validated) -> None:
    """Note the application's word on the body it was asked about."""
    if s.validating is None or event.digest != s.validating[0]:
        return
    is_fresh = s.validating[1]
    s.validating = None
    s.timers.progress_deadline = None  # Starts anew: the time was our application's.
    if event.ok:
        s.verdicts[event.digest] = Verdict.EXECUTED
    else:
        s.verdicts[event.digest] = Verdict.REFUSED if is_fresh else Verdict.INVALID


# Rules. Each returns whether it did something.


def decide(s: State) -> bool:
    """Q COMMITs of one view are there, or a seal: the block is decided.

    Needs no vote of ours, and holds for a learner, a follower, and a replica that asked for
    a later view. Without the body the decision waits for it (`catch_up.fetch_body`).
    """
    if s.decision is None:
        if not s.commits_changed:
            return False
        s.commits_changed = False
        found = decided_by_commits(s.commits, s.q)
        if found is None:
            return False
        s.decision = Decision(*found)
    body = s.find_body(s.decision.digest)
    if body is None:
        return False
    decision = s.decision
    apply(
        s,
        SealedBlock(height=s.height, digest=decision.digest, body=body, seal=decision.seal),
    )
    return True


def apply(s: State, block: SealedBlock) -> None:
    """From this step on the height is decided: every vote and timer for it is void (rule 9)."""
    if s.opened_ms is not None:
        s.timers.sample_latency(s.now_ms - s.opened_ms)
    s.applying = block
    s.timers.reset()
    executed = s.verdicts.get(block.digest) is Verdict.EXECUTED
    s.emit(Apply(block, executed))


def propose(s: State) -> bool:
    """As the primary of the entered view, propose once: the chosen digest, or a new block.

    A chosen digest is executed here first, like any proposal, and needs its body. A new
    block is built when something is pending, at once when idle and else on the seal.
    """
    if s.primary != s.me or not s.is_active or s.proposal is not None:
        return False
    carried = s.carried
    if carried is None:
        if not _may_build(s) or not s.is_pending or s.is_building:
            return False
        s.is_building = True
        s.emit(Build(s.height, s.head.digest))
        return True
    body = s.find_body(carried.digest)
    if body is None:
        return False
    if not _is_valid(s, carried.digest):
        return _validate_carried(s, carried.digest, body)
    _propose(s, carried.digest, body)
    return True


def validate(s: State) -> bool:
    """As a backup, have the proposal of the entered view executed before voting for it.

    The first proposal of a view must carry the digest that the NEW-VIEW proves, if any, and
    is then not measured against the clock again (rules 1, 32). One that the application
    refuses is cause for a view change at once.
    """
    proposal = s.proposal
    if proposal is None or not s.is_active or proposal.sender == s.me or _is_behind_view(s):
        return False
    carried = s.carried
    if carried is not None and carried.digest != proposal.digest:
        s.suspect(proposal.sender, Reason.WRONG_CHOICE, "not the digest that its NEW-VIEW proves")
        return ask(s, View(s.view + 1))
    if _is_valid(s, proposal.digest):
        return False
    if carried is not None:
        return _validate_carried(s, proposal.digest, proposal.body)
    if s.verdicts.get(proposal.digest) is None:
        return _validate(s, proposal.digest, proposal.body, fresh=True)
    s.suspect(proposal.sender, Reason.INVALID_PROPOSAL, "the application refused it")
    return ask(s, View(s.view + 1))


def prepare(s: State) -> bool:
    """As a backup, vote for the proposal that was found valid, once in a view.

    The body and the vote are synced together before the PREPARE leaves (rule 23).
    """
    proposal = s.proposal
    if proposal is None or s.me is None or proposal.sender == s.me or not s.is_active:
        return False
    own = s.prepares[s.me]
    if own is not None and own.slot.view == s.view:
        return False
    if _is_behind_view(s) or not _is_valid(s, proposal.digest) or s.signer is None:
        return False
    vote = Prepare(
        slot=proposal.slot,
        digest=proposal.digest,
        sender=s.me,
        signature=s.signer.sign(Kind.PREPARE, proposal.slot, proposal.digest),
    )
    s.prepares[s.me] = vote
    s.persist(ProposalRecord(proposal, vote))
    s.emit(Broadcast(vote))
    return True


def commit(s: State) -> bool:
    """Having voted for the proposal and seen it prepared, commit, once in a view.

    The certificate is synced before the COMMIT leaves: a later VIEW-CHANGE must show it.
    """
    proposal = s.proposal
    if proposal is None or s.me is None or not s.is_active or s.signer is None:
        return False
    own = s.commits[s.me]
    if own is not None and own.slot.view == s.view:
        return False
    own_prepare = s.prepares[s.me]
    is_voted = proposal.sender == s.me or (
        own_prepare is not None and own_prepare.slot == proposal.slot
    )
    if not is_voted:
        return False
    certificate = prepared_certificate(proposal, s.prepares, s.q)
    if certificate is None:
        return False
    s.certificate, s.certificate_body = certificate, proposal.body
    vote = Commit(
        slot=proposal.slot,
        digest=proposal.digest,
        sender=s.me,
        signature=s.signer.sign(Kind.COMMIT, proposal.slot, proposal.digest),
    )
    s.commits[s.me] = vote
    s.commits_changed = True
    s.persist(CommitRecord(certificate, vote))
    s.emit(Broadcast(vote))
    return True


def _propose(s: State, digest: Digest, body: bytes) -> None:
    assert s.me is not None
    assert s.signer is not None
    slot = s.slot(s.view, s.height)
    pre_prepare = PrePrepare(
        slot=slot,
        digest=digest,
        sender=s.me,
        signature=s.signer.sign(Kind.PRE_PREPARE, slot, digest),
        body=body,
    )
    s.pre_prepares[s.view] = pre_prepare
    s.timers.progress_deadline = None
    s.persist(ProposalRecord(pre_prepare, None))
    s.emit(Broadcast(pre_prepare))


def _validate(s: State, digest: Digest, body: bytes, *, fresh: bool) -> bool:
    if s.validating is not None:
        return False  # One at a time: the answer does not say what was asked.
    s.validating = (digest, fresh)
    s.emit(Validate(s.height, digest, body, fresh))
    return True


def _validate_carried(s: State, digest: Digest, body: bytes) -> bool:
    """A refusal as a fresh block may have been the clock's; q members know better."""
    if s.verdicts.get(digest) is Verdict.INVALID:
        s.halt(f"height {s.height}: q members prepared a block that is not valid here")
        return True
    return _validate(s, digest, body, fresh=False)


def _may_build(s: State) -> bool:
    """Whether a block of our own may be proposed now."""
    return (
        s.primary == s.me
        and s.is_active
        and s.proposal is None
        and s.carried is None
        and not _is_behind_view(s)
    )


def _is_behind_view(s: State) -> bool:
    """Whether the entered view begins above our head: catch up before voting in it."""
    return s.choice is not None and s.choice.head.height > s.head.height


def _is_valid(s: State, digest: Digest) -> bool:
    return s.verdicts.get(digest) in (Verdict.EXECUTED, Verdict.VOTED_BEFORE)


def _reject_view(s: State, view: View) -> None:
    if s.is_active and view == s.view:
        ask(s, View(view + 1))
