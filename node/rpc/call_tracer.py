"""geth's `callTracer`: the calls of a transaction inside each other, natives among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from node.rpc.errors import revert_reason
from node.rpc.trace_options import CALL_DEPTH_MAX, TraceBudget, too_large
from node.rpc.values import Out, to_data, to_quantity
from vm.evm.halts import EXECUTION_REVERTED
from vm.evm.tracing import FrameInfo
from vm.receipt import Log

_CALL_BYTES = 400
_LOG_BYTES = 600
_CREATES = frozenset(("CREATE", "CREATE2"))
_WITHOUT_VALUE = frozenset(("STATICCALL",))


@final
@dataclass(slots=True)
class CallFrame:
    """One call, and what it called."""

    info: FrameInfo
    gas: int
    gas_used: int = 0
    output: bytes = b""
    error: str = ""
    calls: list["CallFrame"] = field(default_factory=list)
    logs: list[tuple[Log, int]] = field(default_factory=list)
    """Each with the number of calls made before it."""


@final
@dataclass(slots=True)
class CallTracer:
    """Records frames (`vm.evm.tracing.Tracer`)."""

    budget: TraceBudget
    only_top: bool = False
    with_log: bool = False
    top: CallFrame | None = None
    _open: list[CallFrame] = field(default_factory=list)
    _hidden: int = 0
    """Frames below the top that are open and not recorded."""

    def enter(self, frame: FrameInfo, /) -> None:
        """Begin a frame."""
        if self.only_top and self._open:
            self._hidden += 1
            return
        if len(self._open) >= CALL_DEPTH_MAX:
            raise too_large(f"calls nest deeper than {CALL_DEPTH_MAX} levels")
        self.budget.spend(_CALL_BYTES + 2 * len(frame.data))
        call = CallFrame(frame, frame.gas)
        if self._open:
            self._open[-1].calls.append(call)
        else:
            self.top = call
        self._open.append(call)

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
        """Pass: instructions are not recorded."""

    def log(self, log: Log, /) -> None:
        """Record a log of the innermost frame."""
        if self.with_log and not self._hidden:
            self.budget.spend(_LOG_BYTES + 2 * len(log.data))
            call = self._open[-1]
            call.logs.append((log, len(call.calls)))

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """End the innermost frame."""
        if self._hidden:
            self._hidden -= 1
            return
        call = self._open.pop()
        self.budget.spend(2 * len(output))
        call.gas_used = call.gas - gas_left
        call.output, call.error = output, error

    def to_json(self, top: CallFrame, first_log: int) -> dict[str, Out]:
        """Return the tree under `top`; its logs are counted from `first_log`."""
        return _Writer(first_log, with_log=self.with_log).write(top, is_undone=False)


@final
class _Writer:
    """Writes a tree, numbering the logs in the order in which they were emitted."""

    def __init__(self, next_log: int, *, with_log: bool) -> None:
        self._next_log = next_log
        self._with_log = with_log

    def write(self, call: CallFrame, *, is_undone: bool) -> dict[str, Out]:
        """Return a call with its calls; a failed one has no logs, nor have those in it."""
        is_undone = is_undone or bool(call.error)
        answer = _head(call)
        logs: list[Out] = []
        calls: list[Out] = []
        emitted = iter(() if is_undone else call.logs)
        log = next(emitted, None)
        for place, inner in enumerate((*call.calls, None)):
            while log is not None and log[1] == place:
                logs.append(self._log(*log))
                log = next(emitted, None)
            if inner is not None:
                calls.append(self.write(inner, is_undone=is_undone))
        if calls:
            answer["calls"] = calls
        if logs:
            answer["logs"] = logs
        if call.info.kind not in _WITHOUT_VALUE:
            answer["value"] = to_quantity(call.info.value)
        answer["type"] = call.info.kind
        return answer

    def _log(self, log: Log, place: int) -> dict[str, Out]:
        number, self._next_log = self._next_log, self._next_log + 1
        return {
            "address": to_data(log.address),
            "topics": [to_data(topic) for topic in log.topics],
            "data": to_data(log.data),
            "index": to_quantity(number),
            "position": to_quantity(place),
        }


def _head(call: CallFrame) -> dict[str, Out]:
    """Return what geth says of a call before its inner calls."""
    info, error = call.info, call.error
    answer: dict[str, Out] = {
        "from": to_data(info.caller),
        "gas": to_quantity(call.gas),
        "gasUsed": to_quantity(call.gas_used),
    }
    if not (error and info.kind in _CREATES):
        answer["to"] = to_data(info.to)
    answer["input"] = to_data(info.data)
    if call.output and error in ("", EXECUTION_REVERTED):
        answer["output"] = to_data(call.output)
    if error:
        answer["error"] = error
    if error == EXECUTION_REVERTED and (reason := revert_reason(call.output)):
        answer["revertReason"] = reason
    return answer
