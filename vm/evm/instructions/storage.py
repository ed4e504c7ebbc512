"""Storage, transient storage and logs (Yellow Paper, H.2, 50s, a0s; EIP-2200, 2929, 3529, 1153)."""

from vm.evm import gas as prices
from vm.evm.frame import Frame
from vm.evm.halts import REENTRANCY_SENTRY, WRITE_PROTECTION, Halt
from vm.receipt import Log


def sload(frame: Frame, stack: list[int], _: int) -> None:
    """SLOAD: slot -> the word there. Gas 100, 2,100 cold."""
    word, is_cold = frame.world.load(frame.address, stack[-1])
    if is_cold:
        frame.spend(prices.COLD_SLOT - prices.WARM)
        frame.machine.use_compute(prices.COLD_COMPUTE)
    stack[-1] = word


def sstore(frame: Frame, stack: list[int], _: int) -> None:
    """SSTORE: slot, word -> nothing. Needs more than 2,300 gas, and a frame that may write.

    Gas by (original, current, new) value: no change or changed before: 100; first change: 20,000
    from 0, else 2,900; 2,100 more if the slot is cold. Refunds: see `_refund`.
    """
    if frame.is_static:
        raise Halt(WRITE_PROTECTION)
    if frame.gas <= prices.SSTORE_SENTRY:
        raise Halt(REENTRANCY_SENTRY)
    slot, new = stack.pop(), stack.pop()
    world, address = frame.world, frame.address
    cost = 0
    current, original, is_cold = world.load_both(address, slot)
    if is_cold:
        cost = prices.COLD_SLOT
        frame.machine.use_compute(prices.COLD_COMPUTE)
    if current == new or current != original:
        cost += prices.WARM
    else:
        cost += prices.SSTORE_RESET if original else prices.SSTORE_SET
    frame.spend(cost)
    if current != new:
        world.refund += _refund(original, current, new)
        world.set_storage(address, slot, new)


def _refund(original: int, current: int, new: int) -> int:
    """Return what a change adds to the refund counter (EIP-3529), maybe less than 0."""
    refund = 0
    if original:
        refund += prices.SSTORE_CLEAR_REFUND * ((new == 0) - (current == 0))
    if original == new:
        # Back to where it began: the first change is given back but for the price of a warm slot.
        refund += (prices.SSTORE_RESET if original else prices.SSTORE_SET) - prices.WARM
    return refund


def tload(frame: Frame, stack: list[int], _: int) -> None:
    """TLOAD: slot -> the word in transient storage. Gas 100."""
    stack[-1] = frame.world.transient(frame.address, stack[-1])


def tstore(frame: Frame, stack: list[int], _: int) -> None:
    """TSTORE: slot, word -> nothing; forgotten after the transaction. Gas 100."""
    if frame.is_static:
        raise Halt(WRITE_PROTECTION)
    slot = stack.pop()
    frame.world.set_transient(frame.address, slot, stack.pop())


def log(frame: Frame, stack: list[int], n: int) -> None:
    """LOG0 to LOG4: offset, size, n topics -> nothing; emit an event.

    Gas 375, 375 for each topic, 8 for each byte, and expansion.
    """
    if frame.is_static:
        raise Halt(WRITE_PROTECTION)
    offset, size = stack.pop(), stack.pop()
    topics = tuple([stack.pop().to_bytes(32, "big") for _ in range(n)])
    frame.spend(prices.LOG_BYTE * size)
    frame.machine.add_log(Log(frame.address, topics, frame.read(offset, size)))
