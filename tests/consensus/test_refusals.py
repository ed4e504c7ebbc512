"""What lies just outside each rule."""

from dataclasses import replace

import pytest

from consensus.certificates import Head, Kind
from consensus.errors import CorruptLog
from consensus.events import Evidence, Halt, PeerDown, Reason, Suspect, Tick, Validated
from consensus.membership import Epoch, View
from consensus.messages import Blocks, GetHead, HeadReply, ViewChange
from consensus.view_change import next_online_view
from consensus.vote_log import NewViewRecord
from tests.consensus.net import CONFIG, GENESIS, digest_of, slot
from tests.consensus.test_normal_case import BODY, DIGEST, backup, kinds, receive
from tests.consensus.test_recovery import behind, learn, make_replica, sealed
from tests.consensus.test_view_change import certificate, new_view, view_change

GENESIS_HEAD = Head(height=0, digest=GENESIS, seal=None)


def reasons(effects):
    return [(e.member, e.reason) for e in effects if isinstance(e, Suspect)]


def test_a_proposal_with_a_bad_signature_is_suspect():
    net, replica = backup()
    forged = replace(net.signatory.pre_prepare(0, slot(), BODY), signature=b"x" * 64)
    assert reasons(receive(net, replica, 0, forged)) == [(0, Reason.BAD_SIGNATURE)]
    assert replica.in_flight is None


def test_an_answer_that_was_not_asked_for_is_ignored():
    net, replica = backup()
    assert replica.step(Validated(DIGEST, ok=True), net.now) == ()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    assert replica.step(Validated(digest_of(b"other"), ok=True), net.now) == ()


def test_a_view_change_of_another_member_is_suspect():
    net, replica = backup()
    effects = receive(net, replica, 3, view_change(net, 2))
    assert reasons(effects) == [(3, Reason.WRONG_SENDER)]


@pytest.mark.parametrize("place", [{"term": 1}, {"epoch": 1}])
def test_messages_of_another_term_or_epoch_are_not_for_now(place):
    net, replica = backup(index=2)
    before = replica.table_sizes
    change = view_change(net, 3)
    receive(net, replica, 3, replace(change, slot=replace(change.slot, **place)))
    message = new_view(net, [view_change(net, i) for i in (0, 1, 3)])
    receive(net, replica, 1, replace(message, slot=replace(message.slot, **place)))
    assert replica.table_sizes == before
    assert replica.view == 0


def test_a_new_view_whose_certificates_contradict_each_other_is_refused_with_evidence():
    net, replica = backup(index=2)
    changes = [
        view_change(net, 0, prepared=certificate(net)),
        view_change(net, 1),
        view_change(net, 3, prepared=certificate(net, body=b"other")),
    ]
    effects = receive(net, replica, 1, new_view(net, changes))
    assert [e.first.kind for e in effects if isinstance(e, Evidence)] == [Kind.PRE_PREPARE]
    assert (1, Reason.BAD_NEW_VIEW) in reasons(effects)
    assert replica.view == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda net: replace(view_change(net, 3), sender=9),
        lambda net: replace(view_change(net, 3), signature=b"x" * 64),
    ],
)
def test_a_new_view_with_a_view_change_that_does_not_verify_is_refused(spoil):
    net, replica = backup(index=2)
    message = new_view(net, [view_change(net, 0), view_change(net, 1), spoil(net)])
    assert reasons(receive(net, replica, 1, message)) == [(1, Reason.BAD_NEW_VIEW)]


def test_a_genesis_head_with_another_digest_is_not_proven():
    net, replica = backup(index=2)
    other = replace(GENESIS_HEAD, digest=DIGEST)
    effects = receive(net, replica, 3, view_change(net, 3, head=other))
    assert reasons(effects) == [(3, Reason.BAD_CERTIFICATE)]
    assert replica.halted is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: {"slot": replace(c.slot, epoch=1)},
        lambda c: {"slot": replace(c.slot, term=1)},
        lambda c: {"sender": 1},
        lambda c: {"signature": b"x" * 64},
        lambda c: {"digest": digest_of(b"other")},
    ],
)
def test_a_certificate_whose_pre_prepare_is_wrong_is_not_valid(spoil):
    net, replica = backup(index=2)
    whole = certificate(net)
    wrong = replace(whole, pre_prepare=replace(whole.pre_prepare, **spoil(whole.pre_prepare)))
    effects = receive(net, replica, 3, view_change(net, 3, prepared=wrong))
    assert reasons(effects) == [(3, Reason.BAD_CERTIFICATE)]


def test_a_certificate_with_the_primary_among_its_prepares_is_not_valid():
    net, replica = backup(index=2)
    whole = certificate(net)
    own = net.signatory.prepare(0, slot(), DIGEST)
    wrong = replace(whole, prepares=((0, own.signature), whole.prepares[0]))
    effects = receive(net, replica, 3, view_change(net, 3, prepared=wrong))
    assert reasons(effects) == [(3, Reason.BAD_CERTIFICATE)]


def test_two_seals_at_the_head_stop_the_replica():
    net, replica = backup(index=2)
    block = sealed(net, 1, BODY)
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    for member in (0, 1, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    from consensus.events import Applied

    replica.step(Applied(1, block.digest, net.membership), net.now)
    assert replica.head.height == 1
    other = sealed(net, 1, b"other").head
    effects = receive(net, replica, 3, view_change(net, 3, head=other))
    assert isinstance(effects[-1], Halt)


def test_a_sealed_block_other_than_the_decided_one_stops_the_replica():
    net, replica = backup(index=2)
    for member in (0, 1, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    behind(net, replica, member=3)
    effects = receive(net, replica, 3, Blocks((sealed(net, 1, b"other"),)))
    assert isinstance(effects[-1], Halt)


def test_the_primary_of_a_view_asked_for_is_passed_over_once_q_members_asked():
    net, replica = backup(index=2)
    replica.step(PeerDown(1), net.now)
    receive(net, replica, 0, view_change(net, 0))
    effects = receive(net, replica, 3, view_change(net, 3))
    asked = [e.message.slot.view for e in effects if kinds([e]) == [ViewChange]]
    assert asked == [1, 2]


def test_with_everybody_down_the_next_view_is_asked_for():
    _net, replica = backup(index=2)
    state = replica._s
    state.me = None
    for member in range(4):
        state.peers[member].is_up = False
        state.peers[member].heard_ms = 1
    assert next_online_view(state, View(5)) == 5


def test_genesis_hash_is_the_digest_of_block_0():
    net, _ = backup()
    with pytest.raises(ValueError, match="the digest of block 0 must be genesis_hash"):
        make_replica(net, head=replace(GENESIS_HEAD, digest=DIGEST))


def test_a_log_with_a_new_view_that_contradicts_itself_is_refused():
    net, _ = backup()
    changes = [
        view_change(net, 0, prepared=certificate(net)),
        view_change(net, 1),
        view_change(net, 3, prepared=certificate(net, body=b"other")),
    ]
    with pytest.raises(CorruptLog, match="contradicts itself"):
        make_replica(net, recovered=[NewViewRecord(new_view(net, changes))])


def test_a_head_of_a_later_epoch_cannot_be_checked_yet_and_only_says_whom_to_ask():
    net, _ = backup()
    replica = make_replica(net)
    nonce = replica.step(Tick(), net.now)[0].message.nonce
    head = sealed(net, 40, BODY, members=(0,)).head
    reply = HeadReply(nonce=nonce, epoch=1, head=head, yours=())
    effects = receive(net, replica, 2, reply)
    assert not reasons(effects)
    assert [e.message.TAG for e in effects] == [21]
    assert replica.is_learner


@pytest.mark.parametrize(
    "vote",
    [
        lambda net: net.signatory.core(2, Kind.COMMIT, slot(), DIGEST),
        lambda net: net.signatory.core(1, Kind.COMMIT, slot(epoch=1), DIGEST),
        lambda net: net.signatory.core(1, Kind.COMMIT, slot(height=0), DIGEST),
    ],
)
def test_signatures_that_bind_nothing_now_do_not_silence_a_replica(vote):
    net, _ = backup()
    replica = make_replica(net)
    assert not reasons(learn(net, replica, yours=(vote(net),)))
    assert not replica.is_learner


def test_a_second_signature_for_a_slot_stops_the_replica():
    """Rule 24: as when a clone with the same key made another view change from our log."""
    net, replica = backup(index=2)
    state = replica._s
    state.signer.sign(Kind.VIEW_CHANGE, slot(view=1, height=0), DIGEST)
    receive(net, replica, 0, view_change(net, 0))
    effects = receive(net, replica, 3, view_change(net, 3))
    assert isinstance(effects[-1], Halt)
    assert "asked to sign twice" in replica.halted
    assert ViewChange not in kinds(effects)


def test_a_question_for_the_head_is_answered_by_a_learner_too():
    net, _ = backup()
    replica = make_replica(net)
    replica.step(Tick(), net.now)
    (send,) = receive(net, replica, 2, GetHead(DIGEST))
    assert send.message == HeadReply(nonce=DIGEST, epoch=0, head=GENESIS_HEAD, yours=())
    assert CONFIG.retransmit_ms < CONFIG.heartbeat_ms


def test_votes_of_another_epoch_are_nobodys_words_in_another_mouth():
    """There the same member may have another index, so it cannot be said whose they are."""
    net, replica = backup()
    for make in (net.signatory.prepare, net.signatory.commit):
        assert reasons(receive(net, replica, 2, make(3, slot(epoch=1, height=9), DIGEST))) == []
    later = view_change(net, 2)
    later = replace(later, slot=replace(later.slot, epoch=Epoch(1)))
    assert reasons(receive(net, replica, 3, later)) == []
