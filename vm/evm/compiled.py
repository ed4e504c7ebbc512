"""The second tier: blocks that ran often become Python functions. Speed alone changes.

`translate` turns a trace of blocks into source that it made from the opcode table, never from
anything that somebody sent; it is compiled here, and put where the block's handlers were. What is
compiled depends on what this process ran before, so nothing may depend on it: gas, compute, logs
and state are the same either way, and tests and the fuzzer compare both tiers case by case.

Compiling an instruction takes about as long as running one a hundred times, and a trace can be a
hundred times as long as the block that it begins with. So what the interpreter runs earns credit
and compiling spends it: whatever runs, compiling adds a fraction, and no more than one trace at
once. Init code runs once and is never compiled.
"""

from collections import OrderedDict
from functools import partial
from typing import TypeAlias, final

from vm.evm.frame import Frame
from vm.evm.opcodes import OPCODES, Handler
from vm.evm.program import Block, Program
from vm.evm.translate import TRACE_INSTRUCTIONS_MAX, translate

RUNS_BEFORE_COMPILING = 400
PRICE = 400
"""Of an instruction that is compiled, in instructions run: four times what it costs."""
TRACES_MAX = 500
"""Compiled at the same time; the oldest goes first. One takes up to about 50 kB."""

_OFTEN = 2**63
"""What a block counts as having run once it is compiled."""

_Code: TypeAlias = "list[tuple[Handler, int]]"


@final
class Compiler:
    """Watches blocks and compiles what runs often.

    Args:
        runs: executions of a block before it is compiled.
        traces_max: how many to keep.
        price: instructions to run for each one to compile; 0 (for tests): no limit.

    Attributes:
        credit: instructions run and not spent; what is above the price of a trace is forgotten.
    """

    def __init__(
        self, runs: int = RUNS_BEFORE_COMPILING, traces_max: int = TRACES_MAX, price: int = PRICE
    ) -> None:
        self.runs = runs
        self.traces_max = traces_max
        self.price = price
        self.credit = self._credit_max = price * TRACE_INSTRUCTIONS_MAX
        self.compiled = 0
        """So far, evicted ones included."""
        self._traces: OrderedDict[int, tuple[Block, _Code]] = OrderedDict()

    @property
    def kept(self) -> int:
        """Number of traces in use."""
        return len(self._traces)

    def __call__(self, frame: Frame, _: list[int], start: int) -> None:
        """Count one execution of the block at `start`; if it runs often, compile it for the next.

        It stands first among the block's handlers until then.
        """
        program = frame.program
        block = program.blocks[start]
        block.runs += 1
        self.credit += len(block.code) - 1
        if block.runs >= self.runs:
            self.compile(program, block)

    def compile(self, program: Program, block: Block) -> None:
        """Replace the code of `block` by one compiled function, if there is credit for any."""
        if self.credit < self._credit_max:
            return
        translation = translate(program, block, partial(_profile, program))
        names = {name: OPCODES[byte].handler for name, byte in translation.handlers.items()}
        scope: dict[str, object] = dict(names)
        exec(compile(translation.source, "<trace>", "exec"), scope)  # noqa: S102  # Our own text.
        trace: Handler = scope["trace"]  # type: ignore[assignment]
        self.compiled += 1
        self.credit = self._credit_max - self.price * translation.instructions
        self._traces[self.compiled] = (block, block.code[1:])
        block.code, block.runs = [(trace, 0)], _OFTEN
        while len(self._traces) > self.traces_max:
            _, (oldest, code) = self._traces.popitem(last=False)
            oldest.code = code


def _profile(program: Program, offset: int) -> int:
    """Return how often the block at `offset` ran."""
    block = program.blocks.get(offset)
    return 0 if block is None else block.runs
