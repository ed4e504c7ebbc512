"""`hearth vectors check` on state tests: passes what they say, and nothing that differs."""

from dataclasses import replace

import pytest

from cli import vector_state
from cli.errors import ExitCode
from cli.vector_files import check_file
from tests.cli.state_cases import (
    COINBASE,
    SENDER,
    TO,
    account,
    calling,
    check,
    refused,
    transfer,
    write,
)
from vm.evm.ethereum import apply
from vm.receipt import Log


def test_a_test_made_by_hand_passes(tmp_path):
    write(tmp_path, {"transfer": transfer(), "refused": refused()})
    result = check(tmp_path)
    assert (result["passed"], result["failed"], result["skipped"]) == (2, 0, [])
    assert result["by_file"]["file.json"]["format"] == "state_tests"


def planted(path, value):
    return pytest.param(path, value, id=path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        planted("post.Cancun.0.x_status", 0),
        planted("post.Cancun.0.x_gasUsed", 21_001),
        planted("post.Cancun.0.hash", "0x" + "11" * 32),
        planted("post.Cancun.0.logs", "0x" + "11" * 32),
        planted(f"post.Cancun.0.x_diff.{TO}.balance", "0x6"),
        planted(f"post.Cancun.0.x_diff.{TO}.code", "0x00"),
        planted(f"post.Cancun.0.x_diff.{TO}.storage", {"0x0": "0x1"}),
        planted(f"post.Cancun.0.x_diff.{SENDER}.nonce", "0x2"),
        planted(f"post.Cancun.0.x_diff.{COINBASE}", None),
        planted("post.Cancun.0.expectException", "TransactionException.NONCE"),
        planted("post.Cancun.0.txbytes", "0xc0"),
        planted("transaction.value.0", "0x6"),
        planted("transaction.gasLimit.0", "0x5207"),
        planted("transaction.nonce", "0x1"),
        planted("env.currentBaseFee", "0x9"),
        planted("env.currentCoinbase", TO),
    ],
)
def test_a_wrong_value_is_reported_with_what_was_expected(tmp_path, path, value):
    test = transfer()
    *parents, last = path.split(".")
    inner = test
    for name in parents:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[int(last) if isinstance(inner, list) else last] = value
    write(tmp_path, {"wrong": test, "right": transfer()})
    result = check(tmp_path, code=ExitCode.FAILED)
    assert (result["passed"], result["failed"]) == (1, 1)
    (failure,) = result["by_file"]["file.json"]["failures"]
    assert failure.startswith("wrong d0g0v0: ")
    assert "txbytes" in path or ("expected" in failure and "got" in failure)


def test_bytes_refused_for_their_form_may_stand_where_a_refusal_is_expected(tmp_path):
    test = refused()
    test["transaction"]["nonce"] = hex(2**64 - 1)
    test["post"]["Cancun"][0]["txbytes"] = "0xc0"
    write(tmp_path, {"form": test})
    assert check(tmp_path)["passed"] == 1


ADDRESS = bytes.fromhex(TO[2:])
A_LOG = Log(ADDRESS, (b"\1" * 32,), b"")


@pytest.mark.parametrize("has_x", [True, False])
@pytest.mark.parametrize(
    ("spoil", "difference"),
    [
        (lambda world, _: world.add_balance(ADDRESS, 1), "state_root"),
        (lambda world, _: world.set_nonce(ADDRESS, 1), "state_root"),
        (lambda world, _: world.set_storage(ADDRESS, 1, 1), "state_root"),
        (lambda world, _: world.set_code(ADDRESS, b"\0"), "state_root"),
        (lambda _, outcome: replace(outcome, logs=(A_LOG,)), "logs_hash"),
        (lambda _, outcome: replace(outcome, status=2), "status"),
        (lambda _, outcome: replace(outcome, gas_used=outcome.gas_used + 1), "gas_used"),
    ],
)
def test_an_evm_that_does_something_else_fails(tmp_path, monkeypatch, has_x, spoil, difference):
    """By root and hash alone as well, where the file says no more; those know no status."""

    def spoilt(world, env, tx):
        outcome = apply(world, env, tx)
        changed = spoil(world, outcome)
        return outcome if changed is None else changed

    test = transfer()
    if not has_x:
        for name in ("x_status", "x_gasUsed", "x_diff"):
            del test["post"]["Cancun"][0][name]
    path = write(tmp_path, {"transfer": test})
    assert check_file(path).passed == 1
    monkeypatch.setattr(vector_state, "apply", spoilt)
    result = check_file(path)
    if has_x or difference in ("state_root", "logs_hash"):
        (failure,) = result.failures
        assert f"{difference}: expected" in failure
    else:
        assert result.passed == 1


@pytest.mark.parametrize("missing", ["hash", "logs", "indexes"])
def test_a_case_that_lacks_what_judges_it_fails(tmp_path, missing):
    test = transfer()
    del test["post"]["Cancun"][0][missing]
    write(tmp_path, {"wrong": test})
    assert check(tmp_path, code=ExitCode.FAILED)["failed"] == 1


@pytest.mark.parametrize("number", range(0x06, 0x0B))
@pytest.mark.parametrize("opcode", ["f1", "f2", "f4", "fa"])
def test_calls_of_the_precompiles_left_out_are_skipped_by_name(tmp_path, number, opcode):
    write(tmp_path, {"pairing": calling(number, opcode=opcode, wrap="5f5ffd")})
    path = write(tmp_path, {"good": transfer()}, "good.json")
    result = check(tmp_path)
    assert path.exists()
    assert result["skipped"] == [
        f"file.json: pairing d0g0v0: calls precompile 0x{number:02x}",
    ]
    assert (result["passed"], result["failed"]) == (1, 0)


def test_a_transaction_to_such_a_precompile_is_skipped(tmp_path):
    test = transfer()
    test["transaction"]["to"] = "0x" + "00" * 19 + "06"
    write(tmp_path, {"direct": test})
    assert check(tmp_path)["skipped"] == ["file.json: direct d0g0v0: calls precompile 0x06"]


@pytest.mark.parametrize("number", [0x01, 0x05, 0x0B])
def test_nothing_else_is_skipped(tmp_path, number):
    """What stands in the file is wrong for this code: that is a failure, never a skip."""
    write(tmp_path, {"call": calling(number)})
    result = check(tmp_path, code=ExitCode.FAILED)
    assert (result["failed"], result["skipped"]) == (1, [])


@pytest.mark.parametrize("opcode", ["3b", "3f", "31"])
def test_looking_at_such_a_precompile_is_no_call(tmp_path, opcode):
    test = transfer()
    test["pre"][TO] = account(0, code=f"0x6006{opcode}00")
    write(tmp_path, {"look": test})
    assert check(tmp_path, code=ExitCode.FAILED)["skipped"] == []
