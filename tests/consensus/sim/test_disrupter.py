"""A disrupter sends real messages with a part changed, under its own signature."""

import random

from consensus.certificates import Kind
from consensus.membership import MemberIndex
from consensus.messages import GetHead, Prepare
from consensus.sim.app import GENESIS_DIGEST
from consensus.sim.disrupter import disrupt
from consensus.sim.fuzz import make_world, run_seeds
from consensus.sim.profiles import FULL_DISKS, MUTATIONS
from consensus.sim.replay import Replay
from consensus.sim.stage import Stage
from consensus.sim.trace import Spoil
from consensus.wire import decode_message, encode_message


def test_a_changed_vote_is_signed_and_can_be_decoded():
    stage = Stage(4)
    vote = stage.prepare(1, stage.slot(0, 1), stage.body(1, 1))
    rng = random.Random(1)

    def sign(kind, slot, digest):
        return stage.signature(2, kind, slot, digest)

    found = [disrupt(rng, vote, MemberIndex(2), sign) for _ in range(40)]
    changed = [message for message in found if message is not None]
    assert len({(m.slot, m.digest) for m in changed}) > 5
    for message in changed:
        assert isinstance(message, Prepare)
        assert decode_message(encode_message(message)) == message
        assert message.sender == 2
        assert message.signature == sign(Kind.PREPARE, message.slot, message.digest)


def test_what_nobody_signs_is_changed_too():
    changed = disrupt(random.Random(2), GetHead(GENESIS_DIGEST), MemberIndex(1), None)
    assert isinstance(changed, GetHead)
    assert changed.nonce != GENESIS_DIGEST


def test_random_changes_break_no_property():
    report = run_seeds(range(12), workers=1, profile=MUTATIONS)
    assert report.violations == ()
    assert report.faults_fired["mutation"] > 100


def test_a_full_disk_stops_its_owner_until_there_is_room():
    report = run_seeds(range(12), workers=1, profile=FULL_DISKS)
    assert report.violations == ()
    assert report.faults_fired["disk_full"] > 5


def test_a_run_with_full_disks_replays():
    world = make_world(3, profile=FULL_DISKS, is_recorded=True)
    world.run()
    assert world.fired["disk_full"] > 0
    assert any(isinstance(step, Spoil) for step in world.trace.steps)
    Replay(world.plan).run(world.trace.steps)
