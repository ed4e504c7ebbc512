"""The simulator's parts by themselves: network, disk, application, minimiser, plans."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.membership import Epoch, Membership
from consensus.sim.app import (
    AGE_MS_MAX,
    GENESIS_DIGEST,
    GENESIS_MS,
    App,
    Block,
    decode_block,
    digest_of,
)
from consensus.sim.community import Charter
from consensus.sim.disk import Disk
from consensus.sim.faults import PREFIX_MAX, TOLERANCE_MS, Blackout, LinkQuality, LogDamage, LogLoss
from consensus.sim.keys import cluster_keys
from consensus.sim.memory import require_bounded
from consensus.sim.minimise import minimise
from consensus.sim.network import Network
from consensus.sim.plans import OUTAGE_MS, draw_plan
from consensus.sim.profiles import BLACKOUTS, PROFILES
from crypto.hashing import Digest


def network(quality: LinkQuality, count: int = 4) -> tuple[Network, Counter[str]]:
    fired: Counter[str] = Counter()
    return Network(random.Random(1), count, quality, fired), fired


def test_a_perfect_link_delivers_each_message_once_and_in_order():
    net, fired = network(LinkQuality())
    arrivals = [net.arrivals(now, 0, 1) for now in range(50)]
    assert all(len(copies) == 1 for copies in arrivals)
    assert arrivals == sorted(arrivals)
    assert not fired


def test_loss_and_duplication_happen_about_as_often_as_told():
    net, fired = network(LinkQuality(loss_permille=300, duplication_permille=500))
    for now in range(2_000):
        net.arrivals(now, 0, 1)
    assert 500 < fired["loss"] < 700
    assert 600 < fired["duplication"] < 800


def test_fifo_links_keep_the_order_and_others_do_not():
    for is_fifo in (True, False):
        net, fired = network(LinkQuality(delay_mean_ms=50, is_fifo=is_fifo))
        times = [net.arrivals(now, 0, 1)[0] for now in range(200)]
        assert (times == sorted(times)) is is_fifo
        assert (fired["reordering"] > 0) is not is_fifo


def test_a_symmetric_partition_cuts_both_ways_until_it_ends():
    net, fired = network(LinkQuality())
    groups = (0, 0, 1, 1)
    net.partition(groups, one_way=False, start=True)
    assert net.arrivals(0, 0, 2) == net.arrivals(0, 2, 0) == ()
    assert net.arrivals(0, 0, 1) != ()
    net.partition(groups, one_way=False, start=False)
    assert net.arrivals(0, 0, 2) != ()
    assert fired == {"partition_symmetric": 2}


def test_an_asymmetric_partition_cuts_one_way():
    net, fired = network(LinkQuality())
    net.partition((0, 0, 1, 1), one_way=True, start=True)
    assert net.arrivals(0, 0, 2) == ()
    assert net.arrivals(0, 2, 0) != ()
    assert fired == {"partition_asymmetric": 1}


def test_a_clogged_link_holds_its_messages():
    net, fired = network(LinkQuality())
    net.clog(0, 1, until_ms=500)
    assert net.arrivals(0, 0, 1)[0] > 500
    assert net.arrivals(0, 1, 0)[0] < 500
    assert fired["clogging"] == 1


@given(synced=st.binary(max_size=20), tail=st.binary(max_size=20), kept=st.integers(0, 1000))
def test_a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest(synced, tail, kept):
    disk: Disk[int] = Disk(Counter())
    disk.append(synced)
    disk.sync()
    disk.append(tail)
    disk.crash(kept)
    assert disk.log[: len(synced)] == synced
    assert tail.startswith(disk.log[len(synced) :])
    assert disk.durable_log == disk.log


def log_of(*frames: bytes) -> Disk[int]:
    disk: Disk[int] = Disk(Counter())
    for frame in frames:
        disk.append(frame)
        disk.sync()
    return disk


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(0, 999))
def test_damage_turns_one_bit_and_leaves_a_hole_unless_it_is_in_the_last_write(frames, place):
    disk = log_of(*frames)
    before = disk.log
    disk.damage(place, bit=3)
    changed = [i for i, (old, new) in enumerate(zip(before, disk.log, strict=True)) if old != new]
    assert changed == [len(before) * place // 1000]
    assert before[changed[0]] ^ disk.log[changed[0]] == 8
    assert disk.is_damaged
    assert disk.has_hole is (changed[0] < len(before) - len(frames[-1]))


def test_a_log_that_is_cut_to_a_prefix_has_no_hole_any_more():
    disk = log_of(b"one", b"two", b"three")
    disk.damage(500, bit=0)
    assert disk.has_hole
    disk.rewrite(disk.log[:3])
    assert not disk.is_damaged
    assert not disk.has_hole


def test_damage_behind_a_rewritten_log_is_no_hole():
    disk = log_of(b"one", b"two")
    disk.rewrite(b"all in one write")
    disk.damage(100, bit=0)
    assert not disk.has_hole


def test_damage_before_a_torn_write_is_no_hole():
    disk = log_of(b"one", b"two")
    disk.append(b"three")
    disk.crash(500)
    disk.damage(900 * 3 // 4, bit=0)
    assert disk.is_damaged
    assert not disk.has_hole


def test_a_lost_log_leaves_the_blocks():
    disk = log_of(b"one")
    disk.blocks.append(7)
    disk.lose_log()
    assert (disk.log, disk.blocks) == (b"", [7])


def test_half_a_write_behind_the_damage_is_no_hole():
    """Seed 11815 of profile disks: the disk filled up in a write, then lost a bit before it."""
    disk = log_of(b"first", b"last whole one")
    disk.append_part(b"half of")
    disk.sync()
    disk.damage(500, bit=3)
    assert disk.is_damaged
    assert not disk.has_hole


def test_lost_and_torn_writes_are_counted():
    fired: Counter[str] = Counter()
    disk: Disk[int] = Disk(fired)
    for kept in (0, 500, 1000):
        disk.append(b"0123456789")
        disk.crash(kept)
    assert fired == {"lost_unsynced": 2, "torn_write": 1}


BLOCKS = st.builds(
    Block,
    height=st.integers(0, 2**64 - 1),
    parent=st.binary(min_size=32, max_size=32).map(Digest),
    time_ms=st.integers(0, 2**64 - 1),
    nonces=st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
)


@given(BLOCKS)
def test_a_body_round_trips(block):
    assert decode_block(block.encode()) == block


@given(st.binary(max_size=80) | BLOCKS.map(Block.encode))
def test_what_decodes_re_encodes_to_the_same_bytes(body):
    block = decode_block(body)
    assert block is None or block.encode() == body


KEYS = cluster_keys(4)
CHARTER = Charter(
    founders=Membership(epoch=Epoch(0), members=KEYS.public),
    changes=(),
    public=KEYS.public,
    keyring=KEYS.keyring(0),
)
PARENT_MS = GENESIS_MS - PREFIX_MAX  # The time of genesis.


def block(**changes: object) -> Block:
    fields = {"height": 1, "parent": GENESIS_DIGEST, "time_ms": GENESIS_MS + 10, "nonces": (7,)}
    return Block(**{**fields, **changes})


@pytest.mark.parametrize(
    ("candidate", "ok"),
    [
        (block(), True),
        (block(height=2), False),
        (block(parent=digest_of(b"other")), False),
        (block(time_ms=PARENT_MS), False),
        (block(time_ms=PARENT_MS + 1), True),
        (block(time_ms=GENESIS_MS + TOLERANCE_MS), True),
        (block(time_ms=GENESIS_MS + TOLERANCE_MS + 1), False),
        (block(nonces=()), False),
        (block(nonces=(7, 7)), False),
    ],
)
def test_a_fresh_block_is_measured_by_every_rule(candidate, ok):
    assert App((), CHARTER).is_valid(candidate, 1, GENESIS_DIGEST, clock_ms=GENESIS_MS) is ok


def test_parent_plus_one_is_valid_whatever_the_clock_says():
    candidate = block(time_ms=PARENT_MS + 1)
    assert App((), CHARTER).is_valid(candidate, 1, GENESIS_DIGEST, clock_ms=PARENT_MS - 10**6)


def test_a_carried_block_is_not_measured_against_the_clock():
    candidate = block(time_ms=GENESIS_MS + 10 * TOLERANCE_MS)
    assert App((), CHARTER).is_valid(candidate, 1, GENESIS_DIGEST, clock_ms=None)


def test_a_nonce_is_executed_at_most_once():
    app = App((block(),), CHARTER)
    app.submit(7)
    assert not app.pending
    again = block(height=2, time_ms=GENESIS_MS + 20)
    assert not app.is_valid(again, 2, GENESIS_DIGEST, clock_ms=None)


def test_minimise_finds_the_two_steps_that_matter():
    steps = list(range(200))
    runs = []

    def fails(script):
        runs.append(len(script))
        return 17 in script and 150 in script

    assert minimise(steps, fails) == [17, 150]
    assert len(runs) < 100


def test_minimise_refuses_a_run_that_does_not_fail():
    with pytest.raises(ValueError, match="nothing to minimise"):
        minimise([1, 2], lambda _: False)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_a_plan_keeps_within_its_bounds(n, profile):
    f = (n - 1) // 3
    q = (n + f) // 2 + 1
    for seed in range(50):
        plan = draw_plan(random.Random(seed), n, q, f, profile)
        assert len(plan.faulty) <= f
        assert len(plan.twins) + len(plan.unsound) == len(plan.faulty)
        assert len(plan.core) == q
        assert not set(plan.core) & {*plan.faulty, *plan.down_in_liveness}
        assert len(set(plan.told) & set(plan.core)) >= f + 1
        assert set(plan.flooders) <= set(plan.liars) <= set(range(n, len(plan.identities)))
        spoilt = [x.instance for x in plan.faults if isinstance(x, LogLoss | LogDamage)]
        assert sorted(spoilt) == list(plan.unsound)
        assert len(plan.skew_ms) == len(plan.drift_permille) == len(plan.identities)
        assert len({nonce for _, nonce in plan.submissions}) == len(plan.submissions)


def test_nothing_begins_in_a_blackout_and_it_outlasts_the_age_of_a_block():
    for seed in range(50):
        plan = draw_plan(random.Random(seed), 4, 3, 1, BLACKOUTS)
        (outage,) = (fault for fault in plan.faults if isinstance(fault, Blackout))
        assert outage.end_ms - outage.start_ms >= OUTAGE_MS[0] > AGE_MS_MAX
        assert outage.end_ms < plan.safety_ms + OUTAGE_MS[1]
        dark = range(outage.start_ms + 1, outage.end_ms)
        assert not any(fault.start_ms in dark for fault in plan.faults)
        assert not any(at in dark for at, _ in plan.submissions)


@pytest.mark.parametrize("is_real", [False, True])
def test_a_signature_is_its_members_alone(is_real):
    keys = cluster_keys(4, is_real=is_real)
    assert list(keys.public) == sorted(keys.public)
    signature = keys.keyring(0).sign(b"payload")
    assert len(signature) == 64
    judge = keys.keyring(1)
    assert judge.public == keys.public[1]
    assert judge.verify(keys.public[0], b"payload", signature)
    assert not judge.verify(keys.public[0], b"other", signature)
    assert not judge.verify(keys.public[1], b"payload", signature)


def test_memory_counts_what_grows():
    with pytest.raises(AssertionError, match="memory"):
        require_bounded(0, [(i,) for i in range(100_000)], 4)
    assert require_bounded(0, [(1, 2), [3]], 4) == 3
