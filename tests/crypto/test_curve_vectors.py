"""Published vectors (Monero's tests, its main chain) on each backend: the primitives' part."""

import json

import pytest

from crypto import curve
from crypto.errors import CryptoError, InvalidPoint
from crypto.hashing import keccak256

pytestmark = pytest.mark.usefixtures("backend")
unhex = bytes.fromhex


@pytest.fixture
def load(vectors):
    return lambda name: json.loads((vectors / "monero" / f"{name}.json").read_text())


def test_hash_to_point(load):
    for pair in load("hash_to_point"):
        assert curve.hash_to_point(unhex(pair["in"])) == unhex(pair["out"])


def test_check_key(load):
    for case in load("check_key"):
        assert curve.is_point(unhex(case["key"])) == case["valid"]


def leb128(index):
    groups = bytearray()
    while index > 127:
        groups.append(index & 127 | 128)
        index >>= 7
    return bytes([*groups, index])


def derive(derivation, index, base):
    return curve.add(curve.base_mul(curve.hash_to_scalar(derivation + leb128(index))), base)


def test_key_derivations(load):
    cases = load("key_derivations")
    for scalar, valid in cases["check_scalar"]:
        assert curve.is_scalar(unhex(scalar)) == (valid == "true")
    for data, image in cases["hash_to_point"]:
        assert curve.map_to_point(unhex(data)) == unhex(image)
    for derivation, index, base, valid, *key in cases["derive_public_key"]:
        try:
            got = [derive(unhex(derivation), int(index), unhex(base)).hex()]
        except CryptoError:
            got = []
        assert (got, bool(got)) == (key, valid == "true")


def test_zero_commitments(load):
    for case in load("zero_commitments"):
        assert curve.commit(curve.ONE, case["amount"]) == unhex(case["commitment"])


def test_bulletproofs_plus_generators(load):
    expected = load("bulletproofs_plus_generators")
    init = curve.hash_to_point(keccak256(b"bulletproof_plus_transcript"))
    assert init == unhex(expected["transcript_init"])
    for i, point in enumerate(expected["points"]):
        seed = keccak256(curve.H + b"bulletproof_plus" + leb128(i))
        assert curve.hash_to_point(seed) == unhex(point)


def test_rejected_points_and_scalars(load):
    rejected = load("rejected_points_and_scalars")
    for case in rejected["torsion_points"]:
        with pytest.raises(InvalidPoint):
            curve.check_prime_order(unhex(case["point"]), "P")
    for encoding in rejected["non_canonical_encodings_must_reject"]:
        assert not curve.is_point(unhex(encoding))
        for call in (curve.add, curve.sub):  # libsodium's own would take them.
            with pytest.raises(InvalidPoint):
                call(unhex(encoding), curve.G)
    for case in rejected["mixed_order_points_must_reject_as_key_image_or_commitment"]:
        assert curve.is_point(unhex(case["point"]))
        with pytest.raises(InvalidPoint):
            curve.check_prime_order(unhex(case["point"]), "P")
    for scalar in rejected["scalars_must_reject"]:
        assert not curve.is_scalar(unhex(scalar))
    assert int.from_bytes(unhex(rejected["scalar_order"]), "little") == curve.L
