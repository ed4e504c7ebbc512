"""The outbound queues: order, priorities, and what gives way when a peer is slow."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.p2p.config import NetworkConfig
from node.p2p.frames import FRAME_BYTES_MAX, Channel
from node.p2p.outbox import Outbox, Push

CONFIG = NetworkConfig(gossip_queue_bytes=10, relay_queue_bytes=10)
CHANNELS = st.sampled_from([Channel.CONSENSUS, Channel.TRANSACTIONS, Channel.RELAY])


def test_votes_go_before_bulk_and_each_channel_keeps_its_order():
    outbox = Outbox(CONFIG)
    for channel, frame in (
        (Channel.RELAY, b"r"),
        (Channel.CATCH_UP, b"b1"),
        (Channel.CONSENSUS, b"v1"),
        (Channel.CATCH_UP, b"b2"),
        (Channel.CONSENSUS, b"v2"),
        (Channel.TRANSACTIONS, b"t"),
    ):
        assert outbox.push(channel, frame) is Push.QUEUED
    assert [outbox.pop() for _ in range(7)] == [b"v1", b"v2", b"b1", b"b2", b"t", b"r", None]
    assert not outbox


def test_full_gossip_drops_the_oldest():
    outbox = Outbox(CONFIG)
    for frame in (b"1111", b"2222", b"3333"):
        assert outbox.push(Channel.TRANSACTIONS, frame) is Push.QUEUED
    assert (outbox.dropped, outbox.queued_bytes) == (1, 8)
    assert [outbox.pop(), outbox.pop()] == [b"2222", b"3333"]


def test_full_replies_refuse_the_newest():
    outbox = Outbox(CONFIG)
    assert outbox.push(Channel.CATCH_UP, bytes(FRAME_BYTES_MAX)) is Push.QUEUED
    assert outbox.push(Channel.CATCH_UP, bytes(CONFIG.catch_up_queue_bytes)) is Push.REFUSED
    assert (outbox.dropped, outbox.queued_bytes) == (1, FRAME_BYTES_MAX)


def test_full_votes_mean_a_stuck_peer():
    outbox = Outbox(CONFIG)
    for _ in range(2):
        assert outbox.push(Channel.CONSENSUS, bytes(FRAME_BYTES_MAX)) is Push.QUEUED
    assert outbox.push(Channel.CONSENSUS, bytes(FRAME_BYTES_MAX)) is Push.STUCK


@pytest.mark.parametrize(
    "changes",
    [{"ban_ms": 0}, {"consensus_queue_bytes": 1 << 20}, {"replace_ms": 6_000}],
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ValueError, match="must"):
        replace(CONFIG, **changes)


class OutboxMatchesLists(RuleBasedStateMachine):
    """The model: a list for each channel, cut from the left to ten bytes."""

    def __init__(self):
        super().__init__()
        self.outbox = Outbox(CONFIG)
        self.model = {channel: [] for channel in Channel}

    @rule(channel=CHANNELS, frame=st.binary(min_size=1, max_size=10))
    def push(self, channel, frame):
        assert self.outbox.push(channel, frame) is Push.QUEUED
        waiting = self.model[channel]
        waiting.append(frame)
        while channel is not Channel.CONSENSUS and sum(map(len, waiting)) > 10:
            waiting.pop(0)

    @rule()
    def pop(self):
        expected = next((queue for queue in self.model.values() if queue), None)
        assert self.outbox.pop() == (expected.pop(0) if expected else None)

    @invariant()
    def bytes_are_counted(self):
        assert self.outbox.queued_bytes == sum(len(f) for q in self.model.values() for f in q)
        assert bool(self.outbox) == any(self.model.values())


TestOutbox = OutboxMatchesLists.TestCase
TestOutbox.settings = settings(stateful_step_count=30)
