"""Basic blocks into Python source: the second tier's compiler. It makes text and runs nothing.

A *trace* is a row of blocks that follow each other by falling through or by jumps whose target is
known: where a conditional jump leaves it, the trace exits, and where it comes back to its first
block, it loops. Inside a trace the stack is symbolic: PUSH, DUP, SWAP and POP cost nothing, and
constants are folded. The real stack is written only where the trace exits.

The contract with the interpreter is that of `program.Block`. Before each further block the function
does what the interpreter would do: if compute, gas or stack do not suffice, it exits to that block
with nothing of it taken, and the interpreter finds out what is wrong. So gas, compute, logs and
state are the same whether a block is compiled or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from vm.evm.expressions import FOLDED, PURE, Value, combine, constant
from vm.evm.opcodes import IMMEDIATE_BYTES, JUMPDEST, OPCODES
from vm.evm.program import Block, Program

TRACE_INSTRUCTIONS_MAX = 400
"""A longer trace is cut."""
TRACE_CHARS_MAX = 32_000
"""A trace whose source is longer is cut, too: each exit writes the stack back, so that a deep stack
and many exits would take a hundred times as long to compile as their instructions."""

_UNMETERED = frozenset(
    {
        *("ORIGIN", "CODESIZE", "RETURNDATASIZE", "GASPRICE", "COINBASE", "NUMBER"),
        *("TIMESTAMP", "PREVRANDAO", "GASLIMIT", "CHAINID", "SELFBALANCE", "BASEFEE", "BLOBHASH"),
        *("BLOBBASEFEE", "MSIZE", "TLOAD", "BLOCKHASH"),
    }
)
"""Left to the interpreter's handlers, which for these neither charge nor halt."""
_METERED = frozenset(
    {
        *("EXP", "KECCAK256", "BALANCE", "CALLDATACOPY", "CODECOPY", "EXTCODESIZE", "EXTCODECOPY"),
        *("RETURNDATACOPY", "EXTCODEHASH", "MSTORE8", "SLOAD", "SSTORE", "TSTORE", "MCOPY"),
        *("LOG0", "LOG1", "LOG2", "LOG3", "LOG4"),
    }
)
"""Likewise, but these may charge or halt: gas and compute must be exact when they run."""

Profile: TypeAlias = Callable[[int], int]
"""How often the block at an offset was entered: decides only which way a trace goes."""


@final
@dataclass(frozen=True, slots=True)
class Translation:
    """The source of one trace: `def trace(frame, stack, _)` over the names in `handlers`."""

    source: str
    handlers: dict[str, int]
    """Name in the source to opcode."""
    blocks: int
    instructions: int


def translate(program: Program, block: Block, profile: Profile) -> Translation:
    """Return the source of the trace that starts with `block`."""
    return _Tracer(program, block, profile).run()


@final
class _Tracer:
    """Follows one trace and writes its source; used once."""

    def __init__(self, program: Program, head: Block, profile: Profile) -> None:
        self._program = program
        self._head = head
        self._profile = profile
        self._lines: list[str] = []
        self._chars = 0
        self._handlers: dict[str, int] = {}
        self._stack: list[Value] = []
        self._depth = 0  # Items of the real stack that `_stack` stands for.
        self._inputs: dict[int, Value] = {}
        self._variables = 0
        self._loops = False
        self._seen: dict[int, None] = {}
        # What is known of the real stack's height when the trace begins.
        self._height_min = head.need
        self._height_max = head.room
        self._instructions = 0
        self._memory_min = 0  # Bytes that memory has for sure: it never shrinks.

    def run(self) -> Translation:
        block: Block | None = self._head
        while block is not None:
            if self._seen:
                self._enter(block)
            self._seen[block.start] = None
            block = self._follow(self._block(block))
        prologue = [
            "def trace(frame, stack, _):",
            " machine = frame.machine",
            " memory = frame.memory",
            " gas = frame.gas",
            " compute = machine.compute",
        ]
        body = self._lines
        if self._loops:
            prologue.append(" while True:")
            body = [f" {line}" for line in body]
        source = "\n".join([*prologue, *body, ""])
        return Translation(source, self._handlers, len(self._seen), self._instructions)

    # The rows of the source.

    def _emit(self, line: str, indent: int = 1) -> None:
        self._lines.append(" " * indent + line)
        self._chars += len(line)

    def _variable(self, text: str, bits: int = 256) -> Value:
        self._variables += 1
        name = f"v{self._variables}"
        self._emit(f"{name} = {text}")
        return Value(name, bits=bits, is_atom=True)

    def _atom(self, value: Value) -> Value:
        """Have `value` in a variable, if it is more than a name or a number."""
        if not value.is_atom:
            kept = self._variable(value.text, value.bits)
            value.become(kept)
        return value

    # The symbolic stack.

    def _pop(self) -> Value:
        if self._stack:
            return self._stack.pop()
        self._depth += 1
        return self._input(self._depth)

    def _input(self, depth: int) -> Value:
        """Return the item that lay `depth` below the top when the trace began."""
        if depth not in self._inputs:
            value = self._variable(f"stack[-{depth}]")
            value.origin = depth
            self._inputs[depth] = value
        return self._inputs[depth]

    def _reach(self, count: int) -> None:
        """Have at least `count` items in the symbolic stack."""
        while len(self._stack) < count:
            self._depth += 1
            self._stack.insert(0, self._input(self._depth))

    def _write_back(self, indent: int) -> None:
        """Make the real stack what the symbolic one says."""
        values, depth = self._stack, self._depth
        kept = 0
        while kept < min(len(values), depth) and values[kept].origin == depth - kept:
            kept += 1
        values, depth = values[kept:], depth - kept
        items = ", ".join(value.text for value in values)
        if depth and values:
            self._emit(f"stack[-{depth}:] = ({items},)", indent)
        elif depth:
            self._emit(f"del stack[-{depth}:]", indent)
        elif len(values) == 1:
            self._emit(f"stack.append({items})", indent)
        elif values:
            self._emit(f"stack.extend(({items}))", indent)

    # Gas and compute, in local variables.

    def _flush(self, indent: int = 1) -> None:
        self._emit("frame.gas = gas", indent)
        self._emit("machine.compute = compute", indent)

    def _reload(self) -> None:
        self._emit("gas = frame.gas")
        self._emit("compute = machine.compute")

    def _exit(self, pc: str, indent: int = 1) -> None:
        """Leave the trace; the interpreter goes on at `pc`."""
        self._write_back(indent)
        self._flush(indent)
        self._emit(f"frame.pc = {pc}", indent)
        self._emit("return", indent)

    def _enter(self, block: Block) -> None:
        """Take the price of a further block and check its needs, or exit to it untouched."""
        doubts = [f"gas < {block.gas}", f"compute < {block.compute}"]
        moved = len(self._stack) - self._depth
        if block.need - moved > self._height_min:
            self._height_min = block.need - moved
            doubts.append(f"len(stack) < {self._height_min}")
        if block.room - moved < self._height_max:
            self._height_max = block.room - moved
            doubts.append(f"len(stack) > {self._height_max}")
        self._settle()
        self._emit(f"if {' or '.join(doubts)}:")
        self._exit(str(block.start), 2)
        self._emit(f"gas -= {block.gas}")
        self._emit(f"compute -= {block.compute}")

    def _settle(self) -> None:
        """Have all of the symbolic stack in variables: several exits may write it back."""
        for value in self._stack:
            self._atom(value)

    def _close_loop(self, indent: int) -> None:
        """Go back to the head, or exit to it if it cannot be paid for."""
        head = self._head
        self._loops = True
        self._write_back(indent)
        self._emit(
            f"if gas < {head.gas} or compute < {head.compute} "
            f"or not {head.need} <= len(stack) <= {head.room}:",
            indent,
        )
        self._flush(indent + 1)
        self._emit(f"frame.pc = {head.start}", indent + 1)
        self._emit("return", indent + 1)
        self._emit(f"gas -= {head.gas}", indent)
        self._emit(f"compute -= {head.compute}", indent)
        self._emit("continue", indent)

    # Blocks.

    def _block(self, block: Block) -> int | None:
        """Translate a block; return where the trace goes on, None if it has ended."""
        code = self._program.code
        offset = block.start
        while offset < block.end:
            byte = code[offset] if offset < len(code) else 0  # The end of the code is a STOP.
            opcode = OPCODES[byte]
            after = offset + 1 + IMMEDIATE_BYTES[byte]
            self._instructions += 1
            if opcode.name == "JUMP":
                return self._jump()
            if opcode.name == "JUMPI":
                return self._jump_if(after)
            if byte != JUMPDEST and not self._instruction(byte, offset):
                self._leave(byte, block.end, offset)
                return None
            offset = after
        return block.end

    def _follow(self, target: int | None) -> Block | None:
        """Return the block at `target` for the trace to go on with, or end the trace."""
        if target is None:
            return None
        if target == self._head.start:
            self._close_loop(1)
            return None
        block = self._program.blocks.get(target)
        is_long = self._instructions >= TRACE_INSTRUCTIONS_MAX or self._chars >= TRACE_CHARS_MAX
        if block is None or target in self._seen or is_long:
            self._exit(str(target))
            return None
        return block

    def _leave(self, byte: int, end: int, offset: int) -> None:
        """End the trace with an instruction that ends the frame or calls."""
        self._write_back(1)
        self._flush()
        self._emit(f"frame.pc = {end}")
        argument = self._program.argument(offset)
        self._emit(f"{self._handler(byte)}(frame, stack, {argument})")
        self._emit("return")

    def _handler(self, byte: int) -> str:
        name = f"h{byte:02x}"
        self._handlers[name] = byte
        return name

    def _jump(self) -> int | None:
        target = self._pop()
        if target.number is not None and self._program.is_target(target.number):
            return target.number
        self._stack.append(target)
        self._leave(0x56, 0, 0)
        return None

    def _jump_if(self, after: int) -> int | None:
        target, condition = self._pop(), self._pop()
        if target.number is None or not self._program.is_target(target.number):
            self._stack += [condition, target]
            self._leave(0x57, after, 0)
            return None
        if condition.number is not None:
            return target.number if condition.number else after
        self._settle()
        taken, other = target.number, after
        test = condition.test
        if taken == self._head.start:
            self._emit(f"if {test}:")
            self._close_loop(2)
            return other
        if self._profile(taken) > self._profile(other):
            taken, other = other, taken
            test = f"not ({test})"
        self._emit(f"if {test}:")
        if taken == self._head.start:
            self._close_loop(2)
        else:
            self._exit(str(taken), 2)
        return other

    # Instructions.

    def _instruction(self, byte: int, offset: int) -> bool:
        """Translate one instruction; False if it ends the trace."""
        opcode = OPCODES[byte]
        name = opcode.name
        if name.startswith("PUSH"):
            self._stack.append(constant(self._program.argument(offset)))
        elif name == "PC":
            self._stack.append(constant(offset))
        elif name.startswith("DUP"):
            self._duplicate(opcode.argument)
        elif name.startswith("SWAP"):
            depth = opcode.argument + 1
            self._reach(depth)
            stack = self._stack
            stack[-1], stack[-depth] = stack[-depth], stack[-1]
        elif name == "POP":
            self._pop()
        elif name in PURE:
            self._pure(name, opcode.pops, byte)
        elif name in _SPECIAL:
            _SPECIAL[name](self)
        elif name in _UNMETERED or name in _METERED:
            self._call(byte, offset)
        else:
            return False
        return True

    def _duplicate(self, depth: int) -> None:
        self._reach(depth)
        self._stack.append(self._atom(self._stack[-depth]))

    def _pure(self, name: str, count: int, byte: int) -> None:
        operands = [self._pop() for _ in range(count)]
        if all(operand.number is not None for operand in operands) and name in FOLDED:
            words = [operand.number or 0 for operand in reversed(operands)]
            OPCODES[byte].handler(None, words, 0)  # type: ignore[arg-type]  # Pure: no frame.
            self._stack.append(constant(words[-1]))
            return
        value = combine(name, operands)
        if value is None:
            self._stack += reversed(operands)
            self._call(byte, 0)
        else:
            self._stack.append(value if value.is_short else self._variable(value.text, value.bits))

    def _call(self, byte: int, offset: int) -> None:
        """Let the interpreter's handler do it, on a stack of its operands alone."""
        opcode = OPCODES[byte]
        operands = [self._pop().text for _ in range(opcode.pops)]
        is_metered = opcode.name in _METERED
        if is_metered:
            self._flush()
        argument = self._program.argument(offset) if opcode.pops else opcode.argument
        if opcode.name.startswith("LOG"):
            argument = opcode.argument
        self._emit(f"t = [{', '.join(reversed(operands))}]")
        self._emit(f"{self._handler(byte)}(frame, t, {argument})")
        if is_metered:
            self._reload()
        if opcode.pushes:
            self._stack.append(self._variable("t[0]"))

    def _mload(self) -> None:
        offset = self._atom(self._pop())
        self._touch(offset)
        end = (
            constant(offset.number + 32).text
            if offset.number is not None
            else f"{offset.text} + 32"
        )
        self._stack.append(self._variable(f"int.from_bytes(memory[{offset.text}:{end}], 'big')"))

    def _mstore(self) -> None:
        offset, word = self._atom(self._pop()), self._pop()
        self._touch(offset)
        end = (
            constant(offset.number + 32).text
            if offset.number is not None
            else f"{offset.text} + 32"
        )
        self._emit(f"memory[{offset.text}:{end}] = ({word.text}).to_bytes(32, 'big')")

    def _touch(self, offset: Value) -> None:
        """Have 32 bytes of memory at `offset`."""
        if offset.number is not None:
            if offset.number + 32 <= self._memory_min:
                return
            self._memory_min = offset.number + 32
            self._emit(f"if len(memory) < {offset.number + 32}:")
        else:
            self._emit(f"if len(memory) < {offset.text} + 32:")
        self._flush(2)
        self._emit(f"frame.expand({offset.text}, 32)", 2)
        self._emit("gas = frame.gas", 2)
        self._emit("compute = machine.compute", 2)

    def _gas(self) -> None:
        self._stack.append(self._variable("gas", 64))

    def _calldatasize(self) -> None:
        self._stack.append(self._variable("len(frame.data)", 64))

    def _calldataload(self) -> None:
        offset = self._atom(self._pop())
        words = f"frame.data[{offset.text}:{offset.text} + 32].ljust(32, b'\\0')"
        self._stack.append(self._variable(f"int.from_bytes({words}, 'big')"))

    def _callvalue(self) -> None:
        self._stack.append(self._variable("frame.value"))

    def _caller(self) -> None:
        self._stack.append(self._variable("int.from_bytes(frame.caller, 'big')", 160))

    def _address(self) -> None:
        self._stack.append(self._variable("int.from_bytes(frame.address, 'big')", 160))


_SPECIAL: dict[str, Callable[[_Tracer], None]] = {
    "MLOAD": _Tracer._mload,
    "MSTORE": _Tracer._mstore,
    "GAS": _Tracer._gas,
    "CALLDATASIZE": _Tracer._calldatasize,
    "CALLDATALOAD": _Tracer._calldataload,
    "CALLVALUE": _Tracer._callvalue,
    "CALLER": _Tracer._caller,
    "ADDRESS": _Tracer._address,
}
