"""`hearth bench`: what is measured, one JSON object each; progress goes to stderr."""

from typing import Any

import click

from cli.errors import Unusable
from cli.output import print_fields, print_json, progress
from cli.target import readable_errors


@click.group()
def command() -> None:
    """Measure, and print the figures of docs/performance.md."""


_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@command.command()
@click.option("-n", "--nodes", type=click.IntRange(4, 64), default=4, show_default=True)
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="NAME",
    help="light, load, failover, restart or idle; several times for several. All.",
)
@click.option("--seconds", type=click.FloatRange(1), help="Length of load and idle; 120 and 60.")
@click.option("--base-port", type=int, help="First port.")
@_json
def consensus(
    *,
    nodes: int,
    parts: tuple[str, ...],
    seconds: float | None,
    base_port: int | None,
    as_json: bool,
) -> None:
    r"""Latency, throughput, failover, restart and idleness of real nodes with fsync.

    \b
    Examples:
      hearth bench consensus --json
      hearth bench consensus --part light --part load --seconds 30
    """
    from testnet.bench.bed import BASE_PORT
    from testnet.bench.consensus import PARTS, run

    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise Unusable(f"--part must be one of {', '.join(PARTS)}, got {unknown[0]!r}")
    with readable_errors():
        figures = run(
            progress,
            nodes=nodes,
            parts=parts or PARTS,
            seconds=seconds,
            base_port=BASE_PORT if base_port is None else base_port,
        )
    _print("consensus", figures, as_json=as_json)


@command.command()
@_json
def crypto(*, as_json: bool) -> None:
    r"""Ring signatures, range proofs, private transactions and scanning, on each backend.

    \b
    Example:
      hearth bench crypto --json
    """
    from testnet.bench.crypto import run

    _print("crypto", run(progress), as_json=as_json)


@command.command()
@_json
def sim(*, as_json: bool) -> None:
    r"""How fast the simulator runs the real consensus core, on one core.

    \b
    Example:
      hearth bench sim --json
    """
    from testnet.bench.sim import run

    _print("sim", run(), as_json=as_json)


@command.command()
@click.option("--keys", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--updates", type=click.IntRange(1), default=4_000, show_default=True)
@_json
def state(*, keys: int, updates: int, as_json: bool) -> None:
    r"""One block's changes in a large state: the tree's update, and its synced write to disk.

    \b
    Example:
      hearth bench state --keys 1000000 --json
    """
    from testnet.bench.state import run

    _print("state", run(progress, keys=keys, updates=updates), as_json=as_json)


@command.command()
@click.option("--worst", is_flag=True, help="Programs that are slow for their price.")
@_json
def vm(*, worst: bool, as_json: bool) -> None:
    r"""How fast bytecode and native contracts run, and calls are answered, beside other EVMs.

    \b
    Example:
      hearth bench vm --json
      hearth bench vm --worst
    """
    if worst:
        from testnet.bench import vm_worst

        _print("vm --worst", vm_worst.run(progress), as_json=as_json)
        return
    from testnet.bench.vm import run

    _print("vm", run(progress), as_json=as_json)


@command.command()
@click.option("--blocks", type=click.IntRange(513), default=600, show_default=True)
@click.option("--txs", type=click.IntRange(1, 400), default=100, show_default=True)
@click.option("--keys", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="NAME",
    help="join, failover, outage, cpu or flood; several times for several. All.",
)
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True)
@click.option("--flood-seconds", type=click.FloatRange(5), default=300.0, show_default=True)
@click.option("--base-port", type=int, help="First port.")
@_json
def node(
    *,
    blocks: int,
    txs: int,
    keys: int,
    parts: tuple[str, ...],
    kills: int,
    flood_seconds: float,
    base_port: int | None,
    as_json: bool,
) -> None:
    r"""Catching up, joining, failover, outages, processor time by part, memory under a flood.

    Each figure with a bound is a line that says whether the bound is held.

    \b
    Examples:
      hearth bench node --json
      hearth bench node --part join --part cpu
    """
    from testnet.bench.node import BASE_PORT, PARTS, lines, run

    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise Unusable(f"--part must be one of {', '.join(PARTS)}, got {unknown[0]!r}")
    with readable_errors():
        figures = run(
            progress,
            blocks=blocks,
            txs=txs,
            keys=keys,
            base_port=BASE_PORT if base_port is None else base_port,
            parts=parts or PARTS,
            kills=kills,
            flood_seconds=flood_seconds,
        )
    if not as_json:
        for line in lines(figures.pop("figures")):
            click.echo(line)
    _print("node", figures, as_json=as_json)


def _print(name: str, figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(figures)
        return
    flat: dict[str, object] = {}
    for key, value in figures.items():
        nested = value if isinstance(value, dict) else {None: value}
        flat.update({key if k is None else f"{key}.{k}": v for k, v in nested.items()})
    print_fields(f"bench {name}", flat)
