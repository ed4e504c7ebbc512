"""Events against eth_abi and against themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.abi_event import decode_event, encode_event, parse_event, parse_parameters
from crypto.errors import DecodeError, EncodeError
from crypto.hashing import keccak256
from tests.vm.oracles import eth_abi

TRANSFER = "Transfer(address indexed from,address indexed to,uint256 value)"
MIXED = "Filed(bytes indexed name,uint64 at,string indexed title,(uint8 kind,bytes data)[] items)"


def test_transfer_is_the_erc20_event():
    topics, data = encode_event(TRANSFER, (b"\x11" * 20, b"\x22" * 20, 7))
    known = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert topics == (bytes.fromhex(known), bytes(12) + b"\x11" * 20, bytes(12) + b"\x22" * 20)
    assert data == (7).to_bytes(32, "big")


def test_json_abi_names_components():
    entry = parse_event(MIXED).to_json()
    assert entry["inputs"][0] == {"name": "name", "type": "bytes", "indexed": True}
    assert entry["inputs"][3] == {
        "name": "items",
        "type": "tuple[]",
        "indexed": False,
        "components": [{"name": "kind", "type": "uint8"}, {"name": "data", "type": "bytes"}],
    }
    assert parse_event(MIXED).signature == "Filed(bytes,uint64,string,(uint8,bytes)[])"


def test_an_indexed_blob_is_its_hash():
    """ "For bytes and string, the topic is the keccak256 of the content, without padding"."""
    topics, data = encode_event(MIXED, (b"abc", 5, "hé", [(1, b"x")]))
    assert topics[1:] == (keccak256(b"abc"), keccak256("hé".encode()))
    assert decode_event(MIXED, topics, data) == [topics[1], 5, topics[2], [(1, b"x")]]


@given(st.integers(0, 2**64 - 1), st.text(), st.lists(st.tuples(st.integers(0, 255), st.binary())))
def test_data_agrees_with_eth_abi(at, title, items):
    topics, data = encode_event(MIXED, (b"", at, title, items))
    assert data == eth_abi.encode(["uint64", "(uint8,bytes)[]"], [at, items])
    assert decode_event(MIXED, topics, data)[1::2] == [at, items]


@given(st.lists(st.binary(max_size=40), max_size=4), st.binary(max_size=100))
def test_what_decodes_encodes_to_the_same(tail, data):
    topics = (encode_event(TRANSFER, (bytes(20), bytes(20), 0))[0][0], *tail)
    try:
        values = decode_event(TRANSFER, topics, data)
    except DecodeError:
        return
    assert encode_event(TRANSFER, values) == (topics, data)


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20))
def test_round_trip(sender, to):
    assert decode_event(TRANSFER, *encode_event(TRANSFER, (sender, to, 2**256 - 1))) == [
        sender,
        to,
        2**256 - 1,
    ]


def test_topics_must_be_the_events():
    topics, data = encode_event(TRANSFER, (bytes(20), bytes(20), 0))
    for wrong in ((), topics[:2], (*topics, topics[1]), (topics[1], *topics[1:])):
        with pytest.raises(DecodeError, match=r"event\.topics"):
            decode_event(TRANSFER, wrong, data)
    with pytest.raises(DecodeError, match=r"event\.to"):
        decode_event(TRANSFER, (*topics[:2], b"\x01" * 32), data)
    with pytest.raises(DecodeError, match=r"event\.data"):
        decode_event(TRANSFER, topics, data + b"\0")
    blob_topics, blob_data = encode_event(MIXED, (b"", 0, "", []))
    with pytest.raises(DecodeError, match=r"event\.name: must be 32 bytes, got 3"):
        decode_event(MIXED, (blob_topics[0], b"abc", blob_topics[2]), blob_data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Transfer",
        "Transfer(address from",
        "1x(uint8 a)",
        "E(uint a)",
        "E(uint8 indexed a,uint8 indexed b,uint8 indexed c,uint8 indexed d)",
        "E(uint8[] indexed a)",
        "E((uint8 x) indexed a)",
        "E(uint8  a)",
        "E(uint8 a,)",
    ],
)
def test_what_is_not_an_event_is_refused(text):
    with pytest.raises(DecodeError):
        parse_event(text)


def test_values_must_fit():
    with pytest.raises(EncodeError, match="takes 3 values, got 2"):
        encode_event(TRANSFER, (bytes(20), bytes(20)))
    with pytest.raises(EncodeError):
        encode_event(TRANSFER, (bytes(20), bytes(19), 0))
    with pytest.raises(EncodeError):
        encode_event(TRANSFER, (bytes(20), bytes(20), -1))
    with pytest.raises(EncodeError, match="expected bytes or text"):
        encode_event(MIXED, (5, 0, "", []))


def test_parameters_may_have_no_names():
    (one, two) = parse_parameters("uint64,(address who,bytes32)[2]")
    assert (one.name, one.type, two.name, two.type) == ("", "uint64", "", "(address,bytes32)[2]")
    assert parse_parameters("") == ()
    assert encode_event("Closed()", ())[1] == b""
