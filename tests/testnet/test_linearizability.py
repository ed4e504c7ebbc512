"""The search, against all orders there are, and against histories that cannot be."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testnet import linearizability
from testnet.linearizability import Operation, Undecided, find_order


def register(state, action):
    """The model of a register: ("write", v) sets it, ("read", v) answers v."""
    kind, value = action
    if kind == "write":
        return value
    return state if state == value else None


def is_linearizable(operations):
    return find_order(operations, 0, register).is_complete


def explains(operations, order):
    """Whether an order of some operations, all certain ones among them, is one that may be."""
    certain = {i for i, op in enumerate(operations) if op.is_certain}
    if not certain <= set(order) or len(set(order)) < len(order):
        return False
    left = set(range(len(operations)))
    state, place = 0, None
    for index in order:
        op = operations[index]
        left.discard(index)
        for other in (operations[i] for i in left):
            if other.answered is not None and other.answered < op.invoked:
                return False
        if op.place is not None:
            if place is not None and op.place < place:
                return False
            place = op.place
        state = register(state, op.action)
        if state is None:
            return False
    return True


def any_order(operations):
    """Try all: what the search must agree with. Whatever is certain is in the order."""
    certain = [i for i, op in enumerate(operations) if op.is_certain]
    maybe = [i for i, op in enumerate(operations) if not op.is_certain]
    subsets = [
        certain + [index for bit, index in enumerate(maybe) if chosen >> bit & 1]
        for chosen in range(1 << len(maybe))
    ]
    return any(explains(operations, order) for some in subsets for order in permutations(some))


actions = st.tuples(st.sampled_from(["write", "read"]), st.integers(0, 2))


@st.composite
def operation(draw):
    action = draw(actions)
    invoked = draw(st.integers(0, 12))
    answered = invoked + draw(st.integers(0, 6))
    if action[0] == "write" and draw(st.booleans()):
        answered = None  # Nobody saw it end: it may have happened, or did elsewhere.
    is_certain = answered is not None or draw(st.booleans())
    place = draw(st.none() | st.integers(0, 4)) if is_certain else None
    return Operation(
        action=action, invoked=invoked, answered=answered, is_certain=is_certain, place=place
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(operation(), max_size=5))
def test_the_search_finds_an_order_exactly_if_there_is_one(operations):
    found = find_order(operations, 0, register)
    assert found.is_complete == any_order(operations)
    if found.is_complete:
        assert explains(operations, found.done)
        assert not found.stuck


def op(kind, value, invoked, answered, **more):
    return Operation(action=(kind, value), invoked=invoked, answered=answered, **more)


def test_a_stale_read_after_an_answered_write_is_refused():
    write = op("write", 1, 0, 1)
    assert not is_linearizable([write, op("read", 0, 2, 3)])
    assert is_linearizable([write, op("read", 0, 1, 3)]), "both at the same time: either order"


def test_reads_never_go_back():
    write = op("write", 1, 0, 10)
    assert is_linearizable([write, op("read", 0, 1, 2), op("read", 1, 3, 4)])
    assert not is_linearizable([write, op("read", 1, 1, 2), op("read", 0, 3, 4)])


def test_an_unanswered_write_may_happen_late_or_never():
    write = op("write", 1, 0, None, is_certain=False)
    assert is_linearizable([write, op("read", 0, 5, 6), op("read", 1, 7, 8)])
    assert is_linearizable([write, op("read", 0, 5, 6)])
    assert not is_linearizable([write, op("read", 1, 5, 6), op("read", 0, 7, 8)])


def test_what_is_stuck_is_named():
    """By the index that the caller knows."""
    history = [op("read", 7, 4, 5), op("write", 1, 0, 1), op("write", 2, 2, 3)]
    found = find_order(history, 0, register)
    assert (found.is_complete, found.done, found.stuck) == (False, (1, 2), (0,))


def test_places_must_agree_with_time():
    first, second = op("write", 1, 0, 1, place=5), op("write", 2, 2, 3, place=4)
    assert not is_linearizable([first, second])


def test_a_long_history_takes_no_recursion_and_little_search(monkeypatch):
    length = 3_000
    monkeypatch.setattr(linearizability, "CONFIGURATIONS_MAX", 2 * length + 2)
    history = [op("write", i, 10 * i, 10 * i + 15) for i in range(length)]
    history += [op("read", i, 10 * i + 6, 10 * i + 12) for i in range(length)]
    found = find_order(history, 0, register)
    assert found.is_complete
    assert len(found.done) == 2 * length


def test_too_large_a_search_is_no_answer(monkeypatch):
    monkeypatch.setattr(linearizability, "CONFIGURATIONS_MAX", 100)
    history = [op("write", i, 0, 100) for i in range(12)] + [op("read", 99, 200, 201)]
    with pytest.raises(Undecided):
        find_order(history, 0, register)


def test_an_operation_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="answered at 1, before its call at 2"):
        op("read", 0, 2, 1)
    with pytest.raises(ValueError, match="place 3"):
        op("write", 0, 2, None, is_certain=False, place=3)
