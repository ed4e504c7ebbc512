"""The member set of the state and consensus's membership are one thing; its encoding is one."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consensus import config
from consensus import quorum as consensus_quorum
from consensus.membership import Epoch, Height, Membership, Term
from crypto.errors import DecodeError
from vm.members import (
    MEMBERS_MIN,
    TERM_BLOCKS,
    MemberSet,
    decode_members,
    encode_members,
    first_members,
    keys_hash,
    quorum,
)

NUMBERS = st.integers(0, 2**63 - 1)
KEYS = st.lists(st.binary(min_size=32, max_size=32), min_size=4, max_size=40, unique=True)
SETS = st.builds(
    MemberSet,
    NUMBERS,
    st.integers(1, 2**40),
    st.integers(0, 2**40),
    st.integers(1, 1000),
    KEYS.map(lambda keys: tuple(sorted(keys))),
)


def membership(members):
    return Membership(
        Epoch(members.epoch),
        members.keys,
        first_height=Height(members.first_height),
        first_term=Term(members.first_term),
        term_blocks=members.term_blocks,
    )


@given(SETS, st.integers(0, 10**6))
def test_hash_term_and_quorum_are_those_of_consensus(members, ahead):
    theirs, height = membership(members), members.first_height + ahead
    assert members.hash() == theirs.hash()
    assert members.term(height) == theirs.term(height)
    assert members.quorum == theirs.quorum.certificate


def test_constants_are_those_of_consensus():
    assert TERM_BLOCKS == config.TERM_BLOCKS
    assert MEMBERS_MIN == consensus_quorum.MEMBERS_MIN
    for n in range(MEMBERS_MIN, 129):
        assert quorum(n) == consensus_quorum.Quorum(n).certificate


@given(SETS)
def test_what_is_encoded_decodes_to_the_same(members):
    assert decode_members(encode_members(members)) == members


@given(SETS.map(encode_members), st.data())
def test_what_decodes_encodes_to_the_same(raw, data):
    at = data.draw(st.integers(0, len(raw) - 1))
    mutated = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :]
    try:
        members = decode_members(mutated)
    except DecodeError:
        return
    assert encode_members(members) == mutated


@given(SETS, st.integers(0, 10**6), KEYS)
def test_the_next_set_begins_with_an_epoch_and_a_term_of_its_own(members, ahead, keys):
    assume(members.epoch < 2**63 - 1)  # The last one has none: no chain lives to see it.
    height = members.first_height + ahead
    after = members.next(height, sorted(keys))
    assert after.epoch == members.epoch + 1
    assert after.first_height == height + 1
    assert after.term(height + 1) == members.term(height) + 1
    assert after.keys == tuple(sorted(keys))
    assert members.next(height, members.keys).hash() != members.hash(), "also of the same keys"


def test_genesis_sorts_its_founders():
    keys = [bytes([i]) * 32 for i in (4, 1, 3, 2)]
    members = first_members(keys)
    assert members == MemberSet(0, 1, 0, 16, tuple(sorted(keys)))


@given(KEYS, KEYS)
def test_a_list_of_keys_has_its_own_hash(one, other):
    assert (keys_hash(one) == keys_hash(other)) == (one == other)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("epoch", {"epoch": -1}),
        ("epoch", {"epoch": 2**63}),
        ("first_height", {"first_height": 0}),
        ("first_term", {"first_term": -1}),
        ("term_blocks", {"term_blocks": 0}),
        ("keys", {"keys": (b"a" * 32, b"b" * 32, b"c" * 32)}),
        ("keys", {"keys": tuple(i.to_bytes(32, "big") for i in range(129))}),
        ("keys", {"keys": (b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 31)}),
        ("keys", {"keys": (b"a" * 32, b"c" * 32, b"b" * 32, b"d" * 32)}),
        ("keys", {"keys": (b"a" * 32, b"b" * 32, b"b" * 32, b"d" * 32)}),
    ],
)
def test_what_is_no_member_set_is_refused_by_name(field, change):
    values = {
        "epoch": 0,
        "first_height": 1,
        "first_term": 0,
        "term_blocks": 16,
        "keys": tuple(c * 32 for c in (b"a", b"b", b"c", b"d")),
    }
    with pytest.raises(DecodeError) as caught:
        MemberSet(**values | change)
    assert caught.value.field == f"members.{field}"
