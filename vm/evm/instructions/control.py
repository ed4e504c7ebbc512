"""Stack, jumps and the end of a frame (Yellow Paper, appendix H.2, 50s, 60s to 9Fs, f3, fd)."""

from vm.evm.frame import DONE, REVERTED, Frame
from vm.evm.halts import invalid_opcode


def stop(frame: Frame, stack: list[int], _: int) -> None:
    """STOP: end well without output. The end of the code does the same. Gas 0."""
    frame.state = DONE


def pop(frame: Frame, stack: list[int], _: int) -> None:
    """POP: a -> nothing. Gas 2."""
    stack.pop()


def push(frame: Frame, stack: list[int], word: int) -> None:
    """PUSH0 to PUSH32: -> the 0 to 32 bytes after the opcode, 0 beyond the code. Gas 2 or 3."""
    stack.append(word)


def dup(frame: Frame, stack: list[int], n: int) -> None:
    """DUP1 to DUP16: -> a copy of the n-th item from the top. Gas 3."""
    stack.append(stack[-n])


def swap(frame: Frame, stack: list[int], n: int) -> None:
    """SWAP1 to SWAP16: exchange the top with the item n below it. Gas 3."""
    stack[-1], stack[-1 - n] = stack[-1 - n], stack[-1]


def pc(frame: Frame, stack: list[int], offset: int) -> None:
    """PC: -> the offset of this instruction. Gas 2."""
    stack.append(offset)


def jump(frame: Frame, stack: list[int], _: int) -> None:
    """JUMP: target -> nothing; go there, which must be a JUMPDEST outside push data. Gas 8."""
    target = stack.pop()
    if target not in frame.program.targets:
        frame.program.check_target(target)
    frame.pc = target


def jumpi(frame: Frame, stack: list[int], _: int) -> None:
    """JUMPI: target, condition -> nothing; as JUMP, unless the condition is 0. Gas 10."""
    target = stack.pop()
    if stack.pop():
        if target not in frame.program.targets:
            frame.program.check_target(target)
        frame.pc = target


def jumpdest(frame: Frame, stack: list[int], _: int) -> None:
    """JUMPDEST: does nothing but mark where jumps may go. Gas 1."""


def gas(frame: Frame, stack: list[int], _: int) -> None:
    """GAS: -> gas left after this instruction. Gas 2."""
    stack.append(frame.gas)


def return_(frame: Frame, stack: list[int], _: int) -> None:
    """RETURN: offset, size -> nothing; end well with that part of memory as output. Gas 0."""
    offset = stack.pop()
    frame.output = frame.read(offset, stack.pop())
    frame.state = DONE


def revert(frame: Frame, stack: list[int], _: int) -> None:
    """REVERT: offset, size -> nothing; undo the frame, keep the gas left (EIP-140). Gas 0."""
    offset = stack.pop()
    frame.output = frame.read(offset, stack.pop())
    frame.state = REVERTED


def invalid(frame: Frame, stack: list[int], opcode: int) -> None:
    """INVALID (0xfe), and every byte without a meaning: halt exceptionally (EIP-141)."""
    raise invalid_opcode("INVALID" if opcode == 0xFE else f"opcode {opcode:#x} not defined")
