"""Comparing what members say with what they said before, and with what they told others.

A liar tells different things to different members, so each of them sees a consistent story. What
others relay shows the difference: the votes inside certificates and seals, and the proposal that
another voted for. Two signed words of one member are evidence (rule 36).
"""

from consensus.certificates import Head, Kind, PreparedCertificate, SignedVote, Slot
from consensus.events import Reason, Send
from consensus.evidence import proof_from
from consensus.membership import MemberIndex
from consensus.messages import Commit, Prepare, PrePrepare, Shown, ViewChange, Vote
from consensus.state import State
from consensus.verification import accuse, is_signed
from consensus.wire import signed_core


def compare_prepare(s: State, m: Prepare) -> None:
    """Of a verified PREPARE: against its sender's COMMIT, and the proposal it is for.

    Two digests in one view mean that the primary proposed twice, or that the voter lies. Each
    gets to see the proposal that the other has.
    """
    _both(s, m, s.commits[m.sender])
    proposal = s.pre_prepares.get(m.slot.view)
    if proposal is not None:
        _show(s, proposal, m)


def compare_proposal(s: State, m: PrePrepare) -> None:
    """Of a verified proposal: against its sender's COMMIT and against others' PREPAREs."""
    _both(s, m, s.commits[m.sender])
    for vote in s.prepares:
        if vote is not None:
            _show(s, m, vote)


def compare_commit(s: State, m: Commit) -> None:
    """Of a verified COMMIT: against its sender's PREPARE or proposal, and VIEW-CHANGE."""
    _both(s, m, s.prepares[m.sender])
    proposal = s.pre_prepares.get(m.slot.view)
    if proposal is not None and proposal.sender == m.sender:
        _both(s, m, proposal)
    asked = s.view_changes[m.sender]
    if asked is not None:
        _hides(s, m, asked)


def compare_view_change(s: State, m: ViewChange) -> None:
    """Of a verified VIEW-CHANGE: against its sender's COMMIT; its proofs against everybody's."""
    commit = s.commits[m.sender]
    if commit is not None:
        _hides(s, commit, m)
    if m.prepared is not None and m.prepared.slot.height == s.height:
        _compare_certificate(s, m.prepared)
    if m.head.height == s.height:
        _compare_seal(s, m.head)


def on_shown(s: State, sender: MemberIndex, m: Shown) -> None:
    """A proposal that another member has: if it is not ours, its primary proposed twice.

    Harmless otherwise: it proves nothing, and takes no place of ours.
    """
    vote = m.vote
    known = s.pre_prepares.get(vote.slot.view)
    if known is None or known.slot != vote.slot or known.digest == vote.digest:
        return
    if vote.sender != known.sender or not s.may_check(sender):
        return
    if not is_signed(s, vote):
        s.suspect(sender, Reason.BAD_SIGNATURE, "a PRE-PREPARE that it shows")
        return
    accuse(s, known, vote)


def _show(s: State, proposal: PrePrepare, vote: Prepare) -> None:
    """Once per PREPARE that is taken in: a member's newest, so one in a view."""
    is_other = proposal.slot == vote.slot and proposal.digest != vote.digest
    if is_other and s.me is not None and vote.sender != s.me:
        s.emit(Send(vote.sender, Shown(signed_core(proposal))))


def _both(s: State, vote: Vote, other: Vote | None) -> None:
    """Compare two messages: nearly always there is nothing to be made of them."""
    if other is not None and other.digest != vote.digest and other.slot == vote.slot:
        _against(s, signed_core(vote), other)


def _against(s: State, vote: SignedVote, other: PrePrepare | Prepare | Commit | None) -> None:
    if other is None or other.slot != vote.slot or other.digest == vote.digest:
        return
    if other.sender == vote.sender and proof_from(vote, signed_core(other)) is not None:
        first, second = sorted((vote, signed_core(other)), key=lambda v: v.kind)
        accuse(s, first, second)


def _hides(s: State, commit: Commit, asked: ViewChange) -> None:
    if asked.slot.view > commit.slot.view and asked.head.height < commit.slot.height:
        first, second = signed_core(commit), signed_core(asked)
        if proof_from(first, second, asked) is not None:
            accuse(s, first, second, asked)


def _compare_certificate(s: State, certificate: PreparedCertificate) -> None:
    slot, digest = certificate.slot, certificate.digest
    primary = certificate.pre_prepare
    proposal = s.pre_prepares.get(slot.view)
    if proposal is not None and proposal.sender == primary.sender:
        _against(s, primary, proposal)
    _against(s, primary, s.commits[primary.sender])
    for member, signature in certificate.prepares:
        if _differs(s.prepares[member], slot, digest) or _differs(s.commits[member], slot, digest):
            vote = SignedVote(
                kind=Kind.PREPARE, slot=slot, digest=digest, sender=member, signature=signature
            )
            _against(s, vote, s.prepares[member])
            _against(s, vote, s.commits[member])


def _compare_seal(s: State, head: Head) -> None:
    assert head.seal is not None, "a proven head above ours has a seal"
    slot = Slot(epoch=s.epoch, term=s.term, view=head.seal.view, height=head.height)
    for member, signature in head.seal.signatures:
        if _differs(s.commits[member], slot, head.digest):
            vote = SignedVote(
                kind=Kind.COMMIT, slot=slot, digest=head.digest, sender=member, signature=signature
            )
            _against(s, vote, s.commits[member])


def _differs(vote: Prepare | Commit | None, slot: Slot, digest: bytes) -> bool:
    return vote is not None and vote.slot == slot and vote.digest != digest
