"""The bytes of a Monero transaction: one form, hashes as the main chain has them."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from crypto.monero_transaction import (
    TRANSACTION_BYTES_MAX,
    RangeProofFields,
    RingSignatureFields,
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)

items = st.binary(min_size=32, max_size=32)
u64 = st.integers(0, 2**64 - 1)


def packed(count):
    return st.binary(min_size=32 * count, max_size=32 * count)


@st.composite
def range_proofs(draw):
    head = {name: draw(items) for name in ("A", "A1", "B", "r1", "s1", "d1")}
    L, R = (draw(st.integers(0, 10).flatmap(packed)) for _ in "LR")
    return RangeProofFields(**head, L=L, R=R)


@st.composite
def transactions(draw):
    inputs = tuple(
        TransactionInput(key_offsets=tuple(offsets), key_image=draw(items))
        for offsets in draw(st.lists(st.lists(u64, max_size=4), max_size=3))
    )
    tags = st.integers(0, 255) if draw(st.booleans()) else st.none()
    outputs = tuple(
        TransactionOutput(
            key=draw(items),
            view_tag=draw(tags),
            encrypted_amount=draw(st.binary(min_size=8, max_size=8)),
            commitment=draw(items),
        )
        for _ in range(draw(st.integers(0, 16)))
    )
    return Transaction(
        unlock_time=draw(u64),
        inputs=inputs,
        outputs=outputs,
        extra=draw(st.binary(max_size=200)),
        fee=draw(u64),
        range_proof=draw(range_proofs()),
        signatures=tuple(
            RingSignatureFields(
                s=draw(packed(len(each.key_offsets))), c1=draw(items), D=draw(items)
            )
            for each in inputs
        ),
        pseudo_outs=tuple(draw(items) for _ in inputs),
    )


def small(**changes):
    """A transaction of one input with a ring of 2, and two outputs."""
    output = TransactionOutput(
        key=b"\1" * 32, view_tag=7, encrypted_amount=bytes(8), commitment=b"\2" * 32
    )
    whole = Transaction(
        unlock_time=0,
        inputs=(TransactionInput(key_offsets=(9, 1), key_image=b"\3" * 32),),
        outputs=(output, output),
        extra=b"\1extra",
        fee=300,
        range_proof=RangeProofFields(
            **dict.fromkeys(("A", "A1", "B", "r1", "s1", "d1"), b"\x04" * 32),
            L=b"\5" * 224,
            R=b"\6" * 224,
        ),
        signatures=(RingSignatureFields(s=b"\7" * 64, c1=b"\x08" * 32, D=b"\x09" * 32),),
        pseudo_outs=(b"\x0a" * 32,),
    )
    return dataclasses.replace(whole, **changes)


@given(transactions())
def test_what_is_written_is_read(transaction):
    assert parse_transaction(transaction.to_bytes()) == transaction


@given(st.data())
def test_what_is_read_is_written_the_same(data):
    raw = bytearray(small().to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        transaction = parse_transaction(bytes(raw))
    except DecodeError:
        return
    assert transaction.to_bytes() == raw


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_the_typed_error(raw):
    try:
        transaction = parse_transaction(raw)
    except DecodeError:
        return
    assert transaction.to_bytes() == raw


def test_every_shortened_transaction_is_refused():
    raw = small().to_bytes()
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            parse_transaction(raw[:size])


@pytest.mark.parametrize(
    ("field", "at", "byte"),
    [
        ("tx.version", 0, 1),
        ("tx.inputs[0].type", 3, 0xFF),  # A coinbase input: not of type 6.
        ("tx.inputs[0].amount", 4, 1),
        ("tx.outputs[0].type", 42, 4),
    ],
)
def test_a_wrong_constant_is_named(field, at, byte):
    raw = bytearray(small().to_bytes())
    raw[at] = byte
    with pytest.raises(DecodeError) as refused:
        parse_transaction(bytes(raw))
    assert refused.value.field == field


def test_only_type_6_is_read():
    transaction = small()
    raw = bytearray(transaction.to_bytes())
    raw[len(transaction.prefix())] = 5
    with pytest.raises(DecodeError, match=r"tx.rct_type: must be 6, got 5"):
        parse_transaction(bytes(raw))


def test_exactly_one_range_proof_is_read():
    transaction = small()
    raw = bytearray(transaction.to_bytes())
    raw[len(transaction.prefix() + transaction.rct_base())] = 2
    with pytest.raises(DecodeError, match=r"tx.range_proofs: must be 1, got 2"):
        parse_transaction(bytes(raw))


def test_a_byte_too_many_is_refused():
    with pytest.raises(DecodeError, match="1 bytes are left over"):
        parse_transaction(small().to_bytes() + b"\0")


def test_a_number_with_an_empty_last_group_is_refused():
    raw = small().to_bytes()
    with pytest.raises(DecodeError, match=r"tx.version: must have no empty last group"):
        parse_transaction(b"\x82\0" + raw[1:])


def test_a_number_beyond_64_bits_is_refused():
    raw = small().to_bytes()
    assert raw[:2] == b"\2\0"
    for tail, readable in ((b"\xff" * 9 + b"\1", True), (b"\xff" * 9 + b"\2", False)):
        changed = raw[:1] + tail + raw[2:]
        if readable:
            assert parse_transaction(changed).unlock_time == 2**64 - 1
        else:
            with pytest.raises(DecodeError, match=r"tx.unlock_time: must fit 64 bits"):
                parse_transaction(changed)


def test_seventeen_outputs_are_refused():
    output = small().outputs[0]
    assert len(parse_transaction(small(outputs=(output,) * 16).to_bytes()).outputs) == 16
    with pytest.raises(DecodeError, match=r"tx.outputs: must be at most 16 items, got 17"):
        parse_transaction(small(outputs=(output,) * 17).to_bytes())


def test_outputs_with_and_without_view_tag_do_not_mix():
    tagged = small().outputs[0]
    untagged = dataclasses.replace(tagged, view_tag=None)
    assert parse_transaction(small(outputs=(untagged, untagged)).to_bytes())
    with pytest.raises(DecodeError, match="must all have a view tag, or none"):
        parse_transaction(small(outputs=(tagged, untagged)).to_bytes())


def test_size_is_refused_before_reading():
    with pytest.raises(DecodeError, match="must be at most 1000000 bytes"):
        parse_transaction(bytes(TRANSACTION_BYTES_MAX + 1))


def test_main_chain_hashes(vectors):
    cases = json.loads((vectors / "monero" / "transaction_hashes.json").read_text())
    assert cases
    for case in cases:
        raw = bytes.fromhex(case["tx"])
        transaction = parse_transaction(raw)
        assert transaction.to_bytes() == raw
        assert transaction.id().hex() == case["tx_id"]
        assert transaction.signature_hash().hex() == case["signature_hash"]


def test_main_chain_fields(vectors):
    file = vectors / "monero" / "transaction_e89415_intermediates.json"
    case = json.loads(file.read_text())
    transaction = parse_transaction(bytes.fromhex(case["blob"]))
    assert transaction.fee == case["fee"]
    assert transaction.inputs[0].key_image.hex() == case["key_image"]
    assert transaction.signatures[0].c1.hex() == case["clsag"]["c1"]
    assert transaction.range_proof.L.hex() == "".join(case["bulletproof_plus"]["L"])
    assert [output.commitment.hex() for output in transaction.outputs] == [
        output["commitment"] for output in case["outputs"]
    ]
