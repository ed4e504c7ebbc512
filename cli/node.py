"""`hearth node`: run this household's node, ask how it is."""

import sys
from pathlib import Path
from typing import Any

import click

from cli.errors import CommandError
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, readable_errors, run_async, with_target


@click.group()
def command() -> None:
    """Run this household's node and ask how it is."""


@command.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    required=True,
    help="Home of the node.",
    envvar="HEARTH_HOME",
)
def run(home: Path) -> None:
    r"""Run the node until it is told to stop (SIGTERM or Ctrl-C).

    The home holds genesis.json, node.toml and household.keys; the password is asked for, unless
    a file `password` of mode 0600 holds it.

    \b
    Example:
      hearth node run --home ~/.hearth/home
    """
    from node.app import run as run_node
    from node.errors import StorageError
    from node.home import Home
    from node.natives import NATIVES

    password = None
    if not Home(home).password.exists():
        password = click.prompt("Password of the household's keys", hide_input=True, err=True)
    with readable_errors():
        try:
            sys.exit(run_node(home, NATIVES, password))
        except StorageError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"cannot listen: {error}") from None


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def status(target: Target, *, as_json: bool) -> None:
    r"""Show where the node stands and which peers it reaches.

    \b
    Example:
      hearth node status --node 2
    """
    status, peers = run_async(_status(target))
    if as_json:
        print_json({**status, "peers": peers})
        return
    print_fields(
        f"Node of {status['name']}",
        {
            "height": status["height"],
            "block": status["hash"],
            "state root": status["stateRoot"],
            "epoch, term, view": f"{status['epoch']}, {status['term']}, {status['view']}",
            "primary": status["primary"],
            "votes": "not yet: it is catching up" if status["isLearner"] else "yes",
            "peers": f"{status['peersUp']} of {status['members'] - 1} up",
            "pending": status["pending"],
            "window": status["window"],
            "version": status["version"],
        },
    )
    print_table(
        "",
        ("peer", "up", "in kB", "out kB", "score"),
        [
            (
                p["name"],
                "yes" if p["isUp"] else f"no: {p['lastError'] or 'not reached'}",
                p["bytesIn"] // 1000,
                p["bytesOut"] // 1000,
                p["score"],
            )
            for p in peers
        ],
    )


async def _status(target: Target) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with connected(target) as client:
        return await client.call("hearth_status"), await client.call("hearth_peers")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def why(target: Target, *, as_json: bool) -> None:
    r"""Say in words what the node waits for, from whom, and what can be done.

    \b
    Example:
      hearth node why
    """
    lines = run_async(_why(target))
    if as_json:
        print_json({"waiting_for": lines})
        return
    for line in lines or ["Nothing is awaited: every transaction that came is sealed."]:
        click.echo(line)


async def _why(target: Target) -> list[str]:
    async with connected(target) as client:
        lines: list[str] = await client.call("hearth_why")
        return lines
