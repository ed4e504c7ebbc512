"""Decoders are strict: what they accept re-encodes to the same bytes (rule 27)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import Head, Kind, PreparedCertificate, Seal, SignedVote, Slot
from consensus.config import (
    MAX_BLOCKS_BYTES,
    MAX_BODY_BYTES,
    MAX_MEMBERS,
    MAX_MESSAGE_BYTES,
    MAX_NEW_VIEW_BYTES,
)
from consensus.errors import MalformedMessage
from consensus.messages import (
    Blocks,
    BodyReply,
    GetBlocks,
    GetHead,
    NewView,
    SealedBlock,
    Status,
    ViewChange,
)
from consensus.quorum import Quorum
from consensus.wire import decode_message, encode_message
from crypto.codec import decode, encode
from crypto.errors import DecodeError
from tests.consensus.net import GENESIS, Signatory, make_membership, slot
from tests.consensus.strategies import messages

SIGNATORY = Signatory(make_membership(4))


@given(messages)
def test_a_message_survives_its_bytes(message):
    data = encode_message(message)
    assert decode_message(data) == message
    assert encode_message(decode_message(data)) == data


@given(messages, st.data())
def test_a_mutated_message_is_refused_or_is_another_canonical_one(message, data):
    raw = bytearray(encode_message(message))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    _refuse_or_same(bytes(raw))


@given(messages, st.data())
def test_a_truncated_or_longer_message_is_refused(message, data):
    raw = encode_message(message)
    with pytest.raises(DecodeError):
        decode_message(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(DecodeError):
        decode_message(raw + b"\0")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_canonical(raw):
    _refuse_or_same(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.binary(max_size=64),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=20,
)


@given(st.sampled_from([1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 21, 22]), st.lists(VALUES, max_size=9))
def test_arbitrary_fields_are_refused_or_canonical(tag, fields):
    _refuse_or_same(encode([tag, *fields]))


def _refuse_or_same(raw):
    try:
        message = decode_message(raw)
    except DecodeError:
        return
    assert encode_message(message) == raw


def test_the_size_is_bounded_before_anything_is_decoded():
    with pytest.raises(DecodeError, match=r"^message: .*4259840"):
        decode_message(b"\xc4" * (MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: v.__setitem__(0, 99), "message.tag: no message has the tag 99"),
        (lambda v: v.append(1), "message: tag 2 has 4 fields, got 5"),
        (lambda v: v.__setitem__(2, b"x" * 31), "digest: .*32.*31"),
        (lambda v: v.__setitem__(3, MAX_MEMBERS), "sender: "),
        (lambda v: v.__setitem__(4, b""), "signature: "),
        (lambda v: v[1].__setitem__(2, -1), "slot.view: "),
        (lambda v: v[1].__setitem__(3, 0), "message: slot.height of a vote counts from 1, got 0"),
        (lambda v: v[1].pop(), "slot: "),
    ],
)
def test_a_refusal_names_the_field(change, text):
    value = decode(
        encode_message(SIGNATORY.prepare(1, slot(), GENESIS)), field="test", max_bytes=1000
    )
    change(value)
    with pytest.raises(DecodeError, match=text):
        decode_message(encode(value))


def test_the_largest_messages_fit_their_bounds():
    """A NEW-VIEW of q view changes with two full certificates, and one block of maximal size."""
    q = Quorum(MAX_MEMBERS).certificate
    top, sig = 2**62, b"s" * 64
    signatures = tuple((i, sig) for i in range(MAX_MEMBERS - q, MAX_MEMBERS))
    at = Slot(epoch=top, term=top, view=top, height=top)
    head = Head(height=top, digest=GENESIS, seal=Seal(view=top, signatures=signatures))
    vote = SignedVote(kind=Kind(1), slot=at, digest=GENESIS, sender=0, signature=sig)
    prepared = PreparedCertificate(pre_prepare=vote, prepares=signatures[1:])
    changes = tuple(
        ViewChange(slot=at, head=head, prepared=prepared, sender=i, signature=sig)
        for i, _ in signatures
    )
    new_view = NewView(slot=replace(at, height=0), view_changes=changes, sender=0, signature=sig)
    assert len(encode_message(new_view)) <= MAX_NEW_VIEW_BYTES
    body = b"x" * MAX_BODY_BYTES
    block = SealedBlock(height=top, digest=GENESIS, body=body, seal=head.seal)
    assert len(encode_message(Blocks((block,)))) <= MAX_BLOCKS_BYTES
    assert decode_message(encode_message(new_view)) == new_view


def test_a_body_above_the_limit_is_refused():
    BodyReply(GENESIS, b"x" * MAX_BODY_BYTES)
    with pytest.raises(MalformedMessage, match="body must be at most 1048576 bytes"):
        BodyReply(GENESIS, b"x" * (MAX_BODY_BYTES + 1))
    with pytest.raises(DecodeError, match="body"):
        decode_message(encode([BodyReply.TAG, GENESIS, b"x" * (MAX_BODY_BYTES + 1)]))


def test_impossible_values_cannot_be_made():
    with pytest.raises(MalformedMessage, match=r"head\.seal"):
        Head(height=1, digest=GENESIS, seal=None)
    with pytest.raises(MalformedMessage, match="slot must have"):
        Slot(epoch=0, term=0, view=2**62 + 1, height=0)
    with pytest.raises(MalformedMessage, match="from_height"):
        GetBlocks(0)
    with pytest.raises(MalformedMessage, match="digest must be 32 bytes, got 3"):
        GetHead(b"abc")
    with pytest.raises(MalformedMessage, match=r"blocks must be 1\.\.32, got 0"):
        Blocks(())
    with pytest.raises(MalformedMessage, match="asked"):
        Status(
            slot=slot(view=3),
            head_digest=GENESIS,
            asked=2,
            proposal=None,
            prepares=0,
            commits=0,
            view_changes=(),
            is_learner=False,
        )
    with pytest.raises(MalformedMessage, match=r"new view: slot\.height must be 0, got 1"):
        NewView(slot=slot(), view_changes=(), sender=0, signature=b"s" * 64)
