"""`hearth node`: run this household's node, ask how it is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import CommandError, Unusable
from cli.node_join import join
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, readable_errors, run_async, with_target

if TYPE_CHECKING:
    from node.config import NodeConfig
    from vm.genesis import Genesis

ANY_HOST = "0.0.0.0"  # noqa: S104  Peers come from outside; only members pass TLS.


@click.group()
def command() -> None:
    """Run this household's node and ask how it is."""


command.add_command(join)


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
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Home of the node, where `hearth keys new` put the keys.",
    envvar="HEARTH_HOME",
)
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The file that all nodes share.",
)
@click.option("--name", required=True, help="This household's name in the genesis file.")
@click.option("--p2p", metavar="HOST:PORT", help="Where other members' nodes reach this one.")
@click.option(
    "--rpc", metavar="HOST:PORT", default="127.0.0.1:8545", show_default=True, help="For programs."
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=HOST:PORT",
    help="Where a member is reached, if elsewhere than the genesis file says.",
)
def init(
    *,
    home: Path,
    genesis_file: Path,
    name: str,
    p2p: str | None,
    rpc: str,
    peers: tuple[str, ...],
) -> None:
    r"""Prepare a home: copy genesis.json, write node.toml and the RPC's token.

    The node listens on all addresses at the port that the genesis file names, unless --p2p says
    otherwise. Nothing that exists is overwritten.

    \b
    Example:
      hearth node init --home ~/.hearth/home --genesis genesis.json --name lindenweg-4
    """
    from node.config import render
    from node.home import Home, load_config, load_genesis, load_token
    from testnet.strict_json import write_file

    with readable_errors():
        genesis = load_genesis(genesis_file)
        config = new_config(genesis, name, p2p, rpc, peers)
        paths = Home(home)
        for path in (paths.genesis, paths.config):
            if path.exists():
                raise Unusable(f"{path} exists; nothing is overwritten", "remove it, or edit it")
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(paths.genesis, genesis_file.read_bytes())
        write_file(paths.config, render(config).encode())
        load_config(paths, genesis)
        load_token(paths)
    print_fields(
        f"{home} is ready",
        {
            "genesis": "0x" + genesis.hash.hex(),
            "chain id": genesis.chain_id,
            "peers reach it at": config.p2p_listen,
            "RPC": f"http://{config.rpc_listen}",
            "keys": paths.keys if paths.keys.exists() else "missing: hearth keys new",
        },
    )
    click.echo(f"Start it: hearth node run --home {home}")


def new_config(
    genesis: "Genesis", name: str, p2p: str | None, rpc: str, peers: tuple[str, ...]
) -> "NodeConfig":
    """Return the settings of a new home; the arguments are the options of `hearth node init`."""
    from node.config import Address, NodeConfig, parse_address

    by_name = {member.name: member for member in genesis.members}
    elsewhere = dict(text.partition("=")[::2] for text in peers)
    for known in (name, *elsewhere):
        if known not in by_name:
            raise Unusable(f"{known!r} is not in the genesis file; there are {', '.join(by_name)}")
    port = parse_address(by_name[name].endpoint, "endpoint").port
    return NodeConfig(
        name=name,
        p2p_listen=parse_address(p2p, "--p2p") if p2p is not None else Address(ANY_HOST, port),
        rpc_listen=parse_address(rpc, "--rpc"),
        peers={peer: parse_address(text, f"--peer {peer}") for peer, text in elsewhere.items()},
    )


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
            "protocol": _protocol_in_words(status),
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


def _protocol_in_words(status: dict[str, Any]) -> str:
    supported = ", ".join(map(str, status["protocolsSupported"]))
    coming = status["nextProtocol"]
    later = "" if coming is None else f"; {coming['version']} from block {coming['height']} on"
    return f"{status['protocol']}{later} (this node supports {supported})"


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
    """Ask the node; if nobody answers, say what its home tells of it."""
    from node.rpc.client import RpcClient, Unreachable

    async with RpcClient(target.url) as client:
        try:
            lines: list[str] = await client.call("hearth_why")
        except Unreachable:
            return _why_silent(target)
    return lines


def _why_silent(target: Target) -> list[str]:
    from node.last_words import LastWords, explain_disk, free_bytes

    said = LastWords(target.home.last_words).read()
    lines = [f"No node answers at {target.url}: it does not run."]
    lines += [f"The last thing that it said: {said}"] if said else []
    lines += explain_disk(free_bytes(target.home.path))
    return [*lines, f"Start it: hearth node run --home {target.home.path}"]
