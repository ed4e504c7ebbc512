"""revm, the Rust implementation, through pyrevm: the oracle that every case is given to.

What pyrevm does differently is put right here. A call does not count up the sender's nonce, as an
`eth_call` does not. Giving an account storage warms it, unless that is undone (the storage stays).
It keeps accounts that destroyed themselves: their status says so. Its post-state is complete only
in the text of its journal, which is parsed.
"""

import re
from typing import final

import pyrevm

from crypto.hashing import keccak256
from testnet.evm_fuzz.case import (
    BLOCK_GAS_LIMIT,
    CHAIN_ID,
    AccountAfter,
    Case,
    Outcome,
    Status,
    account_after,
)

_FAILED = re.compile(r"(Revert|Halt) \{ .*?gas_used: (\d+)(?:, output: 0x([0-9a-f]*))? \}")
_INVALID = ("Transaction(", "lack of funds", "Initial gas spend")
_ACCOUNT = re.compile(
    r"0x([0-9a-f]{40}): Account \{ info: AccountInfo \{ balance: (\d+), nonce: (\d+), "
    r"code_hash: 0x([0-9a-f]{64}), code: .*?storage: \{(.*?)\}, status: AccountStatus\((.*?)\) \}"
)
_SLOT = re.compile(
    r"(\d+): StorageSlot \{ previous_or_original_value: \d+, present_value: (\d+) \}"
)


@final
class OracleFailed(Exception):
    """The oracle answered in a way that this adapter does not know."""


def run(case: Case) -> Outcome:
    """Run a case in revm.

    Raises:
        OracleFailed: its answer cannot be read.
    """
    evm = open_evm(case)
    try:
        output = execute(evm, case)
        status = Status.SUCCEEDED
    except RuntimeError as error:
        status, output = _failure(str(error))
    accounts = _accounts(case, evm, is_executed=status is not Status.INVALID)
    if status is Status.INVALID:
        return Outcome(status=status, accounts=accounts)
    result = evm.result
    assert result is not None, "a transaction that was executed has a result"
    return Outcome(
        status=status,
        gas_used=result.gas_used,
        output=output,
        logs=tuple(_log(log) for log in result.logs) if status is Status.SUCCEEDED else (),
        accounts=accounts,
    )


def execute(evm: pyrevm.EVM, case: Case) -> bytes:
    """Execute the case's transaction; return its output, or the address of the new contract."""
    sender = _hex(case.sender)
    if case.to is None:
        return _bytes(evm.deploy(sender, case.data, value=case.value, gas=case.gas_limit))
    return evm.message_call(
        sender,
        _hex(case.to),
        calldata=case.data,
        value=case.value,
        gas=case.gas_limit,
        gas_price=0,
    )


def open_evm(case: Case) -> pyrevm.EVM:
    """Return an EVM with the case's block and accounts."""
    evm = pyrevm.EVM(spec_id="CANCUN", gas_limit=BLOCK_GAS_LIMIT)
    evm.set_block_env(
        pyrevm.BlockEnv(
            number=case.block.number,
            coinbase=_hex(case.block.coinbase),
            timestamp=case.block.time_s,
            difficulty=0,
            prevrandao=case.block.prev_randao,
            basefee=0,
            gas_limit=BLOCK_GAS_LIMIT,
            excess_blob_gas=0,
        )
    )
    evm.set_tx_env(
        pyrevm.TxEnv(
            caller=_hex(case.sender),
            chain_id=CHAIN_ID,
            access_list=[(_hex(address), list(slots)) for address, slots in case.access_list],
        )
    )
    for address, account in case.accounts.items():
        info = pyrevm.AccountInfo(  # Its type stub forgets the balance.
            balance=account.balance,  # type: ignore[call-arg]
            nonce=account.nonce,
            code=account.code or None,
        )
        evm.insert_account_info(_hex(address), info)
        for slot, value in account.storage.items():
            cold = evm.snapshot()
            evm.insert_account_storage(_hex(address), slot, value)
            evm.revert(cold)
    return evm


def _failure(text: str) -> tuple[Status, bytes]:
    match = _FAILED.search(text)
    if match is not None:
        output = bytes.fromhex(match[3] or "")
        return (Status.REVERTED if match[1] == "Revert" else Status.HALTED), output
    if any(mark in text for mark in _INVALID):
        return Status.INVALID, b""
    raise OracleFailed(text)


def _log(log: pyrevm.Log) -> tuple[bytes, tuple[bytes, ...], bytes]:
    topics, data = log.data
    return _bytes(log.address), tuple(topics), data


def _accounts(case: Case, evm: pyrevm.EVM, *, is_executed: bool) -> dict[bytes, AccountAfter]:
    """Return all accounts: the case's, replaced by those that the journal names."""
    after: dict[bytes, AccountAfter | None] = {
        address: account_after(
            account.nonce, account.balance, keccak256(account.code), account.storage
        )
        for address, account in case.accounts.items()
    }
    for match in _ACCOUNT.finditer(evm.journal_str if is_executed else ""):
        address = bytes.fromhex(match[1])
        nonce = int(match[3])
        if address == case.sender and case.to is not None:
            nonce += 1
        slots = dict(case.accounts[address].storage) if address in case.accounts else {}
        slots.update({int(slot): int(value) for slot, value in _SLOT.findall(match[5])})
        if {"Created", "SelfDestructed"} <= set(match[6].split(" | ")):
            after[address] = None
        else:
            after[address] = account_after(nonce, int(match[2]), bytes.fromhex(match[4]), slots)
    return {address: account for address, account in after.items() if account is not None}


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
