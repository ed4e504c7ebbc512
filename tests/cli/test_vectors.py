"""`hearth vectors check`: passes what others made, and nothing that differs from it."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.errors import ExitCode
from cli.vector_files import check_file
from crypto import curve
from tests.cli.street import run

BACKENDS = [name for name in ("native", "sodium") if curve.is_available(name)]
ZERO_OF_MONEY = [{"amount": 0, "commitment": curve.G.hex()}]

HEX = re.compile(rb'"[0-9a-f]{16,}"')
ALL_MUST_HOLD = (
    "bulletproofs_plus.json",
    "bulletproofs_plus_generators.json",
    "hash_to_point.json",
    "transaction_e89415_intermediates.json",
    "transaction_hashes.json",
    "transactions.json",
    "zero_commitments.json",
)


@pytest.fixture
def monero():
    """The folder of Monero's vectors, or a skip where this machine has none."""
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    return Path(folder) / "monero"


def check(folder, *options, code=0):
    return json.loads(run("vectors", "check", str(folder), "--json", *options, code=code).stdout)


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_of_monero_passes(monero, backend):
    result = check(monero, "--backend", backend)
    assert result["backend"] == backend
    assert result["failed"] == 0
    assert result["unknown"] == []
    data = {path.name for path in monero.iterdir() if not path.name.startswith(("README", "LIC"))}
    assert result["by_file"].keys() == data
    assert result["passed"] == sum(file["passed"] for file in result["by_file"].values()) > 1_000


def test_a_file_is_known_by_its_content(monero, tmp_path):
    below = tmp_path / "deep" / "below"
    below.mkdir(parents=True)
    for i, path in enumerate(sorted(monero.glob("*.json"))):
        shutil.copyfile(path, below / f"{i}.txt")
    result = check(tmp_path)
    assert result["failed"] == 0
    assert "deep/below/0.txt" in result["by_file"]


def test_an_unknown_file_is_named_and_fails(tmp_path):
    write(tmp_path, "good.json", ZERO_OF_MONEY)
    write(tmp_path, "other.json", [{"colour": "blue"}])
    (tmp_path / "chain.rlp").write_bytes(b"\xf9\x02\x00")
    result = check(tmp_path, code=ExitCode.FAILED)
    assert result["unknown"] == ["chain.rlp", "other.json"]
    assert (result["passed"], result["failed"]) == (1, 2)


def test_readme_and_license_are_left_aside(tmp_path):
    write(tmp_path, "good.json", ZERO_OF_MONEY)
    for name in ("README.md", "LICENSE", "LICENSE.ethereum-tests", "readme.txt"):
        (tmp_path / name).write_text("words")
    result = check(tmp_path)
    assert list(result["by_file"]) == ["good.json"]


def test_a_folder_without_data_is_not_a_pass(tmp_path):
    (tmp_path / "README.md").write_text("words")
    assert "no data file" in run("vectors", "check", str(tmp_path), code=ExitCode.USAGE).stderr


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        7,
        [7],
        [{"amount": 0}],
        {"check_scalar": []},
        {"hash_to_point": [["00"]]},
        {"check_scalar": [["00" * 32, "perhaps"]]},
        {"check_scalar": [["00" * 32, "true"]], "no_such_command": [["00"]]},
        {"scalars_must_reject": ["00" * 32]},
        {"torsion_points": [{"point": curve.G.hex(), "order": 1}]},
        {"non_canonical_encodings_must_reject": [curve.G.hex()]},
        {"no_such_reject": [curve.G.hex()]},
        [{"amount": 1, "commitment": curve.G.hex()}],
        [*ZERO_OF_MONEY, {"amount": "none"}],
        [{"tx": "00", "rings": [], "valid": True}],
        [{"tx": "00", "rings": [], "valid": "false"}],
        [{"tx": "00", "signature_hash": "00"}],
    ],
)
def test_what_is_empty_malformed_or_wrong_fails(tmp_path, content):
    write(tmp_path, "file.json", content)
    result = check(tmp_path, code=ExitCode.FAILED)
    assert result["failed"] >= 1


def test_the_table_is_for_people(tmp_path):
    write(tmp_path, "good.json", ZERO_OF_MONEY)
    assert "1 passed, 0 failed" in run("vectors", "check", str(tmp_path)).stdout


def change_a_digit(raw, data):
    """Another digit in one of the long hexadecimal fields."""
    start, end = data.draw(st.sampled_from([match.span() for match in HEX.finditer(raw)]))
    at = data.draw(st.integers(start + 1, end - 2))
    raw[at] = data.draw(st.sampled_from(sorted(set(b"0123456789abcdef") - {raw[at]})))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_digit_can_be_changed(monero, tmp_path, data):
    """Every hexadecimal digit of what must hold counts, in whichever field it stands.

    Not of what must be refused: another digit leaves it as bad.
    """
    name = data.draw(st.sampled_from(ALL_MUST_HOLD))
    raw = bytearray((monero / name).read_bytes())
    if name == "transactions.json":
        first = json.loads(raw)[0]
        assert first["valid"]
        raw = bytearray(json.dumps([first]).encode())
    change_a_digit(raw, data)
    changed = tmp_path / name
    changed.write_bytes(raw)
    assert check_file(changed).failed >= 1


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_backends_pass_and_fail_the_same(monero, tmp_path, data):
    """Case by case and word by word, over files of which a few digits are changed."""
    path = data.draw(st.sampled_from(sorted(monero.glob("*.json"))))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        change_a_digit(raw, data)
    changed = tmp_path / path.name
    changed.write_bytes(raw)
    results = []
    for backend in BACKENDS:
        with curve.using(backend):
            results.append(check_file(changed))
    assert all(result == results[0] for result in results)
