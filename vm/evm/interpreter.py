"""Runs a message: call frames on an explicit stack, each a run of basic blocks. Read this first.

Frames are Python objects on a list, not Python calls: 1,024 of them nest without recursion. A
handler that calls leaves a `Call` in its frame and the frame waits; a handler that ends the frame
sets its state; a handler that fails raises `Halt`.
"""

from typing import TypeAlias

from vm.evm import gas as prices
from vm.evm import halts
from vm.evm.environment import Environment, Precompile
from vm.evm.frame import CALLING, DONE, REVERTED, RUNNING, Call, Ended, Frame, Machine
from vm.evm.halts import ComputeExhausted, Halt
from vm.evm.instructions.create import create_address
from vm.evm.message import STATUS_HALT, STATUS_OK, STATUS_REVERT, Message, Result
from vm.evm.opcodes import IMMEDIATE_BYTES, OPCODES, STACK_MAX
from vm.evm.precompiles import COMPUTE_PER_GAS
from vm.evm.program import Block, Codes, Loaded, Program, ProgramCache
from vm.evm.tracing import Tracer
from vm.evm.world import EMPTY_CODE_HASH, Mark, NativeHost, World

_UNLIMITED = 2**63
PROGRAMS = ProgramCache()
"""Of this process: it holds what code hashes alone determine."""


_Begun: TypeAlias = "Frame | Ended"


def execute(
    world: World,
    env: Environment,
    message: Message,
    *,
    compute_limit: int | None = None,
    tracer: Tracer | None = None,
    codes: Codes | None = None,
) -> Result:
    """Run `message` on `world`, and return what came of it.

    The sender, the recipient, the coinbase and the precompiles are warm (EIP-2929, EIP-3651); an
    access list is the caller's to warm before. The sender's nonce is the caller's to raise before,
    for creations, too: the new address comes from the nonce below it. Intrinsic gas, fees, and
    refunds are the caller's.

    Args:
        world: changed if the message succeeds, else as before but for warmth.
        env: block and transaction.
        message: its `gas` is what is left after the intrinsic gas.
        compute_limit: beyond it the transaction ends as if it were out of gas; None: no limit.
        tracer: watches.
        codes: for what the message runs, over what its block has run; None: it stands alone.
    """
    limit = _UNLIMITED if compute_limit is None else compute_limit
    machine = Machine(world, env, limit, tracer, Codes() if codes is None else codes)
    call = _first_call(world, message)
    world.warm_up((message.caller, call.address, env.coinbase, *env.precompiles))
    mark = world.snapshot()
    try:
        ended = _run_frames(machine, call)
    except ComputeExhausted as halt:
        world.revert(mark)
        ended = _failed(halt.error)
        machine.show_exits(ended.error)
    is_ok = ended.status == STATUS_OK
    return Result(
        status=ended.status,
        output=ended.output,
        gas_left=ended.gas_left,
        refund=world.refund if is_ok else 0,
        logs=tuple(world.logs) if is_ok else (),
        created=call.address if is_ok and call.is_create else None,
        error=ended.error,
        compute=limit - max(0, machine.compute),
    )


def _first_call(world: World, message: Message) -> Call:
    caller = message.caller
    to = message.to
    if to is None:
        to = create_address(caller, max(0, world.nonce(caller) - 1))
    call = Call("CALL" if message.to is not None else "CREATE", caller, to, to, message.value)
    call.gas = message.gas
    call.data = message.data
    call.is_static = message.is_static
    call.is_create = message.to is None
    return call


def _run_frames(machine: Machine, call: Call) -> Ended:
    """Run a call and all the calls that it makes."""
    frames: list[Frame] = []
    begun = _begin(machine, call, 0)
    while True:
        if isinstance(begun, Frame):
            frames.append(begun)
        elif frames:
            _resume(frames[-1], begun)
        else:
            return begun
        frame = frames[-1]
        try:
            _run(frame)
        except ComputeExhausted:
            raise
        except Halt as halt:
            begun = _end(frames.pop(), halt.error)
            continue
        if frame.state == CALLING:
            assert frame.child is not None, "a frame that waits has a call"
            begun = _begin(machine, frame.child, len(frames))
        else:
            begun = _end(frames.pop(), "")


def _run(frame: Frame) -> None:
    """Execute until the frame ends or calls; pay for decoding as much as that may have decoded.

    Blocks are decoded when they are first entered. Which ones are is not known without looking at
    each, which would cost more than it is worth, and a price for all the code would be too much for
    the few that most transactions enter. So as long as the code is not paid for, whatever is
    computed in it pays for decoding, too. What that may come to is set aside beforehand: nothing
    is decoded that could not be paid for.

    Raises:
        Halt: an exceptional halt of the frame, or of the whole transaction.
    """
    machine, loaded = frame.machine, frame.loaded
    unpaid = loaded.unpaid
    if not unpaid:
        _run_blocks(frame)
        return
    left = machine.compute
    aside = min(unpaid, left - left // (1 + prices.DECODE_SHARE))
    left = machine.compute = left - aside
    try:
        _run_blocks(frame)
    finally:
        paid = min(aside, prices.DECODE_SHARE * (left - machine.compute))
        machine.compute += aside - paid
        loaded.unpaid -= paid


def _run_blocks(frame: Frame) -> None:
    machine, stack, blocks = frame.machine, frame.stack, frame.program.blocks
    if machine.tracer is not None:
        _run_stepped(frame, machine.tracer)
        return
    frame.state = RUNNING
    while frame.state == RUNNING:
        pc = frame.pc
        block = blocks[pc] if pc in blocks else frame.program.decode(pc)
        frame.pc = block.end
        compute = machine.compute = machine.compute - block.compute
        if compute < 0:
            raise ComputeExhausted
        gas = frame.gas - block.gas
        if gas < 0 or not block.need <= len(stack) <= block.room:
            _step(frame, block, None)
            raise AssertionError("a block that cannot be paid for, or has no stack, must halt")
        frame.gas = gas
        for handler, argument in block.code:
            handler(frame, stack, argument)


def _run_stepped(frame: Frame, tracer: Tracer) -> None:
    """Do the same an instruction at a time, for a tracer."""
    frame.state = RUNNING
    while frame.state == RUNNING:
        pc = frame.pc
        block = frame.program.blocks.get(pc) or frame.program.decode(pc)
        frame.pc = block.end
        frame.machine.use_compute(block.compute)
        _step(frame, block, tracer)


def _step(frame: Frame, block: Block, tracer: Tracer | None) -> None:
    """Execute a block with a check for each instruction: shows it, or finds which one fails.

    A block that can be paid for has paid for all of its instructions before the first one's dynamic
    price is taken, here as well: where that is too much, nothing of it is computed.
    """
    program, stack = frame.program, frame.stack
    code = program.code
    pc = block.start
    is_paid = frame.gas >= block.gas and block.need <= len(stack) <= block.room
    aside = block.gas if is_paid else 0
    while pc < block.end:
        byte = code[pc] if pc < len(code) else 0
        opcode = OPCODES[byte]
        if tracer is not None:
            tracer.step(
                pc=pc,
                opcode=byte,
                gas=frame.gas,
                cost=opcode.gas,
                depth=frame.depth,
                stack=stack,
                memory=frame.memory,
                address=frame.address,
                refund=frame.world.refund,
            )
        height = len(stack)
        if height < opcode.pops:
            raise halts.stack_underflow(height, opcode.pops)
        if height > STACK_MAX + opcode.pops - opcode.pushes:
            raise halts.stack_overflow(height, STACK_MAX + opcode.pops - opcode.pushes)
        if frame.gas < opcode.gas:
            raise Halt(halts.OUT_OF_GAS)
        aside = max(0, aside - opcode.gas)
        frame.gas -= opcode.gas + aside
        opcode.handler(frame, stack, program.argument(pc))
        frame.gas += aside
        pc += 1 + IMMEDIATE_BYTES[byte]


# How a frame begins.


def _begin(machine: Machine, call: Call, depth: int) -> _Begun:
    """Begin a call: a frame where there is code to run, else what came of it at once."""
    machine.show_enter(call, depth)
    begun = (
        _begin_create(machine, call, depth) if call.is_create else _begin_call(machine, call, depth)
    )
    if isinstance(begun, Ended):
        machine.show_exit(begun)
    return begun


def _begin_call(machine: Machine, call: Call, depth: int) -> _Begun:
    world, target = machine.world, call.code_address
    mark = world.snapshot()
    world.touch(call.address)
    if call.value and call.kind == "CALL" and not _transfer(world, call):
        world.revert(mark)
        return _failed(halts.INSUFFICIENT_BALANCE)
    precompile = machine.env.precompiles.get(target)
    if precompile is not None:
        return _run_precompile(machine, call, precompile, mark)
    if world.natives is not None and world.natives.is_native(target):
        return _run_native(machine, call, world.natives, mark)
    loaded = _load(machine, target)
    if loaded is None:
        return Ended(STATUS_OK, b"", call.gas, "")
    return Frame(machine, loaded, call, depth, mark)


def _begin_create(machine: Machine, call: Call, depth: int) -> _Begun:
    world, address, init_code = machine.world, call.address, call.data
    if len(init_code) > prices.INITCODE_BYTES_MAX:
        return _failed(halts.MAX_INITCODE_SIZE)
    if world.is_taken(address):
        return _failed(halts.ADDRESS_COLLISION)
    mark = world.snapshot()
    world.create(address)
    if not _transfer(world, call):
        world.revert(mark)
        return _failed(halts.INSUFFICIENT_BALANCE)
    machine.use_compute(prices.INITCODE_BYTE_COMPUTE * len(init_code))
    return Frame(machine, Loaded(Program(init_code)), call, depth, mark)


def _transfer(world: World, call: Call) -> bool:
    """Move the value; return whether the caller had it."""
    if world.balance(call.caller) < call.value:
        return False
    world.add_balance(call.caller, -call.value)
    world.add_balance(call.address, call.value)
    return True


def _run_precompile(machine: Machine, call: Call, precompile: Precompile, mark: Mark) -> Ended:
    factor = COMPUTE_PER_GAS.get(call.code_address, 1)
    cost, output = precompile(call.data, min(call.gas, machine.compute // factor))
    error = halts.OUT_OF_GAS
    if cost <= call.gas:
        machine.use_compute(cost * factor)
        if output is not None:
            return Ended(STATUS_OK, output, call.gas - cost, "")
        error = halts.PRECOMPILE_FAILED
    machine.world.revert(mark)
    return _failed(error)


def _run_native(machine: Machine, call: Call, natives: NativeHost, mark: Mark) -> Ended:
    if call.kind in {"DELEGATECALL", "CALLCODE"}:
        # It would act on another account's storage: natives have none (security, not gas: no fee).
        return Ended(STATUS_HALT, b"", call.gas, halts.NATIVE_DELEGATED)
    machine.use_compute(prices.NATIVE_CALL_COMPUTE)
    # It runs no longer than its compute allows: what it took is known only when it is over.
    gas = min(call.gas, prices.native_gas(machine.compute))
    result = natives.call(
        to=call.code_address,
        caller=call.caller,
        data=call.data,
        gas=gas,
        is_static=call.is_static,
    )
    machine.use_compute((gas - result.gas_left) // prices.NATIVE_PER_COMPUTE)
    if result.status != STATUS_OK and not result.gas_left and gas < call.gas:
        raise ComputeExhausted
    gas_left = call.gas - gas + result.gas_left
    if result.status == STATUS_OK:
        for log in result.logs:
            machine.add_log(log)
        return Ended(STATUS_OK, result.output, gas_left, "")
    machine.world.revert(mark)
    if not gas_left:
        return _failed(halts.OUT_OF_GAS)
    return Ended(STATUS_REVERT, result.output, gas_left, halts.EXECUTION_REVERTED)


def _load(machine: Machine, address: bytes) -> Loaded | None:
    """Return the code at `address`, ready to run, or None if there is none."""
    world = machine.world
    code_hash = world.code_hash(address)
    if code_hash == EMPTY_CODE_HASH:
        return None
    loaded = machine.codes.get(code_hash)
    if loaded is not None:
        # Not from the cache, which may have lost it: it is paid for, and decoded, only once.
        return loaded
    program = PROGRAMS.get(code_hash)
    if program is None:
        program = Program(world.code(address), PROGRAMS.watch)
        PROGRAMS.put(code_hash, program)
    loaded = Loaded(program)
    machine.codes.put(code_hash, loaded)
    machine.use_compute(prices.CODE_BYTE_COMPUTE * len(program.code))
    return loaded


# How a frame ends.


def _failed(error: str) -> Ended:
    return Ended(STATUS_HALT, b"", 0, error)


def _end(frame: Frame, error: str) -> Ended:
    """End a frame that stopped, or that halted with `error`: keep or undo what it did."""
    if not error and frame.state == DONE and frame.is_create:
        error = _deploy(frame)
    if error:
        ended = _failed(error)
    elif frame.state == REVERTED:
        ended = Ended(STATUS_REVERT, frame.output, frame.gas, halts.EXECUTION_REVERTED)
    else:
        ended = Ended(STATUS_OK, frame.output, frame.gas, "")
    if ended.status != STATUS_OK:
        frame.world.revert(frame.mark)
    frame.machine.show_exit(ended)
    return ended


def _deploy(frame: Frame) -> str:
    """Make the output of init code the contract's code; return why not, if so."""
    code = frame.output
    if len(code) > prices.CODE_BYTES_MAX:
        return halts.MAX_CODE_SIZE
    if code.startswith(b"\xef"):
        return halts.INVALID_CODE  # EIP-3541.
    cost = prices.CREATE_DATA_BYTE * len(code)
    if cost > frame.gas:
        return halts.CODE_STORE_OUT_OF_GAS
    frame.gas -= cost
    frame.world.set_code(frame.address, code)
    return ""


def _resume(frame: Frame, ended: Ended) -> None:
    """Give a waiting frame what its call left: gas, return data, output in memory, and a flag."""
    call, frame.child = frame.child, None
    assert call is not None, "only a frame that waits is resumed"
    is_ok = ended.status == STATUS_OK
    frame.gas += ended.gas_left
    if call.is_create:
        frame.return_data = b"" if is_ok else ended.output
        frame.stack.append(int.from_bytes(call.address, "big") if is_ok else 0)
        return
    frame.return_data = output = ended.output
    frame.stack.append(1 if is_ok else 0)
    size = min(frame.output_size, len(output))
    if size:
        frame.memory[frame.output_offset : frame.output_offset + size] = output[:size]
