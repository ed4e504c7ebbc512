"""`hearth market`: the market hour live, a window afterwards, offers, fund and terms."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import click

from cli.errors import Unusable
from cli.market_book import WindowWatch, cents_a_kwh, window_report
from cli.output import eur, print_fields, print_json, print_table, progress
from cli.target import Target, connected, run_async, view, with_target
from market.abi import FUNCTIONS, MARKET, OfferKind, Phase
from market.agents.terms import MarketTerms
from node.rpc.client import RpcClient
from testnet.ledger import LogLine

SLACK_MS = 300
"""How long after a window's last moment its blocks may still come in."""


@click.group()
def command() -> None:
    """Watch the market and its windows."""


# Live --------------------------------------------------------------------------------------------


@command.command()
@click.option(
    "--windows",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How many to watch, one after the other; 0 for ever.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object at the end; lines on stderr."
)
@with_target
def watch(target: Target, *, windows: int, as_json: bool) -> None:
    r"""Watch the window that is being traded: phases, offers, calls, agreements, then a table.

    It ends when recording ends. Settlement comes some windows later; what is settled meanwhile
    is shown too, and `hearth market window W` shows all of a window afterwards.

    \b
    Examples:
      hearth market watch
      hearth market watch --windows 3 --node h86
    """
    say = progress if as_json else click.echo
    reports = []

    def finish(report: dict[str, Any]) -> None:
        reports.append(report)
        if not as_json:
            print_window(report)

    with contextlib.suppress(KeyboardInterrupt):
        run_async(_watch(target, windows, say, finish))
    if as_json:
        print_json({"windows": reports})


async def _watch(
    target: Target,
    windows: int,
    say: Callable[[str], None],
    finish: Callable[[dict[str, Any]], None],
) -> None:
    async with connected(target) as client:
        terms = await _terms(client)
        height = int(await client.call("eth_blockNumber"), 16)
        window = max(1, terms.window_at(_now_ms()) + 1)
        last = window + windows - 1 if windows else None
        blocks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        async with _pumping(client, height + 1, blocks):
            while last is None or window <= last:
                watched = WindowWatch(window, terms, target.label)
                earlier = await window_logs(client, window, height)
                seen = watched.on_events(earlier)
                for line in watched.on_time(_now_ms()):
                    say(f"{_clock()}  {line}" + (f" ({len(seen)} events so far)" if seen else ""))
                height = await _follow(watched, terms, blocks, height, say)
                finish(_live_report(watched, target))
                window += 1


async def _follow(
    watched: WindowWatch,
    terms: MarketTerms,
    blocks: asyncio.Queue[dict[str, Any]],
    height: int,
    say: Callable[[str], None],
) -> int:
    """Follow blocks and the clock to the end of trading; returns the last height seen."""
    end_ms = terms.start(watched.window)
    changes = (terms.start(watched.window - 1), terms.negotiation_end(watched.window), end_ms)

    def say_phase() -> int:
        now = _now_ms()
        for line in watched.on_time(now):
            say(f"{_clock()}  {line}")
        return now

    while (now := say_phase()) < end_ms + SLACK_MS:
        until = min([at for at in changes if at > now], default=end_ms + SLACK_MS)
        try:
            async with asyncio.timeout((until - now) / 1000):
                block = await blocks.get()
        except TimeoutError:
            continue
        height = block["height"]
        say_phase()  # First, so that what a block brings stands under its phase.
        for line in watched.on_events(map(_log_line, block["logs"])):
            say(f"{_clock(block['timeMs'])}  {line}")
    return height


@contextlib.asynccontextmanager
async def _pumping(
    client: RpcClient, from_height: int, blocks: asyncio.Queue[dict[str, Any]]
) -> AsyncIterator[None]:
    """Put every block from `from_height` on into `blocks` while the context lasts."""

    async def pump() -> None:
        async for block in client.subscribe_blocks(from_height):
            blocks.put_nowait(block)

    task = asyncio.create_task(pump())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _live_report(watched: WindowWatch, target: Target) -> dict[str, Any]:
    report = window_report(watched.window, watched.book, target.label)
    return {**report, "settled_meanwhile": [event.window for event in watched.settled]}


# Afterwards --------------------------------------------------------------------------------------


@command.command()
@click.argument("window", type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def window(target: Target, *, window: int, as_json: bool) -> None:
    r"""Show a window: who offered, traded, delivered and was paid, and at which prices.

    \b
    Example:
      hearth market window 5
    """
    report = run_async(_window(target, window))
    print_json(report) if as_json else print_window(report)


async def _window(target: Target, number: int) -> dict[str, Any]:
    async with connected(target) as client:
        terms = await _terms(client)
        height = int(await client.call("eth_blockNumber"), 16)
        watched = WindowWatch(number, terms, target.label)
        watched.on_events(await window_logs(client, number, height))
        (phase,) = await view(client, "Market", "phase", number)
        values = await view(client, "Market", "terms", number)
        named = dict(zip(FUNCTIONS["Market"]["terms"].output_names, values, strict=True))
        report = window_report(number, watched.book, target.label)
        return {**report, "phase": Phase(phase).name.lower(), "terms": named}


async def window_logs(client: RpcClient, window: int, last: int) -> list[LogLine]:
    """Return the Market's logs about a window, up to block `last`, in order."""
    asked = {
        "address": "0x" + MARKET.hex(),
        "topics": [None, "0x" + window.to_bytes(32, "big").hex()],
        "fromBlock": "0x0",
        "toBlock": hex(last),
    }
    return [_log_line(log) for log in await client.call("eth_getLogs", asked)]


def _log_line(log: dict[str, Any]) -> LogLine:
    return (
        bytes.fromhex(log["address"][2:]),
        tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
        bytes.fromhex(log["data"][2:]),
    )


def print_window(report: dict[str, Any]) -> None:
    """Print a window's table and totals."""
    click.echo()
    print_table(
        f"Window {report['window']} (Wh)",
        ("household", "offered", "wanted", "sold", "bought", "exported", "imported", "net EUR"),
        [
            (
                row["name"],
                row["offered_wh"],
                row["demanded_wh"],
                row["sold_wh"],
                row["bought_wh"],
                *("-" if row[k] is None else row[k] for k in ("exported_wh", "imported_wh")),
                "-" if row["net_units"] is None else eur(row["net_units"]),
            )
            for row in report["households"]
        ],
    )
    prices = [report[key] for key in ("price_min", "price_mean", "price_max")]
    fields: dict[str, object] = {
        "phase": report.get("phase", "trading is over"),
        "enrolled": report["enrolled"],
        "offered / wanted": f"{report['offered_wh']:,} / {report['demanded_wh']:,} Wh",
        "agreements": report["agreements"],
        "traded": f"{report['traded_wh']:,} of {report['tradeable_wh']:,} Wh",
        "price": "-"
        if None in prices
        else "{} to {}, mean {} ct/kWh".format(*(cents_a_kwh(prices[i]) for i in (0, 2, 1))),
    }
    if report["settled"] is not None:
        settled = report["settled"]
        fields["surplus / deficit"] = f"{settled['surplus_wh']:,} / {settled['deficit_wh']:,} Wh"
        fields["met inside"] = f"{settled['matched_wh']:,} Wh"
        fields["paid / charged"] = (
            f"{cents_a_kwh(settled['p_sur'])} / {cents_a_kwh(settled['p_ext'])} ct/kWh"
        )
    print_fields("", fields)


# Now ---------------------------------------------------------------------------------------------


@command.command()
@click.argument("window", type=click.IntRange(0), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def offers(target: Target, *, window: int | None, as_json: bool) -> None:
    r"""List offers and calls of a window; without one, of the window that is being traded.

    \b
    Examples:
      hearth market offers
      hearth market offers 5 --json
    """
    number, offered, called = run_async(_offers(target, window))
    # What only the negotiating agents need stays out: their keys and conditions.
    offers_ = [row[:5] for row in offered]
    calls = [row[:4] for row in called]
    result = {
        "window": number,
        "offers": [
            {
                "id": id_,
                "seller": target.label(seller),
                "kind": OfferKind(kind).name.lower(),
                "quantity_wh": quantity,
                "sold_wh": sold,
            }
            for id_, seller, kind, quantity, sold in offers_
        ],
        "calls": [
            {"id": id_, "buyer": target.label(buyer), "quantity_wh": quantity, "bought_wh": bought}
            for id_, buyer, quantity, bought in calls
        ],
    }
    if as_json:
        print_json(result)
        return
    print_table(
        f"Offers of window {number}",
        ("id", "seller", "kind", "Wh", "sold Wh"),
        [(id_, target.label(w), OfferKind(kind).name.lower(), *q) for id_, w, kind, *q in offers_],
    )
    print_table(
        f"Calls of window {number}",
        ("id", "buyer", "Wh", "bought Wh"),
        [(id_, target.label(w), *quantities) for id_, w, *quantities in calls],
    )


async def _offers(target: Target, window: int | None) -> tuple[int, list[Any], list[Any]]:
    async with connected(target) as client:
        number = window
        if number is None:
            number = max(1, (await _terms(client)).window_at(_now_ms()) + 1)
        (offered,) = await view(client, "Market", "getOffers", number)
        (called,) = await view(client, "Market", "getCalls", number)
        return number, list(offered), list(called)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def fund(target: Target, *, as_json: bool) -> None:
    r"""Show the market fund, the external market's reserve, and deposits that are locked.

    \b
    Example:
      hearth market fund
    """
    values = run_async(_view(target, "fund"))
    named = dict(zip(FUNCTIONS["Market"]["fund"].output_names, values, strict=True))
    if as_json:
        print_json({f"{name}_units": value for name, value in named.items()})
    else:
        print_fields("Market (EUR)", {name: eur(value) for name, value in named.items()})


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def parameters(target: Target, *, as_json: bool) -> None:
    r"""Show the terms that genesis fixed: prices, deadlines, limits, times.

    \b
    Example:
      hearth market parameters
    """
    values = run_async(_view(target, "parameters"))
    named = dict(zip(FUNCTIONS["Market"]["parameters"].output_names, values, strict=True))
    if as_json:
        print_json(named)
        return
    words: dict[str, object] = dict(named)
    for name in ("retail", "feedIn", "penalty"):
        words[name] = f"{cents_a_kwh(named[name])} ct/kWh"
    for name in ("confirmFee", "deposit"):
        words[name] = f"{eur(named[name])} EUR"
    words["genesisTimeMs"] = _clock(named["genesisTimeMs"], "%Y-%m-%d %H:%M:%S")
    print_fields("Terms of the market", words)


async def _view(target: Target, function: str) -> tuple[Any, ...]:
    async with connected(target) as client:
        return await view(client, "Market", function)


async def _terms(client: RpcClient) -> MarketTerms:
    chain_id = int(await client.call("eth_chainId"), 16)
    try:
        return MarketTerms.from_parameters(chain_id, await view(client, "Market", "parameters"))
    except ValueError as error:
        raise Unusable(f"the node's market has terms that cannot be used: {error}") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _clock(time_ms: int | None = None, form: str = "%H:%M:%S") -> str:
    """Return a time of day in this machine's zone."""
    seconds = (_now_ms() if time_ms is None else time_ms) / 1000
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().strftime(form)
