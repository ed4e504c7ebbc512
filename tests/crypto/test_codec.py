import tracemalloc
from enum import IntEnum

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import DecodeError, EncodeError

INTS = st.integers(-(2**63), 2**64 - 1)
LEAVES = st.none() | st.booleans() | INTS | st.binary(max_size=300) | st.text(max_size=40)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=4), inner, max_size=20)
    ),
    max_leaves=30,
)


def decode(data, max_bytes=100_000):
    return codec.decode(data, field="message", max_bytes=max_bytes)


def refused(data):
    try:
        value = decode(data)
    except DecodeError:
        return True
    assert codec.encode(value) == data
    return False


NESTED = st.recursive(
    INTS | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.lists(inner, max_size=20).map(tuple),
    max_leaves=30,
)


@given(NESTED)
def test_values_without_maps_are_encoded_to_the_same_bytes_either_way(value):
    assert codec.encode_nested(value) == codec.encode(value)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_no_way_encodes_an_integer_that_is_too_large(number):
    with pytest.raises(EncodeError, match="integers must lie in"):
        codec.encode_nested([[number]])


@given(VALUES)
def test_round_trip(value):
    data = codec.encode(value)
    assert decode(data) == value
    assert msgpack.unpackb(data, strict_map_key=False) == value


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 3)), st.randoms())
def test_the_order_of_insertion_does_not_show(value, random):
    entries = list(value.items())
    random.shuffle(entries)
    assert codec.encode(dict(entries)) == codec.encode(value)
    keys = [k.encode() for k in codec_keys(codec.encode(value))]
    assert keys == sorted(keys)


def codec_keys(data):
    return list(msgpack.unpackb(data))


def test_tuples_are_lists_and_enums_are_numbers():
    class Vote(IntEnum):
        YES = 1

    assert codec.encode((1, (Vote.YES, b"x"))) == codec.encode([1, [1, b"x"]])


@pytest.mark.parametrize(
    "value",
    [1.0, [0.5], {"a": {1: 2}}, {b"a": 1}, 2**64, -(2**63) - 1, "\ud800", {1, 2}, bytearray(b"x"),
     object(), msgpack.ExtType(1, b""), [msgpack.Timestamp(1)]],
)  # fmt: skip
def test_what_has_no_encoding_is_refused(value):
    with pytest.raises(EncodeError):
        codec.encode(value)


@given(data=st.binary(max_size=200))
def test_whatever_decodes_is_canonical(data):
    refused(data)


@given(value=VALUES, random=st.randoms(use_true_random=False))
def test_whatever_decodes_is_canonical_near_good_messages(value, random):
    """A flipped, inserted or deleted byte gives another canonical message or none."""
    data = bytearray(codec.encode(value))
    at = random.randrange(len(data))
    match random.randrange(3):
        case 0:
            data[at] = random.randrange(256)
        case 1:
            data.insert(at, random.randrange(256))
        case 2:
            del data[at]
    refused(bytes(data))


@given(value=VALUES, random=st.randoms(use_true_random=False))
def test_longer_forms_of_the_same_value_are_refused(value, random):
    loose = write_loosely(value, random)
    assert msgpack.unpackb(loose, strict_map_key=False) == value
    assert refused(loose) is (loose != codec.encode(value))


def write_loosely(value, random):
    """Legal msgpack of `value`: random choice of longer forms and of the order of keys."""
    wide = random.random() < 0.5
    match value:
        case None | bool():
            return codec.encode(value)
        case int() if wide and value >= 0:
            return b"\xcf" + value.to_bytes(8, "big")
        case int() if wide:
            return b"\xd3" + value.to_bytes(8, "big", signed=True)
        case bytes() if wide:
            return b"\xc6" + len(value).to_bytes(4, "big") + value
        case str() if wide:
            return b"\xdb" + len(value.encode()).to_bytes(4, "big") + value.encode()
        case list():
            head = b"\xdd" + len(value).to_bytes(4, "big") if wide else pack_head(value)
            return head + b"".join(write_loosely(v, random) for v in value)
        case dict():
            entries = list(value.items())
            random.shuffle(entries)
            head = b"\xdf" + len(value).to_bytes(4, "big") if wide else pack_head(value)
            return head + b"".join(
                write_loosely(part, random) for entry in entries for part in entry
            )
    return codec.encode(value)


def pack_head(value):
    packer = msgpack.Packer()
    if isinstance(value, list):
        return packer.pack_array_header(len(value))
    return packer.pack_map_header(len(value))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\xc0\xc0", "extra data"),
        (b"\x92\xc0", "not msgpack"),
        (b"\xcc\x01", "canonical"),
        (b"\xca\0\0\0\0", "cannot encode float"),
        (b"\xd4\x01\0", "extension type 1"),
        (b"\xd6\xff\0\0\0\0", "cannot encode Timestamp"),
        (b"\xa1\xff", "not msgpack"),
        (b"\x81\x01\x01", "not msgpack"),
        (b"\x81\xc4\x01a\x01", "map keys must be str"),
        (b"\x82\xa1b\x01\xa1a\x01", "canonical"),
        (b"\x82\xa1a\x01\xa1a\x01", "canonical"),
        (b"\x91" * 33 + b"\x90", "depth"),
        (b"\x91" * 5000, "not msgpack"),
    ],
)
def test_refused_forms(data, reason):
    with pytest.raises(DecodeError, match=rf"^message: .*{reason}"):
        decode(data)


def test_the_deepest_message_decodes():
    value = []
    for _ in range(codec.DEPTH_MAX - 1):
        value = [value]
    assert decode(codec.encode(value)) == value
    with pytest.raises(EncodeError, match="depth must be at most 32"):
        codec.encode([value])


def test_the_size_is_refused_first():
    with pytest.raises(DecodeError, match="message: must be at most 2 bytes, got 3"):
        decode(b"\xc1\xc1\xc1", max_bytes=2)


def test_a_nest_of_lying_headers_costs_nothing():
    """1,000 array headers inside each other, each of which announces 900,000 items."""
    hostile = (b"\xdd" + (900_000).to_bytes(4, "big")) * 1000 + b"\xc0" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(hostile, max_bytes=2_000_000)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(hostile)
    finally:
        tracemalloc.stop()


READERS = {
    codec.as_bytes: b"ab",
    codec.as_int: 5,
    codec.as_bool: True,
    lambda v, f: codec.as_str(v, f, 9): "ab",
    codec.as_list: [1],
    lambda v, f: codec.as_map(v, f, ("a",)): {"a": 1},
}


def test_each_reader_takes_its_type_and_no_other():
    for reader, value in READERS.items():
        assert reader(value, "tx.field") == value
        for other in [*READERS.values(), None]:
            if type(other) is not type(value):
                with pytest.raises(DecodeError, match=r"^tx\.field: must be "):
                    reader(other, "tx.field")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: codec.as_bytes(b"x" * 31, "digest", 32), "digest: must be 32 bytes, got 31"),
        (lambda: codec.as_bytes(b"xxx", "data", max_length=2), "data: must be at most 2 bytes"),
        (lambda: codec.as_int(-1, "nonce"), "nonce: must lie in 0..18446744073709551615, got -1"),
        (lambda: codec.as_int(4, "view", 1, 3), "view: must lie in 1..3, got 4"),
        (lambda: codec.as_int(True, "view"), "view: must be an integer, got bool"),
        (lambda: codec.as_str("abc", "name", 2), "name: must be at most 2 characters, got 3"),
        (lambda: codec.as_list([1], "votes", 2), "votes: must have 2 items, got 1"),
        (lambda: codec.as_list([1] * 3, "votes", max_length=2), "votes: must have at most 2"),
        (lambda: codec.as_map({}, "tx", ("a",)), "tx.a: is missing"),
        (lambda: codec.as_map({"a": 1, "b": 1}, "tx", ("a",)), "tx: has the unknown key 'b'"),
        (lambda: codec.int_from_bytes(b"\0\1", "s"), "s: must have no leading zero bytes"),
        (lambda: codec.int_from_bytes(b"x" * 33, "s"), "s: must be at most 32 bytes, got 33"),
        (lambda: codec.int_from_bytes(1, "s"), "s: must be bytes, got int"),
    ],
)
def test_readers_say_what_was_expected_and_what_came(read, message):
    with pytest.raises(DecodeError) as caught:
        read()
    assert str(caught.value).startswith(message)


@given(st.integers(0, 2**256 - 1))
@example(0)
def test_wide_integers_round_trip(number):
    assert codec.int_from_bytes(codec.int_to_bytes(number), "n") == number


@given(st.binary(max_size=40))
def test_wide_integers_have_one_form(data):
    try:
        number = codec.int_from_bytes(data, "n")
    except DecodeError:
        return
    assert codec.int_to_bytes(number) == data


def test_wide_integers_are_not_negative():
    with pytest.raises(EncodeError):
        codec.int_to_bytes(-1)
