"""The second tier does what the first does, whatever is compiled and whenever."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testnet.bench.evm_programs import CONTRACT, loop_case, transfer_case
from testnet.evm_fuzz import both_tiers, campaign, ours
from testnet.evm_fuzz.assembly import Assembler
from testnet.evm_fuzz.generate import generate
from vm.evm import expressions, tiers
from vm.evm.compiled import Compiler
from vm.evm.interpreter import PROGRAMS
from vm.evm.program import Program
from vm.evm.translate import TRACE_CHARS_MAX, TRACE_INSTRUCTIONS_MAX, translate


def test_tiers_agree_on_random_programs():
    report = campaign.run_seeds(0, 500, "tiers", workers=1)
    assert report.mismatches == ()
    assert report.statuses["succeeded"] > 100


@pytest.mark.parametrize("seed", [10_781, 12_544, 13_039, 13_759, 14_851])
def test_seeds_on_which_tiers_differed(seed):
    """A write to transient storage in a static call halted before its block's compute was taken."""
    assert both_tiers.compare(generate(seed)) == []


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        ("_sub", lambda a, b: expressions.Value(f"({a.text} - {b.text})")),
        ("_shr", lambda shift, a: expressions.Value(f"({a.text} >> {shift.number or 0} + 1)")),
        ("_lt", lambda a, b: expressions._flag(f"{a.text} <= {b.text}")),
    ],
)
def test_a_planted_bug_is_caught(name, bug, monkeypatch):
    table = {key: bug if f.__name__ == name else f for key, f in expressions._BINARY.items()}
    monkeypatch.setattr(expressions, "_BINARY", table)
    assert campaign.run_seeds(0, 500, "tiers", workers=1).mismatches


def run_both(case, runs=1, times=3):
    """Outcomes of a case in tier 2, after checking that they are tier 1's."""
    compiler = Compiler(runs, price=0)
    with tiers.using(None):
        expected = ours.run(case)
    with tiers.using(compiler):
        for _ in range(times):
            assert ours.run(case) == expected
    return expected, compiler


@pytest.mark.parametrize("case", [loop_case(50), transfer_case()])
def test_vypers_code_runs_compiled(case):
    outcome, compiler = run_both(case)
    assert outcome.status == 1
    assert compiler.compiled > 2


def loop_with(*body):
    """A contract that runs `body` 20 times and returns what is on the stack then."""
    asm = Assembler()
    asm.push(0x1234)
    asm.push(20)
    start = asm.label()
    asm.jumpdest(start)
    for part in body:
        asm.op(part) if isinstance(part, str) else asm.push(part)
    asm.push(1)
    asm.op("SWAP1", "SUB", "DUP1")
    asm.push_label(start)
    asm.op("JUMPI")
    asm.push(0)
    asm.op("MSTORE")
    asm.push(0x20)
    asm.op("MSTORE")
    asm.push(0x40)
    asm.push(0)
    asm.op("RETURN")
    return asm.code()


BODIES = {
    "arithmetic": ("SWAP1", 3, "MUL", 7, "ADD", 1000, "SWAP1", "MOD", "SWAP1"),
    "underflow of the word": ("SWAP1", 2**255, "SUB", "SWAP1"),
    "folded": ("SWAP1", 2, 3, "EXP", "ADD", 5, 0, "DIV", "ADD", "SWAP1"),
    "signed": ("SWAP1", 2**256 - 7, "SDIV", 2**255, "SGT", "NOT", "SWAP1"),
    "memory": ("DUP1", 0x80, "MSTORE", 0x80, "MLOAD", "POP"),
    "growing memory": ("DUP1", "DUP1", 0x20, "MUL", "MSTORE"),
    "gas": ("GAS", 0x100, "MSTORE", "MSIZE", "POP"),
    "storage": ("DUP1", 3, "SSTORE", 3, "SLOAD", "POP"),
    "a growing stack": ("DUP2", "SWAP2"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("gas_limit", [21_100, 21_500, 23_000, 25_000, 60_000, 400_000])
def test_loops_agree_at_any_gas(name, gas_limit):
    case = transfer_case().with_code(CONTRACT, loop_with(*BODIES[name]))
    run_both(replace(case, gas_limit=gas_limit), runs=2)


def test_a_stack_that_overflows_in_a_trace_halts():
    asm = Assembler()
    start = asm.label()
    asm.jumpdest(start)
    asm.push(1)
    asm.push(1)
    asm.push_label(start)
    asm.op("JUMP")
    outcome, compiler = run_both(transfer_case().with_code(CONTRACT, asm.code()))
    assert outcome.status == 0
    assert compiler.compiled


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "ADD",
                    "MUL",
                    "SUB",
                    "DIV",
                    "MOD",
                    "AND",
                    "OR",
                    "XOR",
                    "NOT",
                    "LT",
                    "GT",
                    "EQ",
                    "ISZERO",
                ),
                *(
                    "SHL",
                    "SHR",
                    "SAR",
                    "BYTE",
                    "SDIV",
                    "SMOD",
                    "SLT",
                    "SIGNEXTEND",
                    "ADDMOD",
                    "DUP1",
                    "DUP2",
                ),
                *("SWAP1", "SWAP2", "POP", 0, 1, 2, 31, 255, 256, 2**128, 2**255, 2**256 - 1),
            ]
        ),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_row_of_pure_instructions_agrees(body):
    run_both(transfer_case().with_code(CONTRACT, loop_with(*body)), times=2)


def test_the_oldest_trace_makes_room():
    compiler = Compiler(runs=1, traces_max=2, price=0)
    with tiers.using(compiler):
        outcomes = [ours.run(transfer_case()) for _ in range(4)]
    assert len({outcome.gas_used for outcome in outcomes}) == 1
    assert compiler.compiled > 2
    assert compiler.kept == 2


def test_a_tier_is_chosen_for_the_process():
    before = PROGRAMS.watch
    try:
        tiers.use(2)
        assert isinstance(PROGRAMS.watch, Compiler)
        tiers.use(1)
        assert PROGRAMS.watch is None
    finally:
        PROGRAMS.watch = before


def test_results_do_not_depend_on_the_hash_seed():
    """Also not what is compiled: the number of traces is the same."""
    code = (
        "from testnet.evm_fuzz import both_tiers, ours\n"
        "from testnet.evm_fuzz.generate import generate\n"
        "from vm.evm import tiers\n"
        "from vm.evm.compiled import Compiler\n"
        "compiler = Compiler(2, price=0)\n"
        "with tiers.using(compiler):\n"
        "    print([repr(ours.run(generate(seed))) for seed in range(40)], compiler.compiled)\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_compiling_waits_for_credit():
    """A loop over many small blocks makes all of them due at once; compiling is no burst."""

    def run(block):
        handler, argument = block.code[0]
        handler(frame, [], argument)

    code = bytes.fromhex("5b5f50") * 300
    compiler = Compiler(runs=2, price=10)
    program = Program(code, compiler)
    frame = SimpleNamespace(program=program)
    blocks = [program.decode(at) for at in range(0, len(code), 3)]
    for block in [*blocks, *blocks]:
        run(block)
    # The first had the credit of a whole trace, the others have to wait for as much: 2 each run.
    missing = compiler.price * TRACE_INSTRUCTIONS_MAX - compiler.credit
    assert missing > 3_000
    for _ in range((missing - 1) // 2):
        run(blocks[-1])
    assert compiler.compiled == 1
    run(blocks[-1])
    assert compiler.compiled == 2


def test_a_trace_is_cut_where_its_source_grows_long():
    """Each exit writes the stack back: a deep stack and many exits are quadratic."""
    target = 1 + 120 + 5 * 60
    branch = bytes.fromhex("3461") + target.to_bytes(2, "big") + bytes.fromhex("57")
    code = b"\x5b" + b"\x36" * 120 + branch * 60 + b"\x5b"  # CALLDATASIZE; CALLVALUE, JUMPI.
    program = Program(code)
    offset = 0
    while offset < len(code):
        offset = program.decode(offset).end
    made = translate(program, program.blocks[0], lambda _offset: 0)
    assert TRACE_CHARS_MAX <= len(made.source) < 2 * TRACE_CHARS_MAX
    assert 10 < made.blocks < 60
