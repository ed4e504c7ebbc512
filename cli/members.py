"""`hearth members`: who runs the chain, and the votes on who may."""

import json
from pathlib import Path
from typing import Any

import click

from cli.errors import Refused, Unusable
from cli.members_upgrade import cast_vote, describe_upgrades, upgrade
from cli.node_rotation import make_next_key, rotation_arguments
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, run_async, submit, view, with_target
from crypto import codec
from crypto.hashing import tagged_hash
from crypto.keys import NodeKey, checksum_address
from crypto.keystore import HouseholdKeys, MeterKeys
from crypto.node_certificate import node_certificate
from market.abi import CANDIDATE_FIELDS, CANDIDATE_TAG, RING_PROOF_TAG, ProposalKind, ProposalStatus
from node.home import load_home_keys, read_password
from node.join import Host, Invite
from node.key_keeper import deal_args
from vm.members import quorum

CANDIDATE_FILE_BYTES_MAX = 8192


@click.group()
def command() -> None:
    """List members, propose and vote."""


command.add_command(upgrade)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def list_members(target: Target, *, as_json: bool) -> None:
    r"""List the members, and whether this node reaches them.

    \b
    Example:
      hearth members list
    """
    rows, status = run_async(_members(target))
    if as_json:
        print_json(rows)
        return
    print_table(
        "Members",
        ("#", "name", "account", "endpoint", "up", "node key"),
        [
            (
                r["index"],
                r["name"],
                r["account"],
                r["endpoint"],
                "this node" if r["isMe"] else "yes" if r["isUp"] else "no",
                r["nodeKey"][:18] + "…",
            )
            for r in rows
        ],
    )
    click.echo(slack_in_words(status))


async def _members(target: Target) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    async with connected(target) as client:
        return await client.call("hearth_members"), await client.call("hearth_status")


def slack_in_words(status: dict[str, Any]) -> str:
    """Say how many members may go missing now, and once there is one member more or less.

    What voters should know before they change the set: a member that is not there counts
    towards the quorum all the same (research rule 31).
    """
    members = status["members"]
    online = status["peersUp"] + (status["index"] is not None)
    changed = [
        f"{online - quorum(n)} with {n} members" for n in (members - 1, members + 1) if n >= 4
    ]
    return (
        f"{online} of {members} members are online and {quorum(members)} are needed to seal a "
        f"block: slack {online - quorum(members)} ({', '.join(changed)}, the same online)."
    )


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def proposals(target: Target, *, as_json: bool) -> None:
    r"""List proposals and their votes.

    \b
    Example:
      hearth members proposals
    """
    threshold, rows, upgrades = run_async(_proposals(target))
    entries = [
        {
            "id": id_,
            "kind": ProposalKind(kind).name.lower(),
            "account": checksum_address(account),
            "name": upgrades[id_][0] if id_ in upgrades else target.names().get(account),
            "yes": yes,
            "no": no,
            "needed": upgrades[id_][1] if id_ in upgrades else threshold,
            "status": ProposalStatus(status).name.lower(),
            "expires_window": expires,
        }
        for id_, kind, account, yes, no, status, expires in rows
    ]
    if as_json:
        print_json(entries)
        return
    print_table(
        "Proposals",
        ("id", "kind", "who", "yes", "no", "needed", "status", "expires"),
        [
            (
                e["id"],
                e["kind"],
                e["name"] or e["account"],
                e["yes"],
                e["no"],
                e["needed"],
                e["status"],
                f"window {e['expires_window']}",
            )
            for e in entries
        ],
    )


async def _proposals(target: Target) -> tuple[int, list[Any], dict[int, tuple[str, int]]]:
    async with connected(target) as client:
        (threshold,) = await view(client, "Membership", "threshold")
        (rows,) = await view(client, "Membership", "proposals")
        return threshold, list(rows), await describe_upgrades(client, rows)


@command.command()
@click.argument("proposal", type=int)
@click.argument("answer", type=click.Choice(["yes", "no"]))
@with_target
def vote(target: Target, *, proposal: int, answer: str) -> None:
    r"""Vote on a proposal: one vote per household.

    An accepted proposal takes effect once a quorum of the new members' nodes is ready for it. A
    vote for an upgrade says which version this household's node supports, and needs one that does.

    \b
    Example:
      hearth members vote 1 yes
    """
    receipt = run_async(_vote(target, proposal, yes=answer == "yes"))
    print_fields(
        "Voted", {"proposal": proposal, "answer": answer, "block": int(receipt["blockNumber"], 16)}
    )


@command.command()
@click.argument("member")
@with_target
def evict(target: Target, *, member: str) -> None:
    r"""Propose to evict a member; the others vote.

    \b
    Example:
      hearth members evict h34
    """
    receipt, status = run_async(_evict(target, member))
    print_fields("Proposed", {"evict": member, "block": int(receipt["blockNumber"], 16)})
    click.echo(slack_in_words(status))


async def _evict(target: Target, member: str) -> tuple[dict[str, Any], dict[str, Any]]:
    async with connected(target) as client:
        rows = await client.call("hearth_members")
        found = next((row["account"] for row in rows if row["name"] == member), None)
        account = target.address_of(found or member, "MEMBER")
        receipt = await submit(
            target, client, target.keys.account, "Membership", "proposeEviction", account
        )
        return receipt, await client.call("hearth_status")


@command.command()
@with_target
def rotate(target: Target) -> None:
    r"""Give this household's node a new key; the running node takes it up by itself.

    The new key lies beside the keys, sealed under the same password. The old one votes until a
    quorum of nodes is ready for the change. No votes are needed. If it was interrupted, say it
    again: it goes on with the key that it had made.

    \b
    Example:
      hearth members rotate
    """
    password = (
        read_password(target.home)
        if target.home.password.exists()
        else click.prompt("Password of the household's keys", hide_input=True, err=True)
    )
    keys = load_home_keys(target.home, target.genesis, target.name, password)
    receipt = run_async(_rotate(target, keys.household, password))
    print_fields(
        "Proposed",
        {
            "new key": target.home.next_node_key,
            "block": int(receipt["blockNumber"], 16),
            "next": "nothing: the node takes the key up; see `hearth node why`",
        },
    )


async def _rotate(target: Target, keys: HouseholdKeys, password: str) -> dict[str, Any]:
    own = checksum_address(keys.account.address)
    async with connected(target) as client:
        rows = await client.call("hearth_members")
        endpoint = next((row["endpoint"] for row in rows if row["account"] == own), None)
        if endpoint is None:
            raise Refused(f"{target.name} is not a member")
        key = make_next_key(target.home, password)
        arguments = rotation_arguments(target.genesis.chain_id, keys.account.address, key, endpoint)
        return await submit(
            target, client, keys.account, "Membership", "proposeRotation", *arguments
        )


@command.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("invite.json"))
@with_target
def invite(target: Target, *, out: Path) -> None:
    r"""Write the file with which a newcomer finds the chain and its members; no secret is in it.

    \b
    Example:
      hearth members invite
    """
    nodes = run_async(_nodes(target))
    hosts = tuple(
        Host(name=name, endpoint=endpoint, node_key=key, certificate=certificate)
        for _, key, endpoint, name, certificate, _ in nodes
    )
    genesis = target.genesis
    made = Invite(
        chain=genesis.name,
        genesis_hash=genesis.hash,
        chain_id=genesis.chain_id,
        members=hosts,
    )
    out.write_bytes(made.to_json())
    click.echo(f"{out}: give it to the newcomer, who runs `hearth node join {out} …`")


async def _nodes(target: Target) -> list[Any]:
    async with connected(target) as client:
        (rows,) = await view(client, "Membership", "nodes")
        return list(rows)


async def _vote(target: Target, proposal: int, *, yes: bool) -> dict[str, Any]:
    async with connected(target) as client:
        return await cast_vote(target, client, proposal, yes=yes)


@command.command()
@click.argument("keys", type=click.Path(path_type=Path, exists=True))
@click.argument("meter_keys", type=click.Path(path_type=Path, exists=True))
@click.option("--endpoint", required=True, metavar="HOST:PORT", help="Where its node listens.")
@click.option("--meter-id", required=True, help="The meter's number.")
@click.option("--name", required=True, help="What the others call the household.")
@click.option("--chain-id", required=True, type=int, help="See `hearth chain head`.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("candidate.json"))
def candidate(
    *,
    keys: Path,
    meter_keys: Path,
    endpoint: str,
    meter_id: str,
    name: str,
    chain_id: int,
    out: Path,
) -> None:
    r"""Make the file with which a newcomer proposes itself; any member carries it in.

    \b
    Example:
      hearth members candidate household.keys meter.keys --endpoint 192.0.2.7:26600 \
        --meter-id 1EMH0012345678 --name "Mill Lane 3" --chain-id 1234567
    """
    household = HouseholdKeys.load(
        keys, click.prompt("Password of the household's keys", hide_input=True, err=True)
    )
    meter = MeterKeys.load(
        meter_keys, click.prompt("Password of the meter's keys", hide_input=True, err=True)
    )
    fields = make_candidate(
        household, meter, endpoint=endpoint, meter_id=meter_id, name=name, chain_id=chain_id
    )
    out.write_text(json.dumps(fields))
    click.echo(f"{out}: give it to a member, who runs `hearth members propose {out}`")


def make_candidate(
    household: HouseholdKeys,
    meter: MeterKeys,
    *,
    endpoint: str,
    meter_id: str,
    name: str,
    chain_id: int,
) -> dict[str, str]:
    """Return the arguments of Membership.propose, signed by the newcomer; bytes as 0x-hex."""
    from testnet.genesis import make_member

    member = make_member(name=name, endpoint=endpoint, household=household, meter=meter)
    ring = NodeKey.from_seed(household.ring_seed)
    values: dict[str, bytes | str] = {
        "nodeKey": member.node_key,
        "account": member.account,
        "ringKey": member.ring_key,
        "ringProof": ring.sign(tagged_hash(RING_PROOF_TAG, member.account)),
        "wallet": member.wallet,
        "endpoint": endpoint,
        "meter": member.meter.account,
        "meterRingKey": member.meter.ring_key,
        "meterId": meter_id,
        "certificate": node_certificate(household.node),
        "name": name,
    }
    signed: list[int | bytes | str] = [
        chain_id if field == "chain_id" else values[_camel(field)] for field in CANDIDATE_FIELDS
    ]
    digest = tagged_hash(CANDIDATE_TAG, codec.encode(signed))
    values["nodeSignature"] = household.node.sign(digest)
    values["accountSignature"] = household.account.sign65(digest)
    return {k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in values.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_target
def propose(target: Target, *, file: Path) -> None:
    r"""Carry in a newcomer's proposal of itself (see `hearth members candidate`).

    \b
    Example:
      hearth members propose candidate.json
    """
    receipt, proposal = run_async(_propose(target, read_candidate(file)))
    print_fields(
        "Proposed",
        {
            "id": proposal,
            "block": int(receipt["blockNumber"], 16),
            "next": f"members vote: hearth members vote {proposal} yes",
        },
    )
    click.echo(slack_in_words(run_async(_members(target))[1]))


def read_candidate(file: Path) -> list[object]:
    """Read a candidate file; returns the arguments of Membership.propose in order."""
    from market.abi import FUNCTIONS

    function = FUNCTIONS["Membership"]["propose"]
    if file.stat().st_size > CANDIDATE_FILE_BYTES_MAX:
        raise Unusable(f"{file}: must be at most {CANDIDATE_FILE_BYTES_MAX} bytes")
    try:
        value = json.loads(file.read_bytes())
        if not isinstance(value, dict) or sorted(value) != sorted(function.input_names):
            raise Unusable(f"{file}: must have exactly {', '.join(function.input_names)}")
        return [
            _argument(value[name], kind)
            for name, kind in zip(function.input_names, function.input_types, strict=True)
        ]
    except (ValueError, RecursionError):
        raise Unusable(f"{file}: not a candidate file") from None


def _argument(value: object, kind: str) -> str | bytes:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004  Of the file, not of the code.
    return value if kind == "string" else bytes.fromhex(value.removeprefix("0x"))


async def _propose(target: Target, args: list[object]) -> tuple[dict[str, Any], int]:
    async with connected(target) as client:
        receipt = await submit(target, client, target.keys.account, "Membership", "propose", *args)
        (rows,) = await view(client, "Membership", "proposals")
        for id_, _, account, *_ in reversed(rows):
            if account == args[1]:
                return receipt, id_
        raise Refused("the proposal was sealed but is not listed")


@command.command()
@with_target
def rekey(target: Target) -> None:
    r"""Deal the key that all members share, for this epoch.

    Needed once, when the community begins to share what others may not read. From then on the
    nodes renew it by themselves whenever the members change, and dispute a deal that fails.

    \b
    Example:
      hearth members rekey
    """
    receipt, epoch = run_async(_rekey(target))
    print_fields("Dealt", {"epoch": epoch, "block": int(receipt["blockNumber"], 16)})


async def _rekey(target: Target) -> tuple[dict[str, Any], int]:
    async with connected(target) as client:
        epoch, *_ = await view(client, "Membership", "epoch")
        (nodes,) = await view(client, "Membership", "nodes")
        account, node_keys = target.keys.account, tuple(row[1] for row in nodes)
        args = deal_args(target.genesis.hash, epoch, account.address, node_keys)
        return await submit(target, client, account, "Membership", "rekey", *args), epoch
