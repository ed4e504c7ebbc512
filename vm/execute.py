"""What one transaction does to the state: the heart of the machine. Read this first.

A transaction is either *invalid at its place* (`InvalidTransaction`: no block may hold it there)
or it gets a receipt. A contract's refusal (`Revert`) is a receipt with status 0: writes and events
undone, nonce and gas kept. Any other exception from a contract is a bug of ours and propagates,
so that the node halts; all correct nodes halt alike, and none forks.
"""

from dataclasses import dataclass
from typing import final

from crypto import abi
from vm import accounts, deadlines, gas
from vm.context import BlockInfo, CallContext, Host, Run
from vm.errors import InvalidTransaction, Revert, TxReason
from vm.genesis import Genesis
from vm.receipt import OUTPUT_BYTES_MAX, Log, Receipt
from vm.state import Journal
from vm.transaction import Transaction

ERROR_SELECTOR = abi.selector("Error(string)")
"""Solidity's revert data: wallets show the text that follows."""
_DETAIL_CHARS_MAX = 512


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What a call did, before it becomes a receipt."""

    status: int
    """1: done; 0: reverted."""
    output: bytes
    """Return data, or revert data."""
    gas_used: int
    logs: tuple[Log, ...]


def apply_transaction(
    host: Host,
    journal: Journal,
    block: BlockInfo,
    tx: Transaction,
    *,
    gas_before: int,
) -> Receipt:
    """Check `tx` at this place, execute it, and return its receipt.

    Args:
        host: what is the same for every call on the chain.
        journal: the state so far in this block; it is changed.
        block: height, time and window.
        tx: with or without its sender recovered.
        gas_before: gas used in the block before it.

    Raises:
        InvalidTransaction: it has no place here; the journal is unchanged.
    """
    intrinsic = check_alone(host.genesis, tx)
    sender = tx.sender()
    account = check_in_state(host.genesis, journal, block, tx, gas_before=gas_before)
    accounts.write_account(journal, sender, account.nonce + 1, account.sponsor)
    run = Run(host, journal, block, tx.gas_limit - intrinsic)
    assert tx.to is not None, "check_alone refuses contract creation"
    status, output = execute_call(
        run, sender=sender, sponsor=account.sponsor, to=tx.to, data=tx.data
    )
    gas_used = tx.gas_limit - run.gas_left
    accounts.use_quota(journal, account.sponsor, block.window, gas_used)
    return Receipt(
        status=status,
        gas_used=gas_used,
        cumulative_gas=gas_before + gas_used,
        logs=tuple(run.logs),
        output=output if len(output) <= OUTPUT_BYTES_MAX else b"",
    )


def check_alone(genesis: Genesis, tx: Transaction) -> int:
    """Check what does not depend on the state; return the intrinsic gas.

    Raises:
        InvalidTransaction: WRONG_CHAIN, CREATION_NOT_SUPPORTED, INSUFFICIENT_FUNDS (there is no
            coin to send), GAS_ABOVE_TX_LIMIT or INTRINSIC_GAS.
    """
    if tx.chain_id != genesis.chain_id:
        message = f"must be {genesis.chain_id}, got {tx.chain_id}"
        raise InvalidTransaction(TxReason.WRONG_CHAIN, "tx.chain_id", message)
    if tx.to is None:
        message = "must be 20 bytes: only native contracts exist"
        raise InvalidTransaction(TxReason.CREATION_NOT_SUPPORTED, "tx.to", message)
    if tx.value:
        message = f"must be 0, there is no coin; got {tx.value}"
        raise InvalidTransaction(TxReason.INSUFFICIENT_FUNDS, "tx.value", message)
    limit = gas.tx_gas_limit(genesis.block_gas_limit)
    if tx.gas_limit > limit:
        message = f"must be at most {limit}, got {tx.gas_limit}"
        raise InvalidTransaction(TxReason.GAS_ABOVE_TX_LIMIT, "tx.gas_limit", message)
    intrinsic = gas.intrinsic_gas(tx)
    if tx.gas_limit < intrinsic:
        message = f"must be at least {intrinsic}, got {tx.gas_limit}"
        raise InvalidTransaction(TxReason.INTRINSIC_GAS, "tx.gas_limit", message)
    return intrinsic


def check_in_state(
    genesis: Genesis, journal: Journal, block: BlockInfo, tx: Transaction, *, gas_before: int
) -> accounts.Account:
    """Check what depends on state and place; return the sender's account.

    Raises:
        InvalidTransaction: INVALID_SENDER, UNREGISTERED, NONCE_TOO_LOW, NONCE_TOO_HIGH,
            QUOTA_EXCEEDED or EXCEEDS_BLOCK_GAS.
    """
    sender = tx.sender()
    account = accounts.read_account(journal, sender)
    if not account.sponsor:
        message = f"0x{sender.hex()} is neither a member's nor registered by one"
        raise InvalidTransaction(TxReason.UNREGISTERED, "tx.sender", message)
    if tx.nonce != account.nonce:
        reason = TxReason.NONCE_TOO_LOW if tx.nonce < account.nonce else TxReason.NONCE_TOO_HIGH
        message = f"must be {account.nonce}, got {tx.nonce}"
        raise InvalidTransaction(reason, "tx.nonce", message)
    used = accounts.quota_used(journal, account.sponsor, block.window)
    if used + tx.gas_limit > genesis.quota_gas:
        message = f"{used} of {genesis.quota_gas} used in window {block.window}, asks for more"
        raise InvalidTransaction(TxReason.QUOTA_EXCEEDED, "tx.gas_limit", message)
    if gas_before + tx.gas_limit > genesis.block_gas_limit:
        message = f"{gas_before} used before it, asks for {tx.gas_limit}"
        raise InvalidTransaction(TxReason.EXCEEDS_BLOCK_GAS, "tx.gas_limit", message)
    return account


def execute_call(
    run: Run,
    *,
    sender: bytes,
    sponsor: bytes,
    to: bytes,
    data: bytes,
) -> tuple[int, bytes]:
    """Call `to` and return (status, output); on a revert the journal is as before.

    A call of an address without contract does nothing and succeeds, as on Ethereum.
    """
    contract = run.host.contracts.get(to)
    if contract is None:
        return 1, b""
    mark = run.journal.snapshot()
    try:
        return 1, contract.call(run, data, caller=sender, sponsor=sponsor)
    except Revert as revert:
        return 0, _undo(run, mark, revert)


def _undo(run: Run, mark: int, revert: Revert) -> bytes:
    """Undo a call's writes and events, and return its revert data."""
    run.journal.revert(mark)
    run.logs.clear()
    return revert_data(revert)


def revert_data(revert: Revert) -> bytes:
    """Return Solidity's Error(string) with "CODE: detail"."""
    text = str(revert)[:_DETAIL_CHARS_MAX]
    return ERROR_SELECTOR + abi.encode(("string",), (text,))


def apply_deadlines(host: Host, journal: Journal, block: BlockInfo) -> Receipt:
    """Run the deadlines that are due, in order, as far as their gas allows; one receipt for all.

    What is left is due in the next block. A deadline whose contract reverts is spent without
    effect: the receipt's status is 0 then, and its output is the first one's revert data.
    """
    budget = gas.deadline_gas(host.genesis.block_gas_limit)
    limit = gas.deadline_entry_gas(host.genesis.block_gas_limit)
    used, failure, logs = 0, b"", list[Log]()
    while used + gas.DEADLINE_BASE + limit <= budget and is_due(journal, block.time_ms):
        deadline = deadlines.take(journal)
        run = Run(host, journal, block, limit)
        ctx = CallContext(run, deadline.contract, caller=deadline.contract, sponsor=b"")
        mark = journal.snapshot()
        try:
            host.contracts[deadline.contract].on_deadline(ctx, deadline.payload)
        except Revert as revert:
            reverted = _undo(run, mark, revert)
            failure = failure or reverted
        used += gas.DEADLINE_BASE + limit - run.gas_left
        logs += run.logs
    return Receipt(
        status=0 if failure else 1,
        gas_used=used,
        cumulative_gas=used,
        logs=tuple(logs),
        output=failure,
    )


def is_due(journal: Journal, time_ms: int) -> bool:
    """Return whether a deadline is due at `time_ms`."""
    due = deadlines.next_due(journal)
    return due is not None and due <= time_ms
