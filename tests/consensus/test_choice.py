"""The choice that every backup recomputes from a NEW-VIEW (rules 1, 4, 12, 17)."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import Head, Kind, PreparedCertificate, Seal
from consensus.membership import Height, MemberIndex, View
from consensus.messages import ViewChange
from consensus.view_change import Contradiction, choose_proposal, view_to_join
from tests.consensus.net import GENESIS, digest_of, slot

SIGNATURE = b"s" * 64


def head(height):
    if height == 0:
        return Head(height=Height(0), digest=GENESIS, seal=None)
    seal = Seal(view=View(0), signatures=((MemberIndex(0), SIGNATURE),))
    return Head(height=Height(height), digest=digest_of(b"block %d" % height), seal=seal)


def certificate(view, body, height=1):
    from consensus.certificates import SignedVote

    vote = SignedVote(
        kind=Kind.PRE_PREPARE,
        slot=slot(view=view, height=height),
        digest=digest_of(body),
        sender=MemberIndex(view % 4),
        signature=SIGNATURE,
    )
    return PreparedCertificate(pre_prepare=vote, prepares=((MemberIndex(0), SIGNATURE),))


def view_change(sender, at=0, prepared=None, view=9):
    return ViewChange(
        slot=slot(view=view, height=at),
        head=head(at),
        prepared=prepared,
        sender=MemberIndex(sender),
        signature=SIGNATURE,
    )


def test_nothing_prepared_binds_nothing():
    choice = choose_proposal([view_change(i) for i in range(3)])
    assert choice.head == head(0)
    assert choice.certificate is None


def test_one_certificate_binds_the_view():
    prepared = certificate(0, b"A")
    for place in range(3):
        proof = [view_change(i, prepared=prepared if i == place else None) for i in range(3)]
        assert choose_proposal(proof).certificate == prepared


def test_the_certificate_of_the_highest_view_wins_in_whatever_order():
    low, middle, high = certificate(0, b"A"), certificate(1, b"B"), certificate(2, b"A")
    for order in permutations((low, middle, high)):
        proof = [view_change(i, prepared=c) for i, c in enumerate(order)]
        assert choose_proposal(proof).certificate == high


def test_the_view_begins_at_the_highest_proven_head():
    proof = [view_change(0, at=0), view_change(1, at=2), view_change(2, at=1)]
    assert choose_proposal(proof).head == head(2)


def test_a_certificate_above_a_lower_head_is_void():
    proof = [
        view_change(0, at=0, prepared=certificate(5, b"A", height=1)),
        view_change(1, at=1, prepared=certificate(1, b"B", height=2)),
        view_change(2, at=1),
    ]
    assert choose_proposal(proof).certificate == certificate(1, b"B", height=2)


def test_two_digests_prepared_in_one_view_are_a_contradiction():
    first, second = certificate(1, b"A"), certificate(1, b"B")
    found = choose_proposal([view_change(0, prepared=first), view_change(1, prepared=second)])
    assert found == Contradiction(first.pre_prepare, second.pre_prepare)


def test_a_contradiction_below_the_winning_view_does_not_matter_once_passed():
    proof = [
        view_change(0, prepared=certificate(2, b"C")),
        view_change(1, prepared=certificate(1, b"A")),
        view_change(2, prepared=certificate(1, b"B")),
    ]
    assert choose_proposal(proof).certificate == certificate(2, b"C")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(0, 5)), min_size=3, max_size=9)
)
def test_the_choice_does_not_depend_on_the_order(parts):
    proof = [
        view_change(
            i,
            at=at,
            prepared=None if v is None else certificate(v, b"v%d" % v, height=at + 1),
        )
        for i, (at, v) in enumerate(parts)
    ]
    choice, reverse = choose_proposal(proof), choose_proposal(proof[::-1])
    assert choice == reverse
    top = max(at for at, _ in parts)
    views = [v for at, v in parts if at == top and v is not None]
    assert choice.head.height == top
    assert (choice.certificate and choice.certificate.slot.view) == max(views, default=None)


@pytest.mark.parametrize(
    ("views", "asked", "target"),
    [
        ([1], 0, None),
        ([1, 1], 0, 1),
        ([3, 2], 0, 2),
        ([3, 2, 1], 1, 2),
        ([1, 1, 1], 1, None),
        ([5], 1, None),
    ],
)
def test_f_plus_one_members_are_joined_at_the_smallest_view_above(views, asked, target):
    assert view_to_join([View(v) for v in views], View(asked), one_correct=2) == target
