"""Code, decoded once: basic blocks with their price and stack needs, made when first entered.

A basic block is a run of instructions that is always executed as a whole: it ends after a jump,
before a JUMPDEST, and after everything that ends the frame, waits for a call, or sees how much gas
is left (GAS, SSTORE, CALL, CREATE). So its static gas can be taken, and its use of the stack
checked, once at its start (as evmone does), and yet whoever looks at the gas sees the exact number.

A second tier replaces `Block.code` by one step that does the same (see `Block`); nothing else
needs to know.
"""

from collections import OrderedDict
from typing import final

from vm.evm.halts import INVALID_JUMP, Halt
from vm.evm.opcodes import (
    IMMEDIATE_BYTES,
    JUMPDEST,
    OPCODES,
    PC,
    PUSH0,
    PUSH32,
    STACK_MAX,
    STOP,
    Handler,
)

BLOCK_INSTRUCTIONS_MAX = 128
"""A longer run is cut, so that decoding is never far ahead of execution."""
CACHE_BYTES_MAX = 1_000_000
"""Code in the cache, in bytes; decoded, it takes up to about a hundred times as much."""


@final
class Block:
    """A basic block.

    Attributes:
        start: offset of its first instruction.
        end: offset after its last one: where execution goes on unless that jumps.
        code: (handler, argument) of each instruction, to be called with (frame, stack, argument)
            in order. A second tier may put a single step here instead, a compiled function of the
            same signature; the caller has then already taken `gas` and `compute`, checked the
            stack against `need` and `room`, and set `frame.pc` to `end`. The function leaves
            stack, memory, world, `frame.pc`, `frame.state` and what dynamic prices take as the
            instructions would; it raises `Halt` wherever one of them would. It may also run
            blocks that follow, if it takes their prices and checks their needs in the same way.
        gas: static price of all its instructions.
        compute: the same on the second meter.
        need: items that must be on the stack.
        room: items that may be on the stack at most.
    """

    __slots__ = ("code", "compute", "end", "gas", "need", "room", "start")

    def __init__(
        self,
        start: int,
        end: int,
        code: list[tuple[Handler, int]],
        *,
        gas: int,
        compute: int,
        need: int,
        room: int,
    ) -> None:
        self.start = start
        self.end = end
        self.code = code
        self.gas = gas
        self.compute = compute
        self.need = need
        self.room = room


@final
class Program:
    """The code of a contract, or init code.

    Attributes:
        code: its bytes.
        blocks: decoded so far, by offset.
        targets: offsets that are known to be jump destinations.
    """

    __slots__ = ("_is_target", "blocks", "code", "targets")

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.blocks: dict[int, Block] = {}
        self.targets: set[int] = set()
        self._is_target: bytearray | None = None

    def is_target(self, offset: int) -> bool:
        """Return whether `offset` is a JUMPDEST that is not push data (Yellow Paper, 9.4.3)."""
        if self._is_target is None:
            self._is_target = _find_targets(self.code)
        return offset < len(self.code) and self._is_target[offset] == 1

    def check_target(self, offset: int) -> None:
        """Accept a jump destination, or halt."""
        if not self.is_target(offset):
            raise Halt(INVALID_JUMP)
        self.targets.add(offset)

    def decode(self, start: int) -> Block:
        """Decode the block at `start`, keep it, and return it."""
        block = self.blocks[start] = _decode(self.code, start)
        return block

    def argument(self, offset: int) -> int:
        """Return what the handler of the instruction at `offset` gets."""
        if offset >= len(self.code):
            return 0
        return _argument(self.code, offset, self.code[offset])


def _find_targets(code: bytes) -> bytearray:
    """Return 1 at each jump destination, 0 elsewhere. Every jump needs it, so it is made once."""
    found = bytearray(len(code))
    immediate = IMMEDIATE_BYTES
    offset, size = 0, len(code)
    while offset < size:
        byte = code[offset]
        if byte == JUMPDEST:
            found[offset] = 1
        offset += 1 + immediate[byte]
    return found


def _argument(code: bytes, offset: int, byte: int) -> int:
    if PUSH0 <= byte <= PUSH32:
        size = byte - PUSH0
        data = code[offset + 1 : offset + 1 + size]
        # Push data that the end of the code cuts off is filled up with zeros.
        return int.from_bytes(data, "big") << 8 * (size - len(data))
    return offset if byte == PC else OPCODES[byte].argument


def _decode(code: bytes, start: int) -> Block:
    steps: list[tuple[Handler, int]] = []
    gas = compute = height = need = peak = 0
    offset, size = start, len(code)
    for count in range(BLOCK_INSTRUCTIONS_MAX):
        # The end of the code does what STOP does.
        byte = code[offset] if offset < size else STOP
        if count and (byte == JUMPDEST or offset >= size):
            break
        opcode = OPCODES[byte]
        if byte != JUMPDEST:
            steps.append((opcode.handler, _argument(code, offset, byte)))
        gas += opcode.gas
        compute += opcode.compute
        need = max(need, opcode.pops - height)
        height += opcode.pushes - opcode.pops
        peak = max(peak, height)
        offset += 1 + IMMEDIATE_BYTES[byte]
        if opcode.ends:
            break
    return Block(
        start,
        offset,
        steps,
        gas=gas,
        compute=compute + 1,
        need=need,
        room=STACK_MAX - peak,
    )


@final
class ProgramCache:
    """The programs of deployed codes by hash, least recently used out first.

    What is in it changes speed alone.
    """

    __slots__ = ("_bytes", "_programs")

    def __init__(self) -> None:
        self._programs: OrderedDict[bytes, Program] = OrderedDict()
        self._bytes = 0

    def get(self, code_hash: bytes) -> Program | None:
        """Return the program of a code, if it is there."""
        program = self._programs.get(code_hash)
        if program is not None:
            self._programs.move_to_end(code_hash)
        return program

    def put(self, code_hash: bytes, program: Program) -> None:
        """Keep a program that is not there yet."""
        self._programs[code_hash] = program
        self._bytes += len(program.code)
        while self._bytes > CACHE_BYTES_MAX:
            _, oldest = self._programs.popitem(last=False)
            self._bytes -= len(oldest.code)
