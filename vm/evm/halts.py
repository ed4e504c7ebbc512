"""How a frame fails: an exceptional halt, with the words that geth gives it."""

from typing import final


class Halt(Exception):
    """The frame ends, its changes are undone and all its gas is gone (Yellow Paper, 9.4.2).

    Attributes:
        error: geth's words; tools match on them.
    """

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@final
class ComputeExhausted(Halt):
    """The transaction's compute is spent: every frame of it ends, the outermost included."""

    def __init__(self) -> None:
        super().__init__(OUT_OF_GAS)


OUT_OF_GAS = "out of gas"
GAS_OVERFLOW = "gas uint64 overflow"
NONCE_OVERFLOW = "nonce uint64 overflow"
WRITE_PROTECTION = "write protection"
INVALID_JUMP = "invalid jump destination"
RETURN_DATA_OUT_OF_BOUNDS = "return data out of bounds"
MAX_CODE_SIZE = "max code size exceeded"
MAX_INITCODE_SIZE = "max initcode size exceeded"
CODE_STORE_OUT_OF_GAS = "contract creation code storage out of gas"
INVALID_CODE = "invalid code: must not begin with 0xef"
ADDRESS_COLLISION = "contract address collision"
REENTRANCY_SENTRY = "out of gas: not enough gas for reentrancy sentry"
EXECUTION_REVERTED = "execution reverted"
DEPTH = "max call depth exceeded"
INSUFFICIENT_BALANCE = "insufficient balance for transfer"
NATIVE_DELEGATED = "native contract cannot be called by delegation"
PRECOMPILE_FAILED = "invalid input to precompile"


def stack_underflow(height: int, required: int) -> Halt:
    """Return the halt of an instruction that finds too few items."""
    return Halt(f"stack underflow ({height} <=> {required})")


def stack_overflow(height: int, limit: int) -> Halt:
    """Return the halt of an instruction that finds no room."""
    return Halt(f"stack limit reached {height} ({limit})")


def invalid_opcode(name: str) -> Halt:
    """Return the halt of INVALID, or of a byte that is no instruction."""
    return Halt(f"invalid opcode: {name}")
