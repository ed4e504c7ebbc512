"""Frames: how they call, nest, fail and give back; and what bad programs come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import rlp
from crypto.hashing import keccak256
from tests.vm.evm.machine import (
    CONTRACT,
    GAS,
    SENDER,
    State,
    asm,
    calling,
    deploying,
    environment,
    returning,
    run,
    state_with,
    word,
)
from vm.evm import gas as prices
from vm.evm.interpreter import execute
from vm.evm.message import Message, Result
from vm.evm.opcodes import OPCODES
from vm.evm.world import World

OTHER = b"\xdd" * 20
STORE = asm(1, 1, "SSTORE")


def create(
    init_code: bytes, state: State, *, gas: int = GAS, value: int = 0
) -> tuple[Result, World]:
    world = World(state)
    message = Message(caller=SENDER, to=None, value=value, data=init_code, gas=gas)
    return execute(world, environment(), message), world


# Failing.


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (asm("ADD"), "stack underflow (0 <=> 2)"),
        (asm("PUSH0 PUSH0 ADD ADD"), "stack underflow (1 <=> 2)"),
        (asm("PUSH0 " * 1025), "stack limit reached 1024 (1023)"),
        (asm("PUSH0 " * 1024, "DUP1"), "stack limit reached 1024 (1023)"),
        (asm("INVALID"), "invalid opcode: INVALID"),
        (bytes([0x0C]), "invalid opcode: opcode 0xc not defined"),
        (asm("PUSH0 JUMP"), "invalid jump destination"),
        (asm(2**255, "JUMP"), "invalid jump destination"),
        (asm(3, "JUMP", b"\x60\x5b"), "invalid jump destination"),
        (asm(1, "PUSH0 JUMPI"), "invalid jump destination"),
        (asm(1, "PUSH0 PUSH0 RETURNDATACOPY"), "return data out of bounds"),
        (asm(1, 2**255, "PUSH0 RETURNDATACOPY"), "return data out of bounds"),
        (asm(2**256 - 1, "MLOAD"), "gas uint64 overflow"),
        (asm(2**63, "MLOAD"), "out of gas"),
        (asm(2**40, 2**40, "RETURN"), "out of gas"),
        (asm(49_153, "PUSH0 PUSH0 CREATE"), "max initcode size exceeded"),
        (asm("JUMPDEST PUSH0 JUMP"), "out of gas"),
    ],
)
def test_a_halt_takes_all_gas_and_says_what_geth_says(code, error):
    result = run(code, gas=1_000_000)
    assert (result.status, result.gas_left, result.output, result.error) == (0, 0, b"", error)


def test_a_halt_leaves_no_trace():
    code = STORE + asm("PUSH0 PUSH0 LOG0 INVALID")
    world = World(state_with(code))
    result = run(code, world=world)
    assert (result.status, result.logs, result.refund) == (0, (), 0)
    assert (world.changes().storage, world.logs, world.refund) == ({}, [], 0)


def test_revert_keeps_gas_and_output_and_nothing_else():
    code = STORE + asm(0xAB, "PUSH0 MSTORE8", 1, "PUSH0 REVERT")
    world = World(state_with(code))
    result = run(code, world=world)
    assert (result.status, result.output, result.error) == (2, b"\xab", "execution reverted")
    assert result.gas_left > 0
    assert world.changes().storage == {}


def test_infinite_loops_end_with_the_gas():
    loop = asm("JUMPDEST PUSH0 JUMP")
    assert run(loop, gas=200_000).error == "out of gas"


def test_memory_costs_what_the_yellow_paper_says_and_no_more_is_allocated():
    """Appendix H.1: 3 a word and words²/512; checked before the memory is there."""
    for offset in (0, 1, 31, 32, 33, 1_000, 100_000):
        words = -(-(offset + 32) // 32)
        used = GAS - run(asm(offset, "MLOAD POP")).gas_left
        assert used == (3 if offset else 2) + 3 + 2 + 3 * words + words * words // 512


# Calling.


def test_output_is_cut_and_copied_and_kept_as_return_data():
    callee = asm(0x11223344, "PUSH0 MSTORE", 4, 28, "RETURN")
    code = asm(calling(OTHER, output=2), "POP RETURNDATASIZE PUSH0 MSTORE8", 32, "PUSH0 RETURN")
    result = run(code, state=state_with(code).put(OTHER, code=callee))
    assert result.output[:2] == b"\x04\x22"
    assert result.output[2:] == bytes(30)


def test_a_failed_call_pushes_zero_and_undoes_only_itself():
    callee = STORE + asm("INVALID")
    code = STORE + returning(calling(OTHER, gas=100_000))
    world = World(state_with(code).put(OTHER, code=callee))
    assert word(run(code, world=world)) == 0
    assert world.changes().storage == {(CONTRACT, 1): 1}


def test_delegatecall_and_callcode_write_here_and_call_there():
    callee = asm("CALLER", 1, "SSTORE")
    me = int.from_bytes(CONTRACT, "big")
    expected = {
        "CALL": {(OTHER, 1): me},
        "CALLCODE": {(CONTRACT, 1): me},
        "DELEGATECALL": {(CONTRACT, 1): int.from_bytes(SENDER, "big")},
        "STATICCALL": {},
    }
    for kind, storage in expected.items():
        code = returning(calling(OTHER, kind=kind))
        world = World(state_with(code).put(OTHER, code=callee))
        assert word(run(code, world=world)) == (kind != "STATICCALL")
        assert world.changes().storage == storage, kind


@pytest.mark.parametrize(
    "write",
    [
        STORE,
        asm(1, 1, "TSTORE"),
        asm("PUSH0 PUSH0 LOG0"),
        asm("PUSH0 PUSH0 PUSH0 CREATE"),
        asm("PUSH0 PUSH0 PUSH0 PUSH0 CREATE2"),
        asm("PUSH0 SELFDESTRUCT"),
        calling(OTHER, value=1),
    ],
)
def test_nothing_is_written_in_a_static_call(write):
    """EIP-214, also further down."""
    assert run(write, is_static=True).error == "write protection"
    middle = returning(calling(OTHER))
    code = returning(calling(b"\xee" * 20, kind="STATICCALL", output=32), "POP PUSH0 MLOAD")
    state = state_with(code).put(OTHER, code=write).put(b"\xee" * 20, code=middle)
    assert word(run(code, state=state)) == 0


def test_a_call_gets_at_most_63_of_64_parts():
    """EIP-150."""
    callee = returning("GAS")
    code = asm(calling(OTHER, gas=2**200, output=32), "POP", 32, "PUSH0 RETURN")
    result = run(code, state=state_with(code).put(OTHER, code=callee))
    spent_before = GAS - 4 * 2 - 2 * 3 - 2 * 3  # An upper bound of what is left at the CALL.
    got = int.from_bytes(result.output, "big")
    assert spent_before * 63 // 64 - 3_000 < got < spent_before * 63 // 64


def test_a_value_that_is_not_there_fails_the_call_and_gives_its_gas_back():
    code = returning(calling(OTHER, value=1, gas=50_000))
    result = run(code)
    assert word(result) == 0
    assert GAS - result.gas_left < 2_600 + 9_000 + 25_000 + 100


def test_a_message_whose_value_is_not_there_leaves_no_trace():
    empty = b"\xee" * 20
    world = World(state_with(b"").put(empty))
    for to in (empty, None):
        message = Message(caller=SENDER, to=to, value=1, data=b"", gas=GAS)
        result = execute(world, environment(), message)
        assert (result.status, result.error) == (0, "insufficient balance for transfer")
        assert world.changes().accounts == {}


def test_value_moves_with_a_call_and_back_with_its_failure():
    for callee, moved in ((b"", 1), (asm("INVALID"), 0)):
        code = returning(calling(OTHER, value=1))
        state = state_with(code, balance=5).put(OTHER, code=callee)
        world = World(state)
        assert word(run(code, world=world)) == moved
        assert world.balance(OTHER) == moved
        assert world.balance(CONTRACT) == 5 - moved


def test_the_depth_ends_at_1024():
    """The frame at depth 1,024 calls in vain; Python's own limit is below that."""
    code = asm("PUSH0 SLOAD", 1, "ADD PUSH0 SSTORE", calling(CONTRACT, gas=2**250), "POP")
    world = World(state_with(code))
    assert run(code, gas=10**15, world=world).status == 1
    assert world.storage(CONTRACT, 0) == 1_025


def test_return_data_bombs_are_paid_for_by_whoever_makes_them():
    """A callee that returns a lot pays for its memory; the caller's stays as it was."""
    callee = asm(1_000_000, "PUSH0 RETURN")
    code = returning(calling(OTHER, gas=5_000_000), "POP MSIZE")
    result = run(code, state=state_with(code).put(OTHER, code=callee))
    assert word(result) == 0
    assert GAS - result.gas_left > 3 * 31_250 + 31_250**2 // 512
    poor = returning(calling(OTHER, gas=1_000_000))
    assert word(run(poor, state=state_with(poor).put(OTHER, code=callee))) == 0


def test_reentry_sees_what_the_outer_call_wrote():
    inner = returning("PUSH0 SLOAD")
    outer = asm(7, "PUSH0 SSTORE") + returning(
        calling(CONTRACT, output=32, gas=100_000), "POP PUSH0 MLOAD"
    )
    jump = asm("PUSH0 SLOAD", b"\x60" + bytes([len(outer) + 5]), "JUMPI")
    assert word(run(jump + outer + asm("JUMPDEST") + inner)) == 7


def test_a_call_of_an_account_without_code_succeeds():
    assert word(run(returning(calling(OTHER)))) == 1


# Creating and destroying.


def test_a_created_contract_has_its_code_and_nonce_one():
    code = returning(42)
    state = state_with(b"")
    result, world = create(deploying(code), state)
    # The sender's nonce is 1: it was raised from 0 by whoever runs the transaction.
    address = keccak256(rlp.encode([SENDER, b""]))[12:]
    assert (result.status, result.created, result.output) == (1, address, code)
    assert world.code(address) == code
    assert world.nonce(address) == 1
    assert GAS - result.gas_left >= 200 * len(code)
    state.apply(world.changes())
    message = Message(caller=SENDER, to=address, value=0, data=b"", gas=GAS)
    assert word(execute(World(state), environment(), message)) == 42


@pytest.mark.parametrize(
    ("init_code", "gas", "error"),
    [
        (asm(24_577, "PUSH0 RETURN"), GAS, "max code size exceeded"),
        (deploying(b"\xef\x00"), GAS, "invalid code: must not begin with 0xef"),
        (deploying(bytes(1_000)), 100_000, "contract creation code storage out of gas"),
        (asm("INVALID"), GAS, "invalid opcode: INVALID"),
        (bytes(49_153), GAS, "max initcode size exceeded"),
    ],
)
def test_a_creation_that_fails_creates_nothing(init_code, gas, error):
    result, world = create(init_code, state_with(b""), gas=gas)
    assert (result.status, result.error, result.created, result.gas_left) == (0, error, None, 0)
    assert world.changes().accounts == {}


def test_create2_addresses_are_those_of_eip_1014():
    """The EIP's examples."""
    from vm.evm.instructions.create import create2_address

    examples = [
        (bytes(20), 0, b"\x00", "4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"),
        (
            bytes.fromhex("deadbeef" + "00" * 16),
            0,
            b"\x00",
            "b928f69bb1d91cd65274e3c79d8986362984fda3",
        ),
        (
            bytes.fromhex("00000000000000000000000000000000deadbeef"),
            0xCAFEBABE,
            bytes.fromhex("deadbeef"),
            "60f3f640a8508fc6a86d45df051962668e1e8ac7",
        ),
        (bytes(20), 0, b"", "e33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"),
    ]
    for creator, salt, init_code, expected in examples:
        assert create2_address(creator, salt, init_code).hex() == expected


def test_creating_twice_with_create2_collides_and_takes_the_gas():
    init_code = deploying(b"\x00")
    copy = asm("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY")
    once = asm(1, "CALLDATASIZE PUSH0 PUSH0 CREATE2")
    code = copy + once + asm("POP") + returning(once)
    result = run(code, init_code)
    assert word(result) == 0
    assert result.gas_left < GAS // 64


def test_selfdestruct_in_the_creating_transaction_deletes_and_burns():
    """EIP-6780, and what is sent to itself is burnt then."""
    init_code = asm("ADDRESS SELFDESTRUCT")
    state = state_with(b"")
    state.put(SENDER, balance=10, nonce=1)
    result, world = create(init_code, state, value=4)
    assert result.status == 1
    changes = world.changes()
    assert set(changes.accounts) == {SENDER}
    assert changes.accounts[SENDER] is not None
    assert changes.accounts[SENDER].balance == 6


def test_selfdestruct_later_only_sends():
    code = asm(0xBEEF, "SELFDESTRUCT")
    world = World(state_with(code, balance=3))
    assert run(code, world=world).status == 1
    assert world.code(CONTRACT) == code
    assert (world.balance(CONTRACT), world.balance((0xBEEF).to_bytes(20, "big"))) == (0, 3)


def test_the_nonce_of_a_creator_ends_at_2_64():
    """EIP-2681: the creation fails, gas comes back, the nonce stays."""
    code = returning("PUSH0 PUSH0 PUSH0 CREATE")
    state = state_with(code)
    state.put(CONTRACT, code=code, nonce=2**64 - 1)
    result = run(code, state=state)
    assert word(result) == 0
    assert GAS - result.gas_left < 33_000


# Compute.


def test_compute_is_gas_without_what_the_state_holds():
    arithmetic = asm("PUSH0 PUSH0 ADD " * 50)
    result = run(arithmetic)
    used = GAS - result.gas_left
    fresh = prices.CODE_BYTE_COMPUTE * len(arithmetic) + prices.decoding(arithmetic)
    assert used <= result.compute - fresh <= used + 10
    stored = run(asm(*[item for slot in range(50) for item in (1, slot, "SSTORE")]))
    assert GAS - stored.gas_left > 50 * 20_000
    assert stored.compute < 50 * 300


def test_beyond_the_limit_the_whole_transaction_ends_as_out_of_gas():
    callee = asm("JUMPDEST PUSH0 JUMP")
    code = STORE + calling(OTHER, gas=1_000_000) + STORE
    world = World(state_with(code).put(OTHER, code=callee))
    result = run(code, world=world, compute_limit=50_000)
    assert (result.status, result.gas_left, result.error) == (0, 0, "out of gas")
    assert result.compute == 50_000
    assert world.changes().storage == {}
    assert run(code, state=state_with(code).put(OTHER, code=callee)).status == 1


def test_exactly_the_compute_used_is_enough():
    code = asm("PUSH0 PUSH0 ADD POP " * 10, calling(OTHER), "POP")
    state = state_with(code).put(OTHER, code=asm(5, 7, "EXP POP"))
    used = run(code, state=state).compute
    assert run(code, state=state, compute_limit=used).status == 1
    assert run(code, state=state, compute_limit=used - 1).error == "out of gas"


def test_a_precompile_is_not_run_beyond_the_compute_left():
    code = returning(calling((5).to_bytes(20, "big"), size=96 + 3 * 400, output=32))
    sizes = (400).to_bytes(32, "big") * 3 + b"\xff" * 1_200
    copy = asm("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY")
    assert run(copy + code, sizes, compute_limit=10_000).error == "out of gas"
    assert word(run(copy + code, sizes)) == 1


def test_compute_does_not_depend_on_what_the_process_has_decoded():
    code = asm("PUSH0 PUSH0 ADD POP " * 10, b"\x5b" * 3)
    assert run(code).compute == run(code).compute


def test_a_refused_creation_pays_for_what_was_hashed_for_its_address():
    """A value that nobody has is refused at once, and the gas comes back: the work was done."""
    size = 32_000
    prepared = asm(1, size - 1, "MSTORE8")
    before = run(prepared).compute
    made = [run(prepared + asm(salt, size, 0, 1, "CREATE2")) for salt in (1, 2)]
    assert [result.status for result in made] == [1, 1]
    assert made[0].compute - before >= 6 * size // 32


# Any program at all.

names = st.sampled_from([o.name for o in OPCODES if " " not in o.name and o.name != "INVALID"])
pieces = st.one_of(names, st.integers(0, 40), st.sampled_from([2**256 - 1, 2**255, 10**6]))


class Recorder:
    """A tracer that checks the order of what it is told."""

    def __init__(self):
        self.depth = 0
        self.steps = []
        self.logs = 0

    def enter(self, frame, /):
        self.depth += 1

    def step(self, **shown):
        assert 0 <= shown["depth"] == self.depth - 1
        assert shown["gas"] >= 0
        assert len(shown["stack"]) <= 1024
        assert all(0 <= item < 2**256 for item in shown["stack"])
        assert len(shown["memory"]) % 32 == 0
        self.steps.append((shown["pc"], shown["opcode"], shown["gas"]))

    def log(self, log, /):
        self.logs += 1

    def exit(self, *, gas_left, output, error):
        self.depth -= 1


@given(st.lists(pieces, max_size=60), st.integers(0, 300_000), st.integers(0, 5_000))
def test_any_program_ends_and_a_tracer_changes_nothing(program, gas, limit):
    code = asm(*program, b"\x5b\x00")
    state = state_with(code, balance=3).put(OTHER, code=returning("CALLER"))
    for compute_limit in (None, limit):
        plain, traced = World(state), World(state)
        tracer = Recorder()
        first = run(code, b"data", gas=gas, world=plain, compute_limit=compute_limit)
        again = run(
            code, b"data", gas=gas, world=traced, compute_limit=compute_limit, tracer=tracer
        )
        assert first == again
        assert plain.changes() == traced.changes()
        assert tracer.depth == 0
        assert 0 <= first.gas_left <= gas
        if first.status != 1:
            assert plain.changes().storage == {}


def test_a_tracer_is_told_of_every_end_when_compute_runs_out():
    code = calling(OTHER, gas=1_000_000)
    state = state_with(code).put(OTHER, code=asm("JUMPDEST PUSH0 JUMP"))
    tracer = Recorder()
    assert run(code, state=state, compute_limit=5_000, tracer=tracer).error == "out of gas"
    assert tracer.depth == 0
    assert tracer.steps
