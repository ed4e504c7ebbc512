"""`hearth node join`: a home for a household that did not found the chain, from an invite."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import Unusable
from cli.output import print_fields
from cli.target import readable_errors

if TYPE_CHECKING:
    from node.home import Home
    from node.join import Invite

ANY_HOST = "0.0.0.0"  # noqa: S104  Peers come from outside; only members pass TLS.


@click.command()
@click.argument("invite", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Home of the new node.",
    envvar="HEARTH_HOME",
)
@click.option("--name", help="What the others call the household.")
@click.option("--endpoint", metavar="HOST:PORT", help="Where the members reach its node.")
@click.option("--meter-id", help="The meter's number.")
@click.option(
    "--p2p", metavar="HOST:PORT", help="Where it listens, if not at the endpoint's port everywhere."
)
@click.option(
    "--rpc", metavar="HOST:PORT", default="127.0.0.1:8545", show_default=True, help="For programs."
)
def join(
    *,
    invite: Path,
    home: Path,
    name: str | None,
    endpoint: str | None,
    meter_id: str | None,
    p2p: str | None,
    rpc: str,
) -> None:
    r"""Make a home with keys for a newcomer, and what a member has to propose.

    INVITE comes from a member: `hearth members invite`. Keys that are in the home already are
    used; otherwise they are made, under a password that is asked for. Nothing is overwritten.

    With the home of a member whose node was away while all others changed their keys, and finds
    none of them any more, it takes nothing but INVITE: the node asks those who are in it, and
    verifies what they send from the members that it knows.

    \b
    Examples:
      hearth node join invite.json --home ~/.hearth/home --name lindenweg-7 \
        --endpoint 192.0.2.7:26600 --meter-id 1EMH0012345678
      hearth node join invite.json --home ~/.hearth/home
    """
    from node.home import Home
    from node.join import Invite

    with readable_errors():
        read = Invite.load(invite)
        if Home(home).genesis.exists():
            given = {"--name": name, "--endpoint": endpoint, "--meter-id": meter_id, "--p2p": p2p}
            _return(Home(home), read, [option for option, value in given.items() if value])
            return
        if name is None or endpoint is None or meter_id is None:
            raise Unusable("a newcomer needs --name, --endpoint and --meter-id")
        paths = _prepare(home, invite, name=name, endpoint=endpoint, p2p=p2p, rpc=rpc)
        fields = _candidate(
            home, endpoint=endpoint, meter_id=meter_id, name=name, chain_id=read.chain_id
        )
        out = home / "candidate.json"
        out.write_text(json.dumps(fields))
    print_fields(
        f"{home} is ready",
        {
            "chain": f"{read.chain} ({read.chain_id})",
            "genesis": "0x" + read.genesis_hash.hex(),
            "account": fields["account"],
            "node key": fields["nodeKey"],
            "members reach it at": endpoint,
            "RPC": f"http://{rpc}",
            "keys": paths,
        },
    )
    click.echo(f"1. Start it: hearth node run --home {home} (it waits to be let in)")
    click.echo(f"2. Give {out} to a member, who runs: hearth members propose candidate.json")
    click.echo(
        "3. The members vote; the node then follows the chain and becomes a member by itself."
    )


def _return(home: "Home", invite: "Invite", given: list[str]) -> None:
    """Have the node of a home that has a chain ask the members of an invite."""
    from node.join import keep_invite
    from vm.genesis import Genesis

    if given:
        why = f"{home.genesis} exists: this is no newcomer's home"
        raise Unusable(f"{given[0]} is for a newcomer; {why}", "choose another --home")
    if Genesis.from_json(home.genesis.read_bytes()).hash != invite.genesis_hash:
        raise Unusable(f"the invite is for another chain than {home.genesis}")
    keep_invite(home, invite)
    names = ", ".join(host.name for host in invite.members)
    print_fields(f"{home.path} has the invite", {"chain": invite.chain, "asks": names})
    click.echo(f"Start the node (anew): hearth node run --home {home.path}")
    click.echo("If no member that it knows has a link with it, it asks these after five seconds.")


def _prepare(
    home: Path, invite: Path, *, name: str, endpoint: str, p2p: str | None, rpc: str
) -> Path:
    """Write what the node reads; returns where its keys are to be."""
    from node.config import Address, NodeConfig, parse_address, render
    from node.home import Home, load_token
    from testnet.strict_json import write_file

    paths = Home(home)
    for path in (paths.genesis, paths.invite, paths.config):
        if path.exists():
            raise Unusable(f"{path} exists; nothing is overwritten", "choose another --home")
    port = parse_address(endpoint, "--endpoint").port
    config = NodeConfig(
        name=name,
        p2p_listen=Address(ANY_HOST, port) if p2p is None else parse_address(p2p, "--p2p"),
        rpc_listen=parse_address(rpc, "--rpc"),
    )
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(paths.invite, invite.read_bytes())
    write_file(paths.config, render(config).encode())
    load_token(paths)
    return paths.keys


def _candidate(
    home: Path, *, endpoint: str, meter_id: str, name: str, chain_id: int
) -> dict[str, str]:
    """Open or make the keys, and return the newcomer's proposal of itself."""
    from cli.members import make_candidate
    from crypto.keystore import HouseholdKeys, MeterKeys
    from node.home import Home, read_password
    from node.storage.vote_log import begin_log

    paths, meter_path = Home(home), home / "meter.keys"
    is_new = not paths.keys.exists()
    if paths.password.exists():
        password = read_password(paths)
    else:
        password = click.prompt(
            "Password of the keys", hide_input=True, err=True, confirmation_prompt=is_new
        )
    if is_new:
        HouseholdKeys.generate().save(paths.keys, password)
        begin_log(paths.votes)
    if not meter_path.exists():
        MeterKeys.generate().save(meter_path, password)
    return make_candidate(
        HouseholdKeys.load(paths.keys, password),
        MeterKeys.load(meter_path, password),
        endpoint=endpoint,
        meter_id=meter_id,
        name=name,
        chain_id=chain_id,
    )
