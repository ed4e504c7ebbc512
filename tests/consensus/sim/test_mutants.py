"""Each known bug is caught, and each directed history passes on the core as it stands."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from consensus.quorum import Quorum
from consensus.sim import bugs
from consensus.sim.fuzz import explain, run_seed
from consensus.sim.hunt import hunt
from consensus.sim.mutants import MUTANTS
from consensus.sim.planting import attribute, function
from consensus.sim.scenarios import SCENARIOS
from consensus.tally import decided_by_commits

# fmt: off
RULES_REQUIRED = {
    1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 23, 24, 25, 26, 27, 28, 32, 33,
    34, 35, 36,
}
# fmt: on
CAUGHT_BEFORE = {
    "certificate_not_verified": 70,
    "climbs_without_quorum": 91,
    "early_votes_pile_up": 12,
    "no_certificate_in_view_change": 29,
    "refused_new_view_repeated": 39,
    "votes_not_verified": 19,
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_core_passes_every_directed_history(scenario):
    scenario()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_every_planted_bug_is_caught_by_a_seed(mutant):
    """From a seed that has caught it before, to be quick; `hearth fuzz --mutants` starts at 0."""
    result = hunt(mutant, first_seed=CAUGHT_BEFORE.get(mutant.name, 0))
    assert result.caught
    assert result.to_json()["seed"] == result.seed is not None
    assert result.by.startswith("checker")
    assert run_seed(result.seed, profile=mutant.profile).violation is None


HISTORIES = [mutant for mutant in MUTANTS if mutant.scenario is not None]


@pytest.mark.parametrize("mutant", HISTORIES, ids=[mutant.name for mutant in HISTORIES])
def test_a_directed_history_catches_its_bug_without_a_seed(mutant):
    result = hunt(mutant, budget_s=0)
    assert result.caught
    assert result.to_json()["seed"] is None
    assert result.by == f"history {mutant.scenario}"


def test_a_bug_that_nothing_finds_in_time_survives():
    mutant = next(m for m in MUTANTS if m.name == "quorum_one_too_small")
    result = hunt(mutant, budget_s=0)
    assert not result.caught
    assert result.seed is None


def test_the_table_has_a_bug_for_every_rule_that_is_code_here():
    assert {int(mutant.rule) for mutant in MUTANTS} >= RULES_REQUIRED
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_the_specification_maps_every_rule_to_tests_and_mutants_that_exist():
    root = Path(__file__).parents[3]
    section = (root / "docs/spec/consensus.md").read_text("utf-8").split("## 14. ")[1]
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", section, re.MULTILINE)
    assert [int(rule) for rule, *_ in rows] == list(range(1, 39))
    tests = "".join(path.read_text("utf-8") for path in (root / "tests").rglob("test_*.py"))
    for rule, _, test, mutants in rows:
        for name in re.findall(r"`(\w+)`", test):
            assert f"def {name}(" in tests, name
        planted = [mutant.name for mutant in MUTANTS if mutant.rule == rule]
        named = re.findall(r"`(\w+)`", mutants)
        assert planted == named or (not planted and len(mutants) > 10), rule


def test_every_bug_is_planted_once():
    planted = [
        name for name in vars(bugs) if getattr(vars(bugs)[name], "__module__", "") == bugs.__name__
    ]
    assert len(planted) >= len(MUTANTS)


def test_a_bug_is_taken_out_again():
    before = Quorum(5).certificate
    with attribute(Quorum, "certificate", property(bugs.one_too_few)):
        assert Quorum(5).certificate == before - 1
    assert Quorum(5).certificate == before
    with function(decided_by_commits, bugs.decided_across_views):
        pass
    assert run_seed(0).violation is None


def test_planting_a_function_that_nobody_holds_is_refused():
    with pytest.raises(LookupError), function(lambda: None, lambda: None):
        pass


def test_a_failure_is_explained_by_a_short_run():
    mutant = next(m for m in MUTANTS if m.name == "primary_counted_twice")
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        violation = run_seed(0, (4,)).violation
        assert violation is not None
        lines = explain(violation, (4,))
    assert 5 < len(lines) < 120
    assert any("PrePrepare" in line for line in lines)


def test_the_words_of_a_liar_are_kept_when_a_run_is_shortened():
    """It would say something else in the shorter run, yet could have said the same."""
    mutant = next(m for m in MUTANTS if m.name == "new_view_not_verified")
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        results = (run_seed(seed, (4,), mutant.profile) for seed in range(60))
        violation = next(r.violation for r in results if r.violation is not None)
        lines = explain(violation, (4,))
    assert violation.checker == "new_view"
    assert len(lines) < 60
    assert any("NewView" in line for line in lines)


def test_a_stuck_run_is_explained_by_its_faults():
    mutant = next(m for m in MUTANTS if m.name == "no_retransmission")
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        violation = next(v for s in range(50) if (v := run_seed(s).violation) is not None)
        assert violation.checker == "liveness"
        lines = explain(violation)
    assert lines[0].startswith("FaultPlan")
