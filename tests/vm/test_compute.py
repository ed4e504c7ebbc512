"""The second meter: how long a block takes is bounded, whatever bytecode does."""

import pytest

from tests.vm.chain import MEMBERS, TOY, call_data, chain, genesis, key
from tests.vm.programs import call, count, deploy, invalid, loop, push
from tests.vm.test_execute import apply, refusal
from vm import gas
from vm.block import Block
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
from vm.state import Journal

ALICE, BOB = MEMBERS[:2]
CAP = gas.tx_compute_limit(gas.BLOCK_COMPUTE_LIMIT)
HEAVY_GAS = 440_000
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
        c.machine.estimate_gas(c.head, c.state, sender=ALICE.address, to=address, data=b"")
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
