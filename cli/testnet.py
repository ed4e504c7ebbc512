"""`hearth testnet`: a whole neighbourhood on this machine."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from cli.errors import CommandError, Unusable
from cli.output import print_json, print_table, progress
from cli.target import ENV_TESTNET, readable_errors
from cli.testnet_flood import flood
from testnet.grid.community import DEMO_DAY
from testnet.layout import BASE_PORT, DEFAULT_NAME, ROOT, TestnetLayout

P = ParamSpec("P")
T = TypeVar("T")

LOG_LINES = 40


@click.group()
def command() -> None:
    """A whole neighbourhood on this machine."""


command.add_command(flood)


def _which(run: Callable[P, T]) -> Callable[P, T]:
    """Give a command the options that say which testnet it means."""

    @click.option(
        "--name", default=DEFAULT_NAME, envvar=ENV_TESTNET, show_default=True, help="Testnet."
    )
    @click.option(
        "--root",
        type=click.Path(path_type=Path),
        default=ROOT,
        show_default=True,
        help="Folder that holds testnets.",
    )
    @wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with readable_errors():
            return run(*args, **kwargs)

    return wrapped


def _who(run: Callable[P, T]) -> Callable[P, T]:
    """Give a command the options that say who takes part, and when."""
    for option in (
        click.option("--seed", default=0, show_default=True, help="Draws further households."),
        click.option(
            "--day",
            default=DEMO_DAY,
            show_default=True,
            help="Day of 2016 whose electricity flows.",
        ),
        click.option("--base-port", default=BASE_PORT, show_default=True, help="First p2p port."),
        click.option("--window-ms", default=9_000, show_default=True, help="Length of a window."),
        click.option(
            "--record-ms",
            default=2_500,
            show_default=True,
            help="Its part in which nothing is negotiated and agreements are recorded.",
        ),
    ):
        run = option(run)
    return run


@command.command()
@click.option("-n", "--households", default=4, show_default=True, help="How many, 4 to 64.")
@click.option("--no-agents", is_flag=True, help="Nodes only: nobody trades.")
@_who
@_which
def up(*, no_agents: bool, **given: Any) -> None:
    r"""Start a testnet: nodes, money from the bank file, meters and agents.

    Returns when the first deposits are minted; everything goes on in the background.

    \b
    Examples:
      hearth testnet up -n 4
      hearth testnet up -n 8 --name street --base-port 27600
    """
    from testnet.launcher import UpOptions
    from testnet.launcher import up as start

    async def run() -> None:
        options = _checked(UpOptions, has_agents=not no_agents, **given)
        async with await start(options, progress) as cluster:
            _print_endpoints(cluster)

    asyncio.run(run())


def _checked(kind: Callable[..., T], **values: Any) -> T:
    try:
        return kind(**values)
    except ValueError as error:
        raise Unusable(str(error)) from None


def _print_endpoints(cluster: Any) -> None:
    manifest = cluster.manifest
    print_table(
        f"{len(manifest.households)} households, day {manifest.day}, "
        f"chain {cluster.genesis.chain_id}",
        ("household", "what", "account", "RPC"),
        [(h.name, h.kind, "0x" + h.account.hex(), h.rpc_url) for h in manifest.households],
    )
    click.echo(
        "Look:  hearth wallet balance --all    hearth market watch    hearth testnet status\n"
        "Stop:  hearth testnet stop            and remove it: hearth testnet reset"
    )


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_which
def status(*, name: str, root: Path, as_json: bool) -> None:
    r"""Show every node's head, view and peers.

    \b
    Example:
      hearth testnet status
    """
    from testnet.cluster import Cluster
    from testnet.status import collect_status

    async def run() -> list[Any]:
        async with Cluster(TestnetLayout.of(name, root)) as cluster:
            return await collect_status(cluster)

    rows = asyncio.run(run())
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    head = ("household", "node", "agents", "meter", "RSS MB", "height", "block", "view", "primary")
    print_table(
        f"Testnet {name}",
        (*head, "peers", "pending", "window"),
        [_status_row(row) for row in rows],
    )


def _status_row(row: Any) -> tuple[object, ...]:
    said = row.status or {}
    return (
        row.name,
        *(pid or "down" for pid in (row.node_pid, row.agent_pid, row.meter_pid)),
        f"{row.rss_mb:.0f}",
        *(said.get(key, "-") for key in ("height",)),
        str(said.get("hash", "-"))[:12],
        *(said.get(key, "-") for key in ("view", "primary", "peersUp", "pending", "window")),
    )


@command.command()
@click.argument("process", required=False)
@click.option("-n", "lines", default=LOG_LINES, show_default=True, help="Lines from the end.")
@_which
def logs(*, process: str | None, lines: int, name: str, root: Path) -> None:
    r"""Show the end of a process's output, or list the processes.

    \b
    Examples:
      hearth testnet logs
      hearth testnet logs node-h39 -n 100
    """
    layout = TestnetLayout.of(name, root)
    files = sorted(layout.logs.glob("*.log")) + sorted(layout.home.glob("*/*.log"))
    names = {
        path.stem if path.parent == layout.logs else f"{path.parent.name}/{path.name}": path
        for path in files
    }
    if process is None:
        for label, path in names.items():
            click.echo(f"{label:<24} {path.stat().st_size:>10,} bytes")
        return
    if process not in names:
        raise Unusable(f"no log {process!r}; there are {', '.join(names) or 'none'}")
    text = names[process].read_text("utf-8", "replace").splitlines()
    click.echo("\n".join(text[-lines:]))


@command.command()
@_which
def stop(*, name: str, root: Path) -> None:
    r"""End all processes of a testnet; its files stay.

    \b
    Example:
      hearth testnet stop
    """
    from testnet.cluster import Cluster

    Cluster(TestnetLayout.of(name, root)).stop()
    click.echo(f"testnet {name} is stopped; `hearth testnet reset` removes its files")


@command.command()
@_which
def reset(*, name: str, root: Path) -> None:
    r"""End all processes of a testnet and delete its files.

    \b
    Example:
      hearth testnet reset
    """
    from testnet.cluster import Cluster

    Cluster(TestnetLayout.of(name, root)).reset()
    click.echo(f"testnet {name} is gone")


@command.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long faults are made.")
@click.option("--seed", default=0, show_default=True, help="Draws the faults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_which
def chaos(*, seconds: float, seed: int, as_json: bool, name: str, root: Path) -> None:
    r"""Kill, pause and partition nodes under load, then look whether anything was lost.

    Exits 1 unless all heads are equal at the end, every acknowledged transfer is there, and what
    clients were answered meanwhile is linearizable.

    \b
    Example:
      hearth testnet chaos --seconds 120 --seed 7
    """
    from testnet.chaos import ChaosOptions, run_chaos
    from testnet.cluster import Cluster

    async def run() -> dict[str, Any]:
        async with Cluster(TestnetLayout.of(name, root)) as cluster:
            return await run_chaos(cluster, ChaosOptions(seconds=seconds, seed=seed), progress)

    report = asyncio.run(run())
    if as_json:
        print_json(report)
    else:
        for key, value in report.items():
            click.echo(f"{key:<24} {value}")
    if not report["ok"]:
        raise CommandError("something was lost, or answered that cannot be: see the report")


@command.command()
@click.option("--households", default=8, show_default=True, help="How many, 4 to 64.")
@click.option("--windows", default=24, show_default=True, help="Delivered windows (hours).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out") / "demo",
    show_default=True,
    help="Folder of report.json and report.html.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, too.")
@click.option("--name", default="demo", show_default=True, help="Testnet; made anew.")
@click.option("--root", type=click.Path(path_type=Path), default=ROOT, show_default=True)
@_who
def demo(*, households: int, windows: int, out: Path, as_json: bool, **given: Any) -> None:
    r"""Trade a day of real electricity, window by window, and report what came of it.

    Exits 0 only if all nodes agree, money and energy are conserved, everything that could be
    sold inside the community was, and each bill equals its household's change of money.

    \b
    Examples:
      hearth testnet demo
      hearth testnet demo --households 12 --day 2016-07-05 --seed 3
    """
    from testnet.demo import DemoOptions, run_demo
    from testnet.launcher import UpOptions

    with readable_errors():
        testnet = _checked(UpOptions, households=households, **given)
        report = run_demo(DemoOptions(testnet=testnet, windows=windows, out=out), progress)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    failed = [name for name, condition in report["conditions"].items() if not condition["ok"]]
    if failed:
        raise CommandError(f"the day did not go as it must: {', '.join(failed)}")


def _print_report(report: Any) -> None:
    print_table(
        "The day by household",
        (
            "household",
            "what",
            "bought Wh",
            "sold Wh",
            "bill without EUR",
            "bill with EUR",
            "saving EUR",
        ),
        [
            (
                row["name"],
                row["kind"],
                f"{row['bought_wh']:,}",
                f"{row['sold_wh']:,}",
                f"{row['bill_without_eur']:.4f}",
                f"{row['bill_with_eur']:.4f}",
                f"{row['saving_eur']:.4f}",
            )
            for row in report["per_household"]
        ],
    )
    for row in report["per_household"]:
        if row["why"]:
            click.echo(f"{row['name']} is worse off: {row['why']}")
    for name, condition in report["conditions"].items():
        figures = ", ".join(f"{key} {value}" for key, value in condition.items() if key != "ok")
        mark = "ok    " if condition["ok"] else "FAILED"
        click.echo(f"{mark}  {name.replace('_', ' ')}{': ' if figures else ''}{figures}")


@command.command()
@click.option("--port", default=8545, show_default=True, help="Of HTTP and WebSocket.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--block-time",
    "block_time_s",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="Seal a block each so often, instead of one for each transaction.",
)
@click.option("--no-mining", is_flag=True, help="Blocks are made by evm_mine alone.")
@click.option("--freeze-time", is_flag=True, help="The clock moves only when it is told to.")
@click.option("--window-ms", default=900_000, show_default=True, help="Length of a market window.")
@click.option("--mnemonic", help="Other accounts than the well-known ones.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Go on from this file if it is there, and write it at the end.",
)
@click.option(
    "--write-home",
    "home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a household's home there, for `hearth contract … --home` and others.",
)
@click.option("--json", "as_json", is_flag=True, help="Accounts and addresses as JSON.")
def dev(*, no_mining: bool, freeze_time: bool, as_json: bool, **given: Any) -> None:
    r"""Run a chain in one process for people who write contracts: what anvil is to them.

    Ten funded accounts with keys that everybody knows, RPC at the usual port, a block for each
    transaction, snapshots and a clock that moves when it is told to. Nothing is kept without
    --state. docs/spec/rpc.md lists the methods.

    \b
    Examples:
      hearth testnet dev
      hearth testnet dev --port 9545 --block-time 2
      hearth testnet dev --state dev.state --json
    """
    import time

    from testnet.dev import app

    began = time.perf_counter()
    with readable_errors():
        options = app.DevOptions(
            is_mining=not no_mining,
            is_frozen=freeze_time,
            **{name: value for name, value in given.items() if value is not None},
        )
        chain = app.open_chain(options, time.time_ns() // 1_000_000)
        seconds = time.perf_counter() - began

        def show() -> None:
            if as_json:
                print_json(app.describe(chain, options))
            else:
                click.echo(app.banner(chain, options, seconds))

        code = asyncio.run(app.serve(chain, options, show))
    if code:
        raise CommandError("the chain ended with an error of its own")
