"""What a correct member rests its votes on, checked apart from the core's own verification.

`checkers` watches what members sign and apply; here is what lies between: certificates, new
views, the choice that binds them, the quarantine after a start, and the vote log itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import final

from consensus.certificates import PreparedCertificate, SignedVote, Slot
from consensus.errors import DoubleSign
from consensus.messages import NewView, PrePrepare, ViewChange
from consensus.replica import Replica
from consensus.signer import Signer
from consensus.sim.app import digest_of
from consensus.sim.checkers import SignOnce, own_messages
from consensus.sim.epochs import Epochs
from consensus.sim.forgery import prepare_votes
from consensus.sim.violation import InvariantViolation, certificate_size
from consensus.vote_log import CommitRecord, NewViewRecord, ProposalRecord, Record, record_slot
from consensus.wire import signed_core
from crypto.hashing import Digest


def _place(slot: Slot) -> str:
    return f"epoch {slot.epoch} term {slot.term} view {slot.view} height {slot.height}"


@final
class Proofs:
    """A correct member's records rest on true signatures, and it votes as they bind it."""

    def __init__(self, epochs: Epochs, sign_once: SignOnce) -> None:
        self._epochs = epochs
        self._sign_once = sign_once
        self._seen: set[PreparedCertificate | NewView] = set()
        self._entered: set[tuple[int, int, int, int]] = set()
        """(member, epoch, term, view): views whose NEW-VIEW is in that member's log."""
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
        enough = self._enough(first.slot)
        if sizes != (enough, enough):
            raise InvariantViolation("certificates", f"{where} has votes by {senders}")
        for vote in prepare_votes(certificate):
            if not self._epochs.is_vote_signed(vote):
                raise InvariantViolation("certificates", f"{where}: {vote.sender} signed no such")
            self._require_known(vote, "certificates", where)
        self._seen.add(certificate)

    def _on_new_view(self, new_view: NewView, member: int) -> None:
        """Q members asked for the view, as they are known to have signed (rule 1)."""
        slot = new_view.slot
        self._entered.add((member, slot.epoch, slot.term, slot.view))
        self._bind(new_view, member)
        if new_view in self._seen:
            return
        where = f"term {slot.term} view {slot.view}: NEW-VIEW entered by member {member}"
        proof, enough = new_view.view_changes, self._enough(slot)
        if len({m.sender for m in proof}) != enough or len(proof) != enough:
            raise InvariantViolation("new_view", f"{where} is by {[m.sender for m in proof]}")
        for view_change in proof:
            asked = view_change.slot
            if (asked.epoch, asked.term, asked.view) != (slot.epoch, slot.term, slot.view):
                raise InvariantViolation("new_view", f"{where} rests on another view")
            self._require_known(signed_core(view_change), "new_view", where)
        self._seen.add(new_view)

    def _enough(self, slot: Slot) -> int:
        membership = self._epochs.of(slot.epoch)
        if membership is None:
            raise InvariantViolation("epochs", f"{_place(slot)}: that epoch has not begun")
        return certificate_size(membership.n)

    def _require_known(self, vote: SignedVote, checker: str, where: str) -> None:
        is_faulty = self._epochs.is_faulty(vote.slot.epoch, vote.sender)
        if not is_faulty and not self._sign_once.has_noted(vote):
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
        place = (member, slot.epoch, slot.term, slot.view)
        if slot.view > 0 and place not in self._entered:
            raise InvariantViolation(
                "entered", f"{_place(slot)}: member {member} votes in a view that nobody proved"
            )
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


def question(replica: Replica, records: Sequence[Record], index_in: Callable[[int], int]) -> None:
    """Ask a signer once more for the newest vote of each kind that still binds, or raise.

    Args:
        replica: whose signer is asked.
        records: its vote log.
        index_in: its index in an epoch.
    """
    signer = vars(replica)["_s"].signer
    asked: set[int] = set()
    for record in reversed(records):
        slot = record_slot(record)
        is_vote = isinstance(record, ProposalRecord | CommitRecord)
        is_void = slot.height <= replica.head.height if is_vote else slot.term < replica.term
        if is_void or slot.epoch != replica.epoch or record.TAG in asked or signer is None:
            continue
        asked.add(record.TAG)
        for message in own_messages(record, index_in(slot.epoch)):
            vote = signed_core(message)
            require_same_again(signer, vote, digest_of(vote.digest))
