"""Tracers: what they make of frames and instructions, played to them one by one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import abi
from node.rpc.call_tracer import CallTracer
from node.rpc.errors import RpcFault
from node.rpc.struct_tracer import StructTracer
from node.rpc.touch_tracer import TouchTracer
from node.rpc.trace_options import (
    CALL_DEPTH_MAX,
    TRACE_BYTES_MAX,
    TraceBudget,
    read_options,
)
from node.rpc.values import BadValue
from vm.evm.tracing import FrameInfo
from vm.receipt import Log

ME, YOU, THEM = (bytes([n]) * 20 for n in (1, 2, 3))
POP, MLOAD, SLOAD, SSTORE, CREATE, CALL, RETURN, REVERT = (
    0x50, 0x51, 0x54, 0x55, 0xF0, 0xF1, 0xF3, 0xFD,
)  # fmt: skip


def frame(gas, *, kind="CALL", depth=0, caller=ME, to=YOU, data=b""):
    return FrameInfo(kind=kind, depth=depth, caller=caller, to=to, value=0, data=data, gas=gas)


def step(tracer, opcode, gas, stack=(), *, cost=3, depth=0, memory=b"", address=YOU, refund=0):
    tracer.step(
        pc=0,
        opcode=opcode,
        gas=gas,
        cost=cost,
        depth=depth,
        stack=list(stack),
        memory=bytearray(memory),
        address=address,
        refund=refund,
    )


def structs(**options):
    return StructTracer(read_options(options or None), TraceBudget())


def costs(tracer):
    return [entry["gasCost"] for entry in tracer.entries()]


def fill(act):
    for _ in range(100_000):
        act()


# Options.


def test_no_options_give_stack_and_storage():
    """geth's defaults."""
    options = read_options(None)
    assert (options.tracer, options.limit) == ("", 0)
    assert (options.with_stack, options.with_storage) == (True, True)
    assert (options.with_memory, options.with_return_data) == (False, False)
    assert read_options({"tracer": None, "timeout": "5s", "reexec": 128}) == options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"disableStak": True}, "disableStak: is not known"),
        ({"enableMemory": 1}, "enableMemory: must be true or false"),
        ({"limit": -1}, "limit: must be an integer"),
        ({"limit": "0x1"}, "limit: must be an integer"),
        ({"tracer": 7}, "tracer: must be text"),
        ({"tracer": "callTracer", "tracerConfig": {"withLogs": True}}, "withLogs: is not known"),
        ({"tracer": "callTracer", "tracerConfig": {"withLog": 1}}, "must be true or false"),
        ([], "must be an object"),
    ],
)
def test_wrong_options_are_named(options, text):
    with pytest.raises(BadValue, match=text):
        read_options(options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tracer": "{step: function() {}}"}, "tracer not found"),
        ({"stateOverrides": {}}, "stateOverrides: is not supported"),
    ],
)
def test_what_geth_has_and_we_have_not_is_refused(options, text):
    with pytest.raises(RpcFault, match=text) as caught:
        read_options(options)
    assert caught.value.code == -32000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    )
)
def test_any_options_are_read_or_refused(value):
    try:
        read_options(value)
    except (BadValue, RpcFault):
        return
    assert value is None or isinstance(value, dict)


# Struct logs.


def test_an_entry_costs_what_is_missing_at_the_next():
    """Also what depends on operands, such as memory that grows."""
    tracer = structs()
    tracer.enter(frame(100))
    step(tracer, 0x60, 100)
    step(tracer, MLOAD, 97, [64])
    step(tracer, POP, 85, [0], cost=2)
    tracer.exit(gas_left=83, output=b"", error="")
    assert costs(tracer) == [3, 12, 2]


def test_a_call_costs_what_it_passes_on_as_well():
    """geth adds the callee's gas to the price; what comes back shows in the next entry's gas."""
    tracer = structs()
    tracer.enter(frame(10_000))
    step(tracer, CALL, 10_000, [0] * 7, cost=100)
    tracer.enter(frame(5_000, depth=1))
    step(tracer, 0x60, 5_000, depth=1)
    tracer.exit(gas_left=4_000, output=b"", error="")
    step(tracer, POP, 6_400, [1], cost=2)  # 10,000 - 2,600 - 5,000 + 4,000
    tracer.exit(gas_left=6_398, output=b"", error="")
    assert costs(tracer) == [2_600 + 5_000, 3, 2]


def test_a_creation_costs_without_what_it_passes_on():
    tracer = structs()
    tracer.enter(frame(100_000))
    step(tracer, CREATE, 100_000, [0] * 3, cost=32_000)
    tracer.enter(frame(60_000, kind="CREATE", depth=1))
    tracer.exit(gas_left=50_000, output=b"code", error="")
    step(tracer, POP, 58_000, [1], cost=2)
    tracer.exit(gas_left=57_998, output=b"", error="")
    assert costs(tracer) == [32_000, 2]


def test_a_return_costs_its_memory_and_not_the_deposit():
    """Yellow Paper, appendix H: 3 words are 9 gas, then the code is paid for by the creation."""
    tracer = structs()
    tracer.enter(frame(50_000, kind="CREATE"))
    step(tracer, RETURN, 50_000, [96, 0], cost=0)
    tracer.exit(gas_left=50_000 - 9 - 96 * 200, output=bytes(96), error="")
    assert costs(tracer) == [9]
    assert tracer.output == bytes(96)


def test_what_breaks_a_creation_after_its_return_is_no_error_of_the_return():
    tracer = structs()
    tracer.enter(frame(50_000, kind="CREATE"))
    step(tracer, RETURN, 50_000, [32, 0], cost=0)
    tracer.exit(gas_left=0, output=b"", error="max code size exceeded")
    (entry,) = tracer.entries()
    assert (entry["gasCost"], "error" in entry) == (3, False)


@pytest.mark.parametrize("opcode", [RETURN, REVERT])
def test_memory_that_cannot_be_paid_is_an_error_of_the_return(opcode):
    tracer = structs()
    tracer.enter(frame(50))
    step(tracer, opcode, 50, [2**20, 0], cost=0)
    tracer.exit(gas_left=0, output=b"", error="out of gas")
    (entry,) = tracer.entries()
    assert (entry["gasCost"], entry["error"]) == (0, "out of gas")


def test_a_halt_is_told_at_its_instruction_and_a_revert_is_none():
    tracer = structs()
    tracer.enter(frame(50))
    step(tracer, CALL, 50, [0] * 7)
    tracer.enter(frame(9, depth=1))
    step(tracer, 0x01, 9, depth=1)
    tracer.exit(gas_left=0, output=b"", error="stack underflow (0 <=> 2)")
    step(tracer, REVERT, 30, [0, 0], cost=0)
    tracer.exit(gas_left=30, output=b"", error="execution reverted")
    errors = [entry.get("error") for entry in tracer.entries()]
    assert errors == [None, "stack underflow (0 <=> 2)", None]


def test_storage_shows_what_was_read_and_written_so_far_by_contract():
    tracer = structs()
    tracer.enter(frame(9_000))
    step(tracer, SLOAD, 9_000, [5])
    step(tracer, POP, 6_900, [77])
    step(tracer, SSTORE, 6_800, [9, 5])
    step(tracer, SSTORE, 4_000, [1, 5], address=THEM)
    step(tracer, POP, 2_000, [1])
    tracer.exit(gas_left=1_998, output=b"", error="")
    word = lambda number: f"0x{number:064x}"  # noqa: E731
    assert [entry.get("storage") for entry in tracer.entries()] == [
        {word(5): word(77)},
        None,
        {word(5): word(9)},
        {word(5): word(1)},
        None,
    ]


def test_geths_switches_add_and_remove_fields():
    def one(**options):
        tracer = structs(**options)
        tracer.enter(frame(9_000))
        step(tracer, CALL, 9_000, [0] * 7, memory=bytes(31) + b"\1" + bytes(32), refund=4_800)
        tracer.enter(frame(1, depth=1))
        tracer.exit(gas_left=1, output=b"\xab", error="")
        step(tracer, SLOAD, 8_000, [2**256 - 1, 0], refund=0)
        step(tracer, POP, 7_000, [2])
        tracer.exit(gas_left=5, output=b"", error="")
        return list(tracer.entries())

    plain = one()
    assert list(plain[0]) == ["pc", "op", "gas", "gasCost", "depth", "stack", "refund"]
    assert (plain[0]["op"], plain[0]["depth"], plain[0]["refund"]) == ("CALL", 1, 4_800)
    assert plain[1]["stack"] == ["0x" + 64 * "f", "0x0"]
    assert "storage" in plain[1]
    assert "stack" not in one(disableStack=True)[0]
    assert "storage" not in one(disableStorage=True)[1]
    assert one(enableMemory=True)[0]["memory"] == [f"0x{1:064x}", f"0x{0:064x}"]
    assert [entry.get("returnData") for entry in one(enableReturnData=True)] == [
        None,
        "0xab",
        "0xab",
    ]
    assert len(one(limit=2)) == 2
    assert one(limit=2)[1]["gasCost"] == 1_000


def test_struct_logs_above_the_bound_end_the_execution():
    tracer = structs()
    tracer.enter(frame(10**9))
    with pytest.raises(RpcFault, match="trace too large"):
        fill(lambda: step(tracer, POP, 5, [2**256 - 1] * 1_000))
    written = len(json.dumps(list(tracer.entries()), separators=(",", ":")))
    assert TRACE_BYTES_MAX // 2 < written < TRACE_BYTES_MAX


@given(st.lists(st.integers(0, 2**256 - 1), max_size=20), st.binary(max_size=200), st.booleans())
def test_what_is_counted_is_never_less_than_what_is_written(stack, memory, with_memory):
    options = read_options({"enableMemory": with_memory, "enableReturnData": True})
    budget = TraceBudget()
    tracer = StructTracer(options, budget)
    tracer.enter(frame(10**6))
    for opcode in (CALL, SSTORE, SLOAD, POP):
        step(tracer, opcode, 10**6, [*stack, 1, 2], memory=memory + bytes(-len(memory) % 32))
        tracer.enter(frame(5, depth=1))
        tracer.exit(gas_left=5, output=memory, error="")
    tracer.exit(gas_left=0, output=b"", error="max call depth exceeded")
    counted = TRACE_BYTES_MAX - budget._left
    assert len(json.dumps(list(tracer.entries()), separators=(",", ":"))) <= counted


# Calls.


def log(data=b"", address=YOU):
    return Log(address, (bytes(32),), data)


def tree(tracer, first_log=0):
    return tracer.to_json(tracer.top, first_log)


def test_calls_lie_inside_each_other_in_geths_words():
    tracer = CallTracer(TraceBudget())
    tracer.enter(frame(100, data=b"\1\2"))
    tracer.enter(frame(60, kind="STATICCALL", depth=1, caller=YOU, to=THEM))
    tracer.exit(gas_left=50, output=b"\3", error="")
    tracer.enter(frame(40, kind="CREATE2", depth=1, caller=YOU, to=THEM, data=b"\4"))
    tracer.exit(gas_left=0, output=b"", error="out of gas")
    tracer.exit(gas_left=20, output=b"", error="")
    assert tree(tracer) == {
        "from": "0x" + "01" * 20,
        "gas": "0x64",
        "gasUsed": "0x50",
        "to": "0x" + "02" * 20,
        "input": "0x0102",
        "calls": [
            {
                "from": "0x" + "02" * 20,
                "gas": "0x3c",
                "gasUsed": "0xa",
                "to": "0x" + "03" * 20,
                "input": "0x",
                "output": "0x03",
                "type": "STATICCALL",
            },
            {
                "from": "0x" + "02" * 20,
                "gas": "0x28",
                "gasUsed": "0x28",
                "input": "0x04",
                "error": "out of gas",
                "value": "0x0",
                "type": "CREATE2",
            },
        ],
        "value": "0x0",
        "type": "CALL",
    }


def test_a_revert_shows_its_data_and_its_reason():
    tracer = CallTracer(TraceBudget())
    tracer.enter(frame(9))
    output = abi.selector("Error(string)") + abi.encode(("string",), ("no",))
    tracer.exit(gas_left=1, output=output, error="execution reverted")
    answer = tree(tracer)
    assert (answer["error"], answer["revertReason"]) == ("execution reverted", "no")
    assert answer["output"] == "0x" + output.hex()


def test_logs_are_counted_in_the_order_of_their_emission_without_undone_ones():
    tracer = CallTracer(TraceBudget(), with_log=True)
    tracer.enter(frame(9))
    tracer.log(log(b"a"))
    tracer.enter(frame(9, depth=1))
    tracer.log(log(b"b", THEM))
    tracer.exit(gas_left=1, output=b"", error="")
    tracer.enter(frame(9, depth=1))
    tracer.log(log(b"lost"))
    tracer.enter(frame(9, depth=2))
    tracer.log(log(b"lost with it"))
    tracer.exit(gas_left=1, output=b"", error="")
    tracer.exit(gas_left=1, output=b"", error="execution reverted")
    tracer.log(log(b"c"))
    tracer.exit(gas_left=1, output=b"", error="")
    answer = tree(tracer, 7)

    def brief(call):
        return [(each["data"], each["index"], each["position"]) for each in call.get("logs", ())]

    assert brief(answer) == [("0x61", "0x7", "0x0"), ("0x63", "0x9", "0x2")]
    assert brief(answer["calls"][0]) == [("0x62", "0x8", "0x0")]
    assert "logs" not in answer["calls"][1]
    assert "logs" not in answer["calls"][1]["calls"][0]
    assert answer["logs"][0]["topics"] == ["0x" + 64 * "0"]


def test_only_the_top_call_is_shown_where_asked():
    tracer = CallTracer(TraceBudget(), only_top=True, with_log=True)
    tracer.enter(frame(9))
    tracer.log(log(b"a"))
    for depth in (1, 2):
        tracer.enter(frame(9, depth=depth))
    tracer.log(log(b"hidden"))
    for _ in (2, 1):
        tracer.exit(gas_left=1, output=b"", error="")
    tracer.exit(gas_left=4, output=b"", error="")
    answer = tree(tracer)
    assert "calls" not in answer
    assert (answer["gasUsed"], len(answer["logs"])) == ("0x5", 1)


def test_the_deepest_tree_that_is_shown_can_be_written_and_read():
    tracer = CallTracer(TraceBudget(), with_log=True)
    for depth in range(CALL_DEPTH_MAX):
        tracer.enter(frame(9, depth=depth))
    with pytest.raises(RpcFault, match="nest deeper than 384"):
        tracer.enter(frame(9, depth=CALL_DEPTH_MAX))
    for _ in range(CALL_DEPTH_MAX):
        tracer.exit(gas_left=1, output=b"", error="")
    answer = tree(tracer)
    assert json.loads(json.dumps(answer)) == answer


def test_a_call_trace_above_the_bound_ends_the_execution():
    tracer = CallTracer(TraceBudget())
    tracer.enter(frame(9))

    def call():
        tracer.enter(frame(9, depth=1, data=bytes(100_000)))
        tracer.exit(gas_left=1, output=bytes(10), error="")

    with pytest.raises(RpcFault, match="trace too large"):
        fill(call)
    assert TRACE_BYTES_MAX // 2 < len(json.dumps(tree(tracer))) < TRACE_BYTES_MAX


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_a_call_trace_counts_no_less_than_it_writes(datas):
    budget = TraceBudget()
    tracer = CallTracer(budget, with_log=True)
    tracer.enter(frame(2**63))
    for data in datas:
        tracer.enter(frame(2**63, kind="SELFDESTRUCT", data=data))
        tracer.log(Log(YOU, (bytes(32),) * 4, data))
        tracer.exit(gas_left=0, output=data, error="")
    tracer.exit(gas_left=0, output=b"", error="")
    counted = TRACE_BYTES_MAX - budget._left
    assert len(json.dumps(tree(tracer, 10**6), separators=(",", ":"))) <= counted


# What is touched.


def test_addresses_slots_and_selectors_are_noted_once_in_order():
    tracer = TouchTracer(TraceBudget())
    tracer.enter(frame(9, data=b"\1\2\3\4" + bytes(32)))
    step(tracer, 0x31, 9, [int.from_bytes(THEM, "big") + (1 << 200)])
    step(tracer, SLOAD, 9, [5])
    step(tracer, SSTORE, 9, [1, 5])
    step(tracer, SLOAD, 9, [3])
    step(tracer, SLOAD, 9, [])
    for kind, to in (("CREATE", bytes(20)), ("STATICCALL", THEM)):
        tracer.enter(frame(9, kind=kind, depth=1, caller=YOU, to=to, data=b"\1\2\3\4" + bytes(32)))
        tracer.exit(gas_left=0, output=b"", error="")
    assert list(tracer.touched) == [ME, YOU, THEM, bytes(20)]
    assert list(tracer.touched[YOU]) == [5, 3]
    assert list(tracer.created) == [bytes(20)]
    assert tracer.selectors == {"0x01020304-32": 2}
