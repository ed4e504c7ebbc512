"""Coming back: the log, the learner, blocks and bodies of others."""

import random
from dataclasses import replace

import pytest

from consensus.certificates import Head, Kind, Seal
from consensus.config import MAX_BLOCKS_PER_REPLY
from consensus.errors import CorruptLog
from consensus.events import (
    Apply,
    Broadcast,
    Halt,
    PeerUp,
    Pending,
    Persist,
    Reason,
    Receive,
    Send,
    ServeBlocks,
    Suspect,
    Tick,
)
from consensus.membership import MemberIndex, View
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    Prepare,
    PrePrepare,
    SealedBlock,
    Status,
    ViewChange,
)
from consensus.replica import Replica
from consensus.verification import is_head_proven
from consensus.vote_log import ProposalRecord, ViewChangeRecord, compact
from consensus.waiting import Awaited
from tests.consensus.net import (
    CONFIG,
    GENESIS,
    HashKeyring,
    Net,
    Signatory,
    digest_of,
    make_membership,
    slot,
)
from tests.consensus.test_normal_case import BODY, DIGEST, accept, backup, kinds, receive
from tests.consensus.test_view_change import view_change

VOTES = (PrePrepare, Prepare, Commit, ViewChange)


def sealed(net, height, body, members=(0, 2, 3)):
    digest = digest_of(body)
    at = slot(height=height, term=net.membership.term(height))
    seal = Seal(
        view=View(0),
        signatures=tuple(
            (MemberIndex(i), net.signatory.commit(i, at, digest).signature) for i in members
        ),
    )
    return SealedBlock(height=height, digest=digest, body=body, seal=seal)


def make_replica(net, index=1, recovered=(), head=None):
    return Replica(
        config=CONFIG,
        genesis_hash=GENESIS,
        membership=net.membership,
        head=head or Head(height=0, digest=GENESIS, seal=None),
        keyring=HashKeyring(net.membership.members[index]),
        recovered=tuple(recovered),
        digest_of=digest_of,
    )


def learn(net, replica, heads=None, yours=()):
    """Start `replica` and let members 0, 2 and 3 answer its question."""
    effects = replica.step(Tick(), net.now)
    nonce = next(e.message.nonce for e in effects if kinds([e]) == [GetHead])
    out = []
    for member in (0, 2, 3):
        head = (heads or {}).get(member, Head(height=0, digest=GENESIS, seal=None))
        reply = HeadReply(nonce=nonce, epoch=0, head=head, yours=yours)
        out += receive(net, replica, member, reply)
    return out


# Restarts.


def test_all_members_may_lose_power_at_once():
    """Rule 21: nobody else's help is needed."""
    net = Net().start()
    for i in range(20):
        net.submit(b"tx%d" % i)
        net.deliver()
    net.queue.clear()
    for node in net.nodes:
        node.restart()
    net.deliver()
    net.submit(b"after")
    net.deliver()
    assert net.heights() == [21] * 4
    assert not net.faults


@pytest.mark.parametrize("lost", [Prepare, Commit])
def test_power_lost_in_the_middle_of_a_slot_changes_no_vote(lost):
    net = Net().start()
    net.submit(b"A")
    net.deliver(lambda sender, to, m: not isinstance(m, lost))
    assert net.heights() == [0] * 4
    before = [node.seen[:] for node in net.nodes]
    for node in net.nodes:
        node.pending[0] = b"another body would be built now"
        node.seen.clear()
        node.restart()
    net.run(400)
    assert {node.blocks[1].digest for node in net.nodes} == {DIGEST}
    for old, node in zip(before, net.nodes, strict=True):
        first = {(m.TAG, m.slot): m for m in _votes(old)}
        again = {(m.TAG, m.slot): m for m in _votes(node.seen)}
        shared = first.keys() & again.keys()
        assert all(first[key] == again[key] for key in shared)


def _votes(effects):
    messages = [e.message for e in effects if isinstance(e, Broadcast | Send)]
    return [m for m in messages if isinstance(m, VOTES)]


def test_a_view_asked_for_survives_a_restart_with_its_bytes():
    net = Net().start()
    net.submit(b"A")
    net.queue.clear()
    net.nodes[1].step(Receive(MemberIndex(2), view_change(net, 2)))
    net.nodes[1].step(Receive(MemberIndex(3), view_change(net, 3)))
    first = next(m for m in _votes(net.nodes[1].seen) if isinstance(m, ViewChange))
    net.queue.clear()
    node = net.nodes[1]
    node.boot()
    assert (node.replica.view, node.replica.asked) == (1, 1)  # It was q: the view was entered.
    changed = [r for r in node.records if hasattr(r, "view_change")]
    assert changed[-1].view_change == first


def test_a_certificate_survives_a_restart_and_is_shown_in_the_view_change():
    net = Net().start()
    net.submit(b"A")
    net.deliver(lambda sender, to, m: not isinstance(m, Commit))
    node = net.nodes[2]
    net.queue.clear()
    node.restart()
    for member in (0, 1, 3):
        net.nodes[member].is_up = member != 0
    net.run(500, lambda sender, to, m: not isinstance(m, Commit) or m.slot.view > 0)
    change = next(m for m in _votes(node.seen) if isinstance(m, ViewChange))
    assert change.prepared is not None
    assert change.prepared.digest == DIGEST
    assert node.blocks[1].digest == DIGEST


@pytest.mark.parametrize("seed", range(8))
def test_a_compacted_log_restores_the_same_promises(seed):
    """Messages are lost at random, so that views fail and logs grow; then all restart."""
    dice = random.Random(seed)
    net = Net().start()
    net.submit(b"A")
    net.run(3000, lambda sender, to, m: dice.random() < 0.5 or not isinstance(m, Commit | Prepare))
    for index, node in enumerate(net.nodes):
        head = node.replica.head
        whole = make_replica(net, index=index, recovered=node.records, head=head)
        short = compact(node.records, epoch=0, term=0, height=head.height)
        again = make_replica(net, index=index, recovered=short, head=head)
        assert compact(short, epoch=0, term=0, height=head.height) == short
        for name in ("view", "asked", "certificate", "certificate_body", "pre_prepares"):
            assert getattr(whole._s, name) == getattr(again._s, name), name
        for name in ("prepares", "commits", "view_changes", "choice", "must_reach"):
            assert getattr(whole._s, name) == getattr(again._s, name), name


def test_a_log_of_another_member_is_refused():
    net, replica = backup()
    records = accept(net, replica)[0].records
    with pytest.raises(CorruptLog, match="holds a vote of member 1, we are 2"):
        make_replica(net, index=2, recovered=records)


def test_a_log_newer_than_the_block_store_keeps_the_replica_quiet_until_it_caught_up():
    net = Net().start()
    at = slot(height=3)
    digest = digest_of(b"third")
    record = ProposalRecord(
        net.signatory.pre_prepare(0, at, b"third"), net.signatory.prepare(1, at, digest)
    )
    replica = make_replica(net, recovered=[record])
    learn(net, replica)
    assert replica.is_learner


def test_a_log_of_a_later_term_than_the_block_store_keeps_the_replica_quiet_for_that_term():
    net = Net().start()
    change = view_change(net, 1)
    record = ViewChangeRecord(replace(change, slot=replace(change.slot, term=2)))
    replica = make_replica(net, recovered=[record])
    learn(net, replica)
    assert replica.is_learner
    assert replica.waiting_for().awaited is Awaited.INCARNATION
    assert replica.asked == 0
    short = compact([record], epoch=0, term=0, height=0)
    replica = make_replica(net, recovered=short)
    learn(net, replica)
    assert replica.waiting_for().awaited is Awaited.INCARNATION


# The learner (rule 19).


def test_a_replica_that_starts_asks_for_heads_and_does_not_vote():
    net = Net().start()
    replica = make_replica(net)
    effects = replica.step(Tick(), net.now)
    assert GetHead in kinds(effects)
    assert replica.is_learner
    assert replica.waiting_for().awaited is Awaited.HEADS
    effects = receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    net.now += 5000
    effects += replica.step(Pending(is_pending=True), net.now)
    effects += receive(net, replica, 2, view_change(net, 2))
    effects += receive(net, replica, 3, view_change(net, 3))
    assert not _votes(effects)
    assert not [e for e in effects if isinstance(e, Persist)]


def test_q_heads_that_are_not_above_the_own_end_the_learning():
    net = Net().start()
    replica = make_replica(net)
    nonce = replica.step(Tick(), net.now)[0].message.nonce
    genesis = Head(height=0, digest=GENESIS, seal=None)
    reply = HeadReply(nonce=nonce, epoch=0, head=genesis, yours=())
    receive(net, replica, 2, reply)
    receive(net, replica, 2, reply)
    assert replica.is_learner
    receive(net, replica, 3, reply)
    assert not replica.is_learner


def test_a_link_that_opens_is_asked_at_once():
    net = Net().start()
    replica = make_replica(net)
    replica.step(Tick(), net.now)
    effects = replica.step(PeerUp(MemberIndex(2)), net.now)
    assert [(e.to, type(e.message)) for e in effects] == [(2, Status), (2, GetHead)]


def test_an_answer_to_an_older_question_does_not_count():
    net = Net().start()
    replica = make_replica(net)
    replica.step(Tick(), net.now)
    genesis = Head(height=0, digest=GENESIS, seal=None)
    for member in (0, 2, 3):
        receive(net, replica, member, HeadReply(nonce=GENESIS, epoch=0, head=genesis, yours=()))
    assert replica.is_learner


def test_a_higher_head_must_be_reached_first():
    net = Net().start()
    replica = make_replica(net)
    block = sealed(net, 1, BODY)
    effects = learn(net, replica, heads=dict.fromkeys((0, 2, 3), block.head))
    assert replica.is_learner
    asked = next(e for e in effects if kinds([e]) == [GetBody] or _is_get_body(e))
    effects = receive(net, replica, asked.to, BodyReply(DIGEST, BODY))
    assert [e for e in effects if isinstance(e, Apply)]


def _is_get_body(effect):
    return isinstance(effect, Send) and isinstance(effect.message, GetBody)


def test_a_head_without_proof_is_suspect_and_not_counted():
    net = Net().start()
    replica = make_replica(net)
    weak = sealed(net, 4, BODY, members=(0, 1)).head
    effects = learn(net, replica, heads={0: weak})
    assert [e.reason for e in effects if isinstance(e, Suspect)] == [Reason.BAD_CERTIFICATE]
    assert not replica.is_learner  # Members 2 and 3 sufficed.
    assert replica.waiting_for().awaited is not Awaited.BLOCKS


def test_a_replica_that_lost_its_log_learns_of_its_signatures_and_keeps_quiet_for_the_term():
    """Rule 25."""
    net = Net().start()
    replica = make_replica(net)
    vote = net.signatory.core(1, Kind.COMMIT, slot(), DIGEST)
    learn(net, replica, yours=(vote,))
    assert replica.is_learner
    assert replica.waiting_for().awaited is Awaited.INCARNATION


def test_a_signature_that_is_not_its_own_does_not_silence_a_replica():
    net = Net().start()
    replica = make_replica(net)
    vote = replace(net.signatory.core(1, Kind.COMMIT, slot(), DIGEST), signature=b"x" * 64)
    effects = learn(net, replica, yours=(vote,))
    assert {e.reason for e in effects if isinstance(e, Suspect)} == {Reason.BAD_SIGNATURE}
    assert not replica.is_learner


def test_signatures_that_the_log_knows_do_not_silence_a_replica():
    net, former = backup()
    records = accept(net, former)[0].records
    replica = make_replica(net, recovered=records)
    vote = net.signatory.core(1, Kind.PREPARE, slot(), DIGEST)
    learn(net, replica, yours=(vote,))
    assert not replica.is_learner


def test_a_member_shows_the_askers_own_newest_signatures():
    net, replica = backup()
    receive(net, replica, 2, net.signatory.commit(2, slot(), DIGEST))
    receive(net, replica, 2, view_change(net, 2))
    net.now += CONFIG.serve_interval_ms
    (send,) = receive(net, replica, 2, GetHead(GENESIS))
    assert receive(net, replica, 2, GetHead(GENESIS)) == ()
    assert [vote.kind for vote in send.message.yours] == [Kind.COMMIT, Kind.VIEW_CHANGE]
    assert all(vote.sender == 2 for vote in send.message.yours)


def test_a_follower_signs_nothing_and_follows_decisions():
    net = Net().start()
    follower = Replica(
        config=CONFIG,
        genesis_hash=GENESIS,
        membership=net.membership,
        head=Head(height=0, digest=GENESIS, seal=None),
        keyring=HashKeyring(None),
        digest_of=digest_of,
    )
    assert follower.step(Tick(), net.now) == ()
    block = sealed(net, 1, BODY, (0, 1, 2))
    effects = receive(net, follower, 0, net.signatory.pre_prepare(0, slot(), BODY))
    for member in (0, 1, 2):
        effects += receive(net, follower, member, net.signatory.commit(member, slot(), DIGEST))
    assert effects == (Apply(block, executed=False),)


# Catching up (rule 20).


def behind(net, replica, height=5, member=0):
    """Let `member` show that it is at `height`."""
    at = slot(height=height + 1, term=net.membership.term(height + 1))
    return receive(net, replica, member, net.signatory.commit(member, at, DIGEST))


def test_a_replica_far_behind_asks_for_blocks():
    net, replica = backup()
    (send,) = behind(net, replica)
    assert send == Send(MemberIndex(0), GetBlocks(1))


def test_one_block_behind_is_normal_for_a_moment():
    net, replica = backup()
    assert behind(net, replica, height=1) == ()
    net.now += 100
    assert Send(MemberIndex(0), GetBlocks(1)) in replica.step(Tick(), net.now)


def test_blocks_are_applied_in_order_with_their_seals():
    net, replica = backup()
    behind(net, replica)
    blocks = tuple(sealed(net, h, b"block %d" % h) for h in (1, 2, 3))
    (apply,) = receive(net, replica, 0, Blocks(blocks))
    assert apply == Apply(blocks[0], executed=False)
    # What stands behind it can be looked at, though nobody has verified it.
    assert replica.fetched_above(1) == blocks[1:]
    assert replica.fetched_above(2) == blocks[2:]
    assert replica.fetched_above(3) == replica.fetched_above(9) == ()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda net: sealed(net, 1, BODY, members=(0, 1)), Reason.BAD_CERTIFICATE),
        (lambda net: sealed(net, 1, BODY, members=(0, 1, 2, 3)), Reason.BAD_CERTIFICATE),
        (lambda net: replace(sealed(net, 1, BODY), body=b"other"), Reason.BODY_MISMATCH),
        (
            lambda net: replace(sealed(net, 1, BODY), digest=digest_of(b"other")),
            Reason.BAD_CERTIFICATE,
        ),
        (
            lambda net: replace(
                sealed(net, 1, BODY),
                seal=replace(sealed(net, 1, BODY).seal, view=View(1)),
            ),
            Reason.BAD_CERTIFICATE,
        ),
    ],
)
def test_a_block_that_is_not_proven_is_refused_and_its_sender_disbelieved(spoil, reason):
    net, replica = backup()
    behind(net, replica)
    effects = receive(net, replica, 0, Blocks((spoil(net),)))
    assert [e.reason for e in effects if isinstance(e, Suspect)] == [reason]
    assert not [e for e in effects if isinstance(e, Apply)]
    assert replica.waiting_for().awaited is not Awaited.BLOCKS


def test_blocks_that_nobody_asked_for_are_ignored():
    net, replica = backup()
    assert receive(net, replica, 0, Blocks((sealed(net, 1, BODY),))) == ()


def test_a_claim_that_is_not_honoured_is_forgotten_and_another_member_asked():
    net, replica = backup()
    behind(net, replica, member=0)
    behind(net, replica, member=2)
    asked = []
    for _ in range(6):
        net.now += 100
        effects = replica.step(Tick(), net.now)
        asked += [e.to for e in effects if isinstance(e, Send) and _asks_blocks(e)]
    assert 2 in asked
    assert replica.waiting_for().awaited is not Awaited.BLOCKS


def _asks_blocks(effect):
    return isinstance(effect.message, GetBlocks)


def test_f_plus_one_members_two_blocks_ahead_make_a_learner():
    net, replica = backup()
    behind(net, replica, member=0)
    assert not replica.is_learner
    behind(net, replica, member=2)
    assert replica.is_learner


def test_blocks_are_served_within_a_quota():
    net = Net().start()
    net.submit(b"A")
    net.deliver()
    replica = net.nodes[0].replica
    expected = (ServeBlocks(MemberIndex(2), 1, MAX_BLOCKS_PER_REPLY),)
    assert receive(net, replica, 2, GetBlocks(1)) == expected
    assert receive(net, replica, 2, GetBlocks(1)) == ()
    assert receive(net, replica, 3, GetBlocks(1)) != ()
    assert receive(net, replica, 2, GetBlocks(2)) == ()
    net.now += CONFIG.serve_interval_ms
    assert receive(net, replica, 2, GetBlocks(1)) == expected


def test_a_member_that_was_away_catches_up_over_terms_and_votes_again():
    net = Net().start()
    net.nodes[3].is_up = False
    for i in range(70):
        net.submit(b"tx%d" % i)
        net.run(20)
        for _ in range(30):
            if net.heights()[1] > i:
                break
            net.run(50)
    top = max(net.heights())
    net.nodes[3].is_up = True
    net.nodes[3].restart()
    net.run(2000)
    assert net.heights()[3] == top
    net.nodes[2].is_up = False
    net.submit(b"needs member 3")
    net.run(2000)
    assert net.heights()[3] == top + 1
    assert not net.faults


def test_bodies_are_served_only_when_held():
    net, replica = backup()
    accept(net, replica)
    assert receive(net, replica, 2, GetBody(DIGEST)) == (
        Send(MemberIndex(2), BodyReply(DIGEST, BODY)),
    )
    assert receive(net, replica, 3, GetBody(digest_of(b"other"))) == ()


def test_a_body_that_does_not_fit_is_suspect_and_another_holder_is_asked():
    net, replica = backup()
    effects = []
    for member in (0, 2, 3):
        effects += receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    (first,) = effects
    assert first == Send(MemberIndex(0), GetBody(DIGEST))
    (suspect,) = receive(net, replica, 0, BodyReply(DIGEST, b"other"))
    assert suspect.reason is Reason.BODY_MISMATCH
    net.now += 100
    effects = replica.step(Tick(), net.now)
    assert Send(MemberIndex(2), GetBody(DIGEST)) in effects


def test_two_sealed_blocks_at_one_height_stop_the_replica():
    net, replica = backup()
    receive(net, replica, 2, view_change(net, 2, head=sealed(net, 1, BODY).head))
    effects = receive(net, replica, 3, view_change(net, 3, head=sealed(net, 1, b"other").head))
    assert isinstance(effects[-1], Halt)
    assert replica.waiting_for().awaited is Awaited.HALTED


def test_a_new_member_set_starts_a_new_epoch_and_voids_what_is_in_flight():
    """Rule 28."""
    net, replica = backup()
    receive(net, replica, 2, view_change(net, 2))
    members = make_membership(5, epoch=1, first_height=2, first_term=1)
    accept(net, replica)
    for member in (0, 2, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    from consensus.events import Applied

    replica.step(Applied(1, DIGEST, members), net.now)
    assert (replica.epoch, replica.term, replica.view, replica.asked) == (1, 1, 0, 0)
    assert replica.me == members.index_of(net.membership.members[1])
    at = slot(height=2, term=1, epoch=1)
    head = Head(height=1, digest=DIGEST, seal=sealed(net, 1, BODY).seal)
    assert is_head_proven(replica._s, head)
    assert not is_head_proven(replica._s, replace(head, digest=GENESIS))
    vote = Signatory(members).commit(4, at, DIGEST)
    if replica.me != 4:
        assert receive(net, replica, 4, vote) == ()
        assert replica.committed_by == (4,)
