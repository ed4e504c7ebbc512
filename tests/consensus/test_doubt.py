"""A vote log that was lost, or is an old copy, and what a new epoch makes of it (rules 19, 25)."""

from consensus.certificates import Head, Kind
from consensus.events import Applied, Apply, Broadcast, Tick
from consensus.membership import View
from consensus.messages import Blocks, GetHead, HeadReply, Prepare, Status
from consensus.replica import Replica
from consensus.vote_log import ProposalRecord, compact
from consensus.wire import signed_core
from tests.consensus.net import (
    CONFIG,
    GENESIS,
    HashKeyring,
    Net,
    Signatory,
    digest_of,
    make_membership,
    public_key,
    slot,
)
from tests.consensus.test_recovery import behind, learn, make_replica, receive, sealed

BODY = b"a body"


def make(net, index=1, *, key=None, **options):
    return Replica(
        config=CONFIG,
        genesis_hash=GENESIS,
        membership=net.membership,
        head=options.pop("head", Head(height=0, digest=GENESIS, seal=None)),
        keyring=HashKeyring(key or net.membership.members[index]),
        digest_of=digest_of,
        **options,
    )


def head_of(net, height, body=BODY):
    return sealed(net, height, body).head


def status_at(height):
    return Status(
        slot=slot(height=height),
        head_digest=GENESIS,
        asked=View(0),
        proposal=None,
        prepares=0,
        commits=0,
        view_changes=(),
        is_learner=False,
    )


def answer(net, replica, members, head):
    """Let `members` answer the question that the replica put last."""
    out = ()
    nonce = replica._s.nonce
    for member in members:
        reply = HeadReply(nonce=nonce, epoch=replica.epoch, head=head, yours=())
        out += receive(net, replica, member, reply)
    return out


def test_a_replica_with_a_new_log_needs_q_others_once_there_are_blocks():
    """Rule 25: who lost its log is no witness of its own votes, so q - 1 others are too few."""
    net = Net()
    head = head_of(net, 1)
    replica = make(net, head=head, is_log_new=True)
    replica.step(Tick(), net.now)
    answer(net, replica, (0, 2), head)
    assert replica.is_learner
    assert replica.is_doubtful
    answer(net, replica, (3,), head)
    assert not replica.is_learner
    assert not replica.is_doubtful


def test_a_log_that_was_kept_is_a_witness_itself():
    net = Net()
    head = head_of(net, 1)
    replica = make(net, head=head)
    replica.step(Tick(), net.now)
    answer(net, replica, (0, 2), head)
    assert not replica.is_learner


def test_a_community_begins_with_new_logs_and_q_members():
    net = Net()
    replica = make(net, is_log_new=True)
    replica.step(Tick(), net.now)
    answer(net, replica, (0, 2), Head(height=0, digest=GENESIS, seal=None))
    assert not replica.is_learner


def test_a_seal_with_an_own_commit_that_the_log_does_not_know_silences_for_the_term():
    """A copied data directory that is started in place of the original."""
    net = Net()
    replica = make_replica(net)
    learn(net, replica)
    behind(net, replica)
    block = sealed(net, 1, BODY, members=(0, 1, 2))
    effects = receive(net, replica, 0, Blocks((block,)))
    assert replica.is_doubtful
    assert replica.is_learner
    assert any(isinstance(e, Broadcast) and isinstance(e.message, GetHead) for e in effects)
    assert any(isinstance(e, Apply) for e in effects)
    replica.step(Applied(block.height, block.digest, net.membership), net.now)
    answer(net, replica, (0, 2, 3), block.head)
    assert replica.is_learner, "votes in the term of that block may be out"


def test_a_seal_without_an_own_commit_silences_nobody():
    net = Net()
    replica = make_replica(net)
    learn(net, replica)
    behind(net, replica)
    receive(net, replica, 0, Blocks((sealed(net, 1, BODY),)))
    assert not replica.is_doubtful


def test_an_epoch_that_it_agreed_to_itself_ends_all_quarantine():
    """No earlier life of the key can have voted in it."""
    net = Net()
    replica = make(net, is_log_new=True)
    replica.step(Tick(), net.now)
    behind(net, replica)
    block = sealed(net, 1, BODY, members=(0, 1, 2))
    receive(net, replica, 0, Blocks((block,)))
    assert replica.is_doubtful
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    replica.step(Applied(block.height, block.digest, after, is_witnessed=True), net.now)
    assert not replica.is_learner
    assert not replica.is_doubtful
    assert replica.membership == after


def test_an_epoch_that_is_replayed_ends_no_quarantine():
    net = Net()
    replica = make(net, is_log_new=True)
    replica.step(Tick(), net.now)
    behind(net, replica)
    block = sealed(net, 1, BODY, members=(0, 1, 2))
    receive(net, replica, 0, Blocks((block,)))
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    replica.step(Applied(block.height, block.digest, after), net.now)
    assert replica.is_learner
    assert replica.is_doubtful


def test_a_follower_that_finds_itself_a_member_of_a_past_epoch_learns_before_it_votes():
    net = Net()
    follower = make(net, key=public_key(4), is_log_new=True)
    follower.step(Tick(), net.now)
    behind(net, follower)
    block = sealed(net, 1, BODY, members=(0, 1, 2))
    receive(net, follower, 0, Blocks((block,)))
    assert follower.me is None
    assert not follower.is_learner
    after = make_membership(5, epoch=1, first_height=2, first_term=1)
    effects = follower.step(Applied(block.height, block.digest, after), net.now)
    assert follower.me is not None
    assert follower.is_learner
    assert any(isinstance(e, Broadcast) and isinstance(e.message, GetHead) for e in effects)


def _vote_of_next_epoch(after, me, height=2):
    """A record of member `me` of the epoch that begins at `height`."""
    signatory = Signatory(after)
    at = slot(height=height, term=after.first_term, epoch=after.epoch)
    primary = after.primary(at.term, 0)
    prepare = signatory.prepare(me, at, digest_of(BODY))
    return ProposalRecord(signatory.pre_prepare(primary, at, BODY), prepare)


def test_records_of_a_later_epoch_outlive_a_block_store_that_is_older_than_the_log():
    """Found by thought: they were dropped, and the vote could have been given twice."""
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    record = _vote_of_next_epoch(after, 1)
    assert compact((record,), epoch=0, term=0, height=0) == (record,)
    assert compact((record,), epoch=1, term=1, height=1) == (record,)
    assert compact((record,), epoch=2, term=2, height=1) == ()


def test_a_block_store_that_is_an_epoch_older_than_the_log_silences():
    """What was signed below that epoch is in the log no more, so it must not be asked for again."""
    net = Net()
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    replica = make(net, 3, recovered=(_vote_of_next_epoch(after, 3),))
    replica.step(Tick(), net.now)
    answer(net, replica, (0, 1, 2), Head(height=0, digest=GENESIS, seal=None))
    assert replica.is_learner
    assert not replica.may_attest
    behind(net, replica)
    block = sealed(net, 1, b"x", members=(0, 1, 2))
    receive(net, replica, 0, Blocks((block,)))
    replica.step(Applied(block.height, block.digest, after), net.now)
    answer(net, replica, (0, 1, 2), block.head)
    assert not replica.is_learner, "from here on the log binds it"


def test_what_the_log_holds_of_an_epoch_outweighs_a_ready_for_it():
    """A block store that was put back has the process agree to a change that it has seen before."""
    net = Net()
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    record = _vote_of_next_epoch(after, 3)
    replica = make(net, 3, recovered=(record,))
    replica.step(Tick(), net.now)
    behind(net, replica)
    block = sealed(net, 1, b"x", members=(0, 1, 2))
    receive(net, replica, 0, Blocks((block,)))
    replica.step(Applied(block.height, block.digest, after, is_witnessed=True), net.now)
    assert replica._s.signer.knows(signed_core(record.prepare))


def test_records_of_a_later_epoch_bind_once_it_is_reached():
    net = Net()
    after = make_membership(4, epoch=1, first_height=2, first_term=1)
    me = 1
    assert after.primary(1, 0) == me, "so that it would propose something else"
    record = _vote_of_next_epoch(after, 3)
    replica = make(net, 3, recovered=(record,))
    replica.step(Tick(), net.now)
    behind(net, replica)
    block = sealed(net, 1, b"x", members=(0, 1, 2))
    receive(net, replica, 0, Blocks((block,)))
    replica.step(Applied(block.height, block.digest, after), net.now)
    assert replica.is_learner
    answer(net, replica, (0, 1), block.head)
    assert not replica.is_learner
    other = Signatory(after).pre_prepare(1, record.pre_prepare.slot, b"another body")
    effects = receive(net, replica, 1, other)
    assert not any(isinstance(e, Broadcast) and isinstance(e.message, Prepare) for e in effects)
    assert replica._s.signer.knows(
        Signatory(after).core(3, Kind.PREPARE, record.prepare.slot, digest_of(BODY))
    )


def test_a_commit_in_a_lower_view_than_the_one_kept_is_known():
    """Of each height the log keeps the COMMIT of the highest view; the seal may be of a lower."""
    net = Net()
    replica = make_replica(net)
    signer = replica._s.signer
    signer.sign(Kind.COMMIT, slot(view=2), digest_of(BODY))
    assert signer.has_committed(1, 0)
    assert signer.has_committed(1, 2)
    assert not signer.has_committed(1, 3)
    assert not signer.has_committed(2, 0)


def test_a_newcomer_that_was_started_anew_needs_no_more_than_others():
    """Its log was there before its key was a member's: nothing of it can be lost.

    Otherwise five members of whom one is away would stand: three vote, and it may not.
    """
    net = Net()
    newcomer = make(net, key=public_key(4), is_log_new=True)
    newcomer.step(Tick(), net.now)
    behind(net, newcomer)
    block = sealed(net, 1, BODY)
    receive(net, newcomer, 0, Blocks((block,)))
    for member in (0, 1, 2):
        receive(net, newcomer, member, status_at(1))
    after = make_membership(5, epoch=1, first_height=2, first_term=1)
    newcomer.step(Applied(block.height, block.digest, after), net.now)
    assert newcomer.is_learner
    assert not newcomer.is_doubtful
    others = [after.index_of(net.membership.members[i]) for i in (0, 1, 2)]
    answer(net, newcomer, others, block.head)
    assert not newcomer.is_learner


def test_who_replays_the_block_that_admitted_it_stays_in_doubt():
    """It was a member before, and its log may be another one now."""
    net = Net()
    wiped = make(net, key=public_key(4), is_log_new=True)
    wiped.step(Tick(), net.now)
    behind(net, wiped)
    block = sealed(net, 1, BODY)
    receive(net, wiped, 0, Blocks((block,)))
    for member in (0, 1, 2):
        receive(net, wiped, member, status_at(9))
    after = make_membership(5, epoch=1, first_height=2, first_term=1)
    wiped.step(Applied(block.height, block.digest, after), net.now)
    assert wiped.is_learner
    assert wiped.is_doubtful


def test_a_liar_that_boasts_keeps_nobody_from_being_level():
    net = Net()
    head = head_of(net, 1)
    replica = make(net, head=head)
    replica.step(Tick(), net.now)
    receive(net, replica, 3, status_at(10**9))
    assert not replica.is_level
    receive(net, replica, 0, status_at(1))
    assert not replica.is_level
    receive(net, replica, 2, status_at(1))
    assert replica.is_level
    receive(net, replica, 2, status_at(2))
    assert not replica.is_level
