"""Who is at the other end: X.509 certificates made from node keys, and TLS contexts over them.

There is no certificate authority. Each member's certificate is signed by its own node key and
stands in the genesis file; those certificates are the only roots. Every field but the key is a
constant and Ed25519 is deterministic (RFC 8032), so one key has one certificate, for ever.
"""

import datetime as dt
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crypto.errors import InvalidSignature
from crypto.keys import (
    ED25519_PUBLIC_BYTES,
    ED25519_SIGNATURE_BYTES,
    SECRET_BYTES,
    NodeKey,
    verify_ed25519,
)
from node.p2p.errors import CertificateError

_SERIAL = 1
_NOT_BEFORE = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # A board without a clock battery is valid.
_NOT_AFTER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)  # "No expiry", RFC 5280 4.1.2.5.
_PASSWORD_BYTES = 32


@final
@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node's key with the certificate made from it."""

    key: NodeKey
    certificate: bytes
    """DER."""

    @classmethod
    def from_key(cls, key: NodeKey) -> Self:
        return cls(key, make_certificate(key))


def make_certificate(key: NodeKey) -> bytes:
    """Return the DER of the one certificate of `key`: self-signed, CN = public key in hex."""
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    return _sign(key.public, private).public_bytes(serialization.Encoding.DER)


def check_certificate(certificate: bytes, node_key: bytes) -> None:
    """Accept the DER `certificate` as the one of `node_key` (32 bytes), or raise.

    Nothing of a stranger is parsed: all but the signature is made anew from the key and compared.

    Raises:
        CertificateError: another length, key or field, or a signature that is not the key's own.
    """
    if len(node_key) != ED25519_PUBLIC_BYTES:
        raise CertificateError(f"node_key must be 32 bytes, got {len(node_key)}")
    # Somebody else's signature over the same fields: only the last 64 bytes differ.
    model = _sign(node_key, Ed25519PrivateKey.from_private_bytes(bytes(SECRET_BYTES)))
    expected = model.public_bytes(serialization.Encoding.DER)
    if len(certificate) != len(expected):
        raise CertificateError(f"certificate must be {len(expected)} bytes, got {len(certificate)}")
    if certificate[:-ED25519_SIGNATURE_BYTES] != expected[:-ED25519_SIGNATURE_BYTES]:
        raise CertificateError("certificate must be the one that is made from the node key")
    signature = certificate[-ED25519_SIGNATURE_BYTES:]
    try:
        verify_ed25519(node_key, model.tbs_certificate_bytes, signature)
    except InvalidSignature:
        raise CertificateError("certificate.signature must be the node key's own") from None


def _sign(node_key: bytes, signer: Ed25519PrivateKey) -> x509.Certificate:
    """Return the certificate for `node_key` with a signature by `signer`."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, node_key.hex())])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(Ed25519PublicKey.from_public_bytes(node_key))
        .serial_number(_SERIAL)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(signer, algorithm=None)
    )


def server_context(identity: NodeIdentity, certificates: Sequence[bytes]) -> ssl.SSLContext:
    """Return the context of the side that accepts links from the holders of `certificates`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _pin(context, identity, certificates)
    # A resumed session would skip the certificate: every link shows its key anew.
    context.num_tickets = 0
    return context


def client_context(identity: NodeIdentity, certificates: Sequence[bytes]) -> ssl.SSLContext:
    """Return the context of the side that dials the holders of `certificates`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # Keys are pinned; addresses may change.
    _pin(context, identity, certificates)
    return context


def _pin(context: ssl.SSLContext, identity: NodeIdentity, certificates: Sequence[bytes]) -> None:
    """TLS 1.3 only, both sides show certificates, and only the members' count."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    for certificate in certificates:
        context.load_verify_locations(cadata=certificate)
    load_key(context, identity)


def load_key(context: ssl.SSLContext, identity: NodeIdentity) -> None:
    """Hand the key to OpenSSL, which takes it from a file only.

    The file holds the key encrypted under a password that never leaves this function, and is
    removed at once: the plain key reaches no disk.
    """
    password = secrets.token_bytes(_PASSWORD_BYTES)
    private = Ed25519PrivateKey.from_private_bytes(identity.key.seed)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    chain = ssl.DER_cert_to_PEM_cert(identity.certificate)
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:  # Mode 0700.
        path = Path(folder) / "identity.pem"
        path.write_bytes(pem + chain.encode())
        context.load_cert_chain(path, password=password)
