"""READYs: who may say one, what a peer may tell, and when an activation is made (rules 29, 30)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from crypto.hashing import Digest
from node.community import Change, NodeRecord
from node.p2p.frames import READY_BYTES_MAX
from node.readiness import FORMER_MAX, Readiness, Taken, Told, decode_told, encode_told
from tests.node.cluster import node_key
from vm.activation import READY_SPAN, ActivationTransaction, Ready, ready_digest
from vm.members import keys_hash, quorum

GENESIS = Digest(b"g" * 32)
NEWCOMER = 9


def record(i):
    return NodeRecord(
        account=bytes([i]) * 20,
        node_key=node_key(i).public,
        endpoint="127.0.0.1:1",
        name=f"home-{i}",
        certificate=b"",
    )


def change(id_=1, members=(0, 1, 2, 3, NEWCOMER), newcomer=NEWCOMER):
    keys = tuple(sorted(node_key(i).public for i in members))
    return Change(
        id=id_,
        kind=1,
        account=bytes(20),
        newcomer=None if newcomer is None else record(newcomer),
        keys=keys,
        keys_hash=keys_hash(keys),
    )


def signed(i, what, height, by=None):
    key = node_key(i)
    digest = ready_digest(GENESIS, what.id, Digest(what.keys_hash), height)
    return Told(what.id, Ready(key.public, height, node_key(i if by is None else by).sign(digest)))


def node(height=100, changes=None):
    made = Readiness(GENESIS)
    made.set_height(height)
    made.set_changes([change()] if changes is None else changes)
    return made


def own(i):
    return {node_key(i).public: node_key(i)}


VOTING = {"is_voting": True, "is_level": True}


def test_the_newcomer_is_the_first_to_say_ready_and_members_follow():
    member = node()
    assert member.say(own(0), **VOTING) == []
    newcomer = node()
    (told,) = newcomer.say(own(NEWCOMER), is_voting=False, is_level=True)
    assert member.receive(told) is Taken.NEW
    (answer,) = member.say(own(0), **VOTING)
    assert newcomer.receive(answer) is Taken.NEW


def test_a_newcomer_that_is_behind_says_nothing():
    assert node().say(own(NEWCOMER), is_voting=False, is_level=False) == []


def test_a_member_that_does_not_vote_says_nothing():
    eviction = change(members=(0, 1, 2, 3), newcomer=None)
    made = node(changes=[eviction])
    assert made.say(own(0), is_voting=False, is_level=True) == []
    assert len(made.say(own(0), **VOTING)) == 1


def test_the_evicted_is_not_asked():
    made = node(changes=[change(members=(0, 1, 2, 3), newcomer=None)])
    assert made.say(own(5), **VOTING) == []


def test_a_ready_is_said_again_when_it_is_half_as_old_as_allowed():
    made = node(changes=[change(members=(0, 1, 2, 3), newcomer=None)])
    assert len(made.say(own(0), **VOTING)) == 1
    made.set_height(100 + READY_SPAN // 2 - 1)
    assert made.say(own(0), **VOTING) == []
    made.set_height(100 + READY_SPAN // 2)
    (again,) = made.say(own(0), **VOTING)
    assert again.ready.height == 100 + READY_SPAN // 2


def test_a_ready_of_an_earlier_life_is_said_again():
    """Peers still hold it; but only what this process has said ends its doubts about its votes."""
    made, what = node(height=100), change()
    assert made.receive(signed(NEWCOMER, what, 99)) is Taken.NEW
    (told,) = made.say(own(NEWCOMER), is_voting=False, is_level=True)
    assert told.ready.height == 100
    assert made.has_said(ActivationTransaction(what.id, (signed(NEWCOMER, what, 99).ready,)))
    assert made.say(own(NEWCOMER), is_voting=False, is_level=True) == []


def test_a_ready_from_above_the_head_is_not_replaced_by_an_older_one():
    made, what = node(height=100), change()
    assert made.receive(signed(NEWCOMER, what, 101)) is Taken.NEW
    assert made.say(own(NEWCOMER), is_voting=False, is_level=True) == []


def test_the_activation_needs_a_quorum_of_the_new_set_and_the_newcomer():
    made, what = node(), change()
    for i in (0, 1, 2, 3):
        assert made.receive(signed(i, what, 100)) is Taken.NEW
    assert made.activations() == ()
    assert made.receive(signed(NEWCOMER, what, 99)) is Taken.NEW
    (activation,) = made.activations()
    assert activation.proposal_id == what.id
    assert len(activation.readies) == quorum(5)
    assert node_key(NEWCOMER).public in [ready.node_key for ready in activation.readies]


def test_readies_lapse_with_the_blocks():
    made, what = node(), change()
    for i in (0, 1, 2, NEWCOMER):
        made.receive(signed(i, what, 100))
    assert len(made.activations()) == 1
    made.set_height(100 + READY_SPAN - 1)
    assert len(made.activations()) == 1
    made.set_height(100 + READY_SPAN)
    assert made.activations() == ()


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (signed(0, change(id_=2), 100), Taken.STALE),
        (signed(0, change(), 100 - READY_SPAN - 1), Taken.STALE),
        (signed(0, change(), 100 + READY_SPAN + 1), Taken.STALE),
        (signed(7, change(), 100), Taken.FORGED),
        (signed(0, change(), 100, by=1), Taken.FORGED),
        (signed(0, change(members=(0, 1, 2, NEWCOMER)), 100), Taken.FORGED),
    ],
    ids=["another change", "old", "ahead", "stranger", "another's signature", "another set"],
)
def test_what_is_not_taken(told, taken):
    made = node()
    assert made.receive(told) is taken
    assert made.all() == []


def test_one_ready_is_held_for_each_key_and_change():
    """Rule 33: a member that says READY at every height fills nothing."""
    made = node()
    for height in range(60, 101):
        assert made.receive(signed(0, change(), height)) is Taken.NEW
    assert made.receive(signed(0, change(), 80)) is Taken.KNOWN
    assert [told.ready.height for told in made.all()] == [100]


def test_what_was_said_for_a_change_is_dropped_with_it():
    made = node()
    made.receive(signed(0, change(), 100))
    made.set_changes([])
    assert made.all() == []
    made.set_changes([change()])
    assert made.all() == []


def test_what_was_said_for_another_new_set_is_dropped():
    """A change that took effect before makes the set of those that still wait another one."""
    made = node()
    made.receive(signed(0, change(), 100))
    made.set_changes([change(members=(0, 1, 2, 3, 4, NEWCOMER))])
    assert made.all() == []


def test_ready_for_the_sets_before_and_after_another_change_is_nobodys_fault():
    """Two changes wait, one takes effect: what peers say of the other crosses it on the way.

    Each of these cost its sender twenty points, so that in a street of some size all were banned.
    """
    before, after = change(), change(members=(0, 1, 2, 3, 4, NEWCOMER))
    behind = node(height=100, changes=[before])
    assert behind.receive(signed(0, after, 101)) is Taken.UNKNOWN
    assert behind.receive(signed(4, after, 101)) is Taken.UNKNOWN
    ahead = node(height=100, changes=[before])
    ahead.set_height(101)
    ahead.set_changes([after])
    assert ahead.receive(signed(0, before, 100)) is Taken.STALE
    assert ahead.receive(signed(0, before, 100, by=1)) is Taken.FORGED
    assert ahead.receive(signed(0, after, 101)) is Taken.NEW
    ahead.set_changes([])
    ahead.set_changes([after])
    assert ahead.receive(signed(0, before, 100)) is Taken.FORGED, "nothing is remembered for ever"


def test_what_was_said_stays_where_the_new_set_does():
    made = node()
    made.receive(signed(0, change(), 100))
    made.set_changes([change(), change(id_=2, members=(0, 1, 2, 3), newcomer=None)])
    assert [told.ready.height for told in made.all()] == [100]


def test_the_former_sets_of_a_change_are_few():
    made = node()
    for extra in range(10, 30):
        made.set_changes([change(members=(0, 1, 2, 3, NEWCOMER, extra))])
    assert [len(each) for each in made._former.values()] == [FORMER_MAX]


def test_a_process_knows_what_it_said_itself():
    made, what = node(), change()
    for i in (1, 2, 3, NEWCOMER):
        made.receive(signed(i, what, 100))
    (without,) = made.activations()
    assert not made.has_said(without)
    newcomer = node()
    newcomer.say(own(NEWCOMER), is_voting=False, is_level=True)
    assert newcomer.has_said(without)


def test_all_that_is_held_goes_into_frames_that_a_peer_takes():
    """A peer that comes up is told everything: more than a frame must not end the link."""
    many = [change(id_=2**62 + i, members=range(20), newcomer=None) for i in range(64)]
    made = node(height=2**62, changes=many)
    for what in many:
        for i in range(20):
            key = node_key(i).public
            made._readies[what.id][key] = Ready(key, 2**62, bytes(64))
    frames = made.frames()
    assert max(map(len, frames)) <= READY_BYTES_MAX
    assert [told for frame in frames for told in decode_told(frame)] == made.all()
    assert len(made.all()) == 64 * 20
    assert node().frames() == []


READIES = st.builds(
    lambda id_, key, height, signature: Told(id_, Ready(key, height, signature)),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=64, max_size=64),
)


@given(st.lists(READIES, min_size=1, max_size=8))
def test_readies_survive_the_wire(told):
    assert decode_told(encode_told(told)) == told


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_the_one_encoding(payload):
    try:
        told = decode_told(payload)
    except DecodeError:
        return
    assert encode_told(told) == payload


def test_an_empty_list_is_refused():
    with pytest.raises(DecodeError, match="empty"):
        decode_told(b"\x90")
