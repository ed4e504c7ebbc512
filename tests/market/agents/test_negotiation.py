"""Negotiation among many: sells out, never twice, inside the band, whatever the relay does."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto.keys import verify_account
from market.agents.acceptance import acceptance_digest
from market.agents.ontology import Performative
from market.agents.trading.agreement import AGREEMENTS_PER_PAIR_MAX
from tests.market.agents.negotiation import FEED_IN, RETAIL, Neighbourhood

quantities = st.lists(st.integers(1, 16_383), min_size=1, max_size=7)


@settings(max_examples=40)
@given(offers=quantities, calls=quantities, seed=st.integers(0, 2**32))
def test_an_honest_relay_sells_out_exactly(offers, calls, seed) -> None:
    """Mission, section 3.4: all offered energy or all demand is sold out when the hour closes."""
    world = Neighbourhood(offers, calls, seed).run()
    assert world.left_over == 0
    assert world.sold == world.bought
    for seller in world.sellers.values():
        for agreement in seller.agreements:
            assert FEED_IN < agreement.terms.price < RETAIL
            verify_account(
                agreement.terms.buyer, acceptance_digest(agreement.terms), agreement.signature
            )


@settings(max_examples=30)
@example([1, 3, 1, 1, 144, 1, 90], [1, 4, 181, 3, 1, 1, 93], 1588, 0.091796875, 0.09375)
@given(
    offers=quantities,
    calls=quantities,
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.15),
    repeat=st.floats(0, 0.3),
)
def test_a_bad_relay_never_sells_twice_and_still_sells_out(
    offers, calls, seed, loss, repeat
) -> None:
    """Time-outs and repetitions bridge losses when the hour is long against the delay."""
    world = Neighbourhood(
        offers, calls, seed, loss=loss, repeat=repeat, negotiation_ms=30_000, tick_ms=50
    ).run()
    assert world.left_over == 0


@pytest.mark.parametrize("delay_ms", [(100, 200), (150, 350)])
def test_slow_relay_sells_out(delay_ms) -> None:
    for seed in range(5):
        world = Neighbourhood([900, 50, 700], [300, 300, 800, 20], seed, delay_ms=delay_ms).run()
        assert world.left_over == 0


def test_a_silent_seller_does_not_hold_up_the_others() -> None:
    """Every request has a time-out, after which the agent goes to its next best choice."""
    world = Neighbourhood([500, 500], [400, 100], seed=1, silent_sellers=(0,)).run()
    assert sum(world.sold.values()) == 500
    assert sum(world.bought.values()) == 500


def test_equal_crowds_do_not_crumble() -> None:
    """Ten sellers and ten buyers of equal size: one agreement each, or little more."""
    world = Neighbourhood([100] * 10, [100] * 10, seed=3).run()
    assert world.left_over == 0
    assert len(world.sold) <= 20


@pytest.mark.parametrize("seed", range(3))
def test_many_small_buyers_do_not_use_up_the_agreements(seed) -> None:
    """16 agreements a side: crumbs wait, so that the large offer finds its large buyers."""
    world = Neighbourhood([1_000, 200], [110] * 12 + [15] * 25, seed).run()
    assert world.left_over == 0


def test_scarce_energy_goes_to_the_highest_bids() -> None:
    """In the last minutes sellers accept the highest bids."""
    world = Neighbourhood([100], [100, 100, 100], seed=11).run()
    (agreement,) = next(iter(world.sellers.values())).agreements
    signed = [m.price for m in world.log if m.performative is Performative.ACCEPT_PROPOSAL]
    assert agreement.terms.price == max(signed)


def test_copied_keys_keep_nobody_from_trading() -> None:
    """Whoever sees an offer on its way may publish the same key first; it cannot use it."""
    world = Neighbourhood([900, 50], [300, 800], seed=3, has_copied_keys=True).run()
    assert world.left_over == 0
    assert world.sold == world.bought


def test_a_seller_of_crumbs_does_not_use_up_a_buyers_agreements() -> None:
    """Eight offers of 1 Wh of one household: the buyer still reaches all five large sellers."""
    world = Neighbourhood(
        [1] * 8 + [100] * 5, [508], seed=7, of_one_household=tuple(range(8))
    ).run()
    (buyer,) = world.buyers.values()
    sellers = [agreement.terms.seller for agreement in buyer.agreements.values()]
    assert sellers.count(world.seller_account(0)) == AGREEMENTS_PER_PAIR_MAX
    assert buyer.bought == 5 * 100 + AGREEMENTS_PER_PAIR_MAX
