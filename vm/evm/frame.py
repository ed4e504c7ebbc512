"""One call in progress: stack, memory, gas and what the call is about."""

from typing import TYPE_CHECKING, final

from vm.evm import gas as prices
from vm.evm.environment import Environment
from vm.evm.halts import (
    DEPTH,
    GAS_OVERFLOW,
    INSUFFICIENT_BALANCE,
    NONCE_OVERFLOW,
    OUT_OF_GAS,
    ComputeExhausted,
    Halt,
)
from vm.evm.tracing import FrameInfo, Tracer
from vm.evm.world import Mark, World
from vm.receipt import Log

if TYPE_CHECKING:
    from vm.evm.program import Codes, Loaded

RUNNING, CALLING, DONE, REVERTED = range(4)
"""`Frame.state`. CALLING: `Frame.child` is to run before the next instruction."""

_UINT64_MAX = 2**64 - 1


@final
class Machine:
    """What all frames of one transaction share.

    Attributes:
        compute: units left; a transaction without a limit starts with more than gas can buy.
        codes: those that the transaction, and the block before it, have run.
    """

    __slots__ = ("_shown", "codes", "compute", "env", "tracer", "world")

    def __init__(
        self,
        world: World,
        env: Environment,
        compute: int,
        tracer: Tracer | None,
        codes: "Codes",
    ) -> None:
        self.world = world
        self.env = env
        self.compute = compute
        self.tracer = tracer
        self.codes = codes
        self._shown = 0  # Frames that the tracer saw begin and not yet end.

    def use_compute(self, units: int) -> None:
        """Take `units`, or end the transaction."""
        left = self.compute = self.compute - units
        if left < 0:
            raise ComputeExhausted

    def add_log(self, log: Log) -> None:
        """Emit a log, and show it to the tracer, if there is one.

        Its price is that of a byte on disk and no compute; what it costs is the bloom filter.
        """
        self.use_compute(prices.LOG_ITEM_COMPUTE * (1 + len(log.topics)))
        self.world.logs.append(log)
        if self.tracer is not None:
            self.tracer.log(log)

    def show_enter(self, call: "Call", depth: int) -> None:
        """Show the tracer, if there is one, a call that begins."""
        if self.tracer is not None:
            self._shown += 1
            self.tracer.enter(
                FrameInfo(
                    kind=call.kind,
                    depth=depth,
                    caller=call.caller,
                    to=call.code_address,
                    value=call.value,
                    data=call.data,
                    gas=call.gas,
                )
            )

    def show_exit(self, ended: "Ended") -> None:
        """Show the tracer, if there is one, how the innermost call ended."""
        if self.tracer is not None:
            self._shown -= 1
            self.tracer.exit(gas_left=ended.gas_left, output=ended.output, error=ended.error)

    def show_refusal(self, call: "Call", depth: int) -> None:
        """Show the tracer, if there is one, a call that cannot begin; its gas comes back."""
        if self.tracer is not None:
            is_deep = depth > prices.CALL_DEPTH_MAX
            is_short = self.world.balance(call.caller) < call.value
            short = INSUFFICIENT_BALANCE if is_short else NONCE_OVERFLOW
            self.show_enter(call, depth)
            self.show_exit(Ended(0, b"", call.gas, DEPTH if is_deep else short))

    def show_exits(self, error: str) -> None:
        """Show the tracer that all calls end, because the transaction does."""
        while self._shown:
            self.show_exit(Ended(0, b"", 0, error))


@final
class Ended:
    """A call or creation that is over."""

    __slots__ = ("error", "gas_left", "output", "status")

    def __init__(self, status: int, output: bytes, gas_left: int, error: str) -> None:
        self.status = status
        self.output = output
        self.gas_left = gas_left
        self.error = error


@final
class Call:
    """A message call or creation that is to begin.

    Attributes:
        kind: as in `tracing.FrameInfo`.
        caller: as the callee sees it.
        address: the account whose storage it uses, and to which the value goes.
        code_address: the account whose code runs.
        value: as the callee sees it; transferred by CALL, CREATE and CREATE2 alone.
        gas, data, is_static: of the message; for a creation the data is the init code.
        is_create: a contract is to be created at `address`.
    """

    __slots__ = (
        "address",
        "caller",
        "code_address",
        "data",
        "gas",
        "is_create",
        "is_static",
        "kind",
        "value",
    )

    def __init__(
        self, kind: str, caller: bytes, address: bytes, code_address: bytes, value: int
    ) -> None:
        self.kind = kind
        self.caller = caller
        self.address = address
        self.code_address = code_address
        self.value = value
        self.gas = 0
        self.data = b""
        self.is_static = False
        self.is_create = False


@final
class Frame:
    """A message call or contract creation that executes code. Handlers of opcodes change it.

    Attributes:
        machine, world: shared with the other frames; `world` is the machine's.
        loaded: the code in this block; `program` is the same, decoded.
        address: the account whose storage it uses.
        caller, value, data, is_static, depth: of the message.
        is_create: this is the init code of the contract at `address`.
        pc: where the next basic block starts.
        stack: words below 2^256; the top is last.
        memory: a multiple of 32 bytes.
        gas: left.
        return_data: of the last call.
        state: RUNNING, CALLING, DONE or REVERTED.
        output: return or revert data, once it has ended.
        child: the call that it waits for.
        output_offset, output_size: where in this frame's memory the child's output goes.
        mark: the world when it began.
        kind: as in `tracing.FrameInfo`.
    """

    __slots__ = (
        "address",
        "caller",
        "child",
        "data",
        "depth",
        "gas",
        "is_create",
        "is_static",
        "kind",
        "loaded",
        "machine",
        "mark",
        "memory",
        "output",
        "output_offset",
        "output_size",
        "pc",
        "program",
        "return_data",
        "stack",
        "state",
        "value",
        "world",
    )

    def __init__(
        self, machine: Machine, loaded: "Loaded", call: Call, depth: int, mark: Mark
    ) -> None:
        self.machine = machine
        self.world = machine.world
        self.loaded = loaded
        self.program = loaded.program
        self.kind = call.kind
        self.address = call.address
        self.caller = call.caller
        self.value = call.value
        self.data = b"" if call.is_create else call.data
        self.gas = call.gas
        self.depth = depth
        self.is_static = call.is_static
        self.is_create = call.is_create
        self.mark = mark
        self.pc = 0
        self.stack: list[int] = []
        self.memory = bytearray()
        self.return_data = b""
        self.output = b""
        self.state = RUNNING
        self.child: Call | None = None
        self.output_offset = self.output_size = 0

    def charge(self, amount: int) -> None:
        """Take gas for work: it counts as compute, too."""
        left = self.gas = self.gas - amount
        if left < 0:
            raise Halt(OUT_OF_GAS)
        machine = self.machine
        left = machine.compute = machine.compute - amount
        if left < 0:
            raise ComputeExhausted

    def spend(self, amount: int) -> None:
        """Take gas for what the state will hold, or for the disk: it is no compute."""
        left = self.gas = self.gas - amount
        if left < 0:
            raise Halt(OUT_OF_GAS)

    def expand(self, offset: int, size: int) -> None:
        """Make memory hold `size` bytes from `offset`; nothing to do for size 0.

        The price is 3 for each word and words²/512 (Yellow Paper, appendix H.1); it is taken
        before anything is allocated.
        """
        if not size:
            return
        end = offset + size
        memory = self.memory
        if end <= len(memory):
            return
        if end > _UINT64_MAX:
            raise Halt(GAS_OVERFLOW)
        new, old = (end + 31) >> 5, len(memory) >> 5
        quadratic = new * new // prices.MEMORY_QUADRATIC - old * old // prices.MEMORY_QUADRATIC
        self.charge(prices.MEMORY_WORD * (new - old) + quadratic)
        memory.extend(bytes((new - old) << 5))

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of memory, expanding and charging for it as needed."""
        if not size:
            return b""
        if offset + size > len(self.memory):
            self.expand(offset, size)
        return bytes(self.memory[offset : offset + size])

    def use_address(self, address: bytes) -> None:
        """Pay for an account that may be cold; the warm price is in the static price."""
        if self.world.warm_address(address):
            self.spend(prices.COLD_ACCOUNT - prices.WARM)
            self.machine.use_compute(prices.COLD_COMPUTE)
