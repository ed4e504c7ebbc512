import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import rlp
from crypto.errors import DecodeError, EncodeError

ITEMS = st.recursive(
    st.binary(max_size=70), lambda inner: st.lists(inner, max_size=8), max_leaves=30
)


def decode(data, max_bytes=100_000):
    return rlp.decode(data, field="tx", max_bytes=max_bytes)


def check_strict(data):
    try:
        item = decode(data)
    except DecodeError:
        return
    assert rlp.encode(item) == data


@given(ITEMS)
def test_round_trip(item):
    assert decode(rlp.encode(item)) == item


@given(ITEMS)
def test_same_bytes_as_the_reference_library(item):
    import rlp as oracle

    assert rlp.encode(item) == oracle.encode(item)


@given(st.lists(ITEMS, max_size=12))
def test_a_list_is_its_items_behind_a_prefix(items):
    payload = b"".join(map(rlp.encode, items))
    data = rlp.encode_list(payload)
    assert data == rlp.encode(items)
    assert data[rlp.list_start(data) :] == payload


@given(st.integers(0, 2**256 - 1) | st.integers(0, 300))
def test_the_size_of_an_integer_is_that_of_its_encoding(number):
    assert rlp.int_size(number) == len(rlp.encode(rlp.encode_int(number)))


@given(st.binary(max_size=100))
def test_whatever_decodes_is_canonical(data):
    check_strict(data)


@given(item=ITEMS, random=st.randoms(use_true_random=False))
def test_whatever_decodes_is_canonical_near_good_items(item, random):
    data = bytearray(rlp.encode(item))
    at = random.randrange(len(data))
    match random.randrange(3):
        case 0:
            data[at] = random.randrange(256)
        case 1:
            data.insert(at, random.randrange(256))
        case 2:
            del data[at]
    check_strict(bytes(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "ends early, at byte 0"),
        ("8100", "stands for itself"),
        ("b8", "in the length"),
        ("b800", "shortest form"),
        ("b9003a" + "00" * 58, "shortest form"),
        ("b90000", "shortest form"),
        ("b801ff", "shortest form"),
        ("b837" + "ff" * 55, "shortest form"),
        ("f837" + "80" * 55, "shortest form"),
        ("83aabb", "announces 3 bytes"),
        ("c28200", "announces 2 bytes"),
        ("8080", "1 trailing bytes"),
        ("ff" + "ff" * 8, "announces"),
    ],
)
def test_refused_forms(data, reason):
    with pytest.raises(DecodeError, match=f"^tx: .*{reason}"):
        decode(bytes.fromhex(data))


def test_lists_nest_32_deep_and_no_deeper():
    item = []
    for _ in range(rlp.DEPTH_MAX - 1):
        item = [item]
    assert decode(rlp.encode(item)) == item
    with pytest.raises(DecodeError, match="nest at most 32 deep"):
        decode(rlp.encode([item]))


def test_the_size_is_refused_first():
    with pytest.raises(DecodeError, match="tx: must be at most 1 bytes, got 2"):
        decode(b"\xff\xff", max_bytes=1)


@given(st.integers(0, 2**256))
def test_integers_round_trip(number):
    assert rlp.decode_int(rlp.encode_int(number), "nonce") == number


def test_integers_have_one_form():
    with pytest.raises(DecodeError, match="nonce: must have no leading zero bytes"):
        rlp.decode_int(b"\0", "nonce")
    with pytest.raises(DecodeError, match="nonce: must be a byte string, got a list"):
        rlp.decode_int([], "nonce")
    with pytest.raises(EncodeError):
        rlp.encode_int(-1)


@pytest.mark.parametrize("item", [1, "text", None, [b"", 1]])
def test_only_bytes_and_lists_have_an_encoding(item):
    with pytest.raises(EncodeError, match="cannot encode"):
        rlp.encode(item)


def from_json(value):
    """The vectors write integers as numbers or "#decimal", byte strings as Latin text."""
    match value:
        case list():
            return [from_json(inner) for inner in value]
        case int():
            return rlp.encode_int(value)
        case str() if value.startswith("#"):
            return rlp.encode_int(int(value[1:]))
    return value.encode("latin-1")


def test_published_encodings(vectors):
    """Official vectors, `RLPTests/rlptest.json`: both ways."""
    cases = json.loads((vectors / "evm/other/RLPTests/rlptest.json").read_text("utf-8"))
    assert len(cases) >= 28
    for name, case in cases.items():
        item, data = from_json(case["in"]), bytes.fromhex(case["out"].removeprefix("0x"))
        assert rlp.encode(item) == data, name
        assert decode(data) == item, name


def test_published_random_encodings(vectors):
    """Official vectors, `RandomRLPTests`: they decode, and encode again to the same."""
    for path in sorted((vectors / "evm/other/RLPTests/RandomRLPTests").glob("*.json")):
        for name, case in json.loads(path.read_text("utf-8")).items():
            assert case["in"] == "VALID"
            data = bytes.fromhex(case["out"].removeprefix("0x"))
            assert rlp.encode(decode(data)) == data, name


def test_published_bad_encodings(vectors):
    """Official vectors, `RLPTests/invalidRLPTest.json`: each is refused."""
    cases = json.loads((vectors / "evm/other/RLPTests/invalidRLPTest.json").read_text("utf-8"))
    assert len(cases) >= 26
    for name, case in cases.items():
        data = bytes.fromhex(case["out"].removeprefix("0x"))
        with pytest.raises(DecodeError):
            pytest.fail(f"{name} decodes to {decode(data)}")
