"""Words as Python expressions, for the second tier: masks are left out where they do nothing."""

from typing import final

WORD_BITS = 256
_MASK = 2**256 - 1
_LENGTH_MAX = 160
"""Longer expressions go into a variable: nesting stays far below what Python's parser takes."""


@final
class Value:
    """An item of the symbolic stack.

    Attributes:
        text: a Python expression for the word, in parentheses where it needs them. It is pure and
            names only variables that are never assigned again, so it may be evaluated later.
        bits: the word is below 2^bits.
        is_atom: a name or a number, free to repeat.
        number: the word, if it is constant.
        test: an expression that is true exactly if the word is not 0.
        origin: depth of the real stack that it was read from and still stands at, if any.
    """

    __slots__ = ("bits", "is_atom", "number", "origin", "test", "text")

    def __init__(
        self,
        text: str,
        *,
        bits: int = WORD_BITS,
        is_atom: bool = False,
        number: int | None = None,
        test: str = "",
    ) -> None:
        self.text = text
        self.bits = bits
        self.is_atom = is_atom
        self.number = number
        self.test = test or text
        self.origin: int | None = None

    @property
    def is_short(self) -> bool:
        """Whether it may stay an expression."""
        return len(self.text) <= _LENGTH_MAX

    def become(self, atom: "Value") -> None:
        """Be the variable that now holds it, wherever on the stack it stands."""
        self.text = self.test = atom.text
        self.is_atom = True


def constant(number: int) -> Value:
    """Return a constant."""
    text = str(number) if number < 10**9 else hex(number)
    return Value(text, bits=max(1, number.bit_length()), is_atom=True, number=number)


def _flag(test: str) -> Value:
    return Value(f"(1 if {test} else 0)", bits=1, test=test)


def _masked(text: str, bits: int) -> Value:
    if bits <= WORD_BITS:
        return Value(f"({text})", bits=bits)
    return Value(f"({text} & {_MASK:#x})")


def _add(a: Value, b: Value) -> Value:
    return _masked(f"({a.text} + {b.text})", max(a.bits, b.bits) + 1)


def _mul(a: Value, b: Value) -> Value:
    return _masked(f"({a.text} * {b.text})", a.bits + b.bits)


def _sub(a: Value, b: Value) -> Value:
    return Value(f"(({a.text} - {b.text}) & {_MASK:#x})")


def _div(a: Value, b: Value) -> Value | None:
    if b.number:
        return Value(f"({a.text} // {b.text})", bits=a.bits)
    if not b.is_atom:
        return None
    return Value(f"({a.text} // {b.text} if {b.text} else 0)", bits=a.bits)


def _mod(a: Value, b: Value) -> Value | None:
    if b.number:
        return Value(f"({a.text} % {b.text})", bits=min(a.bits, b.bits))
    if not b.is_atom:
        return None
    return Value(f"({a.text} % {b.text} if {b.text} else 0)", bits=min(a.bits, b.bits))


def _and(a: Value, b: Value) -> Value:
    return Value(f"({a.text} & {b.text})", bits=min(a.bits, b.bits))


def _or(a: Value, b: Value) -> Value:
    return Value(f"({a.text} | {b.text})", bits=max(a.bits, b.bits))


def _xor(a: Value, b: Value) -> Value:
    return Value(f"({a.text} ^ {b.text})", bits=max(a.bits, b.bits))


def _not(a: Value) -> Value:
    return Value(f"({a.text} ^ {_MASK:#x})")


def _shl(shift: Value, a: Value) -> Value | None:
    if shift.number is None or shift.number >= WORD_BITS:
        return None
    return _masked(f"({a.text} << {shift.number})", a.bits + shift.number)


def _shr(shift: Value, a: Value) -> Value | None:
    if shift.number is None or shift.number >= WORD_BITS:
        return None
    return Value(f"({a.text} >> {shift.number})", bits=max(1, a.bits - shift.number))


def _lt(a: Value, b: Value) -> Value:
    return _flag(f"{a.text} < {b.text}")


def _gt(a: Value, b: Value) -> Value:
    return _flag(f"{a.text} > {b.text}")


def _eq(a: Value, b: Value) -> Value:
    return _flag(f"{a.text} == {b.text}")


def _iszero(a: Value) -> Value:
    return _flag(f"not ({a.test})")


_BINARY = {
    "ADD": _add,
    "MUL": _mul,
    "SUB": _sub,
    "DIV": _div,
    "MOD": _mod,
    "AND": _and,
    "OR": _or,
    "XOR": _xor,
    "SHL": _shl,
    "SHR": _shr,
    "LT": _lt,
    "GT": _gt,
    "EQ": _eq,
}
_UNARY = {"NOT": _not, "ISZERO": _iszero}

PURE = frozenset(
    (
        *_BINARY,
        *_UNARY,
        "SDIV",
        "SMOD",
        "ADDMOD",
        "MULMOD",
        "SIGNEXTEND",
        "SLT",
        "SGT",
        "BYTE",
        "SAR",
    )
)
"""Instructions that only compute."""
FOLDED = PURE
"""Those that are computed at once if all operands are constant."""


def combine(name: str, operands: list[Value]) -> Value | None:
    """Return the expression of a pure instruction, or None if its handler is to be called.

    Args:
        name: in PURE.
        operands: the top of the stack first.
    """
    if name in _UNARY:
        return _UNARY[name](*operands)
    if name in _BINARY:
        return _BINARY[name](*operands)
    return None
