"""Decoding: jump destinations, basic blocks, and the cache of programs."""

from hypothesis import given
from hypothesis import strategies as st

from tests.vm.evm.machine import asm
from vm.evm.opcodes import IMMEDIATE_BYTES, JUMPDEST, OPCODES, STACK_MAX
from vm.evm.program import BLOCK_INSTRUCTIONS_MAX, CACHE_BYTES_MAX, Program, ProgramCache

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
        assert 1 <= len(inside) <= BLOCK_INSTRUCTIONS_MAX
        assert block.gas == sum(opcode.gas for opcode in inside)
        assert block.compute == 1 + sum(opcode.compute for opcode in inside)
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
    assert program.decode(0).end == BLOCK_INSTRUCTIONS_MAX


def test_jumps_into_a_run_of_jumpdests_do_not_decode_it_again_and_again():
    program = Program(b"\x5b" * 1_000)
    assert all(program.decode(offset).end - offset <= 8 for offset in range(1_000))


def test_the_cache_forgets_what_was_not_used_for_longest():
    cache = ProgramCache()
    size = 24_576
    room = CACHE_BYTES_MAX // size
    for number in range(room + 1):
        cache.put(bytes([number]), Program(bytes(size)))
        assert cache.get(bytes([0])) is not None
    assert cache.get(bytes([1])) is None
    assert cache.get(bytes([2])) is not None
