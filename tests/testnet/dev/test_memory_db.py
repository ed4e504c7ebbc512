"""The database in memory against plyvel, and its marks against copies of a dict."""

import plyvel
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from testnet.dev.memory_db import MemoryDb

KEYS = st.binary(min_size=1, max_size=3).map(lambda key: bytes(b"abu"[each % 3] for each in key))
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.sampled_from([b"1", b"2"])), max_size=4)


class GoesBack(RuleBasedStateMachine):
    """A mark remembers what a copy of all rows would."""

    @initialize()
    def open(self):
        self.db = MemoryDb()
        self.model = {}
        self.marks = []

    @rule(changes=CHANGES)
    def write(self, changes):
        with self.db.write_batch(sync=True, transaction=True) as batch:
            for key, value in changes:
                if value is None:
                    batch.delete(key)
                    self.model.pop(key, None)
                else:
                    batch.put(key, value)
                    self.model[key] = value

    @rule()
    def mark(self):
        self.marks.append((self.db.mark(), dict(self.model)))

    @precondition(lambda self: self.marks)
    @rule(data=st.data())
    def go_back(self, data):
        """As a snapshot does: the mark and all later ones are used up."""
        place = data.draw(st.integers(0, len(self.marks) - 1))
        mark, self.model = self.marks[place]
        self.db.revert(mark)
        for _ in self.marks[place:]:
            self.db.release()
        del self.marks[place:]

    @invariant()
    def rows_agree(self):
        if hasattr(self, "db"):
            assert dict(self.db.rows()) == self.model
            assert all(self.db.get(key) == value for key, value in self.model.items())
            assert self.marks or not self.db._undo, "without a mark nothing is remembered"


TestGoesBack = GoesBack.TestCase


@pytest.mark.parametrize("include_stop", [True, False])
@pytest.mark.parametrize("shown", [{}, {"include_key": False}, {"include_value": False}])
def test_ranges_are_those_of_leveldb(tmp_path, include_stop, shown):
    rows = {bytes([first, second]): bytes([second]) for first in b"abu" for second in range(5)}
    rows[b"a"] = b"whole"
    disk, memory = plyvel.DB(str(tmp_path / "db"), create_if_missing=True), MemoryDb()
    for db in (disk, memory):
        with db.write_batch(sync=True, transaction=True) as batch:
            for key, value in rows.items():
                batch.put(key, value)
    bounds = [b"a", b"a\0", b"a\2", b"b\4", b"c", b"u\2", b"u\xff"]
    for start in bounds:
        for stop in bounds:
            span = {"start": start, "stop": stop, "include_stop": include_stop, **shown}
            with disk.iterator(**span) as theirs, memory.iterator(**span) as ours:
                assert list(ours) == list(theirs), span
    disk.close()


def test_a_batch_that_fails_writes_nothing():
    db = MemoryDb({b"a": b"1"})

    def fail():
        with db.write_batch(sync=True, transaction=True) as batch:
            batch.put(b"a", b"2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert db.get(b"a") == b"1"
