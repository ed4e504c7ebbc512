"""What a debugger may watch: the protocol that struct-log and call tracers implement.

A tracer sees and never changes: what it is shown belongs to the interpreter and is valid during
the call only, so it copies what it keeps. A traced execution does what an untraced one does, with
the same gas, compute, logs and changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

from vm.receipt import Log


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInfo:
    """A call frame that begins; calls of precompiles and native contracts are frames, too."""

    kind: str
    """CALL, CALLCODE, DELEGATECALL, STATICCALL, CREATE, CREATE2 or SELFDESTRUCT: geth's words."""
    depth: int
    """0 for the transaction's own frame."""
    caller: bytes
    to: bytes
    """Whose code runs (for a DELEGATECALL the library), the new contract, or the beneficiary."""
    value: int
    data: bytes
    """Calldata, or init code."""
    gas: int


class Tracer(Protocol):
    """Receives every frame and every instruction, in order."""

    def enter(self, frame: FrameInfo, /) -> None:
        """Begin a frame. Each `enter` has its `exit`; between them are its steps and children."""

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
        """Show an instruction before it is executed.

        Args:
            pc: its byte offset in the code.
            opcode: its byte; also one that is not assigned, which fails after this.
            gas: left before it.
            cost: its static price; what depends on operands shows in the next step's `gas`.
            depth: 0 for the transaction's own frame.
            stack: top is last. Not to be kept.
            memory: as long as it was expanded to. Not to be kept.
            address: whose storage the frame reads and writes.
            refund: the refund counter.
        """

    def log(self, log: Log, /) -> None:
        """Show a log that the innermost frame emits: by LOG0..LOG4, or by a native contract.

        It may be undone later with its frame.
        """

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """End the innermost frame; `error` as in `message.Result`, empty if it succeeded."""
