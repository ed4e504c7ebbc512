"""The community as the state has it, at its largest: what every node reads must never fail."""

from types import SimpleNamespace

import pytest

from market.abi import MEMBERSHIP, OWN_EPOCHS_BURST
from node.community import NodeRecord, peers_of, read_community, would_pass
from node.natives import NATIVES
from tests.market.contracts.chain import Chain, ed25519, home
from tests.market.contracts.members import activate, node, rotation
from vm.members import MEMBERS_MAX

PER_BLOCK = 16


@pytest.fixture(scope="module")
def crowd():
    """As many members as there can be, each with a change of its own that waits."""
    chain = Chain(MEMBERS_MAX, checked=False)
    for first in range(0, MEMBERS_MAX, PER_BLOCK):
        chain.block(
            [
                (
                    home(i),
                    "Membership",
                    "proposeRotation",
                    rotation(chain, home(i), ed25519(f"next {i}")),
                )
                for i in range(first, first + PER_BLOCK)
            ]
        )
    return chain


def as_node(chain):
    """What `node.community` needs of a node's chain."""

    def call(to, data, *, sender, gas):
        return chain.machine.call(
            chain.head, chain.state, sender=sender, to=to, data=data, gas=gas, time_ms=chain.now
        )

    return SimpleNamespace(machine=chain.machine, call=call)


def test_the_largest_community_with_all_keys_changing_can_be_read(crowd):
    assert any(each.ADDRESS == MEMBERSHIP for each in NATIVES)
    community = read_community(as_node(crowd))
    assert len(community.nodes) == MEMBERS_MAX
    assert len(community.changes) == MEMBERS_MAX
    for change in community.changes:
        assert len(change.keys) == MEMBERS_MAX
        assert change.newcomer.node_key in change.keys


def test_a_node_does_not_ask_for_an_epoch_that_it_may_not_begin_yet():
    chain = Chain(checked=False)
    for _ in range(OWN_EPOCHS_BURST):
        assert would_pass(as_node(chain), home(1).address, "proposeReincarnation")
        (proposal_id,) = chain.send(home(1), "Membership", "proposeReincarnation")
        activate(chain, proposal_id, [node(0), node(1), node(2)])
        chain.advance(chain.now + 9_000)
    before = dict(chain.state)
    assert not would_pass(as_node(chain), home(1).address, "proposeReincarnation")
    assert would_pass(as_node(chain), home(2).address, "proposeReincarnation")
    assert not would_pass(as_node(chain), bytes(20), "proposeReincarnation")
    assert chain.state == before, "to ask changes nothing"


def test_who_invited_a_node_is_asked_while_it_knows_no_better():
    def record(i):
        return NodeRecord(
            account=bytes(20), node_key=bytes([i]) * 32, endpoint="", name=f"{i}", certificate=b""
        )

    members, invited_by = [record(1), record(2)], (record(2), record(3))
    for own, height, is_lost, expected in (
        (9, 0, False, [1, 2, 3]),
        (9, 70, False, [1, 2, 3]),  # A newcomer, or one that was evicted.
        (1, 0, False, [1, 2, 3]),  # A founder without a disk: the others may have other keys.
        (1, 70, False, [1, 2]),
        (1, 70, True, [1, 2, 3]),  # All that it knows may have other keys by now.
    ):
        own_key = bytes([own]) * 32
        found = peers_of(members, invited_by, own_key=own_key, height=height, is_lost=is_lost)
        assert [int(node.name) for node in found] == expected
