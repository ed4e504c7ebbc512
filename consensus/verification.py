"""Signature checks, dear ones last: a certificate's shape before its signatures (rule 34)."""

from consensus.certificates import Head, Kind, PreparedCertificate, SignedVote, Slot
from consensus.events import Evidence, Reason
from consensus.membership import MemberIndex
from consensus.messages import Signed, ViewChange, Vote
from consensus.state import VERIFIED_MAX, State
from consensus.wire import signed_core, view_change_digest


def is_signed(s: State, vote: SignedVote) -> bool:
    """Whether the signature of `vote` is its sender's."""
    return vote.sender < s.n and _verify(
        s, s.domain.payload(vote.kind, vote.slot, vote.digest), vote.sender, vote.signature
    )


def is_vote_signed(s: State, vote: Vote) -> bool:
    """The same for a vote on a block, without the detour."""
    payload = s.domain.payload(Kind(vote.TAG), vote.slot, vote.digest)
    return _verify(s, payload, vote.sender, vote.signature)


def _verify(s: State, payload: bytes, sender: MemberIndex, signature: bytes) -> bool:
    return s.keyring.verify(s.membership.members[sender], payload, signature)


def is_head_proven(s: State, head: Head) -> bool:
    """Whether `head` carries a seal by this epoch's members, or is the block below the epoch.

    A seal is exactly q COMMITs of one view, over the digest, by distinct members. The block
    below the epoch, genesis or sealed by the former members, is known by its digest.
    """
    if head.height == s.membership.first_height - 1:
        return head.digest == s.base_digest
    if head in s.verified:
        return True
    if head.height < s.membership.first_height or head.seal is None:
        return False
    if len(head.seal.signatures) != s.q:
        return False
    slot = Slot(
        epoch=s.epoch,
        term=s.membership.term(head.height),
        view=head.seal.view,
        height=head.height,
    )
    payload = s.domain.payload(Kind.COMMIT, slot, head.digest)
    for member, signature in head.seal.signatures:
        if member >= s.n or not _verify(s, payload, member, signature):
            return False
    _remember(s, head)
    return True


def is_certificate_valid(s: State, certificate: PreparedCertificate) -> bool:
    """Whether it holds the primary's PRE-PREPARE and exactly q - 1 PREPAREs of others."""
    if certificate in s.verified:
        return True
    slot, primary = certificate.slot, certificate.pre_prepare.sender
    if slot.epoch != s.epoch or slot.height < s.membership.first_height:
        return False
    if slot.term != s.membership.term(slot.height):
        return False
    if primary != s.membership.primary(slot.term, slot.view):
        return False
    members = [member for member, _ in certificate.prepares]
    if len(members) != s.q - 1 or primary in members or max(members) >= s.n:
        return False
    if not is_signed(s, certificate.pre_prepare):
        return False
    payload = s.domain.payload(Kind.PREPARE, slot, certificate.digest)
    for member, signature in certificate.prepares:
        if not _verify(s, payload, member, signature):
            return False
    _remember(s, certificate)
    return True


def view_change_fault(s: State, m: ViewChange) -> str | None:
    """Why a VIEW-CHANGE of the present epoch does not verify; None when it does.

    Its head is proven and lies just below a height of its term; its certificate, if any, is
    for that height and from a lower view (rules 1, 4, 17).
    """
    if m.sender >= s.n:
        return f"sender must be below {s.n}"
    if m.head.height + 1 < s.membership.first_height:
        return "its head lies before the epoch"
    if s.membership.term(m.head.height + 1) != m.slot.term:
        return "its head does not lead into its term"
    certificate = m.prepared
    if certificate is not None:
        if certificate.slot.height != m.head.height + 1:
            return "its certificate is not for the height above its head"
        if certificate.slot.view >= m.slot.view:
            return "its certificate is not from a lower view"
    digest = view_change_digest(m.head, certificate)
    payload = s.domain.payload(Kind.VIEW_CHANGE, m.slot, digest)
    if not _verify(s, payload, m.sender, m.signature):
        return "bad signature"
    if not is_head_proven(s, m.head):
        return "its head is not proven"
    if certificate is not None and not is_certificate_valid(s, certificate):
        return "its certificate does not verify"
    return None


def accuse(
    s: State,
    first: Signed | SignedVote,
    second: Signed | SignedVote,
    view_change: ViewChange | None = None,
) -> None:
    """Report two verified signatures of one member that contradict each other (rule 36).

    Once per member, kind and height: evidence must not be spam.
    """
    one = first if isinstance(first, SignedVote) else signed_core(first)
    two = second if isinstance(second, SignedVote) else signed_core(second)
    key = (one.sender, one.kind)
    if key in s.accused:
        return
    s.accused[key] = None
    s.emit(Evidence(one, two, view_change))
    names = f"{one.kind.name} and {two.kind.name}"
    s.suspect(one.sender, Reason.EQUIVOCATION, f"{names} contradict each other")


def remember_head(s: State, head: Head) -> None:
    """Own heads need no further check."""
    _remember(s, head)


def _remember(s: State, proof: Head | PreparedCertificate) -> None:
    if len(s.verified) >= VERIFIED_MAX:
        del s.verified[next(iter(s.verified))]
    s.verified[proof] = None
