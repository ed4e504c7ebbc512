"""Bills from events: the market's formulas, applied by somebody who does not trust the contract."""

from hypothesis import given
from hypothesis import strategies as st

from market import abi
from testnet.ledger import Ledger, Tariff
from testnet.why import WindowGain, explain, gains
from tests.testnet.events import energy, log, money

TARIFF = Tariff(retail=30_000, feed_in=8_000, penalty=2_000, confirm_fee=100_000)
SELLER, BUYER = b"\xa1" * 20, b"\xb2" * 20
ACCOUNTS = {b"\1" * 20: SELLER, b"\2" * 20: BUYER}
W_SELLER, W_BUYER = ACCOUNTS
WINDOW = 5
DEPOSIT = 10**7
ID = b"\7" * 32


def enrolled():
    return [
        log(abi.Enrolled(WINDOW, account, owner, DEPOSIT)) for account, owner in ACCOUNTS.items()
    ]


def agreed(quantity, price, *, is_confirmed=True):
    events = [abi.TransactionAllowed(WINDOW, W_SELLER, W_BUYER, ID, 1, quantity, price)]
    if is_confirmed:
        events.append(abi.TransactionConfirmed(WINDOW, ID))
    return [log(event) for event in events]


def closed(account, *, sur=0, unu=0, ext=0, sho=0):
    return log(abi.Closed(WINDOW, account, sur, unu, ext, sho))


def settled():
    return log(abi.Settled(WINDOW, 0, 0, 0, 0, 0, 0, 0))


def book_of(*logs):
    return Ledger([*enrolled(), *logs]).windows[WINDOW]


def test_exact_delivery_is_paid_as_agreed():
    """Quantity times price, nothing else."""
    book = book_of(*agreed(100, 18_000), closed(W_SELLER), closed(W_BUYER))
    assert book.net(W_SELLER, TARIFF).total == 1_800_000
    assert book.net(W_BUYER, TARIFF).total == -1_800_000


def test_deviations_meet_inside_at_the_middle_and_the_rest_goes_outside():
    """U = 10, T = 30: the ten trade at 19,000, the twenty cost 30,000 outside."""
    book = book_of(closed(W_SELLER, sur=10), closed(W_BUYER, ext=30))
    prices = book.prices(TARIFF)
    assert prices.p_sur == 19_000
    assert prices.p_ext == -(-(10 * 19_000 + 20 * 30_000) // 30)
    assert (prices.p_unu, prices.p_sho) == (6_000, 32_000)


def test_without_a_reserve_surplus_brings_nothing():
    book = book_of(log(abi.ReserveMissing(WINDOW, 1)), closed(W_SELLER, sur=10))
    assert book.net(W_SELLER, TARIFF).total == 0


def test_who_closes_late_pays_the_outsides_prices():
    """After the settlement nobody is left to meet."""
    book = book_of(closed(W_SELLER, sur=10), settled(), closed(W_BUYER, ext=10))
    assert book.net(W_BUYER, TARIFF).total == -10 * 30_000
    assert book.net(W_SELLER, TARIFF).total == 10 * 8_000, "nor had who closed in time"


def test_an_unconfirmed_agreement_costs_its_buyer_the_fee_and_nobody_else():
    book = book_of(*agreed(100, 18_000, is_confirmed=False), closed(W_SELLER), closed(W_BUYER))
    assert book.net(W_BUYER, TARIFF).total == -100_000
    assert book.net(W_SELLER, TARIFF).total == 0
    assert (book.traded_wh, book.confirmed()) == (0, [])


def test_what_both_sides_had_and_did_not_trade_is_found():
    """Offered 100, demanded 80, sold 50: thirty could have been."""
    book = book_of(
        log(abi.OfferMade(WINDOW, W_SELLER, 1, 0, 100)),
        log(abi.CallMade(WINDOW, W_BUYER, 1, 80)),
        *agreed(50, 18_000),
    )
    assert (book.tradeable_wh, book.traded_wh, book.unsold_while_demanded_wh) == (80, 50, 30)


def test_deposits_count_as_the_households_money_until_they_are_paid_back():
    ledger = Ledger([*enrolled(), log(abi.Paid(WINDOW, W_BUYER, BUYER, DEPOSIT, 0))])
    assert ledger.locked(SELLER) == DEPOSIT
    assert ledger.locked(BUYER) == 0
    assert ledger.locked(b"\xcc" * 20) == 0


def test_tokens_are_kept_apart_and_foreign_events_are_skipped():
    zero = abi.ZERO_ADDRESS
    stranger = (b"\xee" * 20, (b"\1" * 32,), b"")
    ledger = Ledger([money(zero, SELLER, 5), energy(zero, SELLER, 3), stranger, (b"", (), b"")])
    ledger.add(money(SELLER, BUYER, 2))
    ledger.add(energy(SELLER, zero, 1))
    assert dict(ledger.money.balances) == {SELLER: 3, BUYER: 2}
    assert (ledger.energy.minted, ledger.energy.burnt, ledger.energy.balances[SELLER]) == (3, 1, 2)


quantities = st.integers(0, 5_000)


@given(
    sold=quantities,
    exported=quantities,
    imported=quantities,
    price=st.integers(8_000, 30_000),
    has_reserve=st.booleans(),
    is_late=st.booleans(),
)
def test_the_parts_of_a_saving_add_up_to_it_exactly(
    sold, exported, imported, price, has_reserve, is_late
):
    """Bill without less bill with, to the unit, whatever deviates and whoever closes late."""
    logs = agreed(sold, price) if sold else []
    if not has_reserve:
        logs.append(log(abi.ReserveMissing(WINDOW, 1)))
    seller = {"sur": max(0, exported - sold), "sho": max(0, sold - exported)}
    buyer = {"ext": max(0, imported - sold), "unu": max(0, sold - imported)}
    logs.append(closed(W_SELLER, **seller))
    logs += [settled(), closed(W_BUYER, **buyer)] if is_late else [closed(W_BUYER, **buyer)]
    book = book_of(*logs)
    for account, owner, without in (
        (W_SELLER, SELLER, -exported * TARIFF.feed_in),
        (W_BUYER, BUYER, imported * TARIFF.retail),
    ):
        gain = gains(book, owner, TARIFF)
        assert gain is not None
        assert gain.total == without + book.net(account, TARIFF).total


def test_a_household_that_loses_is_told_why():
    book = book_of(*agreed(100, 29_000), closed(W_SELLER), closed(W_BUYER, unu=60))
    gain = gains(book, BUYER, TARIFF)
    assert gain is not None
    assert gain.total < 0
    words = explain(gain, gain.total)
    assert words.startswith("It bought 60 Wh that it did not use (0.0144 EUR)")
    assert "0.0134 EUR are lost" in words


def test_gains_of_windows_add_up():
    one = WindowGain(trades=5, shortfall=2, sold_wh=7)
    assert (one + one).total == 6
    assert (one + one).sold_wh == 14
    assert gains(book_of(), b"\xcc" * 20, TARIFF) is None
