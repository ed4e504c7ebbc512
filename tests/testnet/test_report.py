"""The report of a tiny day, and every condition broken on purpose."""

import math
from dataclasses import replace

import pytest

from crypto import abi as crypto_abi
from crypto import abi_event
from market import abi
from market.agents.devices.readings import QuarterReading
from testnet.conservation import NodeView
from testnet.ledger import Ledger
from testnet.report import DayRun, MeterDay, is_passed, make_report
from testnet.report_html import render
from tests.testnet.events import energy, log, money
from tests.testnet.test_home_files import MANIFEST
from tests.testnet.test_ledger import (
    ACCOUNTS,
    BUYER,
    DEPOSIT,
    SELLER,
    TARIFF,
    W_BUYER,
    W_SELLER,
    WINDOW,
    agreed,
    closed,
    enrolled,
)

ZERO, MARKET = abi.ZERO_ADDRESS, abi.MARKET
SOLD, PRICE, EXPORTED, IMPORTED, CHARGED = 100, 18_000, 90, 130, 40
FUNDS = 10**8
SETTLED = log(abi.Settled(WINDOW, 0, 40, 0, 8_000, 30_000, 6_000, 32_000))
NET = {W_SELLER: SOLD * PRICE - 10 * 32_000, W_BUYER: -SOLD * PRICE - 30 * 30_000}
EXTERNAL = 40 * 30_000
"""Ten that the seller owes and thirty that the buyer takes come from outside."""


def logs_of_day():
    """One window: 100 Wh sold, 90 delivered, 130 used, 40 stored."""
    lines = []
    for owner in ACCOUNTS.values():
        lines += [
            log(abi.DepositMinted(owner + bytes(12), owner, FUNDS)),
            money(ZERO, owner, FUNDS),
        ]
    lines += enrolled()
    lines += [money(owner, MARKET, DEPOSIT) for owner in ACCOUNTS.values()]
    lines += [
        log(abi.OfferMade(WINDOW, W_SELLER, 1, 0, SOLD)),
        log(abi.CallMade(WINDOW, W_BUYER, 1, SOLD + 20)),
        *agreed(SOLD, PRICE),
        energy(ZERO, SELLER, CHARGED),
        energy(ZERO, SELLER, EXPORTED),
        energy(SELLER, MARKET, EXPORTED),
        log(abi.Attested(WINDOW, W_SELLER, EXPORTED, 0, CHARGED, 0, 0)),
        log(abi.Attested(WINDOW, W_BUYER, 0, IMPORTED, 0, 0, 0)),
        closed(W_SELLER, sho=SOLD - EXPORTED),
        closed(W_BUYER, ext=IMPORTED - SOLD),
        energy(MARKET, BUYER, EXPORTED),
        energy(BUYER, ZERO, EXPORTED),
        SETTLED,
        log(abi.ExternalSettled(WINDOW, 0, EXTERNAL)),
        log(abi.FundChanged(WINDOW, -sum(NET.values()) - EXTERNAL)),
    ]
    for account, owner in ACCOUNTS.items():
        payout = DEPOSIT + NET[account]
        lines.append(money(MARKET, owner, payout))
        lines.append(log(abi.Paid(WINDOW, account, owner, payout, NET[account])))
    return lines


def view_of(lines, name="h39"):
    ledger = Ledger(lines)
    return NodeView(
        name=name,
        height=40,
        block_hash="0xaa",
        state_root="0xbb",
        logs=tuple(lines),
        money=dict(ledger.money.balances),
        energy=dict(ledger.energy.balances),
        money_supply=ledger.money.minted - ledger.money.burnt,
        energy_supply=ledger.energy.minted - ledger.energy.burnt,
    )


HOUSEHOLD = MANIFEST.households[0]
RUN = DayRun(
    manifest=replace(
        MANIFEST,
        households=(
            replace(HOUSEHOLD, account=SELLER),
            replace(HOUSEHOLD, name="h86", kind="consumer", account=BUYER),
        ),
    ),
    tariff=TARIFF,
    windows=range(WINDOW, WINDOW + 1),
    nodes=(view_of(logs_of_day()), view_of(logs_of_day(), "h86")),
    meters={
        "h39": MeterDay(import_wh=(0,), export_wh=(EXPORTED,), stored_wh=CHARGED),
        "h86": MeterDay(import_wh=(IMPORTED,), export_wh=(0,), stored_wh=0),
    },
    wall_s=12.34,
)


def broken(report):
    return {name for name, condition in report["conditions"].items() if not condition["ok"]}


def with_logs(lines):
    return replace(RUN, nodes=(view_of(lines), view_of(lines, "h86")))


def without(kind):
    """The day's logs less those of one event."""
    topics = {line[1][0] for line in logs_of_day()}
    wanted = crypto_abi.event_topic(abi_event.parse_event(kind.SIGNATURE).signature)
    assert wanted in topics
    return [line for line in logs_of_day() if line[1][0] != wanted]


def test_the_report_of_the_tiny_day():
    """Bills by hand: without, 130 at retail and 90 fed in; with, as agreed and as deviated."""
    report = make_report(RUN)
    assert report["energy_traded_wh"] == report["energy_tradeable_wh"] == SOLD
    assert report["unsold_while_demanded_wh"] == 0
    seller, buyer = report["per_household"]
    assert seller["bill_without_units"] == -EXPORTED * 8_000
    assert buyer["bill_without_units"] == IMPORTED * 30_000
    assert seller["bill_units"] == -NET[W_SELLER]
    assert buyer["bill_units"] == -NET[W_BUYER]
    assert (seller["sold_wh"], buyer["bought_wh"], seller["shortfall_wh"]) == (SOLD, SOLD, 10)
    assert report["external_eur"] == EXTERNAL / 1e8
    assert report["conserved"], report["nodes"][0]["conservation"]


def test_each_bill_is_compared_with_the_change_of_money():
    report = make_report(RUN)
    for row in report["per_household"]:
        assert row["money_change_units"] == -row["bill_units"]
    assert broken(report) == {"agreements"}, "one agreement is no market; all else is in order"


def test_a_bill_that_is_not_what_was_paid_is_found():
    """The market pays one unit too much, out of its fund: conserved, and wrong."""
    lines = [*logs_of_day(), money(MARKET, SELLER, 1)]
    report = make_report(with_logs(lines))
    assert report["conserved"]
    assert report["conditions"]["bills_equal_change_of_money"]["unequal"] == ["h39"]


def test_unequal_heads_are_found():
    other = replace(RUN.nodes[1], state_root="0xcc")
    report = make_report(replace(RUN, nodes=(RUN.nodes[0], other)))
    assert not report["heads_equal"]
    assert "heads_equal" in broken(report)


@pytest.mark.parametrize(
    "change",
    [
        lambda node: replace(node, money={**node.money, SELLER: node.money[SELLER] + 1}),
        lambda node: replace(node, energy={**node.energy, BUYER: 1}),
        lambda node: replace(node, money_supply=node.money_supply + 1),
        lambda node: replace(node, energy_supply=node.energy_supply - 1),
        lambda node: replace(node, logs=(*node.logs, money(ZERO, SELLER, 1))),
        lambda node: replace(node, logs=node.logs[1:]),
    ],
    ids=["money", "energy", "money supply", "energy supply", "a mint", "a lost deposit"],
)
def test_one_node_that_answers_otherwise_breaks_conservation(change):
    report = make_report(replace(RUN, nodes=(RUN.nodes[0], change(RUN.nodes[1]))))
    assert not report["conserved"]


def test_tokens_without_a_reading_break_conservation():
    """A mint that no meter attested, with balances and supply that agree with it."""
    assert not make_report(with_logs([*logs_of_day(), energy(ZERO, SELLER, 1)]))["conserved"]
    assert not make_report(with_logs([*logs_of_day(), energy(SELLER, ZERO, 1)]))["conserved"]


def test_a_battery_that_holds_something_else_breaks_conservation():
    meters = {**RUN.meters, "h39": replace(RUN.meters["h39"], stored_wh=CHARGED + 1)}
    assert not make_report(replace(RUN, meters=meters))["conserved"]


def test_what_could_have_been_sold_is_a_broken_condition():
    report = make_report(with_logs(without(abi.TransactionConfirmed)))
    assert {"sold_out", "traded", "agreements"} <= broken(report)


def test_a_window_that_is_not_paid_is_a_broken_condition():
    assert "windows_delivered_and_paid" in broken(make_report(with_logs(without(abi.Paid))))
    assert "windows_delivered_and_paid" not in broken(make_report(RUN))


def test_money_that_nobody_got_is_a_broken_condition():
    assert "money_adds_up" not in broken(make_report(RUN))
    assert "money_adds_up" in broken(make_report(with_logs(without(abi.FundChanged))))


def test_a_report_with_a_broken_condition_has_not_passed():
    report = make_report(RUN)
    assert not is_passed(report)
    for condition in report["conditions"].values():
        condition["ok"] = True
    assert is_passed(report)


def test_a_mean_price_that_rounding_puts_below_the_least_is_drawn():
    """Found by the demo: three agreements at one price, and a mean an ulp lower."""
    report = make_report(RUN)
    row = report["per_window"][0]
    row["price_eur_per_kwh"] = math.nextafter(row["price_min_eur_per_kwh"], 0)
    assert render(report, []).count("<svg") == 4


def test_the_page_shows_every_household_and_escapes_what_it_shows():
    report = make_report(RUN)
    report["per_household"][0]["kind"] = "<script>"
    reading = QuarterReading(
        quarter=0,
        load_wh=5,
        pv_wh=0,
        charged_wh=0,
        discharged_wh=0,
        loss_wh=0,
        soc_wh=0,
        export_wh=0,
        import_wh=5,
    )
    page = render(report, [[reading] * 4, [reading] * 4])
    assert page.count("<svg") == 4
    assert "h86" in page
    assert "<script>" not in page
    assert "http" not in page.replace("http://www.w3.org", ""), "it needs nothing from elsewhere"
