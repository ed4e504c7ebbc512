"""The queue against a sorted list."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vm import deadlines
from vm.errors import Revert
from vm.state import Journal

CONTRACT = b"\x07" * 20


class QueueMatchesSortedList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.journal = Journal({})
        self.model = []
        self.entries = 0

    @rule(time_ms=st.integers(0, 20) | st.integers(0, 2**63 - 1), payload=st.binary(max_size=64))
    def schedule(self, time_ms, payload):
        deadlines.schedule(self.journal, time_ms, CONTRACT, payload)
        self.model.append((time_ms, self.entries, payload))
        self.model.sort()
        self.entries += 1

    @precondition(lambda self: self.model)
    @rule()
    def take(self):
        time_ms, _, payload = self.model.pop(0)
        assert deadlines.take(self.journal) == deadlines.Deadline(time_ms, CONTRACT, payload)

    @rule()
    def schedule_and_undo(self):
        before = self.journal.changes()
        mark = self.journal.snapshot()
        deadlines.schedule(self.journal, 3, CONTRACT, b"undone")
        deadlines.take(self.journal)
        self.journal.revert(mark)
        assert self.journal.changes() == before

    @invariant()
    def the_next_is_the_smallest(self):
        expected = self.model[0][0] if self.model else None
        assert deadlines.next_due(self.journal) == expected

    @invariant()
    def an_empty_queue_keeps_its_counters_only(self):
        if not self.model:
            assert len(self.journal.changes()) <= 1


TestQueue = QueueMatchesSortedList.TestCase


def test_the_queue_is_bounded(monkeypatch):
    monkeypatch.setattr(deadlines, "DEADLINES_MAX", 2)
    journal = Journal({})
    deadlines.schedule(journal, 1, CONTRACT, b"")
    deadlines.schedule(journal, 1, CONTRACT, b"")
    with pytest.raises(Revert, match="DEADLINES_FULL"):
        deadlines.schedule(journal, 1, CONTRACT, b"")


@pytest.mark.parametrize("time_ms", [-1, 2**63])
def test_a_time_out_of_range_reverts(time_ms):
    with pytest.raises(Revert, match="BAD_DEADLINE"):
        deadlines.schedule(Journal({}), time_ms, CONTRACT, b"")


def test_a_payload_is_at_most_64_bytes():
    with pytest.raises(AssertionError):
        deadlines.schedule(Journal({}), 1, CONTRACT, bytes(65))
