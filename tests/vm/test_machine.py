"""Blocks: building and executing agree, deadlines run, and every lie in a header is found."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto import abi
from crypto.merkle import EMPTY, verify_proof
from crypto.merkle_list import list_root
from tests.vm.chain import (
    MEMBERS,
    METERS,
    OPERATOR,
    START_MS,
    STRANGER,
    TOY,
    WINDOW_MS,
    Chain,
    Other,
    Rang,
    Toy,
    call_data,
    chain,
    failure,
    genesis,
)
from vm import draft, gas, machine
from vm.block import Block, Header, decode_block, encode_block
from vm.errors import (
    BlockReason,
    CallReverted,
    GenesisError,
    InvalidBlock,
    InvalidTransaction,
    TxReason,
)
from vm.machine import Machine
from vm.members import members_hash, read_members
from vm.questions import at_once
from vm.receipt import encode_receipt
from vm.transaction import DeadlineTransaction

ALICE, BOB = MEMBERS[:2]
TRANSFER = "transfer(address,uint256)"


def test_genesis_registers_the_founders():
    c = chain()
    made = c.machine.genesis
    assert (c.head.number, c.head.parent_hash, c.head.time_ms) == (0, made.hash, START_MS)
    assert c.head.state_root != EMPTY
    members = read_members(c.state)
    assert members.keys == tuple(sorted(member.node_key for member in made.members))
    assert (members.epoch, members.first_height, members.first_term) == (0, 1, 0)
    assert c.head.next_members_hash == members_hash(c.state)
    info = c.machine.account_info(c.state, METERS[2].address, START_MS)
    assert (info.nonce, info.sponsor, info.quota_left) == (0, MEMBERS[2].address, made.quota_gas)
    assert c.machine.account_info(c.state, STRANGER.address, START_MS).quota_left == 0
    assert c.machine.genesis_state() == (
        c.machine.genesis_execution().changes,
        c.head,
    )


def test_a_contract_checks_its_parameters():
    with pytest.raises(GenesisError, match=r"contracts\.Toy"):
        Machine(genesis(contracts={}), [Toy(), Other()]).genesis_execution()


# Candidates for blocks: (signer, nonce offset, action, gas limit, chain id offset).
ACTIONS = [
    (TRANSFER, BOB.address, 5),
    (TRANSFER, STRANGER.address, 2_000_000),
    ("writeThenFail()",),
    ("burnGas(uint256)", 50_000),
    ("store(bytes,bytes)", b"key", b"value"),
    ("store(bytes,bytes)", b"key", b""),
    ("setAlarm(uint64,bytes)", START_MS + 15_000, b"fail"),
    ("setAlarm(uint64,bytes)", START_MS + 3_000, b"ok"),
    ("register(address)", STRANGER.address),
    ("unregister(address)", STRANGER.address),
    ("passOn(address,uint256)", BOB.address, 13),
    ("nothing()",),
]
CANDIDATES = st.tuples(
    st.sampled_from([*MEMBERS[:3], METERS[0], OPERATOR, STRANGER]),
    st.sampled_from([0, 0, 0, 0, 1, -1]),
    st.sampled_from(ACTIONS),
    st.sampled_from([300_000, 300_000, 300_000, 45_000, 21_000, 20_000, 10_000_001, 9_000_000]),
    st.sampled_from([0, 0, 0, 0, 0, 1]),
)


def transactions(c, specs):
    nonces = {}
    for signer, offset, action, gas_limit, chain_offset in specs:
        known = c.machine.next_nonce(c.state, signer.address)
        nonce = nonces.setdefault(signer.address, known)
        yield c.tx(
            signer,
            *action,
            nonce=max(nonce + offset, 0),
            gas_limit=gas_limit,
            chain_id=c.machine.genesis.chain_id + chain_offset,
        )
        nonces[signer.address] = nonce + (offset == 0 and gas_limit >= 45_000 and not chain_offset)


ALIKE = (MEMBERS[0], 0, ACTIONS[0], 300_000, 0)


@example(blocks=[([ALIKE, ALIKE, (MEMBERS[0], -1, *ALIKE[2:])], 1)])
@settings(max_examples=60)
@given(st.lists(st.tuples(st.lists(CANDIDATES, max_size=12), st.integers(1, 8_000)), max_size=5))
def test_what_one_replica_builds_the_others_compute_alike(blocks):
    """Whatever the candidates, the block is valid, and no candidate is lost without a reason."""
    builder, other = chain(quota_gas=12_000_000), chain(quota_gas=12_000_000)
    for specs, wait_ms in blocks:
        candidates = list(transactions(builder, specs))
        time_ms = builder.head.time_ms + wait_ms
        built = builder.build(candidates, time_ms)
        if built is None:
            assert not builder.machine.is_due(builder.state, time_ms)
            continue
        block = decode_block(encode_block(built.block))
        execution = other.execute(block)
        assert execution == built.execution
        builder.apply(built.execution)
        other.apply(execution)
        # Drawn candidates can be the same transaction twice: it runs once, the copy is dropped.
        offered = Counter(tx.hash for tx in candidates)
        dropped = Counter(tx.hash for tx, _ in built.dropped)
        executed = Counter(digest for digest in execution.tx_hashes if digest in offered)
        assert max(executed.values(), default=0) <= 1
        assert dropped + executed <= offered
        assert builder.head.gas_used <= builder.machine.genesis.block_gas_limit
        assert execution.receipts[-1].cumulative_gas == builder.head.gas_used
    assert builder.state == other.state
    assert builder.nodes == other.nodes


def test_dropped_candidates_come_with_their_reason():
    c = chain()
    good = c.tx(ALICE, TRANSFER, BOB.address, 1)
    built = c.build([c.tx(STRANGER, None), good, good, c.tx(BOB, None, nonce=5)])
    assert built.block.transactions == (good.raw,)
    assert [reason for _, reason in built.dropped] == [
        TxReason.UNREGISTERED,
        TxReason.NONCE_TOO_LOW,
        TxReason.NONCE_TOO_HIGH,
    ]


def test_what_has_no_room_waits():
    """A sender whose transaction has no room is left alone; others still fit."""
    c = chain()
    big = [c.tx(ALICE, "burnGas(uint256)", 9_000_000, nonce=n, gas_limit=9_500_000) for n in (0, 1)]
    big += [c.tx(ALICE, None, nonce=n) for n in (2, 3)]
    third = c.tx(BOB, "burnGas(uint256)", 9_000_000, gas_limit=9_500_000)
    small = c.tx(BOB, None, nonce=1)
    meter = c.tx(METERS[0], None)
    built = c.build([*big[:2], third, small, *big[2:], meter])
    assert built.block.transactions == (big[0].raw, big[1].raw, big[2].raw, big[3].raw, meter.raw)
    assert built.dropped == ()


def test_blocks_are_bounded_in_bytes_and_transactions(monkeypatch):
    c = chain(block_gas_limit=64_000_000, block_compute_limit=10**9, quota_gas=10**12)
    fat = [c.tx(ALICE, "x(bytes)", bytes(120_000), nonce=n, gas_limit=10**6) for n in range(9)]
    built = c.build([*fat, c.tx(BOB, None)])
    assert len(built.block.transactions) == 9
    assert built.block.transactions[-1] == c.tx(BOB, None).raw
    assert len(encode_block(built.block)) <= 1024 * 1024
    monkeypatch.setattr(machine, "BLOCK_TXS_MAX", 2)
    built = c.build([c.tx(ALICE, None, nonce=n) for n in range(4)])
    assert len(built.block.transactions) == 2
    monkeypatch.setattr("vm.draft.BLOCK_TXS_MAX", 1)
    assert refusal(c, built.block) == (BlockReason.OVERSIZED, "transactions")


def test_there_are_no_empty_blocks():
    c = chain()
    assert c.build([]) is None
    assert c.build([c.tx(STRANGER, None)]) is None
    header = replace(c.head, number=1, parent_hash=c.head.hash, time_ms=c.head.time_ms + 1)
    assert refusal(c, Block(header, ())) == (BlockReason.EMPTY, "transactions")


def refusal(c, block):
    before = dict(c.state), dict(c.nodes)
    with pytest.raises(InvalidBlock) as caught:
        c.execute(block)
    assert (c.state, c.nodes) == before
    return caught.value.reason, caught.value.field


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("version", 2, BlockReason.WRONG_VERSION),
        ("number", 2, BlockReason.WRONG_NUMBER),
        ("parent_hash", bytes(32), BlockReason.WRONG_PARENT),
        ("time_ms", START_MS, BlockReason.BAD_TIME),
        ("transactions_root", bytes(32), BlockReason.WRONG_TRANSACTIONS_ROOT),
        ("state_root", bytes(32), BlockReason.WRONG_STATE_ROOT),
        ("receipts_root", bytes(32), BlockReason.WRONG_RECEIPTS_ROOT),
        ("next_members_hash", bytes(32), BlockReason.WRONG_MEMBERS_HASH),
        ("gas_used", 1, BlockReason.WRONG_GAS_USED),
    ],
)
def test_every_lie_in_a_header_is_named(name, value, reason):
    c = chain()
    block = c.build([c.tx(ALICE, TRANSFER, BOB.address, 1)]).block
    assert c.execute(block).header == block.header
    assert name in Header.__slots__
    lie = Block(replace(block.header, **{name: value}), block.transactions)
    assert refusal(c, lie) == (reason, f"header.{name}")


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda raws: (raws[0], raws[0]), "transactions[1].nonce"),
        (lambda raws: (*raws, b""), "transactions[2]"),
        (lambda raws: (raws[1], raws[0]), "transactions[0].nonce"),
        (lambda raws: (raws[0], DeadlineTransaction(1).raw), "transactions[1].type"),
    ],
)
def test_an_invalid_transaction_makes_the_block_invalid(edit, field):
    c = chain()
    txs = [c.tx(ALICE, TRANSFER, BOB.address, 1, nonce=n) for n in (0, 1)]
    block = c.build(txs).block
    raws = edit(block.transactions)
    forged = Block(replace(block.header, transactions_root=list_root(raws)), raws)
    expected = field if field != "transactions[2]" else "transactions[2].tx"
    assert refusal(c, forged) == (BlockReason.INVALID_TRANSACTION, expected)


def test_known_transactions_are_not_decoded_again():
    c = chain()
    tx = c.tx(ALICE, TRANSFER, BOB.address, 1)
    block = c.build([tx]).block
    as_bob = tx.with_sender(BOB.address)
    with pytest.raises(InvalidBlock):
        c.machine.execute_block(c.head, block, c.state, c.tree, {tx.raw: as_bob})
    known = {tx.raw: tx}
    assert c.machine.execute_block(c.head, block, c.state, c.tree, known).header == block.header


# Deadlines.


def alarm(c, time_ms, payload=b"ring", signer=ALICE):
    return c.tx(signer, "setAlarm(uint64,bytes)", time_ms, payload)


def rung(c):
    return int.from_bytes(c.state.get(b"s" + TOY + b"rung", b""), "big")


def test_a_due_deadline_is_a_pending_transaction():
    c = chain()
    due = START_MS + 500
    c.seal(alarm(c, due))
    assert c.machine.next_due(c.state) == due
    assert not c.machine.is_due(c.state, due - 1)
    assert c.build([], due - 1) is None
    built = c.build([c.tx(BOB, TRANSFER, ALICE.address, 1)], due)
    assert built.block.transactions[0] == DeadlineTransaction(2).raw
    assert built.execution.tx_hashes[0] == DeadlineTransaction(2).hash
    first, second = built.execution.receipts
    assert (first.status, first.logs[0].address) == (1, TOY)
    assert first.logs[0].topics[0] == abi.event_topic("Rang(uint64,bytes)")
    assert second.cumulative_gas == first.gas_used + second.gas_used
    assert c.execute(built.block) == built.execution
    c.apply(built.execution)
    assert (rung(c), c.machine.next_due(c.state)) == (1, None)
    assert c.build([], due + 1) is None


def test_no_proposer_can_skip_or_invent_a_deadline():
    c = chain()
    due = START_MS + 500
    c.seal(alarm(c, due))
    honest = c.build([c.tx(BOB, None)], due).block
    skipped = Block(honest.header, honest.transactions[1:])
    assert refusal(c, skipped) == (BlockReason.DEADLINE_MISSING, "transactions[0]")
    other_height = Block(honest.header, (DeadlineTransaction(3).raw,))
    assert refusal(c, other_height) == (BlockReason.DEADLINE_MISSING, "transactions[0]")
    early = Block(replace(honest.header, time_ms=due - 1), honest.transactions)
    assert refusal(c, early) == (BlockReason.DEADLINE_NOT_DUE, "transactions[0]")


def test_a_deadline_that_reverts_is_spent_without_effect():
    c = chain()
    due = START_MS + 500
    c.seal(alarm(c, due, b"fail"))
    c.seal(alarm(c, due, b"fine"))
    c.seal(alarm(c, due, b"burst"))
    (receipt,) = c.seal(time_ms=due)
    assert failure(receipt) == "ALARM_BROKEN: as asked"
    assert [log.data for log in receipt.logs] == [abi.encode(("uint64", "bytes"), (due, b"fine"))]
    assert (rung(c), c.machine.next_due(c.state)) == (1, None)
    assert Rang in Toy.EVENTS


def test_deadlines_take_their_share_of_a_block_and_no_more():
    """What is left is due in the next block at once, in order."""
    c = chain()
    due = START_MS + 500
    for _ in range(12):
        c.seal(alarm(c, due, b"waste"))
    big = c.tx(BOB, "burnGas(uint256)", 9_900_000, gas_limit=10_000_000)
    receipts = c.seal(big, time_ms=due)
    assert receipts[0].gas_used <= gas.deadline_gas(gas.BLOCK_GAS_LIMIT)
    assert receipts[1].status == 1
    rounds = [rung(c)]
    while c.machine.is_due(c.state, c.head.time_ms + 1):
        c.seal()
        rounds.append(rung(c))
    assert rounds == [3, 6, 9, 12]


def test_a_deadline_that_renews_itself_cannot_stall_the_chain():
    c = chain()
    due = START_MS + 500
    c.seal(alarm(c, due, b"again"))
    receipts = c.seal(c.tx(BOB, TRANSFER, ALICE.address, 1), time_ms=due)
    assert receipts[0].gas_used <= gas.deadline_gas(gas.BLOCK_GAS_LIMIT)
    assert receipts[1].status == 1
    assert c.machine.is_due(c.state, c.head.time_ms + 1)


def test_the_gas_shares_of_a_block_add_up():
    for limit in (2_000_000, 20_000_000, 20_000_001, 1_000_000_000):
        assert gas.deadline_gas(limit) + gas.tx_gas_limit(limit) == limit
        assert gas.DEADLINE_BASE + gas.deadline_entry_gas(limit) <= gas.deadline_gas(limit)


def test_a_deadline_pays_for_itself():
    c = chain()
    due = START_MS + 500
    c.seal(alarm(c, due, b"ring"))
    (receipt,) = c.seal(time_ms=due)
    counter = gas.READ + gas.WRITE_NEW + gas.WRITE_BYTE
    event = gas.LOG + gas.LOG_TOPIC + 4 * 32 * gas.LOG_BYTE
    assert receipt.gas_used == gas.DEADLINE_BASE + counter + event


# Time.


@pytest.mark.parametrize(
    ("offset_ms", "now_offset_ms", "is_valid"),
    [
        (0, 0, False),
        (-1, 0, False),
        (1, 0, True),
        (5_000, 0, True),
        (5_001, 0, False),
        (1, -60_000, True),
        (2, -60_000, False),
        (65_000, 60_000, True),
        (65_001, 60_000, False),
    ],
)
def test_a_fresh_time_is_near_the_clock_or_the_parents_next(offset_ms, now_offset_ms, is_valid):
    c = chain()
    arguments = (c.head, START_MS + offset_ms, START_MS + now_offset_ms)
    if is_valid:
        c.machine.check_time(*arguments)
    else:
        with pytest.raises(InvalidBlock) as caught:
            c.machine.check_time(*arguments)
        assert caught.value.reason is BlockReason.BAD_TIME


# Calls.


def test_a_call_sees_the_head_and_changes_nothing():
    c = chain()
    before = dict(c.state)
    data = call_data(TRANSFER, BOB.address, 5)
    ask = {"sender": ALICE.address, "to": TOY, "data": data}
    result = c.machine.call(c.head, c.state, **ask, gas=100_000)
    assert (result.status, len(result.logs)) == (1, 1)
    assert c.state == before
    (receipt,) = c.seal(c.tx(ALICE, TRANSFER, BOB.address, 5))
    assert receipt.gas_used == result.gas_used + gas.call_intrinsic_gas(TOY, data)
    short = c.machine.call(c.head, c.state, **ask, gas=1_000)
    assert failure(short).startswith("OUT_OF_GAS")
    assert short.gas_used == 1_000


@pytest.mark.parametrize(("later_ms", "window"), [(None, 0), (-5, 0), (WINDOW_MS, 1)])
def test_a_call_may_look_ahead_in_time_but_not_back(later_ms, window):
    c = chain()
    result = c.machine.call(
        c.head,
        c.state,
        sender=STRANGER.address,
        to=TOY,
        data=call_data("describe()"),
        gas=100_000,
        time_ms=None if later_ms is None else START_MS + later_ms,
    )
    decoded = abi.decode(["uint64", "address", "(uint64,address)[]"], result.output)
    assert decoded[2] == [(window, STRANGER.address)]


def test_an_estimate_suffices_and_a_revert_has_none():
    c = chain()
    data = call_data(TRANSFER, STRANGER.address, 5)
    ask = {"sender": ALICE.address, "to": TOY}
    estimate = at_once(c.machine.estimate_gas(c.head, c.state, **ask, data=data))
    (receipt,) = c.seal(c.tx(ALICE, TRANSFER, STRANGER.address, 5, gas_limit=estimate))
    assert receipt.status == 1
    assert receipt.gas_used <= estimate <= receipt.gas_used * 5 // 4
    with pytest.raises(CallReverted) as caught:
        at_once(c.machine.estimate_gas(c.head, c.state, **ask, data=call_data("writeThenFail()")))
    assert caught.value.output[:4] == abi.selector("Error(string)")
    most = call_data("burnGas(uint256)", 9_500_000)
    assert at_once(c.machine.estimate_gas(c.head, c.state, **ask, data=most)) == 10_000_000


def test_the_mempool_can_ask_about_a_transaction():
    c = chain()
    c.machine.check_transaction(c.tx(ALICE, None), c.state, START_MS + 1)
    for tx, reason in (
        (c.tx(ALICE, None, nonce=1), TxReason.NONCE_TOO_HIGH),
        (c.tx(STRANGER, None), TxReason.UNREGISTERED),
        (c.tx(ALICE, None, chain_id=1), TxReason.WRONG_CHAIN),
    ):
        with pytest.raises(InvalidTransaction) as caught:
            c.machine.check_transaction(tx, c.state, START_MS + 1)
        assert caught.value.reason is reason


# Commitments.


def test_the_header_commits_to_balances_and_receipts():
    c = chain()
    built = c.build([c.tx(ALICE, TRANSFER, BOB.address, 1)])
    c.apply(built.execution)
    balance = b"s" + TOY + b"b" + BOB.address
    verify_proof(c.head.state_root, balance, c.state[balance], c.tree.prove(balance))
    absent = b"s" + TOY + b"nothing"
    verify_proof(c.head.state_root, absent, None, c.tree.prove(absent))
    encoded = [encode_receipt(receipt) for receipt in built.execution.receipts]
    assert c.head.receipts_root == list_root(encoded)


def test_the_header_is_compared_in_whole():
    """A header field that nobody compares would let two blocks pass for one."""
    before = {"version", "number", "parent_hash", "time_ms"}
    assert before | set(draft._COMPARED) == set(Header.__slots__)


SCENARIO = """
from tests.vm.chain import MEMBERS, START_MS, chain
c = chain()
for i in range(6):
    signer, other = MEMBERS[i % 4], MEMBERS[(i + 1) % 4]
    c.seal(
        c.tx(signer, "transfer(address,uint256)", other.address, i),
        c.tx(other, "setAlarm(uint64,bytes)", START_MS + 3 + i, b"ring"),
    )
print(c.head.hash.hex())
"""


def test_two_processes_with_other_hash_seeds_agree():
    """Sets and dicts must not leak their order into the state."""
    heads = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCENARIO],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        heads.add(done.stdout.strip())
    assert len(heads) == 1
    assert len(heads.pop()) == 64


def test_a_chain_replays_from_its_blocks():
    builder = chain()
    bodies = []
    for n in range(5):
        built = builder.build([builder.tx(ALICE, TRANSFER, BOB.address, n)])
        builder.apply(built.execution)
        bodies.append(encode_block(built.block))
    replayed = Chain(builder.machine)
    for body in bodies:
        replayed.apply(replayed.execute(decode_block(body)))
    assert replayed.head == builder.head
    assert replayed.state == builder.state
