"""`hearth market` over a window that is really traded, delivered, closed and settled."""

import json

import pytest

from cli.market_book import WindowWatch, cents_a_kwh, trading_phase, window_report
from market.abi import CallMade, OfferMade, Phase
from market.agents.terms import MarketTerms
from tests.cli.street import EUR, RECORD_MS, WINDOW_MS, run, run_json

WINDOW = 3
KEY = b"\5" * 32


@pytest.fixture(scope="module")
def traded(street):
    """Window 3: home 0 sells 500 Wh of its 800 to home 1, and delivers 700; all the rest too."""
    s = street
    s.advance(s.start(WINDOW - 1) + 100)
    s.enrol(WINDOW)
    (offer,) = s.send(s.household(0), "Market", "makeOffer", WINDOW, 0, 800, KEY, b"")
    s.send(s.household(1), "Market", "makeCall", WINDOW, 600, KEY)
    s.advance(s.start(WINDOW) - RECORD_MS + 10)
    agreement = s.allow(WINDOW, offer, 0, 1, 500, 15_000)
    s.send(s.household(1), "Market", "confirm", agreement)
    s.allow(WINDOW, offer, 0, 2, 100, 20_000)  # Never confirmed.
    s.advance(s.start(WINDOW + 1) + 10)
    s.attest(WINDOW, 0, 700, 0)
    s.attest(WINDOW, 1, 0, 550)
    s.attest(WINDOW, 2, 0, 40)
    s.attest(WINDOW, 3, 0, 0)
    s.send(s.household(0), "Market", "close", WINDOW, 200, 0, 0, 0)
    s.send(s.household(1), "Market", "close", WINDOW, 0, 0, 50, 0)
    s.send(s.household(2), "Market", "close", WINDOW, 0, 0, 40, 0)
    s.send(s.household(3), "Market", "close", WINDOW, 0, 0, 0, 0)
    s.advance(s.start(WINDOW + 6))
    return s


def row(report, name):
    return next(each for each in report["households"] if each["name"] == name)


def test_a_window_afterwards(traded, here):
    report = run_json("market", "window", WINDOW)
    seller, buyer = here.names[0], here.names[1]
    assert (report["enrolled"], report["agreements"], report["unconfirmed"]) == (4, 1, 1)
    assert (report["offered_wh"], report["demanded_wh"], report["tradeable_wh"]) == (800, 600, 600)
    assert (report["traded_wh"], report["unsold_while_demanded_wh"]) == (500, 100)
    assert report["price_min"] == report["price_mean"] == report["price_max"] == 15_000
    assert report["settled"]["surplus_wh"] == 200
    assert report["settled"]["deficit_wh"] == 90
    assert report["settled"]["matched_wh"] == 90
    assert row(report, seller)["sold_wh"] == row(report, buyer)["bought_wh"] == 500
    assert row(report, seller)["exported_wh"] == 700
    # (90 · 19,000 + 110 · 8,000) / 200, rounded down, for each Wh of surplus.
    assert row(report, seller)["net_units"] == 500 * 15_000 + 200 * 12_950
    assert row(report, buyer)["net_units"] == -500 * 15_000 - 50 * 19_000
    assert report["terms"]["retail"] == 30_000
    assert report["phase"] in ("settle", "late", "done")


def test_the_same_in_a_table(traded, here):
    text = run("market", "window", WINDOW).stdout
    assert "500 of 600 Wh" in text
    assert "15.00 to 15.00, mean 15.00 ct/kWh" in text
    assert "200 / 90 Wh" in text
    assert "12.95 / 19.00 ct/kWh" in text
    assert here.names[0] in text


def test_a_window_in_which_nothing_happened(here):
    report = run_json("market", "window", 500)
    assert report["households"] == []
    assert report["price_mean"] is None
    assert report["settled"] is None
    assert report["phase"] == "future"
    assert "(none)" in run("market", "window", 500).stdout


def test_offers_and_calls(traded, here):
    report = run_json("market", "offers", WINDOW)
    assert report["offers"] == [
        {
            "id": report["offers"][0]["id"],
            "seller": here.names[0],
            "kind": "forecast",
            "quantity_wh": 800,
            "sold_wh": 500,
        }
    ]
    assert [(c["buyer"], c["quantity_wh"], c["bought_wh"]) for c in report["calls"]] == [
        (here.names[1], 600, 500)
    ]
    assert here.names[1] in run("market", "offers", WINDOW).stdout
    assert run_json("market", "offers")["window"] > WINDOW


def test_fund_and_parameters(traded, here):
    fund = run_json("market", "fund")
    assert fund["reserveFree_units"] + fund["reserveLocked_units"] == 500 * EUR - 110 * 8_000
    assert "reserveFree" in run("market", "fund").stdout
    parameters = run_json("market", "parameters")
    assert (parameters["feedIn"], parameters["recordMs"]) == (8_000, RECORD_MS)
    text = run("market", "parameters").stdout
    assert "30.00 ct/kWh" in text
    assert "15.0724 EUR" in text


# Live --------------------------------------------------------------------------------------------


def script_of_a_window(s, window):
    """The calls that happen while the window is watched; each seals a block."""
    deal = {}

    def at(time_ms, what):
        def step():
            s.advance(time_ms)
            what()

        return step

    def offer():
        (deal["offer"],) = s.send(s.household(3), "Market", "makeOffer", window, 0, 90, KEY, b"")

    def allow():
        deal["id"] = s.allow(window, deal["offer"], 3, 2, 60, 11_234)

    record = s.start(window) - RECORD_MS
    return [
        at(s.start(window - 1) + 900, offer),
        at(record - 500, lambda: s.send(s.household(2), "Market", "makeCall", window, 70, KEY)),
        at(record + 100, allow),
        at(record + 200, lambda: s.send(s.household(2), "Market", "confirm", deal["id"])),
        # The first block of the next hour.
        at(s.start(window) + 1_000, lambda: s.send(s.household(0), "Market", "enrol", window + 1)),
    ]


def watched_window(s):
    """Bring the clock to the begin of an hour in which a new window is traded, and enrol."""
    window = (s.now - s.start(0)) // WINDOW_MS + 2
    s.advance(s.start(window - 1) + 300)
    s.enrol(window)
    s.advance(s.start(window - 1) + 400)
    s.script = script_of_a_window(s, window)
    return window


def test_watching_a_window(traded, here):
    window = watched_window(here)
    text = run("market", "watch").stdout
    names = here.names
    lines = [line.split("  ", 1)[1] for line in text.splitlines() if line[2:3] == ":"]
    expected = [
        f"window {window}: negotiation, 5.6 s left",
        f"offer   {names[3]}: 90 Wh forecast",
        f"call    {names[2]}: 70 Wh",
        f"window {window}: agreements are recorded, 2.4 s left",
        f"allowed {names[3]} -> {names[2]}: 60 Wh at 11.23 ct/kWh",
        f"firm    {names[3]} -> {names[2]}: 60 Wh at 11.23 ct/kWh; 60 Wh in all",
        f"window {window}: trading is over, delivery begins",
    ]
    assert [line for line in lines if line in expected] == expected
    assert "60 of 70 Wh" in text


def test_watching_as_json_keeps_progress_off_stdout(traded, here):
    window = watched_window(here)
    result = run("market", "watch", "--json")
    (report,) = json.loads(result.stdout)["windows"]
    assert (report["window"], report["agreements"], report["traded_wh"]) == (window, 1, 60)
    assert "offer   " in result.stderr


def test_who_comes_late_still_has_the_whole_window(traded, here):
    """What happened before the watch began is read from the logs."""
    window = watched_window(here)
    for step in here.script[:3]:
        step()
    here.script = here.script[3:]
    (report,) = run_json("market", "watch")["windows"]
    assert (report["window"], report["offered_wh"], report["traded_wh"]) == (window, 90, 60)


def test_two_windows_one_after_the_other(traded, here):
    window = watched_window(here)
    here.script += script_of_a_window(here, window + 1)[:-1]
    here.script.insert(
        5,
        lambda: (
            [here.submit(here.household(i), "Market", "enrol", window + 1) for i in (1, 2, 3)]
            and here.seal()
        ),
    )
    end = here.start(window + 1) + 1_000
    here.script.append(
        lambda: (here.advance(end), here.send(here.household(0), "Market", "enrol", window + 2))
    )
    reports = run_json("market", "watch", "--windows", "2")["windows"]
    assert [(r["window"], r["enrolled"], r["traded_wh"]) for r in reports] == [
        (window, 4, 60),
        (window + 1, 4, 60),
    ]


# The pure part -----------------------------------------------------------------------------------

TERMS = MarketTerms(
    chain_id=1,
    retail=30_000,
    feed_in=8_000,
    penalty=2_000,
    quantity_max=16_383,
    agreements_max=16,
    genesis_time_ms=1_000_000,
    window_ms=WINDOW_MS,
    record_ms=RECORD_MS,
    attest_windows=1,
    close_windows=2,
    settle_windows=3,
)


@pytest.mark.parametrize(
    ("before_start_ms", "phase"),
    [
        (WINDOW_MS + 1, Phase.FUTURE),
        (WINDOW_MS, Phase.NEGOTIATE),
        (RECORD_MS + 1, Phase.NEGOTIATE),
        (RECORD_MS, Phase.RECORD),
        (1, Phase.RECORD),
        (0, Phase.DELIVER),
    ],
)
def test_phases_change_at_the_millisecond(before_start_ms, phase):
    assert trading_phase(TERMS, 4, TERMS.start(4) - before_start_ms) is phase


def test_a_phase_is_said_once():
    watch = WindowWatch(4, TERMS, str)
    times = [TERMS.start(4) - ms for ms in (20_000, 9_000, 8_000, 2_500, 10, 0, -5)]
    said = [line for now in times for line in watch.on_time(now)]
    assert [line.split(": ")[1].split(",")[0] for line in said] == [
        "trading begins in 11.0 s",
        "negotiation",
        "agreements are recorded",
        "trading is over",
    ]


def test_other_windows_and_unknown_events_do_not_count():
    from crypto.abi_event import encode_event
    from market.abi import MARKET

    def line(event, *values):
        return (MARKET, *encode_event(event.SIGNATURE, values))

    account = b"\7" * 20
    watch = WindowWatch(4, TERMS, lambda address: address[:1].hex())
    lines = [
        line(OfferMade, 4, account, 1, 1, 300),
        line(OfferMade, 5, account, 1, 1, 500),
        line(CallMade, 4, account, 1, 200),
        (MARKET, (b"\x09" * 32,), b"junk"),
        (MARKET, (), b""),
    ]
    assert watch.on_events(lines) == ["offer   07: 300 Wh stored", "call    07: 200 Wh"]
    report = window_report(4, watch.book, str)
    assert (report["offered_wh"], report["demanded_wh"]) == (300, 200)


@pytest.mark.parametrize(
    ("price", "text"),
    [(30_000, "30.00"), (8_000, "8.00"), (12_955, "12.95"), (9, "0.00"), (0, "0.00")],
)
def test_prices_in_cents(price, text):
    assert cents_a_kwh(price) == text
