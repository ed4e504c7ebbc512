"""Struct logs: one entry for each instruction, as geth's default tracer gives them.

An instruction's price is known when the next one of its frame begins, so an entry is completed
then. Entries are kept as plain values and written as JSON after the execution, in slices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from node.rpc.trace_options import TraceBudget, TraceOptions
from node.rpc.values import Out, to_data, to_quantity
from vm.evm.halts import EXECUTION_REVERTED
from vm.evm.opcodes import OPCODES
from vm.evm.tracing import FrameInfo
from vm.receipt import Log

_SLOAD: Final = 0x54
_SSTORE: Final = 0x55
_CREATES: Final = frozenset((0xF0, 0xF5))
_CALLS: Final = frozenset((0xF1, 0xF2, 0xF4, 0xFA))
_RETURNS: Final = frozenset((0xF3, 0xFD))
_SELFDESTRUCT: Final = 0xFF

_STEP_BYTES = 150
_FIELD_BYTES = 20
"""Of a field's name and what surrounds it."""
_SLOT_BYTES = 140
_MEMORY_CHARS = (2 * 32 + 5, 32)
"""Characters of JSON for so many bytes of memory."""


@dataclass(slots=True)
class _Step:
    """One entry; cost, storage and error may come later."""

    pc: int
    opcode: int
    gas: int
    cost: int
    depth: int
    stack: tuple[int, ...] | None
    memory: bytes | None
    return_data: bytes
    refund: int
    storage: dict[int, int] | None = None
    error: str = ""


@dataclass(slots=True)
class _Frame:
    """A frame that is being executed."""

    is_creation: bool
    pending: _Step | None = None
    """Its newest entry, while the price is open."""
    address: bytes = b""
    operands: tuple[int, ...] = ()
    """Top of the stack at the newest entry, top first, two at most."""
    memory_bytes: int = 0
    child: tuple[int, int] | None = None
    """Gas that the newest instruction gave to a frame of its own, and what came back."""
    child_gas: int = 0
    return_data: bytes = b""


@final
@dataclass(slots=True)
class StructTracer:
    """Records instructions (`vm.evm.tracing.Tracer`)."""

    options: TraceOptions
    budget: TraceBudget
    output: bytes = b""
    """Of the outermost frame: return data, revert data, or the code of a new contract."""
    _steps: list[_Step] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _storage: dict[bytes, dict[int, int]] = field(default_factory=dict)
    """What each contract's slots have shown so far; not undone with a frame, as in geth."""

    def enter(self, frame: FrameInfo, /) -> None:
        """Begin a frame."""
        if self._frames:
            self._frames[-1].child_gas = frame.gas
        self._frames.append(_Frame(is_creation=frame.kind in ("CREATE", "CREATE2")))

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
        """Complete the entry before, and record this one."""
        frame, options = self._frames[-1], self.options
        self._complete(frame, gas, stack)
        if options.limit and len(self._steps) >= options.limit:
            return
        size = _STEP_BYTES
        if options.with_stack:
            size += 5 * len(stack) + sum(map(int.bit_length, stack)) // 4
        if options.with_memory:
            size += _FIELD_BYTES + len(memory) * _MEMORY_CHARS[0] // _MEMORY_CHARS[1]
        if options.with_return_data:
            size += _FIELD_BYTES + 2 * len(frame.return_data)
        self.budget.spend(size)
        step = _Step(
            pc,
            opcode,
            gas,
            cost,
            depth + 1,
            tuple(stack) if options.with_stack else None,
            bytes(memory) if options.with_memory else None,
            frame.return_data,
            refund,
        )
        frame.pending, frame.address = step, address
        frame.operands = tuple(stack[:-3:-1])
        frame.memory_bytes = len(memory)
        if opcode == _SSTORE and len(stack) >= 2:
            self._show_slot(frame, step, stack[-1], stack[-2])
        self._steps.append(step)

    def log(self, log: Log, /) -> None:
        """Pass: the instruction is shown, and natives have none."""

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """End a frame: its last entry's price or error is known now."""
        frame = self._frames.pop()
        if frame.pending is not None:
            _end(frame, frame.pending, gas_left, error)
        if self._frames:
            parent = self._frames[-1]
            parent.child = (parent.child_gas, gas_left)
            is_created = frame.is_creation and not error
            parent.return_data = b"" if is_created else output
        else:
            self.output = output

    def _complete(self, frame: _Frame, gas: int, stack: Sequence[int]) -> None:
        """Set what the frame's newest entry cost: `gas` is left after it."""
        step, frame.pending = frame.pending, None
        if step is None:
            return
        step.cost = step.gas - gas
        if frame.child is not None:
            given, back = frame.child
            # A CALL's price holds the gas that it passes on, a CREATE's does not.
            if step.opcode in _CALLS:
                step.cost += back
            elif step.opcode in _CREATES:
                step.cost -= given - back
            frame.child = None
        if step.opcode == _SLOAD:
            self._show_slot(frame, step, frame.operands[0], stack[-1])

    def _show_slot(self, frame: _Frame, step: _Step, slot: int, value: int) -> None:
        if not self.options.with_storage:
            return
        slots = self._storage.setdefault(frame.address, {})
        slots[slot] = value
        self.budget.spend(_FIELD_BYTES + _SLOT_BYTES * len(slots))
        step.storage = dict(slots)

    def entries(self) -> Iterator[dict[str, Out]]:
        """Yield the entries in order, as JSON."""
        for step in self._steps:
            yield _to_json(step, with_return_data=self.options.with_return_data)


def _end(frame: _Frame, step: _Step, gas_left: int, error: str) -> None:
    """Complete the last entry of a frame that ended with `error`, or none."""
    if step.opcode in _RETURNS and len(frame.operands) == 2:
        cost = _expansion(frame.memory_bytes, *frame.operands)
        # What fails later is the creation's own trouble with the code that it was given.
        if cost > step.gas:
            step.error = error
        else:
            step.cost = cost
    elif error and error != EXECUTION_REVERTED:
        step.error = error
    elif step.opcode == _SELFDESTRUCT:
        step.cost = step.gas - gas_left


def _expansion(held: int, offset: int, size: int) -> int:
    """Return the price of memory up to offset + size; `held` bytes are paid (YP, appendix H)."""
    words, held_words = (offset + size + 31) // 32 if size else 0, held // 32
    if words <= held_words:
        return 0
    return _memory_gas(words) - _memory_gas(held_words)


def _memory_gas(words: int) -> int:
    return 3 * words + words * words // 512


def _to_json(step: _Step, *, with_return_data: bool) -> dict[str, Out]:
    entry: dict[str, Out] = {
        "pc": step.pc,
        "op": OPCODES[step.opcode].name,
        "gas": step.gas,
        "gasCost": step.cost,
        "depth": step.depth,
    }
    if step.error:
        entry["error"] = step.error
    if step.stack is not None:
        entry["stack"] = [to_quantity(word) for word in step.stack]
    if with_return_data and step.return_data:
        entry["returnData"] = to_data(step.return_data)
    if step.memory:
        chunks = range(0, len(step.memory), 32)
        entry["memory"] = [to_data(step.memory[at : at + 32]) for at in chunks]
    if step.storage is not None:
        entry["storage"] = {_word(slot): _word(value) for slot, value in step.storage.items()}
    if step.refund:
        entry["refund"] = step.refund
    return entry


def _word(value: int) -> str:
    return to_data(value.to_bytes(32, "big"))
