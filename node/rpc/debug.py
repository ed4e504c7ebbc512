"""`debug_`: what a transaction did or a call would do, by executing it again on the old state.

A trace runs on the event loop, in slices: the transactions before it in its block, a few at a time;
then its own execution in one piece, bounded as any transaction is (half a block's compute) and in
the bytes that it records; then the JSON, a few entries at a time. One trace runs at a time, and a
few may wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from node.chain import Chain
from node.errors import HistoryUnavailable
from node.records import BlockRecord
from node.rpc.call_tracer import CallFrame, CallTracer
from node.rpc.chain_reads import read_call, read_state
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.struct_tracer import StructTracer
from node.rpc.touch_tracer import StateReads, TouchTracer, before_json, difference_json
from node.rpc.trace_options import TraceBudget, TraceOptions, read_options
from node.rpc.values import Args, Out, read_hash, to_data
from node.rpc.views import is_unsigned
from vm.block import Block
from vm.evm.tracing import FrameInfo, Tracer
from vm.gas import call_intrinsic_gas
from vm.receipt import Log
from vm.state import StateReader
from vm.transaction import decode

WAITING_MAX: Final = 16
"""Traces that wait for another to end; more are refused."""
SLICE_TRANSACTIONS: Final = 16
"""Transactions that are executed again between two turns of the event loop."""
SLICE_ENTRIES: Final = 256
"""Struct logs that are written between two turns of the event loop."""
_NOBODY: Final = bytes(20)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an execution says of itself, beside what a tracer saw."""

    is_ok: bool
    gas_used: int
    """Intrinsic gas included, refunds deducted."""
    output: bytes
    logs: tuple[Log, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is traced."""

    run: Callable[[Tracer], Told]
    frame: FrameInfo
    """As a caller sees it, with its whole gas; stands for an execution that shows no frame."""
    state: StateReader
    """As `run` leaves it."""
    undo: Callable[[], None] | None
    """Takes `state` back to what it was before `run`; None if `run` does not change it."""
    first_log: int = 0
    """Logs in the block before it."""


@final
class DebugMethods:
    """Handlers over one chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._turn = asyncio.Lock()
        self._waiting = 0

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "debug_traceTransaction": self.trace_transaction,
            "debug_traceCall": self.trace_call,
            "debug_getRawTransaction": self.raw_transaction,
            "eth_getRawTransactionByHash": self.raw_transaction,
        }

    def raw_transaction(self, args: Args) -> Out:
        """Return a transaction's bytes; "0x" for an unknown one, as geth."""
        digest = read_hash(args.get(0), "hash")
        place = self._chain.transaction(digest)
        if place is not None:
            return to_data(place[2])
        waiting = self._chain.pending_transaction(digest)
        return to_data(b"" if waiting is None else waiting.raw)

    async def trace_transaction(self, args: Args) -> Out:
        """Trace a sealed transaction; the state before its block must be kept."""
        digest = read_hash(args.get(0), "hash")
        options = read_options(args.get(1))
        place = self._chain.transaction(digest)
        if place is None:
            raise RpcFault(Code.SERVER, "transaction not found")
        record = self._chain.record(place[0])
        assert record is not None, "the index points at stored blocks"
        return await self._trace(lambda: self._replayed(record, place[1]), options)

    async def trace_call(self, args: Args) -> Out:
        """Trace a call on the state after a block."""
        options = read_options(args.get(2))
        return await self._trace(lambda: self._call(args), options)

    async def _replayed(self, record: BlockRecord, index: int) -> Subject:
        """Execute a block again up to the transaction at `index`, which is the subject."""
        machine, raws = self._chain.machine, record.transactions
        state = self._chain.state_at(record.height - 1)
        parent = self._chain.header(record.height - 1)
        assert parent is not None, "genesis has no transactions, and a base block no state below"
        draft = machine.replay(parent, Block(record.header, raws), state)
        for place, raw in enumerate(raws[:index], 1):
            machine.replay_next(draft, raw)
            if place % SLICE_TRANSACTIONS == 0:
                await asyncio.sleep(0)
        journal, mark = draft.journal, draft.journal.snapshot()

        def run(tracer: Tracer) -> Told:
            receipt = machine.replay_next(draft, raws[index], tracer)
            return Told(
                is_ok=receipt.status == 1,
                gas_used=receipt.gas_used,
                output=receipt.output,
                logs=receipt.logs,
            )

        return Subject(
            run=run,
            frame=_frame_of(raws[index]),
            state=journal,
            undo=lambda: journal.revert(mark),
            first_log=sum(len(receipt.logs) for receipt in record.receipts[:index]),
        )

    async def _call(self, args: Args) -> Subject:
        view, call = read_state(self._chain, args.get(1)), read_call(self._chain, args.get(0))
        machine = self._chain.machine
        intrinsic = call_intrinsic_gas(call.to, call.data, call.access_list)
        if call.gas < intrinsic:
            message = f"intrinsic gas too low: gas {call.gas}, minimum needed {intrinsic}"
            raise RpcFault(Code.SERVER, message)

        def run(tracer: Tracer) -> Told:
            result = machine.call(
                view.header,
                view.state,
                sender=call.sender,
                to=call.to,
                data=call.data,
                gas=call.gas - intrinsic,
                access_list=call.access_list,
                time_ms=view.time_ms,
                tracer=tracer,
            )
            return Told(
                is_ok=result.status == 1,
                gas_used=intrinsic + result.gas_used,
                output=result.output,
                logs=result.logs,
            )

        frame = _frame(call.sender, call.to, call.data, call.gas)
        return Subject(run=run, frame=frame, state=view.state, undo=None)

    async def _trace(self, prepare: Callable[[], Awaitable[Subject]], options: TraceOptions) -> Out:
        """Trace when it is our turn; only then is the subject looked up, on the state of then."""
        if self._waiting >= WAITING_MAX:
            raise RpcFault(Code.LIMIT_EXCEEDED, f"{WAITING_MAX} traces are waiting already")
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(0)  # Whatever came meanwhile goes first.
                return await self._answer(await prepare(), options)
        except HistoryUnavailable as error:
            raise RpcFault(Code.SERVER, str(error)) from None
        finally:
            self._waiting -= 1

    async def _answer(self, subject: Subject, options: TraceOptions) -> Out:
        budget = TraceBudget()
        match options.tracer:
            case "":
                return await _struct_logs(subject, StructTracer(options, budget))
            case "callTracer":
                return _call_tree(subject, options, budget)
            case "noopTracer":
                subject.run(TouchTracer(budget))
                return {}
            case _:
                return self._touched(subject, options, TouchTracer(budget))

    def _touched(self, subject: Subject, options: TraceOptions, tracer: TouchTracer) -> Out:
        tracer.touch(subject.frame.caller)
        subject.run(tracer)
        if options.tracer == "4byteTracer":
            return tracer.selectors
        machine, settings = self._chain.machine, options.settings
        reads = StateReads(
            code_at=machine.code_at,
            storage_at=machine.storage_at,
            with_code="disableCode" not in settings,
            with_storage="disableStorage" not in settings,
        )
        is_difference = "diffMode" in settings
        if is_difference and subject.undo is None:
            raise RpcFault(Code.SERVER, "diffMode: a call leaves no state to compare with")
        after = reads.accounts(tracer, subject.state) if is_difference else {}
        if subject.undo is not None:
            subject.undo()
        before = reads.accounts(tracer, subject.state)
        if is_difference:
            return difference_json(before, after, tracer.created)
        return before_json(before, tracer.created)


async def _struct_logs(subject: Subject, tracer: StructTracer) -> Out:
    told = subject.run(tracer)
    entries: list[Out] = []
    for entry in tracer.entries():
        entries.append(entry)
        if len(entries) % SLICE_ENTRIES == 0:
            await asyncio.sleep(0)
    return {
        "gas": told.gas_used,
        "failed": not told.is_ok,
        # A receipt does not keep long output, nor a new contract's code.
        "returnValue": to_data(tracer.output or told.output),
        "structLogs": entries,
    }


def _call_tree(subject: Subject, options: TraceOptions, budget: TraceBudget) -> Out:
    with_log = "withLog" in options.settings
    tracer = CallTracer(budget, only_top="onlyTopCall" in options.settings, with_log=with_log)
    told = subject.run(tracer)
    top = tracer.top
    if top is None:
        top = CallFrame(subject.frame, 0, output=told.output)
        top.logs = [(log, 0) for log in told.logs] if with_log else []
        top.error = "" if told.is_ok else "execution reverted"
    top.gas, top.gas_used = subject.frame.gas, told.gas_used
    return tracer.to_json(top, subject.first_log)


def _frame_of(raw: bytes) -> FrameInfo:
    """Return a transaction as its own frame; a deadline's is from nobody to nobody."""
    if is_unsigned(raw):
        return _frame(_NOBODY, _NOBODY, b"", 0)
    tx = decode(raw)
    return _frame(tx.sender(), tx.to, tx.data, tx.gas_limit)


def _frame(caller: bytes, to: bytes | None, data: bytes, gas: int) -> FrameInfo:
    return FrameInfo(
        kind="CREATE" if to is None else "CALL",
        depth=0,
        caller=caller,
        to=_NOBODY if to is None else to,
        value=0,
        data=data,
        gas=gas,
    )
