"""Sealed relay messages: fixed sizes, authentic, once, and nothing else opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import tagged_hash
from market.agents.errors import BoxRefused
from market.agents.relay_box import PAYLOAD_SIZES, SIZES, RelayBox


def box(name: str) -> RelayBox:
    return RelayBox(tagged_hash(b"test/box", name.encode()))


@given(st.binary(max_size=SIZES[-1] - 2))
def test_what_is_sealed_opens_once_with_its_sender(plaintext) -> None:
    alice, bob = box("alice"), box("bob")
    payload = alice.seal(bob.public, plaintext)
    assert len(payload) in PAYLOAD_SIZES
    opened = bob.open(payload)
    assert (opened.sender, opened.plaintext) == (alice.public, plaintext)
    with pytest.raises(BoxRefused, match="payload: is a replay"):
        bob.open(payload)


def test_length_shows_only_the_size_class() -> None:
    alice, bob = box("alice"), box("bob")
    lengths = {len(alice.seal(bob.public, bytes(n))) for n in range(511)}
    assert lengths == {PAYLOAD_SIZES[0]}
    assert len(alice.seal(bob.public, bytes(511))) == PAYLOAD_SIZES[1]


def test_the_payload_does_not_name_the_sender() -> None:
    alice, bob = box("alice"), box("bob")
    assert alice.public not in alice.seal(bob.public, b"hello")


@given(st.data())
def test_no_flipped_bit_opens(data) -> None:
    alice, bob = box("alice"), box("bob")
    payload = bytearray(alice.seal(bob.public, b"an offer"))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8
    if bit // 8 == 31 and bit % 8 == 7:
        return  # X25519 ignores the top bit of a public key (RFC 7748): the same key.
    with pytest.raises(BoxRefused):
        bob.open(bytes(payload))


@given(st.binary(max_size=4096))
def test_garbage_is_refused(payload) -> None:
    with pytest.raises(BoxRefused):
        box("bob").open(payload)


def test_another_receiver_cannot_open() -> None:
    payload = box("alice").seal(box("bob").public, b"for bob")
    with pytest.raises(BoxRefused, match="not sealed to this key"):
        box("carol").open(payload)


def test_a_rewrapped_message_is_a_replay() -> None:
    """Who passes a message on may not make a second one of it by changing the outer layer."""
    alice, bob = box("alice"), box("bob")
    payload = alice.seal(bob.public, b"accept")
    bob.open(payload)
    flipped = bytearray(payload)
    flipped[31] ^= 0x80  # The same key in another writing.
    with pytest.raises(BoxRefused, match="replay"):
        bob.open(bytes(flipped))


@pytest.mark.parametrize("key", [bytes(32), bytes(31), (1).to_bytes(32, "little")])
def test_a_bad_key_in_an_offer_is_refused(key) -> None:
    with pytest.raises(BoxRefused):
        box("alice").seal(key, b"hello")


def test_too_long_is_refused() -> None:
    with pytest.raises(BoxRefused, match="plaintext: must be at most 2046 bytes, got 2047"):
        box("alice").seal(box("bob").public, bytes(2047))
