"""Each checker sees the violation that it is there for."""

from dataclasses import replace

import pytest

from consensus.certificates import Kind, SignedVote, SigningDomain, Slot
from consensus.events import Evidence, Reason, Suspect
from consensus.membership import Epoch, Height, MemberIndex, Membership, Term, View
from consensus.messages import Prepare, SealedBlock
from consensus.sim.app import GENESIS_DIGEST
from consensus.sim.checkers import Checkers, Durability, SignOnce
from consensus.sim.community import Charter
from consensus.sim.epochs import Epochs
from consensus.sim.keys import cluster_keys
from consensus.sim.stage import Stage
from consensus.sim.violation import InvariantViolation
from crypto.hashing import Digest

A, B = Digest(b"a" * 32), Digest(b"b" * 32)


def slot(view: int = 0, height: int = 1) -> Slot:
    return Slot(epoch=Epoch(0), term=Term(0), view=View(view), height=Height(height))


def vote(kind: Kind, digest: Digest, where: Slot, sender: int = 1) -> SignedVote:
    return SignedVote(
        kind=kind, slot=where, digest=digest, sender=MemberIndex(sender), signature=bytes(64)
    )


def signed(kind: Kind, digest: Digest, where: Slot, sender: int) -> SignedVote:
    keys = cluster_keys(4)
    membership = Membership(epoch=Epoch(0), members=keys.public)
    payload = SigningDomain(GENESIS_DIGEST, membership.hash()).payload(kind, where, digest)
    return replace(vote(kind, digest, where, sender), signature=keys.keyring(sender).sign(payload))


def checkers(byzantine: tuple[int, ...] = ()) -> Checkers:
    keys = cluster_keys(4)
    charter = Charter(
        founders=Membership(epoch=Epoch(0), members=keys.public),
        changes=(),
        public=keys.public,
        keyring=keys.keyring(0),
    )
    return Checkers(Epochs(charter, frozenset(byzantine)))


def sealed_blocks(count: int) -> list[SealedBlock]:
    stage = Stage(4)
    for nonce in range(1, count + 1):
        stage.submit(nonce)
        stage.settle()
    return list(stage.instance(1).disk.blocks)


def primed(blocks: list[SealedBlock]) -> Checkers:
    """Checkers that know the clients' nonces and the COMMITs of the seals."""
    found = checkers()
    found.validity.submitted.update(range(1, 10))
    for block in blocks:
        for member, signature in block.seal.signatures:
            where = slot(block.seal.view, block.height)
            known = vote(Kind.COMMIT, block.digest, where, member)
            found.sign_once.note(replace(known, signature=signature))
    return found


def test_two_digests_in_one_slot_are_seen():
    judge = SignOnce()
    judge.note(vote(Kind.COMMIT, A, slot()))
    judge.note(vote(Kind.COMMIT, A, slot()))
    judge.note(vote(Kind.PREPARE, B, slot()))
    judge.note(vote(Kind.COMMIT, B, slot(view=1)))
    with pytest.raises(InvariantViolation, match="sign_once"):
        judge.note(vote(Kind.COMMIT, B, slot()))


def test_two_view_changes_for_one_view_are_seen_whatever_their_heads():
    judge = SignOnce()
    judge.note(vote(Kind.VIEW_CHANGE, A, slot(view=1, height=3)))
    with pytest.raises(InvariantViolation, match="sign_once"):
        judge.note(vote(Kind.VIEW_CHANGE, B, slot(view=1, height=4)))


def test_a_vote_below_the_view_asked_for_is_seen():
    judge = SignOnce()
    judge.note(vote(Kind.PREPARE, A, slot()))
    judge.note(vote(Kind.VIEW_CHANGE, A, slot(view=1)))
    judge.note(vote(Kind.PREPARE, A, slot()))  # The same again is no new vote.
    with pytest.raises(InvariantViolation, match="no_vote_below"):
        judge.note(vote(Kind.COMMIT, A, slot()))


def test_a_vote_without_its_record_is_seen():
    message = Prepare(slot=slot(), digest=A, sender=MemberIndex(1), signature=bytes(64))
    with pytest.raises(InvariantViolation, match="durability"):
        Durability.on_send(1, message, [])


def test_blocks_in_order_with_their_seals_pass():
    blocks = sealed_blocks(3)
    judge = primed(blocks)
    for instance in (0, 1):
        for block in blocks:
            judge.on_apply(instance, block.height - 1, block)
    assert len(judge.agreement.history) == 3


def test_a_fork_is_seen():
    block = sealed_blocks(1)[0]
    judge = primed([block])
    judge.on_apply(0, 0, block)
    with pytest.raises(InvariantViolation, match="agreement"):
        judge.on_apply(1, 0, replace(block, digest=A))


@pytest.mark.parametrize("applied", [1, 5])
def test_a_gap_and_a_second_time_are_seen(applied):
    block = sealed_blocks(1)[0]
    with pytest.raises(InvariantViolation, match="agreement"):
        primed([block]).on_apply(0, applied, block)


def test_a_seal_short_of_a_vote_is_seen():
    block = sealed_blocks(1)[0]
    short = replace(block, seal=replace(block.seal, signatures=block.seal.signatures[1:]))
    with pytest.raises(InvariantViolation, match="is sealed by"):
        primed([block]).on_apply(0, 0, short)


def test_a_seal_of_another_view_is_seen():
    block = sealed_blocks(1)[0]
    other = replace(block, seal=replace(block.seal, view=View(1)))
    with pytest.raises(InvariantViolation, match="no valid COMMIT"):
        primed([block]).on_apply(0, 0, other)


def test_a_seal_with_a_vote_that_nobody_cast_is_seen():
    block = sealed_blocks(1)[0]
    judge = checkers()
    judge.validity.submitted.add(1)
    with pytest.raises(InvariantViolation, match="never signed"):
        judge.on_apply(0, 0, block)


def test_a_nonce_of_no_client_and_a_second_execution_are_seen():
    blocks = sealed_blocks(2)
    judge = primed(blocks)
    judge.validity.submitted.clear()
    with pytest.raises(InvariantViolation, match="no client"):
        judge.on_apply(0, 0, blocks[0])
    judge = primed(blocks)
    judge.on_apply(0, 0, blocks[0])
    judge.validity.executed.add(2)
    with pytest.raises(InvariantViolation, match="at_most_once"):
        judge.on_apply(0, 1, blocks[1])


def test_only_byzantine_members_may_be_suspected():
    suspicion = Suspect(MemberIndex(3), Reason.BAD_SIGNATURE, "test")
    checkers((3,)).accusations.on_suspect(0, 0, suspicion)
    with pytest.raises(InvariantViolation, match="suspects correct member 3"):
        checkers().accusations.on_suspect(0, 0, suspicion)


def test_evidence_must_convict_a_byzantine_member():
    first = signed(Kind.COMMIT, A, slot(), 3)
    second = signed(Kind.COMMIT, B, slot(), 3)
    checkers((3,)).accusations.on_evidence(0, Evidence(first, second))
    with pytest.raises(InvariantViolation, match="correct 3"):
        checkers().accusations.on_evidence(0, Evidence(first, second))
    with pytest.raises(InvariantViolation, match="contradicts nothing"):
        checkers((3,)).accusations.on_evidence(0, Evidence(first, first))
    elsewhere = signed(Kind.COMMIT, B, slot(view=1), 3)
    with pytest.raises(InvariantViolation, match="contradicts nothing"):
        checkers((3,)).accusations.on_evidence(0, Evidence(first, elsewhere))
    forged = replace(second, signature=bytes(64))
    with pytest.raises(InvariantViolation, match="not signed"):
        checkers((3,)).accusations.on_evidence(0, Evidence(first, forged))
