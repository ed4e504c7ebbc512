"""The rules of a block: how one is built, checked, executed and asked about.

Building and executing share every step, so what one replica builds the others compute alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from crypto.merkle import SparseMerkleTree
from vm import accounts, deadlines, gas
from vm.block import BLOCK_TXS_MAX, Block, Header
from vm.context import BlockInfo, CallContext, Host, Run
from vm.draft import Draft, Execution, check_header
from vm.errors import (
    BlockReason,
    CallReverted,
    GenesisError,
    InvalidBlock,
    InvalidTransaction,
    TxReason,
)
from vm.execute import (
    CallResult,
    apply_deadlines,
    apply_transaction,
    check_alone,
    check_in_state,
    execute_call,
    is_due,
)
from vm.genesis import Genesis
from vm.members import MEMBERS_KEY, encode_members
from vm.native import NativeContract
from vm.state import Changes, Journal, StateReader
from vm.transaction import DEADLINE_TYPE, DeadlineTransaction, Transaction, decode

__all__ = ["AccountInfo", "Built", "CallResult", "Execution", "Machine"]

TIME_TOLERANCE_MS = 5_000
"""How far a fresh proposal's time may lie ahead of a replica's clock."""

_GENESIS_GAS = 2**62  # Genesis is not metered.


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A block that this node proposes."""

    block: Block
    execution: Execution
    dropped: tuple[tuple[Transaction, TxReason], ...]
    """Candidates that were invalid at their place. Those that had no room are not among them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """What wallets ask about an address."""

    nonce: int
    sponsor: bytes
    """20 bytes; empty if the account is not registered."""
    quota_left: int
    """Gas that its sponsor may still use in the window; 0 without one."""


@final
class Machine:
    """The rules of one chain. Holds no state; the same arguments give the same answer.

    Args:
        genesis: what all nodes share.
        natives: the native contracts, in the order in which their genesis hooks run.

    Raises:
        GenesisError: parameters for a contract that does not exist.
    """

    def __init__(self, genesis: Genesis, natives: Sequence[NativeContract]) -> None:
        self.genesis = genesis
        self.contracts = MappingProxyType({each.ADDRESS: each for each in natives})
        assert len(self.contracts) == len(natives), "contracts have distinct addresses"
        names = {each.NAME for each in natives}
        for name in genesis.contracts:
            if name not in names:
                raise GenesisError(f"contracts.{name}", "is not known")
        params = {each.ADDRESS: genesis.contracts.get(each.NAME, {}) for each in natives}
        self._host = Host(genesis=genesis, contracts=self.contracts, params=params)

    # Genesis.

    def genesis_execution(self) -> Execution:
        """Return block 0 as an execution over the empty state.

        Raises:
            GenesisError: a contract refuses its parameters.
        """
        genesis = self.genesis
        journal = Journal({})
        info = BlockInfo(height=0, time_ms=genesis.time_ms, window=0)
        journal.put(MEMBERS_KEY, encode_members([each.node_key for each in genesis.members]))
        for member in genesis.members:
            accounts.register(journal, member.account, member.account)
            accounts.register(journal, member.meter.account, member.account)
        for _, service in genesis.services:
            accounts.register(journal, service, service)
        for contract in self.contracts.values():
            run = Run(self._host, journal, info, _GENESIS_GAS)
            ctx = CallContext(run, contract.ADDRESS, caller=contract.ADDRESS, sponsor=b"")
            contract.genesis(ctx, ctx.params)
        draft = Draft(journal, info)
        return draft.finish(genesis.hash, SparseMerkleTree({}))

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
        """
        self._check_place(parent, block)
        draft = self._open(parent, block.header.time_ms, state)
        raws = self._execute_deadlines(draft, block.transactions)
        for index, raw in enumerate(raws, start=len(draft.raws)):
            try:
                tx = known.get(raw) or decode(raw)
                receipt = apply_transaction(
                    self._host, draft.journal, draft.info, tx, gas_before=draft.gas_used
                )
            except InvalidTransaction as error:
                field = f"transactions[{index}].{error.field.removeprefix('tx.')}"
                message = f"{error.reason.text}: {error.message}"
                raise InvalidBlock(BlockReason.INVALID_TRANSACTION, field, message) from error
            draft.add(raw, tx.hash, receipt)
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
    ) -> Built | None:
        """Return the block of what is due and of those `candidates` that can be executed, in order.

        Args:
            parent: header of the block before.
            time_ms: above the parent's.
            candidates: in the order in which the mempool serves them.
            state: the state after `parent`.
            tree: the Merkle tree over it.

        Returns:
            None when nothing is executable: there are no empty blocks.
        """
        assert time_ms > parent.time_ms, "time must increase"
        draft = self._open(parent, time_ms, state)
        if is_due(draft.journal, time_ms):
            deadline = DeadlineTransaction(draft.info.height)
            receipt = apply_deadlines(self._host, draft.journal, draft.info)
            draft.add(deadline.raw, deadline.hash, receipt)
        dropped = self._fill(draft, candidates)
        if not draft.raws:
            return None
        execution = draft.finish(parent.hash, tree)
        block = Block(execution.header, tuple(draft.raws))
        return Built(block=block, execution=execution, dropped=dropped)

    def _fill(
        self, draft: Draft, candidates: Iterable[Transaction]
    ) -> tuple[tuple[Transaction, TxReason], ...]:
        """Execute candidates while there is room; return the invalid ones."""
        limit = self.genesis.block_gas_limit
        dropped: list[tuple[Transaction, TxReason]] = []
        waiting: set[bytes] = set()  # Senders with a transaction for which there was no room.
        for tx in candidates:
            if draft.gas_used + gas.TX_BASE > limit or len(draft.raws) == BLOCK_TXS_MAX:
                break
            try:
                sender = tx.sender()
                if sender in waiting or not draft.has_room_for(tx):
                    waiting.add(sender)
                    continue
                receipt = apply_transaction(
                    self._host, draft.journal, draft.info, tx, gas_before=draft.gas_used
                )
            except InvalidTransaction as error:
                if error.reason is TxReason.EXCEEDS_BLOCK_GAS:
                    waiting.add(tx.sender())
                else:
                    dropped.append((tx, error.reason))
                continue
            draft.add(tx.raw, tx.hash, receipt)
        return tuple(dropped)

    def _check_place(self, parent: Header, block: Block) -> None:
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

    def _open(self, parent: Header, time_ms: int, state: StateReader) -> Draft:
        return Draft(Journal(state), self._info(parent.number + 1, time_ms))

    def _info(self, height: int, time_ms: int) -> BlockInfo:
        return BlockInfo(height=height, time_ms=time_ms, window=self.genesis.window_at(time_ms))

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
        receipt = apply_deadlines(self._host, draft.journal, draft.info)
        draft.add(deadline.raw, deadline.hash, receipt)
        return raws[1:]

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
        check_in_state(self.genesis, Journal(state), self._info(0, time_ms), tx, gas_before=0)

    def call(
        self,
        header: Header,
        state: StateReader,
        *,
        sender: bytes,
        to: bytes,
        data: bytes,
        gas: int,
        time_ms: int | None = None,
    ) -> CallResult:
        """Execute a call on a scratch journal (`eth_call`); nonce, quota and registration are free.

        Args:
            header: the head; its number is what the contract sees.
            state: the state after it.
            sender: 20 bytes, anybody.
            to: 20 bytes.
            data: calldata.
            gas: limit, intrinsic gas not counted.
            time_ms: what the contract takes for now; the head's if None or if that is later.
        """
        now_ms = max(header.time_ms, time_ms or 0)
        journal = Journal(state)
        run = Run(self._host, journal, self._info(header.number, now_ms), gas)
        sponsor = accounts.read_account(journal, sender).sponsor
        status, output = execute_call(run, sender=sender, sponsor=sponsor, to=to, data=data)
        return CallResult(
            status=status, output=output, gas_used=gas - run.gas_left, logs=tuple(run.logs)
        )

    def estimate_gas(
        self,
        header: Header,
        state: StateReader,
        *,
        sender: bytes,
        to: bytes,
        data: bytes,
        time_ms: int | None = None,
    ) -> int:
        """Return a gas limit for a call: a quarter above what it uses now, intrinsic gas included.

        The margin is for a state that moves before the transaction is executed; only the gas that
        is used is charged to the quota.

        Raises:
            CallReverted: it reverts, with the revert data.
        """
        limit = gas.tx_gas_limit(self.genesis.block_gas_limit)
        intrinsic = gas.call_intrinsic_gas(data)
        result = self.call(
            header,
            state,
            sender=sender,
            to=to,
            data=data,
            gas=max(limit - intrinsic, 0),
            time_ms=time_ms,
        )
        if result.status == 0:
            raise CallReverted(result.output)
        return min(limit, intrinsic + result.gas_used + result.gas_used // 4)

    def account_info(self, state: StateReader, address: bytes, time_ms: int) -> AccountInfo:
        """Return nonce, sponsor, and the gas that is left in the window at `time_ms`."""
        account = accounts.read_account(state, address)
        left = 0
        if account.sponsor:
            window = self.genesis.window_at(time_ms)
            left = self.genesis.quota_gas - accounts.quota_used(state, account.sponsor, window)
        return AccountInfo(nonce=account.nonce, sponsor=account.sponsor, quota_left=left)

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
