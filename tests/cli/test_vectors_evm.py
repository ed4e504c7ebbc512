"""`hearth vectors check` on Ethereum's suites: passes what they say, and nothing that differs."""

import copy
import json
import os
import shutil
from pathlib import Path

import pytest
import rlp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli import vector_pool
from cli.errors import ExitCode
from cli.vector_files import check_file, check_part
from crypto import curve
from tests.cli.state_cases import NO_LOGS, TO, calling, check, refused, transfer, write
from tests.cli.street import run

STATE_FILE = "state/stExample.json"


@pytest.fixture
def evm():
    """The folder of Ethereum's vectors, or a skip where this machine has none."""
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    return Path(folder) / "evm"


SMALL = {
    "rlp_tests": {
        "dog": {"in": ["dog", 1024, "#18446744073709551616", ""], "out": None},
        "bad": {"in": "INVALID", "out": "0x8100"},
        "good": {"in": "VALID", "out": "c0"},
    },
    "abi_tests": {
        "pair": {
            "types": ["uint256", "(address,bytes2[])", "string"],
            "args": [7, [TO, ["ab", "0x0102"]], "0x12"],
            "result": "0x",
        }
    },
}
SMALL["rlp_tests"]["dog"]["out"] = rlp.encode([b"dog", 1024, 2**64, b""]).hex()


@pytest.mark.parametrize(
    ("entry", "passes"),
    [
        (SMALL["rlp_tests"]["dog"], True),
        (SMALL["rlp_tests"]["bad"], True),
        (SMALL["rlp_tests"]["good"], True),
        ({"in": "INVALID", "out": "0xc0"}, False),
        ({"in": "VALID", "out": "0xc1"}, False),
        ({"in": ["dog"], "out": "0xc483646f68"}, False),
        ({"in": True, "out": "0x01"}, False),
        ({"in": 1.5, "out": "0x01"}, False),
        ({"in": -1, "out": "0x01"}, False),
        ({"in": 1, "out": "xyz"}, False),
    ],
)
def test_rlp(tmp_path, entry, passes):
    result = check_file(write(tmp_path, {"entry": entry}))
    assert result.format == "rlp_tests"
    assert (result.passed, result.failed) == ((1, 0) if passes else (0, 1))


def test_abi_of_nested_types(tmp_path):
    from eth_abi import encode

    entry = SMALL["abi_tests"]["pair"]
    values = [7, (TO, [b"ab", b"\1\2"]), "0x12"]
    entry["result"] = encode(entry["types"], values).hex()
    assert check_file(write(tmp_path, {"entry": entry})).passed == 1
    wrong = {**entry, "args": [8, *entry["args"][1:]]}
    (failure,) = check_file(write(tmp_path, {"entry": wrong})).failures
    assert "expected 0x" in failure
    assert check_file(write(tmp_path, {"entry": {**entry, "args": [7]}})).failed == 1
    assert check_file(write(tmp_path, {"entry": {**entry, "types": ["uint"]}})).failed == 1


def test_the_small_suites_pass(evm):
    result = check(evm / "other")
    assert (result["failed"], result["skipped"], result["unknown"]) == (0, [], [])
    formats = {file["format"] for file in result["by_file"].values()}
    assert formats == {"rlp_tests", "abi_tests", "keystore_tests", "eth_transactions"}
    assert result["passed"] >= 260


def test_a_few_cases_of_every_state_file_pass(evm):
    files = sorted((evm / "state").glob("*.json"))
    assert len(files) > 60
    for path in files:
        result = check_part(path, 0, 1 + path.stat().st_size // 4_096)
        assert result.format == "state_tests"
        assert result.failures == ()
        assert all("calls precompile 0x0" in line for line in result.skipped)
        assert result.passed or result.skipped


@pytest.mark.slow
def test_the_whole_folder_passes(evm):
    result = check(evm)
    assert (result["failed"], result["unknown"]) == (0, [])
    assert all("calls precompile 0x0" in line for line in result["skipped"])
    cases = sum(
        len(test["post"]["Cancun"])
        for path in (evm / "state").glob("*.json")
        for test in json.loads(path.read_bytes()).values()
    )
    judged = [f for f in result["by_file"].values() if f["format"] == "state_tests"]
    assert sum(f["passed"] + f["skipped"] for f in judged) == cases


@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_part_of_the_folder_will_do(evm, tmp_path, part):
    shutil.copyfile(evm / STATE_FILE, tmp_path / "renamed.txt")
    result = check(tmp_path if part == "folder" else tmp_path / "renamed.txt")
    assert list(result["by_file"]) == ["renamed.txt"]
    assert result["failed"] == 0 < result["passed"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_expected_value_can_be_changed(evm, tmp_path, data):
    """In any case of a file: status, gas, root, logs and each value of the difference count."""
    content = json.loads((evm / STATE_FILE).read_bytes())
    name = data.draw(st.sampled_from(sorted(content)))
    test = copy.deepcopy(content[name])
    post = data.draw(st.sampled_from(test["post"]["Cancun"]))
    test["post"]["Cancun"] = [post]
    fields = sorted(post.keys() & {"x_status", "x_gasUsed", "hash", "logs", "x_diff", "txbytes"})
    field = data.draw(st.sampled_from(fields))
    if field == "x_diff":
        post = post["x_diff"][data.draw(st.sampled_from(sorted(post["x_diff"])))] or {}
        field = data.draw(st.sampled_from(sorted(post.keys() - {"storage"})))
    value = post[field]
    if field == "x_status":
        post[field] = 0 if value else 1
    elif isinstance(value, str):
        post[field] = value[:-1] + ("0" if value[-1] != "0" else "1")
    else:
        post[field] = (value or 0) + 1
    (failure,) = check_file(write(tmp_path, {name: test})).failures
    assert failure.startswith(name)


def test_a_digit_of_a_raw_transaction_counts(evm, tmp_path):
    path = evm / "other/TransactionTests/ttSignature/Vitalik_1.json"
    text = path.read_text()
    content = json.loads(text)
    raw = content["Vitalik_1"]["txbytes"]
    content["Vitalik_1"]["txbytes"] = raw[:-1] + ("0" if raw[-1] != "0" else "1")
    assert check_file(write(tmp_path, content)).failed == 1
    for fork, key, value in (
        ("Cancun", "sender", TO),
        ("Cancun", "hash", NO_LOGS),
        ("Cancun", "intrinsicGas", "0x1"),
        ("Cancun", "exception", "TransactionException.ANY"),
    ):
        changed = json.loads(text)
        changed["Vitalik_1"]["result"][fork][key] = value
        (failure,) = check_file(write(tmp_path, changed)).failures
        assert "expected" in failure


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_pool, "_ALONE_BYTES_MAX", 1)
    monkeypatch.setattr(vector_pool, "_PART_BYTES", 2_000)
    wrong = transfer()
    wrong["post"]["Cancun"][0]["x_gasUsed"] = 1
    tests = {"good": transfer(), "wrong": wrong, "left": calling(0x06), "refused": refused()}
    paths = [
        write(tmp_path, tests, "all.json"),
        write(tmp_path, {"broken": tests["good"], "half": {"post": {}}}, "broken.json"),
        write(tmp_path, [{"colour": "blue"}], "unknown.json"),
    ]
    found = vector_pool.check_files(paths, backend=curve.BACKEND)
    alone = [check_file(path) for path in paths]
    for pooled, single in zip(found, alone, strict=True):
        assert (pooled.format, pooled.passed) == (single.format, single.passed)
        assert sorted(pooled.failures) == sorted(single.failures)
        assert sorted(pooled.skipped) == sorted(single.skipped)
    assert [result.failed for result in alone] == [1, 1, 1]


def test_progress_goes_to_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_pool, "_ALONE_BYTES_MAX", 1)
    monkeypatch.setattr(vector_pool, "_SAY_EVERY_S", 0)
    write(tmp_path, {"good": transfer()})
    write(tmp_path, {"good": transfer()}, "again.json")
    result = run("vectors", "check", str(tmp_path), "--json")
    assert json.loads(result.stdout)["passed"] == 2
    assert "2 of 2 pieces are checked" in result.stderr


CHAIN = {
    "genesis.json": {"config": {}, "alloc": {}, "gasLimit": "0x1", "difficulty": "0x0"},
    "forkenv.json": {"HIVE_CHAIN_ID": "1"},
    "headfcu.json": {"jsonrpc": "2.0", "id": "fcu", "method": "engine_x", "params": []},
}


def test_the_chain_of_the_transcripts_is_left_aside(tmp_path):
    for name, content in CHAIN.items():
        write(tmp_path, content, f"rpc/{name}")
    blocks = b"".join(rlp.encode([b"block" * 60, bytes((i,))]) for i in range(3))
    (tmp_path / "rpc/chain.rlp").write_bytes(blocks)
    assert (
        "no file in it is a test"
        in run("vectors", "check", str(tmp_path), code=ExitCode.USAGE).stderr
    )
    write(tmp_path, {"good": transfer()})
    result = check(tmp_path)
    assert result["aside"].keys() == {f"rpc/{name}" for name in (*CHAIN, "chain.rlp")}
    assert (result["passed"], result["unknown"]) == (1, [])
    (tmp_path / "rpc/chain.rlp").write_bytes(blocks[:-1])
    assert check(tmp_path, code=ExitCode.FAILED)["unknown"] == ["rpc/chain.rlp"]


def transcript(method, answer):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": []}
    reply = {"jsonrpc": "2.0", "id": 1, "result": answer}
    return f"// What another node said.\n>> {json.dumps(request)}\n<< {json.dumps(reply)}\n"


def test_transcripts_are_judged_or_left_aside_by_method(tmp_path):
    for name, text in {
        "right.io": transcript("eth_chainId", "0xc72dd9d5e883e"),
        "wrong.io": transcript("eth_chainId", {"id": "0x1"}),
        "no_method.io": transcript("eth_noSuchMethod", "0x1"),
        "half.io": transcript("eth_chainId", "0x1").rsplit("<<", 1)[0],
    }.items():
        (tmp_path / name).write_text(text)
    result = check(tmp_path, code=ExitCode.FAILED)
    assert (result["passed"], result["failed"]) == (1, 2)
    assert result["by_file"]["wrong.io"]["failed"] == 1
    assert result["unknown"] == ["half.io"]
    assert result["aside"] == {"no_method.io": "eth_noSuchMethod is not served here"}


def test_the_table_says_what_is_skipped_and_aside(tmp_path):
    write(tmp_path, {"left": calling(0x07), "good": transfer()})
    write(tmp_path, CHAIN["forkenv.json"], "fork.json")
    result = run("vectors", "check", str(tmp_path))
    assert "1 passed, 0 failed" in result.stdout
    assert "calls precompile 0x07" in result.stderr
    assert "fork.json: left aside" in result.stderr
