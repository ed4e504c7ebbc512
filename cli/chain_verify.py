"""`hearth chain verify`: follow the chain from a trusted block, believing no node."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import click

from cli.errors import CommandError, Unreachable, Unusable
from cli.output import print_fields, print_json
from cli.target import Target, run_async, with_target
from crypto.errors import DecodeError, InvalidProof
from crypto.hashing import DIGEST_BYTES, Digest
from node.errors import UnsupportedHeader
from node.hand_over import MEMBERS_BYTES_MAX
from node.home import load_genesis
from node.light_answers import read_hex
from node.light_client import Freshness, LightClient, TrustedBlock
from node.natives import NATIVES
from node.recovery import RECORD, RecoveryRefused, successor
from node.recovery import read_file as read_recovery
from node.rpc import client as rpc
from testnet import strict_json
from testnet.errors import BadFile
from vm.block import HEADER_BYTES, decode_header
from vm.first_block import founders
from vm.genesis import Genesis
from vm.machine import Machine
from vm.members import decode_members, encode_members

VERSION = 1
_KEYS = ("version", "genesis", "header", "members")


@click.command()
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="SEAL",
    help="Start from this file, which an earlier run wrote, not from genesis.",
)
@click.option("--rpc", "urls", multiple=True, metavar="URL", help="Ask this node; several times.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the head to start from later.")
@click.option(
    "--after",
    "old",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="OLD_GENESIS",
    help="Show that a recovered chain follows the one of this genesis file, which one trusts.",
)
@click.option(
    "--recovery",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="For --after: the file that the survivors signed; else the home's recovery.json.",
)
@click.option("--fresh", "must_be_fresh", is_flag=True, help="Fail unless a quorum attests it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def verify(
    target: Target,
    *,
    start: Path | None,
    urls: tuple[str, ...],
    out: Path | None,
    old: Path | None,
    file: Path | None,
    must_be_fresh: bool,
    as_json: bool,
) -> None:
    r"""Verify the chain from genesis, or from a block that one trusts, up to the newest head.

    Members are followed from epoch to epoch by their seals. Nodes that show what does not hold
    are named. With several nodes the head is shown to be the newest: a quorum signs a fresh nonce.

    \b
    Examples:
      hearth chain verify --rpc http://127.0.0.1:8545 --rpc http://127.0.0.1:8546 --fresh
      hearth chain verify --out seal.json
      hearth chain verify --from seal.json
      hearth chain verify --after old-genesis.json --recovery recovery.json
    """
    follows = lineage(target.genesis, old, file or target.home.path / RECORD)
    trusted = genesis_block(target.genesis)
    if start is not None:
        trusted = load_trusted(start, trusted.genesis_digest)
    client = LightClient(trusted)
    found = run_async(_verify(client, urls or (target.url,)))
    result = {**_result(client, found), "follows": follows}
    if out is not None:
        strict_json.write_file(out, render_trusted(client.trust_head()))
    if as_json:
        print_json(result)
    else:
        print_fields("Verified", _words(target.genesis, found.freshness, result))
    if found.lies:
        url, lie = found.lies[0]
        raise CommandError(f"{url} shows what does not hold: {lie}")
    if must_be_fresh and not found.freshness.is_fresh:
        raise CommandError(
            f"only {len(found.freshness.attested_by)} of {result['needed']} members attest that "
            "this is the newest block",
            "name more nodes with --rpc; `hearth node why` says whether the chain stands still",
        )


@final
@dataclass(slots=True)
class _Found:
    """What the nodes showed."""

    freshness: Freshness
    lies: list[tuple[str, str]] = field(default_factory=list)
    silent: list[tuple[str, str]] = field(default_factory=list)


async def _verify(client: LightClient, urls: Sequence[str]) -> _Found:
    lies, silent, honest = [], [], []
    async with AsyncExitStack() as stack:
        for url in urls:
            server = await stack.enter_async_context(rpc.RpcClient(url))
            try:
                await client.follow(server)
            except (InvalidProof, DecodeError) as lie:
                lies.append((url, str(lie)))
            except UnsupportedHeader as newer:
                raise CommandError(str(newer), "install the version that the nodes run") from None
            except (rpc.Unreachable, rpc.RpcError) as error:
                silent.append((url, str(error)))
            else:
                honest.append(server)
        if not honest and not lies:
            raise Unreachable(silent[0][1], "is the node running? `hearth node status`")
        return _Found(await client.attest(honest), lies, silent)


def _result(client: LightClient, found: _Found) -> dict[str, Any]:
    header = found.freshness.head.header
    members = found.freshness.members
    return {
        "height": header.number,
        "protocol": header.version,
        "hash": "0x" + header.hash.hex(),
        "state_root": "0x" + header.state_root.hex(),
        "time_ms": header.time_ms,
        "from_height": client.trusted.header.number,
        "epoch": members.epoch,
        "epochs_followed": len(client.members) - 1,
        "members": members.n,
        "attested_by": ["0x" + members.members[i].hex() for i in found.freshness.attested_by],
        "needed": members.quorum.certificate,
        "is_fresh": found.freshness.is_fresh,
        "lies": [{"url": url, "what": what} for url, what in found.lies],
        "silent": [{"url": url, "why": why} for url, why in found.silent],
    }


def _words(genesis: Genesis, fresh: Freshness, result: dict[str, Any]) -> dict[str, object]:
    names = {member.node_key: member.name for member in genesis.members}
    keys = [fresh.members.members[i] for i in fresh.attested_by]
    by = ", ".join(names.get(key) or key.hex()[:12] for key in keys)
    words = {name: result[name] for name in ("height", "hash", "state_root", "epoch", "members")}
    follows = result["follows"]
    if follows is not None:
        shown = "shown by its survivors" if follows["is_shown"] else "to be shown: --after"
        words["follows"] = f"{follows['genesis']} after block {follows['height']}, {shown}"
    count = f"{len(keys)} of the {result['needed']} that are needed"
    words["newest"] = f"yes, attested by {by}" if fresh.is_fresh else f"not shown: {count} attest"
    for each in result["silent"]:
        words[each["url"]] = f"does not answer: {each['why']}"
    return words


def lineage(genesis: Genesis, old: Path | None, file: Path) -> dict[str, Any] | None:
    """Return which chain this one follows, None if none; verified where `old` is given.

    Args:
        genesis: of the chain.
        old: the trusted genesis file of the chain before.
        file: what its survivors signed.

    Raises:
        Unusable: there is nothing to show.
        CommandError: `genesis` is not what follows.
    """
    since = genesis.recovered
    if since is None:
        if old is not None:
            raise Unusable("--after: this chain follows no other")
        return None
    if old is not None:
        try:
            after = successor(load_genesis(old), read_recovery(file), NATIVES)
        except RecoveryRefused as error:
            raise CommandError(str(error)) from None
        if after != genesis:
            raise CommandError(f"{file.name} leads from {old.name} to another chain than this")
    return {
        "genesis": "0x" + since.genesis_hash.hex(),
        "height": since.height,
        "block": "0x" + since.block_hash.hex(),
        "is_shown": old is not None,
    }


def genesis_block(genesis: Genesis) -> TrustedBlock:
    """Return block 0, which needs no proof: everybody computes it from the genesis file."""
    header = Machine(genesis, NATIVES).first_header
    return TrustedBlock(header.hash, header, founders(genesis))


def render_trusted(trusted: TrustedBlock) -> bytes:
    """Return the file of a block to start from."""
    return strict_json.render(
        {
            "version": VERSION,
            "genesis": "0x" + trusted.genesis_digest.hex(),
            "header": "0x" + trusted.header.to_bytes().hex(),
            "members": "0x" + encode_members(trusted.members).hex(),
        }
    )


def load_trusted(path: Path, genesis_digest: Digest) -> TrustedBlock:
    """Read such a file; raises Unusable if it is malformed or of another chain."""
    try:
        return _read_trusted(strict_json.read_file(path), path.name, genesis_digest)
    except (BadFile, DecodeError) as error:
        raise Unusable(str(error)) from None


def _read_trusted(value: dict[str, Any], field: str, genesis_digest: Digest) -> TrustedBlock:
    strict_json.check_keys(value, _KEYS, field)
    if value["version"] != VERSION:
        raise BadFile(f"{field}: version", f"must be {VERSION}")
    if read_hex(value["genesis"], "genesis", length=DIGEST_BYTES) != genesis_digest:
        raise BadFile(f"{field}: genesis", "is of another chain")
    return TrustedBlock(
        genesis_digest,
        decode_header(read_hex(value["header"], "header", length=HEADER_BYTES)),
        decode_members(read_hex(value["members"], "members", length_max=MEMBERS_BYTES_MAX)),
    )
