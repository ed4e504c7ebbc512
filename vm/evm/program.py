"""Code, decoded once: basic blocks with their price and stack needs, made when first entered.

A basic block is a run of instructions that is always executed as a whole: it ends after a jump,
before a JUMPDEST, and after everything that ends the frame, waits for a call, or sees how much gas
is left (GAS, SSTORE, CALL, CREATE). So its static gas can be taken, and its use of the stack
checked, once at its start (as evmone does), and yet whoever looks at the gas sees the exact number.

JUMPDESTs in a row are one block but for the last, which begins the next: wherever a jump enters the
row, what follows is the same block, so that nothing but JUMPDESTs is ever decoded twice.

A second tier replaces `Block.code` by one step that does the same (see `Block`); nothing else
needs to know.
"""

import re
from collections import OrderedDict
from itertools import compress
from typing import TypeAlias, final

from vm.evm import gas as prices
from vm.evm.halts import INVALID_JUMP, Halt
from vm.evm.instructions import control
from vm.evm.opcodes import (
    IMMEDIATE_BYTES,
    JUMPDEST,
    OPCODES,
    PC,
    STACK_MAX,
    STOP,
    Handler,
)

BLOCK_BYTES_MAX = 128
"""No instruction of a block starts further behind its first: decoding is never far ahead of
execution."""
CACHE_BYTES_MAX = 400_000
"""Code in the cache, in bytes; decoded, it takes up to about a hundred times as much."""

_PADDING = bytes(33)
_TARGETS = re.compile(rb"\x5b*")

Watch: TypeAlias = Handler
"""Put before the handlers of every block that is decoded; its argument is the block's offset."""


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
        runs: for the second tier to count in.
    """

    __slots__ = ("code", "compute", "end", "gas", "need", "room", "runs", "start")

    # By position: keywords would take a fifth of the time that a short block is decoded in.
    def __init__(  # noqa: PLR0917
        self,
        start: int,
        end: int,
        code: list[tuple[Handler, int]],
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
        self.runs = 0


@final
class Program:
    """The code of a contract, or init code.

    Attributes:
        code: its bytes.
        decoding: compute of decoding it from end to end.
        blocks: decoded so far, by offset.
        targets: offsets that are known to be jump destinations.
        watch: runs before every block that is decoded (`vm.evm.compiled`), if there is a second
            tier.
    """

    __slots__ = ("_is_target", "_padded", "blocks", "code", "decoding", "targets", "watch")

    def __init__(self, code: bytes, watch: "Watch | None" = None) -> None:
        self.code = code
        self.watch = watch
        # The end of the code does what STOP does, and push data beyond it is zeros.
        self._padded = code + _PADDING
        self.decoding = prices.decoding(code)
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
        block = self.blocks[start] = _decode(self._padded, start)
        if self.watch is not None:
            block.code.insert(0, (self.watch, start))
        return block

    def argument(self, offset: int) -> int:
        """Return what the handler of the instruction at `offset` gets."""
        byte = self._padded[offset] if offset < len(self.code) else STOP
        if byte == PC:
            return offset
        size = IMMEDIATE_BYTES[byte]
        if not size:
            return OPCODES[byte].argument
        return int.from_bytes(self._padded[offset + 1 : offset + 1 + size], "big")


def _find_targets(code: bytes) -> bytearray:
    """Return 1 at each jump destination, 0 elsewhere. Every jump needs it, so it is made once."""
    found = bytearray(len(code))
    end = 0  # Of the last instruction with push data.
    for offset in compress(range(len(code)), code.translate(_IS_NOTED)):
        if offset >= end:
            byte = code[offset]
            if byte == JUMPDEST:
                found[offset] = 1
            else:
                end = offset + 1 + IMMEDIATE_BYTES[byte]
    return found


_IS_NOTED = bytes(byte == JUMPDEST or IMMEDIATE_BYTES[byte] > 0 for byte in range(256))
"""By byte: whether jump destinations depend on it."""


def _decode(code: bytes, start: int) -> Block:
    """Decode a block of `code`, which ends with the padding of `Program`."""
    byte = code[start]
    limit = min(start + BLOCK_BYTES_MAX, len(code) - len(_PADDING))
    if byte == JUMPDEST == code[start + 1]:
        return _decode_targets(code, start, limit)
    steps: list[tuple[Handler, int]] = []
    gas = height = need = peak = 0
    compute = prices.BLOCK_COMPUTE
    table, push = _DECODED, control.push
    offset = start
    while True:
        after, step, price, units, pops, change, ends = table[byte]
        gas += price
        compute += units
        if need < pops - height:  # noqa: PLR1730 - `max` would cost as much as all the rest.
            need = pops - height
        height += change
        if peak < height:  # noqa: PLR1730
            peak = height
        after += offset
        if step is not None:
            steps.append(step if byte != PC else (control.pc, offset))
        elif byte != JUMPDEST:
            steps.append((push, int.from_bytes(code[offset + 1 : after], "big")))
        offset = after
        if ends or offset >= limit:
            break
        byte = code[offset]
        if byte == JUMPDEST:
            break
    return Block(start, offset, steps, gas, compute, need, STACK_MAX - peak)


def _decode_targets(code: bytes, start: int, limit: int) -> Block:
    """Return the block of the JUMPDESTs at `start`, without the last one of the row."""
    row = _TARGETS.match(code, start, limit)
    assert row is not None, "an empty row matches, too"
    end = max(row.end() - 1, start + 1)
    price = OPCODES[JUMPDEST].gas * (end - start)
    return Block(start, end, [], price, prices.BLOCK_COMPUTE + price, 0, STACK_MAX)


_Decoded: TypeAlias = "tuple[int, tuple[Handler, int] | None, int, int, int, int, bool]"


def _decoded(byte: int) -> _Decoded:
    opcode = OPCODES[byte]
    size = IMMEDIATE_BYTES[byte]
    # JUMPDEST does nothing, so nothing is done for it; what PUSH does depends on its data.
    step = None if size or byte == JUMPDEST else (opcode.handler, opcode.argument)
    change = opcode.pushes - opcode.pops
    return 1 + size, step, opcode.gas, opcode.compute, opcode.pops, change, opcode.ends


_DECODED = tuple(_decoded(byte) for byte in range(256))
"""(size, step, gas, compute, pops, change of height, ends) by byte: what decoding looks up."""


@final
class Loaded:
    """A program that a block runs.

    Attributes:
        program: in whatever state of decoding it is on this node.
        unpaid: compute that decoding it still costs the block at most. It depends on what the block
            has run, not on what the node has decoded.
    """

    __slots__ = ("program", "unpaid")

    def __init__(self, program: Program, unpaid: int | None = None) -> None:
        self.program = program
        self.unpaid = program.decoding if unpaid is None else unpaid


@final
class Codes:
    """The codes that a block has run, by hash: reading and decoding each is paid for once.

    They are kept until the block ends, whatever the cache forgets, so that they are decoded only
    once, too. What a transaction adds counts if the transaction is in the block.

    Args:
        before: what the block had run before this transaction; None: nothing.
    """

    __slots__ = ("_before", "_loaded")

    def __init__(self, before: "Codes | None" = None) -> None:
        self._before = before
        self._loaded: dict[bytes, Loaded] = {}

    def get(self, code_hash: bytes) -> Loaded | None:
        """Return a code that has run; what is paid for it from now on stays here until `keep`."""
        loaded = self._loaded.get(code_hash)
        if loaded is None and self._before is not None:
            earlier = self._before.get(code_hash)
            if earlier is not None:
                loaded = self._loaded[code_hash] = Loaded(earlier.program, earlier.unpaid)
        return loaded

    def put(self, code_hash: bytes, loaded: Loaded) -> None:
        """Add a code that runs for the first time."""
        self._loaded[code_hash] = loaded

    def keep(self) -> None:
        """Add what the transaction ran to what the block has run."""
        assert self._before is not None, "there is nothing to add it to"
        self._before._loaded |= self._loaded


@final
class ProgramCache:
    """The programs of deployed codes by hash, least recently used out first.

    What is in it changes speed alone.

    Attributes:
        watch: what its programs are given.
    """

    __slots__ = ("_bytes", "_programs", "watch")

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._programs: OrderedDict[bytes, Program] = OrderedDict()
        self._bytes = 0

    def clear(self) -> None:
        """Forget all programs."""
        self._programs.clear()
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
