"""Numbers that outlive the epochs."""

from hypothesis import given
from hypothesis import strategies as st

from node.p2p.roster import Roster

KEYS = st.lists(st.binary(min_size=32, max_size=32), max_size=20)


@given(KEYS, KEYS)
def test_a_number_once_given_stands_for_its_key_for_ever(first, later):
    roster = Roster(first)
    given_first = {key: roster.number(key) for key in first}
    for key in later:
        roster.number(key)
    assert all(roster.number(key) == number for key, number in given_first.items())
    assert all(roster.key(roster.number(key)) == key for key in (*first, *later))
    assert len({roster.number(key) for key in (*first, *later)}) == len({*first, *later})


def test_members_of_the_first_epoch_are_numbered_by_index():
    roster = Roster([b"a", b"b", b"c"])
    assert [roster.find(key) for key in (b"a", b"b", b"c", b"d")] == [0, 1, 2, None]
