"""Code that runs for the first time: what `hearth bench vm --worst` knows beside endless loops.

A transaction calls one contract after the other, each with a code of its own that no cache holds,
or creates contracts with init code, which is always new. The codes are as large as they may be, and
their instructions and basic blocks as slow to find as they can be for what running them counts.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import final

from crypto.hashing import keccak256
from testnet.bench.evm_programs import CONTRACT, transfer_case
from testnet.evm_fuzz.assembly import Assembler
from testnet.evm_fuzz.case import Account, Case
from vm.evm.gas import CODE_BYTES_MAX, INITCODE_BYTES_MAX
from vm.evm.world import AccountState

_CONTRACTS = 64
"""More than one transaction can pay for."""
_STACK = 1_000
"""How high straight code may pile up the stack."""
_JUMPDEST, _JUMP, _PUSH2, _STOP = b"\x5b", b"\x56", b"\x61", b"\x00"


def _repeated(text: str) -> Callable[[int], bytes]:
    body = bytes.fromhex(text)
    return lambda size: body * (size // len(body))


def _piles(push: str, pop: str) -> Callable[[int], bytes]:
    """Return code that fills the stack and empties it again, over and over."""
    return _repeated(push * _STACK + pop * _STACK)


def _only_searched(text: str) -> Callable[[int], bytes]:
    """Return code that jumps to its end: all of it is searched for destinations, no more run."""

    def code(size: int) -> bytes:
        middle = _repeated(text)(size - 6)
        end = 4 + len(middle)
        return _PUSH2 + end.to_bytes(2, "big") + _JUMP + middle + _JUMPDEST + _STOP

    return code


def _jumps(size: int) -> bytes:
    """Return code that jumps over four bytes, all the way."""
    ends = range(4, size - 4, 5)
    return b"".join(_PUSH2 + end.to_bytes(2, "big") + _JUMP + _JUMPDEST for end in ends)


CODES: dict[str, Callable[[int], bytes]] = {
    "JUMPDEST PUSH0 POP": _repeated("5b5f50"),
    "JUMPDEST PUSH0, JUMPDEST POP": _piles("5b5f", "5b50"),
    "JUMPDEST PUSH0 PUSH0 JUMPI": _repeated("5b5f5f57"),
    "JUMPDEST PUSH1 POP": _repeated("5b600050"),
    "PUSH0 POP": _repeated("5f50"),
    "PUSH0, POP": _piles("5f", "50"),
    "GAS POP": _repeated("5a50"),
    "JUMPDEST": _repeated("5b"),
    "jumps": _jumps,
    "searched: JUMPDEST": _only_searched("5b"),
    "searched: PUSH1": _only_searched("605b"),
    "searched: PUSH1, JUMPDEST": _only_searched("605b5b"),
    "DUP1, POP": _repeated("5f" + "80" * _STACK + "50" * (_STACK + 1)),
    "PUSH1 POP": _repeated("600050"),
}
"""Name to what makes a code of at most so many bytes."""


@final
class HashedState:
    """The state of a case, with the hashes of its codes known, as in the chain's state."""

    def __init__(self, case: Case) -> None:
        self._accounts = case.accounts
        self._states = {
            address: AccountState(account.nonce, account.balance, keccak256(account.code))
            for address, account in case.accounts.items()
        }

    def account(self, address: bytes, /) -> AccountState | None:
        """Return nonce, balance and code hash."""
        return self._states.get(address)

    def code(self, address: bytes, /) -> bytes:
        """Return the code."""
        account = self._accounts.get(address)
        return b"" if account is None else account.code

    def storage(self, address: bytes, slot: int, /) -> int:
        """Return a storage word."""
        account = self._accounts.get(address)
        return 0 if account is None else account.storage.get(slot, 0)


def calls(code: Callable[[int], bytes]) -> Case:
    """Return a transaction that calls many contracts that differ in their last bytes alone."""
    asm, accounts = Assembler(), {}
    for number in range(_CONTRACTS):
        address = bytes((0xD0, number)) * 10
        body = code(CODE_BYTES_MAX - 3)
        accounts[address] = Account(nonce=1, code=body + _STOP + number.to_bytes(2, "big"))
        for operand in (0, 0, 0, 0, int.from_bytes(address, "big")):
            asm.push(operand)
        asm.op("GAS", "STATICCALL", "POP")
    case = transfer_case().with_code(CONTRACT, asm.code())
    return replace(case, accounts={**case.accounts, **accounts}, data=b"")


def creations(code: Callable[[int], bytes]) -> Case:
    """Return a transaction that runs init code again and again; it deploys nothing."""
    shown = (CODE_BYTES_MAX, INITCODE_BYTES_MAX - CODE_BYTES_MAX)
    body = code(INITCODE_BYTES_MAX - 1).ljust(INITCODE_BYTES_MAX, _STOP)
    asm, accounts, offset = Assembler(), {}, 0
    for number, size in enumerate(shown):
        address = bytes((0xD0, number)) * 10
        accounts[address] = Account(nonce=1, code=body[offset : offset + size])
        for operand in (size, 0, offset, int.from_bytes(address, "big")):
            asm.push(operand)
        asm.op("EXTCODECOPY")
        offset += size
    for _ in range(_CONTRACTS):
        for operand in (INITCODE_BYTES_MAX, 0, 0):
            asm.push(operand)
        asm.op("CREATE", "POP")
    case = transfer_case().with_code(CONTRACT, asm.code())
    return replace(case, accounts={**case.accounts, **accounts}, data=b"")
