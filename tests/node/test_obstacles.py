"""What a node says of members away, versions, and its clock; and how it tells."""

from hypothesis import given
from hypothesis import strategies as st

from node.clock_watch import TOLERANCE_MS, ClockWatch
from node.last_words import LOW_BYTES, explain_disk
from node.obstacles import Absent, explain_absent, explain_clock, explain_versions
from node.p2p.errors import OtherWireVersion
from vm.versions import WIRE_VERSION


def away(name, *, is_primary=False, reason=""):
    return Absent(name=name, is_primary=is_primary, reason=reason)


def test_nothing_is_said_where_all_is_well():
    assert explain_absent([], online=4, quorum=3) == []
    assert explain_versions([("h1", "connection closed")], one_correct=2) == []
    assert explain_clock(None) == []
    assert explain_disk(LOW_BYTES) == explain_disk(None) == []


def test_a_dead_primary_is_passed_over_and_the_slack_is_told():
    said = " ".join(explain_absent([away("h1", is_primary=True)], online=3, quorum=3))
    assert "turn of h1" in said
    assert "do without 0 more" in said


def test_below_a_quorum_it_says_how_many_are_needed():
    lines = explain_absent(
        [away("h1", is_primary=True, reason="cannot connect"), away("h2")], online=2, quorum=3
    )
    said = " ".join(lines)
    assert "h1: cannot connect." in said
    assert "1 more of the members must come back" in said
    assert "turn of" not in said


def test_one_newer_node_is_told_and_many_show_that_this_one_is_out_of_date():
    """The words are the same on both ends: the peer's when it refuses, our own when we do."""
    words = f"refused by the peer: {OtherWireVersion(WIRE_VERSION + 1, WIRE_VERSION)}"
    (said,) = explain_versions([("h1", words)], one_correct=2)
    assert said.startswith("VERSION_TOO_OLD: newer software runs at h1")
    said = " ".join(explain_versions([("h1", words), ("h2", words)], one_correct=2))
    assert "out of date" in said
    assert len(f"{OtherWireVersion(65_535, 65_534)}".encode()) <= 100, "fits a close frame"


def test_older_nodes_are_named_and_this_one_is_not_blamed():
    words = str(OtherWireVersion(WIRE_VERSION, WIRE_VERSION - 1))
    (said,) = explain_versions([("h1", words), ("h2", words)], one_correct=2)
    assert "Older software runs at h1, h2" in said
    assert "VERSION_TOO_OLD" not in said


def told(offsets, *, epoch=0):
    watch = ClockWatch()
    for proposer, offset in offsets.items():
        watch.on_block(
            epoch=epoch,
            proposer=proposer,
            block_ms=10_000_000,
            parent_ms=9_000_000,
            now_ms=10_000_000 + offset,
        )
    return watch.offset_ms(2)


def test_two_proposers_show_a_wrong_clock_and_the_lesser_figure_counts():
    assert told({1: 3_600_000, 2: 3_500_000}) == 3_500_000
    assert told({1: -3_600_000, 2: -3_700_000}) == -3_600_000


@given(st.integers(-(10**9), 10**9))
def test_one_liar_cannot_make_a_clock_look_wrong(offset):
    assert told({1: offset, 2: 10, 3: -10}) is None


def test_small_differences_and_disagreement_say_nothing():
    assert told({1: TOLERANCE_MS, 2: TOLERANCE_MS}) is None
    assert told({1: 10 * TOLERANCE_MS, 2: -10 * TOLERANCE_MS}) is None


def test_a_block_that_only_counts_up_says_nothing_of_a_clock():
    watch = ClockWatch()
    for proposer in (1, 2):
        watch.on_block(epoch=0, proposer=proposer, block_ms=5, parent_ms=4, now_ms=10**9)
    assert watch.offset_ms(2) is None


def test_a_new_epoch_counts_other_members():
    watch = ClockWatch()
    for epoch, proposer in ((0, 1), (1, 2)):
        watch.on_block(epoch=epoch, proposer=proposer, block_ms=9, parent_ms=1, now_ms=10**9)
    assert watch.offset_ms(2) is None


def test_words_for_a_clock_and_a_disk():
    assert "60 min ahead of" in explain_clock(3_600_000)[0]
    assert "30 s behind" in explain_clock(-30_000)[0]
    assert "1 MB" in explain_disk(1 << 20)[0]
