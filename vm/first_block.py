"""Block 0, which nobody seals: made from nothing, or on the state of a chain that came to an end.

A chain that is founded has the state that its contracts' genesis hooks write. One that follows
another, because that lost its quorum, carries over what was there after the other's checkpoint and
changes who the members are; nothing else of it may depend on the new genesis file, which has the
state's root in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import final

from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree, TreeUpdate
from crypto.merkle_list import list_root
from vm import accounts
from vm.activate import governing_contract
from vm.block import Header
from vm.context import BlockInfo, CallContext, Host, Run
from vm.draft import Draft, Execution
from vm.errors import Revert
from vm.genesis import Genesis, GenesisMember
from vm.members import TERM_BLOCKS, MemberSet, first_members, read_members, write_members
from vm.protocol import first_schedule, read_schedule, write_schedule
from vm.recovered import Recovered
from vm.state import Changes, Journal, StateReader

_GAS = 2**62  # Block 0 is not metered.


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedOver:
    """The state after a checkpoint, as the chain that follows begins with it."""

    changes: Changes
    """To the state after the checkpoint, ascending by key."""
    tree_update: TreeUpdate
    members: MemberSet
    """Of block 1."""
    protocol_version: int
    """By whose rules blocks are made from then on."""


def founders(genesis: Genesis) -> MemberSet:
    """Return the member set of block 1."""
    keys = [member.node_key for member in genesis.members]
    since = genesis.recovered
    if since is None:
        return first_members(keys)
    return MemberSet(since.epoch, 1, since.first_term, TERM_BLOCKS, tuple(sorted(keys)))


def following_set(before: MemberSet, height: int, node_keys: Iterable[bytes]) -> MemberSet:
    """Return the first set of the chain that follows.

    Heights begin again; epochs and terms do not, for contracts file by them.

    Args:
        before: the set that would seal the block above the checkpoint.
        height: of the checkpoint.
        node_keys: of the members, in any order.
    """
    first_term = before.term(height + 1) + 1
    return MemberSet(before.epoch + 1, 1, first_term, TERM_BLOCKS, tuple(sorted(node_keys)))


def first_header(genesis: Genesis, recovered: Recovered) -> Header:
    """Return the header of block 0 of a chain that follows another; the file says it all."""
    nothing = list_root(())
    return Header(
        version=genesis.protocol_version,
        number=0,
        parent_hash=genesis.hash,
        time_ms=recovered.time_ms,
        transactions_root=nothing,
        state_root=recovered.state_root,
        receipts_root=nothing,
        next_members_hash=founders(genesis).hash(),
        gas_used=0,
    )


def found(host: Host) -> Execution:
    """Return block 0 of a chain that follows no other, as an execution over the empty state.

    Raises:
        GenesisError: a contract refuses its parameters.
    """
    genesis = host.genesis
    assert genesis.recovered is None, "the state of a recovered chain comes from the one before"
    journal = Journal({})
    time_ms = genesis.time_ms
    window = genesis.window_at(time_ms)
    info = BlockInfo(height=0, time_ms=time_ms, window=window, parent_hash=genesis.hash)
    write_schedule(journal, first_schedule(genesis.protocol_version))
    write_members(journal, founders(genesis))
    for member in genesis.members:
        accounts.register(journal, member.account, member.account)
        accounts.register(journal, member.meter.account, member.account)
    for _, service in genesis.services:
        accounts.register(journal, service, service)
    for contract in host.contracts.values():
        run = Run(host, journal, info, _GAS)
        ctx = CallContext(run, contract.ADDRESS, caller=contract.ADDRESS, sponsor=b"")
        contract.genesis(ctx, ctx.params)
    return Draft(journal, info, genesis.protocol_version).finish(genesis.hash, SparseMerkleTree({}))


def carry_over(
    host: Host,
    checkpoint: Header,
    state: StateReader,
    tree: SparseMerkleTree,
    members: Sequence[GenesisMember],
) -> CarriedOver:
    """Return the state after `checkpoint` with other members.

    Args:
        host: of the chain that ends.
        checkpoint: header of its last block that counts.
        state: after it.
        tree: over that state.
        members: of the chain that follows, those who stay and those who come.

    Raises:
        Revert: the governing contract refuses these members, or there is none.
    """
    contract = governing_contract(host)
    if contract is None:
        raise Revert("NO_GOVERNMENT", "this chain has no contract that governs its members")
    info = BlockInfo(
        height=checkpoint.number,
        time_ms=checkpoint.time_ms,
        window=host.genesis.window_at(checkpoint.time_ms),
        parent_hash=checkpoint.parent_hash,
    )
    journal = Journal(state)
    version = read_schedule(journal).at(checkpoint.number + 1).version
    run = Run(host, journal, info, _GAS)
    ctx = CallContext(run, contract.ADDRESS, caller=contract.ADDRESS, sponsor=b"")
    contract.recover(ctx, members)
    keys = [member.node_key for member in members]
    new = following_set(read_members(journal), checkpoint.number, keys)
    write_members(journal, new)
    write_schedule(journal, first_schedule(version))
    changes = journal.changes()
    return CarriedOver(
        changes=changes, tree_update=tree.update(changes), members=new, protocol_version=version
    )


def succeed(
    genesis: Genesis,
    checkpoint: Header,
    *,
    before: MemberSet,
    members: Sequence[GenesisMember],
    protocol_version: int,
    state_root: Digest,
    file_hash: Digest,
) -> Genesis:
    """Return the genesis of the chain that follows `genesis`' after its `checkpoint`.

    Args:
        genesis: of the chain that ends.
        checkpoint: header of its last block that counts.
        before: the set that would seal the block above it.
        members: of the chain that follows.
        protocol_version: by whose rules its blocks are made.
        state_root: after block 0.
        file_hash: of the recovery file, on which the survivors have agreed.

    Raises:
        GenesisError: two of the members share what must be distinct.
        DecodeError: members or checkpoint that cannot be.
    """
    keys = [member.node_key for member in members]
    first_set = following_set(before, checkpoint.number, keys)
    return replace(
        genesis,
        members=tuple(members),
        protocol_version=protocol_version,
        recovered=Recovered(
            genesis_hash=genesis.hash,
            height=checkpoint.number,
            block_hash=checkpoint.hash,
            time_ms=checkpoint.time_ms,
            number=genesis.first_number + checkpoint.number,
            epoch=first_set.epoch,
            first_term=first_set.first_term,
            state_root=state_root,
            file_hash=file_hash,
        ),
    )
