"""What a household reads when nothing progresses."""

import pytest

from consensus.membership import Height, MemberIndex, View
from consensus.waiting import Awaited, Waiting
from node.why import explain, explain_key_in_use

NAMES = ("Ada", "Bo", "Cy", "Di")


def waiting(awaited, *members, have=0, need=0):
    return Waiting(
        awaited=awaited,
        members=tuple(MemberIndex(m) for m in members),
        since_ms=1_000,
        height=Height(7),
        view=View(2),
        have=have,
        need=need,
    )


def words(value, now_ms=1_500, halted=None):
    return explain(value, names=NAMES, now_ms=now_ms, halted=halted)


def test_nothing_awaited_is_nothing_said():
    assert words(waiting(Awaited.NOTHING)) == []


def test_missing_members_are_named_with_what_to_do():
    lines = words(waiting(Awaited.QUORUM, 2, 3, have=2, need=3), now_ms=700_000)
    assert lines == [
        "Only 2 members can be reached, and 3 are needed to seal a block. Missing: Cy, Di.",
        "Nothing has moved for 11 min (view 2).",
        "Ask these households to switch on their nodes; the chain goes on by itself, within a "
        "second, when enough of them are back.",
    ]


def test_a_short_wait_needs_no_advice():
    lines = words(waiting(Awaited.PROPOSAL, 1, need=1))
    assert lines == [
        "Bo has to propose block 7, and has not done so yet.",
        "Nothing has moved for 500 ms (view 2).",
    ]


def test_a_halt_says_why():
    lines = words(waiting(Awaited.HALTED), halted="two seals for block 7")
    assert "two seals for block 7" in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize("awaited", [a for a in Awaited if a is not Awaited.NOTHING])
def test_every_wait_has_words_without_gaps(awaited):
    for line in words(waiting(awaited, 0, have=1, need=3), now_ms=60_000, halted="x"):
        assert "{" not in line
        assert "None" not in line
        assert line.endswith(".")


def test_a_copy_of_a_running_node_is_named_with_what_to_do():
    assert explain_key_in_use([]) == []
    first, second = explain_key_in_use(["Ada", "Bo"])
    assert "Ada, Bo" in first
    assert "does not vote" in first
    assert "copy" in second
