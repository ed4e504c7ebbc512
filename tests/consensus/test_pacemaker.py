"""Patience: idle, without a quorum, failing views, silent primaries (rules 11 to 16)."""

from dataclasses import replace

import pytest

from consensus.config import ConsensusConfig
from consensus.events import (
    Broadcast,
    PeerDown,
    PeerUp,
    Pending,
    Receive,
    Send,
    Tick,
    Validated,
)
from consensus.messages import NewView, Status, ViewChange
from consensus.timers import LATENCY_SAMPLE_MAX_MS, Timers, timeout_ms
from consensus.waiting import Awaited
from tests.consensus.net import CONFIG, Net, slot
from tests.consensus.test_normal_case import BODY, DIGEST, backup, kinds, receive
from tests.consensus.test_view_change import new_view, view_change


def silence(net, *indexes):
    for index in indexes:
        net.nodes[index].is_up = False


def asked(net):
    return [node.replica.asked for node in net.nodes if node.is_up]


# The length of a timeout.


@pytest.mark.parametrize(
    ("latency", "failed", "expected"),
    [(0, 0, 250), (12, 0, 250), (13, 0, 252), (100, 0, 600), (0, 1, 500), (0, 3, 2000)],
)
def test_the_timeout_follows_latency_and_doubles_per_failed_view(latency, failed, expected):
    assert timeout_ms(CONFIG, latency, failed) == expected


def test_the_timeout_is_capped():
    assert timeout_ms(CONFIG, 0, 4) == timeout_ms(CONFIG, 0, 10**6) == 250 * 16
    small = ConsensusConfig(view_timeout_cap=3)
    assert timeout_ms(small, 0, 9) == 750


def test_the_latency_is_smoothed_and_one_sample_is_bounded():
    timers = Timers(CONFIG)
    timers.sample_latency(10**9)
    assert timers.commit_latency_ms == LATENCY_SAMPLE_MAX_MS // 2, "half of a rise"
    timers.sample_latency(420)
    assert timers.commit_latency_ms == 490, "an eighth of a fall"
    for _ in range(200):
        timers.sample_latency(40)
    assert timers.commit_latency_ms == 40
    timers.sample_latency(-5)
    assert timers.commit_latency_ms == 35


# Idle.


def test_an_idle_network_only_beats_and_never_changes_the_view():
    """Rule 15."""
    net = Net().start()
    silence(net, 0)
    net.run(60_000)
    assert asked(net) == [0, 0, 0]
    assert all(not node.records for node in net.nodes)


def test_a_tick_matters_only_at_the_next_heartbeat_while_idle():
    net = Net().start()
    replica = net.nodes[0].replica
    assert replica.wake_at == net.now + CONFIG.heartbeat_ms
    net.now = replica.wake_at
    (beat,) = replica.step(Tick(), net.now)
    assert kinds([beat]) == [Status]


def test_a_dead_primary_is_noticed_at_the_first_transaction():
    net = Net().start()
    silence(net, 0)
    net.run(5000)
    start = net.now
    net.submit(b"A")
    net.deliver()
    assert net.heights()[1:] == [1, 1, 1], "passed over at once: its heartbeat was overdue"
    assert net.now == start


def test_a_closed_link_counts_at_once():
    net = Net().start()
    silence(net, 0)
    for node in net.nodes[1:]:
        node.step(PeerDown(0))
    net.submit(b"A")
    net.deliver()
    assert net.heights()[1:] == [1, 1, 1]


def test_a_primary_that_has_not_come_up_yet_gets_its_time_after_the_start():
    net = Net()
    silence(net, 0)
    net.start()
    net.submit(b"A")
    net.deliver()
    assert asked(net) == [0, 0, 0]
    net.run(CONFIG.progress_base_ms)
    assert net.heights()[1:] == [1, 1, 1]


# Without a quorum (rule 11).


def test_nothing_climbs_without_a_quorum_and_recovery_is_fast():
    net = Net().start()
    silence(net, 2, 3)
    net.submit(b"A")
    net.run(60 * 60 * 10)
    assert max(asked(net)) <= 1
    net.nodes[2].is_up = True
    net.nodes[2].restart()
    start = net.now
    while net.heights()[0] == 0:
        net.run(10)
        assert net.now - start < 1000
    assert max(asked(net)) <= 1


def test_a_missing_quorum_is_what_is_awaited():
    net = Net().start()
    silence(net, 2, 3)
    net.submit(b"A")
    net.run(3000)
    waiting = net.nodes[0].replica.waiting_for()
    assert waiting.awaited is Awaited.QUORUM
    assert waiting.members == (2, 3)
    assert (waiting.have, waiting.need) == (2, 3)


def test_the_view_timer_starts_only_with_q_view_changes():
    net, replica = backup(n=7, index=2)
    for member in (3, 4, 5):
        receive(net, replica, member, view_change(net, member))
    assert replica.asked == 1
    heartbeats = replica.wake_at
    assert heartbeats > net.now
    for _ in range(100):
        net.now += 100
        for member in (0, 1, 3, 4, 5, 6):
            receive(net, replica, member, _beat(net, member))
    assert replica.asked == 1, "four of seven asked: one short of q"
    receive(net, replica, 6, view_change(net, 6))
    net.now += CONFIG.progress_base_ms
    effects = replica.step(Tick(), net.now)
    assert [e.message.slot.view for e in effects if kinds([e]) == [ViewChange]] == [2]


def _beat(net, member):
    from consensus.retransmission import make_status

    return make_status(net.nodes[member].replica._s)


def test_consecutive_failed_views_double_the_timeout_and_a_decision_resets_it():
    net = Net(7).start()
    muted = {1, 2}

    def deliver(sender, to, message):
        return sender not in muted or not isinstance(message, NewView)

    silence(net, 0)
    net.submit(b"A")
    timeouts = set()
    for _ in range(500):
        net.run(10, deliver)
        timeouts.add(net.nodes[5].replica.timeout_ms)
        if net.heights()[5]:
            break
    assert net.heights()[5] == 1
    assert {250, 500} <= timeouts
    assert net.nodes[5].replica.timeout_ms == 250


def test_a_view_that_decides_nothing_is_left_again():
    net, replica = backup(index=2)
    replica.step(Pending(is_pending=True), net.now)
    receive(net, replica, 1, new_view(net, [view_change(net, i) for i in (0, 1, 3)]))
    net.now += CONFIG.progress_base_ms
    effects = replica.step(Tick(), net.now)
    assert [e.message.slot.view for e in effects if kinds([e]) == [ViewChange]] == [2]
    assert replica.timeout_ms == 500


def test_a_next_primary_that_is_down_is_passed_over():
    net, replica = backup(index=2)
    replica.step(PeerDown(0), net.now)
    replica.step(PeerUp(0), net.now)
    replica.step(PeerDown(1), net.now)
    replica.step(Pending(is_pending=True), net.now)
    net.now += CONFIG.progress_base_ms
    effects = replica.step(Tick(), net.now)
    assert [e.message.slot.view for e in effects if kinds([e]) == [ViewChange]] == [2]


def test_a_process_that_stood_still_blames_nobody():
    net, replica = backup(index=2)
    replica.step(Pending(is_pending=True), net.now)
    net.now += 30_000
    effects = replica.step(Tick(), net.now)
    assert ViewChange not in kinds(effects)
    assert len(replica.online) == 4


def test_the_progress_timer_restarts_when_the_primary_or_the_application_has_done_its_part():
    net, replica = backup(index=2)
    replica.step(Pending(is_pending=True), net.now)
    net.now += 200
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    net.now += 200
    effects = replica.step(Validated(DIGEST, ok=True), net.now)
    net.now += 200
    effects += replica.step(Tick(), net.now)
    assert ViewChange not in kinds(effects)
    net.now += 50
    assert ViewChange in kinds(replica.step(Tick(), net.now))


def test_the_progress_timer_restarts_at_each_seal():
    net = Net().start()
    for node in net.nodes:
        node.pending.extend(b"tx%d" % i for i in range(20))
    for _ in range(20):
        net.now += 200
        for node in net.nodes:
            node.step(Tick())
        net.nodes[net.nodes[1].replica.primary].step(Pending(is_pending=True))
        for node in net.nodes:
            node.step(Pending(is_pending=bool(node.pending)))
        net.deliver()
    assert asked(net) == [0] * 4


# STATUS and what it brings (rule 14).


def test_a_status_brings_the_own_missing_votes_and_nothing_else():
    net, replica = backup()
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    replica.step(Validated(DIGEST, ok=True), net.now)
    receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    effects = receive(net, replica, 3, _beat(net, 3))
    assert [e.message.TAG for e in effects] == [2, 3]
    assert {e.message.sender for e in effects} == {1}
    assert receive(net, replica, 3, _beat(net, 3)) == (), "once in half an interval"
    net.now += CONFIG.retransmit_ms // 2
    assert len(receive(net, replica, 3, _beat(net, 3))) == 2


def test_a_status_of_one_behind_gets_a_status_so_that_it_asks():
    net = Net().start()
    late = _beat(net, 3)
    silence(net, 3)
    net.submit(b"A")
    net.deliver()
    (send,) = receive(net, net.nodes[0].replica, 3, late)
    assert isinstance(send, Send)
    assert send.message.slot.height == 1


def status_with(net, member, view=0, asked=0, height=0):
    at = slot(view=view, height=height)
    return replace(_beat(net, member), slot=at, asked=asked)


def test_one_that_missed_the_new_view_gets_it():
    net, replica = backup(index=2)
    message = new_view(net, [view_change(net, i) for i in (0, 1, 3)])
    receive(net, replica, 1, message)
    effects = receive(net, replica, 3, status_with(net, 3, view=0, asked=1))
    assert effects == (Send(3, message),)


def test_one_that_asked_for_a_later_view_gets_our_view_change_and_not_the_new_view():
    """Found by the simulator: two groups in different views waited for each other."""
    net, replica = backup(index=2)
    receive(net, replica, 1, new_view(net, [view_change(net, i) for i in (0, 1, 3)]))
    for member in (0, 1):
        receive(net, replica, member, view_change(net, member, view=3))
    assert (replica.view, replica.asked) == (1, 3)
    (send,) = receive(net, replica, 3, status_with(net, 3, view=0, asked=3))
    assert send.message.slot.view == 3
    assert isinstance(send.message, ViewChange)


def test_a_status_is_sent_when_a_link_opens():
    net, replica = backup()
    (send,) = replica.step(PeerUp(3), net.now)
    assert (send.to, send.message.TAG) == (3, Status.TAG)


def test_messages_of_strangers_and_echoes_are_ignored():
    net, replica = backup()
    for sender in (-1, 1, 4, 99):
        assert replica.step(Receive(sender, _beat(net, 3)), net.now) == ()


def test_status_repeats_faster_while_something_is_open():
    net, replica = backup()
    start = net.now
    replica.step(Pending(is_pending=True), net.now)
    net.now = replica.wake_at
    assert net.now == start + CONFIG.retransmit_ms
    effects = replica.step(Tick(), net.now)
    assert [type(e) for e in effects] == [Broadcast]
