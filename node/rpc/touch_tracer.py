"""geth's `prestateTracer` and `4byteTracer`: what state a transaction touches, what it calls."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, final

from node.rpc.trace_options import TraceBudget
from node.rpc.values import Out, to_data, to_quantity
from vm.accounts import read_account
from vm.evm.tracing import FrameInfo
from vm.receipt import Log
from vm.state import StateReader

CodeAt: TypeAlias = Callable[[StateReader, bytes], bytes]
StorageAt: TypeAlias = Callable[[StateReader, bytes, int], int]

_SLOAD, _SSTORE = 0x54, 0x55
_OF_ADDRESS: Final = frozenset((0x31, 0x3B, 0x3C, 0x3F, 0xFF))
"""BALANCE, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH, SELFDESTRUCT: the address is on top."""
_ADDRESS_MASK = 2**160 - 1
_TOUCH_BYTES = 150
_SELECTOR_BYTES = 4


@final
@dataclass(slots=True)
class TouchTracer:
    """Records addresses, slots and calls (`vm.evm.tracing.Tracer`); what fails counts, too."""

    budget: TraceBudget
    touched: dict[bytes, dict[int, None]] = field(default_factory=dict)
    """Slots by address, in the order of their first touch."""
    created: dict[bytes, None] = field(default_factory=dict)
    selectors: dict[str, int] = field(default_factory=dict)
    """How often "0xselector-size of the arguments" was called."""

    def enter(self, frame: FrameInfo, /) -> None:
        """Record both ends of a call."""
        self.touch(frame.caller)
        self.touch(frame.to)
        if frame.kind in ("CREATE", "CREATE2"):
            self.created[frame.to] = None
        elif frame.kind != "SELFDESTRUCT" and len(frame.data) >= _SELECTOR_BYTES:
            arguments = len(frame.data) - _SELECTOR_BYTES
            key = f"{to_data(frame.data[:_SELECTOR_BYTES])}-{arguments}"
            self.selectors[key] = self.selectors.get(key, 0) + 1

    def step(
        self,
        *,
        pc: int,
        opcode: int,
        gas: int,
        cost: int,
        depth: int,
        stack: Sequence[int],
        memory: bytearray,
        address: bytes,
        refund: int,
    ) -> None:
        """Record what the instruction is about to read or write."""
        if not stack:
            return
        if opcode in (_SLOAD, _SSTORE):
            slots = self.touch(address)
            if stack[-1] not in slots:
                self.budget.spend(_TOUCH_BYTES)
                slots[stack[-1]] = None
        elif opcode in _OF_ADDRESS:
            self.touch((stack[-1] & _ADDRESS_MASK).to_bytes(20, "big"))

    def log(self, log: Log, /) -> None:
        """Pass: a log is no state."""

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """Pass: also what is undone was touched."""

    def touch(self, address: bytes) -> dict[int, None]:
        """Return the slots of an address that is touched."""
        slots = self.touched.get(address)
        if slots is None:
            self.budget.spend(_TOUCH_BYTES)
            slots = self.touched[address] = {}
        return slots


@final
@dataclass(frozen=True, slots=True)
class TouchedAccount:
    """What a state holds of an address. There is no coin, so no balance."""

    nonce: int
    code: bytes
    storage: dict[int, int]
    """Of every slot that was touched; 0 if it holds nothing."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there."""
        return not self.nonce and not self.code and not any(self.storage.values())


_NOBODY = TouchedAccount(0, b"", {})
Accounts: TypeAlias = dict[bytes, TouchedAccount]
"""By address, in the order of the first touch."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StateReads:
    """How to read what was touched in some state, and which parts."""

    code_at: CodeAt
    storage_at: StorageAt
    with_code: bool
    with_storage: bool

    def accounts(self, tracer: TouchTracer, state: StateReader) -> Accounts:
        """Return every account that was touched, as it is in `state`."""
        return {address: self._account(tracer, state, address) for address in tracer.touched}

    def _account(self, tracer: TouchTracer, state: StateReader, address: bytes) -> TouchedAccount:
        code = self.code_at(state, address) if self.with_code else b""
        tracer.budget.spend(2 * len(code))
        slots = tracer.touched[address] if self.with_storage else {}
        return TouchedAccount(
            nonce=read_account(state, address).nonce,
            code=code,
            storage={slot: self.storage_at(state, address, slot) for slot in slots},
        )


def before_json(before: Accounts, created: Collection[bytes]) -> dict[str, Out]:
    """Return the accounts as they were, but for those that did not exist yet."""
    return {
        to_data(address): _BALANCE | _fields(account, _NOBODY)
        for address, account in before.items()
        if not (account.is_empty and address in created)
    }


def difference_json(
    before: Accounts, after: Accounts, created: Collection[bytes]
) -> dict[str, Out]:
    """Return what changed, as geth's diffMode: the old accounts, and the fields that are new."""
    pre: Accounts = {}
    post: dict[str, Out] = {}
    for address, old in before.items():
        new = after[address]
        if old != new:
            changed = [slot for slot in old.storage if old.storage[slot] != new.storage[slot]]
            pre[address] = _only(old, changed)
            post[to_data(address)] = _fields(_only(new, changed), old)
    return {"pre": before_json(pre, created), "post": post}


def _only(account: TouchedAccount, slots: list[int]) -> TouchedAccount:
    return replace(account, storage={slot: account.storage[slot] for slot in slots})


_BALANCE: Final[dict[str, Out]] = {"balance": to_quantity(0)}


def _fields(account: TouchedAccount, known: TouchedAccount) -> dict[str, Out]:
    """Return the fields of an account that differ from what is known, zeros left out."""
    fields: dict[str, Out] = {}
    if account.nonce not in (0, known.nonce):
        fields["nonce"] = account.nonce
    if account.code not in (b"", known.code):
        fields["code"] = to_data(account.code)
    held = {_word(slot): _word(value) for slot, value in account.storage.items() if value}
    if held:
        fields["storage"] = held
    return fields


def _word(value: int) -> str:
    return to_data(value.to_bytes(32, "big"))
