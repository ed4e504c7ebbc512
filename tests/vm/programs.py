"""Bytecode by hand: statements from which tests put contracts together.

A program is a list of statements; each is a function of its own offset that returns code which
leaves the stack as it was, so any list is a program. What they do is easy to account for: `count`
raises slot 0 by one and says so in a log, so slot 0 and the number of logs agree for ever,
whatever was undone in between.
"""

from crypto import rlp
from crypto.hashing import keccak256
from tests.vm.chain import MEMBERS, TOY, call_data
from vm.contract_state import code_at

COUNTED = keccak256(b"Counted()")

STOP, ADD, ISZERO, POP, MSTORE, SLOAD, SSTORE = 0x00, 0x01, 0x15, 0x50, 0x52, 0x54, 0x55
JUMP, JUMPI, JUMPDEST, PUSH0, LOG1, CREATE, RETURN = 0x56, 0x57, 0x5B, 0x5F, 0xA1, 0xF0, 0xF3
CODECOPY, ADDRESS, GAS, DUP1, REVERT, INVALID, SELFDESTRUCT = (
    0x39,
    0x30,
    0x5A,
    0x80,
    0xFD,
    0xFE,
    0xFF,
)
RETURNDATASIZE, RETURNDATACOPY = 0x3D, 0x3E
CALL, CALLCODE, DELEGATECALL, STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA


def push(value, width=None):
    """Return PUSH of an int, or of bytes as they are."""
    if isinstance(value, int):
        value = value.to_bytes(width or max(1, (value.bit_length() + 7) // 8), "big")
    return bytes((PUSH0 + len(value),)) + value


def mstore(data):
    """Return code that writes `data` to memory from 0 on."""
    code = b""
    for at in range(0, len(data), 32):
        code += push(data[at : at + 32].ljust(32, b"\0")) + push(at) + bytes((MSTORE,))
    return code


def program(*statements):
    """Return the runtime code of the statements, which stops at the end."""
    code = b""
    for statement in statements:
        code += statement(len(code))
    return code + bytes((STOP,))


def count(_at):
    """Raise slot 0 by one and emit a log."""
    raised = push(0) + bytes((SLOAD,)) + push(1) + bytes((ADD,)) + push(0) + bytes((SSTORE,))
    return raised + push(COUNTED) + push(0) + push(0) + bytes((LOG1,))


def store(slot, value):
    return lambda _at: push(value) + push(slot) + bytes((SSTORE,))


def call(to, data=b"", *, kind=CALL, value=0, must=False, gas=None):
    """Return a statement that calls `to`; if `must`, a failure is passed on with its data."""

    def statement(at):
        code = mstore(data) + push(0) + push(0) + push(len(data)) + push(0)
        if kind in (CALL, CALLCODE):
            code += push(value)
        code += (bytes((ADDRESS,)) if to is None else push(to)) + (
            bytes((GAS,)) if gas is None else push(gas)
        )
        code += bytes((kind,))
        if not must:
            return code + bytes((POP,))
        tail = bytes((RETURNDATASIZE, PUSH0, PUSH0, RETURNDATACOPY, RETURNDATASIZE, PUSH0, REVERT))
        after = at + len(code) + 4 + len(tail)
        return code + push(after, 2) + bytes((JUMPI,)) + tail + bytes((JUMPDEST,))

    return statement


def transfer(to, value, **options):
    """Call the native token of the tests."""
    return call(TOY, call_data("transfer(address,uint256)", to, value), **options)


def create(runtime):
    """Return a statement that creates a contract with this runtime."""
    init = init_code(runtime)

    def statement(_at):
        return mstore(init) + push(len(init)) + push(0) + push(0) + bytes((CREATE, POP))

    return statement


def revert(_at):
    return push(0) + push(0) + bytes((REVERT,))


def invalid(_at):
    return bytes((INVALID,))


def loop(at):
    """Spin until the gas, or the compute, is used up."""
    return bytes((JUMPDEST,)) + push(at, 2) + bytes((JUMP,))


def destroy(_at):
    return bytes((ADDRESS, SELFDESTRUCT))


def return_word(*opcodes):
    """Return what one opcode, or a few, leave on the stack."""
    return lambda _at: (
        bytes(opcodes) + push(0) + bytes((MSTORE,)) + push(32) + push(0) + bytes((RETURN,))
    )


def init_code(runtime):
    """Return init code that deploys `runtime`."""
    size = push(len(runtime), 2) + bytes((DUP1,))
    tail = bytes((PUSH0, CODECOPY, PUSH0, RETURN))
    start = len(size) + len(push(0, 2)) + len(tail)
    return size + push(start, 2) + tail + runtime


def created_by(sender, nonce):
    """Return the address of what an account creates (Yellow Paper, section 7)."""
    return keccak256(rlp.encode([sender, rlp.encode_int(nonce)]))[12:]


def deploy(chain, *statements, signer=MEMBERS[0]):
    """Deploy a program in a block of its own; return its address."""
    code = program(*statements)
    nonce = chain.machine.next_nonce(chain.state, signer.address)
    (receipt,) = chain.seal(chain.send(signer, init_code(code), gas_limit=9_000_000))
    assert receipt.status == 1, receipt
    address = created_by(signer.address, nonce)
    assert code_at(chain.state, address) == code
    return address
