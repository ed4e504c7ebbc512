"""What one transaction does to the state: the heart of the machine. Read this first.

A transaction is either *invalid at its place* (`InvalidTransaction`: no block may hold it there)
or it gets a receipt. A contract's refusal (`Revert`, or bytecode's REVERT and exceptional halts)
is a receipt with status 0: writes and events undone, nonce and gas kept. Any other exception from
a contract is a bug of ours and propagates, so that the node halts; all correct nodes halt alike,
and none forks.
"""

from dataclasses import dataclass
from typing import final

from vm import accounts, bytecode, deadlines, gas
from vm.accounts import Account
from vm.call import REVERTED, Call, Outcome, revert_data
from vm.context import BlockInfo, CallContext, Host, Run
from vm.errors import InvalidTransaction, Revert, TxReason
from vm.evm.gas import INITCODE_BYTES_MAX, native_gas
from vm.evm.program import Codes
from vm.evm.tracing import FrameInfo, Tracer
from vm.genesis import Genesis
from vm.receipt import OUTPUT_BYTES_MAX, Log, Receipt
from vm.state import Journal
from vm.transaction import Transaction


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """What the block has used before a transaction."""

    gas: int = 0
    compute: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A transaction that has been executed."""

    receipt: Receipt
    compute: int
    """What it cost on the second meter."""


def apply_transaction(
    host: Host,
    journal: Journal,
    block: BlockInfo,
    tx: Transaction,
    *,
    before: Meters,
    tracer: Tracer | None = None,
    codes: Codes | None = None,
) -> Applied:
    """Check `tx` at this place, execute it, and return its receipt.

    Args:
        host: what is the same for every call on the chain.
        journal: the state so far in this block; it is changed.
        block: height, time, window, parent.
        tx: with or without its sender recovered.
        before: used in the block before it.
        tracer: sees every frame and instruction.
        codes: run in the block before it; this transaction's are added. None: it stands alone.

    Raises:
        InvalidTransaction: it has no place here; the journal is unchanged.
    """
    genesis = host.genesis
    intrinsic = check_alone(genesis, tx)
    sender = tx.sender()
    account = check_in_state(genesis, journal, block, tx, gas_before=before.gas)
    call = Call(
        sender=sender,
        sponsor=account.sponsor,
        nonce=account.nonce,
        to=tx.to,
        data=tx.data,
        gas=tx.gas_limit - intrinsic,
        access_list=tx.access_list,
    )
    mark, cap = journal.snapshot(), gas.tx_compute_limit(genesis.block_compute_limit)
    rest = genesis.block_compute_limit - before.compute
    limit = min(cap, rest)
    own = Codes(Codes() if codes is None else codes)
    outcome = run_call(host, journal, block, call, compute_limit=limit, tracer=tracer, codes=own)
    if outcome.compute > rest or (outcome.is_cut and limit < cap):
        # Behind fewer others it might have succeeded: that is no receipt, it waits for a block.
        journal.revert(mark)
        message = f"{before.compute} of {genesis.block_compute_limit} used before it, computes more"
        raise InvalidTransaction(TxReason.EXCEEDS_BLOCK_COMPUTE, "tx.data", message)
    own.keep()
    # After the call: a native contract may have registered somebody, also the sender, meanwhile.
    sponsor = accounts.read_account(journal, sender).sponsor
    accounts.write_account(journal, sender, Account(account.nonce + 1, sponsor))
    gas_used = gas.used_after_refund(tx.gas_limit - outcome.gas_left, outcome.refund)
    accounts.use_quota(journal, account.sponsor, block.window, gas_used)
    receipt = Receipt(
        status=outcome.status,
        gas_used=gas_used,
        cumulative_gas=before.gas + gas_used,
        logs=outcome.logs,
        output=_kept_output(outcome),
    )
    return Applied(receipt=receipt, compute=outcome.compute)


def check_alone(genesis: Genesis, tx: Transaction) -> int:
    """Check what does not depend on the state; return the intrinsic gas.

    Raises:
        InvalidTransaction: WRONG_CHAIN, INITCODE_TOO_LARGE, INSUFFICIENT_FUNDS (there is no coin
            to send), GAS_ABOVE_TX_LIMIT or INTRINSIC_GAS.
    """
    if tx.chain_id != genesis.chain_id:
        message = f"must be {genesis.chain_id}, got {tx.chain_id}"
        raise InvalidTransaction(TxReason.WRONG_CHAIN, "tx.chain_id", message)
    if tx.to is None and len(tx.data) > INITCODE_BYTES_MAX:
        message = f"must be at most {INITCODE_BYTES_MAX} bytes, got {len(tx.data)}"
        raise InvalidTransaction(TxReason.INITCODE_TOO_LARGE, "tx.data", message)
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
        InvalidTransaction: INVALID_SENDER, UNREGISTERED, SENDER_HAS_CODE, NONCE_TOO_LOW,
            NONCE_TOO_HIGH, QUOTA_EXCEEDED or EXCEEDS_BLOCK_GAS.
    """
    sender = tx.sender()
    account = accounts.read_account(journal, sender)
    if not account.sponsor:
        message = f"0x{sender.hex()} is neither a member's nor registered by one"
        raise InvalidTransaction(TxReason.UNREGISTERED, "tx.sender", message)
    if account.code_hash:
        message = f"0x{sender.hex()} has code (EIP-3607)"
        raise InvalidTransaction(TxReason.SENDER_HAS_CODE, "tx.sender", message)
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


def run_call(
    host: Host,
    journal: Journal,
    block: BlockInfo,
    call: Call,
    *,
    compute_limit: int,
    tracer: Tracer | None = None,
    codes: Codes | None = None,
) -> Outcome:
    """Execute a call, whoever answers it; on failure the journal is as before.

    Native contracts called directly take the short way: no `World`, the journal itself. A creation
    and everything else that has code runs in the EVM. A call of an address without code does
    nothing and succeeds, as on Ethereum.

    Args:
        host: what is the same for every call on the chain.
        journal: the state so far.
        block: in which it runs.
        call: what to do.
        compute_limit: what computes more halts as if it ran out of gas. All the gas that a
            transaction may have does not buy a native contract that much of a block of its own.
        tracer: sees every frame and instruction.
        codes: for what it runs, over what the block has run; None: it stands alone.
    """
    if call.to is not None and (
        call.to in host.contracts or not bytecode.is_answered(journal, call.to)
    ):
        outcome = _run_native(host, journal, block, call, call.to, compute_limit=compute_limit)
        return _traced(tracer, call, call.to, outcome)
    return bytecode.run(
        host, journal, block, call, compute_limit=compute_limit, tracer=tracer, codes=codes
    )


def _run_native(
    host: Host, journal: Journal, block: BlockInfo, call: Call, to: bytes, *, compute_limit: int
) -> Outcome:
    contract = host.contracts.get(to)
    if contract is None:
        return Outcome(status=1, output=b"", gas_left=call.gas, logs=(), compute=0)
    most = min(call.gas, native_gas(compute_limit))
    run, mark = Run(host, journal, block, most), journal.snapshot()
    status, error = 1, ""
    try:
        output = contract.call(run, call.data, caller=call.sender, sponsor=call.sponsor)
    except Revert as revert:
        journal.revert(mark)
        run.logs.clear()
        status, error, output = 0, REVERTED, revert_data(revert)
    is_cut = most < call.gas and not status and not run.gas_left
    return Outcome(
        status=status,
        output=output,
        gas_left=0 if is_cut else call.gas - most + run.gas_left,
        logs=tuple(run.logs),
        compute=gas.native_compute(most - run.gas_left),
        error=error,
        is_cut=is_cut,
    )


def _traced(tracer: Tracer | None, call: Call, to: bytes, outcome: Outcome) -> Outcome:
    """Show a native call, which has no instructions, as one frame."""
    if tracer is not None:
        tracer.enter(
            FrameInfo(
                kind="CALL",
                depth=0,
                caller=call.sender,
                to=to,
                value=0,
                data=call.data,
                gas=call.gas,
            )
        )
        for log in outcome.logs:
            tracer.log(log)
        tracer.exit(gas_left=outcome.gas_left, output=outcome.output, error=outcome.error)
    return outcome


def _kept_output(outcome: Outcome) -> bytes:
    """Return what the receipt keeps: not what is long, and not the code, which the state has."""
    if outcome.created is not None or len(outcome.output) > OUTPUT_BYTES_MAX:
        return b""
    return outcome.output


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
            journal.revert(mark)
            run.logs.clear()
            failure = failure or revert_data(revert)
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
