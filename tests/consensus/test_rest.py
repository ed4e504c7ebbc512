"""A replica whose application lacks the rules of the next block: it neither votes nor follows."""

import pytest

from consensus.events import Applied, Apply, Broadcast, Build, Persist, Rest, Send, Tick, Validate
from consensus.messages import GetBlocks, Status
from consensus.waiting import Awaited
from tests.consensus.net import CONFIG, Net, Node, make_membership

LAST = 2
"""Height up to which the old software knows the rules."""


class Old(Node):
    """Its application is told with block LAST that other rules are in force above it."""

    def _execute(self, effect):
        if isinstance(effect, Apply) and effect.block.height == LAST:
            self.blocks[LAST] = effect.block
            self.step(Rest())
            self.step(Applied(LAST, effect.block.digest, self.net.membership))
            return
        super()._execute(effect)

    def restart(self):
        self.boot()
        self.step(Rest())


def street(old):
    net = Net()
    net.nodes[old] = Old(net, old)
    net.start()
    for number in range(LAST):
        net.submit(b"known %d" % number)
        net.deliver()
    assert net.heights() == [LAST] * 4
    net.nodes[old].seen.clear()
    return net, net.nodes[old]


def grow(net, old, blocks=20):
    """More than a term, so that it is the old one's turn to propose, too."""
    others = [i for i in range(4) if i != old]
    for number in range(blocks):
        before = max(net.heights())
        net.submit(b"new %d" % number, to=others)
        net.deliver()
        net.run(100)
        for _ in range(40):
            if max(net.heights()) > before:
                break
            net.run(100)
        assert max(net.heights()) > before, f"no block above {before}"


def assert_it_rests(node):
    assert not any(isinstance(e, Persist | Build | Validate | Apply) for e in node.seen)
    said = [e.message for e in node.seen if isinstance(e, Send | Broadcast)]
    assert all(isinstance(message, Status) for message in said), said
    assert said
    assert all(message.is_learner for message in said)
    assert node.replica.halted is None
    assert node.replica.is_learner
    assert not node.replica.may_attest
    assert node.replica.waiting_for().awaited is Awaited.RULES


@pytest.mark.parametrize("old", range(4))
def test_three_of_four_go_on_and_the_fourth_signs_nothing(old):
    net, node = street(old)
    grow(net, old)
    heights = net.heights()
    assert heights.pop(old) == LAST
    assert min(heights) >= LAST + 20
    assert_it_rests(node)
    assert net.faults == [], "nobody is blamed"


def test_it_answers_whoever_asks_for_what_it_has():
    net, node = street(3)
    net.submit(b"sealed without it", to=(0, 1, 2))
    net.deliver()
    net.queue.append((0, 3, GetBlocks(1)))
    net.deliver()
    assert node.replica.head.height == LAST
    assert any(type(effect).__name__ == "ServeBlocks" for effect in node.seen)


def test_a_restart_of_the_same_software_changes_nothing_and_newer_software_catches_up():
    net, node = street(3)
    grow(net, 3, blocks=3)
    node.seen.clear()
    node.restart()
    net.run(3_000)
    assert node.replica.head.height == LAST
    assert not any(isinstance(e, Persist | Build | Validate | Apply) for e in node.seen)
    assert not any(isinstance(e, Send) and isinstance(e.message, GetBlocks) for e in node.seen)
    newer = Node(net, 3)
    newer.blocks, newer.records = node.blocks, node.records
    newer.boot()
    net.nodes[3] = newer
    newer.step(Tick())
    net.run(3_000)
    assert net.heights() == [LAST + 3] * 4
    assert not newer.replica.is_learner
    net.nodes[0].is_up = False
    net.submit(b"by its vote, too", to=(1, 2, 3))
    net.run(5_000)
    assert min(net.heights()[1:]) == LAST + 4


def test_work_that_waits_makes_it_ask_for_nothing():
    """Neither a proposal, when its turn comes, nor another view, when nobody proposes."""
    net, node = street(3)
    grow(net, 3, blocks=2)
    node.seen.clear()
    node.submit(b"handed in at the old node")
    net.run(20_000)
    assert node.replica.online == (0, 1, 2, 3), "a quorum can be reached"
    assert_it_rests(node)


def test_it_speaks_at_the_pace_of_a_heartbeat_however_far_the_others_are():
    net, node = street(3)
    grow(net, 3, blocks=5)
    node.seen.clear()
    net.run(10_000)
    beats = [e for e in node.seen if isinstance(e, Broadcast)]
    assert 0 < len(beats) <= 10_000 // CONFIG.heartbeat_ms + 1


def test_blocks_beyond_that_came_with_those_it_knows_are_left_alone():
    """It starts far behind, and one reply brings blocks of both rules."""
    net = Net()
    net.nodes[3] = old = Old(net, 3)
    old.is_up = False
    net.start()
    for number in range(LAST + 3):
        net.submit(b"block %d" % number, to=(0, 1, 2))
        net.run(100)
    assert min(net.heights()[:3]) == LAST + 3
    old.is_up = True
    old.step(Tick())
    net.run(5_000)
    assert old.replica.head.height == LAST
    assert old.replica.waiting_for().awaited is Awaited.RULES
    assert old.replica.halted is None


def test_an_epoch_that_it_agreed_to_does_not_make_it_vote():
    """`begin_epoch` ends all other quarantine: not this one."""
    net = Net().start()
    net.submit(b"body")
    held = net.nodes[1]
    original = held._execute

    def execute(effect):
        if isinstance(effect, Apply):
            following = make_membership(4, epoch=1, first_height=2, first_term=1)
            held.step(Rest())
            held.step(Applied(1, effect.block.digest, following, is_witnessed=True))
            held.seen.clear()
        else:
            original(effect)

    held._execute = execute
    net.deliver()
    assert held.replica.epoch == 1
    for _ in range(300):
        net.now += 100
        held.step(Tick())
    assert_it_rests(held)
