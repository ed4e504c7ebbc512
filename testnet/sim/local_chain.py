"""A chain in one process: the real machine and contracts, blocks when a caller says so, in memory.

What a node adds (consensus, disk, network, mempool limits) is left out; what a transaction does is
not. Every block is built, executed once more as another replica would, and then written.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from crypto.errors import DecodeError
from crypto.merkle import SparseMerkleTree
from market.agents.errors import CallFailed, TransactionRefused
from market.agents.events import decode_result, encode_call
from market.agents.observations import BlockSeen, TransactionStatus
from vm.block import Header
from vm.errors import InvalidTransaction
from vm.genesis import Genesis
from vm.machine import Execution, Machine
from vm.native import NativeContract
from vm.receipt import Receipt
from vm.transaction import Transaction, decode

CALL_GAS = 50_000_000
"""For views; nobody's quota."""


@final
class LocalChain:
    """State, head and pending transactions of one chain."""

    def __init__(self, genesis: Genesis, natives: Sequence[NativeContract]) -> None:
        self.machine = Machine(genesis, natives)
        self.state: dict[bytes, bytes] = {}
        self._nodes: dict[bytes, bytes] = {}
        self._pending: list[Transaction] = []
        self.head: Header
        self.blocks: list[BlockSeen] = []
        """All blocks after genesis, in order."""
        self.receipts: list[tuple[Receipt, ...]] = []
        """Of each of `blocks`."""
        self._write(self.machine.genesis_execution())

    def submit(self, raw: bytes, time_ms: int) -> bytes:
        """Take a signed transaction for the next block and return its hash.

        Raises:
            TransactionRefused: malformed, not admissible at `time_ms`, or not the next nonce.
        """
        try:
            tx = decode(raw)
            sender = tx.sender()
            expected = self.next_nonce(sender)
            if tx.nonce != expected:
                word = "low" if tx.nonce < expected else "high"
                raise TransactionRefused(f"nonce too {word}: next is {expected}, got {tx.nonce}")
            if expected == self.machine.next_nonce(self.state, sender):
                self.machine.check_transaction(tx, self.state, time_ms)
        except (DecodeError, InvalidTransaction) as error:
            raise TransactionRefused(str(error)) from None
        self._pending.append(tx)
        return tx.hash

    def next_nonce(self, address: bytes) -> int:
        """Return the account's next nonce, pending transactions counted."""
        pending = sum(tx.sender() == address for tx in self._pending)
        return self.machine.next_nonce(self.state, address) + pending

    def mine(self, time_ms: int) -> BlockSeen | None:
        """Seal a block of what is pending and due at `time_ms`; None when there is nothing."""
        if time_ms <= self.head.time_ms:
            time_ms = self.head.time_ms + 1
        if not self._pending and not self.machine.is_due(self.state, time_ms):
            return None
        tree = SparseMerkleTree(self._nodes)
        parent = self.head
        built = self.machine.build_block(parent, time_ms, self._pending, self.state, tree)
        if built is None:
            self._pending.clear()
            return None
        known = {tx.raw: tx for tx in self._pending}
        again = self.machine.execute_block(parent, built.block, self.state, tree, known)
        assert again.header == built.execution.header, "a block executes as it was built"
        self._write(again)
        sealed = set(again.tx_hashes)
        dropped = {tx.hash for tx, _ in built.dropped}
        seen = self._describe(again, known, built.block.transactions)
        self._pending = [
            tx for tx in self._pending if tx.hash not in sealed and tx.hash not in dropped
        ]
        self.blocks.append(seen)
        self.receipts.append(again.receipts)
        return seen

    def call(self, to: bytes, data: bytes, time_ms: int) -> bytes:
        """Call a view at the head as of `time_ms`.

        Raises:
            CallFailed: it reverted.
        """
        result = self.machine.call(
            self.head,
            self.state,
            sender=bytes(20),
            to=to,
            data=data,
            gas=CALL_GAS,
            time_ms=time_ms,
        )
        if not result.status:
            raise CallFailed(f"reverted: {result.output.hex()}")
        return result.output

    def view(self, contract: str, function: str, *args: Any, time_ms: int = 0) -> list[Any]:
        """Call a view of ours and return its decoded values; raises `CallFailed`."""
        to, data = encode_call(contract, function, args)
        return list(decode_result(contract, function, self.call(to, data, time_ms)))

    def _write(self, execution: Execution) -> None:
        _apply(self.state, dict(execution.changes))
        _apply(self._nodes, execution.tree_update.nodes)
        self.head = execution.header

    def _describe(
        self, execution: Execution, known: Mapping[bytes, Transaction], raws: Sequence[bytes]
    ) -> BlockSeen:
        statuses = []
        events = []
        for raw, receipt in zip(raws, execution.receipts, strict=True):
            events += [(log.address, tuple(log.topics), log.data) for log in receipt.logs]
            tx = known.get(raw)
            if tx is not None:  # The deadline transaction has no sender.
                status = TransactionStatus(
                    hash=tx.hash, sender=tx.sender(), is_success=receipt.status == 1
                )
                statuses.append(status)
        return BlockSeen(
            height=execution.header.number,
            time_ms=execution.header.time_ms,
            transactions=tuple(statuses),
            events=tuple(events),
        )


def _apply(target: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
