"""`debug_`: traces of sealed transactions and of calls, on the state that they began with."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.hashing import keccak256
from node.rpc.debug import WAITING_MAX, DebugMethods
from node.rpc.errors import RpcFault
from node.rpc.values import Args
from tests.node.cluster import account_key
from tests.node.rpc.rig import ChainRig
from tests.vm import programs
from tests.vm.chain import TOY, call_data
from tests.vm.programs import (
    DELEGATECALL,
    STATICCALL,
    call,
    count,
    create,
    created_by,
    init_code,
    loop,
    program,
    return_word,
    revert,
    store,
    transfer,
)
from vm.evm.precompiles import PRECOMPILES
from vm.native import SENTINEL_CODE
from vm.transaction import decode, sign_transaction

ALICE, BOB = account_key(0), account_key(1)
VECTOR_DATA = bytes.fromhex(
    "600d380380600d6000396000f3600043815260200146815260200141815260200148815260200144815260"
    "20013281526020013481526020016000f3"
)
"""From execution-apis: a transaction of the transcript for debug_traceTransaction."""
DEARER_THEN = 56 * (68 - 16) - 4
"""56 bytes that are not zero, before EIP-2028; two words of init code since EIP-3860."""


def hex_(data):
    return "0x" + data.hex()


class DebugRig(ChainRig):
    """A chain, its debug methods, and shorter words for what tests do with them."""

    def __init__(self, folder):
        super().__init__(folder)
        self.debug = DebugMethods(self.chain)

    def send(self, *, to=None, data=b"", gas_limit=2_000_000, signer=ALICE):
        """Submit a transaction, and return its hash."""
        raw = sign_transaction(
            signer,
            chain_id=self.genesis.chain_id,
            nonce=self.chain.pending_nonce(signer.address),
            to=to,
            data=data,
            gas_limit=gas_limit,
        )
        return self.chain.submit(raw)

    def deploy(self, *statements):
        nonce = self.chain.pending_nonce(ALICE.address)
        digest = self.send(data=init_code(program(*statements)))
        self.seal()
        assert self.receipt(digest).status == 1
        return created_by(ALICE.address, nonce)

    def receipt(self, digest):
        height, index, _ = self.chain.transaction(digest)
        return self.chain.receipts(height)[index]

    def ask(self, name, *params):
        given = self.debug.table()[name](Args(list(params)))
        return asyncio.run(given) if asyncio.iscoroutine(given) else given

    def trace(self, digest, tracer=None, **config):
        options = None if tracer is None else {"tracer": tracer, "tracerConfig": config}
        return self.ask("debug_traceTransaction", hex_(digest), options)

    def trace_call(self, to, data=b"", block="latest", options=None, **fields):
        asked = {"to": hex_(to), "input": hex_(data), **fields}
        return self.ask("debug_traceCall", asked, block, options)


@pytest.fixture
def rig(tmp_path):
    rig = DebugRig(tmp_path)
    yield rig
    rig.store.close()


# Sealed transactions.


def test_a_creation_is_traced_as_in_the_official_transcript(rig):
    """execution-apis, tests/debug_traceTransaction/trace-contract-call.io, number for number.

    Its chain is before Istanbul and Shanghai in that block: only the intrinsic gas differs.
    """
    digest = rig.send(data=VECTOR_DATA, gas_limit=80_468 - DEARER_THEN)
    rig.seal()
    steps = [
        (0, "PUSH1", 23644, 3, []),
        (2, "CODESIZE", 23641, 2, ["0xd"]),
        (3, "SUB", 23639, 3, ["0xd", "0x3c"]),
        (4, "DUP1", 23636, 3, ["0x2f"]),
        (5, "PUSH1", 23633, 3, ["0x2f", "0x2f"]),
        (7, "PUSH1", 23630, 3, ["0x2f", "0x2f", "0xd"]),
        (9, "CODECOPY", 23627, 15, ["0x2f", "0x2f", "0xd", "0x0"]),
        (10, "PUSH1", 23612, 3, ["0x2f"]),
        (12, "RETURN", 23609, 0, ["0x2f", "0x0"]),
    ]
    assert rig.trace(digest) == {
        "gas": 66259 - DEARER_THEN,
        "failed": False,
        "returnValue": hex_(VECTOR_DATA[13:]),
        "structLogs": [
            {"pc": pc, "op": op, "gas": gas, "gasCost": cost, "depth": 1, "stack": stack}
            for pc, op, gas, cost, stack in steps
        ],
    }


def test_a_call_of_nobody_has_no_struct_logs(rig):
    digest = rig.send(to=b"\x55" * 20, gas_limit=21_000)
    rig.seal()
    nothing = {"gas": 21_000, "failed": False, "returnValue": "0x", "structLogs": []}
    assert rig.trace(digest) == nothing


def test_an_unknown_transaction_is_refused_in_geths_words(rig):
    with pytest.raises(RpcFault, match=r"^transaction not found$") as caught:
        rig.trace(bytes(32))
    assert caught.value.code == -32000


def test_a_trace_begins_behind_the_transactions_before_it(rig):
    """And with the state of its own block, however far the chain has gone on."""
    counter = rig.deploy(count)
    digests = [rig.send(to=counter) for _ in range(3)]
    rig.seal()
    rig.send(to=counter)
    rig.seal()
    slot, seen = f"0x{0:064x}", []
    for digest in digests:
        logs = rig.trace(digest)["structLogs"]
        assert rig.trace(digest)["gas"] == rig.receipt(digest).gas_used
        seen.append([entry["storage"][slot] for entry in logs if "storage" in entry])
    assert seen == [[f"0x{n:064x}", f"0x{n + 1:064x}"] for n in range(3)]


def test_a_state_that_is_not_kept_is_refused(rig, monkeypatch):
    digest = rig.send(to=b"\x55" * 20)
    rig.seal()
    monkeypatch.setattr(rig.store._history, "_keep", 0)
    with pytest.raises(RpcFault, match="historical state is not available") as caught:
        rig.trace(digest)
    assert caught.value.code == -32000


def test_native_contracts_are_calls_with_logs_and_reasons(rig):
    """Called directly, and from bytecode: which has no tokens of its own, so it is refused."""
    direct = rig.send(to=TOY, data=call_data("transfer(address,uint256)", BOB.address, 5))
    rig.seal()
    contract = rig.deploy(count, transfer(BOB.address, 0), transfer(BOB.address, 7), count)
    through = rig.send(to=contract)
    rig.seal()
    answer = rig.trace(direct, "callTracer", withLog=True)
    assert answer["type"] == "CALL"
    assert (answer["from"], answer["to"]) == (hex_(ALICE.address), hex_(TOY))
    assert int(answer["gas"], 16) == 2_000_000
    assert int(answer["gasUsed"], 16) == rig.receipt(direct).gas_used
    assert [log["address"] for log in answer["logs"]] == [hex_(TOY)]
    answer = rig.trace(through, "callTracer", withLog=True)
    good, bad = answer["calls"]
    assert [(log["index"], log["position"]) for log in answer["logs"]] == [
        ("0x0", "0x0"),
        ("0x2", "0x2"),
    ]
    assert good["logs"][0] | {"data": "", "topics": []} == {
        "address": hex_(TOY),
        "topics": [],
        "data": "",
        "index": "0x1",
        "position": "0x0",
    }
    assert (good["from"], good["to"]) == (hex_(contract), hex_(TOY))
    assert bad["error"] == "execution reverted"
    assert bad["revertReason"] == "INSUFFICIENT_BALANCE: has 0, needs 7"
    assert "calls" not in rig.trace(through, "callTracer", onlyTopCall=True)


def test_a_deadline_is_a_call_from_nobody_with_its_logs(rig):
    rig.send(to=TOY, data=call_data("setAlarm(uint64,bytes)", rig.now_ms + 1_500, b"ring"))
    rig.seal()
    record = rig.seal()
    (digest,) = record.transaction_hashes
    answer = rig.trace(digest, "callTracer", withLog=True)
    assert (answer["from"], answer["to"]) == (hex_(bytes(20)), hex_(bytes(20)))
    assert int(answer["gasUsed"], 16) == record.receipts[0].gas_used
    assert [log["data"] for log in answer["logs"]] == [hex_(record.receipts[0].logs[0].data)]
    assert rig.trace(digest)["structLogs"] == []


def test_what_a_transaction_found_and_what_it_changed(rig):
    """geth's prestateTracer, plain and in diffMode."""
    counter = rig.deploy(count, store(7, 0))
    nonce = rig.chain.pending_nonce(ALICE.address)
    digest = rig.send(to=counter)
    made = rig.send(data=init_code(program(store(1, 1))))
    rig.seal()
    code, alice = program(count, store(7, 0)), hex_(ALICE.address)
    assert rig.trace(digest, "prestateTracer") == {
        alice: {"balance": "0x0", "nonce": nonce},
        hex_(counter): {"balance": "0x0", "nonce": 1, "code": hex_(code)},
    }
    word = f"0x{0:064x}"
    assert rig.trace(digest, "prestateTracer", diffMode=True) == {
        "pre": {
            alice: {"balance": "0x0", "nonce": nonce},
            hex_(counter): {"balance": "0x0", "nonce": 1, "code": hex_(code)},
        },
        "post": {alice: {"nonce": nonce + 1}, hex_(counter): {"storage": {word: f"0x{1:064x}"}}},
    }
    again = rig.send(to=counter)
    rig.seal()
    before = rig.trace(again, "prestateTracer", disableCode=True)[hex_(counter)]
    assert before == {"balance": "0x0", "nonce": 1, "storage": {word: f"0x{1:064x}"}}
    created = hex_(created_by(ALICE.address, nonce + 1))
    assert created not in rig.trace(made, "prestateTracer")
    changes = rig.trace(made, "prestateTracer", diffMode=True)
    assert created not in changes["pre"]
    assert changes["post"][created] == {"nonce": 1, "code": hex_(program(store(1, 1)))}


def test_natives_show_the_code_that_stands_for_them(rig):
    digest = rig.send(to=TOY, data=call_data("transfer(address,uint256)", BOB.address, 5))
    rig.seal()
    assert rig.trace(digest, "prestateTracer")[hex_(TOY)]["code"] == hex_(SENTINEL_CODE)
    selector = hex_(call_data("transfer(address,uint256)", BOB.address, 5)[:4])
    assert rig.trace(digest, "4byteTracer") == {f"{selector}-64": 1}
    assert rig.trace(digest, "noopTracer") == {}


STATEMENTS = st.lists(
    st.sampled_from(
        [
            count,
            revert,
            programs.invalid,
            create(program(count)),
            store(3, 1),
            store(3, 0),
            transfer(BOB.address, 0),
            transfer(BOB.address, 1),
            call(TOY, call_data("balanceOf(address)", ALICE.address), kind=STATICCALL),
            call(TOY, kind=DELEGATECALL),
            call(next(iter(PRECOMPILES)), b"x"),
            call(b"\x55" * 20),
        ]
    ),
    max_size=6,
)


def flat_logs(call_, address=None):
    """Return (index, data) of all logs of a call tree."""
    found = [(int(log["index"], 16), log["address"], log["data"]) for log in call_.get("logs", ())]
    for inner in call_.get("calls", ()):
        found += flat_logs(inner)
    return found


@settings(max_examples=25, deadline=None)
@given(inner=STATEMENTS, outer=STATEMENTS, kind=st.sampled_from([programs.CALL, DELEGATECALL]))
def test_a_trace_tells_what_the_receipt_tells(inner, outer, kind, tmp_path_factory):
    """Gas, outcome, output and logs of random programs; and entries that follow each other."""
    rig = DebugRig(tmp_path_factory.mktemp("chain"))
    library = rig.deploy(*inner)
    contract = rig.deploy(*outer, call(library, kind=kind), call(library, must=True), count)
    digests = [rig.send(to=contract, gas_limit=400_000), rig.send(to=contract)]
    digests.append(rig.send(data=program(*outer, call(library))))
    record = rig.seal()
    first_log = 0
    for digest, receipt in zip(digests, record.receipts, strict=True):
        plain, tree = rig.trace(digest), rig.trace(digest, "callTracer", withLog=True)
        assert (plain["gas"], plain["failed"]) == (receipt.gas_used, receipt.status == 0)
        assert int(tree["gasUsed"], 16) == receipt.gas_used
        assert ("error" in tree) == plain["failed"]
        if plain["failed"]:
            assert plain["returnValue"] == tree.get("output", "0x") == hex_(receipt.output)
        assert sorted(flat_logs(tree)) == [
            (first_log + place, hex_(log.address), hex_(log.data))
            for place, log in enumerate(receipt.logs)
        ]
        first_log += len(receipt.logs)
        check_steps(plain["structLogs"])
        json.dumps(tree)
    rig.store.close()


def check_steps(entries):
    """The price of an instruction that calls nobody is what the next one has less."""
    for entry, following in pairwise(entries):
        assert entry["gasCost"] >= 0
        is_call = "CALL" in entry["op"] or "CREATE" in entry["op"]
        if entry["depth"] == following["depth"] and not is_call:
            assert following["gas"] == entry["gas"] - entry["gasCost"]


# Calls.


def test_a_call_is_traced_at_the_block_that_is_asked_for(rig):
    counter = rig.deploy(count, return_word(0x5F, programs.SLOAD))
    for _ in range(2):
        rig.send(to=counter)
        rig.seal()
    values = [
        int(rig.trace_call(counter, block=hex(height))["returnValue"], 16)
        for height in (rig.chain.height - 2, rig.chain.height - 1, rig.chain.height)
    ]
    assert values == [1, 2, 3]
    answer = rig.trace_call(
        counter, options={"tracer": "callTracer"}, **{"from": hex_(BOB.address)}
    )
    assert (answer["from"], answer["output"]) == (hex_(BOB.address), f"0x{3:064x}")
    before = rig.trace_call(counter, options={"tracer": "prestateTracer"})
    assert before[hex_(counter)]["storage"] == {f"0x{0:064x}": f"0x{2:064x}"}
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    with pytest.raises(RpcFault, match="diffMode"):
        rig.trace_call(counter, options=options)
    with pytest.raises(RpcFault, match="header not found"):
        rig.trace_call(counter, block="0xff")
    with pytest.raises(RpcFault, match="intrinsic gas too low"):
        rig.trace_call(counter, gas="0x5207")


def test_a_creation_is_traced_without_an_address(rig):
    data = hex_(VECTOR_DATA)
    answer = rig.ask(
        "debug_traceCall", {"input": data, "gas": hex(80_468 - DEARER_THEN)}, "latest", None
    )
    assert (answer["gas"], answer["returnValue"]) == (66259 - DEARER_THEN, hex_(VECTOR_DATA[13:]))
    options = {"tracer": "callTracer"}
    answer = rig.ask("debug_traceCall", {"input": data}, "latest", options)
    assert (answer["type"], answer["output"]) == ("CREATE", hex_(VECTOR_DATA[13:]))


def test_a_call_that_cannot_begin_is_shown_with_its_reason(rig):
    """There is no coin, so each call with a value is one; its price holds what it passed on."""
    contract = rig.deploy(call(b"\x55" * 20, value=1, gas=700))
    answer = rig.trace_call(contract, options={"tracer": "callTracer"})
    (refused,) = answer["calls"]
    assert (refused["error"], refused["value"]) == ("insufficient balance for transfer", "0x1")
    assert (refused["gas"], refused["gasUsed"]) == (hex(700 + 2_300), "0x0")
    (entry,) = [each for each in rig.trace_call(contract)["structLogs"] if each["op"] == "CALL"]
    assert entry["gasCost"] == 2_600 + 9_000 + 25_000 + 700


def test_an_infinite_loop_ends_as_too_large_or_out_of_gas(rig):
    spinning = rig.deploy(loop)
    with pytest.raises(RpcFault, match="trace too large") as caught:
        rig.trace_call(spinning)
    assert caught.value.code == -32005
    answer = rig.trace_call(spinning, options={"tracer": "callTracer"})
    assert answer["error"] == "out of gas"
    answer = rig.trace_call(spinning, options={"limit": 5})
    assert (answer["failed"], len(answer["structLogs"])) == (True, 5)


def test_calls_that_nest_without_end_are_told_to_be_too_deep(rig):
    endless = rig.deploy(call(None))
    with pytest.raises(RpcFault, match="nest deeper"):
        rig.trace_call(endless, options={"tracer": "callTracer"})
    options = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
    assert "error" not in rig.trace_call(endless, options=options)


def test_traces_take_turns_and_too_many_are_refused(rig):
    digest = rig.send(to=b"\x55" * 20)
    rig.seal()

    async def many():
        asked = Args([hex_(digest)])
        traces = [rig.debug.trace_transaction(asked) for _ in range(WAITING_MAX + 1)]
        return await asyncio.gather(*traces, return_exceptions=True)

    *answers, refused = asyncio.run(many())
    assert all(answer == answers[0] for answer in answers)
    assert isinstance(refused, RpcFault)
    assert (refused.code, "waiting" in refused.message) == (-32005, True)
    assert asyncio.run(rig.debug.trace_transaction(Args([hex_(digest)]))) == answers[0]


# Raw data.


def test_a_raw_transaction_is_its_bytes(rig):
    digest = rig.send(to=b"\x55" * 20)
    waiting = rig.ask("debug_getRawTransaction", hex_(digest))
    assert keccak256(bytes.fromhex(waiting[2:])) == digest
    rig.seal()
    sealed = rig.ask("debug_getRawTransaction", hex_(digest))
    assert sealed == waiting
    assert decode(bytes.fromhex(sealed[2:])).to == b"\x55" * 20
    assert rig.ask("debug_getRawTransaction", hex_(bytes(32))) == "0x"
