"""Faratin's concession: monotone, inside the band, at the reservation in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.agents.strategies.faratin import MARGIN_MAX, MARGIN_MIN, TimeDependent
from market.agents.strategies.protocol import Side

FEED_IN, RETAIL = 8_000, 30_000


@st.composite
def strategies(draw) -> TimeDependent:
    side = draw(st.sampled_from(Side))
    low = draw(st.integers(0, 30_000))
    high = draw(st.integers(low, 40_000))
    is_buyer = side is Side.BUYER
    return TimeDependent(
        side=side,
        best=low if is_buyer else high,
        reservation=high if is_buyer else low,
        deadline=draw(st.integers(1, 55)),
        k=draw(st.floats(0, 1)),
        beta=draw(st.floats(0.02, 50)),
    )


@given(strategies())
def test_concession_is_monotone_and_ends_at_the_reservation(strategy) -> None:
    prices = [strategy.price(t) for t in range(strategy.deadline + 3)]
    rising = strategy.side is Side.BUYER
    assert prices == sorted(prices, reverse=not rising)
    low, high = sorted((strategy.best, strategy.reservation))
    assert all(low <= price <= high for price in prices)
    assert prices[strategy.deadline :] == [strategy.reservation] * 3


@given(strategies(), st.integers(0, 60), st.integers(0, 50_000))
def test_takes_what_is_as_good_as_its_next_price(strategy, round_, price) -> None:
    """Buyer accepts y at t if y ≤ x(t+1); seller if y ≥ x(t+1)."""
    following = strategy.price(round_ + 1)
    expected = price <= following if strategy.side is Side.BUYER else price >= following
    assert strategy.accepts(round_, price) == expected


@given(st.sampled_from(Side), st.binary(max_size=40), st.integers(0, 2**40))
def test_drawn_characters_always_gain_and_always_meet(side, seed, window) -> None:
    def draw(window: int) -> TimeDependent:
        return TimeDependent.draw(
            side, feed_in=FEED_IN, retail=RETAIL, deadline=6, seed=seed, window=window
        )

    drawn = draw(window)
    assert drawn == draw(window)
    assert drawn.reservation == draw(window + 1).reservation
    assert drawn.beta != draw(window + 1).beta
    band = RETAIL - FEED_IN
    kept = RETAIL - drawn.reservation if side is Side.BUYER else drawn.reservation - FEED_IN
    assert MARGIN_MIN * band - 1 <= kept <= MARGIN_MAX * band + 1


def test_linear_concession_by_hand() -> None:
    """alpha(t) = k + (1 − k)·t/T for beta 1: from 0 to 100 in 4 rounds with k = 0.2."""
    strategy = TimeDependent(side=Side.BUYER, best=0, reservation=100, deadline=4, k=0.2, beta=1.0)
    assert [strategy.price(t) for t in range(5)] == [20, 40, 60, 80, 100]


@pytest.mark.parametrize(
    "changes",
    [
        {"best": 100, "reservation": 0},
        {"deadline": 0},
        {"k": 1.5},
        {"beta": 0.0},
        {"side": Side.SELLER},
    ],
)
def test_impossible_characters_are_refused(changes) -> None:
    values = {
        "side": Side.BUYER,
        "best": 0,
        "reservation": 100,
        "deadline": 4,
        "k": 0.2,
        "beta": 1.0,
    }
    with pytest.raises(ValueError, match=r"must|wrong"):
        TimeDependent(**{**values, **changes})
