"""The relay core: each envelope reaches each subscriber of its key once, within the limits."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from node.relay import (
    FORWARD_FACTOR,
    KEYS_MAX,
    PAYLOAD_BYTES_MAX,
    Deliver,
    Envelope,
    Hop,
    Refusal,
    Refused,
    Relay,
    RelayConfig,
    Transmit,
)

KEY = b"k" * 32
CONFIG = RelayConfig(window_ms=1_000, messages_per_window=3, bytes_per_window=10_000)


def envelope(payload=b"sealed", *, to_key=KEY, expires_ms=2_000):
    return Envelope(to_key=to_key, window=7, expires_ms=expires_ms, payload=payload)


def relay(n=4, *, config=CONFIG, up=None):
    made = Relay(config, me=0, members=range(n))
    for member in range(1, n) if up is None else up:
        made.peer_up(member, 0)
    return made


def wire(message, hop=Hop.KEEP):
    return bytes((hop,)) + message.encode()


envelopes = st.builds(
    Envelope,
    to_key=st.binary(min_size=32, max_size=32),
    window=st.integers(0, 2**32 - 1),
    expires_ms=st.integers(1, 2**53 - 1),
    payload=st.binary(min_size=1, max_size=64),
)


@given(envelopes)
def test_an_envelope_survives_its_encoding(message):
    assert Envelope.decode(message.encode()) == message


@given(envelopes, st.data())
def test_what_the_decoder_accepts_encodes_to_the_same_bytes(message, data):
    mutated = bytearray(message.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = Envelope.decode(bytes(mutated))
    except DecodeError as error:
        assert error.field.startswith("envelope")  # noqa: PT017
    else:
        assert decoded.encode() == bytes(mutated)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to_key": b"k" * 31}, "envelope.to_key"),
        ({"window": 2**32}, "envelope.window"),
        ({"expires_ms": 0}, "envelope.expires_ms"),
        ({"payload": b""}, "envelope.payload"),
        ({"payload": b"x" * (PAYLOAD_BYTES_MAX + 1)}, "envelope.payload"),
    ],
)
def test_fields_out_of_range_are_named(change, field):
    with pytest.raises(DecodeError) as refusal:
        dataclasses.replace(envelope(), **change)
    assert refusal.value.field == field


def test_the_largest_envelope_fits():
    largest = Envelope(
        to_key=KEY, window=2**32 - 1, expires_ms=2**53 - 1, payload=b"x" * PAYLOAD_BYTES_MAX
    )
    assert Envelope.decode(largest.encode()) == largest


def test_an_own_envelope_goes_to_all_members_once_when_all_are_linked():
    node = relay()
    assert node.send(envelope(), 0) == (Transmit((1, 2, 3), wire(envelope())),)
    assert node.send(envelope(), 0) == ()


def test_two_members_forward_for_those_that_are_not_linked():
    first, second = relay(n=5, up=[1, 2, 3]).send(envelope(), 0)
    assert first.payload == wire(envelope(), Hop.FORWARD)
    assert second.payload == wire(envelope())
    assert sorted(first.members + second.members) == [1, 2, 3]
    assert len(first.members) == 2


def test_nothing_is_sent_when_nobody_is_linked_but_it_is_kept_for_later():
    node = relay(up=[])
    assert node.send(envelope(), 0) == ()
    assert node.peer_up(2, 10) == (Transmit((2,), wire(envelope())),)
    assert node.peer_up(3, 2_000) == ()


def test_a_forward_request_is_passed_on_once_and_delivered():
    node = relay()
    node.subscribe(9, [KEY], 0)
    assert node.receive(1, wire(envelope(), Hop.FORWARD), 0) == (
        Transmit((2, 3), wire(envelope(), Hop.FORWARDED)),
        Deliver((9,), envelope()),
    )
    assert node.receive(2, wire(envelope(), Hop.FORWARD), 0) == ()


def test_what_others_sent_is_not_passed_on_to_a_member_that_comes_up():
    node = relay(up=[1])
    node.receive(1, wire(envelope()), 0)
    assert node.peer_up(2, 0) == ()


def test_a_late_subscriber_gets_what_is_held_and_nothing_twice():
    node = relay()
    node.receive(1, wire(envelope(b"early")), 0)
    assert node.subscribe(9, [KEY], 1) == (Deliver((9,), envelope(b"early")),)
    assert node.subscribe(9, [KEY], 1) == ()
    assert node.receive(2, wire(envelope(b"early")), 2) == ()
    assert node.receive(1, wire(envelope(b"late")), 3) == (Deliver((9,), envelope(b"late")),)


def test_only_subscribers_of_the_key_hear_of_it_until_they_leave():
    node = relay()
    node.subscribe(8, [b"o" * 32], 0)
    node.subscribe(9, [KEY], 0)
    node.subscribe(10, [KEY], 0)
    assert node.receive(1, wire(envelope(b"1")), 0) == (Deliver((9, 10), envelope(b"1")),)
    node.unsubscribe(9)
    assert node.receive(1, wire(envelope(b"2")), 0) == (Deliver((10,), envelope(b"2")),)
    node.unsubscribe(10)
    assert node.receive(1, wire(envelope(b"3")), 0) == ()


def test_expired_envelopes_are_dropped_and_their_replay_is_refused():
    node = relay()
    node.receive(1, wire(envelope()), 0)
    node.expire(1_999)
    assert node.held_count == 1
    node.expire(2_000)
    assert node.held_count == 0
    (refused,) = node.receive(1, wire(envelope()), 2_000)
    assert refused.reason is Refusal.EXPIRED


def test_an_expiry_too_far_ahead_is_refused():
    node = relay()
    assert node.receive(1, wire(envelope(expires_ms=3_000)), 0) == ()
    (refused,) = node.receive(1, wire(envelope(expires_ms=3_001)), 0)
    assert refused == Refused(1, Refusal.TOO_FAR_AHEAD, refused.detail)
    assert "expires_ms" in refused.detail


def test_each_source_has_its_own_limit_which_the_next_window_renews():
    node = relay()
    for i in range(3):
        assert node.receive(1, wire(envelope(bytes((i + 1,)))), 0) == ()
    (refused,) = node.receive(1, wire(envelope(b"\x04")), 999)
    assert (refused.member, refused.reason) == (1, Refusal.OVER_LIMIT)
    assert node.held_count == 3
    assert node.receive(2, wire(envelope(b"\x05")), 999) == ()
    assert node.receive(1, wire(envelope(b"\x04")), 1_000) == ()


def test_bytes_are_limited_too():
    node = relay()
    big = b"x" * 4_000
    assert node.receive(1, wire(envelope(b"1" + big)), 0) == ()
    assert node.receive(1, wire(envelope(b"2" + big)), 0) == ()
    (refused,) = node.receive(1, wire(envelope(b"3" + big)), 0)
    assert refused.reason is Refusal.OVER_LIMIT


def test_copies_are_not_charged():
    node = relay()
    for _ in range(10):
        assert node.receive(1, wire(envelope()), 0) == ()
    assert node.receive(1, wire(envelope(b"other")), 0) == ()


def test_a_forwarder_has_a_larger_account_for_what_others_sent():
    node = relay()
    for i in range(3 * FORWARD_FACTOR):
        assert node.receive(1, wire(envelope(bytes((i + 1,))), Hop.FORWARDED), 0) == ()
    (refused,) = node.receive(1, wire(envelope(b"more"), Hop.FORWARDED), 0)
    assert refused.reason is Refusal.OVER_LIMIT
    assert node.receive(1, wire(envelope(b"own")), 0) == ()


def test_what_is_held_is_bounded_by_equal_shares_and_space_comes_back():
    """What one member sends, as origin and as forwarder, leaves the others their room."""
    size = len(envelope(b"1").encode())
    node = relay(config=dataclasses.replace(CONFIG, held_bytes_max=4 * 2 * size))
    assert node.receive(1, wire(envelope(b"1")), 0) == ()
    assert node.receive(1, wire(envelope(b"2"), Hop.FORWARDED), 0) == ()
    for hop in (Hop.KEEP, Hop.FORWARDED):
        (refused,) = node.receive(1, wire(envelope(b"3"), hop), 0)
        assert (refused.member, refused.reason) == (1, Refusal.OVER_LIMIT)
    assert node.receive(2, wire(envelope(b"4")), 0) == ()
    assert not any(isinstance(e, Refused) for e in node.send(envelope(b"5"), 0))
    node.expire(2_000)
    assert node.receive(1, wire(envelope(b"3", expires_ms=4_000)), 2_000) == ()


def test_own_agents_are_limited_as_others_are():
    node = relay()
    for i in range(3):
        node.send(envelope(bytes((i + 1,))), 0)
    (refused,) = node.send(envelope(b"more"), 0)
    assert (refused.member, refused.reason) == (0, Refusal.OVER_LIMIT)


@pytest.mark.parametrize(
    "payload", [b"", b"\x03" + envelope().encode(), b"\x00", wire(envelope()) + b"\x00"]
)
def test_malformed_payloads_are_refused_and_change_nothing(payload):
    node = relay()
    (refused,) = node.receive(2, payload, 0)
    assert (refused.member, refused.reason) == (2, Refusal.MALFORMED)
    assert node.held_count == 0


@pytest.mark.parametrize("keys", [[b"short"], [i.to_bytes(32, "big") for i in range(KEYS_MAX + 1)]])
def test_wrong_or_too_many_keys_are_refused(keys):
    with pytest.raises(DecodeError):
        relay().subscribe(1, keys, 0)


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload):
    for effect in relay().receive(1, payload, 0):
        assert isinstance(effect, Refused)
