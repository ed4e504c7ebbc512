"""Counting votes: prepared (rule 2), decided (rule 10), and what never adds up."""

import pytest

from consensus.quorum import Quorum
from consensus.tally import decided_by_commits, prepared_certificate
from tests.consensus.net import Signatory, digest_of, make_membership, slot

SIZES = range(4, 14)


def setup(n):
    signatory = Signatory(make_membership(n))
    return signatory, Quorum(n).certificate, signatory.pre_prepare(0, slot(), b"A")


@pytest.mark.parametrize("n", SIZES)
def test_prepared_is_the_pre_prepare_and_q_minus_one_prepares_of_others(n):
    signatory, q, proposal = setup(n)
    votes = [signatory.prepare(i, slot(), proposal.digest) for i in range(1, q)]
    assert prepared_certificate(proposal, votes[:-1], q) is None
    certificate = prepared_certificate(proposal, votes, q)
    assert [member for member, _ in certificate.prepares] == list(range(1, q))
    assert certificate.pre_prepare == signatory.core(0, 1, slot(), proposal.digest)


@pytest.mark.parametrize("n", SIZES)
def test_with_f_members_silent_a_proposal_is_prepared(n):
    signatory, q, proposal = setup(n)
    up = range(1, n - Quorum(n).f)
    votes = [signatory.prepare(i, slot(), proposal.digest) for i in up]
    assert prepared_certificate(proposal, votes, q) is not None


def test_the_primary_does_not_count_twice():
    signatory, q, proposal = setup(4)
    votes = [signatory.prepare(i, slot(), proposal.digest) for i in (0, 1)]
    assert prepared_certificate(proposal, votes, q) is None


@pytest.mark.parametrize(
    ("place", "body"), [(slot(), b"B"), (slot(view=1), b"A"), (slot(height=2), b"A")]
)
def test_prepares_for_another_slot_or_digest_do_not_count(place, body):
    signatory, q, proposal = setup(4)
    votes = [
        signatory.prepare(1, slot(), proposal.digest),
        signatory.prepare(2, place, digest_of(body)),
        None,
    ]
    assert prepared_certificate(proposal, votes, q) is None


@pytest.mark.parametrize("n", SIZES)
def test_a_seal_is_exactly_q_commits_in_ascending_order(n):
    signatory, q, proposal = setup(n)
    votes = [signatory.commit(i, slot(view=3), proposal.digest) for i in range(n)]
    assert decided_by_commits(votes[: q - 1], q) is None
    digest, seal = decided_by_commits(votes, q)
    assert digest == proposal.digest
    assert seal.view == 3
    assert [member for member, _ in seal.signatures] == list(range(q))


def test_commits_of_two_views_never_add_up():
    signatory, q, proposal = setup(4)
    votes = [signatory.commit(i, slot(view=i // 2), proposal.digest) for i in range(4)]
    assert decided_by_commits(votes, q) is None


def test_commits_for_two_digests_never_add_up():
    signatory, q, _ = setup(4)
    votes = [signatory.commit(i, slot(), digest_of(b"AB"[i // 2 : i // 2 + 1])) for i in range(4)]
    assert decided_by_commits(votes, q) is None
