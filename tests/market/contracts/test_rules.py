"""The formulas, as properties over all legal numbers (docs/spec/market.md, section Money)."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.contracts.market_rules import (
    Clearing,
    Deviation,
    Rules,
    clear,
    clear_late,
    read_rules,
    shares,
)
from tests.market.contracts.chain import genesis
from vm.errors import GenesisError

QUANTITY = st.integers(0, 2**20)


@st.composite
def rules_of(draw):
    """Any rules that genesis accepts."""
    retail = draw(st.integers(1, 10**8))
    k = draw(st.integers(1, 20))
    agreements_max = draw(st.integers(1, 64))
    params = {
        "retail": retail,
        "feed_in": draw(st.integers(0, retail)),
        "penalty": draw(st.integers(0, 10**8)),
        "k": k,
        "agreements_max": agreements_max,
        "confirm_fee": draw(st.integers(0, (2**k - 1) * retail // agreements_max)),
    }
    return read_rules(params, GENESIS)


GENESIS = genesis()


@given(rules_of(), QUANTITY, QUANTITY, st.booleans())
def test_prices_lie_between_the_outside_options(rules, surplus, deficit, has_reserve):
    c = clear(rules, surplus, deficit, has_reserve=has_reserve)
    if has_reserve:
        assert rules.feed_in <= c.p_sur <= rules.retail
        assert c.p_unu == max(0, rules.feed_in - rules.penalty) <= c.p_sur
    else:
        assert c.p_sur == c.p_unu == c.external_pays == 0
    assert rules.feed_in <= c.p_ext <= rules.retail
    assert c.p_sho == rules.retail + rules.penalty >= c.p_ext


@given(rules_of(), QUANTITY, QUANTITY, QUANTITY, QUANTITY, st.booleans())
def test_the_fund_never_pays_for_the_pool(rules, sur, unu, ext, sho, has_reserve):
    """Whatever the split, what comes in covers what goes out, rounding included."""
    c = clear(rules, sur + unu, ext + sho, has_reserve=has_reserve)
    given_out = c.price(Deviation(sur=sur, unu=unu)) + c.external_receives
    taken_in = -c.price(Deviation(ext=ext, sho=sho)) + c.external_pays
    assert taken_in >= given_out
    if unu == sho == 0 and has_reserve:
        assert taken_in - given_out < max(1, sur) + max(1, ext), "only rounding is left"


@st.composite
def closings(draw):
    """Rules, and any window that the contract lets a household close."""
    rules = draw(rules_of())
    q = st.integers(0, rules.quantity_max)
    exp, imp, sold, bought = draw(q), draw(q), draw(q), draw(q)
    net = exp - imp - sold + bought
    if net >= 0:
        sur = draw(st.integers(0, min(net, exp)))
        deviation = Deviation(sur=sur, unu=net - sur)
    else:
        ext = draw(st.integers(0, min(-net, imp)))
        deviation = Deviation(ext=ext, sho=-net - ext)
    fees = rules.confirm_fee * draw(st.integers(0, rules.agreements_max))
    return rules, (exp, imp, sold, bought), deviation, fees


def prices_of(data, rules, deviation):
    if data.draw(st.booleans(), "late"):
        return clear_late(rules, deviation, has_reserve=data.draw(st.booleans()))
    surplus = deviation.surplus + data.draw(QUANTITY)
    deficit = deviation.deficit + data.draw(QUANTITY)
    return clear(rules, surplus, deficit, has_reserve=data.draw(st.booleans()))


@given(closings(), st.data())
def test_no_deposit_can_be_exceeded(closing, data):
    rules, (_, _, sold, bought), deviation, fees = closing
    agreed = sold * rules.feed_in - bought * rules.retail  # The worst prices of the band.
    price = prices_of(data, rules, deviation).price(deviation)
    assert rules.deposit + agreed + price - fees >= 0


def test_the_deposit_is_needed_almost_whole():
    """Sell Q for nothing, deliver nothing, import Q: what a smaller deposit would not cover."""
    rules = read_rules({"feed_in": 0}, GENESIS)
    q = rules.quantity_max
    c = clear(rules, 0, 2 * q, has_reserve=True)
    price = c.price(Deviation(sho=2 * q))
    assert price == -2 * q * (rules.retail + rules.penalty)
    assert rules.deposit + price == q * rules.retail


@given(closings(), st.data())
def test_nobody_pays_more_than_the_outside_option_plus_its_own_deviation(closing, data):
    """For the split that is best for the household, and a reserve that pays for surplus."""
    rules, (exp, imp, sold, bought), _, _ = closing
    net = exp - imp - sold + bought
    best = (
        Deviation(sur=min(net, exp), unu=max(0, net - exp))
        if net >= 0
        else Deviation(ext=min(-net, imp), sho=max(0, -net - imp))
    )
    c = clear(
        rules,
        best.surplus + data.draw(QUANTITY),
        best.deficit + data.draw(QUANTITY),
        has_reserve=True,
    )
    agreed = sold * rules.feed_in - bought * rules.retail
    outside = exp * rules.feed_in - imp * rules.retail
    own = max(0, bought - imp) + max(0, sold - exp)
    per_wh = rules.retail - rules.feed_in + rules.penalty
    assert agreed + c.price(best) >= outside - own * per_wh


@given(st.integers(0, 2**40), st.lists(QUANTITY, max_size=128))
def test_shares_sum_exactly_and_are_within_one(total, parts):
    result = shares(total, parts)
    whole = sum(parts)
    assert sum(result) == (total if whole else 0)
    for part, share in zip(parts, result, strict=True):
        assert share >= 0
        assert abs(share * whole - total * part) < max(1, whole)


def test_late_prices_are_those_outside():
    rules = read_rules({}, GENESIS)
    c = clear_late(rules, Deviation(sur=5, unu=2), has_reserve=True)
    assert (c.p_sur, c.external_pays, c.external_receives) == (8_000, 7 * 8_000, 0)
    c = clear_late(rules, Deviation(ext=5, sho=2), has_reserve=True)
    assert (c.p_ext, c.external_pays, c.external_receives) == (30_000, 0, 7 * 30_000)


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("contracts.market.retails", {"retails": 1}),
        ("contracts.market.retail", {"retail": "30000"}),
        ("contracts.market.k", {"k": 21}),
        ("contracts.market.k", {"k": 0}),
        ("contracts.market.feed_in", {"feed_in": 30_001}),
        ("contracts.market.close_windows", {"close_windows": 4}),
        ("contracts.market.close_windows", {"attest_windows": 3}),
        ("contracts.market.confirm_fee", {"confirm_fee": 10**9}),
    ],
)
def test_genesis_refuses_what_cannot_work(field, params):
    with pytest.raises(GenesisError) as caught:
        read_rules(params, GENESIS)
    assert caught.value.field == field


def test_genesis_refuses_blocks_too_small_for_a_settlement():
    with pytest.raises(GenesisError) as caught:
        read_rules({}, genesis(40, block_gas_limit=2_000_000))
    assert caught.value.field == "block_gas_limit"


def test_values_are_what_the_spec_says():
    rules = read_rules({}, GENESIS)
    assert isinstance(rules, Rules)
    assert asdict(rules)["confirm_fee"] == 100_000
    assert rules.quantity_max == 16_383
    assert rules.deposit == 16_383 * 92_000
    assert rules.reserve(8) == 8 * 16_383 * 8_000
    assert isinstance(clear(rules, 0, 0, has_reserve=True), Clearing)
