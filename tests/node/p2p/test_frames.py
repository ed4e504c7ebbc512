"""The frame codec and the hello: strict both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.config import MAX_MESSAGE_BYTES
from crypto import codec
from crypto.errors import DecodeError
from node.p2p.frames import (
    FRAME_BYTES_MAX,
    FRAME_LIMITS,
    HELLO_BYTES_MAX,
    Channel,
    Hello,
    decode_frame,
    encode_frame,
    hello_version,
)

hellos = st.builds(
    Hello,
    version=st.integers(0, 2**16 - 1),
    genesis_hash=st.binary(min_size=32, max_size=32),
    name=st.text(max_size=64).filter(lambda text: text.isprintable()),
    protocol=st.integers(1, 2**16 - 1),
)


@given(st.sampled_from(list(Channel)), st.binary(max_size=300))
def test_a_frame_survives_its_encoding(channel, payload):
    assert decode_frame(encode_frame(channel, payload)) == (channel, payload)


@given(st.binary(max_size=300))
def test_what_the_frame_decoder_accepts_encodes_to_the_same_bytes(data):
    try:
        channel, payload = decode_frame(data)
    except DecodeError as error:
        assert error.field in ("frame", "frame.channel")  # noqa: PT017
    else:
        assert encode_frame(channel, payload) == data


@pytest.mark.parametrize("channel", list(Channel))
def test_each_channel_has_its_limit(channel):
    limit = FRAME_LIMITS[channel]
    largest = bytes((channel,)) + bytes(limit - 1)
    assert decode_frame(largest)[0] is channel
    assert encode_frame(channel, bytes(limit - 1)) == largest
    with pytest.raises(DecodeError):
        decode_frame(largest + b"\0")
    with pytest.raises(ValueError, match="payload must be below"):
        encode_frame(channel, bytes(limit))


def test_every_consensus_message_fits_a_frame():
    assert FRAME_LIMITS[Channel.CONSENSUS] == FRAME_BYTES_MAX == 1 + MAX_MESSAGE_BYTES


@given(hellos)
def test_a_hello_survives_its_encoding(hello):
    assert Hello.decode(hello.encode()) == hello


@given(hellos, st.data())
def test_what_the_hello_decoder_accepts_encodes_to_the_same_bytes(hello, data):
    mutated = bytearray(hello.encode())
    mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = Hello.decode(bytes(mutated))
    except DecodeError as error:
        assert error.field.startswith("hello")  # noqa: PT017
    else:
        assert decoded.encode() == bytes(mutated)


def test_the_largest_hello_fits():
    hello = Hello(
        version=2**16 - 1, genesis_hash=bytes(32), name="\U0001f3e0" * 64, protocol=2**16 - 1
    )
    assert len(hello.encode()) <= HELLO_BYTES_MAX
    assert Hello.decode(hello.encode()) == hello


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"\x94\x01\xc4\x1f" + bytes(31) + b"\xa1x\x01", "hello.genesis_hash"),
        (b"\x94\xc0\xc4\x20" + bytes(32) + b"\xa1x\x01", "hello.version"),
        (b"\x94\xce\x00\x01\x00\x00\xc4\x20" + bytes(32) + b"\xa1x\x01", "hello.version"),
        (b"\x94\x01\xc4\x20" + bytes(32) + b"\xd9\x41" + b"x" * 65 + b"\x01", "hello.name"),
        (b"\x94\x01\xc4\x20" + bytes(32) + b"\xa1x\x00", "hello.protocol"),
        (b"\x93\x01\xc4\x20" + bytes(32) + b"\xa1x", "hello"),
        (b"\x94\x01\xc4\x20" + bytes(32) + b"\xa1x\x01\x00", "hello"),
        (bytes(513), "hello"),
    ],
)
def test_a_wrong_hello_names_its_field(payload, field):
    with pytest.raises(DecodeError) as refusal:
        Hello.decode(payload)
    assert refusal.value.field == field


@given(st.integers(0, 2**16 - 1), st.lists(st.binary(max_size=8), max_size=31))
def test_the_version_is_read_from_a_hello_of_any_length(version, rest):
    assert hello_version(codec.encode([version, *rest])) == version


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\xc0", b"\x91\xc0", b"\x01", bytes(513)])
def test_a_hello_without_a_version_is_refused(payload):
    with pytest.raises(DecodeError) as caught:
        hello_version(payload)
    assert caught.value.field.startswith("hello")
