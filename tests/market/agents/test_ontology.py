"""The negotiation language: one encoding for each message, and nothing else decodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import DecodeError
from market.agents.ontology import (
    Acceptance,
    Message,
    Performative,
    Reason,
    decode_message,
    encode_message,
)

U63 = st.integers(0, 2**63 - 1)
acceptances = st.builds(
    Acceptance,
    seller=st.binary(min_size=20, max_size=20),
    buyer=st.binary(min_size=20, max_size=20),
    nonce=U63,
    signature=st.binary(min_size=65, max_size=65),
)


@st.composite
def messages(draw) -> Message:
    performative = draw(st.sampled_from(Performative))
    is_acceptance = performative is Performative.ACCEPT_PROPOSAL
    return Message(
        performative=performative,
        sender=draw(st.binary(min_size=32, max_size=32)),
        receiver=draw(st.binary(min_size=32, max_size=32)),
        conversation=draw(st.binary(min_size=16, max_size=16)),
        window=draw(U63),
        offer_id=draw(U63),
        sequence=draw(st.integers(1, 2**63 - 1)),
        in_reply_to=draw(U63),
        round=draw(st.integers(0, 255)),
        quantity=draw(U63),
        price=draw(U63),
        valid_until_ms=draw(U63),
        reason=draw(st.sampled_from(Reason)),
        acceptance=draw(acceptances) if is_acceptance else None,
    )


@given(messages())
def test_a_message_decodes_to_itself(message) -> None:
    data = encode_message(message)
    assert decode_message(data) == message
    assert len(data) <= 510, "fits the smallest padded size"


@given(st.binary(max_size=1200))
def test_what_decodes_encodes_to_the_same_bytes(data) -> None:
    try:
        message = decode_message(data)
    except DecodeError:
        return
    assert encode_message(message) == data


@given(messages(), st.data())
def test_a_mutated_message_is_refused_or_is_another_one(message, data) -> None:
    encoded = bytearray(encode_message(message))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_message(bytes(encoded))
    except DecodeError:
        return
    assert encode_message(decoded) == bytes(encoded)
    assert decoded != message


def fields() -> dict[str, codec.Value]:
    return {
        "version": 1,
        "performative": "cfp",
        "sender": bytes(32),
        "receiver": bytes(32),
        "conversation": bytes(16),
        "window": 1,
        "offer_id": 1,
        "sequence": 1,
        "in_reply_to": 0,
        "round": 0,
        "quantity": 1,
        "price": 1,
        "valid_until_ms": 0,
        "reason": 0,
        "acceptance": None,
    }


def test_the_fields_above_decode() -> None:
    assert decode_message(codec.encode(fields())).performative is Performative.CFP


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("performative", "request"),
        ("performative", b"cfp"),
        ("sender", bytes(31)),
        ("receiver", bytes(33)),
        ("conversation", bytes(15)),
        ("window", -1),
        ("window", 2**63),
        ("sequence", 0),
        ("round", 256),
        ("quantity", True),
        ("price", "1"),
        ("reason", 99),
        ("acceptance", [bytes(20), bytes(20), 1, bytes(65)]),
        ("acceptance", 1),
    ],
)
def test_a_bad_field_is_named(name, value) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_message(codec.encode({**fields(), name: value}))
    assert caught.value.field == name


@pytest.mark.parametrize("name", sorted(fields()))
def test_a_missing_field_is_named(name) -> None:
    left = {key: value for key, value in fields().items() if key != name}
    with pytest.raises(DecodeError) as caught:
        decode_message(codec.encode(left))
    assert caught.value.field == f"message.{name}"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(DecodeError, match="unknown key 'zzz'"):
        decode_message(codec.encode({**fields(), "zzz": 1}))


def test_an_acceptance_without_its_signed_part_is_refused() -> None:
    with pytest.raises(DecodeError, match="acceptance: must be there"):
        decode_message(codec.encode({**fields(), "performative": "accept-proposal"}))


def test_too_long_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(DecodeError, match="message: must be at most 1024 bytes"):
        decode_message(bytes(1025))
