"""`CallContext.add_int` against `get_int` and `put_int`: one look-up, and nothing else differs."""

from hypothesis import given
from hypothesis import strategies as st

from tests.vm.test_native import context
from vm.errors import Revert

FEW_KEYS = st.sampled_from([b"", b"a", b"a" * 64, b"a" * 65])
NUMBERS = st.one_of(st.integers(0, 3), st.integers(0, 2**256))
STEPS = st.one_of(
    st.tuples(st.just("add"), FEW_KEYS, st.one_of(NUMBERS, NUMBERS.map(int.__neg__))),
    st.tuples(st.just("get"), FEW_KEYS, st.just(0)),
    st.tuples(st.just("put"), FEW_KEYS, NUMBERS),
)


def add_in_two_steps(ctx, key, change):
    total = ctx.get_int(key) + change
    if total >= 0:
        ctx.put_int(key, total)
    return total


def follow(steps, add, gas_limit):
    """Return what a contract sees of the steps, then the gas left, the state, and the refusal."""
    run, ctx = context(gas_limit=gas_limit)
    seen = []
    try:
        for what, key, number in steps:
            if what == "add":
                seen.append(add(ctx, key, number))
            elif what == "get":
                seen.append(ctx.get_int(key))
            else:
                ctx.put_int(key, number)
            seen.append(run.gas_left)
    except Revert as revert:
        return seen, run.gas_left, str(revert)
    return seen, run.gas_left, run.journal.changes()


@given(st.lists(STEPS, max_size=8), st.integers(0, 120_000))
def test_adding_is_reading_and_writing(steps, gas_limit):
    def at_once(ctx, key, change):
        return ctx.add_int(key, change)

    assert follow(steps, at_once, gas_limit) == follow(steps, add_in_two_steps, gas_limit)
