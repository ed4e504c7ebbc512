"""CALL and its kin: pay, then leave a `Call` for the interpreter to run (EIP-150, 2929, 161, 214).

Price of all four: 100 (2,600 for a cold account), expansion of memory for input and output, and
the gas that the callee gets: what is asked for, at most 63/64 of what is left. What the callee
leaves comes back. A call that is too deep, or whose value the caller does not have, fails at once
and gives its gas back.
"""

from typing import NamedTuple, final

from vm.evm import gas as prices
from vm.evm.frame import CALLING, Call, Frame
from vm.evm.halts import WRITE_PROTECTION, Halt

_ADDRESS_MASK = 2**160 - 1


@final
class _Operands(NamedTuple):
    """What all four take from the stack."""

    gas: int
    target: bytes
    value: int
    data: bytes


def call(frame: Frame, stack: list[int], _: int) -> None:
    """CALL: gas, to, value, input offset, size, output offset, size -> 1, or 0 if it failed.

    With a value: 9,000 more, and 25,000 if it brings an account into being; the callee gets 2,300
    for nothing; not in a static call.
    """
    operands = _take(frame, stack, stack.pop(-3))
    target, value = operands.target, operands.value
    if value:
        if frame.is_static:
            raise Halt(WRITE_PROTECTION)
        frame.spend(prices.CALL_VALUE)
        if frame.world.is_empty(target):
            frame.spend(prices.NEW_ACCOUNT)
    _leave(frame, stack, operands, Call("CALL", frame.address, target, target, value))


def callcode(frame: Frame, stack: list[int], _: int) -> None:
    """CALLCODE: as CALL, but the code runs on this account, to which the value goes, too."""
    operands = _take(frame, stack, stack.pop(-3))
    if operands.value:
        frame.spend(prices.CALL_VALUE)
    here = frame.address
    _leave(frame, stack, operands, Call("CALLCODE", here, here, operands.target, operands.value))


def delegatecall(frame: Frame, stack: list[int], _: int) -> None:
    """DELEGATECALL: gas, to, input offset, size, output offset, size -> 1 or 0 (EIP-7).

    The code runs on this account, with this frame's caller and value.
    """
    operands = _take(frame, stack, 0)
    made = Call("DELEGATECALL", frame.caller, frame.address, operands.target, frame.value)
    _leave(frame, stack, operands, made)


def staticcall(frame: Frame, stack: list[int], _: int) -> None:
    """STATICCALL: gas, to, input offset, size, output offset, size -> 1 or 0.

    Nothing inside may write (EIP-214).
    """
    operands = _take(frame, stack, 0)
    made = Call("STATICCALL", frame.address, operands.target, operands.target, 0)
    _leave(frame, stack, operands, made)


def _take(frame: Frame, stack: list[int], value: int) -> _Operands:
    """Pop gas, target, input and output; pay for memory and for a cold target."""
    output_size, output_offset, size, offset, to, gas = stack[-6:]
    del stack[-6:]
    # Calldata is free of gas, however long; copying it is not free of time. Its memory is paid for
    # first: a size that nobody can pay for ends this frame, as out of gas, and not the transaction.
    frame.expand(offset, size)
    frame.machine.use_compute(size >> prices.CALLDATA_COMPUTE_SHIFT)
    data = frame.read(offset, size)
    frame.expand(output_offset, output_size)
    frame.output_offset, frame.output_size = output_offset, output_size
    target = (to & _ADDRESS_MASK).to_bytes(20, "big")
    frame.use_address(target)
    return _Operands(gas, target, value, data)


def _leave(frame: Frame, stack: list[int], operands: _Operands, made: Call) -> None:
    """Give the call its gas, and wait for it."""
    gas = min(operands.gas, frame.gas - frame.gas // 64)
    frame.gas -= gas
    frame.return_data = b""
    value = operands.value
    if value:
        gas += prices.CALL_STIPEND
    made.gas = gas
    made.data = operands.data
    is_short = value and frame.world.balance(frame.address) < value
    if is_short or frame.depth >= prices.CALL_DEPTH_MAX:
        frame.machine.show_refusal(made, frame.depth + 1)
        frame.gas += gas
        stack.append(0)
        return
    made.is_static = frame.is_static or made.kind == "STATICCALL"
    frame.child = made
    frame.state = CALLING
