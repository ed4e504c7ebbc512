"""Terms, primaries and the hash of a member set."""

import pytest

from consensus.config import MAX_MEMBERS, ConsensusConfig
from consensus.membership import Epoch, Height, Membership, Term
from tests.consensus.net import make_membership, public_key


def test_a_term_ends_after_sixteen_blocks():
    members = make_membership(4)
    assert [members.term(h) for h in (1, 16, 17, 32, 33)] == [0, 0, 1, 1, 2]


def test_terms_go_on_counting_over_epochs():
    members = make_membership(4, epoch=3, first_height=20, first_term=7)
    assert [members.term(h) for h in (20, 35, 36)] == [7, 7, 8]
    with pytest.raises(ValueError, match="height must be at least 20, got 19"):
        members.term(19)


def test_the_primary_is_term_plus_view_modulo_n():
    members = make_membership(5)
    assert [members.primary(3, view) for view in range(4)] == [3, 4, 0, 1]


def test_the_hash_binds_members_epoch_and_terms():
    hashes = {
        make_membership(4).hash(),
        make_membership(5).hash(),
        make_membership(4, epoch=1).hash(),
        make_membership(4, first_height=2).hash(),
        make_membership(4, first_term=1).hash(),
        Membership(Epoch(0), make_membership(4).members, term_blocks=8).hash(),
    }
    assert len(hashes) == 6
    assert make_membership(4).hash() == make_membership(4).hash()


def test_members_are_found_by_their_key():
    members = make_membership(4)
    assert [members.index_of(key) for key in members.members] == [0, 1, 2, 3]
    assert members.index_of(public_key(99)) is None
    assert members.index_of(None) is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"members": (b"short",) * 4}, "keys of 32 bytes"),
        ({"members": tuple(sorted(public_key(i) for i in range(3)))}, "at least 4"),
        ({"members": tuple(reversed(make_membership(4).members))}, "distinct and ascending"),
        ({"members": (public_key(0),) * 4}, "distinct and ascending"),
        (
            {"members": tuple(sorted(public_key(i) for i in range(MAX_MEMBERS + 1)))},
            "at most 128, got 129",
        ),
        ({"epoch": Epoch(-1)}, "must not be negative"),
        ({"first_term": Term(-1)}, "must not be negative"),
        ({"first_height": Height(0)}, "counts from 1"),
        ({"term_blocks": 0}, "term_blocks must be at least 1"),
    ],
)
def test_an_impossible_member_set_is_refused(change, text):
    fields = {"epoch": Epoch(0), "members": make_membership(4).members} | change
    with pytest.raises(ValueError, match=text):
        Membership(**fields)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"progress_base_ms": 0}, "progress_base_ms must be at least 1, got 0"),
        ({"heartbeat_overdue_ms": 999}, "at least 1000, got 999"),
    ],
)
def test_an_impossible_configuration_is_refused(change, text):
    with pytest.raises(ValueError, match=text):
        ConsensusConfig(**change)
