"""`hearth backup`: the node's keys and certified state in one file, while the node runs or not."""

from collections.abc import Sequence
from pathlib import Path

import click

from cli.errors import CommandError
from cli.output import print_fields, print_json
from cli.target import Target, connected, run_async, with_target
from node.backup import HOME_FILES, PUBLIC_FILES, ServerSource, write_backup
from node.chain import Chain
from node.errors import StorageError
from node.light_answers import read_header, read_hex, read_int, read_object, read_seal
from node.natives import NATIVES
from node.rpc import client as rpc
from node.snapshot_server import SnapshotServer
from node.snapshot_wire import ITEM_BYTES_MAX, Offer
from node.storage.block_store import ChainStore
from vm.machine import Machine


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--state-only",
    is_flag=True,
    help="Without keys and settings: for another household (`hearth recover`).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def command(target: Target, *, file: Path, state_only: bool, as_json: bool) -> None:
    r"""Back up this household's node, while it runs or not.

    FILE gets the genesis file, the settings, the encrypted keys, and the state at the head with
    the seals that certify it. What the node has promised is not in it: a restored node takes no
    part in votes until that is known to be safe.

    \b
    Example:
      hearth backup lindenweg-4.backup
    """
    if file.exists():
        raise CommandError(f"{file} exists; nothing is overwritten")
    try:
        height = run_async(_backup(target, file, PUBLIC_FILES if state_only else HOME_FILES))
    except StorageError as error:
        raise CommandError(str(error)) from None
    result = {"file": str(file), "height": height, "bytes": file.stat().st_size}
    if as_json:
        print_json(result)
        return
    print_fields("Backed up", result)
    if state_only:
        click.echo("No key is in it: give it to whoever needs the state of the chain.")
    else:
        click.echo("The password is not in it. Restore: hearth restore FILE --home DIR")


async def _backup(target: Target, file: Path, files: Sequence[str]) -> int:
    machine = Machine(target.genesis, NATIVES)
    async with connected(target) as client:
        try:
            offer = await _RpcSource.hold(client)
        except rpc.Unreachable:
            return await _offline(target, file, machine, files)
        source = _RpcSource(client, offer)
        return await write_backup(file, target.home, target.name, machine, source, files=files)


async def _offline(target: Target, file: Path, machine: Machine, files: Sequence[str]) -> int:
    """Read the database of a node that does not run; its lock is what says so."""
    store = ChainStore(target.home.chain, target.genesis.hash)
    try:
        server = SnapshotServer(Chain(machine, store, now_ms=lambda: 0))
        try:
            source = ServerSource(server)
            return await write_backup(file, target.home, target.name, machine, source, files=files)
        finally:
            server.close()
    finally:
        store.close()


class _RpcSource:
    """A node that runs."""

    def __init__(self, client: rpc.RpcClient, offer: Offer) -> None:
        self._client = client
        self._offer = offer

    @staticmethod
    async def hold(client: rpc.RpcClient) -> Offer:
        answer = read_object(await client.call("hearth_holdSnapshot"), "hearth_holdSnapshot")
        seal = read_seal(answer.get("seal"))
        if seal is None:
            raise StorageError("the node shows a head without a seal")
        return Offer(read_header(answer.get("header")), seal)

    async def offer(self) -> Offer:
        return self._offer

    async def item(self, offer: Offer, item: int) -> bytes:
        data = bytearray()
        snapshot = "0x" + offer.digest.hex()
        while True:
            given = await self._client.call("hearth_getSnapshotPart", snapshot, item, len(data))
            part = read_object(given, "hearth_getSnapshotPart")
            data += read_hex(part.get("data"), "data")
            if len(data) >= read_int(part.get("total"), "total", ITEM_BYTES_MAX):
                return bytes(data)
