"""A community that lost its quorum goes on as another chain: what each survivor's node checks.

Nothing here runs by itself: people decide that others are gone for good (`hearth recover`,
`docs/recovery.md`). Each survivor computes the state of the new chain from its own, or from a
backup of another's at the checkpoint, before it signs and again before it begins.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from consensus.vote_log import CommitRecord
from crypto.errors import DecodeError, InvalidProof
from crypto.hashing import Digest
from crypto.keys import NodeKey
from node.backup import genesis_of, import_state, take_item
from node.chain import Chain
from node.config import NodeConfig, render
from node.errors import ConfigError, NodeError
from node.home import Home, load_genesis, load_household
from node.recovery_file import (
    FILE_BYTES_MAX,
    RecoveryFile,
    verify_checkpoint,
    verify_proposal,
    verify_signatures,
)
from node.snapshot_download import SnapshotDownload
from node.snapshot_server import SnapshotServer
from node.snapshot_wire import GetPart, Offer, Part
from node.storage.block_store import ChainStore
from node.storage.store_import import StoreImport, swap
from node.storage.vote_log import VoteLogFile, distrust_log
from vm.errors import GenesisError, Revert
from vm.first_block import CarriedOver, carry_over
from vm.genesis import Genesis, GenesisMember
from vm.machine import Machine
from vm.members import quorum, read_members
from vm.native import NativeContract

COPIED: Final = ("household.keys", "node.keys", "password", "rpc.token")
"""Files of the old home that the new one begins with; what else is there belongs to others."""
RECORD: Final = "recovery.json"
"""In the new home: the file from which it was made, for light clients."""


@final
class RecoveryRefused(NodeError):
    """A step of the recovery must not be taken; the text says why."""


def read_file(path: Path) -> RecoveryFile:
    """Read a recovery file; raises RecoveryRefused if it is none."""
    try:
        with path.open("rb") as file:
            return RecoveryFile.from_json(file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise RecoveryRefused(f"{path.name} cannot be read: {error.strerror}") from None
    except DecodeError as error:
        raise RecoveryRefused(f"{path.name}: {error}") from None


@contextmanager
def opened(
    home: Home, natives: Sequence[NativeContract], backup: Path | None = None
) -> Iterator[Chain]:
    """Yield the old chain of a home whose node is stopped, or that of a backup.

    Args:
        home: has the old chain's genesis file.
        natives: the contracts of the chain.
        backup: of another survivor, where this home is behind, or has no chain.

    Raises:
        ConfigError: the genesis file.
        StorageError: the node runs, or chain or backup cannot be used.
        RecoveryRefused: there is no chain.
    """
    machine = _machine(home, natives)
    if backup is None:
        if not home.chain.exists():
            raise RecoveryRefused(f"{home.path} has no chain: name a survivor's backup")
        with _chain(machine, home.chain) as chain:
            yield chain
        return
    with tempfile.TemporaryDirectory(prefix="recover-", dir=home.path) as folder:
        import_state(backup, Path(folder) / "chain", machine)
        with _chain(machine, Path(folder) / "chain") as chain:
            yield chain


def _machine(home: Home, natives: Sequence[NativeContract]) -> Machine:
    try:
        return Machine(load_genesis(home.genesis), natives)
    except GenesisError as error:
        raise ConfigError(f"{home.genesis.name}: {error.field}", error.message) from None


@contextmanager
def _chain(machine: Machine, path: Path) -> Iterator[Chain]:
    store = ChainStore(path, machine.genesis.hash)
    try:
        yield Chain(machine, store, now_ms=lambda: 0)
    finally:
        store.close()


# Proposing and signing.


def propose(
    chain: Chain, members: Sequence[GenesisMember], *, despite_quorum: bool = False
) -> RecoveryFile:
    """Return the file, unsigned, with which `members` go on after the head of `chain`.

    Args:
        chain: the old one, at its newest sealed block.
        members: survivors as the state knows them, and newcomers.
        despite_quorum: also if the survivors could seal on.

    Raises:
        RecoveryRefused: these members cannot go on, or need not.
    """
    header, seal = chain.head, chain.seal(chain.height)
    if seal is None:
        raise RecoveryRefused("nothing was sealed yet: found the community anew")
    ordered = tuple(sorted(members, key=lambda each: each.node_key))
    carried = _carry_over(chain, ordered)
    file = RecoveryFile(
        genesis_hash=chain.genesis.hash,
        header=header,
        seal=seal,
        epochs=chain.epochs(),
        protocol_version=carried.protocol_version,
        state_root=carried.tree_update.root,
        members=ordered,
    )
    _verify(chain, file)
    if not despite_quorum:
        require_lost_quorum(file)
    return file


def require_lost_quorum(file: RecoveryFile) -> None:
    """Refuse if those who go on are a quorum of the old members: they can evict the others."""
    n = len(file.old_set.keys)
    if len(file.survivors) >= quorum(n):
        raise RecoveryRefused(
            f"{len(file.survivors)} of {n} members are a quorum: evict those who are gone"
        )


def require_not_newer(home: Home, natives: Sequence[NativeContract], file: RecoveryFile) -> None:
    """Refuse if the home holds a block that the checkpoint leaves out.

    Raises:
        RecoveryRefused: it holds a newer sealed block, or another one at that height.
        StorageError: as `opened`.
    """
    if not home.chain.exists():
        return
    with opened(home, natives) as chain:
        if chain.height > file.header.number:
            raise RecoveryRefused(
                f"this node holds block {chain.height}, sealed, and the file ends at block "
                f"{file.header.number}: the newest sealed block counts, so propose from here"
            )
        if chain.height == file.header.number and chain.head != file.header:
            raise RecoveryRefused(
                f"two blocks are sealed at height {chain.height}: 0x{chain.head.hash.hex()} here, "
                f"0x{file.header.hash.hex()} in the file; more than f members have signed both"
            )


def voted_above(home: Home, height: int) -> tuple[int, Digest] | None:
    """Return height and hash of a block above `height` that this node has voted to seal, if any.

    Nobody here holds its seal; members who are gone may, and may have told their households.

    Raises:
        StorageError: the vote log cannot be read.
    """
    if not home.votes.exists():
        return None
    log = VoteLogFile(home.votes)
    records, found = log.records, None
    log.close()
    for record in records:  # In the order in which they were written: the last is the highest.
        if isinstance(record, CommitRecord) and record.commit.slot.height > height:
            found = int(record.commit.slot.height), record.certificate.digest
    return found


def check(chain: Chain, file: RecoveryFile) -> CarriedOver:
    """Compute what the file claims from the state of `chain`; signatures are not looked at.

    Raises:
        RecoveryRefused: something does not hold, or `chain` is not at the checkpoint.
    """
    _verify(chain, file)
    if chain.head != file.header:
        raise RecoveryRefused(
            f"the state here is that after block {chain.height}, the checkpoint is block "
            f"{file.header.number}: name the backup of a survivor that has it"
        )
    carried = _carry_over(chain, file.members)
    for name, theirs, ours in (
        ("protocol_version", file.protocol_version, carried.protocol_version),
        ("state_root", file.state_root.hex(), carried.tree_update.root.hex()),
        ("epochs", file.old_set, read_members(chain.store)),
    ):
        if theirs != ours:
            raise RecoveryRefused(f"{name} must be {ours}, got {theirs}")
    return carried


def sign(home: Home, file: RecoveryFile, key: NodeKey) -> RecoveryFile:
    """Return the file with this node's signature, after `check` and `require_not_newer`.

    From then on the home's node does not run any more: it could seal on, beside the new chain.

    Raises:
        RecoveryRefused: the file does not name this node as a survivor, or it has signed another:
            two chains would follow the old one.
    """
    if key.public not in [each.node_key for each in file.survivors]:
        raise RecoveryRefused("this node is not among the survivors that the file names")
    if home.departure.exists() and read_file(home.departure).hash != file.hash:
        raise RecoveryRefused(
            "this household has signed another recovery already, and of two chains only one can "
            f"follow; where that is called off for good, by all: remove {home.departure}"
        )
    write_synced(home.departure, file.to_json())
    return file.signed(key)


def _verify(chain: Chain, file: RecoveryFile) -> None:
    try:
        verify_proposal(file, chain.genesis, chain.machine.first_header)
    except InvalidProof as error:
        raise RecoveryRefused(f"the file {error}") from None


def _carry_over(chain: Chain, members: Sequence[GenesisMember]) -> CarriedOver:
    try:
        return carry_over(chain.machine.host, chain.head, chain.store, chain.tree, members)
    except (Revert, DecodeError) as error:
        raise RecoveryRefused(f"these members cannot be: {error}") from None


def verify_head(chain: Chain) -> None:
    """Verify the seal of the head by the hand-overs from genesis; raises RecoveryRefused."""
    seal = chain.seal(chain.height)
    if seal is None:
        return
    try:
        verify_checkpoint(
            chain.genesis, chain.machine.first_header, chain.head, seal, chain.epochs()
        )
    except InvalidProof as error:
        raise RecoveryRefused(f"the newest block does not hold: {error}") from None


def successor(old: Genesis, file: RecoveryFile, natives: Sequence[NativeContract]) -> Genesis:
    """Return the genesis that follows `old`, by a file that all survivors have signed.

    Raises:
        RecoveryRefused: something does not hold.
    """
    try:
        verify_proposal(file, old, Machine(old, natives).first_header)
        verify_signatures(file)
    except InvalidProof as error:
        raise RecoveryRefused(f"the file {error}") from None
    return file.genesis_after(old)


# Beginning anew.


def apply(
    chain: Chain,
    file: RecoveryFile,
    new: Path,
    natives: Sequence[NativeContract],
    *,
    home: Home,
    config: NodeConfig,
) -> Genesis:
    """Write a home in which the new chain begins; the old home stays as it is.

    Args:
        chain: the old one, at the checkpoint.
        file: signed by all survivors that it names.
        new: the home; it must not be there. It is whole, or not there, when this returns.
        natives: the contracts of the chain.
        home: the old home, for its keys.
        config: of the node.

    Returns:
        The new chain's genesis.

    Raises:
        RecoveryRefused: something does not hold.
        StorageError: the disk fails.
    """
    carried = check(chain, file)
    try:
        verify_signatures(file)
    except InvalidProof as error:
        raise RecoveryRefused(f"the file {error}") from None
    if new.exists():
        raise RecoveryRefused(f"{new} is there already; nothing is overwritten")
    genesis = file.genesis_after(chain.genesis)
    names = [member.name for member in genesis.members]
    if config.name not in names:
        raise RecoveryRefused(f"{config.name!r} is not among the members of the new chain")
    partial = new.with_name(new.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)  # What a crash left of an earlier attempt.
    made = Home(partial)
    made.chain.parent.mkdir(parents=True, mode=0o700)
    _write_chain(chain, file, carried, made.chain, Machine(genesis, natives))
    peers = {name: there for name, there in config.peers.items() if name in names}
    write_synced(made.genesis, genesis.to_json())
    write_synced(made.config, render(replace(config, peers=peers)).encode())
    write_synced(partial / RECORD, file.to_json())
    for name in COPIED:
        if (home.path / name).exists():
            write_synced(partial / name, (home.path / name).read_bytes())
    partial.rename(new)
    sync_folder(new.parent)
    return genesis


def _write_chain(
    chain: Chain, file: RecoveryFile, carried: CarriedOver, path: Path, machine: Machine
) -> None:
    """Copy the state after the checkpoint, each chunk verified, and change it to block 0's."""
    offer = Offer(file.header, file.seal)
    download = SnapshotDownload(offer, 0, genesis_of(chain.machine)[0])
    into = StoreImport.open(path, offer.digest)
    server = SnapshotServer(chain)
    try:
        for item in download.in_order():
            fetched = take_item(download, item, _item(server, offer, item))
            if fetched is not None:
                into.put_chunk(fetched.number, fetched.entries, fetched.chunk)
        first, block = genesis_of(machine)
        write = replace(
            block,
            changes=carried.changes,
            nodes=carried.tree_update.nodes,
            hand_over=first.to_bytes(),
        )
        into.begin(write, file.header.state_root, machine.genesis.hash)
    finally:
        server.close()
        into.close()


def _item(server: SnapshotServer, offer: Offer, item: int) -> bytes:
    data = bytearray()
    while True:
        part = server.part(GetPart(offer.digest, item, len(data)))
        assert isinstance(part, Part), "the head is held, and so is every item of it"
        data += part.data
        if len(data) == part.total:
            return bytes(data)


def seed(home: Home, backup: Path, natives: Sequence[NativeContract]) -> int:
    """Give a home without a chain the state in a backup; return the height of its block.

    Raises:
        ConfigError: the genesis file.
        RecoveryRefused: there is a chain already.
        StorageError: the backup cannot be used.
    """
    machine = _machine(home, natives)
    if home.chain.exists():
        raise RecoveryRefused(f"{home.chain} is there already; nothing is overwritten")
    folder = home.chain.with_name("chain.join")
    shutil.rmtree(folder, ignore_errors=True)
    offer = import_state(backup, folder, machine)
    swap(folder, home.chain)
    distrust_log(home.votes)
    return offer.header.number


def own_key(home: Home, password: str, keys: Sequence[bytes]) -> NodeKey:
    """Return the node key of the home that is among `keys`.

    Raises:
        ConfigError: a key file, or the password.
        RecoveryRefused: none of them is.
    """
    held = [
        load_household(path, password).node for path in (home.node_key, home.keys) if path.exists()
    ]
    found = next((key for key in held if key.public in keys), None)
    if found is None:
        raise RecoveryRefused("the file does not name this node")
    return found


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file of the owner's alone, whole or not at all, durably."""
    partial = path.with_name(path.name + ".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
