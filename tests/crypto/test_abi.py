import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import abi
from crypto.errors import DecodeError, EncodeError

SIZES = st.integers(1, 32)
WORDS = st.one_of(
    SIZES.map(lambda n: f"uint{8 * n}"),
    SIZES.map(lambda n: f"int{8 * n}"),
    SIZES.map(lambda n: f"bytes{n}"),
    st.sampled_from(["address", "bool"]),
)
TYPES = st.recursive(
    WORDS | st.sampled_from(["bytes", "string"]),
    lambda inner: st.one_of(
        inner.map(lambda t: f"{t}[]"),
        st.builds(lambda t, n: f"{t}[{n}]", inner, st.integers(1, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda ts: f"({','.join(ts)})"),
    ),
    max_leaves=4,
)


def values_of(kind):
    match kind:
        case abi.Array():
            low, high = (0, 3) if kind.length is None else (kind.length, kind.length)
            return st.lists(values_of(kind.item), min_size=low, max_size=high)
        case abi.Tuple():
            return st.tuples(*map(values_of, kind.items))
        case abi.Blob():
            return st.text(max_size=40) if kind.is_text else st.binary(max_size=70)
    if kind.name == "bool":
        return st.booleans()
    if kind.name == "address":
        return st.binary(min_size=20, max_size=20)
    if kind.name.startswith("bytes"):
        size = int(kind.name[5:])
        return st.binary(min_size=size, max_size=size)
    bits = int(kind.name.lstrip("uint"))
    if kind.name.startswith("uint"):
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@st.composite
def arguments(draw):
    types = draw(st.lists(TYPES, max_size=4))
    return types, [draw(values_of(abi.parse_type(text))) for text in types]


@given(arguments())
def test_round_trip(case):
    types, values = case
    assert abi.decode(types, abi.encode(types, values)) == values


@given(arguments())
def test_same_bytes_as_the_reference_library(case):
    import eth_abi

    types, values = case
    assert abi.encode(types, values) == eth_abi.encode(types, values)


@given(case=arguments(), random=st.randoms(use_true_random=False))
def test_whatever_decodes_is_canonical_near_good_data(case, random):
    types, values = case
    data = bytearray(abi.encode(types, values))
    for _ in range(random.randrange(1, 3)):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0 if at < len(data):
                data[at] = random.choice([0, 1, 32, 255, random.randrange(256)])
            case 1:
                data[at:at] = bytes(random.choice([1, 32]))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + 32]
    check_strict(types, bytes(data))


@given(
    types=st.lists(TYPES, max_size=3),
    words=st.lists(st.sampled_from([0, 1, 2, 32, 64, 96, 2**256 - 1]), max_size=8),
)
def test_whatever_decodes_is_canonical_among_offsets(types, words):
    check_strict(types, b"".join(word.to_bytes(32, "big") for word in words))


def check_strict(types, data):
    try:
        values = abi.decode(types, data)
    except DecodeError:
        return
    assert abi.encode(types, values) == data


def word(number):
    return number.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("types", "data", "reason"),
    [
        (["uint256"], b"", "must be 32 bytes, got 0"),
        (["uint256"], bytes(33), "must be 32 bytes, got 33"),
        (["uint8"], word(256), "uint8 must lie in 0..255, got 256"),
        (["int8"], word(128), "int8 must lie in -128..127, got 128"),
        (["address"], word(2**160), "address must be padded"),
        (["bool"], word(2), "bool must be 0 or 1, got 2"),
        (["bytes4"], word(1), "bytes4 must be padded"),
        (["bytes"], word(64) + word(0), "offset at byte 0 must be 32, got 64"),
        (["bytes"], word(0), "offset at byte 0 must be 32, got 0"),
        (["bytes"], word(32) + word(1) + word(1), "bytes at byte 32 must be padded"),
        (["bytes"], word(32) + word(1) + b"a", "must be padded .* to whole words"),
        (["bytes"], word(32) + word(2**255), "ends early"),
        (["bytes"], word(32), "ends early"),
        (["string"], word(32) + word(1) + b"\xff" + bytes(31), "utf-8"),
        (["string"], word(32) + word(0) + word(0), "must be 64 bytes, got 96"),
        (["uint256[]"], word(32) + word(2**250), "ends early: byte 32 announces"),
        (["bytes[]", "bool"], word(64) + word(1) + word(1) + word(0), "offset at byte 96"),
        (["(bytes,bool)[2]"], word(32) + word(64) + word(64), "ends early|offset"),
    ],
)
def test_refused_data(types, data, reason):
    with pytest.raises(DecodeError, match=f"^calldata: .*({reason})"):
        abi.decode(types, data)


def test_the_caller_names_the_field():
    with pytest.raises(DecodeError, match=r"^log: "):
        abi.decode(["bool"], b"", field="log")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("uint256", 2**256),
        ("int8", 128), ("int8", -129), ("bool", 1), ("address", b"x" * 19), ("address", "0x00"),
        ("bytes4", b"x" * 5), ("bytes4", b""), ("bytes", "x"), ("string", b"x"),
        ("string", "\ud800"), ("uint8[]", 5), ("uint8[2]", [1]), ("(uint8,bool)", (1,)),
        ("(uint8)", {1}), ("uint8[][]", [1]),
    ],
)  # fmt: skip
def test_values_that_their_type_does_not_allow(text, value):
    with pytest.raises(EncodeError):
        abi.encode([text], [value])


def test_a_value_for_each_type():
    with pytest.raises(EncodeError, match="arguments must have 2 values, got 1"):
        abi.encode(["bool", "bool"], [True])


@pytest.mark.parametrize(
    "text",
    ["", "uint", "uint7", "uint0", "uint264", "int", "int1", "bytes0", "bytes33", "byte",
     "fixed128x18", "function", "()", "(uint8", "uint8)", "(uint8,)", "uint8[0]", "uint8[-1]",
     "uint8[01]", "[]", "uint8[]]", "(a)", "uint8 []", " uint8", "(uint8)(bool)", "(),()",
     "uint8" + "[]" * 16],
)  # fmt: skip
def test_what_is_no_type(text):
    with pytest.raises(DecodeError, match=r"^type: "):
        abi.parse_type(text)


@pytest.mark.parametrize(
    ("signature", "digits"),
    [
        ("transfer(address,uint256)", "a9059cbb"),
        ("balanceOf(address)", "70a08231"),
        ("totalSupply()", "18160ddd"),
        ("baz(uint32,bool)", "cdcd77c0"),
        ("bar(bytes3[2])", "fce353f6"),
        ("f(uint256,uint32[],bytes10,bytes)", "8be65246"),
    ],
)
def test_selectors(signature, digits):
    """ERC-20, and the examples of the Solidity ABI specification."""
    assert abi.selector(signature).hex() == digits


def test_the_topic_of_a_transfer():
    """ERC-20's event, as every block explorer shows it."""
    topic = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert abi.event_topic("Transfer(address,address,uint256)").hex() == topic


@pytest.mark.parametrize(
    "signature",
    ["transfer", "transfer(uint)", "transfer(address, uint256)", "1a()", "f()()", "f(é)"],
)
def test_what_is_no_signature(signature):
    with pytest.raises(DecodeError, match=r"^(type|signature): "):
        abi.selector(signature)


def test_the_specification_s_examples():
    """Solidity ABI specification, "Examples" and "Use of Dynamic Types", arguments only."""
    data = abi.encode(["bytes", "bool", "uint256[]"], [b"dave", True, [1, 2, 3]])
    assert data == b"".join(
        [word(0x60), word(1), word(0xA0), word(4), b"dave" + bytes(28), word(3)]
        + [word(n) for n in (1, 2, 3)]
    )
    data = abi.encode(["uint256[][]", "string[]"], [[[1, 2], [3]], ["one", "two", "three"]])
    numbers = [0x40, 0x140, 2, 0x40, 0xA0, 2, 1, 2, 1, 3, 3, 0x60, 0xA0, 0xE0]
    texts = [word(len(text)) + text.ljust(32, b"\0") for text in (b"one", b"two", b"three")]
    assert data == b"".join([word(n) for n in numbers] + texts)


def test_published_encodings(vectors):
    """Official vectors, `ABITests/basic_abi_tests.json`."""
    cases = json.loads((vectors / "evm/other/ABITests/basic_abi_tests.json").read_text("utf-8"))
    assert len(cases) >= 3
    for name, case in cases.items():
        values = [
            bytes.fromhex(value[2:]) if text == "address" else
            value.encode() if text.startswith("bytes") else value
            for text, value in zip(case["types"], case["args"], strict=True)
        ]  # fmt: skip
        data = bytes.fromhex(case["result"])
        assert abi.encode(case["types"], values) == data, name
        assert abi.decode(case["types"], data) == values, name
