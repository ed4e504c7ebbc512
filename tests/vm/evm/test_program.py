"""Decoding: jump destinations, basic blocks, and the cache of programs."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tests.vm.evm.machine import CONTRACT, GAS, SENDER, asm, calling, environment, state_with
from vm.evm import gas as prices
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.opcodes import IMMEDIATE_BYTES, JUMPDEST, OPCODES, STACK_MAX
from vm.evm.program import BLOCK_BYTES_MAX, CACHE_BYTES_MAX, Program, ProgramCache
from vm.evm.world import World

NEXT = (0x55, 0x57, 0x5A, 0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA)
"""What ends a block and lets execution go on behind it: SSTORE, JUMPI, GAS, creations, calls."""

codes = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([0x5B, 0x60, 0x61, 0x7F, 0x56, 0x01, 0x50, 0x5F]), max_size=80).map(
        bytes
    ),
)


def instructions(code: bytes) -> list[tuple[int, int]]:
    """(offset, opcode) of a code read from its start."""
    found, offset = [], 0
    while offset < len(code):
        found.append((offset, code[offset]))
        offset += 1 + IMMEDIATE_BYTES[code[offset]]
    return found


@given(codes)
def test_targets_are_the_jumpdests_that_are_no_push_data(code):
    expected = {offset for offset, byte in instructions(code) if byte == JUMPDEST}
    program = Program(code)
    assert {offset for offset in range(len(code) + 40) if program.is_target(offset)} == expected


@given(codes)
def test_blocks_cover_the_code_and_add_up(code):
    """Gas and compute of a block are the sums of its instructions'; so are its needs."""
    program = Program(code)
    listed = dict(instructions(code))
    start = 0
    while start < len(code):
        block = program.decode(start)
        assert block.start == start < block.end
        inside = [OPCODES[byte] for at, byte in listed.items() if start <= at < block.end]
        assert 1 <= len(inside) <= BLOCK_BYTES_MAX
        assert block.gas == sum(opcode.gas for opcode in inside)
        assert block.compute == prices.BLOCK_COMPUTE + sum(opcode.compute for opcode in inside)
        assert not any(opcode.ends for opcode in inside[:-1])
        height = 0
        for opcode in inside:
            assert block.need + height >= opcode.pops
            height += opcode.pushes - opcode.pops
            assert block.room + height <= STACK_MAX
        start = block.end
    assert len(program.decode(len(code)).code) == 1


def test_a_long_run_is_decoded_piece_by_piece():
    program = Program(asm("PUSH0 POP " * 1_000))
    assert program.decode(0).end == BLOCK_BYTES_MAX


def test_wherever_a_jump_enters_a_row_of_jumpdests_what_follows_is_the_same_block():
    """Else each entry would decode it again, and with it all the straight code behind it."""
    row, behind = 300, asm("PUSH0 POP " * 100)
    program = Program(b"\x5b" * row + behind)
    for offset in range(row - 1):
        block = program.decode(offset)
        assert not block.code
        assert block.end == min(offset + BLOCK_BYTES_MAX, row) - 1
    tail = program.decode(row - 1)
    assert (tail.start, len(tail.code)) == (row - 1, BLOCK_BYTES_MAX - 1)


@given(codes)
def test_nothing_but_jumpdests_is_decoded_twice(code):
    """The price of decoding a code from end to end is that of every way through it."""
    program = Program(code)
    entered = [0, *(offset for offset in range(len(code)) if program.is_target(offset))]
    with patch("vm.evm.program.BLOCK_BYTES_MAX", 7):
        while entered:
            block = program.decode(entered.pop())
            if block.end < len(code) and block.end not in program.blocks:
                entered.append(block.end)
    for block in program.blocks.values():
        inside = [at for at in program.blocks if block.start < at < block.end]
        assert not inside or not block.code


@given(codes)
def test_the_price_of_decoding_counts_every_block(code):
    program, start, count = Program(code), 0, 0
    while start < len(code):
        block = program.decode(start)
        if block.end < len(code):
            count += code[block.end] == JUMPDEST or code[block.end - 1] in NEXT
        start = block.end
    price = prices.DECODE_BYTE_COMPUTE * len(code) + prices.DECODE_BLOCK_COMPUTE * count
    assert prices.decoding(code) >= price


def test_the_cache_forgets_what_was_not_used_for_longest():
    cache = ProgramCache()
    size = 24_576
    room = CACHE_BYTES_MAX // size
    for number in range(room + 1):
        cache.put(bytes([number]), Program(bytes(size)))
        assert cache.get(bytes([0])) is not None
    assert cache.get(bytes([1])) is None
    assert cache.get(bytes([2])) is not None


def test_a_code_is_decoded_once_in_a_transaction_whatever_the_cache_forgets(monkeypatch):
    """Its price is taken once, so contracts that push each other out of the cache cost no more."""
    targets = [bytes((0xD0, number)) * 10 for number in range(3)]
    calls = [calling(target, gas=1_000) + asm("POP") for target in targets]
    state = state_with(b"".join(calls) * 4)
    for number, target in enumerate(targets):
        state.put(target, code=asm(number + 1, "POP", 5, "JUMP", "JUMPDEST", "STOP"), nonce=1)
    monkeypatch.setattr("vm.evm.interpreter.PROGRAMS", ProgramCache())
    monkeypatch.setattr("vm.evm.program.CACHE_BYTES_MAX", 10)
    made = []
    monkeypatch.setattr(
        "vm.evm.interpreter.Program", lambda code, watch=None: made.append(code) or Program(code)
    )
    message = Message(caller=SENDER, to=CONTRACT, value=0, data=b"", gas=GAS)
    assert execute(World(state), environment(), message).status == 1
    assert len(made) == len(set(made)) == 1 + len(targets)
