"""`hearth vectors check` on Ethereum's suites: passes what they say, and nothing that differs."""

import copy
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import rlp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from cli import vector_pool, vector_state
from cli.errors import ExitCode
from cli.vector_files import check_file, check_part
from crypto import curve
from crypto.hashing import keccak256
from crypto.keys import AccountKey
from tests.cli.street import run
from vm.evm.ethereum import apply
from vm.receipt import Log

KEY = AccountKey.from_secret(b"\x45" * 32)
SENDER = "0x" + KEY.address.hex()
TO = "0x" + "20" * 20
COINBASE = "0x" + "c0" * 20
NO_LOGS = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
FEE, BASE_FEE, GAS_USED, FUNDS, VALUE = 12, 10, 21_000, 10**18, 5
STATE_FILE = "state/stExample.json"


@pytest.fixture
def evm():
    """The folder of Ethereum's vectors, or a skip where this machine has none."""
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    return Path(folder) / "evm"


def check(path, *options, code=0):
    return json.loads(run("vectors", "check", str(path), "--json", *options, code=code).stdout)


def write(folder, content, name="file.json"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def account(balance, nonce=0, code="0x"):
    return {"balance": hex(balance), "nonce": hex(nonce), "code": code, "storage": {}}


def root_of(accounts):
    """The state root by another library; accounts without code and storage."""
    trie, empty = HexaryTrie({}), HexaryTrie({}).root_hash
    for address, entry in accounts.items():
        fields = [int(entry["nonce"], 16), int(entry["balance"], 16), empty, keccak256(b"")]
        trie[keccak256(bytes.fromhex(address[2:]))] = rlp.encode(fields)
    return "0x" + trie.root_hash.hex()


def transfer():
    """A state test made by hand: VALUE wei from SENDER to TO, the coinbase gets the tip."""
    pre = {SENDER: account(FUNDS)}
    diff = {
        SENDER: {"balance": hex(FUNDS - VALUE - GAS_USED * FEE), "nonce": "0x1"},
        TO: {"balance": hex(VALUE), "nonce": "0x0"},
        COINBASE: {"balance": hex(GAS_USED * (FEE - BASE_FEE)), "nonce": "0x0"},
    }
    return {
        "env": {
            "currentCoinbase": COINBASE,
            "currentGasLimit": hex(30_000_000),
            "currentNumber": "0x1",
            "currentRandom": "0x00",
            "currentTimestamp": "0x3e8",
        },
        "pre": pre,
        "transaction": {
            "data": ["0x"],
            "gasLimit": [hex(200_000)],
            "gasPrice": hex(FEE),
            "nonce": "0x0",
            "sender": SENDER,
            "to": TO,
            "value": [hex(VALUE)],
        },
        "post": {
            "Cancun": [
                {
                    "hash": root_of(diff),
                    "logs": NO_LOGS,
                    "indexes": {"data": 0, "gas": 0, "value": 0},
                    "x_status": 1,
                    "x_gasUsed": GAS_USED,
                    "x_diff": diff,
                }
            ]
        },
    }


def refused():
    """The same with a nonce that is too high: nothing may change."""
    test = transfer()
    test["transaction"]["nonce"] = "0x1"
    post = test["post"]["Cancun"][0]
    post |= {"x_status": None, "x_diff": {}, "hash": root_of(test["pre"])}
    post["expectException"] = "TransactionException.NONCE_MISMATCH_TOO_HIGH"
    del post["x_gasUsed"]
    return test


def calling(number, *, opcode="f1", wrap=""):
    """A test whose contract calls the precompile at `number`; what comes of it is not said."""
    arguments = "5f5f5f5f" + ("5f" if opcode in ("f1", "f2") else "")
    code = f"0x{arguments}60{number:02x}61ffff{opcode}{wrap}"
    test = transfer()
    test["pre"][TO] = account(0, code=code)
    return test


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
