"""py-evm, the Python implementation: slow, and the arbiter where ours and revm differ.

It has one fault that cases find: a CREATE whose init code is too long (EIP-3860) and whose value is
not there does not halt, it fails as if only the value were missing.
"""

from collections.abc import Iterator
from typing import Any, final

from eth.abc import ComputationAPI
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.state import CancunState
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, Hash32
from eth_utils.exceptions import ValidationError

from testnet.evm_fuzz.case import (
    BLOCK_GAS_LIMIT,
    CHAIN_ID,
    AccountAfter,
    Case,
    Outcome,
    Status,
    account_after,
    block_hash,
)


@final
class RecordingState(CancunState):
    """The state of py-evm, which otherwise cannot tell what was written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.slots: dict[tuple[Address, int], None] = {}
        self.addresses: dict[Address, None] = {}

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Write a storage word, and note where."""
        self.slots[address, slot] = None
        super().set_storage(address, slot, value)

    def set_balance(self, address: Address, balance: int) -> None:
        """Set a balance, and note whose."""
        self.addresses[address] = None
        super().set_balance(address, balance)

    def increment_nonce(self, address: Address) -> None:
        """Count up a nonce, and note whose."""
        self.addresses[address] = None
        super().increment_nonce(address)


def run(case: Case) -> Outcome:
    """Run a case in py-evm."""
    state = open_state(case)
    try:
        _check(case)
        computation = execute(state, case)
    except ValidationError:
        return Outcome(status=Status.INVALID, accounts=_accounts(case, state))
    return _outcome(case, state, computation)


def execute(state: RecordingState, case: Case) -> ComputationAPI:
    """Execute the case's transaction, with the nonce that its sender has now.

    Raises:
        ValidationError: it is invalid.
    """
    fields = CancunVM.get_transaction_builder().create_unsigned_transaction(
        nonce=state.get_nonce(Address(case.sender)),
        gas_price=0,
        gas=case.gas_limit,
        to=Address(case.to or b""),
        value=case.value,
        data=case.data,
    )
    transaction = SpoofTransaction(
        fields,
        from_=case.sender,
        access_list=case.access_list,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        type_id=None,
        intrinsic_gas=_intrinsic_gas(case),
    )
    state.lock_changes()
    return state.apply_transaction(transaction)  # type: ignore[arg-type]


def open_state(case: Case) -> RecordingState:
    """Return a state with the case's block and accounts."""
    context = ExecutionContext(
        coinbase=Address(case.block.coinbase),
        timestamp=case.block.time_s,
        block_number=case.block.number,  # type: ignore[arg-type]
        difficulty=0,
        mix_hash=Hash32(case.block.prev_randao),
        gas_limit=BLOCK_GAS_LIMIT,
        prev_hashes=_prev_hashes(case.block.number),
        chain_id=CHAIN_ID,
        base_fee_per_gas=0,
        excess_blob_gas=0,
    )
    state = RecordingState(AtomicDB(), context, BLANK_ROOT_HASH)
    for raw, account in case.accounts.items():
        address = Address(raw)
        state.set_balance(address, account.balance)
        state.set_nonce(address, account.nonce)
        state.set_code(address, account.code)
        for slot, value in account.storage.items():
            state.set_storage(address, slot, value)
    state.persist()
    return state


def _prev_hashes(number: int) -> Iterator[Hash32]:
    for height in range(number - 1, max(number - 257, -1), -1):
        yield Hash32(block_hash(height).to_bytes(32, "big"))


def _intrinsic_gas(case: Case) -> int:
    """Return what py-evm takes before execution (EIP-2028, EIP-2930); init code comes later."""
    zeros = case.data.count(0)
    gas = 21_000 + 4 * zeros + 16 * (len(case.data) - zeros)
    if case.to is None:
        gas += 32_000
    return gas + sum(2_400 + 1_900 * len(slots) for _, slots in case.access_list)


def _check(case: Case) -> None:
    init_words = (len(case.data) + 31) // 32 if case.to is None else 0
    if case.gas_limit < _intrinsic_gas(case) + 2 * init_words:  # EIP-3860.
        raise ValidationError("intrinsic gas")
    if case.to is None and len(case.data) > 49_152:
        raise ValidationError("init code size")


def _outcome(case: Case, state: RecordingState, computation: ComputationAPI) -> Outcome:
    used = case.gas_limit - computation.get_gas_remaining()
    if computation.is_success:
        status = Status.SUCCEEDED
        used -= min(computation.get_gas_refund(), used // 5)
        output = computation.output if case.to is not None else computation.msg.storage_address
    elif isinstance(computation.error, Revert):
        status, output = Status.REVERTED, computation.output
    else:
        status, output = Status.HALTED, b""
    return Outcome(
        status=status,
        gas_used=used,
        output=output,
        logs=tuple(
            (address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
            for address, topics, data in computation.get_log_entries()
        ),
        accounts=_accounts(case, state),
    )


def _accounts(case: Case, state: RecordingState) -> dict[bytes, AccountAfter]:
    slots: dict[bytes, list[int]] = {}
    for owner, slot in state.slots:
        slots.setdefault(owner, []).append(slot)
    found: dict[bytes, AccountAfter] = {}
    for raw in sorted(case.accounts.keys() | state.addresses.keys() | slots.keys()):
        address = Address(raw)
        after = account_after(
            state.get_nonce(address),
            state.get_balance(address),
            state.get_code_hash(address),
            {slot: state.get_storage(address, slot) for slot in slots.get(raw, ())},
        )
        if after is not None:
            found[raw] = after
    return found
