"""Bytecode from mnemonics and labels, and back into lines for people.

A table of its own, not the interpreter's: a wrong byte there shall not go unseen here.
"""

from dataclasses import dataclass
from typing import final

PUSH0 = 0x5F
JUMPDEST = 0x5B

_FAMILIES: dict[int, str] = {
    0x00: "STOP ADD MUL SUB DIV SDIV MOD SMOD ADDMOD MULMOD EXP SIGNEXTEND",
    0x10: "LT GT SLT SGT EQ ISZERO AND OR XOR NOT BYTE SHL SHR SAR",
    0x20: "KECCAK256",
    0x30: "ADDRESS BALANCE ORIGIN CALLER CALLVALUE CALLDATALOAD CALLDATASIZE CALLDATACOPY "
    "CODESIZE CODECOPY GASPRICE EXTCODESIZE EXTCODECOPY RETURNDATASIZE RETURNDATACOPY EXTCODEHASH",
    0x40: "BLOCKHASH COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE",
    0x50: "POP MLOAD MSTORE MSTORE8 SLOAD SSTORE JUMP JUMPI PC MSIZE GAS JUMPDEST TLOAD TSTORE "
    "MCOPY PUSH0",
    0xA0: "LOG0 LOG1 LOG2 LOG3 LOG4",
    0xF0: "CREATE CALL CALLCODE RETURN DELEGATECALL CREATE2",
    0xFA: "STATICCALL",
    0xFD: "REVERT INVALID SELFDESTRUCT",
}

OPCODES: dict[str, int] = {
    name: base + offset
    for base, names in _FAMILIES.items()
    for offset, name in enumerate(names.split())
}
OPCODES |= {f"PUSH{size}": PUSH0 + size for size in range(1, 33)}
OPCODES |= {f"DUP{depth}": 0x7F + depth for depth in range(1, 17)}
OPCODES |= {f"SWAP{depth}": 0x8F + depth for depth in range(1, 17)}
NAMES: dict[int, str] = {byte: name for name, byte in OPCODES.items()}


@final
@dataclass(frozen=True, slots=True)
class Label:
    """A place in a program that is not known yet."""

    number: int


@final
class Assembler:
    """Collects a program; labels become two-byte pushes once all places are known."""

    def __init__(self) -> None:
        self._parts: list[bytes | Label] = []
        self._places: dict[Label, int] = {}
        self._size = 0
        self._labels = 0

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def op(self, *names: str) -> None:
        """Append instructions without immediates."""
        for name in names:
            self.raw(bytes((OPCODES[name],)))

    def raw(self, code: bytes) -> None:
        """Append bytes as they are."""
        self._parts.append(code)
        self._size += len(code)

    def push(self, value: int, size: int | None = None) -> None:
        """Append the push of `value`, in `size` bytes or as few as it needs."""
        width = (value.bit_length() + 7) // 8 if size is None else size
        self.raw(bytes((PUSH0 + width,)) + value.to_bytes(width, "big"))

    def label(self) -> Label:
        """Return a label that has no place yet."""
        self._labels += 1
        return Label(self._labels)

    def push_label(self, label: Label) -> None:
        """Append the push of a label's place."""
        self._parts.append(label)
        self._size += 3

    def place(self, label: Label) -> None:
        """Give `label` this place, without an instruction: for data."""
        self._places[label] = self._size

    def jumpdest(self, label: Label) -> None:
        """Give `label` this place and make it a jump target."""
        self.place(label)
        self.op("JUMPDEST")

    def code(self) -> bytes:
        """Return the program."""
        return b"".join(
            part
            if isinstance(part, bytes)
            else bytes((PUSH0 + 2,)) + self._places[part].to_bytes(2, "big")
            for part in self._parts
        )


def instructions(code: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of each instruction, immediates included."""
    found = []
    start = 0
    while start < len(code):
        width = code[start] - PUSH0 if PUSH0 < code[start] <= PUSH0 + 32 else 0
        end = min(start + 1 + width, len(code))
        found.append((start, end))
        start = end
    return found


def disassemble(code: bytes) -> list[str]:
    """Return one line for each instruction; a run of JUMPDESTs is one line."""
    lines: list[str] = []
    run = 0
    for start, end in instructions(code):
        if code[start] == JUMPDEST:
            run += 1
            continue
        if run:
            lines.append(f"{start - run:04x} JUMPDEST" + (f" x {run}" if run > 1 else ""))
            run = 0
        name = NAMES.get(code[start], f"0x{code[start]:02x}")
        data = code[start + 1 : end].hex()
        lines.append(f"{start:04x} {name}" + (f" 0x{data}" if data else ""))
    if run:
        lines.append(f"{len(code) - run:04x} JUMPDEST" + (f" x {run}" if run > 1 else ""))
    return lines
