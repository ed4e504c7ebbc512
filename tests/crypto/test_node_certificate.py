"""A node's certificate: the same bytes as a library for X.509 makes, and no other form passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError, InvalidSignature
from crypto.keys import NodeKey
from crypto.node_certificate import CERTIFICATE_BYTES, check_node_certificate, node_certificate
from node.p2p.identity import check_certificate, make_certificate

KEYS = st.binary(min_size=32, max_size=32).map(NodeKey)


@given(KEYS)
def test_it_is_what_the_library_makes(key):
    certificate = node_certificate(key)
    assert certificate == make_certificate(key)
    assert len(certificate) == CERTIFICATE_BYTES
    check_certificate(certificate, key.public)
    check_node_certificate(certificate, key.public)


@given(KEYS, st.integers(0, CERTIFICATE_BYTES - 1), st.integers(1, 255))
def test_no_byte_may_differ(key, at, change):
    certificate = bytearray(node_certificate(key))
    certificate[at] ^= change
    with pytest.raises((DecodeError, InvalidSignature)):
        check_node_certificate(bytes(certificate), key.public)


@given(KEYS, KEYS)
def test_a_certificate_is_its_own_keys(one, other):
    if one.public == other.public:
        return
    with pytest.raises(DecodeError):
        check_node_certificate(node_certificate(one), other.public)
    forged = node_certificate(one)[:-64] + node_certificate(other)[-64:]
    with pytest.raises(InvalidSignature):
        check_node_certificate(forged, one.public)


@pytest.mark.parametrize("length", [0, CERTIFICATE_BYTES - 1, CERTIFICATE_BYTES + 1])
def test_lengths_are_exact(length):
    with pytest.raises(DecodeError, match="certificate"):
        check_node_certificate(bytes(length), NodeKey(bytes(32)).public)
    with pytest.raises(DecodeError, match="node_key"):
        check_node_certificate(bytes(CERTIFICATE_BYTES), bytes(31))
