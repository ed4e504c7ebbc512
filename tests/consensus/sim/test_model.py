"""The model of the view change: sound in every state, and unsound with each planted bug."""

import pytest

from consensus.sim.model import BYZANTINE, Bug, Model, check, leaderships

FORKS_IN = {
    Bug.FORGETS_CERTIFICATE: (0, 1),
    Bug.BELIEVES_NEW_VIEW: (0, BYZANTINE),
    Bug.SMALL_QUORUM: (0, 1),
    Bug.VOTES_BELOW: (0, 1),
    Bug.LOWEST_VIEW_WINS: (0, 1, BYZANTINE),
}


@pytest.mark.parametrize("leaders", leaderships(2))
def test_no_state_of_two_views_has_two_decided_blocks(leaders):
    verdict = check(leaders)
    assert verdict.forks == ()
    assert verdict.states > 1_000
    assert verdict.decided > verdict.carried > 100


@pytest.mark.slow
@pytest.mark.parametrize("leaders", leaderships(3))
def test_no_state_of_three_views_has_two_decided_blocks(leaders):
    verdict = check(leaders)
    assert verdict.forks == ()
    assert verdict.states > 100_000
    assert verdict.carried > 50_000


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=pytest.mark.slow) if len(FORKS_IN[bug]) > 2 else bug
        for bug in FORKS_IN
    ],
    ids=[bug.name for bug in FORKS_IN],
)
def test_a_planted_bug_forks(bug):
    verdict = check(FORKS_IN[bug], bug)
    model = Model(FORKS_IN[bug], bug)
    assert len(verdict.forks) == 1
    assert model.decided(verdict.forks[0]) == {0, 1}


def test_the_byzantine_member_leads_each_view_or_none():
    assert leaderships(3) == [(BYZANTINE, 0, 1), (0, BYZANTINE, 1), (0, 1, BYZANTINE), (0, 1, 2)]


def test_states_that_differ_in_names_are_one():
    model = Model((BYZANTINE, 0))
    state = model.initial()
    after = {model.canonical(one) for one in model.successors(state)}
    assert len(after) < len(list(model.successors(state)))
    assert all(model.canonical(one) == one for one in after)
