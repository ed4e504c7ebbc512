"""Memory, copying into it, and hashing it (Yellow Paper, appendix H.2, 20s, 30s, 50s)."""

from crypto.hashing import keccak256
from vm.evm import gas as prices
from vm.evm.frame import Frame
from vm.evm.halts import RETURN_DATA_OUT_OF_BOUNDS, Halt

_from_bytes = int.from_bytes
_ADDRESS_MASK = 2**160 - 1


def mload(frame: Frame, stack: list[int], _: int) -> None:
    """MLOAD: offset -> the word there. Gas 3 and expansion."""
    offset, memory = stack[-1], frame.memory
    end = offset + 32
    if end > len(memory):
        frame.expand(offset, 32)
    stack[-1] = _from_bytes(memory[offset:end], "big")


def mstore(frame: Frame, stack: list[int], _: int) -> None:
    """MSTORE: offset, word -> nothing; write 32 bytes. Gas 3 and expansion."""
    offset, memory = stack.pop(), frame.memory
    end = offset + 32
    if end > len(memory):
        frame.expand(offset, 32)
    memory[offset:end] = stack.pop().to_bytes(32, "big")


def mstore8(frame: Frame, stack: list[int], _: int) -> None:
    """MSTORE8: offset, word -> nothing; write the lowest byte. Gas 3 and expansion."""
    offset, word = stack.pop(), stack.pop()
    frame.expand(offset, 1)
    frame.memory[offset] = word & 0xFF


def msize(frame: Frame, stack: list[int], _: int) -> None:
    """MSIZE: -> bytes of memory in use, a multiple of 32. Gas 2."""
    stack.append(len(frame.memory))


def mcopy(frame: Frame, stack: list[int], _: int) -> None:
    """MCOPY: to, from, size -> nothing; as through a buffer (EIP-5656).

    Gas 3, 3 for each word, and expansion to the end of either range.
    """
    to, source, size = stack.pop(), stack.pop(), stack.pop()
    frame.charge(prices.COPY_WORD * prices.words(size))
    frame.expand(max(to, source), size)
    if size:
        frame.memory[to : to + size] = frame.memory[source : source + size]


def keccak(frame: Frame, stack: list[int], _: int) -> None:
    """KECCAK256: offset, size -> hash of that memory. Gas 30, 6 for each word, and expansion."""
    offset, size = stack.pop(), stack[-1]
    frame.charge(prices.KECCAK_WORD * ((size + 31) >> 5))
    stack[-1] = _from_bytes(keccak256(frame.read(offset, size)), "big")


def calldataload(frame: Frame, stack: list[int], _: int) -> None:
    """CALLDATALOAD: offset -> the word there, zeros beyond the end. Gas 3."""
    offset = stack[-1]
    stack[-1] = _from_bytes(frame.data[offset : offset + 32].ljust(32, b"\0"), "big")


def calldatasize(frame: Frame, stack: list[int], _: int) -> None:
    """CALLDATASIZE: -> bytes of calldata. Gas 2."""
    stack.append(len(frame.data))


def codesize(frame: Frame, stack: list[int], _: int) -> None:
    """CODESIZE: -> bytes of the code that runs. Gas 2."""
    stack.append(len(frame.program.code))


def returndatasize(frame: Frame, stack: list[int], _: int) -> None:
    """RETURNDATASIZE: -> bytes that the last call returned (EIP-211). Gas 2."""
    stack.append(len(frame.return_data))


def _copy(frame: Frame, stack: list[int], source: bytes) -> None:
    to, offset, size = stack.pop(), stack.pop(), stack.pop()
    frame.charge(prices.COPY_WORD * prices.words(size))
    frame.expand(to, size)
    if size:
        frame.memory[to : to + size] = source[offset : offset + size].ljust(size, b"\0")


def calldatacopy(frame: Frame, stack: list[int], _: int) -> None:
    """CALLDATACOPY: to, offset, size -> nothing; zeros beyond the end.

    Gas 3, 3 for each word, and expansion: as for all that copy.
    """
    _copy(frame, stack, frame.data)


def codecopy(frame: Frame, stack: list[int], _: int) -> None:
    """CODECOPY: to, offset, size -> nothing; of the code that runs, zeros beyond it."""
    _copy(frame, stack, frame.program.code)


def extcodecopy(frame: Frame, stack: list[int], _: int) -> None:
    """EXTCODECOPY: account, to, offset, size -> nothing; of another account's code.

    Gas 100 (2,600 cold), 3 for each word, and expansion.
    """
    address = (stack.pop() & _ADDRESS_MASK).to_bytes(20, "big")
    frame.use_address(address)
    _copy(frame, stack, frame.world.code(address))


def returndatacopy(frame: Frame, stack: list[int], _: int) -> None:
    """RETURNDATACOPY: to, offset, size -> nothing; reading beyond the end halts (EIP-211)."""
    if stack[-2] + stack[-3] > len(frame.return_data):
        raise Halt(RETURN_DATA_OUT_OF_BOUNDS)
    _copy(frame, stack, frame.return_data)
