"""Where a community stands that may have lost its quorum: for `hearth recover`."""

import socket
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import click

from cli.chain_verify import genesis_block
from cli.target import Target, connected, run_async, view
from node import recovery
from node.community import NodeRecord, read_community
from node.config import load, parse_address
from node.home import Home
from node.light_client import LightClient
from node.natives import NATIVES
from node.recovery_file import survivors_needed
from node.rpc import client as rpc
from vm.block import Header
from vm.members import quorum

PROBE_S: Final = 2.0
"""For a member's node to accept a connection."""

Standing: TypeAlias = tuple[Header, list[dict[str, Any]], Sequence[bytes]]
"""Newest sealed header, verified; the members, and who is there; the keys that seal next."""


def warn(above: tuple[int, bytes] | None) -> None:
    """Say which block, voted for here, may have been sealed by members who are gone."""
    if above is not None:
        click.echo(
            f"This node has voted to seal block {above[0]}, 0x{above[1].hex()}, and has no seal of "
            "it. Members who are gone may have sealed it: if one of their disks can be read, its "
            "newest block is what counts. Otherwise that block is left out."
        )


def verdict(n: int, there: int) -> str:
    """Return what `there` of `n` members can do."""
    if there >= quorum(n):
        return f"{there} of {n} are there, {quorum(n)} are a quorum: nothing is to be recovered."
    text = f"{there} of {n} are there, {quorum(n)} would be a quorum: nothing can be sealed."
    if there < survivors_needed(n):
        return f"{text} Fewer than {survivors_needed(n)} cannot go on without the others."
    return f"{text} If the others never come back: hearth recover propose."


def is_running(home: Home) -> bool:
    """Return whether the home's node answers."""

    async def ask() -> bool:
        try:
            async with connected(Target(home)) as client:
                await client.call("hearth_status")
        except rpc.Unreachable:
            return False
        return True

    return home.config.exists() and run_async(ask())


def of_running(home: Home) -> Standing:
    """Ask a node that runs; its links say who is there."""
    target = Target(home)

    async def ask() -> tuple[LightClient, list[Any], list[Any]]:
        client = LightClient(genesis_block(target.genesis))
        async with connected(target) as server:
            await client.follow(server)
            (nodes,) = await view(server, "Membership", "nodes")
            return client, list(nodes), await server.call("hearth_peers")

    client, nodes, peers = run_async(ask())
    up = {peer["name"] for peer in peers if peer["isUp"]} | {target.name}
    rows = [_row(name, endpoint, key, name in up) for _, key, endpoint, name, *_ in nodes]
    return client.head.header, rows, client.members[-1].members


def of_stopped(home: Home) -> Standing:
    """Read the chain of a node that is stopped, and try each member's address."""
    with recovery.opened(home, NATIVES) as chain:
        recovery.verify_head(chain)
        nodes = read_community(chain).nodes
        name = load(home.config).name if home.config.exists() else ""
        rows = [
            _row(each.name, each.endpoint, each.node_key, each.name == name or answers(each))
            for each in nodes
        ]
        return chain.head, rows, [each.node_key for each in nodes]


def _row(name: str, endpoint: str, node_key: bytes, is_there: bool) -> dict[str, Any]:  # noqa: FBT001
    return {
        "name": name,
        "endpoint": endpoint,
        "node_key": "0x" + node_key.hex(),
        "is_there": is_there,
    }


def answers(node: NodeRecord) -> bool:
    """Return whether something accepts connections where a member's node is met."""
    address = parse_address(node.endpoint, node.name)
    try:
        with socket.create_connection((address.host, address.port), PROBE_S):
            return True
    except OSError:
        return False
