"""The normal case, one example per sentence. The name is the sentence."""

import copy

import pytest

from consensus.events import (
    Applied,
    Apply,
    Broadcast,
    Build,
    Built,
    Evidence,
    Halt,
    NothingToBuild,
    Pending,
    Persist,
    Reason,
    Receive,
    Suspect,
    Validate,
    Validated,
)
from consensus.membership import Height
from consensus.messages import Commit, Prepare, PrePrepare, ViewChange
from consensus.vote_log import CommitRecord, ProposalRecord, ViewChangeRecord
from tests.consensus.net import Net, digest_of, make_membership, slot

BODY = b"\0\0\0\1A"
DIGEST = digest_of(BODY)


def kinds(effects):
    return [type(e.message if isinstance(e, Broadcast) else e) for e in effects]


def backup(n=4, index=1):
    """A member that no longer learns, fed by hand: effects are returned, not performed."""
    net = Net(n).start()
    return net, net.nodes[index].replica


def receive(net, replica, sender, message):
    return replica.step(Receive(sender, message), net.now)


def accept(net, replica, body=BODY):
    """Let a backup accept and validate the proposal of member 0; its last step's effects."""
    proposal = net.signatory.pre_prepare(0, slot(), body)
    effects = receive(net, replica, 0, proposal)
    assert kinds(effects) == [Validate]
    return replica.step(Validated(proposal.digest, ok=True), net.now)


@pytest.mark.parametrize("n", range(4, 11))
def test_all_members_decide_the_same_block(n):
    net = Net(n).start()
    net.submit(b"A")
    net.deliver()
    assert net.heights() == [1] * n
    assert {node.blocks[1].digest for node in net.nodes} == {DIGEST}
    assert not net.faults


@pytest.mark.parametrize("n", range(4, 14))
def test_blocks_are_decided_with_f_members_down(n):
    net = Net(n).start()
    down = range(n - net.membership.quorum.f, n)
    for index in down:
        net.nodes[index].is_up = False
    net.submit(b"A")
    net.deliver()
    assert net.heights() == [0 if i in down else 1 for i in range(n)]


def test_no_block_is_made_while_nothing_is_pending():
    net = Net().start()
    for node in net.nodes:
        node.seen.clear()
    net.run(5000)
    assert net.heights() == [0] * 4
    for node in net.nodes:
        assert not node.records
        assert all(isinstance(effect, Broadcast) for effect in node.seen)
        assert len(node.seen) == 10  # A heartbeat each half second and nothing else.


def test_the_primary_builds_at_once_when_idle_and_on_the_seal_when_busy():
    net = Net().start()
    primary = net.nodes[0].replica
    assert kinds(primary.step(Pending(is_pending=True), net.now)) == [Build]
    assert primary.step(Pending(is_pending=True), net.now) == ()
    net = Net().start()
    net.nodes[0].pending.extend([b"A", b"B", b"C"])
    net.nodes[0].step(Pending(is_pending=True))
    net.deliver()
    assert net.heights() == [3] * 4


def test_nothing_to_build_counts_as_nothing_pending():
    net = Net().start()
    primary = net.nodes[0].replica
    primary.step(Pending(is_pending=True), net.now)
    assert primary.step(NothingToBuild(Height(1)), net.now) == ()
    assert primary.waiting_for().awaited.value == "nothing"


def test_a_block_built_for_a_height_that_is_gone_is_not_proposed():
    net = Net().start()
    primary = net.nodes[0].replica
    primary.step(Pending(is_pending=True), net.now)
    assert primary.step(Built(Height(2), DIGEST, BODY), net.now) == ()


def test_the_proposal_is_synced_with_its_body_before_it_leaves():
    net = Net().start()
    primary = net.nodes[0].replica
    primary.step(Pending(is_pending=True), net.now)
    effects = primary.step(Built(Height(1), DIGEST, BODY), net.now)
    assert kinds(effects) == [Persist, PrePrepare]
    (record,) = effects[0].records
    assert record == ProposalRecord(effects[1].message, None)


def test_a_backup_votes_only_after_it_executed_the_body_and_synced_body_and_vote():
    net, replica = backup()
    effects = accept(net, replica)
    assert kinds(effects) == [Persist, Prepare]
    (record,) = effects[0].records
    assert record.pre_prepare.body == BODY
    assert record.prepare == effects[1].message


def test_a_fresh_proposal_is_measured_against_the_clock():
    net, replica = backup()
    (validate,) = receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    assert validate == Validate(Height(1), DIGEST, BODY, fresh=True)


def test_a_commit_leaves_after_its_certificate_is_synced():
    net, replica = backup()
    accept(net, replica)
    effects = receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    assert kinds(effects) == [Persist, Commit]
    (record,) = effects[0].records
    assert isinstance(record, CommitRecord)
    assert [member for member, _ in record.certificate.prepares] == [1, 2]
    assert record.commit == effects[1].message


def test_prepares_may_come_before_the_proposal():
    net, replica = backup()
    receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    assert kinds(accept(net, replica)) == [Persist, Prepare, Persist, Commit]


def test_no_commit_without_an_own_vote():
    net, replica = backup()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    assert receive(net, replica, 3, net.signatory.prepare(3, slot(), DIGEST)) == ()


def test_q_commits_of_one_view_decide_even_without_an_own_vote():
    net, replica = backup()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    receive(net, replica, 0, net.signatory.commit(0, slot(), DIGEST))
    receive(net, replica, 2, net.signatory.commit(2, slot(), DIGEST))
    (apply,) = receive(net, replica, 3, net.signatory.commit(3, slot(), DIGEST))
    assert isinstance(apply, Apply)
    assert not apply.executed
    assert [member for member, _ in apply.block.seal.signatures] == [0, 2, 3]


def test_what_was_validated_is_not_executed_again():
    net, replica = backup()
    accept(net, replica)
    effects = []
    for member in (0, 2, 3):
        effects += receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert effects[-1].executed


def test_a_decided_height_is_past_in_the_step_that_decides_it():
    """Rule 9: between the decision and its being durable no vote may leave."""
    net, replica = backup()
    accept(net, replica)
    for member in (0, 2, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST)) == ()
    net.now += 10_000
    effects = receive(net, replica, 3, net.signatory.prepare(3, slot(), DIGEST))
    assert not [e for e in effects if isinstance(e, Persist | Apply)]


def test_a_block_is_applied_once():
    net, replica = backup()
    accept(net, replica)
    seen = []
    for member in (0, 2, 3, 2, 3):
        seen += receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert len([e for e in seen if isinstance(e, Apply)]) == 1


def test_votes_for_the_next_height_wait_for_the_decision_of_this_one():
    net = Net().start()
    net.submit(b"A")
    net.deliver(lambda sender, to, m: to != 3 or not isinstance(m, Commit), hold=True)
    assert net.heights() == [1, 1, 1, 0]
    net.submit(b"B", to=(0, 1, 2))
    net.deliver(lambda sender, to, m: to != 3 or m.slot.height == 2, hold=True)
    assert net.heights() == [2, 2, 2, 0]
    net.deliver()
    assert net.heights() == [2, 2, 2, 2]


def test_applying_what_was_not_decided_stops_the_replica():
    net, replica = backup()
    (halt,) = replica.step(Applied(Height(1), DIGEST, make_membership(4)), net.now)
    assert isinstance(halt, Halt)
    assert replica.halted == halt.reason
    assert replica.step(Pending(is_pending=True), net.now) == ()
    assert replica.wake_at is None


# What a peer may do wrong.


def test_a_refused_proposal_is_cause_for_a_view_change_at_once():
    net, replica = backup()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    effects = replica.step(Validated(DIGEST, ok=False), net.now)
    assert kinds(effects) == [Suspect, Persist, ViewChange]
    assert effects[0].reason is Reason.INVALID_PROPOSAL


def test_a_body_without_its_digest_is_cause_for_a_view_change_at_once():
    net, replica = backup()
    proposal = net.signatory.pre_prepare(0, slot(), BODY)
    wrong = PrePrepare(
        slot=proposal.slot,
        digest=proposal.digest,
        sender=proposal.sender,
        signature=proposal.signature,
        body=b"other",
    )
    effects = receive(net, replica, 0, wrong)
    assert kinds(effects) == [Suspect, Persist, ViewChange]
    assert effects[0].reason is Reason.BODY_MISMATCH


def test_a_second_proposal_for_a_slot_is_evidence_and_cause_for_a_view_change():
    net, replica = backup()
    first = net.signatory.pre_prepare(0, slot(), BODY)
    receive(net, replica, 0, first)
    effects = receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), b"other"))
    assert kinds(effects) == [Evidence, Suspect, Persist, ViewChange]
    assert effects[0].first.digest == DIGEST
    assert effects[0].second.digest == digest_of(b"other")
    assert effects[1].reason is Reason.EQUIVOCATION


@pytest.mark.parametrize("make", ["prepare", "commit"])
def test_a_second_vote_in_a_slot_is_evidence_once(make):
    net, replica = backup()
    vote = getattr(net.signatory, make)
    receive(net, replica, 2, vote(2, slot(), DIGEST))
    effects = receive(net, replica, 2, vote(2, slot(), digest_of(b"B")))
    assert kinds(effects) == [Evidence, Suspect]
    assert receive(net, replica, 2, vote(2, slot(), digest_of(b"C"))) == ()


def test_a_repeated_vote_is_nothing():
    net, replica = backup()
    for _ in range(3):
        for vote in (
            net.signatory.prepare(2, slot(), DIGEST),
            net.signatory.commit(2, slot(), DIGEST),
        ):
            assert receive(net, replica, 2, vote) == ()


def test_an_older_view_does_not_replace_a_newer_one():
    net, replica = backup()
    receive(net, replica, 2, net.signatory.commit(2, slot(view=1), DIGEST))
    receive(net, replica, 2, net.signatory.commit(2, slot(view=0), digest_of(b"B")))
    assert replica.committed_by == ()


@pytest.mark.parametrize("make", ["prepare", "commit"])
@pytest.mark.parametrize(
    ("signer", "place", "reason"),
    [
        (3, slot(), Reason.WRONG_SENDER),
        (2, slot(term=1), Reason.BAD_SLOT),
    ],
)
def test_a_vote_out_of_place_is_suspect(make, signer, place, reason):
    net, replica = backup()
    vote = getattr(net.signatory, make)(signer, place, DIGEST)
    (suspect,) = receive(net, replica, 2, vote)
    assert (suspect.member, suspect.reason) == (2, reason)


@pytest.mark.parametrize("make", ["prepare", "commit"])
def test_a_bad_signature_is_suspect_and_not_counted(make):
    net, replica = backup()
    good = getattr(net.signatory, make)(2, slot(), DIGEST)
    bad = type(good)(slot=good.slot, digest=good.digest, sender=2, signature=b"x" * 64)
    (suspect,) = receive(net, replica, 2, bad)
    assert suspect.reason is Reason.BAD_SIGNATURE
    assert replica.prepared_by == replica.committed_by == ()


def test_a_proposal_by_another_than_the_primary_is_suspect():
    net, replica = backup()
    (suspect,) = receive(net, replica, 2, net.signatory.pre_prepare(2, slot(), BODY))
    assert suspect.reason is Reason.WRONG_PRIMARY


@pytest.mark.parametrize("place", [slot(height=5), slot(height=1, epoch=1), slot(epoch=7)])
def test_votes_far_ahead_are_not_kept(place):
    net, replica = backup()
    before = replica.table_sizes
    effects = receive(net, replica, 2, net.signatory.commit(2, place, DIGEST))
    assert not [e for e in effects if isinstance(e, Suspect)]
    assert replica.table_sizes == before


def test_the_same_events_give_the_same_effects():
    def run():
        net = Net().start()
        net.submit(b"A")
        net.deliver()
        net.run(1000)
        return [node.seen for node in net.nodes]

    assert run() == run()


def test_a_replica_can_be_copied():
    net, replica = backup()
    twin = copy.deepcopy(replica)
    assert accept(net, replica) == accept(net, twin)


def test_view_change_record_is_what_is_synced_first():
    net, replica = backup()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    _, persist, broadcast = replica.step(Validated(DIGEST, ok=False), net.now)
    assert persist.records == (ViewChangeRecord(broadcast.message),)
