"""A block in the making: receipts and gas so far, and the header that they add up to."""

from dataclasses import dataclass
from typing import final

from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree, TreeUpdate
from crypto.merkle_list import list_root
from vm.block import BLOCK_BYTES_MAX, BLOCK_TXS_MAX, HEADER_BYTES, Block, Header
from vm.context import BlockInfo
from vm.errors import BlockReason, InvalidBlock
from vm.evm.program import Codes
from vm.members import members_hash
from vm.receipt import Receipt, encode_receipt
from vm.state import Changes, Journal
from vm.transaction import Transaction

_ITEM_OVERHEAD_BYTES = 5  # Of a byte string in msgpack, at most.


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A block's effects, ready to be written in one batch if the block is sealed."""

    header: Header
    receipts: tuple[Receipt, ...]
    """One for each transaction, in order."""
    encoded_receipts: tuple[bytes, ...]
    """The same, each in its one encoding."""
    changes: Changes
    """Net changes of the state, ascending by key."""
    tree_update: TreeUpdate
    tx_hashes: tuple[bytes, ...]
    """Keccak-256 of each raw transaction, 32 bytes."""


@final
class Draft:
    """What has been executed so far, in order; one owner, used once."""

    def __init__(self, journal: Journal, info: BlockInfo, version: int) -> None:
        self.journal = journal
        self.info = info
        self.version = version
        """Protocol by whose rules it is made."""
        self.raws: list[bytes] = []
        self.hashes: list[bytes] = []
        self.receipts: list[Receipt] = []
        self.gas_used = 0
        self.compute_used = 0
        self.codes = Codes()
        """Run so far."""
        self.bytes_left = BLOCK_BYTES_MAX - HEADER_BYTES - 4 * _ITEM_OVERHEAD_BYTES

    def has_room_for(self, tx: Transaction) -> bool:
        """Return whether the block has bytes left for `tx`."""
        return len(tx.raw) + _ITEM_OVERHEAD_BYTES <= self.bytes_left

    def add(self, raw: bytes, tx_hash: bytes, receipt: Receipt, compute: int) -> None:
        """Append an executed transaction, and what it computed."""
        self.raws.append(raw)
        self.hashes.append(tx_hash)
        self.receipts.append(receipt)
        self.gas_used += receipt.gas_used
        self.compute_used += compute
        self.bytes_left -= len(raw) + _ITEM_OVERHEAD_BYTES

    def finish(self, parent_hash: Digest, tree: SparseMerkleTree) -> Execution:
        """Return the block's effects; `tree` stands over the state before it."""
        changes = self.journal.changes()
        update = tree.update(changes)
        encoded = tuple([encode_receipt(receipt) for receipt in self.receipts])
        header = Header(
            version=self.version,
            number=self.info.height,
            parent_hash=parent_hash,
            time_ms=self.info.time_ms,
            transactions_root=list_root(self.raws),
            state_root=update.root,
            receipts_root=list_root(encoded),
            next_members_hash=members_hash(self.journal),
            gas_used=self.gas_used,
        )
        return Execution(
            header=header,
            receipts=tuple(self.receipts),
            encoded_receipts=encoded,
            changes=changes,
            tree_update=update,
            tx_hashes=tuple(self.hashes),
        )


def check_place(parent: Header, block: Block) -> None:
    """Compare number, parent and time with the header before, or raise InvalidBlock."""
    header, number = block.header, parent.number + 1
    if header.number != number:
        message = f"must be {number}, got {header.number}"
        raise InvalidBlock(BlockReason.WRONG_NUMBER, "header.number", message)
    if header.parent_hash != parent.hash:
        message = f"must be {parent.hash.hex()}, got {header.parent_hash.hex()}"
        raise InvalidBlock(BlockReason.WRONG_PARENT, "header.parent_hash", message)
    if header.time_ms <= parent.time_ms:
        message = f"must be above {parent.time_ms}, got {header.time_ms}"
        raise InvalidBlock(BlockReason.BAD_TIME, "header.time_ms", message)
    if not block.transactions:
        raise InvalidBlock(BlockReason.EMPTY, "transactions", "must not be empty")
    if len(block.transactions) > BLOCK_TXS_MAX:
        message = f"must be at most {BLOCK_TXS_MAX}, got {len(block.transactions)}"
        raise InvalidBlock(BlockReason.OVERSIZED, "transactions", message)


_COMPARED = {
    "transactions_root": BlockReason.WRONG_TRANSACTIONS_ROOT,
    "gas_used": BlockReason.WRONG_GAS_USED,
    "receipts_root": BlockReason.WRONG_RECEIPTS_ROOT,
    "state_root": BlockReason.WRONG_STATE_ROOT,
    "next_members_hash": BlockReason.WRONG_MEMBERS_HASH,
}
"""In this order: what differs first is nearest to the cause."""


def check_header(claimed: Header, computed: Header) -> None:
    """Compare what a proposer claims with what execution gave, or raise InvalidBlock."""
    for name, reason in _COMPARED.items():
        theirs, ours = getattr(claimed, name), getattr(computed, name)
        if theirs != ours:
            if isinstance(ours, bytes):
                theirs, ours = theirs.hex(), ours.hex()
            raise InvalidBlock(reason, f"header.{name}", f"must be {ours}, got {theirs}")
    assert claimed == computed, "all other fields were compared before execution"
