"""Certificates made from node keys: one for each key, and nothing else passes for it."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from crypto.keys import NodeKey
from node.p2p.errors import CertificateError
from node.p2p.identity import (
    NodeIdentity,
    check_certificate,
    client_context,
    make_certificate,
    server_context,
)
from vm.genesis import CERTIFICATE_BYTES_MAX

KEY = NodeKey.from_seed(b"\x07" * 32)
OTHER = NodeKey.from_seed(b"\x08" * 32)
CERTIFICATE = make_certificate(KEY)


def forge(signer=None, **changes):
    """Return a certificate like KEY's with changes, signed by KEY or `signer`."""
    fields = {
        "subject": KEY.public.hex(),
        "issuer": KEY.public.hex(),
        "serial": 1,
        "before": dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        "after": dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        "public": Ed25519PrivateKey.from_private_bytes(KEY.seed).public_key(),
        "extension": None,
    } | changes

    def named(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(fields["subject"]))
        .issuer_name(named(fields["issuer"]))
        .public_key(fields["public"])
        .serial_number(fields["serial"])
        .not_valid_before(fields["before"])
        .not_valid_after(fields["after"])
    )
    if fields["extension"] is not None:
        builder = builder.add_extension(fields["extension"], critical=False)
    private = Ed25519PrivateKey.from_private_bytes((signer or KEY).seed)
    return builder.sign(private, None).public_bytes(serialization.Encoding.DER)


def test_a_key_has_one_certificate():
    assert make_certificate(KEY) == CERTIFICATE == forge()
    assert len(CERTIFICATE) <= CERTIFICATE_BYTES_MAX
    check_certificate(CERTIFICATE, KEY.public)


@pytest.mark.parametrize(
    "certificate",
    [
        b"",
        b"junk",
        CERTIFICATE[:-1],
        CERTIFICATE + b"\0",
        CERTIFICATE + bytes(600),
        make_certificate(OTHER),
        forge(signer=OTHER),
        forge(subject="somebody"),
        forge(issuer="somebody"),
        forge(serial=2),
        forge(after=dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
        forge(before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        forge(extension=x509.BasicConstraints(ca=True, path_length=None)),
        forge(public=ec.generate_private_key(ec.SECP256R1()).public_key()),
    ],
)
def test_any_other_certificate_is_refused(certificate):
    with pytest.raises(CertificateError, match="certificate"):
        check_certificate(certificate, KEY.public)


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(1, 255))
def test_no_changed_byte_passes(place, change):
    mutated = bytearray(CERTIFICATE)
    mutated[place] ^= change
    with pytest.raises(CertificateError):
        check_certificate(bytes(mutated), KEY.public)


def test_contexts_demand_tls_1_3_and_a_members_certificate():
    identity = NodeIdentity.from_key(KEY)
    certificates = [CERTIFICATE, make_certificate(OTHER)]
    for context in (server_context(identity, certificates), client_context(identity, certificates)):
        assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert set(context.get_ca_certs(binary_form=True)) <= set(certificates)
        assert context.cert_store_stats()["x509"] == 2
