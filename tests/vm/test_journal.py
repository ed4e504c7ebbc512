"""The journal against a list of dicts."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vm.state import Journal

KEYS = st.sampled_from([b"a", b"b", b"c"])  # Few, so that writes collide.
VALUES = st.sampled_from([None, b"", b"0", b"1", b"2"])


class JournalMatchesDicts(RuleBasedStateMachine):
    @initialize(base=st.dictionaries(KEYS, st.just(b"0")))
    def open(self, base):
        self.base = dict(base)
        self.journal = Journal(base)
        self.now = dict(base)
        self.marks = []

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.journal.put(key, value)
        self.now.pop(key, None)
        if value:
            self.now[key] = value

    @rule()
    def snapshot(self):
        self.marks.append((self.journal.snapshot(), dict(self.now)))

    @rule(data=st.data())
    def revert(self, data):
        if self.marks:
            index = data.draw(st.integers(0, len(self.marks) - 1))
            mark, self.now = self.marks[index]
            self.now = dict(self.now)
            del self.marks[index + 1 :]
            self.journal.revert(mark)

    @invariant()
    def reads_agree(self):
        if hasattr(self, "now"):
            for key in (b"a", b"b", b"c"):
                assert self.journal.get(key) == self.now.get(key)

    @invariant()
    def changes_are_net_sorted_and_rebuild_the_state(self):
        if hasattr(self, "now"):
            changes = self.journal.changes()
            assert changes == sorted(changes)
            rebuilt = dict(self.base)
            for key, value in changes:
                assert rebuilt.get(key) != value
                rebuilt.pop(key, None)
                if value is not None:
                    rebuilt[key] = value
            assert rebuilt == self.now


TestJournal = JournalMatchesDicts.TestCase


def test_the_base_is_read_once_for_each_key():
    class Counting(dict):
        reads = 0

        def get(self, key, default=None):
            Counting.reads += 1
            return super().get(key, default)

    journal = Journal(Counting({b"a": b"1"}))
    for _ in range(3):
        assert journal.get(b"a") == b"1"
    journal.put(b"a", b"1")
    assert journal.changes() == []
    assert Counting.reads == 1


def test_a_mark_of_what_was_undone_is_refused():
    journal = Journal({})
    journal.put(b"a", b"1")
    mark = journal.snapshot()
    journal.revert(0)
    with pytest.raises(AssertionError):
        journal.revert(mark)
