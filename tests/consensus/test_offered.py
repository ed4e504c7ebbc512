"""The last block of an epoch, of which only those who left it, or came after it, may know."""

from dataclasses import replace

from consensus.certificates import Head
from consensus.events import Apply, Halt, Offered, Send, Suspect, Tick
from consensus.membership import MemberIndex
from consensus.messages import GetBlocks, Status
from consensus.replica import Replica
from tests.consensus.net import CONFIG, GENESIS, HashKeyring, Net, digest_of, slot
from tests.consensus.test_normal_case import BODY, DIGEST, backup, receive
from tests.consensus.test_recovery import sealed


def follower(net, head):
    """Of one that was a member until `head`."""
    found = Replica(
        config=CONFIG,
        genesis_hash=GENESIS,
        membership=net.membership,
        head=head,
        keyring=HashKeyring(None),
        digest_of=digest_of,
    )
    assert found.step(Tick(), net.now) == ()
    return found


def status(height):
    return Status(
        slot=slot(height=height),
        head_digest=DIGEST,
        asked=0,
        proposal=None,
        prepares=0,
        commits=0,
        view_changes=(),
        is_learner=False,
    )


def test_a_follower_says_where_it_is_to_one_that_is_behind():
    """Who is evicted by a block may be the only one that has it."""
    net = Net().start()
    block = sealed(net, 1, BODY)
    gone = follower(net, block.head)
    (answer,) = receive(net, gone, 2, status(height=0))
    assert isinstance(answer, Send)
    assert answer.to == 2
    assert isinstance(answer.message, Status)
    assert answer.message.slot.height == 1
    # The one that is behind asks for the block.
    net, replica = backup()
    receive(net, replica, 0, answer.message)
    net.now += 100
    assert Send(MemberIndex(0), GetBlocks(1)) in replica.step(Tick(), net.now)


def test_a_follower_has_nothing_to_say_to_others():
    net = Net().start()
    head = Head(height=0, digest=GENESIS, seal=None)
    assert receive(net, follower(net, head), 2, status(height=0)) == ()
    assert receive(net, follower(net, sealed(net, 1, BODY).head), 2, status(height=1)) == ()


def test_blocks_of_one_that_is_no_member_are_taken_by_their_seals():
    net, replica = backup()
    blocks = tuple(sealed(net, h, b"block %d" % h) for h in (1, 2))
    assert replica.step(Offered(blocks), net.now) == (Apply(blocks[0], executed=False),)


def test_what_is_offered_without_proof_accuses_nobody_and_changes_nothing():
    net, replica = backup()
    for spoilt in (
        sealed(net, 1, BODY, members=(0, 1)),
        replace(sealed(net, 1, BODY), body=b"other"),
        sealed(net, 7, BODY),
    ):
        net.now += 100
        assert not [
            effect
            for effect in replica.step(Offered((spoilt,)), net.now)
            if isinstance(effect, Apply | Suspect | Halt)
        ]
    net.now += 100
    assert Apply(sealed(net, 1, BODY), executed=False) in replica.step(
        Offered((sealed(net, 1, BODY),)), net.now
    )


def test_few_offers_are_looked_at():
    """Each costs q signatures, and who offers is no member yet."""
    net, replica = backup()
    good = sealed(net, 1, BODY)
    replica.step(Offered((sealed(net, 1, BODY, members=(0, 1)),)), net.now)
    net.now += CONFIG.retransmit_ms - 1
    assert not [e for e in replica.step(Offered((good,)), net.now) if isinstance(e, Apply)]
    net.now += 1
    assert Apply(good, executed=False) in replica.step(Offered((good,)), net.now)
