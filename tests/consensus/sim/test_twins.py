"""Twins, exhaustively: no schedule breaks the core, and planted bugs are found."""

from contextlib import ExitStack

import pytest

from consensus.sim.branch import fork, name_of
from consensus.sim.mutants import MUTANTS
from consensus.sim.twins import ALL, TwinCluster, enumerate_twin, enumerate_twins


def test_no_schedule_breaks_a_property():
    """Two views with the first primary twice; `hearth fuzz --twins` tries all of four views."""
    report = enumerate_twin(4, 2, 0)
    assert report.violations == ()
    assert report.scenarios > report.states > 300
    assert report.views_max >= 2


def test_each_member_is_the_twin_in_turn():
    done = []
    report = enumerate_twins(4, 1, on_twin=done.append)
    assert len(done) == 4
    assert report.states == sum(each.states for each in done)
    assert report.to_json()["exhaustive"] is True
    assert report.to_json()["violations"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "no_certificate_in_view_change",
        "new_view_binds_nothing",
        "primary_counted_twice",
        "quorum_one_too_small",
        "votes_below_view_asked",
    ],
)
def test_planted_bugs_are_found(name):
    mutant = next(m for m in MUTANTS if m.name == name)
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        found = [v for twin in (0, 1) for v in enumerate_twin(4, 2, twin, 1).violations]
    assert found
    assert found[0].choices


def test_a_copy_goes_its_own_way():
    cluster = TwinCluster(4, 0)
    names = [name_of(instance) for instance in cluster.instances]
    copy = fork(cluster)
    assert copy.name() == cluster.name()
    copy.open_view((0, 0, 0, 1, 1))
    copy.spread_commits(1)
    assert [name_of(instance) for instance in cluster.instances] == names
    assert copy.name() != cluster.name()
    assert [len(i.disk.blocks) for i in copy.instances] == [0, 1, 0, 0, 0]


def test_exchanged_twins_have_one_name():
    clusters = [TwinCluster(4, 3) for _ in range(3)]
    for cluster, groups in zip(
        clusters, ((0, 0, 0, 0, 1), (0, 0, 0, 1, 0), (0, 0, 1, 0, 1)), strict=True
    ):
        cluster.open_view(groups)
        cluster.spread_commits(ALL)
    first, second, other = (cluster.name() for cluster in clusters)
    assert first == second
    assert other != first


def test_one_instance_decides_alone():
    cluster = TwinCluster(4, 3)
    cluster.open_view((0,) * 5)
    cluster.spread_commits(2)
    assert [len(i.disk.blocks) for i in cluster.instances] == [0, 0, 1, 0, 0]
    cluster.recover()
    assert {i.disk.blocks[0].digest for i in cluster.instances if i.is_correct} == {
        cluster.instances[2].disk.blocks[0].digest
    }
