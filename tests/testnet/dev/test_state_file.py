"""A dumped chain: one encoding, refused by the field's name, and the same chain when loaded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import codec
from testnet.dev.decrees import impersonate
from testnet.dev.errors import BadState
from testnet.dev.state_file import DumpedState
from tests.testnet.dev.rig import Rig, observed

PAIRS = st.dictionaries(
    st.binary(min_size=1, max_size=4).filter(lambda key: key[:1] != b"n"), st.binary(max_size=4)
).map(lambda rows: tuple(sorted(rows.items())))
SENDERS = st.dictionaries(
    st.binary(min_size=32, max_size=32), st.binary(min_size=20, max_size=20), max_size=3
).map(lambda rows: tuple(sorted(rows.items())))
STATES = st.builds(
    DumpedState,
    genesis_hash=st.binary(min_size=32, max_size=32),
    time_ms=st.integers(0, 2**53 - 1),
    rows=PAIRS,
    pool=st.lists(st.tuples(st.binary(max_size=4), st.binary(min_size=20, max_size=20))).map(tuple),
    senders=SENDERS,
)


@given(STATES)
def test_a_state_is_read_as_it_was_written(state):
    assert DumpedState.from_bytes(state.to_bytes()) == state


@given(STATES, st.data())
def test_what_is_accepted_has_that_encoding(state, data):
    raw = bytearray(state.to_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        read = DumpedState.from_bytes(bytes(raw))
    except BadState:
        return
    assert read.to_bytes() == bytes(raw)


def busy():
    rig = Rig()
    rig.send(to=rig.deploy())
    impersonate(rig.dev, b"\x11" * 20)
    rig.dev.increase_time(1_000)
    rig.dev.is_automine = False
    rig.send(sender=2, to=b"\x01" * 20)
    return rig


def test_a_loaded_chain_is_the_dumped_one_and_goes_on_alike():
    first, second = busy(), Rig()
    old = second.dev.snapshot()
    second.dev.load(DumpedState.from_bytes(first.dev.dump().to_bytes()))
    parts = ("rows", "head", "reading", "waiting", "records", "members")
    seen, wanted = observed(second.dev), observed(first.dev)
    assert {part: seen[part] for part in parts} == {part: wanted[part] for part in parts}
    assert not second.dev.revert(old), "snapshots of the chain before are void"
    assert second.dev.mine() == first.dev.mine()


def without_a_value(rows):
    place = next(i for i, (key, _) in enumerate(rows) if key[:1] == b"s")
    return rows[:place] + rows[place + 1 :]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda dump: replace(dump, genesis_hash=bytes(32)), "state.genesis"),
        (lambda dump: replace(dump, rows=without_a_value(dump.rows)), "state.rows"),
        (lambda dump: replace(dump, rows=()), "state.rows"),
        (lambda dump: replace(dump, pool=((b"\x02", bytes(20)),)), "state.pool"),
    ],
)
def test_a_state_that_is_no_chain_changes_nothing(change, field):
    rig, other = busy(), Rig()
    before = observed(other.dev)
    with pytest.raises(BadState) as refused:
        other.dev.load(change(rig.dev.dump()))
    assert refused.value.field == field
    assert observed(other.dev) == before


def test_a_changed_value_is_found_out_by_the_state_root():
    """The tree is made anew from the values, so a value that was altered has another root."""
    dump = busy().dev.dump()
    place = next(i for i, (key, _) in enumerate(dump.rows) if key[:1] == b"s")
    key, value = dump.rows[place]
    rows = (
        *dump.rows[:place],
        (key, value[:-1] + bytes((value[-1] ^ 1,))),
        *dump.rows[place + 1 :],
    )
    with pytest.raises(BadState, match="does not belong to head block"):
        Rig().dev.load(replace(dump, rows=rows))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[b"b", b""], [b"a", b""]], "ascend"),
        ([[b"n", b""]], "no node of the tree"),
        ([[b"", b""]], "no node of the tree"),
        ([[b"a"]], "2 items"),
    ],
)
def test_rows_are_read_strictly(rows, says):
    fields = {"version": 1, "genesis": bytes(32), "time_ms": 0, "pool": [], "senders": []}
    with pytest.raises(BadState, match=says):
        DumpedState.from_bytes(codec.encode({**fields, "rows": rows}))
    with pytest.raises(BadState, match=r"state\.version"):
        DumpedState.from_bytes(codec.encode({**fields, "rows": [], "version": 2}))
