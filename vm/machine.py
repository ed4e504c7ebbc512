"""The rules of a block: how one is built, checked, executed and asked about.

Building and executing share every step, so what one replica builds the others compute alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import final

from crypto.merkle import SparseMerkleTree
from vm import accounts, contract_state, deadlines, gas, questions
from vm.activate import check_activation, execute_activation, fill_activation
from vm.activation import ActivationTransaction, is_activation
from vm.block import BLOCK_TXS_MAX, Block, Header
from vm.context import BlockInfo, Host
from vm.draft import Draft, Execution, check_header, check_place
from vm.errors import (
    BlockReason,
    GenesisError,
    InvalidBlock,
    InvalidTransaction,
    TxReason,
    UnsupportedProtocol,
)
from vm.evm.tracing import Tracer
from vm.execute import (
    Meters,
    apply_deadlines,
    apply_transaction,
    check_alone,
    check_in_state,
    is_due,
)
from vm.first_block import first_header, found
from vm.genesis import Genesis
from vm.native import NativeContract
from vm.protocol import missing_step, read_schedule
from vm.questions import AccountInfo, CallResult, Question
from vm.receipt import Receipt
from vm.state import Changes, Journal, StateReader
from vm.transaction import DEADLINE_TYPE, AccessList, DeadlineTransaction, Transaction, decode
from vm.versions import SUPPORTED_PROTOCOLS

__all__ = ["AccountInfo", "Built", "CallResult", "Execution", "Machine"]

TIME_TOLERANCE_MS = 5_000
"""How far a fresh proposal's time may lie ahead of a replica's clock."""

_ATTEMPT = 500
"""Compute of trying a transaction for which next to nothing is left."""
_NO_ROOM = (TxReason.EXCEEDS_BLOCK_GAS, TxReason.EXCEEDS_BLOCK_COMPUTE)
"""Reasons for which a transaction waits for the next block."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A block that this node proposes."""

    block: Block
    execution: Execution
    dropped: tuple[tuple[Transaction, TxReason], ...]
    """Candidates that were invalid at their place. Those that had no room are not among them."""
    void_activations: tuple[ActivationTransaction, ...] = ()
    """Activations that were offered and are not in the block: not valid, or not any more."""


@final
class Machine:
    """The rules of one chain. Holds no state; the same arguments give the same answer.

    Args:
        genesis: what all nodes share.
        natives: the native contracts, in the order in which their genesis hooks run.
        protocols: versions of the rules that it executes, genesis' among them.

    Raises:
        GenesisError: parameters for a contract that does not exist.
    """

    def __init__(
        self,
        genesis: Genesis,
        natives: Sequence[NativeContract],
        *,
        protocols: Sequence[int] = SUPPORTED_PROTOCOLS,
    ) -> None:
        self.genesis = genesis
        self.protocols = tuple(protocols)
        if genesis.protocol_version not in self.protocols:
            message = f"{genesis.protocol_version} is not supported"
            raise GenesisError("protocol_version", message)
        self.contracts = MappingProxyType({each.ADDRESS: each for each in natives})
        assert len(self.contracts) == len(natives), "contracts have distinct addresses"
        names = {each.NAME for each in natives}
        for name in genesis.contracts:
            if name not in names:
                raise GenesisError(f"contracts.{name}", "is not known")
        params = {each.ADDRESS: genesis.contracts.get(each.NAME, {}) for each in natives}
        self._host = Host(
            genesis=genesis,
            contracts=self.contracts,
            params=params,
            first_hash=lambda: self.first_header.hash,
        )

    @property
    def host(self) -> Host:
        """What is the same for every call on this chain."""
        return self._host

    # Genesis.

    @cached_property
    def first_header(self) -> Header:
        """Header of block 0, which everybody computes from the genesis file; or GenesisError."""
        recovered = self.genesis.recovered
        if recovered is not None:
            return first_header(self.genesis, recovered)
        return self.genesis_execution().header

    def genesis_execution(self) -> Execution:
        """Return block 0 as an execution over the empty state; not of a recovered chain.

        Raises:
            GenesisError: a contract refuses its parameters.
        """
        return found(self._host)

    def genesis_state(self) -> tuple[Changes, Header]:
        """Return the first state as changes over nothing, and the header of block 0."""
        execution = self.genesis_execution()
        return execution.changes, execution.header

    # Blocks.

    def execute_block(
        self,
        parent: Header,
        block: Block,
        state: StateReader,
        tree: SparseMerkleTree,
        known: Mapping[bytes, Transaction] = MappingProxyType({}),
    ) -> Execution:
        """Execute `block` on the state after `parent` and compare what comes out.

        The time is checked against the parent only; for fresh proposals see `check_time`.

        Args:
            parent: header of the block before.
            block: from a stranger.
            state: the state after `parent`.
            tree: the Merkle tree over it.
            known: decoded transactions by raw bytes, so that nothing is verified twice.

        Raises:
            InvalidBlock: naming the field that is wrong.
            UnsupportedProtocol: it is made by rules that this software does not know.
        """
        check_place(parent, block)
        draft = self._open(parent, block.header.time_ms, state)
        if block.header.version != draft.version:
            message = f"must be {draft.version}, got {block.header.version}"
            raise InvalidBlock(BlockReason.WRONG_VERSION, "header.version", message)
        raws = self._execute_deadlines(draft, block.transactions)
        raws = execute_activation(self._host, draft, raws)
        for index, raw in enumerate(raws, start=len(draft.raws)):
            try:
                tx = known.get(raw) or decode(raw)
                self._apply(draft, tx)
            except InvalidTransaction as error:
                field = f"transactions[{index}].{error.field.removeprefix('tx.')}"
                message = f"{error.reason.text}: {error.message}"
                raise InvalidBlock(BlockReason.INVALID_TRANSACTION, field, message) from error
        execution = draft.finish(parent.hash, tree)
        check_header(block.header, execution.header)
        return execution

    def build_block(
        self,
        parent: Header,
        time_ms: int,
        candidates: Iterable[Transaction],
        state: StateReader,
        tree: SparseMerkleTree,
        *,
        activations: Iterable[ActivationTransaction] = (),
    ) -> Built | None:
        """Return the block of what is due and of those `candidates` that can be executed, in order.

        Args:
            parent: header of the block before.
            time_ms: above the parent's.
            candidates: in the order in which the mempool serves them.
            state: the state after `parent`.
            tree: the Merkle tree over it.
            activations: of accepted proposals; the first that is valid goes in, and no other.

        Returns:
            None when nothing is executable: there are no empty blocks.

        Raises:
            UnsupportedProtocol: the next block is due by rules that this software does not know.
        """
        assert time_ms > parent.time_ms, "time must increase"
        draft = self._open(parent, time_ms, state)
        if is_due(draft.journal, time_ms):
            self._apply_deadlines(draft, DeadlineTransaction(draft.info.height))
        void = fill_activation(self._host, draft, activations)
        dropped = self._fill(draft, candidates)
        if not draft.raws:
            return None
        execution = draft.finish(parent.hash, tree)
        block = Block(execution.header, tuple(draft.raws))
        return Built(block=block, execution=execution, dropped=dropped, void_activations=void)

    def _fill(
        self, draft: Draft, candidates: Iterable[Transaction]
    ) -> tuple[tuple[Transaction, TxReason], ...]:
        """Execute candidates while there is room; return the invalid ones."""
        limit = self.genesis.block_gas_limit
        spare = gas.tx_compute_limit(self.genesis.block_compute_limit)
        dropped: list[tuple[Transaction, TxReason]] = []
        waiting: set[bytes] = set()  # Senders with a transaction for which there was no room.
        for tx in candidates:
            if draft.gas_used + gas.TX_BASE > limit or len(draft.raws) == BLOCK_TXS_MAX:
                break
            if spare <= 0:
                break  # What had to be undone cost time, too: half a block's compute, no more.
            try:
                sender = tx.sender()
                if sender in waiting or not draft.has_room_for(tx):
                    waiting.add(sender)
                    continue
                self._apply(draft, tx)
            except InvalidTransaction as error:
                if error.reason is TxReason.EXCEEDS_BLOCK_COMPUTE:
                    spare -= _ATTEMPT + self.genesis.block_compute_limit - draft.compute_used
                if error.reason in _NO_ROOM:
                    waiting.add(tx.sender())
                else:
                    dropped.append((tx, error.reason))
        return tuple(dropped)

    def _open(self, parent: Header, time_ms: int, state: StateReader) -> Draft:
        info = self._info(parent.number + 1, time_ms, parent.hash)
        journal = Journal(state)
        schedule = read_schedule(journal)
        missing = missing_step(schedule, info.height, self.protocols)
        if missing is not None:
            raise UnsupportedProtocol(missing.version, info.height)
        contract_state.remember_parent(journal, info.height, info.parent_hash)
        return Draft(journal, info, schedule.at(info.height).version)

    def _info(self, height: int, time_ms: int, parent_hash: bytes) -> BlockInfo:
        return BlockInfo(
            height=height,
            time_ms=time_ms,
            window=self.genesis.window_at(time_ms),
            parent_hash=parent_hash,
        )

    def _info_at(self, header: Header, time_ms: int | None) -> BlockInfo:
        """Return the head's block as a call sees it, at the present time."""
        now_ms = max(header.time_ms, time_ms or 0)
        return self._info(header.number, now_ms, header.parent_hash)

    def _execute_deadlines(self, draft: Draft, raws: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Run what is due; return the transactions that follow."""
        is_there = raws[0][:1] == bytes((DEADLINE_TYPE,))
        if not is_due(draft.journal, draft.info.time_ms):
            if is_there:
                message = f"nothing is due at {draft.info.time_ms}"
                raise InvalidBlock(BlockReason.DEADLINE_NOT_DUE, "transactions[0]", message)
            return raws
        deadline = DeadlineTransaction(draft.info.height)
        if raws[0] != deadline.raw:
            message = f"must be 0x{deadline.raw.hex()}: a deadline is due"
            raise InvalidBlock(BlockReason.DEADLINE_MISSING, "transactions[0]", message)
        self._apply_deadlines(draft, deadline)
        return raws[1:]

    def _apply_deadlines(self, draft: Draft, deadline: DeadlineTransaction) -> None:
        receipt = apply_deadlines(self._host, draft.journal, draft.info)
        draft.add(deadline.raw, deadline.hash, receipt, gas.native_compute(receipt.gas_used))

    def _apply(self, draft: Draft, tx: Transaction, tracer: Tracer | None = None) -> None:
        """Append a transaction to the draft, or raise InvalidTransaction and leave it as it is."""
        before = Meters(gas=draft.gas_used, compute=draft.compute_used)
        place = self._host, draft.journal, draft.info
        applied = apply_transaction(*place, tx, before=before, tracer=tracer, codes=draft.codes)
        draft.add(tx.raw, tx.hash, applied.receipt, applied.compute)

    @staticmethod
    def check_time(
        parent: Header, time_ms: int, now_ms: int, tolerance_ms: int = TIME_TOLERANCE_MS
    ) -> None:
        """Check the time of a *fresh* proposal against this node's clock; carried ones keep theirs.

        It lies above the parent's and at most the tolerance ahead of the clock, or is exactly the
        parent's + 1: always valid, so that clocks that wake behind the head halt nothing.

        Raises:
            InvalidBlock: BAD_TIME.
        """
        latest = max(now_ms + tolerance_ms, parent.time_ms + 1)
        if not parent.time_ms < time_ms <= latest:
            message = f"must lie in {parent.time_ms + 1}..{latest}, got {time_ms}"
            raise InvalidBlock(BlockReason.BAD_TIME, "header.time_ms", message)

    # Questions about the state after a block.

    def check_transaction(self, tx: Transaction, state: StateReader, time_ms: int) -> None:
        """Check whether a block at `time_ms` could begin with `tx`, for the mempool.

        Raises:
            InvalidTransaction: NONCE_TOO_HIGH, QUOTA_EXCEEDED and UNREGISTERED may pass; others
                are for ever.
        """
        check_alone(self.genesis, tx)
        info = self._info(0, time_ms, self.genesis.hash)
        check_in_state(self.genesis, Journal(state), info, tx, gas_before=0)

    def check_activation(
        self, tx: ActivationTransaction, head: Header, state: StateReader, time_ms: int
    ) -> None:
        """Check whether the block after `head` could hold `tx`.

        Raises:
            InvalidTransaction: BAD_ACTIVATION. A READY above this node's head may pass later.
        """
        info = self._info(head.number + 1, time_ms, head.hash)
        check_activation(self._host, Journal(state), info, tx)

    def call(
        self,
        header: Header,
        state: StateReader,
        *,
        sender: bytes,
        to: bytes | None,
        data: bytes,
        gas: int,
        time_ms: int | None = None,
        access_list: AccessList = (),
        tracer: Tracer | None = None,
    ) -> CallResult:
        """Execute a call on a scratch journal (`eth_call`); nonce, quota and registration are free.

        Args:
            header: the head; its number is what the contract sees.
            state: the state after it.
            sender: 20 bytes, anybody; its nonce in the state gives a new contract's address.
            to: 20 bytes; None creates a contract with `data` as init code.
            data: calldata.
            gas: limit, intrinsic gas not counted.
            time_ms: what the contract takes for now; the head's if None or if that is later.
            access_list: what is warm.
            tracer: sees every frame and instruction.
        """
        info = self._info_at(header, time_ms)
        question = Question(sender=sender, to=to, data=data, access_list=access_list)
        return questions.call(self._host, info, state, question, gas, tracer=tracer)

    def estimate_gas(
        self,
        header: Header,
        state: StateReader,
        *,
        sender: bytes,
        to: bytes | None,
        data: bytes,
        time_ms: int | None = None,
        access_list: AccessList = (),
    ) -> questions.Steps:
        """Return a gas limit for a transaction, a quarter above the least that suffices now.

        The margin is for a state that moves before the transaction is executed; only the gas that
        is used is charged to the quota. Arguments are those of `call`; `state` must not move
        between the steps.

        Raises:
            CallReverted: it fails, with the revert data.
        """
        question = Question(sender=sender, to=to, data=data, access_list=access_list)
        return questions.estimate_gas(self._host, self._info_at(header, time_ms), state, question)

    def replay(self, parent: Header, block: Block, state: StateReader) -> Draft:
        """Return a sealed block as it began, for `replay_next`.

        Args:
            parent: header of the block before.
            block: valid, as every sealed block is.
            state: the state after `parent`.
        """
        return self._open(parent, block.header.time_ms, state)

    def replay_next(self, draft: Draft, raw: bytes, tracer: Tracer | None = None) -> Receipt:
        """Execute the next transaction of a sealed block again, and return its receipt.

        One at a time, so that a node can do other work in between. The draft's journal is the
        state before and after; it may be reverted.

        Args:
            draft: behind the transactions before this one.
            raw: of the sealed block, at this place.
            tracer: sees its frames and instructions. A deadline transaction has nothing to show,
                nor has an activation: native contracts run there, nobody calls them.
        """
        if raw[:1] == bytes((DEADLINE_TYPE,)):
            self._apply_deadlines(draft, DeadlineTransaction(draft.info.height))
        elif is_activation(raw):
            execute_activation(self._host, draft, (raw,))
        else:
            self._apply(draft, decode(raw), tracer)
        return draft.receipts[-1]

    def account_info(self, state: StateReader, address: bytes, time_ms: int) -> AccountInfo:
        """Return nonce, sponsor, and the gas that is left in the window at `time_ms`."""
        return questions.account_info(self._host, state, address, time_ms)

    def code_at(self, state: StateReader, address: bytes) -> bytes:
        """Return the code at an address (20 bytes); the sentinel for a native contract."""
        return questions.code_at(self._host, state, address)

    @staticmethod
    def storage_at(state: StateReader, address: bytes, slot: int) -> int:
        """Return the value of a storage slot of bytecode; natives and others have none."""
        return contract_state.storage_at(state, address, slot)

    @staticmethod
    def next_nonce(state: StateReader, address: bytes) -> int:
        """Return the nonce of the next transaction of `address`."""
        return accounts.read_account(state, address).nonce

    @staticmethod
    def next_due(state: StateReader) -> int | None:
        """Return the time in milliseconds at which the next deadline is due, or None."""
        return deadlines.next_due(state)

    @staticmethod
    def is_due(state: StateReader, time_ms: int) -> bool:
        """Return whether a block at `time_ms` must process a deadline."""
        due = deadlines.next_due(state)
        return due is not None and due <= time_ms
