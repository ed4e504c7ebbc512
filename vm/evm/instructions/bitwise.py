"""Comparison and bits (Yellow Paper, appendix H.2, 10s; shifts: EIP-145)."""

from vm.evm.frame import Frame
from vm.evm.instructions.arithmetic import MASK

_SIGN = 2**255


def lt(frame: Frame, stack: list[int], _: int) -> None:
    """LT: a, b -> 1 if a < b else 0. Gas 3."""
    a = stack.pop()
    stack[-1] = 1 if a < stack[-1] else 0


def gt(frame: Frame, stack: list[int], _: int) -> None:
    """GT: a, b -> 1 if a > b else 0. Gas 3."""
    a = stack.pop()
    stack[-1] = 1 if a > stack[-1] else 0


def slt(frame: Frame, stack: list[int], _: int) -> None:
    """SLT: signed a, b -> 1 if a < b else 0. Gas 3."""
    a = stack.pop()
    # Flipping the sign bit turns the signed order into the unsigned one.
    stack[-1] = 1 if a ^ _SIGN < stack[-1] ^ _SIGN else 0


def sgt(frame: Frame, stack: list[int], _: int) -> None:
    """SGT: signed a, b -> 1 if a > b else 0. Gas 3."""
    a = stack.pop()
    stack[-1] = 1 if a ^ _SIGN > stack[-1] ^ _SIGN else 0


def eq(frame: Frame, stack: list[int], _: int) -> None:
    """EQ: a, b -> 1 if they are equal else 0. Gas 3."""
    a = stack.pop()
    stack[-1] = 1 if a == stack[-1] else 0


def iszero(frame: Frame, stack: list[int], _: int) -> None:
    """ISZERO: a -> 1 if a is 0 else 0. Gas 3."""
    stack[-1] = 0 if stack[-1] else 1


def and_(frame: Frame, stack: list[int], _: int) -> None:
    """AND: a, b -> a & b. Gas 3."""
    a = stack.pop()
    stack[-1] &= a


def or_(frame: Frame, stack: list[int], _: int) -> None:
    """OR: a, b -> a | b. Gas 3."""
    a = stack.pop()
    stack[-1] |= a


def xor(frame: Frame, stack: list[int], _: int) -> None:
    """XOR: a, b -> a ^ b. Gas 3."""
    a = stack.pop()
    stack[-1] ^= a


def not_(frame: Frame, stack: list[int], _: int) -> None:
    """NOT: a -> all bits of a flipped. Gas 3."""
    stack[-1] ^= MASK


def byte(frame: Frame, stack: list[int], _: int) -> None:
    """BYTE: i, x -> byte i of x, 0 being the highest; 0 from 32 on. Gas 3."""
    i, x = stack.pop(), stack[-1]
    stack[-1] = x >> 8 * (31 - i) & 0xFF if i < 32 else 0


def shl(frame: Frame, stack: list[int], _: int) -> None:
    """SHL: n, x -> x · 2^n mod 2^256. Gas 3."""
    n, x = stack.pop(), stack[-1]
    stack[-1] = x << n & MASK if n < 256 else 0


def shr(frame: Frame, stack: list[int], _: int) -> None:
    """SHR: n, x -> ⌊x / 2^n⌋. Gas 3."""
    n, x = stack.pop(), stack[-1]
    stack[-1] = x >> n if n < 256 else 0


def sar(frame: Frame, stack: list[int], _: int) -> None:
    """SAR: n, signed x -> ⌊x / 2^n⌋, rounded down: −1 at last for a negative x. Gas 3."""
    n, x = min(stack.pop(), 256), stack[-1]
    if x & _SIGN:
        x -= MASK + 1
    stack[-1] = x >> n & MASK
