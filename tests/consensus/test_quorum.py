"""Thresholds for every n (rule 3)."""

import pytest

from consensus.quorum import Quorum

SIZES = range(4, 129)


@pytest.mark.parametrize("n", SIZES)
def test_two_certificates_share_a_correct_member_and_one_can_form(n):
    quorum = Quorum(n)
    assert 2 * quorum.certificate - n >= quorum.f + 1
    assert quorum.certificate <= n - quorum.f


@pytest.mark.parametrize("n", SIZES)
def test_f_is_the_largest_number_of_faults_that_n_tolerates(n):
    f = Quorum(n).f
    assert 3 * f + 1 <= n < 3 * (f + 1) + 1
    assert Quorum(n).one_correct == f + 1


@pytest.mark.parametrize("n", SIZES)
def test_a_certificate_is_no_larger_than_it_must_be(n):
    quorum = Quorum(n)
    assert 2 * (quorum.certificate - 1) - n < quorum.f + 1


@pytest.mark.parametrize(
    ("n", "q"),
    [(4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7), (13, 9), (31, 21), (100, 67)],
)
def test_known_values(n, q):
    assert Quorum(n).certificate == q


def test_fewer_than_four_members_are_refused():
    with pytest.raises(ValueError, match="n must be at least 4, got 3"):
        Quorum(3)
