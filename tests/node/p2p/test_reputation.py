"""Points of suspicion: few decay, many ban, for a time."""

from node.p2p.config import NetworkConfig
from node.p2p.reputation import Reputation

CONFIG = NetworkConfig(score_limit=100, score_decay_per_s=1, ban_ms=30_000)


def test_single_faults_decay():
    reputation = Reputation(CONFIG)
    for minute in range(100):
        assert not reputation.add(1, 50, minute * 60_000)
    assert reputation.score(1, 99 * 60_000) == 50
    assert reputation.score(1, 99 * 60_000 + 50_000) == 0


def test_a_stream_of_faults_bans_for_a_time_and_then_starts_anew():
    reputation = Reputation(CONFIG)
    assert [reputation.add(1, 10, ms) for ms in range(10)] == [False] * 9 + [True]
    assert reputation.banned_ms(1, 9) == 30_000
    assert reputation.banned_ms(1, 30_008) == 1
    assert reputation.banned_ms(1, 30_009) == 0
    assert not reputation.add(1, 10, 30_009)


def test_members_do_not_pay_for_each_other():
    reputation = Reputation(CONFIG)
    assert reputation.add(1, 100, 0)
    assert reputation.banned_ms(2, 0) == 0
    assert reputation.score(2, 0) == 0
