"""What a node says to a client: values, or one of two errors, whatever the bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc import answers
from node.rpc.answers import RpcError, Unreachable, notification_of, parse_answer, results_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "result", "error", "code", "message", "method", "params"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"\xff", b"", b"nul", b"1" * 10_000])
def test_what_is_no_json_is_told_as_such(data):
    with pytest.raises(Unreachable, match="not in JSON"):
        parse_answer(data)


def test_an_answer_is_bounded_before_it_is_read(monkeypatch):
    monkeypatch.setattr(answers, "ANSWER_BYTES_MAX", 10)
    assert parse_answer(b'"12345678"') == "12345678"
    with pytest.raises(Unreachable, match="at most 10 bytes"):
        parse_answer(b'"123456789"')


@given(json_values)
def test_any_value_gives_a_result_or_one_of_the_two_errors(value):
    for read in (answers.result_of, notification_of, lambda v: results_of(v, [1])):
        with suppress(RpcError, Unreachable):
            read(value)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "words"},
        {"error": {}},
        {"error": {"code": "3", "message": "m"}},
        {"error": {"code": True, "message": "m"}},
        {"error": {"code": 3, "message": None}},
    ],
)
def test_an_error_in_another_form_is_no_answer(answer):
    with pytest.raises(Unreachable, match="not a JSON-RPC response"):
        answers.result_of(answer)


def test_a_batch_takes_its_own_answers_in_the_order_of_the_calls():
    given = [
        {"id": 8, "error": {"code": 3, "message": "no"}},
        {"id": 7, "result": "seven"},
        {"id": [], "result": 0},
        17,
    ]
    first, second = results_of(given, [7, 8])
    assert first == "seven"
    assert (second.code, second.message) == (3, "no")
    with pytest.raises(Unreachable):
        results_of(given, [7, 9])
    with pytest.raises(RpcError):
        results_of({"error": {"code": 1, "message": "all"}}, [7])
    with pytest.raises(Unreachable, match="one answer"):
        results_of({"result": 1}, [7])


def test_a_notification_is_told_from_a_response():
    assert notification_of({"method": "m", "params": {"result": 5}}) == {"result": 5}
    assert notification_of({"id": 1, "result": "0x1"}) is None
    for answer in ({"method": "m"}, {"method": "m", "params": 3}, 5, None):
        with pytest.raises(Unreachable):
            notification_of(answer)
