"""Upgrades by vote: propose a protocol version, vote for it with what one's own node supports."""

from typing import Any

import click

from cli.errors import Refused
from cli.output import print_fields
from cli.target import Target, connected, run_async, submit, view, with_target
from market.abi import ProposalKind
from node.rpc.client import RpcClient


@click.command()
@click.argument("version", type=int)
@click.option("--height", required=True, type=int, help="First block by the new rules.")
@with_target
def upgrade(target: Target, *, version: int, height: int) -> None:
    r"""Propose that blocks are made by the rules of VERSION from a height on; members vote.

    A quorum of them must vote yes, each with a node that supports the version. Leave the others
    time to install it: a node without it stops voting at that height.

    \b
    Example:
      hearth members upgrade 2 --height 120000
    """
    proposal, status, peers = run_async(_upgrade(target, version, height))
    print_fields(
        "Proposed",
        {
            "id": proposal,
            "version": version,
            "from block": f"{height} (the newest is {status['height']})",
            "nodes that support it": _supporters(version, status, peers),
            "next": f"members vote: hearth members vote {proposal} yes",
        },
    )


async def _upgrade(
    target: Target, version: int, height: int
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    async with connected(target) as client:
        await submit(
            target, client, target.keys.account, "Membership", "proposeUpgrade", version, height
        )
        (rows,) = await view(client, "Membership", "proposals")
        found = [row[0] for row in rows if row[1] == ProposalKind.UPGRADE]
        if not found:
            raise Refused("the proposal was sealed but is not listed")
        return found[-1], await client.call("hearth_status"), await client.call("hearth_peers")


def _supporters(version: int, status: dict[str, Any], peers: list[dict[str, Any]]) -> str:
    """Return the names of the nodes, as far as they have told this one."""
    names = [status["name"]] if version in status["protocolsSupported"] else []
    names += [
        peer["name"]
        for peer in peers
        if not peer["isObserver"] and (peer["protocol"] or 0) >= version
    ]
    return ", ".join(names) or "none of which this node has heard"


async def cast_vote(
    target: Target, client: RpcClient, proposal: int, *, yes: bool
) -> dict[str, Any]:
    """Vote on any proposal; for an upgrade, say which version the household's node supports."""
    account = target.keys.account
    _, kind, *_ = await view(client, "Membership", "proposal", proposal)
    if kind != ProposalKind.UPGRADE or not yes:
        return await submit(target, client, account, "Membership", "vote", proposal, yes)
    version, height = await view(client, "Membership", "upgrade", proposal)
    supported = max((await client.call("hearth_status"))["protocolsSupported"])
    if supported < version:
        raise Refused(
            f"this household's node supports protocol versions up to {supported}, version "
            f"{version} is proposed: such a vote does not count",
            f"install software that supports it, before block {height}",
        )
    return await submit(
        target, client, account, "Membership", "supportUpgrade", proposal, supported
    )


async def describe_upgrades(client: RpcClient, rows: list[Any]) -> dict[int, tuple[str, int]]:
    """Return, for each upgrade among the proposals, what it is about and how many votes decide."""
    found = {}
    for id_, kind, *_ in rows:
        if kind == ProposalKind.UPGRADE:
            version, height = await view(client, "Membership", "upgrade", id_)
            needed = (await view(client, "Membership", "protocol"))[4]
            found[id_] = (f"protocol {version} from block {height}", needed)
    return found
