"""The chain as the rest of the node sees it: reads at the head, admission, and what is new.

Everything here is synchronous and runs on the node's one event loop; a block is visible to readers
once it is durable, never before.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final, final

from consensus.certificates import Head, Seal
from consensus.light import Attestation
from consensus.membership import Height, Membership
from consensus.messages import SealedBlock
from crypto.errors import DecodeError
from crypto.hashing import Digest, keccak256
from crypto.merkle import SparseMerkleTree
from node.errors import CorruptStore
from node.executor import Executed, Executor, decode_receipts
from node.hand_over import HandOver, membership_of
from node.log_query import LogQuery, log_entries
from node.mempool import Account, Mempool, MempoolConfig
from node.records import BlockRecord, ConsensusStatus, LogEntry, NodeStatus
from node.storage.block_store import ChainStore
from vm.accounts import changed_addresses, quota_used, read_account
from vm.activation import ActivationTransaction
from vm.block import Block, Header, decode_block
from vm.errors import InvalidBlock, InvalidTransaction, TxReason
from vm.execute import check_alone
from vm.genesis import Genesis
from vm.machine import AccountInfo, CallResult, Machine
from vm.members import read_members
from vm.receipt import Receipt
from vm.state import StateReader
from vm.transaction import Transaction, decode

VERSION: Final = "0.1.0"
LOG_BYTES_MAX = 8 << 20
"""Data of the logs that one query collects: a block's gas buys megabytes of them."""
RECORDS_MAX = 16
"""Decoded blocks kept for readers that ask for the newest ones again and again."""


@final
class Chain:
    """One node's chain with its mempool."""

    def __init__(
        self,
        machine: Machine,
        store: ChainStore,
        *,
        now_ms: Callable[[], int],
        mempool: MempoolConfig | None = None,
    ) -> None:
        """Open the chain in `store`; an empty store gets genesis.

        Args:
            machine: the rules, with the genesis.
            store: the database, which the caller closes.
            now_ms: the wall clock, Unix milliseconds.
            mempool: limits of admission.
        """
        self.machine = machine
        self.store = store
        self.now_ms = now_ms
        self.pool = Mempool(config=mempool or MempoolConfig(), accounts=_Accounts(self))
        self.executor = Executor(machine, store, self.pool.known)
        self._on_block: list[Callable[[BlockRecord], None]] = []
        self._on_reopen: list[Callable[[], None]] = []
        self._on_transaction: list[Callable[[Transaction, bool], None]] = []
        self._consensus: Callable[[], ConsensusStatus] | None = None
        self._why: Callable[[], list[str]] | None = None
        self.attester: Callable[[bytes], Attestation | None] | None = None
        """Signs a light client's nonce, where there is a replica that may (`ConsensusDriver`)."""
        self._record = lru_cache(RECORDS_MAX)(self._read_record)
        self._members = lru_cache(1)(self._read_members)
        self._epochs = lru_cache(1)(self._read_epochs)
        self._steps: tuple[HandOver, ...] = ()
        self.activations: Callable[[], Sequence[ActivationTransaction]] = tuple
        """What the members' READYs make possible now, where the node gathers them."""

    # The head.

    @property
    def genesis(self) -> Genesis:
        """What all nodes of the chain share."""
        return self.machine.genesis

    @property
    def chain_id(self) -> int:
        """Ethereum's chain id, from the genesis hash."""
        return self.genesis.chain_id

    @property
    def head(self) -> Header:
        """Header of the newest sealed block."""
        return self.executor.head

    @property
    def height(self) -> int:
        """Height of the newest sealed block."""
        return self.executor.head.number

    @property
    def oldest_block(self) -> int:
        """Lowest height from which on all blocks are kept; above 0 where a snapshot began.

        Block 0 is there in any case.
        """
        first = self.store.first
        return 0 if first == 1 else first

    @property
    def tree(self) -> SparseMerkleTree:
        """The state tree at the head."""
        return self.executor.tree

    def state(self) -> StateReader:
        """Return the state at the head; it moves with the head."""
        return self.store

    def state_at(self, height: int) -> StateReader:
        """Return the state after the block at `height`; it does not move with the head.

        Raises:
            HistoryUnavailable: it is not kept (`state.history_blocks`), or lies above the head.
                So may a read once the head has gone on.
        """
        return self.store.past(height)

    def sealed_head(self) -> Head:
        """Return the head with its seal, as a replica starts from it."""
        height = Height(self.height)
        return Head(height=height, digest=self.store.digest(height), seal=self.store.seal(height))

    def membership(self) -> Membership:
        """Return the member set that seals the block above the head."""
        return self._members(self.head.next_members_hash)

    def _read_members(self, _hash: Digest) -> Membership:
        return membership_of(read_members(self.store))

    def membership_at(self, height: int) -> Membership:
        """Return the member set that seals the block at `height`, 1 to the head's plus one."""
        if not 1 <= height <= self.height + 1:
            raise ValueError(f"height must lie in 1..{self.height + 1}, got {height}")
        epochs = self._epochs(self.head.next_members_hash)
        place = bisect_right(epochs, height, key=lambda step: step.members.first_height)
        return epochs[place - 1].membership

    def epochs(self) -> tuple[HandOver, ...]:
        """Return the steps into all epochs up to the present one."""
        return self._epochs(self.head.next_members_hash)

    def base_digest(self) -> Digest:
        """Return the hash of the block below the present epoch, which its members build on."""
        return self._epochs(self.head.next_members_hash)[-1].header.hash

    def _read_epochs(self, _hash: Digest) -> tuple[HandOver, ...]:
        above = self._steps[-1].members.first_height + 1 if self._steps else 0
        try:
            rows = self.store.hand_overs(above)
            self._steps += tuple(HandOver.from_bytes(data) for _, data in rows)
        except DecodeError as error:
            raise CorruptStore(f"an epoch's first block cannot be read: {error}") from error
        return self._steps

    def prove(self, key: bytes) -> bytes:
        """Return the Merkle proof of a state key, or of its absence, under the head's root."""
        return self.tree.prove(key).to_bytes()

    # Blocks.

    def header(self, block: int | bytes) -> Header | None:
        """Return the header of the block with this height or hash, or None."""
        record = self.record(block)
        return None if record is None else record.header

    def block(self, block: int | bytes) -> Block | None:
        """Return the block with this height or hash, or None."""
        record = self.record(block)
        return None if record is None else Block(record.header, record.transactions)

    def record(self, block: int | bytes) -> BlockRecord | None:
        """Return all of the block with this height or hash; None if it is not there or not kept."""
        height = self.store.height_of(block) if isinstance(block, bytes) else block
        if height is None or not 0 <= height <= self.height or 0 < height < self.store.first:
            return None
        return self._record(height)

    def seal(self, height: int) -> Seal | None:
        """Return the seal of the block at `height`; None for genesis and above the head."""
        return self.store.seal(height)

    def receipts(self, height: int) -> tuple[Receipt, ...] | None:
        """Return the receipts of the block at `height`, or None above the head."""
        record = self.record(height)
        return None if record is None else record.receipts

    def transaction(self, digest: bytes) -> tuple[int, int, bytes] | None:
        """Return (height, index, raw) of the sealed transaction with this hash, or None."""
        place = self.store.transaction(digest)
        if place is None:
            return None
        height, index = place
        return height, index, self._record(height).transactions[index]

    def pending_transaction(self, digest: bytes) -> Transaction | None:
        """Return the transaction with this hash that waits in the mempool, or None."""
        return self.pool.get(digest)

    def logs(
        self,
        first: int,
        last: int,
        addresses: Collection[bytes],
        topics: Sequence[Collection[bytes] | None],
        limit: int,
        *,
        bytes_max: int = LOG_BYTES_MAX,
    ) -> list[LogEntry]:
        """Return the logs of the blocks first..last that match, in order, at most `limit`.

        Args:
            first: height, from 0.
            last: height; above the head means the head.
            addresses: of contracts; empty for all.
            topics: for each place the topics that are allowed, None or empty for any.
            limit: so many are returned at most: ask for one more than you want to see a cut.
            bytes_max: the block in which the logs' data exceed this is the last that is read.
        """
        query = LogQuery(frozenset(addresses), tuple(frozenset(each or ()) for each in topics))
        found: list[LogEntry] = []
        size = 0
        for height, bloom in self.store.blooms(max(first, 0), min(last, self.height)):
            if not query.may_match(bloom):
                continue
            entries = [e for e in log_entries(self._record(height)) if query.matches(e.log)]
            found += entries
            size += sum(len(entry.log.data) for entry in entries)
            if len(found) >= limit or size > bytes_max:
                break
        return found[:limit]

    # Calls.

    def call(self, to: bytes, data: bytes, *, sender: bytes, gas: int) -> CallResult:
        """Execute a call on the head's state at the present time, without effect."""
        return self.machine.call(
            self.head, self.store, sender=sender, to=to, data=data, gas=gas, time_ms=self.now_ms()
        )

    def account(self, address: bytes) -> AccountInfo:
        """Return nonce, sponsor and remaining quota of an address at the present time."""
        return self.machine.account_info(self.store, address, self._next_time_ms())

    def pending_nonce(self, address: bytes) -> int:
        """Return the nonce that the sender's next transaction should have."""
        waiting = self.pool.pending_nonce(address)
        return self.machine.next_nonce(self.store, address) if waiting is None else waiting

    # Admission.

    def submit(self, raw: bytes, *, is_own: bool = True) -> bytes:
        """Admit a raw transaction into the mempool and return its hash.

        That is no promise: it is acknowledged when it is sealed.

        Args:
            raw: the encoded transaction.
            is_own: came by our RPC, so our peers have to be told.

        Raises:
            InvalidTransaction: it is not valid, or not now.
            MempoolFull: no room, with the time after which to try again.
        """
        digest = keccak256(raw)
        if digest in self.pool:
            raise InvalidTransaction(TxReason.ALREADY_KNOWN, "tx", f"0x{digest.hex()}")
        tx = decode(raw)
        self.admit(tx, is_own=is_own)
        return tx.hash

    def admit(self, tx: Transaction, *, is_own: bool) -> None:
        """Admit a decoded transaction, as `submit` does."""
        check_alone(self.genesis, tx)
        self.pool.add(tx, self.now_ms(), is_own=is_own)
        for callback in self._on_transaction:
            callback(tx, is_own)

    def has_work(self) -> bool:
        """Whether a block made now would hold anything: a due deadline or a transaction."""
        now_ms = self._next_time_ms()
        if self.machine.is_due(self.store, now_ms) or self.pool.has_executable(now_ms):
            return True
        return any(self._may_activate(tx, now_ms) for tx in self.activations())

    def _may_activate(self, tx: ActivationTransaction, now_ms: int) -> bool:
        try:
            self.machine.check_activation(tx, self.head, self.store, now_ms)
        except InvalidTransaction:
            return False
        return True

    def next_work_ms(self) -> int | None:
        """Return when time alone may bring work: the next deadline, or new quotas."""
        due = self.machine.next_due(self.store)
        if not len(self.pool):
            return due
        genesis = self.genesis
        window = genesis.window_at(self._next_time_ms()) + 1
        new_quota = genesis.time_ms + window * genesis.window_ms
        return new_quota if due is None else min(due, new_quota)

    # Status.

    def attach(self, status: Callable[[], ConsensusStatus], why: Callable[[], list[str]]) -> None:
        """Take over the replica's account of itself, once there is one."""
        self._consensus, self._why = status, why

    def status(self) -> NodeStatus:
        """Return the node at a glance; `attach` comes before."""
        assert self._consensus is not None, "app attaches the driver before anybody asks"
        consensus, head = self._consensus(), self.head
        return NodeStatus(
            height=head.number,
            hash=self.store.digest(head.number),
            state_root=head.state_root,
            epoch=consensus.epoch,
            term=consensus.term,
            view=consensus.view,
            primary=consensus.primary,
            is_learner=consensus.is_learner,
            peers_up=consensus.peers_up,
            pending=len(self.pool),
            time_ms=head.time_ms,
            version=VERSION,
        )

    def why(self) -> list[str]:
        """Return in words why nothing progresses and who is missing; empty if all is well."""
        assert self._why is not None, "app attaches the driver before anybody asks"
        return self._why()

    # Progress.

    def reopen(self) -> None:
        """Go on from what the store holds now: a chain for developers was put back.

        The mempool is the caller's to put back (`Mempool.restore`).
        """
        self.store.reopen()
        self.executor.reopen()
        self._record.cache_clear()
        self._members.cache_clear()
        self._epochs.cache_clear()
        self._steps = ()
        for callback in self._on_reopen:
            callback()

    def build(self) -> Executed | None:
        """Return a block of what waits, executed on the head; None if nothing can run."""
        executed, dropped = self.executor.build(
            self.pool.candidates(), self.now_ms(), self.activations()
        )
        for tx, reason in dropped:
            if reason not in _MAY_PASS:
                self.pool.remove(tx.hash)
        return executed

    def apply(self, sealed: SealedBlock, senders: Sequence[bytes] = ()) -> BlockRecord | None:
        """Write a decided block, make it the head and tell everybody; None if it was known.

        `senders`: of its transactions, where they were recovered before (`node.senders`).
        """
        executed = self.executor.apply(sealed, senders)
        if executed is None:
            return None
        execution = executed.execution
        self.pool.on_block(changed_addresses(execution.changes), self.now_ms())
        record = BlockRecord(
            height=sealed.height,
            hash=sealed.digest,
            header=execution.header,
            seal=sealed.seal,
            receipts=execution.receipts,
            transactions=executed.block.transactions,
            transaction_hashes=execution.tx_hashes,
        )
        for callback in self._on_block:
            callback(record)
        return record

    def on_block(self, callback: Callable[[BlockRecord], None]) -> None:
        """Have `callback` called for each new block, in order, once it is durable."""
        self._on_block.append(callback)

    def on_reopen(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the chain goes on from another head."""
        self._on_reopen.append(callback)

    def on_transaction(self, callback: Callable[[Transaction, bool], None]) -> None:
        """Have `callback(transaction, is_own)` called for each admitted transaction."""
        self._on_transaction.append(callback)

    def _next_time_ms(self) -> int:
        """Return the time that a block made now would have."""
        return max(self.now_ms(), self.head.time_ms + 1)

    def _read_record(self, height: int) -> BlockRecord:
        body, receipts = self.store.body(height), self.store.receipts(height)
        if body is None or receipts is None:
            raise CorruptStore(f"block {height} is missing below the head")
        try:
            block = decode_block(body)
            return BlockRecord(
                height=height,
                hash=self.store.digest(height),
                header=block.header,
                seal=self.store.seal(height),
                receipts=decode_receipts(receipts),
                transactions=block.transactions,
                transaction_hashes=tuple(keccak256(raw) for raw in block.transactions),
            )
        except (InvalidBlock, DecodeError) as error:
            raise CorruptStore(f"block {height} cannot be read: {error}") from error


_MAY_PASS = frozenset((TxReason.NONCE_TOO_HIGH, TxReason.QUOTA_EXCEEDED))
"""Reasons that a later block may lift; after any other a transaction leaves the pool."""


@final
class _Accounts:
    """The head's accounts as the mempool asks for them."""

    def __init__(self, chain: Chain) -> None:
        self._store = chain.store
        self._genesis = chain.machine.genesis

    def account(self, address: bytes) -> Account | None:
        found = read_account(self._store, address)
        return Account(found.nonce, found.sponsor) if found.sponsor else None

    def gas_left(self, sponsor: bytes, now_ms: int) -> int:
        window = self._genesis.window_at(now_ms)
        return self._genesis.quota_gas - quota_used(self._store, sponsor, window)
