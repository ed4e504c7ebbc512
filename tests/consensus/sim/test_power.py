"""Power loss at every write point: what the schedules are, and that they bite."""

from contextlib import ExitStack

import pytest

from consensus.sim.mutants import MUTANTS
from consensus.sim.power import cuts_of, run_power, run_schedule


def test_no_write_point_loses_what_was_acknowledged_or_signs_twice():
    report = run_power(60)
    assert report.violations == ()
    assert report.schedules == 60
    assert report.cuts["vote_log"] > 30
    assert report.cuts["block_store"] > 5
    assert report.acknowledged > 60
    assert report.to_json()["violations"] == 0


def test_every_write_of_a_run_is_cut_three_times_and_every_block_twice():
    cuts = cuts_of(0)
    for is_block, times in ((False, 3), (True, 2)):
        places = [(c.member, c.place) for c in cuts if c.is_block is is_block]
        assert len(places) == times * len(set(places)) > 0
    assert {cut.stays_down for cut in cuts} == {True, False}


def test_a_schedule_is_the_same_again():
    cut = cuts_of(1)[5]
    assert run_schedule(1, cut) == run_schedule(1, cut)
    assert run_schedule(1, cut).has_fired


@pytest.mark.parametrize("name", ["restart_forgets_votes", "torn_tail_refused"])
def test_planted_bugs_are_found(name):
    mutant = next(m for m in MUTANTS if m.name == name)
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        assert run_power(40).violations
