"""Whole runs: seeds, sizes, determinism, and the fuzzer around them."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.sim.faults import FAULTS, Crash, Partition, Pause
from consensus.sim.fuzz import NS, make_world, run_seed, run_seeds
from consensus.sim.plans import draw_plan
from consensus.sim.profiles import DISKS, GENTLE, MIX, PROFILES
from consensus.sim.replay import Replay, fails
from consensus.sim.trace import Ask, Spoil, describe
from consensus.sim.world import World


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_without_faults_everything_commits_at_once(n):
    result = World(random.Random(n), n, GENTLE).run()
    assert result.blocks > 0
    assert result.view_max == 0
    assert result.liveness_ms < 1_000


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_no_seed_of_a_campaign_violates_a_property(profile):
    """Breadth; `hearth fuzz --seed SEED --profile NAME` explains a seed."""
    report = run_seeds(range(1_000, 1_012), workers=1, profile=profile)
    assert report.violations == ()
    assert report.blocks_decided > 12


def test_every_fault_fires_every_size_is_drawn_and_no_seed_violates_a_property():
    report = run_seeds(range(50), workers=1)
    assert report.violations == ()
    assert report.blocks_decided > 50
    assert {name: report.faults_fired[name] > 0 for name in FAULTS} == dict.fromkeys(FAULTS, True)
    assert tuple(report.seeds_by_n) == NS
    assert report.to_json()["violations"] == 0


SPAN = st.tuples(st.integers(0, 1_500), st.integers(20, 1_500))
INSTANCE = st.integers(0, 3)


def partition(span, groups, one_way, noticed):
    return Partition(
        start_ms=span[0],
        end_ms=sum(span),
        group_of=groups,
        one_way=one_way,
        is_noticed=noticed,
    )


def crash(span, instance, effects, at_write, kept):
    return Crash(
        start_ms=span[0],
        end_ms=sum(span),
        instance=instance,
        effects=effects,
        is_at_write=at_write,
        kept_permille=kept,
    )


def pause(span, instance):
    return Pause(start_ms=span[0], end_ms=sum(span), instance=instance)


GROUPS = st.lists(st.integers(0, 1), min_size=4, max_size=4).map(tuple)
FAULT = st.one_of(
    st.builds(partition, SPAN, GROUPS, st.booleans(), st.booleans()),
    st.builds(crash, SPAN, INSTANCE, st.integers(0, 8), st.booleans(), st.integers(0, 1000)),
    st.builds(pause, SPAN, INSTANCE),
)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), faults=st.lists(FAULT, max_size=8))
def test_no_schedule_of_faults_violates_a_property(seed, faults):
    """Depth: Hypothesis owns the faults, so it hands back the fewest that break something."""
    rng = random.Random(seed)
    plan = draw_plan(rng, 4, 3, 1, replace(GENTLE, safety_ms=2_000, nonces_max=10))
    World(rng, 4, GENTLE, plan=replace(plan, faults=tuple(faults))).run()


@pytest.mark.parametrize("seed", range(3))
def test_real_signatures_change_nothing_but_the_bytes(seed):
    real = run_seed(seed, is_real=True)
    assert real.violation is None
    assert real.blocks > 0


def test_a_seed_gives_the_same_run_again():
    assert run_seed(11).trace_sha256 == run_seed(11).trace_sha256
    assert run_seed(11).trace_sha256 != run_seed(12).trace_sha256


def test_a_seed_draws_its_profile_and_runs_the_same_under_its_name():
    drawn = [run_seed(seed) for seed in range(6)]
    assert len({result.profile for result in drawn}) > 1
    for result in drawn:
        again = run_seed(result.seed, profile=PROFILES[result.profile])
        assert again.trace_sha256 == result.trace_sha256


def test_every_profile_but_the_baseline_is_in_the_mix():
    assert {profile.name for profile in MIX} == set(PROFILES) - {"gentle"}


def test_an_instance_whose_log_has_a_hole_stays_down_and_others_start():
    """Both happen: a start that is refused, and one from a log whose last write is cut off."""
    refused = started = 0
    for seed in range(40):
        world = make_world(seed, profile=DISKS)
        world.run()
        for i in world.plan.unsound:
            instance = world.cluster.instances[i]
            if world.fired["log_damaged"] and i not in world.plan.down_in_liveness:
                refused += instance.replica is None
                started += instance.replica is not None
    assert refused > 0
    assert started > 0


@pytest.mark.e2e
def test_a_seed_gives_the_same_run_under_any_hash_seed():
    script = "from consensus.sim.fuzz import run_seed; print(run_seed(12).trace_sha256)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert hashes == {run_seed(12).trace_sha256 + "\n"}


@pytest.mark.parametrize("seed", [2, 3, 7])
def test_a_recorded_run_replays_and_every_half_of_it_is_a_possible_run(seed):
    world = make_world(seed, is_recorded=True)
    world.run()
    steps = world.trace.steps
    Replay(world.plan).run(steps)
    Replay(world.plan).run(steps[: len(steps) // 2])
    Replay(world.plan).run(steps[::2])
    assert not fails(world.plan, steps, "agreement")


def test_a_recorded_run_with_a_failing_disk_replays():
    kinds = set()
    for seed in range(8):
        world = make_world(seed, profile=DISKS, is_recorded=True)
        world.run()
        Replay(world.plan).run(world.trace.steps)
        kinds |= {type(step) for step in world.trace.steps}
        assert len(describe(world.trace.steps)) == len(world.trace.steps)
    assert {Spoil, Ask} <= kinds


def test_results_do_not_depend_on_recording():
    recorded = make_world(5, is_recorded=True)
    assert recorded.run() == make_world(5).run()
