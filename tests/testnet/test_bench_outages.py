"""What the loss of members costs, in virtual time: seconds of outage leave no trace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testnet.bench.outages import PRIMARY_STAYS_LOST, failover, recovery

COSTS = (18.0, 55.0)
"""Microseconds to sign and to verify, as measured once: the same times in every run."""
TIMER_MS = 250
"""Least length of a view's timer."""
VIEW_CHANGE_MS = TIMER_MS + 50
"""One view that waits for a member that stays lost, and the next: no timer has grown."""


@given(n=st.integers(4, 7), seed=st.integers(0, 2**32), outage_s=st.integers(3, 90))
@settings(max_examples=20, deadline=None)
def test_a_quorum_that_returns_decides_as_fast_after_a_long_outage(n, seed, outage_s):
    """Rules 11 to 16: no view climbs and no timer grows while there is no quorum."""
    short = recovery(n, COSTS, 2, seed=seed, is_timed=False)
    long = recovery(n, COSTS, outage_s, seed=seed, is_timed=False)
    assert long < VIEW_CHANGE_MS
    assert abs(long - short) < 50


@pytest.mark.slow
def test_two_hours_without_a_quorum_are_as_two_seconds():
    short, long = (
        recovery(4, COSTS, s, seed=PRIMARY_STAYS_LOST, is_timed=False) for s in (2, 7_200)
    )
    assert TIMER_MS < long < VIEW_CHANGE_MS
    assert abs(long - short) < 50


@pytest.mark.parametrize("n", [4, 7])
def test_a_lost_primary_is_replaced_within_the_bounds(n):
    noticed = failover(n, COSTS, is_noticed=True, runs=4)
    silent = failover(n, COSTS, is_noticed=False, runs=4)
    assert 0 < noticed.max_ms < TIMER_MS
    assert TIMER_MS / 2 < silent.max_ms <= 800
