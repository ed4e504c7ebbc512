"""Arithmetic modulo 2^256 (Yellow Paper, appendix H.2, 0s: stop and arithmetic)."""

from vm.evm import gas as prices
from vm.evm.frame import Frame

MASK = 2**256 - 1
_MODULUS = 2**256
_SIGN = 2**255


def signed(word: int) -> int:
    """Return a word read as two's complement."""
    return word - _MODULUS if word & _SIGN else word


def add(frame: Frame, stack: list[int], _: int) -> None:
    """ADD: a, b -> a + b mod 2^256. Gas 3."""
    a = stack.pop()
    stack[-1] = (a + stack[-1]) & MASK


def mul(frame: Frame, stack: list[int], _: int) -> None:
    """MUL: a, b -> a · b mod 2^256. Gas 5."""
    a = stack.pop()
    stack[-1] = (a * stack[-1]) & MASK


def sub(frame: Frame, stack: list[int], _: int) -> None:
    """SUB: a, b -> a − b mod 2^256. Gas 3."""
    a = stack.pop()
    stack[-1] = (a - stack[-1]) & MASK


def div(frame: Frame, stack: list[int], _: int) -> None:
    """DIV: a, b -> ⌊a / b⌋, 0 if b is 0. Gas 5."""
    a, b = stack.pop(), stack[-1]
    stack[-1] = a // b if b else 0


def sdiv(frame: Frame, stack: list[int], _: int) -> None:
    """SDIV: signed a, b -> a / b rounded towards 0, 0 if b is 0. Gas 5.

    −2^255 / −1 does not fit and wraps to −2^255.
    """
    a, b = signed(stack.pop()), signed(stack[-1])
    quotient = abs(a) // abs(b) if b else 0
    stack[-1] = (quotient if (a < 0) == (b < 0) else -quotient) & MASK


def mod(frame: Frame, stack: list[int], _: int) -> None:
    """MOD: a, b -> a mod b, 0 if b is 0. Gas 5."""
    a, b = stack.pop(), stack[-1]
    stack[-1] = a % b if b else 0


def smod(frame: Frame, stack: list[int], _: int) -> None:
    """SMOD: signed a, b -> the remainder with the sign of a, 0 if b is 0. Gas 5."""
    a, b = signed(stack.pop()), signed(stack[-1])
    remainder = abs(a) % abs(b) if b else 0
    stack[-1] = (-remainder if a < 0 else remainder) & MASK


def addmod(frame: Frame, stack: list[int], _: int) -> None:
    """ADDMOD: a, b, n -> a + b mod n, the sum not cut to 256 bits; 0 if n is 0. Gas 8."""
    a, b, n = stack.pop(), stack.pop(), stack[-1]
    stack[-1] = (a + b) % n if n else 0


def mulmod(frame: Frame, stack: list[int], _: int) -> None:
    """MULMOD: a, b, n -> a · b mod n, the product not cut to 256 bits; 0 if n is 0. Gas 8."""
    a, b, n = stack.pop(), stack.pop(), stack[-1]
    stack[-1] = a * b % n if n else 0


def exp(frame: Frame, stack: list[int], _: int) -> None:
    """EXP: a, n -> a^n mod 2^256. Gas 10, and 50 for each byte of n (EIP-160)."""
    a, n = stack.pop(), stack[-1]
    size = (n.bit_length() + 7) >> 3
    frame.spend(prices.EXP_BYTE * size)
    frame.machine.use_compute(prices.EXP_BYTE_COMPUTE * size)
    stack[-1] = pow(a, n, _MODULUS)


def signextend(frame: Frame, stack: list[int], _: int) -> None:
    """SIGNEXTEND: k, x -> x with the sign bit of its byte k (0 is the lowest) spread up. Gas 5."""
    k, x = stack.pop(), stack[-1]
    if k < 31:
        bit = 8 * k + 7
        low = (1 << (bit + 1)) - 1
        stack[-1] = x | (MASK ^ low) if x >> bit & 1 else x & low
