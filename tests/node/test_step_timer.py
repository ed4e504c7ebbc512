"""The steps of a decision are timed from the records that mark them."""

from consensus.vote_log import CommitRecord, ProposalRecord
from node.step_timer import StepTimer
from tests.consensus.net import Net, digest_of, slot
from tests.consensus.test_view_change import certificate

BODY = b"\0\0\0\1A"


def records():
    net = Net(4)
    proposal = ProposalRecord(net.signatory.pre_prepare(0, slot(), BODY), None)
    commit = net.signatory.commit(1, slot(), digest_of(BODY))
    return (proposal,), (CommitRecord(certificate(net), commit),)


def test_prepare_commit_and_round_are_told_apart():
    proposed, committed = records()
    timer = StepTimer()
    assert list(timer.on_records(proposed, 10.0)) == []
    assert list(timer.on_records(committed, 10.5)) == [("prepare", 0.5)]
    assert list(timer.on_decided(12.5)) == [("commit", 2.0), ("round", 2.5)]


def test_a_height_that_was_caught_up_with_has_no_steps():
    timer = StepTimer()
    assert list(timer.on_decided(1.0)) == []
    proposed, committed = records()
    assert list(timer.on_records(committed, 1.0)) == []
    list(timer.on_records(proposed, 1.0))
    assert list(timer.on_decided(2.0)) == [("round", 1.0)]
    assert list(timer.on_decided(3.0)) == []
