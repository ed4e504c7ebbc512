"""`hearth fuzz --evm` by its command line."""

import json
import sys

import pytest
from click.testing import CliRunner

from cli.fuzz import command
from vm.evm import ethereum


def invoke(*arguments):
    return CliRunner().invoke(command, ("--evm", "--workers", "1", *arguments))


def test_cases_as_json():
    result = invoke("--cases", "30", "--seed", "500", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["first_seed"], report["last_seed"], report["cases"]) == (500, 529, 30)
    assert report["mismatches"] == 0
    assert sum(report["statuses"].values()) == report["compared"] == 30


def test_one_seed_as_a_table():
    result = invoke("--seed", "5")
    assert result.exit_code == 0
    assert "last_seed         5" in result.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # py-evm's own.
def test_a_mismatch_ends_with_1_and_the_short_case(monkeypatch):
    monkeypatch.setattr(ethereum, "_TX_CREATE", 31_999)
    monkeypatch.setattr("testnet.evm_fuzz.campaign.RUNS_MAX", 50)
    result = invoke("--cases", "60")
    assert result.exit_code == 1
    assert "gas_used: ours" in result.stderr
    assert "hearth fuzz --evm --cases 1 --seed" in result.stderr
    assert "made short" in result.stdout
    assert "py-evm: gas_used: ours" in result.stdout


def test_an_oracle_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "testnet.evm_fuzz.revm", None)
    result = invoke("--cases", "1")
    assert result.exit_code == 2
    assert "revm is not there" in result.stderr
