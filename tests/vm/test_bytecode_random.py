"""Random contracts that call natives, each other and themselves, and fail wherever they like.

The oracle is book-keeping. `count` raises slot 0 and emits a log, so for every address the logs
that survived add up to slot 0; the token's Transfer logs, replayed, give its balances. Both hold
only if what bytecode and natives changed is undone together, exactly where the logs are.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.vm import programs
from tests.vm.chain import MEMBERS, START_MS, TOY, call_data, chain
from tests.vm.programs import COUNTED, count, created_by, init_code, program
from vm import gas
from vm.accounts import account_key
from vm.block import decode_block, encode_block
from vm.contract_state import storage_at
from vm.errors import CallReverted
from vm.questions import at_once
from vm.transaction import DEADLINE_TYPE

ALICE, BOB, CAROL, DAVE = MEMBERS
PROGRAMS = 3
ADDRESSES = [created_by(ALICE.address, nonce) for nonce in range(PROGRAMS)]
OWNERS = [*ADDRESSES, BOB.address]

OTHERS = [programs.STATICCALL, programs.DELEGATECALL, programs.CALLCODE]
KINDS = st.sampled_from([programs.CALL] * 6 + OTHERS)
LEAVES = st.one_of(
    st.just(count),
    st.just(count),
    st.builds(programs.store, st.integers(1, 3), st.sampled_from([0, 1, 2**255])),
    st.builds(
        programs.transfer,
        st.sampled_from(OWNERS),
        st.sampled_from([1, 2, 3, 7, 60, 10**9]),
        kind=KINDS,
        must=st.booleans(),
    ),
    st.builds(
        programs.call,
        st.just(TOY),
        st.sampled_from(
            [
                call_data("writeThenFail()"),
                call_data("burnGas(uint256)", 30_000),
                call_data("store(bytes,bytes)", b"key", b"value"),
                call_data("store(bytes,bytes)", b"key", b""),
                call_data("setAlarm(uint64,bytes)", 1_700_000_000_500, b"ok"),
                call_data("passOn(address,uint256)", BOB.address, 13),
                call_data("balanceOf(address)", ADDRESSES[0]),
                b"",
            ]
        ),
        kind=KINDS,
        must=st.booleans(),
        gas=st.sampled_from([None, None, 20_000]),
    ),
    st.builds(
        programs.call,
        st.sampled_from([*ADDRESSES, *ADDRESSES, None, BOB.address]),
        kind=KINDS,
        must=st.booleans(),
        gas=st.sampled_from([None, None, 200_000, 60_000]),
    ),
)
ENDS = st.sampled_from(
    [programs.revert, programs.revert, programs.invalid, programs.destroy, programs.loop]
)
STATEMENTS = st.lists(LEAVES, min_size=1, max_size=6)


@st.composite
def codes(draw):
    """Any program, or half of the case that matters: undone inside, done outside."""
    shape = draw(st.sampled_from(["any", "any", "undone", "caller"]))
    if shape == "undone":
        moved = programs.transfer(BOB.address, draw(st.integers(1, 3)))
        return program(*draw(st.lists(LEAVES, max_size=1)), moved, programs.revert)
    if shape == "caller":
        return program(*(programs.call(address) for address in draw(st.permutations(ADDRESSES))))
    statements = draw(STATEMENTS)
    if draw(st.integers(0, 3)) == 0:
        statements.append(programs.create(program(count, *draw(st.lists(LEAVES, max_size=1)))))
    if draw(st.booleans()):
        statements.append(draw(ENDS))
    return program(*statements)


GAS_LIMITS = st.sampled_from([60_000, 400_000, 1_000_000, 2_000_000])
TRANSFER, ALARM = "transfer(address,uint256)", "setAlarm(uint64,bytes)"
ASKED = st.one_of(
    st.builds(lambda to: {"to": to}, st.sampled_from(ADDRESSES)),
    st.builds(lambda to: {"to": to}, st.sampled_from(ADDRESSES)),
    st.builds(
        lambda to, value: {"to": TOY, "data": call_data(TRANSFER, to, value)},
        st.sampled_from(OWNERS),
        st.sampled_from([0, 5, 10**9]),
    ),
    st.builds(
        lambda word: {"to": TOY, "data": call_data(ALARM, START_MS + 4, word)},
        st.sampled_from([b"fail", b"ok"]),
    ),
    st.builds(lambda code: {"to": None, "data": init_code(code)}, codes()),
    st.builds(lambda code: {"to": None, "data": code}, codes()),
)
SENDS = st.tuples(st.sampled_from([BOB, CAROL, DAVE]), ASKED, GAS_LIMITS)


def balances(state):
    prefix = b"s" + TOY + b"b"
    return {
        name[len(prefix) :]: int.from_bytes(value, "big")
        for name, value in state.items()
        if name.startswith(prefix)
    }


class Books:
    """What the logs of a chain say."""

    def __init__(self, c):
        self.held = Counter(balances(c.state))
        self.counted = Counter()

    def enter(self, raws, receipts):
        for raw, receipt in zip(raws, receipts, strict=True):
            # One deadline that fails takes nothing from the others in its receipt.
            assert receipt.status or not receipt.logs or raw[0] == DEADLINE_TYPE
            for log in receipt.logs:
                if log.topics[0] == COUNTED:
                    self.counted[log.address] += 1
                elif log.address == TOY and len(log.topics) == 3:
                    amount = int.from_bytes(log.data, "big")
                    self.held[log.topics[1][12:]] -= amount
                    self.held[log.topics[2][12:]] += amount

    def check(self, c):
        assert balances(c.state) == {who: held for who, held in self.held.items() if held}
        # Init code may destroy what it makes (EIP-6780): its logs stay, and nothing else does.
        there = {a for a in self.counted if a in ADDRESSES or account_key(a) in c.state}
        for address in there:
            assert storage_at(c.state, address, 0) == self.counted[address]
        slots = {name[1:21] for name in c.state if name[:1] == b"e" and not any(name[21:])}
        assert slots == there


class Frames:
    """A tracer that counts."""

    def __init__(self):
        self.open = self.frames = self.steps = 0
        self.logs = []

    def enter(self, frame):
        self.open += 1
        self.frames += 1

    def step(self, **_):
        self.steps += 1

    def log(self, log):
        self.logs.append(log)

    def exit(self, *, gas_left, output, error):
        self.open -= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(codes(), min_size=PROGRAMS, max_size=PROGRAMS),
    st.lists(st.lists(SENDS, min_size=1, max_size=6), min_size=1, max_size=3),
)
def test_what_survives_adds_up(contracts, blocks):
    builder, other = chain(), chain()
    books = Books(builder)

    def seal(candidates):
        built = builder.build(candidates)
        assert built.dropped == ()
        block = decode_block(encode_block(built.block))
        execution = other.execute(block)
        assert execution.changes == built.execution.changes
        draft, tracer = builder.machine.replay(builder.head, block, builder.state), Frames()
        for raw in block.transactions[:-1]:
            builder.machine.replay_next(draft, raw)
        traced = builder.machine.replay_next(draft, block.transactions[-1], tracer)
        assert tuple(draft.receipts) == execution.receipts
        assert (tracer.open, tracer.frames > 0) == (0, True)
        assert [log for log in traced.logs if log not in tracer.logs] == []
        builder.apply(built.execution)
        other.apply(execution)
        books.enter(block.transactions, execution.receipts)
        books.check(builder)
        for receipt in execution.receipts:
            event(f"status {receipt.status}")
            event("logs" if receipt.logs else "no logs")

    for code in contracts:
        seal([builder.send(ALICE, init_code(code), gas_limit=5_000_000)])
    for address in ADDRESSES:
        seal([builder.tx(ALICE, "transfer(address,uint256)", address, 100)])
    for sends in blocks:
        nonces = Counter()
        candidates = []
        for signer, asked, limit in sends:
            nonce = builder.machine.next_nonce(builder.state, signer.address)
            least = gas.call_intrinsic_gas(asked["to"], asked.get("data", b""))
            place = nonce + nonces[signer.address]
            candidates.append(
                builder.send(signer, gas_limit=max(limit, least), nonce=place, **asked)
            )
            nonces[signer.address] += 1
        seal(candidates)


@settings(max_examples=40, deadline=None)
@given(st.lists(codes(), min_size=PROGRAMS, max_size=PROGRAMS), st.sampled_from(ADDRESSES))
def test_an_estimate_suffices_for_bytecode(contracts, address):
    """Whatever a contract does with 63/64 of its gas, with refunds, with refusals."""
    c = chain()
    for code in contracts:
        c.seal(c.send(ALICE, init_code(code), gas_limit=5_000_000))
    try:
        asked = {"sender": BOB.address, "to": address, "data": b""}
        limit = at_once(c.machine.estimate_gas(c.head, c.state, **asked))
    except CallReverted:
        assert c.call(address, sender=BOB, gas_limit=9_979_000).status == 0
        return
    (receipt,) = c.seal(c.send(BOB, to=address, gas_limit=limit))
    assert receipt.status == 1


SCENARIO = """
from tests.vm import programs
from tests.vm.chain import MEMBERS, START_MS, TOY, call_data, chain
from tests.vm.programs import call, count, create, deploy, program, store, transfer
c = chain()
ALICE, BOB = MEMBERS[:2]
inner = deploy(c, count, transfer(BOB.address, 3), store(5, 6), programs.revert)
outer = deploy(c, count, call(inner), transfer(BOB.address, 2), store(9, 1), store(7, 2),
               create(program(count)), create(program(store(1, 1))), call(None, gas=200_000))
for address in (inner, outer):
    c.seal(c.tx(ALICE, "transfer(address,uint256)", address, 50))
for n in range(4):
    signer = MEMBERS[n % 4]
    c.seal(c.send(signer, to=outer), c.tx(MEMBERS[(n + 1) % 4], "register(address)", inner))
print(c.head.hash.hex(), c.head.state_root.hex())
"""


def test_two_processes_with_other_hash_seeds_agree_on_bytecode():
    heads = set()
    for seed in ("1", "2", "3"):
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
    assert len(heads.pop()) == 129
