"""The demo: a testnet trades one day, window by window, and a report says what came of it."""

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from testnet.cluster import Cluster
from testnet.collect import log_line, meter_day, readings_of_day, tariff, view_nodes
from testnet.errors import ProcessDied
from testnet.launcher import Say, UpOptions, up
from testnet.layout import TestnetLayout
from testnet.ledger import Ledger, Tariff, WindowBook
from testnet.processes import node_label
from testnet.report import DayRun, Report, make_report, to_eur
from testnet.report_html import render

NAME = "demo"
HOUSEHOLDS = 8
WINDOWS = 24
OUT = Path("out") / "demo"
WINDOWS_TO_PAY = 5
"""After its delivery a window is attested, closed and settled within three windows, whoever is
silent; then the queue pays. What is not paid two windows later will not be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The testnet, how many windows it trades, and where the report goes."""

    testnet: UpOptions = UpOptions(households=HOUSEHOLDS, name=NAME)  # noqa: RUF009  Frozen.
    windows: int = WINDOWS
    out: Path = OUT


def run_demo(options: DemoOptions, say: Say) -> Report:
    """Run the day and write `report.json` and `report.html`; returns the report.

    A testnet of the same name that is there is removed first. Afterwards all processes are
    stopped; files and logs stay until the next demo or `hearth testnet reset`.

    Raises:
        TestnetError: the testnet could not be started, or a process ended.
    """
    return asyncio.run(_run(options, say))


async def _run(options: DemoOptions, say: Say) -> Report:
    begin = time.monotonic()
    layout = TestnetLayout.of(options.testnet.name, options.testnet.root)
    if layout.manifest.exists():
        Cluster(layout).reset()
    wanted = replace(options.testnet, windows=options.windows, has_agents=True)
    async with await up(wanted, say) as cluster:
        try:
            windows = _day(cluster, options.windows)
            await _watch(cluster, windows, await tariff(cluster), say)
            # From here on nothing may change what the nodes are asked about.
            nodes = {node_label(name) for name in cluster.names}
            cluster.stop(label for label in cluster.processes.labels() if label not in nodes)
            say("the day is over; asking every node")
            run = DayRun(
                manifest=cluster.manifest,
                tariff=await tariff(cluster),
                windows=windows,
                nodes=await view_nodes(cluster),
                meters={n: meter_day(cluster, n, options.windows) for n in cluster.names},
                wall_s=time.monotonic() - begin,
            )
        finally:
            cluster.stop()
        report = make_report(run)
        readings = [readings_of_day(cluster, name, options.windows) for name in cluster.names]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "report.html").write_text(render(report, readings))
    say(f"wrote {options.out / 'report.json'} and {options.out / 'report.html'}")
    return report


def _day(cluster: Cluster, windows: int) -> range:
    first = cluster.manifest.first_window
    return range(first, first + windows)


async def _watch(cluster: Cluster, windows: range, prices: Tariff, say: Say) -> None:
    """Tell each window's trade and payment as it happens; return when the last is paid."""
    progress = _Progress(cluster, windows, prices, say)
    follower = asyncio.create_task(progress.follow())
    checker = asyncio.create_task(_watch_processes(cluster))
    end = cluster.manifest.window_start_ms(windows.stop + WINDOWS_TO_PAY)
    try:
        done, _ = await asyncio.wait(
            (follower, checker),
            timeout=max(0.0, end / 1000 - time.time()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not done:
            say("not every window was paid in time")
        for task in done:
            task.result()
    finally:
        for task in (follower, checker):
            task.cancel()
        await asyncio.gather(follower, checker, return_exceptions=True)


async def _watch_processes(cluster: Cluster) -> None:
    """Raise ProcessDied as soon as a process of the testnet has ended."""
    while True:
        for label in cluster.processes.labels():
            if cluster.processes.pid(label) is None:
                log = cluster.processes.log_tail(label)
                raise ProcessDied(f"{label} ended by itself:\n{log}")
        await asyncio.sleep(1.0)


@final
class _Progress:
    """Reads the chain block by block and says what each window did."""

    def __init__(self, cluster: Cluster, windows: range, prices: Tariff, say: Say) -> None:
        self._cluster = cluster
        self._windows = windows
        self._prices = prices
        self._say = say
        self._ledger = Ledger(())
        self._traded = windows.start
        """The next window whose trade is to be told."""
        self._paid = windows.start

    async def follow(self) -> None:
        """Return when the last window of the day is paid."""
        source = self._cluster.client(self._cluster.names[0]).subscribe_blocks(1)
        async with aclosing(source):
            async for block in source:
                for log in block["logs"]:
                    self._ledger.add(log_line(log))
                self._tell(block["height"], block["timeMs"])
                if self._paid == self._windows.stop:
                    return

    def _tell(self, height: int, time_ms: int) -> None:
        manifest = self._cluster.manifest
        while self._traded < self._windows.stop and time_ms >= manifest.window_start_ms(
            self._traded
        ):
            self._say(self._trade_line(self._traded))
            self._traded += 1
        while self._paid < self._traded and self._is_paid(self._ledger.windows[self._paid]):
            self._say(self._pay_line(self._paid, height))
            self._paid += 1

    def _is_paid(self, book: WindowBook) -> bool:
        return book.settled is not None and len(book.paid) == len(book.households)

    def _trade_line(self, window: int) -> str:
        book = self._ledger.windows[window]
        firm = book.confirmed()
        line = (
            f"{self._label(window)} traded    {len(book.households)} enrolled, offered "
            f"{book.offered.total():>6,} Wh, demanded {book.demanded.total():>6,} Wh, sold "
            f"{book.traded_wh:>6,} Wh"
        )
        if not firm:
            return line
        paid = sum(agreement.quantity * agreement.price for agreement in firm)
        price = to_eur(1000 * paid) / book.traded_wh
        return f"{line} in {len(firm):>2} agreements at {price:.3f} EUR/kWh"

    def _pay_line(self, window: int, height: int) -> str:
        book = self._ledger.windows[window]
        exported = sum(attested.exp for attested in book.attested.values())
        imported = sum(attested.imp for attested in book.attested.values())
        prices = book.prices(self._prices)
        return (
            f"{self._label(window)} settled   exported {exported:>6,} Wh, imported {imported:>6,} "
            f"Wh; pool sells at {to_eur(1000 * prices.p_ext):.3f}, buys at "
            f"{to_eur(1000 * prices.p_sur):.3f} EUR/kWh; block {height}"
        )

    def _label(self, window: int) -> str:
        return f"hour {window - self._windows.start:>2}"
