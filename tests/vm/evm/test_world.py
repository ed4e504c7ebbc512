"""The overlay of one transaction: whatever is done can be undone, and the net changes are right."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from tests.vm.evm.machine import State
from vm.evm.world import EMPTY_CODE_HASH, AccountState, World
from vm.receipt import Log

ADDRESSES = [bytes([n]) * 20 for n in range(1, 5)]
addresses = st.sampled_from(ADDRESSES)
slots = st.integers(0, 2)
small = st.integers(0, 3)

steps = st.one_of(
    st.tuples(st.just("set_nonce"), addresses, small),
    st.tuples(st.just("add_balance"), addresses, small),
    st.tuples(st.just("touch"), addresses),
    st.tuples(st.just("set_code"), addresses, st.binary(max_size=2)),
    st.tuples(st.just("set_storage"), addresses, slots, small),
    st.tuples(st.just("set_transient"), addresses, slots, small),
    st.tuples(st.just("warm_address"), addresses),
    st.tuples(st.just("warm_slot"), addresses, slots),
    st.tuples(st.just("create"), addresses),
    st.tuples(st.just("log"), addresses),
    st.tuples(st.just("refund"), small),
)
scripts = st.recursive(
    st.lists(steps, max_size=6),
    lambda inner: st.tuples(
        st.lists(steps, max_size=4), inner, st.booleans(), st.lists(steps, max_size=4)
    ),
    max_leaves=6,
)


def base() -> State:
    state = State()
    state.put(ADDRESSES[0], code=b"\x00", nonce=1, balance=5, storage={0: 1, 1: 2})
    state.put(ADDRESSES[1], balance=1)
    return state


def do(world: World, step) -> None:
    name, *arguments = step
    match name:
        case "log":
            world.logs.append(Log(arguments[0], (), b""))
        case "refund":
            world.refund += arguments[0]
        case _:
            getattr(world, name)(*arguments)
            if name == "create":
                world.destroy(*arguments)


def seen(world: World):
    """Everything that can be read from the world, warmth included."""
    accounts = [
        (
            world.account(address) if not world.is_empty(address) else None,
            world.code(address),
            world.is_created(address),
            [world.storage(address, slot) for slot in range(3)],
            [world.original_storage(address, slot) for slot in range(3)],
            [world.transient(address, slot) for slot in range(3)],
        )
        for address in ADDRESSES
    ]
    warm = copy.deepcopy(world).warm_address
    cold = [warm(address) for address in ADDRESSES]
    return accounts, cold, list(world.logs), world.refund, world.changes()


def play(world: World, script) -> None:
    """Run steps; an inner script that is to be undone must leave no trace."""
    if isinstance(script, list):
        for step in script:
            do(world, step)
        return
    before, inner, is_kept, after = script
    for step in before:
        do(world, step)
    was = seen(world)
    mark = world.snapshot()
    play(world, inner)
    if not is_kept:
        world.revert(mark)
        assert seen(world) == was
    for step in after:
        do(world, step)


@given(scripts)
def test_undoing_leaves_no_trace_at_any_depth(script):
    world = World(base())
    untouched = seen(world)
    mark = world.snapshot()
    play(world, script)
    world.revert(mark)
    assert seen(world) == untouched
    assert world.changes().accounts == {}


@given(st.lists(steps, max_size=12))
def test_changes_bring_the_base_to_what_the_world_shows(script):
    world = World(base())
    for step in script:
        if step[0] != "create":
            do(world, step)
    state = base()
    state.apply(world.changes())
    fresh = World(state)
    for address in ADDRESSES:
        assert fresh.is_empty(address) == world.is_empty(address)
        if not world.is_empty(address):
            assert fresh.account(address) == world.account(address)
            assert fresh.code(address) == world.code(address)
        for slot in range(3):
            assert fresh.storage(address, slot) == world.storage(address, slot)


def test_what_is_written_and_written_back_is_no_change():
    world = World(base())
    world.set_storage(ADDRESSES[0], 0, 9)
    world.set_storage(ADDRESSES[0], 0, 1)
    world.add_balance(ADDRESSES[0], 3)
    world.add_balance(ADDRESSES[0], -3)
    changes = world.changes()
    assert (changes.accounts, changes.codes, changes.storage) == ({}, {}, {})


def test_an_empty_account_goes_only_when_it_is_touched():
    """EIP-161."""
    state = State()
    state.put(ADDRESSES[0])
    state.put(ADDRESSES[1])
    world = World(state)
    world.touch(ADDRESSES[0])
    assert world.changes().accounts == {ADDRESSES[0]: None}


def test_a_destroyed_contract_leaves_neither_code_nor_storage():
    """EIP-6780."""
    world = World(State())
    world.create(ADDRESSES[0])
    world.set_code(ADDRESSES[0], b"\x00")
    world.set_storage(ADDRESSES[0], 1, 1)
    world.destroy(ADDRESSES[0])
    changes = world.changes()
    assert (changes.accounts, changes.codes, changes.storage) == ({}, {}, {})


def test_storage_of_a_contract_of_this_transaction_was_zero_before():
    state = State(words={(ADDRESSES[0], 1): 5})
    world = World(state)
    world.create(ADDRESSES[0])
    assert world.original_storage(ADDRESSES[0], 1) == 0


def test_an_address_is_taken_by_nonce_code_or_storage():
    """EIP-684 and EIP-7610."""
    code_hash = b"\x01" * 32
    taken = [AccountState(1, 0, EMPTY_CODE_HASH), AccountState(0, 0, code_hash)]
    taken.append(AccountState(0, 0, EMPTY_CODE_HASH, has_storage=True))
    for account in taken:
        assert World(State(accounts={ADDRESSES[0]: account})).is_taken(ADDRESSES[0])
    rich = AccountState(0, 10, EMPTY_CODE_HASH)
    assert not World(State(accounts={ADDRESSES[0]: rich})).is_taken(ADDRESSES[0])
    assert not World(State()).is_taken(ADDRESSES[0])


def test_warmth_given_to_the_whole_transaction_is_not_undone():
    world = World(State())
    mark = world.snapshot()
    world.warm_up([ADDRESSES[0]])
    world.revert(mark)
    assert not world.warm_address(ADDRESSES[0])
