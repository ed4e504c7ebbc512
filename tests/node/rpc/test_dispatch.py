"""What the dispatcher bounds, and how failures read; sockets have no part in it."""

import asyncio
import json
import time

import pytest

from crypto import abi
from node.errors import HistoryUnavailable
from node.rpc import dispatch
from node.rpc.dispatch import DEPTH_MAX, SLICE_S, Caller, Dispatcher, Method
from node.rpc.errors import Code, call_failed, revert_reason

ANYBODY = Caller(is_authorised=False, extra={})


def call(method, params=(), id_=1):
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": list(params)}


def answer(methods, body):
    dispatcher = Dispatcher(methods, lambda _name, _is_ok: None)
    return json.loads(asyncio.run(dispatcher.answer(json.dumps(body), ANYBODY)))


def text(args):
    calls.append(args.get(0))
    return "x" * args.get(0)


calls = []
TEXT = {"text": Method(handler=text, required=1)}


def test_an_answer_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(dispatch, "ANSWER_BYTES_MAX", 1_000)
    assert answer(TEXT, call("text", [900]))["result"] == "x" * 900
    error = answer(TEXT, call("text", [1_000]))["error"]
    assert error == {"code": -32003, "message": "response too large"}


def test_a_batch_shares_the_room_and_stops_when_it_is_used_up(monkeypatch):
    monkeypatch.setattr(dispatch, "ANSWER_BYTES_MAX", 1_000)
    calls.clear()
    sizes = [300, 300, 300, 10, 20, 1]
    batch = [call("text", [size], place) for place, size in enumerate(sizes)]
    answers = answer(TEXT, batch)
    assert [each["id"] for each in answers] == list(range(6))
    codes = [each.get("error", {}).get("code") for each in answers]
    assert codes == [None, None, Code.RESPONSE_TOO_LARGE, None, None, None]
    assert calls == sizes
    assert sum(len(json.dumps(each)) for each in answers if "result" in each) <= 1_000
    assert answers[0]["result"] == "x" * 300


def test_calls_for_whose_answer_there_is_no_room_are_not_carried_out(monkeypatch):
    monkeypatch.setattr(dispatch, "ANSWER_BYTES_MAX", 100)
    calls.clear()
    batch = [call("text", [64], 0), call("text", [5], 1), call("text", [5], 2)]
    answers = answer(TEXT, batch)
    assert calls == [64]
    assert [each.get("error", {}).get("code") for each in answers] == [None, -32003, -32003]


def test_state_that_is_gone_is_the_callers_error():
    def gone(_):
        raise HistoryUnavailable(1, 5, 9)

    error = answer({"gone": Method(handler=gone)}, call("gone"))["error"]
    assert error["code"] == Code.SERVER
    assert error["message"].startswith("historical state is not available")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x00, "generic panic"),
        (0x01, "assert(false)"),
        (0x11, "arithmetic underflow or overflow"),
        (0x12, "division or modulo by zero"),
        (0x32, "out-of-bounds access of an array or bytesN"),
        (0x99, "unknown panic code: 0x99"),
    ],
)
def test_panics_in_geths_words(code, words):
    data = abi.selector("Panic(uint256)") + abi.encode(("uint256",), [code])
    assert revert_reason(data) == words
    assert call_failed(data, "execution reverted").message == f"execution reverted: {words}"


@pytest.mark.parametrize("data", [b"", b"\x08\xc3\x79\xa0", b"\x4e\x48\x7b\x71\x01", b"plain text"])
def test_revert_data_without_a_reason(data):
    fault = call_failed(data, "execution reverted")
    assert (fault.code, fault.message) == (Code.REVERTED, "execution reverted")
    assert fault.data == "0x" + data.hex()


def test_a_halt_is_no_revert():
    fault = call_failed(b"", "out of gas")
    assert (fault.code, fault.message, fault.data) == (Code.SERVER, "out of gas", None)


def test_a_batch_of_slow_calls_lets_the_loop_turn():
    def slow(_):
        time.sleep(2 * SLICE_S)
        return True

    async def scenario():
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watch = asyncio.create_task(others())
        dispatcher = Dispatcher({"slow": Method(handler=slow)}, lambda _name, _is_ok: None)
        await dispatcher.answer(json.dumps([call("slow")] * 5), ANYBODY)
        watch.cancel()
        return turns

    assert asyncio.run(scenario()) >= 5


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize("depth", [DEPTH_MAX, 200, 500])
def test_what_is_nested_too_deeply_reaches_no_handler(depth):
    def walks(args):
        calls.append(repr(args.get(0)))

    calls.clear()
    methods = {"walks": Method(handler=walks, required=1)}
    # The call and its parameters are two levels, a batch is a third.
    for body in (call("walks", [nested(depth)]), [call("walks", [nested(depth)])]):
        error = answer(methods, body)["error"]
        assert error["code"] == Code.INVALID_REQUEST
        assert "nested deeper" in error["message"]
    assert not calls
    answer(methods, call("walks", [nested(DEPTH_MAX - 2)]))
    assert len(calls) == 1
