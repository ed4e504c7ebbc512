"""The differential fuzzer: it agrees with the oracles, and a planted bug does not pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testnet.evm_fuzz import campaign, ours, revm
from testnet.evm_fuzz.assembly import NAMES, Assembler, disassemble, instructions
from testnet.evm_fuzz.case import Status, differences
from testnet.evm_fuzz.generate import generate
from testnet.evm_fuzz.minimise import minimise
from testnet.evm_fuzz.pool import CONTRACTS, SENDER
from vm.evm import ethereum
from vm.evm.world import World


def test_ours_agrees_with_revm():
    report = campaign.run_seeds(0, 400, "revm", workers=1)
    assert report.mismatches == ()
    assert report.statuses["succeeded"] > 100
    assert min(report.statuses[name] for name in ("reverted", "halted", "invalid")) > 5
    assert report.opcodes > 90


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # py-evm's own.
def test_ours_agrees_with_py_evm():
    report = campaign.run_seeds(100, 60, "py-evm", workers=1)
    assert report.mismatches == ()


def test_a_seed_is_one_case():
    assert generate(7) == generate(7)
    assert generate(7) != generate(8)


def test_cases_reach_nearly_every_instruction():
    reached = frozenset().union(*(ours.opcodes_executed(generate(seed)) for seed in range(700)))
    missing = {name for byte, name in NAMES.items() if byte not in reached}
    assert not missing


BUGS = {
    "half of the gas is refunded": (ethereum, "_REFUND_QUOTIENT", 2),
    "slots are always warm": (World, "warm_slot", lambda *_: False),
    "nothing is destroyed": (World, "destroy", lambda *_: None),
    "storage is transient": (World, "set_storage", World.set_transient),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught_and_made_short(name, monkeypatch):
    monkeypatch.setattr(*BUGS[name])
    report = campaign.run_seeds(0, 300, "revm", workers=1)
    assert report.mismatches
    case = generate(report.mismatches[0].seed)
    short = minimise(
        case, lambda smaller: differences(ours.run(smaller), revm.run(smaller)) != [], runs_max=100
    )
    assert differences(ours.run(short), revm.run(short))
    assert size(short) < size(case)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_failing_seed_is_explained(monkeypatch):
    monkeypatch.setattr(ethereum, "_REFUND_QUOTIENT", 2)
    seed = campaign.run_seeds(0, 300, "revm", workers=1).mismatches[0].seed
    lines = campaign.explain(seed, "revm", runs_max=100)
    assert any(line.startswith("revm: gas_used: ours") for line in lines)
    assert any(line.startswith("py-evm: gas_used: ours") for line in lines)
    assert any("SSTORE" in line for line in lines)


def size(case):
    return sum(len(account.code) - account.code.count(0x5B) for account in case.accounts.values())


def test_an_engine_that_raises_has_failed(monkeypatch):
    monkeypatch.setattr(ours, "apply", lambda *_: 1 // 0)
    result = campaign.run_seed(1, campaign.judge("revm"))
    assert "ZeroDivisionError" in result.differences[0]


@pytest.mark.parametrize("number", range(6, 11))
def test_a_case_that_calls_a_precompile_that_is_left_out_is_not_compared(number, monkeypatch):
    asm = Assembler()
    for word in (0, 0, 0, 0, 0, number):
        asm.push(word)
    asm.op("GAS", "CALL")
    case = replace(generate(1), to=CONTRACTS[0], gas_limit=200_000, value=0)
    monkeypatch.setattr(campaign, "generate", lambda _: case.with_code(CONTRACTS[0], asm.code()))
    report = campaign.run_seeds(1, 1, "revm", workers=1)
    assert (report.left_out, report.mismatches) == (1, ())


@pytest.mark.parametrize("size", [2**63, 2**80, 2**208, 2**256 - 1])
@pytest.mark.parametrize("name", ["STATICCALL", "DELEGATECALL", "CALL", "CALLCODE"])
def test_calldata_that_nobody_can_pay_for_ends_its_own_frame_only(name, size):
    """Seed 1,089,774 of the generator of its day: all frames ended, as if compute were spent."""
    inner, outer = Assembler(), Assembler()
    for word in (0, 0, size, 0, *([0] if name in ("CALL", "CALLCODE") else []), 4):
        inner.push(word)
    inner.op("GAS", name)
    for word in (0, 0, 0, 0, int.from_bytes(CONTRACTS[1], "big"), 60_000):
        outer.push(word)
    outer.op("STATICCALL")
    case = replace(generate(1), to=CONTRACTS[0], gas_limit=200_000, value=0, access_list=())
    case = case.with_code(CONTRACTS[0], outer.code()).with_code(CONTRACTS[1], inner.code())
    outcome = ours.run(case)
    assert outcome.status is Status.SUCCEEDED
    assert differences(outcome, revm.run(case)) == []


def test_what_is_invalid_is_so_for_both():
    case = replace(generate(1), gas_limit=20_999)
    assert ours.run(case).status is revm.run(case).status is Status.INVALID
    assert differences(ours.run(case), revm.run(case)) == []


def test_differences_name_what_differs():
    case = generate(3)
    outcome = ours.run(case)
    account = outcome.accounts[SENDER]
    other = replace(
        outcome,
        gas_used=outcome.gas_used + 1,
        accounts={
            **outcome.accounts,
            SENDER: replace(account, balance=1, storage={5: 6}),
            bytes(20): account,
        },
    )
    text = "\n".join(differences(outcome, other))
    for part in ("gas_used: ours", "balance ours", "slot 0x5 ours 0x0, theirs 0x6", "only in"):
        assert part in text


@given(st.binary(max_size=80))
def test_disassembly_covers_all_bytes(code):
    places = instructions(code)
    assert b"".join(code[start:end] for start, end in places) == code
    assert len(disassemble(code)) <= len(places)
