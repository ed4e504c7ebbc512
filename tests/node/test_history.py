"""The state of the recent past: whatever was written, a height reads as it did when it was head."""

import tempfile
from pathlib import Path

import plyvel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.hashing import tagged_hash
from node.errors import HistoryUnavailable, StorageError
from node.storage import history
from node.storage.block_store import ChainStore
from tests.node.test_block_store import GENESIS, block

KEYS = [b"a", b"ab", b"a" + bytes(9), b"\xff" * 8, b"z"]


def write(store, height, changes):
    store.write(block(height, changes=tuple(changes.items())))


def applied(state, changes):
    return {key: value for key, value in (state | changes).items() if value is not None}


def read(store, height):
    past = store.past(height)
    return {key: value for key in KEYS if (value := past.get(key)) is not None}


changes_of_blocks = st.lists(
    st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(min_size=1, max_size=3)),
    min_size=1,
    max_size=24,
)


@pytest.fixture(scope="module", autouse=True)
def _short_generations():
    """Many generations in few blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "GENERATION", 4)
        patch.setattr(history, "SWEEP_MIN", 2)
        yield


@settings(max_examples=25)
@given(blocks=changes_of_blocks, keep=st.integers(0, 12), restart=st.integers(0, 23))
def test_each_height_of_the_window_reads_as_it_did(blocks, keep, restart):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain"
        store = ChainStore(path, GENESIS, history_blocks=keep)
        states = []
        for height, changes in enumerate(blocks):
            write(store, height, changes)
            states.append(applied(states[-1] if states else {}, changes))
            if height == restart:
                store.close()
                store = ChainStore(path, GENESIS, history_blocks=keep)
            oldest = max(0, height - keep)
            assert [read(store, h) for h in range(oldest, height + 1)] == states[oldest:]
            for outside in (oldest - 1, height + 1):
                with pytest.raises(HistoryUnavailable, match="historical state is not available"):
                    store.past(outside)
        store.close()


@settings(max_examples=25)
@given(
    phases=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=5),
    data=st.data(),
)
def test_the_window_may_change_between_two_runs(phases, data):
    """What was not kept is refused, never invented; what is kept is right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain"
        states = []
        for keep, blocks in phases:
            store = ChainStore(path, GENESIS, history_blocks=keep)
            for number in range(blocks):
                changes = data.draw(changes_of_blocks.map(lambda many: many[0]))
                write(store, len(states), changes)
                states.append(applied(states[-1] if states else {}, changes))
                head = len(states) - 1
                for height in range(head + 1):
                    try:
                        found = read(store, height)
                    except HistoryUnavailable:
                        assert height < head - min(keep, number + 1)
                    else:
                        assert height >= head - keep
                        assert found == states[height]
            store.close()


def test_a_state_that_is_held_stays_at_its_height_until_it_is_too_old(tmp_path):
    store = ChainStore(tmp_path / "chain", GENESIS, history_blocks=3)
    write(store, 0, {b"a": b"0"})
    past = store.past(0)
    assert past.get(b"a") == b"0"
    for height in range(1, 4):
        write(store, height, {b"a": b"%d" % height, b"z": b"new"})
        assert past.get(b"a") == b"0"
        assert past.get(b"z") is None
    write(store, 4, {b"a": b"4"})
    with pytest.raises(HistoryUnavailable, match=r"block 0 lies outside the blocks 1\.\.4"):
        past.get(b"a")
    store.close()


def test_rows_that_nobody_needs_are_removed(tmp_path):
    """Of whatever age: at most three generations and a sweep's worth remain."""
    store = ChainStore(tmp_path / "chain", GENESIS, history_blocks=4)
    for height in range(100):
        write(store, height, dict.fromkeys(KEYS, b"%d" % height))
    assert rows(store) <= 3 * 4 * len(KEYS)
    store.close()
    store = ChainStore(tmp_path / "chain", GENESIS, history_blocks=0)
    for height in range(100, 130):
        write(store, height, dict.fromkeys(KEYS, b"%d" % height))
    assert rows(store) == 0
    store.close()


def rows(store):
    with store._db.iterator(prefix=b"u", include_value=False) as keys:
        return sum(1 for _ in keys)


def test_an_error_while_a_batch_is_made_writes_nothing(tmp_path, monkeypatch):
    """plyvel writes the batch of a `with` that raises, unless it is told not to."""
    store = ChainStore(tmp_path / "chain", GENESIS)
    write(store, 0, {b"a": b"0"})

    def fail(*_):
        raise plyvel.IOError("as asked")

    monkeypatch.setattr(store._history, "_sweep", fail)
    with pytest.raises(StorageError, match="as asked"):
        write(store, 1, {b"a": b"1"})
    assert (store.head[0], store.get(b"a"), store.body(1)) == (0, b"0", None)
    assert rows(store) == 0
    store.close()


def test_a_torn_last_batch_takes_its_rows_along(tmp_path):
    store = ChainStore(tmp_path / "chain", GENESIS)
    for height in range(5):
        write(store, height, {b"a": b"%d" % height})
    store.close()
    log = max((tmp_path / "chain").glob("*.log"))
    log.write_bytes(log.read_bytes()[:-1])
    store = ChainStore(tmp_path / "chain", GENESIS)
    assert store.head == (3, tagged_hash(b"test/block", (3).to_bytes(8, "big")))
    assert [read(store, height)[b"a"] for height in range(4)] == [b"0", b"1", b"2", b"3"]
    with pytest.raises(HistoryUnavailable):
        store.past(4)
    store.close()
