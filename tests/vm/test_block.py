"""Blocks and receipts: round trips, strictness, and what a digest binds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import Digest, keccak256, tagged_hash
from crypto.merkle_list import list_root
from vm.block import (
    BLOCK_BYTES_MAX,
    BLOCK_TXS_MAX,
    HEADER_BYTES,
    Block,
    Header,
    block_digest,
    decode_block,
    decode_header,
    encode_block,
)
from vm.errors import BlockReason, InvalidBlock
from vm.receipt import (
    OUTPUT_BYTES_MAX,
    Log,
    Receipt,
    decode_receipt,
    encode_receipt,
    logs_bloom,
)

NUMBERS = st.integers(0, 2**63 - 1)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
HEADERS = st.builds(
    Header,
    version=NUMBERS,
    number=NUMBERS,
    parent_hash=DIGESTS,
    time_ms=NUMBERS,
    transactions_root=DIGESTS,
    state_root=DIGESTS,
    receipts_root=DIGESTS,
    next_members_hash=DIGESTS,
    gas_used=NUMBERS,
)
LOGS = st.builds(
    Log,
    st.binary(min_size=20, max_size=20),
    st.lists(DIGESTS, max_size=4).map(tuple),
    st.binary(max_size=40),
)


@st.composite
def receipts(draw):
    used = draw(st.integers(0, 2**40))
    return Receipt(
        status=draw(st.integers(0, 1)),
        gas_used=used,
        cumulative_gas=used + draw(st.integers(0, 2**40)),
        logs=tuple(draw(st.lists(LOGS, max_size=3))),
        output=draw(st.binary(max_size=40)),
    )


def block(raws=(b"\x01", b"\x02\x03"), **fields):
    defaults = {
        "version": 1,
        "number": 1,
        "parent_hash": Digest(b"p" * 32),
        "time_ms": 5,
        "transactions_root": list_root(raws),
        "state_root": Digest(b"s" * 32),
        "receipts_root": Digest(b"r" * 32),
        "next_members_hash": Digest(b"m" * 32),
        "gas_used": 0,
    }
    return Block(Header(**{**defaults, **fields}), tuple(raws))


@given(HEADERS)
def test_headers_have_a_fixed_width(header):
    data = header.to_bytes()
    assert len(data) == HEADER_BYTES
    assert decode_header(data) == header
    assert header.hash == tagged_hash(b"hearth/block", data)


@given(HEADERS, st.integers(0, HEADER_BYTES - 1))
def test_every_byte_of_a_header_is_hashed(header, at):
    data = bytearray(header.to_bytes())
    data[at] ^= 1
    assert decode_header(bytes(data)).hash != header.hash


@pytest.mark.parametrize("name", ["version", "number", "time_ms", "gas_used"])
def test_header_numbers_fit_63_bits(name):
    for number in (-1, 2**63):
        with pytest.raises(DecodeError, match=f"header.{name}: must lie in"):
            block(**{name: number})


def test_header_digests_have_32_bytes():
    with pytest.raises(DecodeError, match=r"header\.state_root: must be 32 bytes, got 31"):
        block(state_root=Digest(bytes(31)))


@given(HEADERS, st.lists(st.binary(max_size=50), max_size=5))
def test_blocks_round_trip(header, raws):
    made = Block(header, tuple(raws))
    assert decode_block(encode_block(made)) == made


@given(st.binary(max_size=300))
def test_noise_is_no_block(noise):
    for parse in (decode_block, block_digest):
        with pytest.raises(InvalidBlock):
            parse(noise)


@given(st.data())
def test_what_decodes_as_a_block_encodes_to_the_same(data):
    raw = bytearray(encode_block(block()))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        decoded = decode_block(bytes(raw))
    except InvalidBlock:
        return
    assert encode_block(decoded) == bytes(raw)


def refusal(data, parse=decode_block):
    with pytest.raises(InvalidBlock) as caught:
        parse(data)
    return caught.value.reason, caught.value.field


def test_blocks_are_bounded():
    assert refusal(bytes(BLOCK_BYTES_MAX + 1)) == (BlockReason.OVERSIZED, "block")
    header = block().header.to_bytes()
    many = codec.encode([header, [b""] * (BLOCK_TXS_MAX + 1)])
    assert refusal(many) == (BlockReason.MALFORMED, "transactions")
    long = codec.encode([header, [bytes(128 * 1024 + 1)]])
    assert refusal(long) == (BlockReason.MALFORMED, "transactions[0]")
    assert refusal(codec.encode([header[1:], []])) == (BlockReason.MALFORMED, "header")
    high = b"\x80" + header[1:]
    assert refusal(codec.encode([high, []])) == (BlockReason.MALFORMED, "header.version")


def test_a_digest_has_one_body():
    made = block()
    data = encode_block(made)
    assert block_digest(data) == made.header.hash
    swapped = encode_block(Block(made.header, made.transactions[::-1]))
    assert refusal(swapped, block_digest) == (
        BlockReason.WRONG_TRANSACTIONS_ROOT,
        "header.transactions_root",
    )


@given(receipts())
def test_receipts_round_trip(receipt):
    assert decode_receipt(encode_receipt(receipt)) == receipt


@given(receipts(), st.data())
def test_what_decodes_as_a_receipt_encodes_to_the_same(receipt, data):
    raw = bytearray(encode_receipt(receipt))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        decoded = decode_receipt(bytes(raw))
    except DecodeError:
        return
    assert encode_receipt(decoded) == bytes(raw)


def test_receipts_are_checked():
    fields = {"status": 1, "gas_used": 1, "cumulative_gas": 1, "logs": (), "output": b""}
    for name, value in (
        ("status", 2),
        ("gas_used", 2),
        ("gas_used", -1),
        ("output", bytes(OUTPUT_BYTES_MAX + 1)),
    ):
        with pytest.raises(DecodeError, match=f"receipt.{name}"):
            Receipt(**{**fields, name: value})
    five_topics = [1, 1, 1, [[bytes(20), [bytes(32)] * 5, b""]], b""]
    with pytest.raises(DecodeError, match=r"log\.topics"):
        decode_receipt(codec.encode(five_topics))


def test_the_bloom_is_ethereums():
    """Worked by hand from the Yellow Paper, section 4.3.1: three 11-bit numbers for each item."""
    address, topic = b"\x0a" * 20, b"\x0b" * 32
    bloom = int.from_bytes(logs_bloom([Log(address, (topic,), b"data")]), "big")
    bits = set()
    for item in (address, topic):
        digest = keccak256(item)
        bits |= {(256 * digest[i] + digest[i + 1]) % 2048 for i in (0, 2, 4)}
    assert bloom == sum(2**bit for bit in bits)
    assert logs_bloom([]) == bytes(256)
