"""`hearth recover`: a community that has lost its quorum goes on as another chain, by hand.

The steps, and when not to take them, are in docs/recovery.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from cli import recover_status as standing
from cli.errors import CommandError, Unusable
from cli.genesis import read_member
from cli.node import new_config
from cli.output import print_fields, print_json, print_table
from cli.target import readable_errors
from crypto.keys import NodeKey
from node import recovery
from node.community import NodeRecord, read_community
from node.config import NodeConfig, load
from node.errors import StorageError
from node.home import Home, load_genesis, read_password
from node.natives import NATIVES
from node.recovery_file import RecoveryFile, survivors_needed
from testnet import strict_json
from vm.genesis import Genesis, GenesisMember
from vm.members import quorum

P = ParamSpec("P")
T = TypeVar("T")


@click.group()
def command() -> None:
    """Go on without members who are gone for good, where a quorum is not left."""


_file = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_state = click.option(
    "--state",
    "backup",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="BACKUP",
    help="`hearth backup --state-only` of a survivor, where this node is behind the checkpoint.",
)
_despite = click.option(
    "--although-a-quorum-is-left",
    "despite_quorum",
    is_flag=True,
    help="Found the chain anew although the members could evict who is gone.",
)


def _at_home(run: Callable[Concatenate[Home, P], T]) -> Callable[..., T]:
    """Give a command --home, and its errors in one line."""

    @click.option(
        "--home",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        required=True,
        envvar="HEARTH_HOME",
        help="Home of this household's node.",
    )
    @wraps(run)
    def wrapped(home: Path, *args: P.args, **kwargs: P.kwargs) -> T:
        with readable_errors():
            try:
                return run(Home(home), *args, **kwargs)
            except (recovery.RecoveryRefused, StorageError) as error:
                raise CommandError(str(error)) from None

    return wrapped


# Status.


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_at_home
def status(home: Home, *, as_json: bool) -> None:
    r"""Say what is sealed, who is missing, and whether a quorum is left.

    The newest block and its seal are verified. While the node runs, who is there is what its links
    say; otherwise each member's address is tried.

    \b
    Example:
      hearth recover status --home ~/.hearth/home
    """
    runs = standing.is_running(home)
    head, rows, keys = standing.of_running(home) if runs else standing.of_stopped(home)
    above = None if runs else recovery.voted_above(home, head.number)
    n, there = len(keys), sum(row["is_there"] for row in rows)
    result = {
        "height": head.number,
        "hash": "0x" + head.hash.hex(),
        "time_ms": head.time_ms,
        "members": rows,
        "there": there,
        "needed": quorum(n),
        "may_go_on": survivors_needed(n),
        "is_below_quorum": there < quorum(n),
        "voted_above": None if above is None else {"height": above[0], "hash": above[1]},
    }
    if as_json:
        print_json(result)
        return
    print_fields("Newest sealed block", {k: result[k] for k in ("height", "hash", "time_ms")})
    table = [(r["name"], r["endpoint"], "yes" if r["is_there"] else "no") for r in rows]
    print_table("Members", ("name", "endpoint", "there"), table)
    click.echo(standing.verdict(n, there))
    standing.warn(above)


# Proposing.


@command.command()
@click.option("--missing", "missing", multiple=True, metavar="NAME", help="Who is gone for good.")
@click.option(
    "--member",
    "records",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="RECORD",
    help="`hearth keys member` of a newcomer, or of a survivor who is no founder.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("recovery.json"))
@_despite
@_at_home
def propose(
    home: Home,
    *,
    missing: tuple[str, ...],
    records: tuple[Path, ...],
    out: Path,
    despite_quorum: bool,
) -> None:
    r"""Write the file that the survivors sign; the node must be stopped.

    Propose from the survivor that holds the newest sealed block (`hearth recover status`).
    Newcomers can be added: the new chain needs four members.

    \b
    Examples:
      hearth recover propose --missing east --missing west --member late.member.json
    """
    if out.exists():
        raise Unusable(f"{out} exists", "name another file with --out")
    given = [read_member(path) for path in records]
    with recovery.opened(home, NATIVES) as chain:
        nodes = read_community(chain).nodes
        names = [node.name for node in nodes]
        for name in missing:
            if name not in names:
                raise Unusable(f"{name!r} is no member; there are {', '.join(names)}")
        _require_silence([node for node in nodes if node.name in missing], despite_quorum)
        staying = [node for node in nodes if node.name not in missing]
        members = [record_of(chain.genesis, node, given) for node in staying]
        kept = [member.account for member in members]
        members += [each for each in given if each.account not in kept]
        file = recovery.propose(chain, members, despite_quorum=despite_quorum)
    strict_json.write_file(out, file.to_json())
    _show(file, f"{out} is written")
    click.echo(f"Each of them: hearth recover sign {out}")


def _require_silence(gone: Sequence[NodeRecord], is_forced: bool) -> None:  # noqa: FBT001
    for node in gone:
        if not is_forced and standing.answers(node):
            raise CommandError(
                f"{node.name} is to be left out, and something answers at {node.endpoint}",
                "if that is not its node, or it shall not take part: --although-a-quorum-is-left",
            )


def record_of(genesis: Genesis, node: NodeRecord, given: Sequence[GenesisMember]) -> GenesisMember:
    """Return a survivor's record, with its node as the state has it now."""
    known = [each for each in (*given, *genesis.members) if each.account == node.account]
    if not known:
        raise Unusable(
            f"{node.name} is no founder: its record is needed",
            "it makes one with `hearth keys member`; give that with --member",
        )
    return replace(
        known[0],
        name=node.name,
        node_key=node.node_key,
        endpoint=node.endpoint,
        certificate=node.certificate,
    )


def _show(file: RecoveryFile, title: str) -> None:
    names = {each.node_key: each.name for each in file.members}
    print_fields(
        title,
        {
            "hash": "0x" + file.hash.hex(),
            "checkpoint": f"block {file.header.number}, 0x{file.header.hash.hex()}",
            "members": ", ".join(names.values()),
            "survivors": ", ".join(each.name for each in file.survivors),
            "signed by": ", ".join(names.get(key, "?") for key in file.signers) or "nobody",
        },
    )


# Signing.


@command.command()
@_file
@_state
@_despite
@click.option("--yes", is_flag=True, help="Do not ask.")
@_at_home
def sign(home: Home, *, file: Path, backup: Path | None, despite_quorum: bool, yes: bool) -> None:
    r"""Check a recovery file against this node's chain, and sign it; the node must be stopped.

    It is refused if this node holds a newer sealed block. The state of the new chain is computed
    here, from this node's own. Once signed, the node does not run on the old chain any more.

    \b
    Examples:
      hearth recover sign recovery.json
      hearth recover sign recovery.json --state lindenweg-4.backup
    """
    proposed = recovery.read_file(file)
    recovery.require_not_newer(home, NATIVES, proposed)
    if not despite_quorum:
        recovery.require_lost_quorum(proposed)
    with recovery.opened(home, NATIVES, backup) as chain:
        recovery.check(chain, proposed)
    _show(proposed, f"{file} holds")
    standing.warn(recovery.voted_above(home, proposed.header.number))
    if not yes:
        click.confirm("Leave the old chain and go on with these members?", abort=True)
    key = _node_key(home, [each.node_key for each in proposed.survivors])
    signed = recovery.sign(home, proposed, key)
    strict_json.write_file(file, signed.to_json())
    waiting = [each.name for each in signed.survivors if each.node_key not in signed.signers]
    click.echo(f"Signed. Still to sign: {', '.join(waiting) or 'nobody'}.")


def _node_key(home: Home, keys: Sequence[bytes]) -> NodeKey:
    if home.password.exists():
        return recovery.own_key(home, read_password(home), keys)
    password = click.prompt(f"Password of {home.keys}", hide_input=True, err=True)
    return recovery.own_key(home, password, keys)


# Beginning anew.


@command.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@_state
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The new home; it must not be there.",
)
@click.option("--p2p", metavar="HOST:PORT", help="A newcomer's, as for `hearth node init`.")
@click.option(
    "--rpc", metavar="HOST:PORT", default="127.0.0.1:8545", show_default=True, help="The same."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_at_home
def apply(
    home: Home,
    *,
    files: tuple[Path, ...],
    backup: Path | None,
    into: Path,
    p2p: str | None,
    rpc: str,
    as_json: bool,
) -> None:
    r"""Make the home of the new chain from the signed file; the old home is kept as it is.

    Several copies of the file may be given: their signatures are put together. A newcomer's home
    has its keys and the old chain's genesis.json, and needs a survivor's backup.

    \b
    Examples:
      hearth recover apply recovery.json --home ~/.hearth/home --into ~/.hearth/home-2
      hearth recover apply recovery.json --home late --into late-2 --state lindenweg-4.backup
    """
    file = recovery.read_file(files[0])
    for path in files[1:]:
        file = file.merged(recovery.read_file(path))
    recovery.require_not_newer(home, NATIVES, file)
    own = _node_key(home, [each.node_key for each in file.members])
    genesis = file.genesis_after(load_genesis(home.genesis))
    config = _config(home, genesis, own, p2p, rpc)
    with recovery.opened(home, NATIVES, backup) as chain:
        recovery.apply(chain, file, into, NATIVES, home=home, config=config)
    result = {
        "home": str(into),
        "genesis": "0x" + genesis.hash.hex(),
        "chain_id": genesis.chain_id,
        "state_root": "0x" + file.state_root.hex(),
        "members": [member.name for member in genesis.members],
    }
    if as_json:
        print_json(result)
        return
    print_fields("Recovered", {**result, "members": ", ".join(m.name for m in genesis.members)})
    click.echo(
        f"All members compare the genesis hash, then: hearth node run --home {into}\n"
        f"{home.path} is kept as it was."
    )


def _config(home: Home, genesis: Genesis, own: NodeKey, p2p: str | None, rpc: str) -> NodeConfig:
    if home.config.exists():
        return load(home.config)
    name = next(each.name for each in genesis.members if each.node_key == own.public)
    return new_config(genesis, name, p2p, rpc, ())


@command.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_at_home
def seed(home: Home, *, backup: Path) -> None:
    r"""Begin a home of a recovered chain with the certified state in a member's backup.

    For whoever joins it later, or has lost its data: the first state of such a chain cannot be
    computed from its genesis file. The home has that file, and no chain yet.

    \b
    Example:
      hearth recover seed lindenweg-4.state --home ~/.hearth/home
    """
    height = recovery.seed(home, backup, NATIVES)
    click.echo(f"The chain is here up to block {height}; the rest comes from the other members.")


@command.command()
@_file
@click.argument("old", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), default=Path("genesis.json"))
def genesis(*, file: Path, old: Path, out: Path) -> None:
    r"""Verify a signed recovery file against the OLD genesis file, and write the new chain's.

    Whoever trusts the old chain follows it into the new one so, and asks nobody.

    \b
    Example:
      hearth recover genesis recovery.json old-genesis.json --out genesis.json
    """
    with readable_errors():
        if out.exists():
            raise Unusable(f"{out} exists", "name another file with --out")
        try:
            signed = recovery.read_file(file)
            made = recovery.successor(load_genesis(old), signed, NATIVES)
        except recovery.RecoveryRefused as error:
            raise CommandError(str(error)) from None
        strict_json.write_file(out, made.to_json())
    _show(signed, f"{out} is written")
