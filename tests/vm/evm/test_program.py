"""Decoding: jump destinations, basic blocks, and the cache of programs."""

from hypothesis import given
from hypothesis import strategies as st

from tests.vm.evm.machine import CONTRACT, GAS, SENDER, asm, calling, environment, state_with
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.opcodes import IMMEDIATE_BYTES, JUMPDEST, OPCODES, STACK_MAX
from vm.evm.program import BLOCK_INSTRUCTIONS_MAX, CACHE_BYTES_MAX, Program, ProgramCache
from vm.evm.world import World

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
