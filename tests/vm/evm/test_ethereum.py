"""Ethereum's rules around a message, which the chain itself does not have."""

from dataclasses import replace

import pytest

from tests.vm.evm.machine import (
    COINBASE,
    CONTRACT,
    SENDER,
    State,
    asm,
    environment,
    state_with,
)
from vm.evm.ethereum import EthTransaction, Invalid, apply, intrinsic_gas
from vm.evm.world import World

RICH = 10**18
ENV = environment(base_fee=10)
TX = EthTransaction(
    sender=SENDER, nonce=1, to=CONTRACT, value=0, data=b"", gas_limit=100_000, gas_price=15
)


def rich_state(code: bytes = b"", **more: object) -> State:
    return state_with(code, **more).put(SENDER, balance=RICH, nonce=1)


def test_the_sender_pays_the_coinbase_earns_the_tip_the_base_fee_is_burnt():
    world = World(rich_state())
    outcome = apply(world, ENV, replace(TX, value=7))
    assert (outcome.status, outcome.gas_used) == (1, 21_000)
    assert world.balance(SENDER) == RICH - 21_000 * 15 - 7
    assert world.balance(COINBASE) == 21_000 * 5
    assert world.nonce(SENDER) == 2


def test_a_dynamic_fee_pays_base_and_tip_up_to_the_cap():
    """EIP-1559."""
    for cap, tip, price in ((100, 3, 13), (12, 3, 12), (10, 0, 10)):
        world = World(rich_state())
        apply(world, ENV, replace(TX, gas_price=None, max_fee=cap, max_priority=tip))
        assert world.balance(SENDER) == RICH - 21_000 * price


def test_refunds_are_at_most_a_fifth():
    """EIP-3529."""
    code = asm(*["PUSH0", 1, "SSTORE", "PUSH0", 2, "SSTORE", "PUSH0", 3, "SSTORE"])
    state = rich_state(code, storage={1: 1, 2: 1, 3: 1})
    outcome = apply(World(state), ENV, TX)
    spent = 21_000 + 3 * (2 + 3 + 5_000)
    assert outcome.gas_used == spent - spent // 5


def test_a_failed_transaction_costs_all_and_a_reverted_one_what_it_used():
    for code, status in ((asm("INVALID"), 0), (asm("PUSH0 PUSH0 REVERT"), 2)):
        world = World(rich_state(code))
        outcome = apply(world, ENV, TX)
        assert outcome.status == status
        assert outcome.gas_used == (100_000 if status == 0 else 21_004)
        assert (world.nonce(SENDER), outcome.logs) == (2, ())


def test_intrinsic_gas():
    """Yellow Paper, section 6.2; EIP-2028, 2930, 3860."""
    assert intrinsic_gas(replace(TX, data=b"\0\1")) == 21_000 + 4 + 16
    assert intrinsic_gas(replace(TX, to=None, data=bytes(33))) == 53_000 + 33 * 4 + 2 * 2
    listed = replace(TX, access_list=((CONTRACT, (1, 2)), (SENDER, ())))
    assert intrinsic_gas(listed) == 21_000 + 2 * 2_400 + 2 * 1_900


def test_an_access_list_warms():
    code = asm(1, "SLOAD POP")
    cold = apply(World(rich_state(code)), ENV, TX).gas_used
    listed = replace(TX, access_list=((CONTRACT, (1,)),))
    assert apply(World(rich_state(code)), ENV, listed).gas_used == cold + 4_300 - 2_000


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": 0},
        {"nonce": 2},
        {"gas_limit": 20_999},
        {"gas_limit": 30_000_001},
        {"gas_price": 9},
        {"value": RICH},
        {"gas_price": RICH},
        {"gas_price": None, "max_fee": 9, "max_priority": 1},
        {"gas_price": None, "max_fee": 11, "max_priority": 12},
        {"gas_price": None},
        {"sender": CONTRACT},
        {"to": None, "data": bytes(49_153), "gas_limit": 1_000_000},
    ],
)
def test_an_invalid_transaction_changes_nothing(change):
    state = rich_state(b"\x00").put(CONTRACT, code=b"\x00", nonce=1, balance=RICH)
    world = World(state)
    with pytest.raises(Invalid):
        apply(world, ENV, replace(TX, **change))
    assert world.changes().accounts == {}
