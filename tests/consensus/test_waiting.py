"""Why nothing is decided: what is awaited, from whom, how much of it is there."""

from consensus.events import Pending, Validated
from consensus.messages import Commit, NewView
from consensus.waiting import Awaited
from tests.consensus.net import Net, slot
from tests.consensus.test_normal_case import BODY, DIGEST, accept, backup, receive
from tests.consensus.test_view_change import view_change


def why(replica):
    waiting = replica.waiting_for()
    return waiting.awaited, waiting.members, waiting.have, waiting.need


def test_the_way_of_one_block_at_a_backup():
    net, replica = backup()
    assert why(replica) == (Awaited.NOTHING, (), 0, 0)
    replica.step(Pending(is_pending=True), net.now)
    assert why(replica) == (Awaited.PROPOSAL, (0,), 0, 1)
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    assert why(replica) == (Awaited.APPLICATION, (), 0, 1)
    replica.step(Validated(DIGEST, ok=True), net.now)
    assert why(replica) == (Awaited.PREPARES, (2, 3), 2, 3)
    receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    assert why(replica) == (Awaited.COMMITS, (0, 2, 3), 1, 3)
    for member in (0, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert why(replica) == (Awaited.APPLICATION, (), 0, 1)
    assert replica.waiting_for().height == 1
    assert replica.in_flight == DIGEST


def test_the_primary_waits_for_its_application():
    net = Net().start()
    replica = net.nodes[0].replica
    replica.step(Pending(is_pending=True), net.now)
    assert why(replica) == (Awaited.APPLICATION, (), 0, 1)


def test_a_view_change_waits_for_others_and_then_for_the_new_primary():
    net, replica = backup(index=2)
    replica.step(Pending(is_pending=True), net.now)
    receive(net, replica, 0, view_change(net, 0))
    receive(net, replica, 3, view_change(net, 3))
    assert why(replica) == (Awaited.NEW_VIEW, (1,), 0, 1)
    net, replica = backup(n=7, index=2)
    for member in (0, 3, 4):
        receive(net, replica, member, view_change(net, member))
    assert why(replica) == (Awaited.VIEW_CHANGES, (1, 5, 6), 4, 5)


def test_blocks_and_bodies_are_awaited_from_those_who_have_them():
    net, replica = backup()
    for member in (0, 2, 3):
        receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert why(replica) == (Awaited.BODY, (0, 2, 3), 0, 1)
    net, replica = backup()
    receive(net, replica, 2, net.signatory.commit(2, slot(height=9), DIGEST))
    assert why(replica) == (Awaited.BLOCKS, (2,), 0, 8)


def test_the_replica_shows_its_state():
    net = Net().start()
    net.submit(b"A")
    net.deliver(lambda sender, to, m: not isinstance(m, Commit | NewView))
    replica = net.nodes[1].replica
    assert (replica.epoch, replica.term, replica.view, replica.asked) == (0, 0, 0, 0)
    assert (replica.me, replica.primary) == (1, 0)
    assert replica.prepared_by == (1, 2, 3)
    assert replica.committed_by == (1,)
    assert replica.is_connected
    assert replica.online == (0, 1, 2, 3)
    assert replica.membership == net.membership
    assert replica.halted is None
    assert replica.commit_latency_ms == 0
    accepted = accept(*backup())
    assert len(accepted) == 2
