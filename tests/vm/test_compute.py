"""The second meter: how long a block takes is bounded, whatever bytecode does."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vm.chain import MEMBERS, TOY, call_data, chain, genesis, key
from tests.vm.programs import POP, SLOAD, call, count, deploy, invalid, loop, push
from tests.vm.test_execute import apply, refusal
from vm import gas
from vm.block import Block
from vm.context import Run
from vm.contract_state import storage_at
from vm.errors import (
    BlockReason,
    CallReverted,
    GenesisError,
    InvalidBlock,
    InvalidTransaction,
    TxReason,
)
from vm.execute import Meters, apply_transaction
from vm.questions import at_once
from vm.state import Journal

ALICE, BOB = MEMBERS[:2]
CAP = gas.tx_compute_limit(gas.BLOCK_COMPUTE_LIMIT)
HEAVY_GAS = 400_000
"""Gas with which a loop ends by itself below the cap."""


def computed(c, tx, compute_before=0):
    machine, journal = c.machine, Journal(c.state)
    info = machine._info(c.head.number + 1, c.head.time_ms + 1, c.head.hash)
    before = Meters(gas=0, compute=compute_before)
    return apply_transaction(machine._host, journal, info, tx, before=before)


def with_loop(**changes):
    c = chain(quota_gas=10**12, **changes)
    return c, deploy(c, count, loop)


def test_an_infinite_loop_is_cut():
    """Long before its gas is used up; the whole of it is charged, as when gas runs out."""
    c, address = with_loop()
    (receipt,) = c.seal(c.send(ALICE, to=address, gas_limit=9_000_000))
    assert (receipt.status, receipt.gas_used, receipt.logs) == (0, 9_000_000, ())
    assert storage_at(c.state, address, 0) == 0
    assert computed(c, c.send(ALICE, to=address, gas_limit=9_000_000)).compute == CAP
    result = c.call(address, gas_limit=9_000_000)
    assert (result.status, result.error) == (0, "out of gas")
    with pytest.raises(CallReverted) as caught:
        at_once(c.machine.estimate_gas(c.head, c.state, sender=ALICE.address, to=address, data=b""))
    assert (caught.value.error, caught.value.output) == ("out of gas", b"")


def test_a_cut_ends_every_frame():
    """Else a contract could catch it and go on: the limit would be no limit."""
    c, address = with_loop()
    outer = deploy(c, call(address), count)
    (receipt,) = c.seal(c.send(ALICE, to=outer, gas_limit=9_000_000))
    assert (receipt.status, receipt.gas_used) == (0, 9_000_000)
    assert storage_at(c.state, outer, 0) == 0


def test_native_gas_counts_in_part():
    """400 gas of a native take a microsecond, as 10 units of compute."""
    c = chain()
    applied = computed(c, c.tx(ALICE, "burnGas(uint256)", 4_000_000, gas_limit=5_000_000))
    used = applied.receipt.gas_used - gas.intrinsic_gas(
        c.tx(ALICE, "burnGas(uint256)", 4_000_000, gas_limit=5_000_000)
    )
    assert applied.compute == used // 40
    assert 4_000_000 < used < 4_010_000
    burning = deploy(c, call(TOY, call_data("burnGas(uint256)", 4_000_000), must=True))
    inside = computed(c, c.send(ALICE, to=burning, gas_limit=5_000_000))
    assert inside.receipt.status == 1
    assert applied.compute <= inside.compute < applied.compute + 3_000
    assert computed(c, c.tx(ALICE, None)).compute == 0


def test_what_does_not_fit_waits_for_the_next_block():
    """No receipt: behind fewer others it would have succeeded."""
    c, address = with_loop()
    heavy = [
        c.send(signer, to=address, gas_limit=HEAVY_GAS) for signer in (*MEMBERS[:3], MEMBERS[3])
    ]
    built = c.build(heavy)
    assert built.block.transactions == tuple(tx.raw for tx in heavy[:2])
    assert built.dropped == ()
    c.apply(built.execution)
    assert {receipt.gas_used for receipt in built.execution.receipts} == {HEAVY_GAS}
    assert len(c.seal(*heavy[2:])) == 2


def test_a_transaction_that_does_not_fit_changes_nothing():
    c, address = with_loop()
    heavy = c.send(ALICE, to=address, gas_limit=HEAVY_GAS)
    used = computed(c, heavy).compute
    assert HEAVY_GAS * 8 // 10 < used < CAP
    limit = gas.BLOCK_COMPUTE_LIMIT
    assert computed(c, heavy, compute_before=limit - used - 1).compute == used
    journal = Journal(c.state)
    machine = c.machine
    info = machine._info(c.head.number + 1, c.head.time_ms + 1, c.head.hash)
    with pytest.raises(InvalidTransaction, match="exceeds block compute limit"):
        apply_transaction(
            machine._host, journal, info, heavy, before=Meters(compute=limit - used + 1)
        )
    assert journal.changes() == []


def test_natives_do_not_fit_either_where_nothing_is_left():
    c = chain()
    tx = c.tx(ALICE, "transfer(address,uint256)", BOB.address, 1)
    full = gas.BLOCK_COMPUTE_LIMIT
    assert refusal(c, tx, compute_before=full) == (TxReason.EXCEEDS_BLOCK_COMPUTE, "tx.data")
    assert apply(c, Journal(c.state), tx, compute_before=full - 2_000).status == 1
    assert apply(c, Journal(c.state), c.tx(ALICE, None, to=BOB.address), compute_before=full).status


def test_a_block_above_the_limit_is_invalid():
    c, address = with_loop()
    heavy = [c.send(signer, to=address, gas_limit=HEAVY_GAS) for signer in MEMBERS[:3]]
    built = c.build(heavy)
    block = Block(built.block.header, tuple(tx.raw for tx in heavy))
    with pytest.raises(InvalidBlock) as caught:
        c.execute(block)
    assert caught.value.reason is BlockReason.INVALID_TRANSACTION
    assert caught.value.field == "transactions[2].data"
    assert "exceeds block compute limit" in caught.value.message


def test_a_builder_gives_up_before_it_has_wasted_more_than_half_a_block():
    """Else a pool full of heavy transactions would stop the proposer: each must be tried."""
    c, address = with_loop()
    signers = [key(500 + number) for number in range(40)]
    register = "register(address)"
    c.seal(*(c.tx(ALICE, register, s.address, nonce=1 + n) for n, s in enumerate(signers)))
    tried = []

    def candidates():
        for signer in signers:
            tried.append(signer)
            yield c.send(signer, to=address, gas_limit=HEAVY_GAS)

    built = c.build(candidates())
    assert len(built.block.transactions) == 2
    one = computed(c, c.send(signers[5], to=address, gas_limit=HEAVY_GAS)).compute
    rest = gas.BLOCK_COMPUTE_LIMIT - 2 * one
    assert len(tried) <= 2 + CAP // rest + 2
    assert len(tried) < len(signers)


def test_every_transaction_fits_behind_the_deadlines():
    """Otherwise one could wait for ever."""
    with pytest.raises(GenesisError) as caught:
        genesis(block_compute_limit=499_999)
    assert caught.value.field == "block_compute_limit"
    for limit in (500_000, 1_000_000):
        made = genesis(block_compute_limit=limit)
        deadlines = gas.native_compute(gas.deadline_gas(made.block_gas_limit))
        native = gas.native_compute(gas.tx_gas_limit(made.block_gas_limit))
        assert deadlines + max(native, gas.tx_compute_limit(limit)) <= limit


# The bad inputs of the specification: each ends in the standard error, within the limit.

MSTORE, CALLDATACOPY, KECCAK256, EXP, EXTCODECOPY, RETURN = 0x52, 0x37, 0x20, 0x0A, 0x3C, 0xF3


def raw(*parts):
    code = b"".join(part if isinstance(part, bytes) else bytes((part,)) for part in parts)
    return lambda _at: code


@pytest.mark.parametrize(
    ("name", "statements", "error"),
    [
        ("memory bomb", [raw(push(1), push(2**63), MSTORE)], "out of gas"),
        ("memory bomb, paid for", [raw(push(1), push(2**24), MSTORE)], "out of gas"),
        ("copy bomb", [raw(push(2**40), push(0), push(0), CALLDATACOPY)], "out of gas"),
        ("hash bomb", [raw(push(2**40), push(0), KECCAK256)], "out of gas"),
        ("invalid", [count, invalid], "invalid opcode: INVALID"),
        ("no opcode", [raw(0x0C)], "invalid opcode: opcode 0xc not defined"),
        ("underflow", [raw(0x01)], "stack underflow (0 <=> 2)"),
        ("bad jump", [raw(push(0), 0x56)], "invalid jump destination"),
        ("return bomb", [raw(push(2**40), push(0), RETURN)], "out of gas"),
    ],
)
def test_bad_programs_end_in_the_standard_error(name, statements, error):
    c = chain()
    address = deploy(c, count, *statements)
    result = c.call(address, gas_limit=9_000_000)
    assert (result.status, result.gas_used) == (0, 9_000_000), name
    assert result.error.startswith(error.split(":")[0]), result.error
    (receipt,) = c.seal(c.send(ALICE, to=address, gas_limit=2_000_000))
    assert (receipt.status, receipt.gas_used, receipt.output) == (0, 2_000_000, b"")
    assert storage_at(c.state, address, 0) == 0


def test_calls_nest_as_deep_as_their_gas_allows():
    """No Python recursion: 63 of 64 parts go on, so the gas ends it before depth 1,024."""
    c = chain(quota_gas=10**12)
    address = deploy(c, count, call(None))
    (receipt,) = c.seal(c.send(ALICE, to=address, gas_limit=10_000_000))
    assert receipt.status == 1
    depth = storage_at(c.state, address, 0)
    assert len(receipt.logs) == depth > 200


def test_re_entry_counts_every_time():
    """A contract that calls a native and itself: what is undone is undone, what is not counts."""
    c = chain()
    transfer = call(TOY, call_data("transfer(address,uint256)", BOB.address, 1), must=True)
    address = deploy(c, count, transfer, call(None))
    c.seal(c.tx(ALICE, "transfer(address,uint256)", address, 5))
    (receipt,) = c.seal(c.send(ALICE, to=address, gas_limit=3_000_000))
    assert receipt.status == 1
    assert storage_at(c.state, address, 0) == 5  # The sixth has no tokens and takes itself back.
    assert [log.address for log in receipt.logs] == [address, TOY] * 5


def test_huge_init_code_costs_what_it_costs():
    c = chain(quota_gas=10**12)
    data = b"\x5b" * 49_152  # JUMPDEST: the longest scan.
    tx = c.send(ALICE, data, gas_limit=2_000_000)
    applied = computed(c, tx)
    assert applied.receipt.status == 1
    assert applied.compute > 4 * len(data)
    assert applied.receipt.gas_used > 53_000 + 16 * len(data) + 2 * 1536


# What costs no gas, or is done before its price is known.


def test_a_native_runs_no_longer_than_the_block_has_compute(monkeypatch):
    """It was run to its end, and then undone."""
    c = chain()
    tx = c.tx(ALICE, "burnGas(uint256)", 4_000_000, gas_limit=5_000_000)
    charged = []
    charge = Run.charge
    monkeypatch.setattr(
        Run, "charge", lambda run, amount: charged.append(run.gas_left) or charge(run, amount)
    )
    full = gas.BLOCK_COMPUTE_LIMIT
    assert refusal(c, tx, compute_before=full - 10_000)[0] is TxReason.EXCEEDS_BLOCK_COMPUTE
    assert max(charged) == 40 * 10_001 - 1
    needed = 4_000_000 // 40 + 100  # And what calldata and dispatch take.
    assert apply(c, Journal(c.state), tx, compute_before=full - needed).status == 1


@given(st.integers(0, 400_000), st.integers(0, 12_000), st.integers(30_000, 400_000))
def test_a_native_is_cut_exactly_where_it_would_have_computed_too_much(amount, rest, limit):
    """Its receipt does not depend on what was in the block before it."""
    c = burning_chain()
    tx = c.tx(ALICE, "burnGas(uint256)", amount, gas_limit=limit)
    alone = computed(c, tx)
    if alone.compute <= rest:
        assert computed(c, tx, gas.BLOCK_COMPUTE_LIMIT - rest) == alone
    else:
        with pytest.raises(InvalidTransaction, match="exceeds block compute limit"):
            computed(c, tx, gas.BLOCK_COMPUTE_LIMIT - rest)


@cache
def burning_chain():
    return chain()


def test_a_builder_gives_up_also_where_nothing_at_all_is_left(monkeypatch):
    """Each try costs something, even of a transaction that ends with its first instruction."""
    c = chain()
    limit = gas.BLOCK_COMPUTE_LIMIT
    tried = []

    def refuse(draft, tx):
        tried.append(tx)
        draft.compute_used = limit
        raise InvalidTransaction(TxReason.EXCEEDS_BLOCK_COMPUTE, "tx.data", "")

    monkeypatch.setattr(type(c.machine), "_apply", lambda _machine, *args: refuse(*args))
    signers = [key(500 + number) for number in range(2_000)]
    stream = (c.tx(s, None, nonce=0) for s in signers)
    assert c.build(stream) is None
    assert len(tried) <= 1_000


def test_what_an_access_list_makes_warm_is_read_at_a_price():
    """Else its slots would be read from disk at the price of memory."""
    c = chain(quota_gas=10**12)
    loads = [lambda _at, n=n: push(n, 2) + bytes((SLOAD, POP)) for n in range(300)]
    address = deploy(c, *loads)
    listed = ((address, tuple(n.to_bytes(32, "big") for n in range(300))),)
    cold = computed(c, c.send(ALICE, to=address))
    warm = computed(c, c.send(ALICE, to=address, access_list=listed))
    assert cold.receipt.status == warm.receipt.status == 1
    assert cold.compute <= warm.compute <= cold.compute + 100


def test_a_longer_access_list_than_compute_can_pay_for_is_cut():
    c = chain(quota_gas=10**12, block_compute_limit=500_000)
    address = deploy(c, count)
    listed = ((address, tuple(n.to_bytes(32, "big") for n in range(2_600))),)
    tx = c.send(ALICE, to=address, gas_limit=9_000_000, access_list=listed)
    (receipt,) = c.seal(tx)
    assert (receipt.status, receipt.gas_used) == (0, 9_000_000)
    assert storage_at(c.state, address, 0) == 0
