"""Our EVM as one of the engines that a case is given to."""

import contextlib
from typing import final

from crypto.hashing import keccak256
from testnet.evm_fuzz.case import (
    BLOCK_GAS_LIMIT,
    CHAIN_ID,
    EMPTY_CODE_HASH,
    AccountAfter,
    Case,
    Outcome,
    Status,
    account_after,
    block_hash,
)
from vm.evm.environment import Environment, Precompile
from vm.evm.ethereum import EthTransaction, Invalid, apply
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.precompiles import PRECOMPILES
from vm.evm.tracing import FrameInfo
from vm.evm.world import AccountState, World, WorldChanges
from vm.receipt import Log

LEFT_OUT = tuple(number.to_bytes(20, "big") for number in range(6, 11))
"""Cancun's precompiles that this chain does not have (design: in Python, a denial of service)."""


class CalledPrecompileLeftOut(Exception):
    """The case calls one of 0x06 to 0x0a, so that engines rightly differ."""


@final
class CaseState:
    """The state before a case, as the World reads it."""

    def __init__(self, case: Case) -> None:
        self._accounts = case.accounts

    def account(self, address: bytes, /) -> AccountState | None:
        """Return nonce, balance and code hash."""
        account = self._accounts.get(address)
        if account is None:
            return None
        return AccountState(account.nonce, account.balance, keccak256(account.code))

    def code(self, address: bytes, /) -> bytes:
        """Return the code."""
        account = self._accounts.get(address)
        return b"" if account is None else account.code

    def storage(self, address: bytes, slot: int, /) -> int:
        """Return a storage word."""
        account = self._accounts.get(address)
        return 0 if account is None else account.storage.get(slot, 0)


def run(case: Case) -> Outcome:
    """Run a case.

    Raises:
        CalledPrecompileLeftOut: there is nothing to compare.
    """
    world = World(CaseState(case))
    transaction = EthTransaction(
        sender=case.sender,
        nonce=case.accounts[case.sender].nonce,
        to=case.to,
        value=case.value,
        data=case.data,
        gas_limit=case.gas_limit,
        gas_price=0,
        access_list=case.access_list,
    )
    try:
        outcome = apply(world, environment(case), transaction)
    except Invalid:
        return Outcome(status=Status.INVALID, accounts=_accounts(case, world.changes()))
    return Outcome(
        status=Status(outcome.status),
        gas_used=outcome.gas_used,
        output=outcome.created or b"" if _is_creation(case, outcome.status) else outcome.output,
        logs=tuple((log.address, tuple(log.topics), log.data) for log in outcome.logs),
        accounts=_accounts(case, world.changes()),
    )


def opcodes_executed(case: Case) -> frozenset[int]:
    """Return the opcodes that the case executes, to see that cases do not idle."""
    watch = Watch()
    message = Message(
        caller=case.sender,
        to=case.to,
        value=min(case.value, case.accounts[case.sender].balance),
        data=case.data,
        gas=case.gas_limit,
    )
    with contextlib.suppress(CalledPrecompileLeftOut):
        execute(World(CaseState(case)), environment(case), message, tracer=watch)
    return frozenset(watch.opcodes)


class Watch:
    """A tracer that notes which opcodes were executed."""

    def __init__(self) -> None:
        self.opcodes: set[int] = set()

    def enter(self, frame: FrameInfo, /) -> None:
        """Begin a frame."""

    def step(self, *, opcode: int, **_: object) -> None:
        """Note an opcode."""
        self.opcodes.add(opcode)

    def log(self, log: Log, /) -> None:
        """Emit a log."""

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """End a frame."""


def environment(case: Case) -> Environment:
    """Return the block around a case."""
    return Environment(
        coinbase=case.block.coinbase,
        number=case.block.number,
        time_s=case.block.time_s,
        gas_limit=BLOCK_GAS_LIMIT,
        prev_randao=int.from_bytes(case.block.prev_randao, "big"),
        base_fee=0,
        chain_id=CHAIN_ID,
        block_hash=block_hash,
        gas_price=0,
        origin=case.sender,
        precompiles=_PRECOMPILES,
    )


def _is_creation(case: Case, status: int) -> bool:
    return case.to is None and status == Status.SUCCEEDED


def _left_out(data: bytes, gas: int) -> tuple[int, bytes | None]:
    raise CalledPrecompileLeftOut


_PRECOMPILES: dict[bytes, Precompile] = {**PRECOMPILES, **dict.fromkeys(LEFT_OUT, _left_out)}


def _accounts(case: Case, changes: WorldChanges) -> dict[bytes, AccountAfter]:
    """Return all accounts after the transaction: the case's, with the changes put over them."""
    storage = {address: dict(account.storage) for address, account in case.accounts.items()}
    for (address, slot), value in changes.storage.items():
        storage.setdefault(address, {})[slot] = value
    found: dict[bytes, AccountAfter] = {}
    for address in {**case.accounts, **changes.accounts, **storage}:
        state = _state(case, changes, address)
        if state is not None:
            slots = storage.get(address, {})
            after = account_after(state.nonce, state.balance, state.code_hash, slots)
            if after is not None:
                found[address] = after
    for address, code in changes.codes.items():
        after = found.get(address)
        code_hash = EMPTY_CODE_HASH if after is None else after.code_hash
        assert keccak256(code) == code_hash, f"0x{address.hex()}: the code is not the hash's"
    return found


def _state(case: Case, changes: WorldChanges, address: bytes) -> AccountState | None:
    if address in changes.accounts:
        return changes.accounts[address]
    return CaseState(case).account(address)
