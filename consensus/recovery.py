"""Coming back: replay of the vote log, and the learner's quarantine.

A replica that starts, or has fallen behind, follows decisions but signs nothing until q
members, itself included, have shown heads that are not above its own (rule 19). Nobody
else's help is needed after a power cut of all: each brings its own log and head (rule 21).
"""

from collections.abc import Sequence

from consensus.certificates import Kind, SignedVote
from consensus.errors import CorruptLog
from consensus.events import Broadcast, Reason, Send
from consensus.membership import Height, MemberIndex, Term
from consensus.messages import (
    GetHead,
    HeadReply,
)
from consensus.state import State, Verdict
from consensus.verification import is_head_proven, is_signed
from consensus.view_change import Contradiction, choose_proposal, note_seal
from consensus.vote_log import (
    CommitRecord,
    NewViewRecord,
    ProposalRecord,
    Record,
    ViewChangeRecord,
    compact,
    record_slot,
)
from consensus.wire import signed_core
from crypto.hashing import tagged_hash

_NONCE_TAG = b"hearth/pbft/nonce/1"

# The vote log.


def restore(s: State, records: Sequence[Record]) -> None:
    """Take up where the log ends: own votes, certificate, views asked for and entered.

    A log that is newer than the block store keeps the replica silent until what it binds is
    decided: within the term, up to its heights; beyond it, until its last term or this epoch ends.

    Raises:
        CorruptLog: it holds another member's votes, or contradicts itself.
    """
    s.later_records = ahead = tuple(r for r in records if record_slot(r).epoch > s.epoch)
    if s.me is None:
        return
    # What it signed in this epoch may be compacted away, so that the later one must be reached.
    s.must_reach = max((max(s.height, record_slot(r).height) for r in ahead), default=s.must_reach)
    later = [r.term for r in map(record_slot, records) if r.epoch == s.epoch and r.term > s.term]
    s.forgotten_term = max(later, default=None)
    present = [record for record in records if record_slot(record).epoch <= s.epoch]
    for record in compact(present, epoch=s.epoch, term=s.term, height=s.head.height):
        match record:
            case ProposalRecord():
                _restore_proposal(s, record)
            case CommitRecord(certificate, commit):
                _remember(s, signed_core(commit))
                if commit.slot.height == s.height:
                    s.commits[s.me] = commit
                    s.certificate = certificate
                    s.certificate_body = s.find_body(certificate.digest)
            case ViewChangeRecord(view_change):
                _remember(s, signed_core(view_change))
                if view_change.slot.term == s.term:
                    s.asked = max(s.asked, view_change.slot.view)
                    s.view_changes[s.me] = view_change
            case NewViewRecord():
                _restore_view(s, record)
    own = s.view_changes[s.me]
    if own is not None and own.slot.view <= s.view:
        s.view_changes[s.me] = None
    s.pre_prepares = {v: m for v, m in s.pre_prepares.items() if v == s.view}


def _restore_proposal(s: State, record: ProposalRecord) -> None:
    assert s.me is not None
    vote = record.pre_prepare if record.prepare is None else record.prepare
    _remember(s, signed_core(vote))
    if vote.slot.height == s.height:
        s.pre_prepares = {vote.slot.view: record.pre_prepare}
        s.verdicts[vote.digest] = Verdict.VOTED_BEFORE
        if record.prepare is not None:
            s.prepares[s.me] = record.prepare


def _restore_view(s: State, record: NewViewRecord) -> None:
    new_view = record.new_view
    if new_view.sender == s.me:
        _remember(s, signed_core(new_view))
    if new_view.slot.term != s.term:
        return
    choice = choose_proposal(new_view.view_changes)
    if isinstance(choice, Contradiction):
        raise CorruptLog("the vote log holds a NEW-VIEW that contradicts itself")
    s.set_view(new_view.slot.view)
    s.asked = max(s.asked, s.view)
    s.new_view, s.choice = new_view, choice


def _remember(s: State, vote: SignedVote) -> None:
    assert s.signer is not None
    if vote.sender != s.me:
        raise CorruptLog(f"the vote log holds a vote of member {vote.sender}, we are {s.me}")
    s.signer.remember(vote)
    if vote.kind in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT) and vote.slot.height > s.height:
        # The block store is older than the log: this height needs no vote of ours again.
        s.must_reach = max(s.must_reach, vote.slot.height)


def begin_epoch(s: State, *, is_witnessed: bool, was_member: bool) -> None:
    """Decide what this replica may sign in the epoch that it has just entered.

    Where this process itself agreed to the change before it took effect, no vote of the epoch
    can have been given by an earlier life of this key: all quarantine is over (rule 25). In an
    epoch that is only replayed, the vote log binds as at a start, and a replica that was no
    member in the former one, and so no learner, becomes one. Whose log is there before its key
    is a member's has lost nothing of it: a newcomer that was started anew while its READY was on
    its way needs no more than others to vote, or a community that has grown by it could stand.
    """
    s.forgotten_term, s.must_reach = None, Height(0)
    if is_witnessed and not s.later_records:  # Else the log knows better.
        s.is_learner, s.nonce, s.is_doubtful, s.later_records = False, None, False, ()
        return
    if not was_member and is_level(s):
        s.is_doubtful = False
    restore(s, s.later_records)
    if not was_member or s.is_learner:
        become_learner(s)


def is_level(s: State) -> bool:
    """Whether f + 1 others claim heads that are not above ours, and at most f claim higher ones."""
    claims = [s.peers[member].claimed_height for member in s.others]
    above = sum(claim > s.head.height for claim in claims)
    return above <= s.f < sum(0 < claim <= s.head.height for claim in claims)


# The learner.


def become_learner(s: State) -> None:
    """Stop voting and ask everybody for a proven head, under a fresh nonce."""
    if s.me is None:
        return
    s.is_learner = True
    s.heads = {}
    s.nonces_used += 1
    s.nonce = tagged_hash(
        _NONCE_TAG,
        s.membership.members[s.me],
        s.now_ms.to_bytes(8, "big"),
        s.nonces_used.to_bytes(8, "big"),
    )
    s.timers.stop()
    s.emit(Broadcast(GetHead(s.nonce)))


def ask_head(s: State, member: MemberIndex) -> None:
    """Put the question to one member, if it is open and that member has not answered."""
    if s.nonce is not None and member != s.me and member not in s.heads:
        s.emit(Send(member, GetHead(s.nonce)))


def ask_heads_again(s: State) -> None:
    """Repeat the question to those who have not answered."""
    for member in s.others:
        ask_head(s, member)


def on_get_head(s: State, sender: MemberIndex, m: GetHead) -> None:
    """Show the own head, and the asker's newest signatures held here, within the quota."""
    if not s.peers[sender].may_serve(m.TAG, s.now_ms, s.config.serve_interval_ms):
        return
    votes = [
        signed_core(vote)
        for vote in (
            next((p for p in s.pre_prepares.values() if p.sender == sender), None),
            s.prepares[sender],
            s.commits[sender],
            s.view_changes[sender],
            s.new_view if s.new_view is not None and s.new_view.sender == sender else None,
        )
        if vote is not None
    ]
    reply = HeadReply(nonce=m.nonce, epoch=s.epoch, head=s.head, yours=tuple(votes))
    s.emit(Send(sender, reply))


def on_head_reply(s: State, sender: MemberIndex, m: HeadReply) -> None:
    """Count the head of a member; follow it if it is proven and above ours (rule 20)."""
    if s.nonce is None or m.nonce != s.nonce or not s.may_check(sender):
        return
    for vote in m.yours:
        _recall(s, sender, vote)
    if m.head.height > s.head.height and not is_head_proven(s, m.head):
        if m.epoch > s.epoch:
            s.claims(sender, m.head.height)  # Sealed by members that we do not know yet.
        else:
            s.suspect(sender, Reason.BAD_CERTIFICATE, "HEAD-REPLY: its head is not proven")
        return
    s.heads[sender] = m.head.height
    s.claims(sender, m.head.height)
    if m.head.height == s.height and m.head.seal is not None:
        note_seal(s, m.head.digest, m.head.seal)


def _recall(s: State, sender: MemberIndex, vote: SignedVote) -> None:
    """An own signature that the log does not know: the log was lost (rule 25).

    What else was signed is unknown, so keep quiet until the term of that vote is over.
    """
    if vote.sender != s.me or s.signer is None or vote.slot.epoch != s.epoch:
        return
    if s.signer.knows(vote) or vote.slot.term < s.term:
        return
    is_for_block = vote.kind in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)
    if is_for_block and vote.slot.height < s.height:
        return
    if vote.slot.term == s.term and vote.slot.view < s.asked:
        return  # The log goes further: compacted away, and no vote there will ever be asked for.
    if not is_signed(s, vote):
        s.suspect(sender, Reason.BAD_SIGNATURE, "HEAD-REPLY: not our signature")
    else:
        doubt(s, vote.slot.term)


def doubt(s: State, term: Term) -> None:
    """Note an own signature of `term` that the log does not know."""
    s.is_doubtful = True
    s.forgotten_term = max(term, s.forgotten_term or Term(0))


def end_learning(s: State) -> bool:
    """Vote again once q members, this one included, have shown heads not above ours.

    And not before every slot that the log, or a peer, shows us to have signed is decided. A
    replica that cannot trust its log is no witness itself: it needs q others, so that of any q
    that it may have voted with, f + 1 have told it what they hold of it.
    """
    if not s.is_learner or s.applying is not None:
        return False
    if len(level_heads(s)) < heads_needed(s) or s.must_reach > s.head.height:
        return False
    if s.forgotten_term is not None and s.forgotten_term >= s.term:
        return False
    s.is_learner = False
    s.is_doubtful = False
    s.nonce = None
    s.heads = {}
    s.progressed_ms = s.now_ms
    return True


def level_heads(s: State) -> list[MemberIndex]:
    """Learner: the others whose heads do not lie above ours."""
    return [member for member, height in s.heads.items() if height <= s.head.height]


def heads_needed(s: State) -> int:
    """Learner: from how many others a head must have come.

    Before the first block nobody has voted, as far as anybody knows: a community begins with
    new logs.
    """
    return s.q if s.is_doubtful and s.head.height > 0 else s.q - 1
