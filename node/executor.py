"""Executes blocks on the head, once each: the overlay that was voted for is the one written.

Machine and tree only read the committed state, so an executed block is a value (`Executed`) that
either becomes the next head in one batch or is thrown away.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from consensus.certificates import Seal
from consensus.messages import SealedBlock
from crypto.codec import as_bytes, as_list, decode, encode
from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree
from node.errors import CorruptStore, NodeError, StorageError
from node.hand_over import HandOver
from node.storage.block_store import ChainStore
from node.storage.block_write import BlockWrite
from vm.activation import ActivationTransaction
from vm.block import Block, Header, block_digest, decode_block, encode_block
from vm.draft import Execution
from vm.errors import InvalidBlock, InvalidTransaction, TxReason
from vm.machine import Machine
from vm.members import MEMBERS_KEY, decode_members
from vm.receipt import RECEIPT_BYTES_MAX, Receipt, decode_receipt, encode_receipt, logs_bloom
from vm.transaction import Transaction
from vm.transaction import decode as decode_transaction

OVERLAYS_MAX = 4
"""Executed blocks above the head that are kept: one per view that got so far; others run again."""
RECEIPTS_BYTES_MAX = 64 << 20
"""Bound on reading our own store; a block's gas buys far less."""


@final
class Divergence(NodeError):
    """A sealed block does not execute here to the hash that the members sealed: stop loudly."""


@final
@dataclass(frozen=True, slots=True)
class Executed:
    """A block and what it does to the head's state."""

    digest: Digest
    body: bytes
    block: Block
    execution: Execution


@final
class Executor:
    """Builds, validates and applies blocks above the head of one store."""

    def __init__(
        self, machine: Machine, store: ChainStore, known: Mapping[bytes, Transaction]
    ) -> None:
        """Open the chain at its head; an empty store gets genesis.

        Args:
            machine: the rules.
            store: where blocks and state are.
            known: the mempool's transactions by raw bytes: decoded and recovered once.

        Raises:
            CorruptStore: head and state do not belong together.
            StorageError: the head is made by rules that the machine does not know.
            GenesisError: a contract refuses its parameters.
        """
        self._known = known
        self._machine = machine
        self._store = store
        self._tree = SparseMerkleTree(_Nodes(store))
        self._overlays: dict[Digest, Executed] = {}
        self._head = self._open()

    @property
    def head(self) -> Header:
        """Header of the newest block."""
        return self._head

    @property
    def tree(self) -> SparseMerkleTree:
        """The state tree at the head."""
        return self._tree

    def build(
        self,
        candidates: Iterable[Transaction],
        now_ms: int,
        activations: Iterable[ActivationTransaction] = (),
    ) -> tuple[Executed | None, list[tuple[Transaction, TxReason]]]:
        """Return a block of what can run among `candidates`, and the candidates that cannot.

        The first of `activations` that is valid goes in as well.

        None if nothing can. The block's time is the clock's, or the parent's + 1 if the clock is
        behind (rule 32).
        """
        time_ms = max(now_ms, self._head.time_ms + 1)
        tried: list[Transaction] = []
        built = self._machine.build_block(
            self._head,
            time_ms,
            _remembered(candidates, tried),
            self._store,
            self._tree,
            activations=activations,
        )
        if built is None:
            return None, self._refused(tried, time_ms)
        body = encode_block(built.block)
        executed = Executed(built.block.header.hash, body, built.block, built.execution)
        self.keep(executed)
        return executed, list(built.dropped)

    def _refused(
        self, candidates: list[Transaction], time_ms: int
    ) -> list[tuple[Transaction, TxReason]]:
        """Return those that could not even begin a block, and why."""
        refused = []
        for tx in candidates:
            try:
                self._machine.check_transaction(tx, self._store, time_ms)
            except InvalidTransaction as error:
                refused.append((tx, error.reason))
        return refused

    def validate(
        self, body: bytes, *, fresh_at_ms: int | None, senders: Sequence[bytes] = ()
    ) -> Executed:
        """Execute a proposed body on the head.

        Args:
            body: the encoded block.
            fresh_at_ms: the clock, if its time must be compared; None for a carried proposal.
            senders: who signed its transactions, as far as that was recovered (`node.senders`).

        Raises:
            InvalidBlock: it must not be voted for.
        """
        block = decode_block(body)
        if fresh_at_ms is not None:
            self._machine.check_time(self._head, block.header.time_ms, fresh_at_ms)
        digest = block.header.hash
        kept = self._overlays.get(digest)
        if kept is not None and kept.body == body:
            return kept
        known = self._decoded(block.transactions, senders) if senders else self._known
        execution = self._machine.execute_block(self._head, block, self._store, self._tree, known)
        executed = Executed(digest, body, block, execution)
        self.keep(executed)
        return executed

    def _decoded(
        self, raws: Sequence[bytes], senders: Sequence[bytes]
    ) -> Mapping[bytes, Transaction]:
        """Return the transactions whose senders are known: those were decoded before, elsewhere."""
        return {
            raw: self._known.get(raw) or decode_transaction(raw, sender)
            for raw, sender in zip(raws, senders, strict=True)
            if sender
        }

    def keep(self, executed: Executed) -> None:
        """Remember a block above the head, so that `apply` need not execute it again."""
        self._overlays[executed.digest] = executed
        while len(self._overlays) > OVERLAYS_MAX:
            del self._overlays[next(iter(self._overlays))]

    def reopen(self) -> None:
        """Go on from what the store holds now: its owner has put back an earlier content.

        Raises:
            CorruptStore: head and state do not belong together.
        """
        self._overlays.clear()
        self._head = self._open()

    def apply(self, sealed: SealedBlock, senders: Sequence[bytes] = ()) -> Executed | None:
        """Write a decided block durably and make it the head; None if it is there already.

        `senders` as in `validate`.

        Raises:
            Divergence: it is not valid here, or another block is decided at its height.
            StorageError: the disk fails.
        """
        if sealed.height <= self._head.number:
            if self._store.digest(sealed.height) != sealed.digest:
                raise Divergence(f"block {sealed.height} is decided twice, with two hashes")
            return None
        executed = self._overlays.get(sealed.digest) or self._rebuild(sealed, senders)
        self._write(executed, sealed.seal)
        return executed

    def _rebuild(self, sealed: SealedBlock, senders: Sequence[bytes]) -> Executed:
        try:
            executed = self.validate(sealed.body, fresh_at_ms=None, senders=senders)
        except InvalidBlock as error:
            raise Divergence(
                f"sealed block {sealed.height} {sealed.digest.hex()} is invalid here: {error}"
            ) from error
        if executed.digest != sealed.digest:
            raise Divergence(
                f"sealed block {sealed.height} {sealed.digest.hex()} has the hash "
                f"{executed.digest.hex()} here"
            )
        return executed

    def _write(self, executed: Executed, seal: Seal | None) -> None:
        execution = executed.execution
        logs = [log for receipt in execution.receipts for log in receipt.logs]
        header = executed.block.header
        self._store.write(
            BlockWrite(
                height=header.number,
                digest=executed.digest,
                body=executed.body,
                seal=seal,
                receipts=encode(execution.encoded_receipts),
                transaction_hashes=execution.tx_hashes,
                bloom=logs_bloom(logs) if logs else None,
                changes=execution.changes,
                nodes=execution.tree_update.nodes,
                hand_over=_hand_over(execution, seal),
            )
        )
        self._head = header
        self._overlays.clear()

    def _open(self) -> Header:
        """Write genesis into an empty store; otherwise check that head and state agree."""
        if self._store.head is None:
            return self._write_genesis()
        height, digest = self._store.head
        body = self._store.body(height)
        try:
            header = decode_block(body or b"").header
        except InvalidBlock as error:
            raise CorruptStore(f"head block {height} cannot be read: {error}") from error
        if header.version not in self._machine.protocols:
            raise StorageError(
                f"head block {height} is made by protocol version {header.version}, which this "
                "program does not support: install the version that made it, or a newer one"
            )
        if header.hash != digest or header.state_root != self._tree.root:
            raise CorruptStore(
                f"the state does not belong to head block {height}: move data/chain away and "
                "start again, the node fetches the chain from its peers"
            )
        return header

    def _write_genesis(self) -> Header:
        if self._machine.genesis.recovered is not None:
            raise StorageError(
                "the chain follows another one, and its first state cannot be computed from the "
                "genesis file: begin with `hearth recover apply`, or `hearth recover seed`"
            )
        execution = self._machine.genesis_execution()
        block = Block(execution.header, ())
        self._write(Executed(block.header.hash, encode_block(block), block, execution), None)
        return execution.header


def _hand_over(execution: Execution, seal: Seal | None) -> bytes | None:
    """Return the step into the next epoch, if the block begins one."""
    members = dict(execution.changes).get(MEMBERS_KEY)
    if members is None:
        return None
    return HandOver(execution.header, seal, decode_members(members)).to_bytes()


def _remembered(
    candidates: Iterable[Transaction], tried: list[Transaction]
) -> Iterator[Transaction]:
    """Yield the candidates and append each to `tried`."""
    for tx in candidates:
        tried.append(tx)
        yield tx


@final
class _Nodes:
    """The store's tree nodes as a `crypto.merkle.NodeStore`."""

    def __init__(self, store: ChainStore) -> None:
        self.get = store.node


def encode_receipts(receipts: Iterable[Receipt]) -> bytes:
    """Return the canonical list of encoded receipts."""
    return encode([encode_receipt(receipt) for receipt in receipts])


def decode_receipts(data: bytes) -> tuple[Receipt, ...]:
    """Return the receipts whose one encoding is `data`.

    Raises:
        DecodeError: another form.
    """
    items = as_list(decode(data, field="receipts", max_bytes=RECEIPTS_BYTES_MAX), "receipts")
    return tuple(
        decode_receipt(as_bytes(item, f"receipts[{place}]", max_length=RECEIPT_BYTES_MAX))
        for place, item in enumerate(items)
    )


NO_BLOCK = Digest(bytes(32))
"""Stands for the hash of what is no block."""


def digest_of(body: bytes) -> Digest:
    """Return the hash of an encoded block; NO_BLOCK if it is none (`Replica.digest_of`)."""
    try:
        return block_digest(body)
    except InvalidBlock:
        return NO_BLOCK
