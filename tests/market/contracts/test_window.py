"""One window, function by function, in the order of use (docs/spec/market.md)."""

import pytest

from market.abi import MARKET, AgreementStatus, OfferKind, Phase
from tests.market.contracts.chain import (
    EUR,
    EXTERNAL,
    OPERATOR,
    RECORD_MS,
    WINDOW_MS,
    Chain,
    Reverted,
    home,
    meter,
)

W = 3
KEY = b"\7" * 32
RETAIL, FEED_IN, PENALTY = 30_000, 8_000, 2_000
Q = 2**14 - 1
D = Q * (3 * RETAIL + PENALTY)
MIDDLE = (RETAIL + FEED_IN) // 2


def market(chain, key, function, *args):
    return chain.send(key, "Market", function, *args)


def refused(code, chain, key, function, *args, contract="Market"):
    with pytest.raises(Reverted) as caught:
        chain.send(key, contract, function, *args)
    assert caught.value.code == code, str(caught.value)


def enrolled(n=4, reserve=1000 * EUR, **params):
    chain = Chain(n, **params)
    chain.fund_all(reserve=reserve)
    chain.negotiate(W)
    for i in range(n):
        market(chain, home(i), "enrol", W)
    return chain


def sold(quantity=1_000, price=20_000, **params):
    """Home 0 has sold to home 1; delivery is over."""
    chain = enrolled(**params)
    market(chain, home(0), "makeOffer", W, 0, quantity, KEY, b"")
    chain.record(W)
    agreement = chain.allow(W, 1, home(0), home(1), quantity, price)
    market(chain, home(1), "confirm", agreement)
    chain.deliver(W)
    return chain


def close_all(chain, *deviations):
    for i, deviation in enumerate(deviations):
        if deviation is not None:
            market(chain, home(i), "close", W, *deviation)


def pay_all(chain):
    before = [chain.money(home(i)) for i in range(chain.n)]
    for i in range(chain.n):
        market(chain, home(i), "makeTransaction", W, home(i).address)
    return [chain.money(home(i)) - old - D for i, old in enumerate(before)]


def test_exact_delivery_pays_the_agreement_and_no_penalty():
    chain = sold(1_000, 20_000)
    for i, (exp, imp) in enumerate([(1_000, 0), (0, 1_000), (0, 0), (0, 0)]):
        chain.attest(i, W, exp, imp)
    close_all(chain, *[(0, 0, 0, 0)] * 4)
    market(chain, OPERATOR, "settle", W)
    assert pay_all(chain) == [20_000_000, -20_000_000, 0, 0]
    assert chain.view("Market", "fund") == [0, 1000 * EUR, 0, 0]
    assert chain.one("EnergyToken", "totalSupply") == 0
    assert chain.one("Market", "phase", W) == Phase.DONE


def test_residue_trades_inside_at_the_middle_price_and_outside_for_the_rest():
    """p_sur = ⌊(M·m + (U-M)·λ_s)/U⌋, p_ext = ⌈(M·m + (T-M)·λ_b)/T⌉."""
    chain = enrolled()
    chain.deliver(W)
    for i, (exp, imp) in enumerate([(900, 0), (0, 300), (0, 100), (0, 0)]):
        chain.attest(i, W, exp, imp)
    close_all(chain, (900, 0, 0, 0), (0, 0, 300, 0), (0, 0, 100, 0), (0, 0, 0, 0))
    market(chain, OPERATOR, "settle", W)
    p_sur = (400 * MIDDLE + 500 * FEED_IN) // 900
    settled, u, t, m, *prices = chain.view("Market", "totals", W)
    assert (settled, u, t, m) == (True, 900, 400, 400)
    assert prices == [p_sur, MIDDLE, FEED_IN - PENALTY, RETAIL + PENALTY]
    assert pay_all(chain) == [900 * p_sur, -300 * MIDDLE, -100 * MIDDLE, 0]
    fund, free, locked, held = chain.view("Market", "fund")
    assert fund == 400 * MIDDLE + 500 * FEED_IN - 900 * p_sur
    assert (free, locked, held) == (1000 * EUR - 500 * FEED_IN, 0, 0)


def test_seller_that_delivers_less_pays_retail_and_penalty_for_the_shortfall():
    chain = sold(1_000, 20_000)
    for i, (exp, imp) in enumerate([(600, 0), (0, 1_000), (0, 0), (0, 0)]):
        chain.attest(i, W, exp, imp)
    close_all(chain, (0, 0, 0, 400), *[(0, 0, 0, 0)] * 3)
    market(chain, OPERATOR, "settle", W)
    seller, buyer, *_ = pay_all(chain)
    assert seller == 1_000 * 20_000 - 400 * (RETAIL + PENALTY)
    assert buyer == -1_000 * 20_000, "the buyer is whole"
    fund, free, _, _ = chain.view("Market", "fund")
    assert fund == 400 * PENALTY
    assert free == 1000 * EUR + 400 * RETAIL, "the shortfall came from outside"


def test_buyer_that_takes_less_gets_feed_in_less_penalty():
    chain = sold(1_000, 20_000)
    for i, (exp, imp) in enumerate([(1_000, 0), (0, 700), (0, 0), (0, 0)]):
        chain.attest(i, W, exp, imp)
    close_all(chain, (0, 0, 0, 0), (0, 300, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    market(chain, OPERATOR, "settle", W)
    assert pay_all(chain)[1] == -1_000 * 20_000 + 300 * (FEED_IN - PENALTY)
    assert chain.view("Market", "fund")[0] == 300 * PENALTY


def test_export_is_minted_consumed_and_the_rest_burnt():
    chain = enrolled()
    chain.deliver(W)
    for i, (exp, imp) in enumerate([(7, 0), (3, 0), (0, 5), (0, 1)]):
        chain.attest(i, W, exp, imp)
    assert chain.one("Market", "escrow", W) == 10
    assert chain.one("EnergyToken", "balanceOf", MARKET) == 10
    close_all(chain, (7, 0, 0, 0), (3, 0, 0, 0), (0, 0, 5, 0), (0, 0, 1, 0))
    market(chain, OPERATOR, "settle", W)
    energy = bytes.fromhex("0102").rjust(20, b"\0")
    burnt = [
        (log.topics[1][12:], int.from_bytes(log.data, "big"))
        for log in chain.receipts[-1].logs
        if log.address == energy and not any(log.topics[2])
    ]
    assert burnt == [(home(2).address, 5), (home(3).address, 1), (MARKET, 4)]
    assert chain.one("EnergyToken", "totalSupply") == 0


def test_stored_energy_is_locked_released_and_burnt_on_the_meters_word():
    chain = enrolled()
    chain.deliver(W)
    chain.attest(0, W, 0, 0, 5_000, 0, 250)
    assert chain.energy(home(0)) == 4_750
    chain.negotiate(W + 2)
    market(chain, home(0), "enrol", W + 2)
    refused("INSUFFICIENT_ENERGY", chain, home(0), "makeOffer", W + 2, 1, 4_751, KEY, b"")
    market(chain, home(0), "makeOffer", W + 2, OfferKind.STORED, 4_000, KEY, b"")
    assert chain.energy(home(0)) == 750
    chain.deliver(W + 2)
    chain.attest(0, W + 2, 1_900, 0, 0, 2_000, 100)
    assert chain.energy(home(0)) == 2_650
    assert chain.one("Market", "energyDebt", home(0).address) == 0


def test_stored_energy_that_was_given_away_becomes_a_debt_that_charging_repays():
    chain = enrolled()
    chain.deliver(W)
    chain.attest(0, W, 0, 0, 1_000)
    chain.send(home(0), "EnergyToken", "transfer", home(1).address, 900)
    for window, battery, balance, debt in ((7, (0, 400), 0, 300), (9, (500, 0), 200, 0)):
        chain.negotiate(window)
        market(chain, home(0), "enrol", window)
        chain.deliver(window)
        chain.attest(0, window, 0, 0, *battery)
        assert chain.energy(home(0)) == balance
        assert chain.one("Market", "energyDebt", home(0).address) == debt


def test_locks_come_back_at_settlement_when_the_meter_is_silent():
    chain = enrolled()
    chain.deliver(W)
    chain.attest(0, W, 0, 0, 5_000)
    chain.negotiate(W + 2)
    market(chain, home(0), "enrol", W + 2)
    market(chain, home(0), "makeOffer", W + 2, OfferKind.STORED, 4_000, KEY, b"")
    chain.advance(chain.start(W + 6) - 1)
    assert chain.energy(home(0)) == 1_000
    chain.advance(chain.start(W + 6))
    assert chain.energy(home(0)) == 5_000
    assert chain.one("EnergyToken", "balanceOf", MARKET) == 0


def test_a_silent_meter_is_caught_up_and_export_beyond_q_carries_over():
    chain = enrolled()
    for window in (W + 1, W + 2):
        chain.negotiate(window)
        market(chain, home(0), "enrol", window)
    chain.deliver(W + 1)  # Nothing was attested for W.
    chain.attest(0, W + 1, Q + 500, 40)
    assert chain.view("Market", "enrolment", W + 1, home(0).address)[4:6] == [Q, 40]
    chain.deliver(W + 2)
    chain.attest(0, W + 2, 100, 0)
    assert chain.view("Market", "enrolment", W + 2, home(0).address)[4:6] == [600, 0]


def test_unconfirmed_agreement_is_void_and_costs_the_buyer_the_fee():
    chain = enrolled()
    market(chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    chain.record(W)
    agreement = chain.allow(W, 1, home(0), home(1), 500, 20_000)
    assert chain.one("Market", "getOffers", W)[0][4] == 500
    chain.advance(chain.start(W))
    assert chain.view("Market", "agreement", agreement)[7] == AgreementStatus.VOID
    assert chain.one("Market", "getOffers", W)[0][4] == 0
    refused("WRONG_PHASE", chain, home(1), "confirm", agreement)
    chain.deliver(W)
    for i in range(4):
        chain.attest(i, W, 0, 0)
    close_all(chain, *[(0, 0, 0, 0)] * 4)
    market(chain, OPERATOR, "settle", W)
    assert pay_all(chain) == [0, -100_000, 0, 0]
    assert chain.view("Market", "fund")[0] == 100_000


def test_a_buyer_that_was_left_no_time_to_confirm_pays_no_fee():
    chain = enrolled()
    market(chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    chain.advance(chain.start(W) - RECORD_MS // 2)
    chain.allow(W, 1, home(0), home(1), 500, 20_000)
    chain.deliver(W)
    for i in range(4):
        chain.attest(i, W, 0, 0)
    close_all(chain, *[(0, 0, 0, 0)] * 4)
    market(chain, OPERATOR, "settle", W)
    assert pay_all(chain) == [0, 0, 0, 0]


def test_without_reserve_surplus_brings_nothing():
    chain = enrolled(reserve=0)
    assert not chain.view("Market", "terms", W)[5]
    chain.deliver(W)
    for i, (exp, imp) in enumerate([(900, 0), (0, 300), (0, 0), (0, 0)]):
        chain.attest(i, W, exp, imp)
    close_all(chain, (900, 0, 0, 0), (0, 0, 300, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    market(chain, OPERATOR, "settle", W)
    assert pay_all(chain) == [0, -300 * MIDDLE, 0, 0]


def test_deadlines_settle_and_pay_when_nobody_does():
    chain = sold(1_000, 20_000)
    before = [chain.money(home(i)) for i in range(4)]
    chain.advance(chain.start(W + 2))
    for i in (0, 2, 3):
        market(chain, home(i), "close", W, 0, 0, 0, 1_000 * (i == 0))
    chain.advance(chain.start(W + 4))
    assert chain.one("Market", "phase", W) == Phase.LATE
    seller = chain.money(home(0)) - before[0] - D
    assert seller == 1_000 * 20_000 - 1_000 * (RETAIL + PENALTY)
    assert chain.money(home(1)) == before[1]
    chain.advance(chain.start(W + 4 + 72))
    assert chain.one("Market", "phase", W) == Phase.DONE
    assert chain.money(home(1)) == before[1], "the deposit is forfeited"
    assert chain.view("Market", "fund")[0] == D - 1_000 * (20_000 - PENALTY)
    refused("WRONG_PHASE", chain, home(1), "close", W, 0, 1_000, 0, 0)


def test_deadlines_work_in_chunks_and_reach_everybody():
    """19 households and 18 agreements: three runs of each deadline (8 at a time)."""
    n = 19
    chain = enrolled(n, checked=False)  # Checking after each of 300 blocks takes long.
    for i in range(n - 1):
        market(chain, home(i), "makeOffer", W, 0, 10, KEY, b"")
    chain.record(W)
    for i in range(n - 1):
        chain.allow(W, i + 1, home(i), home(i + 1), 10, 20_000)
    chain.advance(chain.start(W))
    (agreements,) = chain.view("Market", "agreements", W)
    assert [row[7] for row in agreements] == [AgreementStatus.VOID] * (n - 1)
    chain.advance(chain.start(W + 2))
    for i in range(0, n, 2):
        market(chain, home(i), "close", W, 0, 0, 0, 0)
    chain.advance(chain.start(W + 4))
    fee = 100_000
    paid = [chain.money(home(i)) == 200 * EUR - fee * (i > 0) for i in range(n)]
    assert paid == [i % 2 == 0 for i in range(n)]
    chain.advance(chain.start(W + 4 + 72))
    assert chain.one("Market", "phase", W) == Phase.DONE
    assert chain.view("Market", "fund")[0] == (n // 2) * D + fee * (n // 2)
    chain.check()


def test_late_closing_pays_at_once_at_external_prices():
    chain = sold(1_000, 20_000)
    chain.attest(0, W, 1_000, 0)
    chain.attest(1, W, 0, 1_500)
    chain.attest(2, W, 700, 0)
    chain.advance(chain.start(W + 2))
    close_all(chain, None, (0, 0, 500, 0), None, (0, 0, 0, 0))
    chain.advance(chain.start(W + 4))
    before = [chain.money(home(i)) for i in range(4)]
    refused("CLOSING_UNBALANCED", chain, home(2), "close", W, 0, 0, 0, 700)
    market(chain, home(0), "close", W, 0, 0, 0, 0)
    market(chain, home(2), "close", W, 700, 0, 0, 0)
    assert chain.money(home(0)) - before[0] == D + 1_000 * 20_000
    assert chain.money(home(2)) - before[2] == D + 700 * FEED_IN
    refused("ALREADY_CLOSED", chain, home(2), "close", W, 700, 0, 0, 0)
    assert chain.one("Market", "phase", W) == Phase.DONE
    assert chain.view("Market", "fund") == [
        0,
        1000 * EUR + 500 * RETAIL - 700 * FEED_IN,
        0,
        0,
    ]


def test_the_fund_keeps_what_late_sellers_are_owed():
    chain = sold(1_000, 20_000)
    chain.attest(0, W, 1_000, 0)
    chain.attest(1, W, 0, 1_000)
    chain.advance(chain.start(W + 2))
    close_all(chain, None, (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    chain.advance(chain.start(W + 4))
    assert chain.view("Market", "fund")[0] == 20_000_000
    refused("INSUFFICIENT_FUND", chain, OPERATOR, "withdrawFund", 1)
    market(chain, home(0), "close", W, 0, 0, 0, 0)
    assert chain.view("Market", "fund")[0] == 0


def test_phases_are_kept():
    chain = Chain()
    chain.fund_all()
    refused("WRONG_PHASE", chain, home(0), "enrol", W)
    chain.negotiate(W)
    market(chain, home(0), "enrol", W)
    market(chain, home(1), "enrol", W)
    refused("ALREADY_ENROLLED", chain, home(0), "enrol", W)
    market(chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    args = (W, 1, home(1).address, 500, 9_000, 0)
    signature = chain.acceptance(home(1), W, 1, home(0), home(1), 500, 9_000)
    refused("WRONG_PHASE", chain, home(0), "allowTransaction", *args, signature)
    chain.record(W)
    refused("WRONG_PHASE", chain, home(2), "enrol", W)
    refused("WRONG_PHASE", chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    refused("WRONG_PHASE", chain, home(0), "makeCall", W, 500, KEY)
    refused("WRONG_PHASE", chain, OPERATOR, "setCap", W, 5)
    agreement = chain.allow(W, 1, home(0), home(1), 500, 9_000)
    chain.advance(chain.start(W))
    refused("WRONG_PHASE", chain, home(1), "confirm", agreement)
    attest = (W, home(0).address, 0, 0, 0, 0, 0, 1, KEY)
    refused("WRONG_PHASE", chain, meter(0), "attest", *attest)
    refused("WRONG_PHASE", chain, home(0), "close", W, 0, 0, 0, 0)
    chain.deliver(W)
    refused("WRONG_PHASE", chain, home(0), "close", W, 0, 0, 0, 0)
    chain.attest(0, W, 0, 0)
    market(chain, home(0), "close", W, 0, 0, 0, 0)
    refused("WRONG_PHASE", chain, OPERATOR, "settle", W)
    chain.advance(chain.start(W + 2))
    refused("WRONG_PHASE", chain, meter(1), "attest", W, home(1).address, *attest[2:])
    chain.advance(chain.start(W + 3))
    refused("WRONG_PHASE", chain, home(1), "close", W, 0, 0, 0, 0)
    refused("NOT_OPERATOR", chain, home(1), "settle", W)
    refused("NOT_SETTLED", chain, home(1), "makeTransaction", W, home(0).address)
    market(chain, OPERATOR, "settle", W)
    refused("ALREADY_SETTLED", chain, OPERATOR, "settle", W)
    refused("NOT_CLOSED", chain, home(1), "makeTransaction", W, home(1).address)
    market(chain, home(3), "makeTransaction", W, home(0).address)
    refused("ALREADY_PAID", chain, home(1), "makeTransaction", W, home(0).address)


def test_views_follow_the_phases():
    chain = Chain()
    chain.fund_all()
    seen = [chain.one("Market", "phase", W)]
    chain.negotiate(W)
    market(chain, home(0), "enrol", W)
    seen.append(chain.one("Market", "phase", W))
    times = (chain.start(W) - RECORD_MS, *(chain.start(W + i) for i in range(4)))
    for time_ms in times:
        chain.advance(time_ms)
        seen.append(chain.one("Market", "phase", W))
    chain.advance(chain.start(W + 4))
    seen.append(chain.one("Market", "phase", W))
    chain.advance(chain.start(W + 4 + 72))
    seen.append(chain.one("Market", "phase", W))
    assert seen == list(Phase)


def test_agreements_are_checked():
    chain = enrolled(5, market={"agreements_max": 2})
    market(chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    chain.record(W)

    def refuse(code, seller, signer, offer=1, buyer=None, quantity=100, price=9_000, nonce=0):
        buyer = buyer or home(1)
        signature = chain.acceptance(signer, W, offer, seller, buyer, quantity, price, nonce)
        args = (W, offer, buyer.address, quantity, price, nonce, signature)
        refused(code, chain, seller, "allowTransaction", *args)

    refuse("UNKNOWN_OFFER", home(0), home(1), offer=2)
    refuse("NOT_SELLER", home(2), home(1))
    refuse("SAME_HOUSEHOLD", home(0), home(0), buyer=home(0))
    refuse("PRICE_OUT_OF_BAND", home(0), home(1), price=FEED_IN - 1)
    refuse("PRICE_OUT_OF_BAND", home(0), home(1), price=RETAIL + 1)
    refuse("BAD_ARGUMENT", home(0), home(1), quantity=0)
    refuse("OFFER_EXHAUSTED", home(0), home(1), quantity=501)
    refuse("BAD_SIGNATURE", home(0), home(2))
    refuse("NOT_ENROLLED", home(0), home(1), buyer=meter(1))
    agreement = chain.allow(W, 1, home(0), home(1), 100, 9_000)
    refuse("ALREADY_RECORDED", home(0), home(1))
    chain.allow(W, 1, home(0), home(1), 100, 9_000, nonce=1)
    refuse("TOO_MANY", home(0), home(2), buyer=home(2))
    refused("NOT_BUYER", chain, home(2), "confirm", agreement)
    market(chain, home(1), "confirm", agreement)
    refused("ALREADY_CONFIRMED", chain, home(1), "confirm", agreement)
    refused("UNKNOWN_AGREEMENT", chain, home(1), "confirm", KEY)


def test_caps_and_counts_bound_offers_and_calls():
    chain = Chain(4, market={"offers_max": 2})
    chain.fund_all()
    refused("NOT_OPERATOR", chain, home(0), "setCap", W, 1_000)
    refused("BAD_ARGUMENT", chain, OPERATOR, "setCap", W, Q + 1)
    market(chain, OPERATOR, "setCap", W, 1_000)
    chain.negotiate(W)
    refused("NOT_ENROLLED", chain, home(0), "makeOffer", W, 0, 1, KEY, b"")
    market(chain, home(0), "enrol", W)
    refused("BAD_ARGUMENT", chain, home(0), "makeOffer", W, 0, 0, KEY, b"")
    refused("BAD_ARGUMENT", chain, home(0), "makeOffer", W, 2, 1, KEY, b"")
    refused("BAD_ARGUMENT", chain, home(0), "makeOffer", W, 0, 1, KEY, b"x" * 257)
    market(chain, home(0), "makeOffer", W, 0, 600, KEY, b"green")
    refused("CAP_EXCEEDED", chain, home(0), "makeOffer", W, 0, 401, KEY, b"")
    market(chain, home(0), "makeOffer", W, 0, 400, KEY, b"")
    refused("TOO_MANY", chain, home(0), "makeOffer", W, 0, 1, KEY, b"")
    refused("CAP_EXCEEDED", chain, home(0), "makeCall", W, 1_001, KEY)
    assert market(chain, home(0), "makeCall", W, 400, KEY) == [1]
    assert market(chain, home(0), "makeCall", W, 600, KEY) == [2]
    refused("TOO_MANY", chain, home(0), "makeCall", W, 1, KEY)
    (rows,) = chain.view("Market", "getOffers", W)
    assert rows[0] == (1, home(0).address, 0, 600, 0, KEY, b"green")


def test_calls_are_filled_in_order():
    chain = enrolled()
    market(chain, home(1), "makeCall", W, 300, KEY)
    market(chain, home(1), "makeCall", W, 300, KEY)
    market(chain, home(0), "makeOffer", W, 0, 500, KEY, b"")
    chain.record(W)
    chain.allow(W, 1, home(0), home(1), 400, 9_000)
    (rows,) = chain.view("Market", "getCalls", W)
    assert [row[3] for row in rows] == [300, 100]


def test_agents_act_for_their_household_and_money_stays_with_it():
    chain = Chain()
    chain.fund_all()
    seller = chain.agent(home(0), "seller")
    buyer = chain.agent(home(1), "buyer")
    other = chain.agent(home(1), "other")
    chain.negotiate(W)
    before = chain.money(home(0))
    market(chain, seller, "enrol", W)
    assert before - chain.money(home(0)) == D
    refused("ALREADY_ENROLLED", chain, home(0), "enrol", W)
    market(chain, buyer, "enrol", W)
    assert chain.one("Market", "enrolmentOf", W, home(0).address) == seller.address
    market(chain, home(0), "makeOffer", W, 0, 100, KEY, b"")
    chain.record(W)
    signature = chain.acceptance(other, W, 1, seller, buyer, 100, 9_000)
    args = (W, 1, buyer.address, 100, 9_000, 0, signature)
    (agreement,) = market(chain, seller, "allowTransaction", *args)
    market(chain, other, "confirm", agreement)
    chain.deliver(W)
    chain.attest(0, W, 100, 0, w=seller)
    market(chain, home(0), "close", W, 0, 0, 0, 0)


def test_who_cannot_pay_the_deposit_or_is_no_household_cannot_enrol():
    chain = Chain()
    chain.negotiate(W)
    refused("INSUFFICIENT_FUNDS", chain, home(0), "enrol", W)
    refused("NOT_HOUSEHOLD", chain, OPERATOR, "enrol", W)


def test_meters_are_checked():
    chain = enrolled(valid_until=W)
    chain.negotiate(W + 1)
    market(chain, home(0), "enrol", W + 1)
    chain.deliver(W)

    def refuse(code, key, *args, window=W):
        refused(code, chain, key, "attest", window, *args)

    zeros = (0, 0, 0)
    refuse("NOT_METER", home(0), home(0).address, 0, 0, *zeros, 1, KEY)
    refuse("NOT_METER", meter(1), home(0).address, 0, 0, *zeros, 1, KEY)
    refuse("BAD_ARGUMENT", meter(0), home(0).address, 0, 0, *zeros, 1, bytes(32))
    refuse("PAGINATION_REPEATED", meter(0), home(0).address, 0, 0, *zeros, 0, KEY)
    refuse("BAD_ARGUMENT", meter(0), home(0).address, 2**63, 0, *zeros, 1, KEY)
    chain.attest(0, W, 10, 20)
    refuse("ALREADY_ATTESTED", meter(0), home(0).address, 10, 20, *zeros, 2, KEY)
    chain.deliver(W + 1)
    args = (home(0).address, 10, 20, *zeros, 2, KEY)
    refuse("CERTIFICATE_EXPIRED", meter(0), *args, window=W + 1)
    chain.send(OPERATOR, "Meters", "audit", meter(0).address, W + 1)
    refuse("REGISTER_DECREASED", meter(0), home(0).address, 9, *args[2:], window=W + 1)
    refuse("PAGINATION_REPEATED", meter(0), *args[:-2], 1, KEY, window=W + 1)
    chain.attest(0, W + 1, 0, 0)


@pytest.mark.parametrize(
    "deviation",
    [(5, 0, 0, 0), (7, 4, 0, 0), (11, 0, 1, 0), (10, 0, 0, 0), (0, 0, 0, 10), (11, 0, 0, 1)],
)
def test_closing_must_balance(deviation):
    """exp 9, imp 2, bought 3: the net is 10, of which at most 9 is surplus."""
    chain = enrolled()
    market(chain, home(0), "makeOffer", W, 0, 3, KEY, b"")
    chain.record(W)
    market(chain, home(1), "confirm", chain.allow(W, 1, home(0), home(1), 3, 9_000))
    chain.deliver(W)
    chain.attest(1, W, 9, 2)
    refused("CLOSING_UNBALANCED", chain, home(1), "close", W, *deviation)
    market(chain, home(1), "close", W, 9, 1, 0, 0)


def test_reserve_is_locked_by_the_first_enrolment_and_only_what_is_free_leaves():
    chain = Chain()
    chain.fund_all(reserve=4 * Q * FEED_IN)
    refused("NOT_EXTERNAL_MARKET", chain, home(0), "depositReserve", 1)
    refused("NOT_EXTERNAL_MARKET", chain, home(0), "withdrawReserve", 1)
    refused("INSUFFICIENT_RESERVE", chain, EXTERNAL, "withdrawReserve", 4 * Q * FEED_IN + 1)
    chain.negotiate(W)
    market(chain, home(0), "enrol", W)
    assert chain.view("Market", "fund") == [0, 0, 4 * Q * FEED_IN, D]
    refused("INSUFFICIENT_RESERVE", chain, EXTERNAL, "withdrawReserve", 1)
    chain.negotiate(W + 1)
    market(chain, home(0), "enrol", W + 1)
    assert not chain.view("Market", "terms", W + 1)[5]
    chain.advance(chain.start(W + 4 + 72) + WINDOW_MS)
    assert chain.view("Market", "fund") == [2 * D, 4 * Q * FEED_IN, 0, 0]
    market(chain, EXTERNAL, "withdrawReserve", 4 * Q * FEED_IN)
    market(chain, OPERATOR, "withdrawFund", 2 * D)
    assert chain.one("MoneyToken", "balanceOf", MARKET) == 0
