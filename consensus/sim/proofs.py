"""What a correct member rests its votes on, checked apart from the core's own verification.

`checkers` watches what members sign and apply; here is what lies between: certificates, new
views, the choice that binds them, the quarantine after a start, and the vote log itself.
"""

from collections.abc import Iterable
from typing import final

from consensus.certificates import PreparedCertificate, SignedVote, SigningDomain, Slot
from consensus.errors import DoubleSign
from consensus.keyring import Keyring
from consensus.membership import Membership
from consensus.messages import NewView, PrePrepare, ViewChange
from consensus.signer import Signer
from consensus.sim.checkers import InvariantViolation, SignOnce, certificate_size
from consensus.sim.forgery import prepare_votes
from consensus.vote_log import CommitRecord, NewViewRecord, ProposalRecord, Record
from consensus.wire import signed_core
from crypto.hashing import Digest

_PAYLOAD = SigningDomain.payload
"""Held from the start, so that a mutant of the core does not change what is checked."""


def _place(slot: Slot) -> str:
    return f"term {slot.term} view {slot.view} height {slot.height}"


@final
class Proofs:
    """A correct member's records rest on true signatures, and it votes as they bind it."""

    def __init__(
        self,
        keyring: Keyring,
        domain: SigningDomain,
        membership: Membership,
        sign_once: SignOnce,
        byzantine: frozenset[int],
    ) -> None:
        self._keyring = keyring
        self._domain = domain
        self._membership = membership
        self._certificate = certificate_size(membership.n)
        self._sign_once = sign_once
        self._byzantine = byzantine
        self._seen: set[PreparedCertificate | NewView] = set()
        self._bound: dict[tuple[int, int, int, int, int], Digest] = {}
        """(member, epoch, term, view, height) -> the digest that its NEW-VIEW binds it to."""

    def on_records(self, records: Iterable[Record], member: int) -> None:
        """Check records that a correct member has synced, or raise."""
        for record in records:
            match record:
                case CommitRecord(certificate):
                    self._on_certificate(certificate, member)
                case NewViewRecord(new_view):
                    self._on_new_view(new_view, member)
                case ProposalRecord(pre_prepare):
                    self._on_vote(pre_prepare, member)
                case _:
                    pass

    def _on_certificate(self, certificate: PreparedCertificate, member: int) -> None:
        """A PRE-PREPARE and exactly q - 1 PREPAREs of others, for its slot and digest (rule 2)."""
        if certificate in self._seen:
            return
        first = certificate.pre_prepare
        where = f"{_place(first.slot)}: certificate of member {member}"
        senders = [sender for sender, _ in certificate.prepares]
        sizes = (len({first.sender, *senders}), 1 + len(senders))
        if sizes != (self._certificate, self._certificate):
            raise InvariantViolation("certificates", f"{where} has votes by {senders}")
        for vote in prepare_votes(certificate):
            payload = _PAYLOAD(self._domain, vote.kind, vote.slot, vote.digest)
            public = self._membership.members[vote.sender]
            if not self._keyring.verify(public, payload, vote.signature):
                raise InvariantViolation("certificates", f"{where}: {vote.sender} signed no such")
            self._require_known(vote, "certificates", where)
        self._seen.add(certificate)

    def _on_new_view(self, new_view: NewView, member: int) -> None:
        """Q members asked for the view, as they are known to have signed (rule 1)."""
        slot = new_view.slot
        self._bind(new_view, member)
        if new_view in self._seen:
            return
        where = f"term {slot.term} view {slot.view}: NEW-VIEW entered by member {member}"
        proof = new_view.view_changes
        if len({m.sender for m in proof}) != self._certificate or len(proof) != self._certificate:
            raise InvariantViolation("new_view", f"{where} is by {[m.sender for m in proof]}")
        for view_change in proof:
            asked = view_change.slot
            if (asked.epoch, asked.term, asked.view) != (slot.epoch, slot.term, slot.view):
                raise InvariantViolation("new_view", f"{where} rests on another view")
            self._require_known(signed_core(view_change), "new_view", where)
        self._seen.add(new_view)

    def _require_known(self, vote: SignedVote, checker: str, where: str) -> None:
        if vote.sender not in self._byzantine and not self._sign_once.has_noted(vote):
            raise InvariantViolation(
                checker, f"{where}: member {vote.sender} never signed its {vote.kind.name}"
            )

    def _bind(self, new_view: NewView, member: int) -> None:
        """Work out what the certificate of the highest view demands (rule 4)."""
        height = max(m.head.height for m in new_view.view_changes) + 1
        newest = max(_certificates(new_view.view_changes, height), key=_view, default=None)
        if newest is not None:
            slot = new_view.slot
            key = (member, slot.epoch, slot.term, slot.view, height)
            self._bound[key] = newest.digest

    def _on_vote(self, proposal: PrePrepare, member: int) -> None:
        slot = proposal.slot
        bound = self._bound.get((member, slot.epoch, slot.term, slot.view, slot.height))
        if bound is not None and bound != proposal.digest:
            raise InvariantViolation(
                "choice",
                f"{_place(slot)}: member {member} votes for {proposal.digest.hex()[:8]}, its "
                f"NEW-VIEW binds it to {bound.hex()[:8]}",
            )


def _certificates(view_changes: Iterable[ViewChange], height: int) -> list[PreparedCertificate]:
    found = (m.prepared for m in view_changes)
    return [c for c in found if c is not None and c.slot.height == height]


def _view(certificate: PreparedCertificate) -> int:
    return certificate.slot.view


def require_awake(member: int, shown: int, n: int) -> None:
    """Raise unless q members, itself included, have shown a head to one that signs (rule 19).

    Args:
        member: a correct member that has just signed something new.
        shown: other members whose HEAD-REPLY reached it since it started.
        n: members.
    """
    if shown + 1 < certificate_size(n):
        raise InvariantViolation(
            "learner", f"member {member} voted when {shown} others had shown it their heads"
        )


def require_same_again(signer: Signer, vote: SignedVote, other: Digest) -> None:
    """Ask for `vote` again, and for another digest in its slot; raise if either goes wrong.

    The same bytes get the stored signature, other bytes are refused (rule 24).
    """
    name = f"{vote.kind.name} of member {vote.sender} in {_place(vote.slot)}"
    try:
        again = signer.sign(vote.kind, vote.slot, vote.digest)
    except DoubleSign as error:
        raise InvariantViolation("signer", f"{name} is not signed again: {error}") from error
    if again != vote.signature:
        raise InvariantViolation("signer", f"{name}: another signature for the same bytes")
    try:
        signer.sign(vote.kind, vote.slot, other)
    except DoubleSign:
        return
    raise InvariantViolation("signer", f"{name}: another digest was signed, too")
