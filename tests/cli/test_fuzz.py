"""`hearth fuzz` by its command line."""

import json

import pytest
from click.testing import CliRunner

from cli.fuzz import command
from consensus.sim import bugs
from consensus.sim.faults import FAULTS
from consensus.sim.planting import function
from consensus.tally import prepared_certificate


def invoke(*arguments):
    return CliRunner().invoke(command, arguments)


def test_seeds_as_json():
    result = invoke("--seeds", "20", "--workers", "1", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["seeds"] == 20
    assert report["violations"] == 0
    assert report["blocks_decided"] > 20
    assert set(report["faults_fired"]) == set(FAULTS)
    assert {"messages_per_s", "seconds"} <= set(report)


def test_seeds_as_tables():
    result = invoke("--seeds", "2", "--workers", "1", "--n", "4")
    assert result.exit_code == 0
    assert "blocks decided" in result.stdout
    assert "duplication" in result.stdout


@pytest.mark.parametrize("flags", [(), ("--real-signatures",)])
def test_one_seed_has_the_same_trace_twice(flags):
    runs = [json.loads(invoke("--seed", "5", "--json", *flags).stdout) for _ in range(2)]
    assert runs[0]["trace_sha256"] == runs[1]["trace_sha256"]
    assert runs[0]["violation"] is None
    assert runs[0]["minimised"] == []


def test_a_violation_ends_with_1_and_the_shortest_run():
    with function(prepared_certificate, bugs.prepared_with_the_primary_twice):
        many = invoke("--seeds", "2", "--workers", "1", "--json", "--profile", "gentle")
        first = json.loads(many.stdout)["violation_list"][0]
        one = invoke("--seed", str(first["seed"]), "--profile", first["profile"])
    assert many.exit_code == one.exit_code == 1
    assert json.loads(many.stdout)["violations"] > 0
    assert f"hearth fuzz --seed {first['seed']} --profile gentle" in many.stderr
    assert "has votes by" in one.stderr
    assert "PrePrepare" in one.stdout


def test_a_seed_runs_under_the_profile_it_is_told():
    drawn = json.loads(invoke("--seed", "5", "--json").stdout)
    told = json.loads(invoke("--seed", "5", "--json", "--profile", "blackouts").stdout)
    again = json.loads(invoke("--seed", "5", "--json", "--profile", drawn["profile"]).stdout)
    assert told["profile"] == "blackouts"
    assert told["faults_fired"]["blackout"] == 1
    assert again == drawn


@pytest.mark.parametrize(
    "arguments", [("--seeds", "0"), ("--n", "3"), ("--seed", "-1"), ("--profile", "mild")]
)
def test_what_cannot_be_run_is_refused(arguments):
    assert invoke(*arguments).exit_code == 2


def test_twins_are_enumerated():
    report = json.loads(invoke("--twins", "--views", "1", "--workers", "1", "--json").stdout)
    assert report["exhaustive"] is True
    assert report["violations"] == 0
    assert report["scenarios"] > report["states"] > 50
    assert invoke("--twins", "--views", "0").exit_code == 2


def test_power_fails_at_every_write():
    result = invoke("--power", "--schedules", "6", "--workers", "1", "--json")
    report = json.loads(result.stdout)
    assert report["schedules"] == 6
    assert report["violations"] == 0


def test_a_campaign_is_recorded_in_the_ledger(tmp_path):
    ledger = tmp_path / "ledger.md"
    for _ in range(2):
        result = invoke("--seeds", "2", "--workers", "1", "--ledger", str(ledger), "--json")
        assert result.exit_code == 0
    *_, first, second = ledger.read_text("utf-8").splitlines()
    assert first == second
    assert "| seeds 0 to 1, all profiles, n = 4 to 7 | 2 |" in first
    assert first.endswith("| 0 |")
    other = tmp_path / "other.md"
    other.write_text("# Something else\n", "utf-8")
    assert invoke("--seeds", "1", "--workers", "1", "--ledger", str(other)).exit_code != 0
    assert other.read_text("utf-8") == "# Something else\n"


def test_failures_stay_in_the_ledger(tmp_path):
    ledger = tmp_path / "ledger.md"
    with function(prepared_certificate, bugs.prepared_with_the_primary_twice):
        invoke("--seeds", "1", "--workers", "1", "--profile", "gentle", "--ledger", str(ledger))
    assert ledger.read_text("utf-8").rstrip().endswith("| 0 (certificates) |")
