"""The table of opcodes: the Yellow Paper's appendix H.2 and later EIPs, a line each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from vm.evm.frame import Frame
from vm.evm.instructions import (
    arithmetic,
    bitwise,
    calls,
    context,
    control,
    create,
    memory,
    storage,
)

Handler: TypeAlias = Callable[[Frame, list[int], int], None]
"""(frame, its stack, argument): see `vm.evm.instructions`."""

STACK_MAX = 1024
STOP, PC, JUMPDEST, PUSH0, PUSH32 = 0x00, 0x58, 0x5B, 0x5F, 0x7F


@final
@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction.

    Attributes:
        name: mnemonic, or what geth calls a byte without meaning.
        pops, pushes: items of the stack.
        gas: static price.
        handler: what it does.
        compute: static price on the second meter.
        ends: a basic block ends after it: it jumps, ends the frame, waits for a call, or sees how
            much gas is left.
        argument: what its handler gets, where the opcode alone fixes it.
    """

    name: str
    pops: int
    pushes: int
    gas: int
    handler: Handler
    compute: int
    ends: bool
    argument: int


def _op(
    name: str,
    pops: int,
    pushes: int,
    gas: int,
    handler: Handler,
    *,
    compute: int | None = None,
    ends: bool = False,
    argument: int = 0,
) -> Opcode:
    return Opcode(
        name, pops, pushes, gas, handler, gas if compute is None else compute, ends, argument
    )


def _undefined(byte: int) -> Opcode:
    name = f"opcode {byte:#x} not defined"
    return _op(name, 0, 0, 0, control.invalid, compute=1, ends=True, argument=byte)


_DEFINED: dict[int, Opcode] = {
    0x00: _op("STOP", 0, 0, 0, control.stop, compute=1, ends=True),
    0x01: _op("ADD", 2, 1, 3, arithmetic.add),
    0x02: _op("MUL", 2, 1, 5, arithmetic.mul),
    0x03: _op("SUB", 2, 1, 3, arithmetic.sub),
    0x04: _op("DIV", 2, 1, 5, arithmetic.div),
    0x05: _op("SDIV", 2, 1, 5, arithmetic.sdiv, compute=11),
    0x06: _op("MOD", 2, 1, 5, arithmetic.mod),
    0x07: _op("SMOD", 2, 1, 5, arithmetic.smod, compute=11),
    0x08: _op("ADDMOD", 3, 1, 8, arithmetic.addmod),
    0x09: _op("MULMOD", 3, 1, 8, arithmetic.mulmod, compute=9),
    0x0A: _op("EXP", 2, 1, 10, arithmetic.exp, compute=40),
    0x0B: _op("SIGNEXTEND", 2, 1, 5, arithmetic.signextend),
    0x10: _op("LT", 2, 1, 3, bitwise.lt),
    0x11: _op("GT", 2, 1, 3, bitwise.gt),
    0x12: _op("SLT", 2, 1, 3, bitwise.slt, compute=6),
    0x13: _op("SGT", 2, 1, 3, bitwise.sgt, compute=6),
    0x14: _op("EQ", 2, 1, 3, bitwise.eq),
    0x15: _op("ISZERO", 1, 1, 3, bitwise.iszero),
    0x16: _op("AND", 2, 1, 3, bitwise.and_),
    0x17: _op("OR", 2, 1, 3, bitwise.or_),
    0x18: _op("XOR", 2, 1, 3, bitwise.xor),
    0x19: _op("NOT", 1, 1, 3, bitwise.not_, compute=5),
    0x1A: _op("BYTE", 2, 1, 3, bitwise.byte),
    0x1B: _op("SHL", 2, 1, 3, bitwise.shl),
    0x1C: _op("SHR", 2, 1, 3, bitwise.shr),
    0x1D: _op("SAR", 2, 1, 3, bitwise.sar, compute=8),
    0x20: _op("KECCAK256", 2, 1, 30, memory.keccak, compute=38),
    0x30: _op("ADDRESS", 0, 1, 2, context.address, compute=5),
    0x31: _op("BALANCE", 1, 1, 100, context.balance),
    0x32: _op("ORIGIN", 0, 1, 2, context.origin, compute=5),
    0x33: _op("CALLER", 0, 1, 2, context.caller, compute=5),
    0x34: _op("CALLVALUE", 0, 1, 2, context.callvalue),
    0x35: _op("CALLDATALOAD", 1, 1, 3, memory.calldataload, compute=11),
    0x36: _op("CALLDATASIZE", 0, 1, 2, memory.calldatasize),
    0x37: _op("CALLDATACOPY", 3, 0, 3, memory.calldatacopy, compute=11),
    0x38: _op("CODESIZE", 0, 1, 2, memory.codesize),
    0x39: _op("CODECOPY", 3, 0, 3, memory.codecopy, compute=11),
    0x3A: _op("GASPRICE", 0, 1, 2, context.gasprice),
    0x3B: _op("EXTCODESIZE", 1, 1, 100, context.extcodesize),
    0x3C: _op("EXTCODECOPY", 4, 0, 100, memory.extcodecopy),
    0x3D: _op("RETURNDATASIZE", 0, 1, 2, memory.returndatasize),
    0x3E: _op("RETURNDATACOPY", 3, 0, 3, memory.returndatacopy, compute=11),
    0x3F: _op("EXTCODEHASH", 1, 1, 100, context.extcodehash),
    0x40: _op("BLOCKHASH", 1, 1, 20, context.blockhash, compute=45),
    0x41: _op("COINBASE", 0, 1, 2, context.coinbase, compute=5),
    0x42: _op("TIMESTAMP", 0, 1, 2, context.timestamp),
    0x43: _op("NUMBER", 0, 1, 2, context.number),
    0x44: _op("PREVRANDAO", 0, 1, 2, context.prevrandao),
    0x45: _op("GASLIMIT", 0, 1, 2, context.gaslimit),
    0x46: _op("CHAINID", 0, 1, 2, context.chainid),
    0x47: _op("SELFBALANCE", 0, 1, 5, context.selfbalance, compute=6),
    0x48: _op("BASEFEE", 0, 1, 2, context.basefee),
    0x49: _op("BLOBHASH", 1, 1, 3, context.blobhash),
    0x4A: _op("BLOBBASEFEE", 0, 1, 2, context.blobbasefee),
    0x50: _op("POP", 1, 0, 2, control.pop),
    0x51: _op("MLOAD", 1, 1, 3, memory.mload, compute=8),
    0x52: _op("MSTORE", 2, 0, 3, memory.mstore, compute=7),
    0x53: _op("MSTORE8", 2, 0, 3, memory.mstore8, compute=4),
    0x54: _op("SLOAD", 1, 1, 100, storage.sload, compute=13),
    0x55: _op("SSTORE", 2, 0, 0, storage.sstore, compute=65, ends=True),
    0x56: _op("JUMP", 1, 0, 8, control.jump, ends=True),
    0x57: _op("JUMPI", 2, 0, 10, control.jumpi, ends=True),
    0x58: _op("PC", 0, 1, 2, control.pc),
    0x59: _op("MSIZE", 0, 1, 2, memory.msize),
    0x5A: _op("GAS", 0, 1, 2, control.gas, compute=10, ends=True),
    0x5B: _op("JUMPDEST", 0, 0, 1, control.jumpdest),
    0x5C: _op("TLOAD", 1, 1, 100, storage.tload, compute=10),
    0x5D: _op("TSTORE", 2, 0, 100, storage.tstore, compute=26),
    0x5E: _op("MCOPY", 3, 0, 3, memory.mcopy, compute=11),
    0x5F: _op("PUSH0", 0, 1, 2, control.push),
    0xF0: _op("CREATE", 3, 1, 32_000, create.create, compute=300, ends=True),
    0xF1: _op("CALL", 7, 1, 100, calls.call, compute=170, ends=True),
    0xF2: _op("CALLCODE", 7, 1, 100, calls.callcode, compute=170, ends=True),
    0xF3: _op("RETURN", 2, 0, 0, control.return_, compute=1, ends=True),
    0xF4: _op("DELEGATECALL", 6, 1, 100, calls.delegatecall, compute=170, ends=True),
    0xF5: _op("CREATE2", 4, 1, 32_000, create.create2, compute=300, ends=True),
    0xFA: _op("STATICCALL", 6, 1, 100, calls.staticcall, compute=170, ends=True),
    0xFD: _op("REVERT", 2, 0, 0, control.revert, compute=1, ends=True),
    0xFE: _op("INVALID", 0, 0, 0, control.invalid, compute=1, ends=True, argument=0xFE),
    0xFF: _op("SELFDESTRUCT", 1, 0, 5_000, create.selfdestruct, compute=100, ends=True),
}
_DEFINED |= {PUSH0 + n: _op(f"PUSH{n}", 0, 1, 3, control.push) for n in range(1, 33)}
_DEFINED |= {0x7F + n: _op(f"DUP{n}", n, n + 1, 3, control.dup, argument=n) for n in range(1, 17)}
_DEFINED |= {
    0x8F + n: _op(f"SWAP{n}", n + 1, n + 1, 3, control.swap, argument=n) for n in range(1, 17)
}
_DEFINED |= {
    0xA0 + n: _op(f"LOG{n}", n + 2, 0, 375 * (n + 1), storage.log, compute=20, argument=n)
    for n in range(5)
}

OPCODES: tuple[Opcode, ...] = tuple(_DEFINED.get(byte) or _undefined(byte) for byte in range(256))
"""By byte. Bytes without meaning are there, too: executing one halts."""

IMMEDIATE_BYTES: tuple[int, ...] = tuple(
    byte - PUSH0 if PUSH0 <= byte <= PUSH32 else 0 for byte in range(256)
)
"""How many bytes of push data follow an opcode."""
