"""The one X.509 certificate of a node key: self-signed, every other field a constant.

Peers pin it (TLS), and the Membership contract keeps it for who joins. One key has one
certificate for ever, because Ed25519 is deterministic (RFC 8032); so it is compared with what
the key makes, and nothing of a stranger is ever parsed. Layout: RFC 5280, section 4.1; RFC 8410.
"""

from typing import Final

from crypto.errors import DecodeError, InvalidSignature
from crypto.keys import (
    ED25519_PUBLIC_BYTES,
    ED25519_SIGNATURE_BYTES,
    NodeKey,
    verify_ed25519,
)

_SEQUENCE, _SET, _VERSION = 0x30, 0x31, 0xA0
_INTEGER, _BIT_STRING, _UTF8 = 0x02, 0x03, 0x0C
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_ED25519 = bytes.fromhex("300506032b6570")  # AlgorithmIdentifier 1.3.101.112.
_COMMON_NAME = bytes.fromhex("0603550403")  # Attribute type 2.5.4.3.


def _der(tag: int, *parts: bytes) -> bytes:
    """Return one DER element; contents below 64 kB."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    if size < 0x100:
        return bytes((tag, 0x81, size)) + body
    return bytes((tag, 0x82)) + size.to_bytes(2, "big") + body


_VALIDITY = _der(
    _SEQUENCE,
    _der(_UTC_TIME, b"700101000000Z"),  # A board without a clock battery is valid.
    _der(_GENERALIZED_TIME, b"99991231235959Z"),  # "No expiry", RFC 5280, section 4.1.2.5.
)


def _signed_part(node_key: bytes) -> bytes:
    """Return TBSCertificate: version 3, serial 1, subject and issuer CN = the key in hex."""
    attribute = _der(_SEQUENCE, _COMMON_NAME, _der(_UTF8, node_key.hex().encode()))
    name = _der(_SEQUENCE, _der(_SET, attribute))
    return _der(
        _SEQUENCE,
        _der(_VERSION, _der(_INTEGER, b"\2")),
        _der(_INTEGER, b"\1"),
        _ED25519,
        name,
        _VALIDITY,
        name,
        _der(_SEQUENCE, _ED25519, _der(_BIT_STRING, b"\0", node_key)),
    )


def _whole(signed: bytes, signature: bytes) -> bytes:
    return _der(_SEQUENCE, signed, _ED25519, _der(_BIT_STRING, b"\0", signature))


CERTIFICATE_BYTES: Final = len(_whole(_signed_part(bytes(32)), bytes(64)))
"""Every node's certificate has so many."""


def node_certificate(key: NodeKey) -> bytes:
    """Return the DER of the certificate of `key`."""
    signed = _signed_part(key.public)
    return _whole(signed, key.sign(signed))


def check_node_certificate(certificate: bytes, node_key: bytes) -> None:
    """Accept the DER `certificate` as the one of `node_key` (32 bytes), or raise.

    Raises:
        DecodeError: another length, key or field.
        InvalidSignature: not signed by the key itself.
    """
    if len(node_key) != ED25519_PUBLIC_BYTES:
        raise DecodeError("node_key", f"must be 32 bytes, got {len(node_key)}")
    if len(certificate) != CERTIFICATE_BYTES:
        message = f"must be {CERTIFICATE_BYTES} bytes, got {len(certificate)}"
        raise DecodeError("certificate", message)
    signed, signature = _signed_part(node_key), certificate[-ED25519_SIGNATURE_BYTES:]
    if certificate != _whole(signed, signature):
        raise DecodeError("certificate", "must be the one that is made from the node key")
    try:
        verify_ed25519(node_key, signed, signature)
    except InvalidSignature:
        raise InvalidSignature("certificate: must be signed by the node key itself") from None
