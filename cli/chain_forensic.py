"""`hearth chain seal` and `forensic`: two seals for one height, and who made that possible."""

from pathlib import Path
from typing import Any

import click

from cli.chain_verify import genesis_block, load_trusted
from cli.errors import CommandError, Unusable
from cli.output import print_json
from cli.proof_file import read_seal
from cli.target import Target, connected, run_async, view, with_target
from consensus.certificates import Head
from consensus.errors import MalformedMessage
from consensus.evidence import encode_evidence
from consensus.forensics import Findings, NoConflict, in_words, investigate
from consensus.keyring import Ed25519Keyring
from consensus.membership import Height, Membership
from consensus.messages import NewView
from crypto.errors import DecodeError, InvalidProof
from node.hand_over import membership_of
from node.light_answers import read_hex
from node.light_client import LightClient, Server, TrustedBlock
from node.rpc import client as rpc
from node.storage.new_views import load_new_views
from testnet import strict_json
from testnet.errors import BadFile
from vm.block import HEADER_BYTES, decode_header

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("height", type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@with_target
def seal(target: Target, *, height: int, out: Path) -> None:
    r"""Write a block's header and seal to a file: what its members cannot deny.

    \b
    Example:
      hearth chain seal 1234 --out mine.json
    """
    header, found = run_async(_fetch(target, height))
    if header is None or found is None:
        raise CommandError(f"the node has no seal of block {height}")
    strict_json.write_file(out, strict_json.render({"header": header["bytes"], "seal": found}))
    click.echo(f"{out}: block {height}, {header['hash']}")


async def _fetch(target: Target, height: int) -> tuple[Any, Any]:
    async with connected(target) as client:
        return await client.call("hearth_getHeader", height), await client.call(
            "hearth_getSeal", height
        )


@click.command()
@click.argument("one", metavar="A", type=_FILE)
@click.argument("two", metavar="B", type=_FILE)
@click.option(
    "--new-views",
    "paths",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A file or folder of accepted NEW-VIEWs (data/new-views of a home); several times.",
)
@click.option(
    "--epoch",
    "epoch_file",
    type=_FILE,
    help="What `hearth chain verify --out` wrote in that epoch; otherwise the home's node shows by "
    "the seals from genesis on who sealed this height.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def forensic(
    target: Target,
    *,
    one: Path,
    two: Path,
    paths: tuple[Path, ...],
    epoch_file: Path | None,
    as_json: bool,
) -> None:
    r"""Name those who forked the chain, from two conflicting seals.

    A and B are files of `hearth chain seal` or `proof` for one height, from the two sides. Of
    seals of different views, the NEW-VIEWs that nodes on the later side keep are needed. Each
    culprit is named with two of its own signatures, which anybody can check; nobody else is.
    Exits 1 if too few are named: then it says what is missing.

    \b
    Example:
      hearth chain forensic mine.json theirs.json --new-views ~/.hearth/home/data/new-views
    """
    trusted = genesis_block(target.genesis)
    heads = [_read_head(path) for path in (one, two)]
    names = {member.node_key: member.name for member in target.genesis.members}
    if epoch_file is not None:
        trusted = load_trusted(epoch_file, trusted.genesis_digest)
        membership = membership_of(trusted.members)
    else:
        membership = run_async(_ask_members(target, trusted, heads[0].height, names))
    try:
        findings = investigate(
            heads[0],
            heads[1],
            _read_new_views(paths),
            genesis_hash=trusted.genesis_digest,
            membership=membership,
            keyring=Ed25519Keyring(None),
        )
    except NoConflict as error:
        raise CommandError(f"there is no fork to explain: {error}") from None
    result = _result(findings, membership, names)
    if as_json:
        print_json(result)
    else:
        _print(result)
    if not findings.is_complete:
        raise CommandError(
            f"{len(findings.culprits)} named, and {findings.need} must be guilty: ask the nodes "
            "that sealed the block of the later view for their NEW-VIEWs"
        )


async def _ask_members(
    target: Target, trusted: TrustedBlock, height: int, names: dict[bytes, str]
) -> Membership:
    """Return who seals `height` on the chain of the home's node, and add the members' names.

    Where no node runs the founders are taken; a seal that is not theirs is said to be none.
    """
    async with connected(target) as client:
        try:
            membership = await members_at(trusted, client, height)
            (rows,) = await view(client, "Membership", "nodes")
        except rpc.Unreachable:
            click.echo("mind: no node to ask, so the founders are taken for the members", err=True)
            return membership_of(trusted.members)
        except (InvalidProof, DecodeError) as lie:
            raise CommandError(f"the node shows what does not hold: {lie}") from None
    names.update((row[1], row[3]) for row in rows)
    return membership


async def members_at(trusted: TrustedBlock, server: Server, height: int) -> Membership:
    """Return the member set that seals `height`, followed by its proofs from a trusted block.

    A fork has one set on both branches at the lowest height at which they differ: look there.

    Raises:
        InvalidProof, DecodeError: what the server shows does not hold.
    """
    client = LightClient(trusted)
    await client.follow(server)
    return next(each for each in reversed(client.members) if each.first_height <= height)


def _read_head(path: Path) -> Head:
    try:
        parts = strict_json.read_file(path)
        header = decode_header(read_hex(parts.get("header"), "header", length=HEADER_BYTES))
        found = read_seal(parts.get("seal"), f"{path.name}: seal")
        return Head(height=Height(header.number), digest=header.hash, seal=found)
    except (ValueError, DecodeError, MalformedMessage, BadFile) as error:
        raise Unusable(f"{path}: {error}") from None


def _read_new_views(paths: tuple[Path, ...]) -> list[NewView]:
    try:
        return [new_view for path in paths for new_view in load_new_views(path)]
    except (DecodeError, OSError) as error:
        raise Unusable(f"--new-views: {error}") from None


def _result(findings: Findings, membership: Membership, names: dict[bytes, str]) -> dict[str, Any]:
    return {
        "complete": findings.is_complete,
        "at_least": findings.need,
        "culprits": [
            {
                "member": names.get(membership.members[member]),
                "node_key": "0x" + membership.members[member].hex(),
                "offence": in_words(proof),
                "evidence": "0x" + encode_evidence(proof).hex(),
            }
            for member, proof in findings.culprits.items()
        ],
        "seals_at_fault": list(findings.faulty),
        "views_between": list(findings.views) if findings.views else None,
        "views_without_new_view": list(findings.unseen),
    }


def _print(result: dict[str, Any]) -> None:
    for culprit in result["culprits"]:
        click.echo(f"{culprit['member'] or culprit['node_key']} {culprit['offence']}")
    for fault in result["seals_at_fault"]:
        click.echo(f"mind: {fault}")
    if result["views_without_new_view"]:
        views = ", ".join(map(str, result["views_without_new_view"]))
        click.echo(f"no NEW-VIEW was given for views {views}")
    if not result["culprits"]:
        click.echo("nobody is named")
