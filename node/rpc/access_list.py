"""Collects the addresses and storage slots that a call touches, for `eth_createAccessList`."""

from collections.abc import Sequence
from typing import Final, final

from vm.evm.tracing import FrameInfo
from vm.receipt import Log
from vm.transaction import AccessList

_SLOAD, _SSTORE = 0x54, 0x55
_OF_ADDRESS: Final = frozenset((0x31, 0x3B, 0x3C, 0x3F, 0xFF))
"""BALANCE, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH, SELFDESTRUCT: the address is on top."""
_CALLS: Final = frozenset((0xF1, 0xF2, 0xF4, 0xFA))
"""CALL, CALLCODE, DELEGATECALL, STATICCALL: the address lies under the gas."""
_ADDRESS_MASK = 2**160 - 1
_PRECOMPILES_MAX = 0x0A


@final
class AccessListTracer:
    """A `vm.evm.tracing.Tracer`. Sender, target and precompiles are warm anyhow: not listed."""

    def __init__(self, known: AccessList, *, hidden: frozenset[bytes | None]) -> None:
        """Begin with what is listed already; addresses in `hidden` appear for their slots only."""
        self._hidden = hidden
        self._found: dict[bytes, dict[bytes, None]] = {}
        for address, slots in known:
            self._found.setdefault(address, {}).update(dict.fromkeys(slots))

    def enter(self, frame: FrameInfo, /) -> None:
        """Calls show as instructions; nothing to note."""

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
        """Note what the instruction is about to touch."""
        del pc, gas, cost, depth, memory, refund
        if opcode in (_SLOAD, _SSTORE) and stack:
            slot = stack[-1].to_bytes(32, "big")
            self._found.setdefault(address, {})[slot] = None
        elif opcode in _OF_ADDRESS and stack:
            self._touch(stack[-1])
        elif opcode in _CALLS and len(stack) >= 2:
            self._touch(stack[-2])

    def log(self, log: Log, /) -> None:
        """Touches nothing."""

    def exit(self, *, gas_left: int, output: bytes, error: str) -> None:
        """Also what a failed frame touched is listed, as in geth."""

    def _touch(self, word: int) -> None:
        number = word & _ADDRESS_MASK
        address = number.to_bytes(20, "big")
        if address not in self._hidden and not 0 < number <= _PRECOMPILES_MAX:
            self._found.setdefault(address, {})

    def access_list(self) -> AccessList:
        """Return what was found, in the order of the first touch."""
        return tuple((address, tuple(slots)) for address, slots in self._found.items())
