"""Readers of what callers send: one form each, and the argument's name in every refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.abi_event import parse_parameters
from node.rpc.abi_json import arguments_from_json, results_to_json
from node.rpc.values import (
    BadValue,
    Tag,
    read_address,
    read_block,
    read_bool,
    read_data,
    read_int,
    read_quantity,
    to_data,
    to_quantity,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.integers(0, 2**256 - 1))
def test_quantities_survive(number):
    assert read_quantity(to_quantity(number), "x") == number


@given(st.binary(max_size=100))
def test_data_survives(data):
    assert read_data(to_data(data), "x") == data


@given(json_values)
def test_what_a_reader_accepts_is_written_the_same(value):
    """And whatever it does not accept is a BadValue: no other error leaves a reader."""
    for read, write in (
        (read_quantity, to_quantity),
        (read_data, to_data),
        (read_address, to_data),
    ):
        try:
            found = read(value, "x")
        except BadValue as error:
            assert str(error).startswith("x")  # noqa: PT017
        else:
            assert write(found) == value.lower()


@pytest.mark.parametrize(
    "value",
    [
        "0x",
        "0x00",
        "0x01",
        "1",
        "",
        "0x-1",
        "0x1_0",
        "0X1",
        "0x 1",
        "0xg",
        1,
        None,
        "0x" + "1" * 65,
    ],
)
def test_quantities_have_one_form(value):
    with pytest.raises(BadValue, match="x: must"):
        read_quantity(value, "x")


def test_quantities_are_bounded():
    assert read_quantity("0xff", "x", 255) == 255
    with pytest.raises(BadValue, match="at most 0xff"):
        read_quantity("0x100", "x", 255)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, -1, 11])
def test_plain_integers_are_integers_in_range(value):
    with pytest.raises(BadValue, match=r"x: must be an integer in 0\.\.10"):
        read_int(value, "x", 0, 10)


def test_booleans():
    assert [read_bool(value, "x") for value in (None, True, False)] == [False, True, False]
    with pytest.raises(BadValue):
        read_bool(1, "x")


def test_blocks_by_tag_number_hash_and_object():
    digest = "0x" + "ab" * 32
    assert read_block(None) is Tag.LATEST
    assert [read_block(tag.value) for tag in Tag] == list(Tag)
    assert read_block("0x10") == 16
    assert read_block(digest) == b"\xab" * 32
    assert read_block({"blockNumber": "0x10"}) == 16
    assert read_block({"blockHash": digest, "requireCanonical": True}) == b"\xab" * 32
    for wrong in (
        "newest",
        "",
        "0x",
        "0x00",
        5,
        True,
        [],
        {},
        {"blockHash": "0x12"},
        "0x1" + "0" * 17,
    ):
        with pytest.raises(BadValue):
            read_block(wrong)


ITEM = "(uint64 id,address who,bytes4[2] tags)"
PARAMETERS = parse_parameters(f"bool yes,int16 shift,string text,{ITEM}[] items,bytes data")
JSON = {
    "yes": True,
    "shift": -5,
    "text": "Wärme",
    "items": [
        {
            "id": "18446744073709551615",
            "who": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "tags": ["0x01020304", "0x00000000"],
        }
    ],
    "data": "0x",
}


def test_solidity_values_survive_json():
    values = arguments_from_json(PARAMETERS, JSON)
    who = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
    items = [(2**64 - 1, who, [b"\1\2\3\4", bytes(4)])]
    assert values == [True, -5, "Wärme", items, b""]
    assert results_to_json(PARAMETERS, values) == JSON
    assert arguments_from_json(PARAMETERS, list(JSON.values())) == values


def test_integers_may_be_text():
    (kind,) = parse_parameters("uint256 x")
    for text in (255, "255", "0xff", "0xFF"):
        assert arguments_from_json((kind,), [text]) == [255]
    for wrong in ("", "0x", "01", "1e3", "٣", " 1", 2.0, True, None, 2**256, "-1", "9" * 79):
        with pytest.raises(BadValue, match=r"^args\.x: must be"):
            arguments_from_json((kind,), [wrong])


def test_text_must_be_utf_8():
    (kind,) = parse_parameters("string x")
    assert arguments_from_json((kind,), ["\N{EURO SIGN}"]) == ["\N{EURO SIGN}"]
    with pytest.raises(BadValue, match=r"^args\.x: must be encodable"):
        arguments_from_json((kind,), ["\ud800"])


def test_results_are_one_value_or_many():
    assert results_to_json((), []) is None
    assert results_to_json(parse_parameters("uint256"), [7]) == 7
    assert results_to_json(parse_parameters("uint256,bool"), [7, True]) == [7, True]
    assert results_to_json(parse_parameters("uint256 a,bool b"), [7, True]) == {"a": 7, "b": True}
    assert results_to_json(parse_parameters("uint256"), [2**53]) == str(2**53)


@given(json_values)
def test_no_json_raises_anything_but_bad_value(value):
    try:
        arguments_from_json(PARAMETERS, value)
    except BadValue as error:
        assert str(error).startswith("args")  # noqa: PT017
