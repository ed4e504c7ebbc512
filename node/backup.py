"""A node's backup: what a household cannot make anew, and the state that its members certified.

One tar file: the files of the home by their names, then the snapshot of one block, item by item
(`node.snapshot_wire`). Each item is verified when it is written and when it is read. The vote log
is not in it, on purpose: a copy of it would be an old one, and a node that takes an old log for
its own signs twice. A restored node therefore does not know what it has promised, and is treated
as one that lost its log: it follows, and votes again when that is known to be safe.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, final

from crypto.errors import CryptoError, DecodeError
from node.errors import ConfigError, StorageError
from node.executor import encode_receipts
from node.hand_over import HandOver
from node.home import Home
from node.light_answers import read_header, read_int, read_object, read_seal
from node.rpc.views import header_json, seal_json
from node.snapshot_download import Fetched, SnapshotDownload
from node.snapshot_server import SnapshotServer
from node.snapshot_service import base_block
from node.snapshot_wire import (
    ITEM_BYTES_MAX,
    ITEM_LIMIT,
    GetPart,
    Offer,
    Part,
)
from node.storage.block_write import BlockWrite
from node.storage.store_import import StoreImport, swap
from node.storage.vote_log import distrust_log
from vm.block import Block, encode_block
from vm.errors import GenesisError, InvalidBlock
from vm.first_block import founders
from vm.genesis import GENESIS_BYTES_MAX, Genesis
from vm.machine import Machine
from vm.native import NativeContract

VERSION: Final = 1
HEAD: Final = "backup.json"
HOME_FILES: Final = (
    "genesis.json",
    "node.toml",
    "household.keys",
    "node.keys",
    "node.keys.next",
    "invite.json",
)
"""Whichever of them are there. Keys are encrypted; the password is not in a backup."""
PUBLIC_FILES: Final = HOME_FILES[:1]
"""What everybody may have: whoever has only these can take up the state, and nobody's place."""
HOME_FILE_BYTES_MAX: Final = max(GENESIS_BYTES_MAX, 1 << 20)
_ITEM: Final = "state/{:03d}"
_NUMBER_DIGITS_MAX: Final = 10
_HEAD_BYTES_MAX: Final = 64 << 10


class Source(Protocol):
    """Where a snapshot comes from: a running node, or the database of one that is stopped."""

    async def offer(self) -> Offer:
        """Hold the state at the head, and return the block."""

    async def item(self, offer: Offer, item: int) -> bytes:
        """Return an item of it. Raises StorageError if it is not to be had."""


@final
class ServerSource:
    """A database that this process has open."""

    def __init__(self, server: SnapshotServer) -> None:
        self._server = server

    async def offer(self) -> Offer:
        self._server.pin_head()
        offers = self._server.offers().offers
        if not offers:
            raise StorageError("the chain has no block yet: there is nothing to back up")
        return offers[-1]

    async def item(self, offer: Offer, item: int) -> bytes:
        data = bytearray()
        while True:
            part = self._server.part(GetPart(offer.digest, item, len(data)))
            if not isinstance(part, Part):
                raise StorageError(f"item {item} of block {offer.header.number} is gone")
            data += part.data
            if len(data) == part.total:
                return bytes(data)


@final
@dataclass(frozen=True, slots=True)
class Restored:
    """What a backup held."""

    height: int
    name: str
    files: tuple[str, ...]


async def write_backup(
    path: Path,
    home: Home,
    name: str,
    machine: Machine,
    source: Source,
    *,
    files: Sequence[str] = HOME_FILES,
) -> int:
    """Write the backup of a node; return the height of the block that it is of.

    Args:
        path: must not exist.
        home: whose files go into it.
        name: of the household.
        machine: the rules, with the genesis.
        source: the node.
        files: of the home, those that go into it; PUBLIC_FILES where another household gets it.

    Raises:
        StorageError: the file cannot be written, or the node's state does not hold.
    """
    offer = await source.offer()
    download = SnapshotDownload(offer, 0, genesis_of(machine)[0])
    partial = path.with_name(path.name + ".part")
    try:
        with _create(partial) as file, tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, HEAD, _head(machine.genesis, name, offer))
            for each in files:
                if (home.path / each).exists():
                    _add(tar, each, (home.path / each).read_bytes())
            for item in download.in_order():
                data = await source.item(offer, item)
                take_item(download, item, data)
                _add(tar, _ITEM.format(item), data)
        _publish(partial, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return offer.header.number


def restore_backup(path: Path, home: Home, natives: Sequence[NativeContract]) -> Restored:
    """Make a home of a backup. Its node begins as one that does not know what it has promised.

    Args:
        path: the backup.
        home: a directory that is empty, or not there.
        natives: the contracts of the chain.

    Raises:
        ConfigError: the home is in use, or a file in the backup cannot be used.
        StorageError: the backup cannot be read, or its state does not hold.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise ConfigError(str(home.path), "is not empty; a backup is restored into a new home")
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return _restore(_members(tar), home, natives)
    except BaseException as error:
        shutil.rmtree(home.path, ignore_errors=True)  # It was empty: nothing half restored stays.
        if isinstance(error, OSError | tarfile.TarError):
            raise StorageError(f"{path} cannot be read: {error}") from None
        raise


def _restore(
    members: Iterator[tuple[str, IO[bytes], int]], home: Home, natives: Sequence[NativeContract]
) -> Restored:
    name, file, size = next(members, ("", io.BytesIO(), 0))
    if name != HEAD or size > _HEAD_BYTES_MAX:
        raise StorageError("it is not a backup of a node")
    genesis_hash, household, offer = _read_head(file.read())
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    files: list[str] = []
    state: _StateImport | None = None
    try:
        for name, file, size in members:
            if name in HOME_FILES and state is None and size <= HOME_FILE_BYTES_MAX:
                _write_private(home.path / name, file.read())
                files.append(name)
                continue
            if state is None:
                machine = _machine(home, genesis_hash, natives)
                state = _StateImport(home.chain.with_name("chain.join"), offer, machine)
            state.take(name, file, size)
        if state is None:
            raise StorageError("it ends early")
        state.finish()
    finally:
        if state is not None:
            state.close()
    swap(home.chain.with_name("chain.join"), home.chain)
    distrust_log(home.votes)
    return Restored(offer.header.number, household, tuple(files))


def import_state(path: Path, folder: Path, machine: Machine) -> Offer:
    """Make a chain's database of the state in a backup, whosever it is; return its block.

    Args:
        path: the backup.
        folder: of the database; it must not be there.
        machine: of the chain, from a genesis file that the caller has.

    Raises:
        StorageError: the backup cannot be read, is of another chain, or does not hold.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return _import(_members(tar), folder, machine)
    except (OSError, tarfile.TarError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None


def _import(members: Iterator[tuple[str, IO[bytes], int]], folder: Path, machine: Machine) -> Offer:
    name, file, size = next(members, ("", io.BytesIO(), 0))
    if name != HEAD or size > _HEAD_BYTES_MAX:
        raise StorageError("it is not a backup of a node")
    genesis_hash, _, offer = _read_head(file.read())
    if genesis_hash != machine.genesis.hash:
        raise StorageError("it is a backup of another chain")
    state = _StateImport(folder, offer, machine)
    try:
        for name, file, size in members:
            if name not in HOME_FILES:
                state.take(name, file, size)
        state.finish()
    finally:
        state.close()
    return offer


@final
class _StateImport:
    """A chain's database in the making, of a backup's items."""

    def __init__(self, folder: Path, offer: Offer, machine: Machine) -> None:
        self._machine = machine
        self._download = SnapshotDownload(offer, 0, genesis_of(machine)[0])
        self._into = StoreImport.open(folder, offer.digest)

    def take(self, name: str, file: IO[bytes], size: int) -> None:
        item = _item_of(name, size)
        fetched = take_item(self._download, item, file.read())
        if fetched is not None:
            self._into.put_chunk(fetched.number, fetched.entries, fetched.chunk)

    def finish(self) -> None:
        if not self._download.is_complete:
            raise StorageError("it ends early")
        base = base_block(self._download, genesis_of(self._machine)[1])
        root = self._download.offer.header.state_root
        self._into.finish(base, root, self._machine.genesis.hash)

    def close(self) -> None:
        with suppress(StorageError):
            self._into.close()


def _machine(home: Home, genesis_hash: bytes, natives: Sequence[NativeContract]) -> Machine:
    if not home.genesis.exists():
        raise StorageError("it holds no genesis file")
    try:
        machine = Machine(Genesis.from_json(home.genesis.read_bytes()), natives)
    except GenesisError as error:
        raise StorageError(f"its genesis file cannot be used: {error}") from None
    if machine.genesis.hash != genesis_hash:
        raise StorageError("its genesis file is of another chain than its state")
    return machine


def take_item(download: SnapshotDownload, item: int, data: bytes) -> Fetched | None:
    """Take an item of a snapshot, verified; raises StorageError if it does not hold."""
    try:
        return download.take(item, data)
    except (CryptoError, InvalidBlock) as error:
        raise StorageError(f"item {item} of the state does not hold: {error}") from None


def genesis_of(machine: Machine) -> tuple[HandOver, BlockWrite]:
    """Return block 0 with the founders, and what a database holds of it beside the state."""
    header = machine.first_header
    write = BlockWrite(
        height=0,
        digest=header.hash,
        body=encode_block(Block(header, ())),
        seal=None,
        receipts=encode_receipts(()),
        transaction_hashes=(),
        bloom=None,
        changes=(),
        nodes={},
    )
    return HandOver(header, None, founders(machine.genesis)), write


# The file.


def _head(genesis: Genesis, name: str, offer: Offer) -> bytes:
    return json.dumps(
        {
            "version": VERSION,
            "name": name,
            "genesis": "0x" + genesis.hash.hex(),
            "header": header_json(offer.header),
            "seal": seal_json(offer.seal),
        },
        indent=2,
    ).encode()


def _read_head(data: bytes) -> tuple[bytes, str, Offer]:
    try:
        value: Any = read_object(json.loads(data), HEAD)
        if read_int(value.get("version"), "version") != VERSION:
            raise DecodeError("version", f"must be {VERSION}")
        seal = read_seal(value.get("seal"))
        if seal is None:
            raise DecodeError("seal", "must be there")
        genesis = bytes.fromhex(str(value.get("genesis"))[2:])
        return genesis, str(value.get("name")), Offer(read_header(value.get("header")), seal)
    except (ValueError, RecursionError) as error:  # DecodeError is the first, too.
        raise StorageError(f"{HEAD}: {error}") from None


def _item_of(name: str, size: int) -> int:
    number = name.removeprefix("state/")
    is_number = number.isdecimal() and len(number) <= _NUMBER_DIGITS_MAX
    if not name.startswith("state/") or not is_number or int(number) >= ITEM_LIMIT:
        raise StorageError(f"it holds a file that is none of a backup's: {name[:64]!r}")
    if size > ITEM_BYTES_MAX:
        raise StorageError(f"{name} must be at most {ITEM_BYTES_MAX} bytes, got {size}")
    return int(number)


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes], int]]:
    """Yield name, content and size of the plain files, in their order; nothing is extracted."""
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        if file is None:
            raise StorageError(f"it holds what is not a plain file: {member.name[:64]!r}")
        yield member.name, file, member.size


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o600
    tar.addfile(info, io.BytesIO(data))


def _create(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb")


def _publish(partial: Path, path: Path) -> None:
    """Give a finished file its name; raises OSError if the name is taken."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    path.hardlink_to(partial)


def _write_private(path: Path, data: bytes) -> None:
    with _create(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
