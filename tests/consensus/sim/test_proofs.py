"""Each checker of what a vote rests on sees the violation that it is there for."""

from dataclasses import replace

import pytest

from consensus.certificates import (
    Kind,
    PreparedCertificate,
    SignedVote,
)
from consensus.messages import NewView, PrePrepare, ViewChange
from consensus.sim.checkers import SignOnce
from consensus.sim.proofs import Proofs, require_same_again
from consensus.sim.stage import Stage
from consensus.sim.violation import InvariantViolation
from consensus.vote_log import CommitRecord, NewViewRecord, ProposalRecord
from consensus.wire import new_view_digest, signed_core, view_change_digest
from crypto.hashing import Digest

N = 4


@pytest.fixture
def stage() -> Stage:
    return Stage(N)


@pytest.fixture
def known() -> SignOnce:
    return SignOnce()


@pytest.fixture
def proofs(stage: Stage, known: SignOnce) -> Proofs:
    return Proofs(stage.cluster.epochs, known)


def certificate(
    stage: Stage, known: SignOnce, view: int, salt: int, signers: tuple[int, ...]
) -> PreparedCertificate:
    """Of the first PREPAREs by `signers`, each noted as signed."""
    slot, body = stage.slot(view, 1), stage.body(1, 1, salt=salt)
    first = stage.pre_prepare(view, slot, body)
    prepares = [stage.prepare(i, slot, body) for i in signers]
    for vote in (first, *prepares):
        known.note(signed_core(vote))
    return PreparedCertificate(
        pre_prepare=signed_core(first),
        prepares=tuple((vote.sender, vote.signature) for vote in prepares),
    )


def commit_record(stage: Stage, held: PreparedCertificate, salt: int = 0) -> CommitRecord:
    return CommitRecord(held, stage.commit(1, held.slot, stage.body(1, 1, salt=salt)))


def view_change(
    stage: Stage, known: SignOnce, member: int, view: int, held: PreparedCertificate | None = None
) -> ViewChange:
    message = stage.view_change(member, view)
    signature = stage.signature(
        member, Kind.VIEW_CHANGE, message.slot, view_change_digest(message.head, held)
    )
    message = replace(message, prepared=held, signature=signature)
    known.note(signed_core(message))
    return message


def new_view(stage: Stage, proof: tuple[ViewChange, ...]) -> NewView:
    slot = proof[0].slot
    signature = stage.signature(slot.view, Kind.NEW_VIEW, slot, new_view_digest(proof))
    return NewView(
        slot=slot, view_changes=proof, sender=stage.members[slot.view], signature=signature
    )


def proposal(stage: Stage, view: int, salt: int) -> PrePrepare:
    return stage.pre_prepare(view, stage.slot(view, 1), stage.body(1, 1, salt=salt))


def test_a_true_certificate_passes(stage, known, proofs):
    held = certificate(stage, known, 0, 0, (1, 2))
    proofs.on_records([commit_record(stage, held)], member=1)


@pytest.mark.parametrize("signers", [(1,), (1, 2, 3)])
def test_a_certificate_of_too_few_or_too_many_is_seen(stage, known, proofs, signers):
    held = certificate(stage, known, 0, 0, signers)
    with pytest.raises(InvariantViolation, match="has votes by"):
        proofs.on_records([commit_record(stage, held)], member=1)


def test_a_certificate_that_counts_the_primary_twice_is_seen(stage, known, proofs):
    held = certificate(stage, known, 0, 0, (0, 1))
    with pytest.raises(InvariantViolation, match="has votes by"):
        proofs.on_records([commit_record(stage, held)], member=1)


def test_a_certificate_with_a_vote_for_another_digest_is_seen(stage, known, proofs):
    held = certificate(stage, known, 0, 0, (1, 2))
    other = stage.prepare(2, stage.slot(0, 1), stage.body(1, 1, salt=9))
    mixed = replace(held, prepares=(held.prepares[0], (other.sender, other.signature)))
    with pytest.raises(InvariantViolation, match="signed no such"):
        proofs.on_records([commit_record(stage, mixed)], member=1)


def test_a_certificate_with_a_vote_that_was_never_cast_is_seen(stage, proofs):
    held = certificate(stage, SignOnce(), 0, 0, (1, 2))
    with pytest.raises(InvariantViolation, match="never signed"):
        proofs.on_records([commit_record(stage, held)], member=1)


def test_a_true_new_view_passes_and_binds_to_the_newest_certificate(stage, known, proofs):
    old = certificate(stage, known, 0, 0, (1, 2))
    newer = certificate(stage, known, 1, 5, (0, 2))
    proof = (
        view_change(stage, known, 0, 2, newer),
        view_change(stage, known, 1, 2, old),
        view_change(stage, known, 2, 2),
    )
    entered = NewViewRecord(new_view(stage, proof))
    proofs.on_records([entered, ProposalRecord(proposal(stage, 2, 5), None)], member=3)
    with pytest.raises(InvariantViolation, match="binds it to"):
        proofs.on_records([ProposalRecord(proposal(stage, 2, 0), None)], member=3)


def test_only_who_entered_a_view_is_bound_by_it(stage, known, proofs):
    held = certificate(stage, known, 0, 0, (1, 2))
    others = (view_change(stage, known, i, 1) for i in (1, 2))
    proof = (view_change(stage, known, 0, 1, held), *others)
    proofs.on_records([NewViewRecord(new_view(stage, proof))], member=3)
    with pytest.raises(InvariantViolation, match="entered"):
        proofs.on_records([ProposalRecord(proposal(stage, 1, 7), None)], member=2)
    with pytest.raises(InvariantViolation, match="choice"):
        proofs.on_records([ProposalRecord(proposal(stage, 1, 7), None)], member=3)


@pytest.mark.parametrize("senders", [(0, 1), (0, 1, 2, 3)])
def test_a_new_view_without_exactly_q_members_is_seen(stage, known, proofs, senders):
    proof = tuple(view_change(stage, known, i, 1) for i in senders)
    with pytest.raises(InvariantViolation, match="is by"):
        proofs.on_records([NewViewRecord(new_view(stage, proof))], member=3)


def test_a_new_view_for_another_view_than_was_asked_for_is_seen(stage, known, proofs):
    proof = tuple(view_change(stage, known, i, 1 + (i == 2)) for i in range(3))
    with pytest.raises(InvariantViolation, match="another view"):
        proofs.on_records([NewViewRecord(new_view(stage, proof))], member=3)


def test_a_new_view_that_puts_words_into_mouths_is_seen(stage, known, proofs):
    proof = tuple(view_change(stage, known, i, 1) for i in range(2))
    forged = view_change(stage, SignOnce(), 2, 1)
    with pytest.raises(InvariantViolation, match="member 2 never signed its VIEW_CHANGE"):
        proofs.on_records([NewViewRecord(new_view(stage, (*proof, forged)))], member=3)


def test_a_signer_that_repeats_itself_passes_and_the_two_bad_ones_are_seen(stage):
    other = Digest(b"o" * 32)
    slot, digest = stage.slot(0, 9), Digest(b"d" * 32)
    signer = stage.signer(1)
    vote = SignedVote(
        kind=Kind.PREPARE,
        slot=slot,
        digest=digest,
        sender=stage.members[1],
        signature=signer.sign(Kind.PREPARE, slot, digest),
    )
    require_same_again(signer, vote, other)
    with pytest.raises(InvariantViolation, match="another digest was signed"):
        require_same_again(_Forgetful(stage), vote, other)
    with pytest.raises(InvariantViolation, match="is not signed again"):
        require_same_again(signer, replace(vote, digest=other), digest)


class _Forgetful:
    """Signs whatever it is given."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def sign(self, kind, slot, digest):
        return self._stage.signer(1).sign(kind, slot, digest)
