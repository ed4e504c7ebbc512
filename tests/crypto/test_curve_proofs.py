"""The whole primitives of the curve's face, on a main-chain transaction: what holds, what does
not, and that both backends say so. The protocol modules' tests have signatures of our own."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto.errors import InvalidPoint, InvalidScalar
from crypto.hashing import keccak256

unhex = bytes.fromhex
BACKENDS = [backend for backend in ("native", "sodium") if curve.is_available(backend)]
TORSION_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def packed(items):
    return b"".join(map(unhex, items))


@pytest.fixture(scope="module", name="transaction")
def _transaction():
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    path = Path(folder) / "monero" / "transaction_e89415_intermediates.json"
    return json.loads(path.read_text())


@pytest.fixture(scope="module", name="clsag")
def _clsag(transaction):
    ring, proof = transaction["ring"], transaction["clsag"]
    return curve.ClsagInstance(
        ring=curve.prepare_ring(
            packed(member["key"] for member in ring),
            packed(member["commitment"] for member in ring),
        ),
        pseudo_out=unhex(transaction["pseudo_out"]),
        key_image=unhex(transaction["key_image"]),
        message=unhex(transaction["message"]),
        D=unhex(proof["D_inv8"]),
        c1=unhex(proof["c1"]),
        s=packed(proof["s"]),
    )


@pytest.fixture(scope="module", name="bpp")
def _bpp(transaction):
    proof = transaction["bulletproof_plus"]
    return curve.BppInstance(
        packed(output["commitment"] for output in transaction["outputs"]),
        *(unhex(proof[name]) for name in ("A", "A1", "B", "r1", "s1", "d1")),
        L=packed(proof["L"]),
        R=packed(proof["R"]),
    )


def everywhere(call):
    """Return what all backends say of `call`, which must be the same."""
    answers = []
    for backend in BACKENDS:
        with curve.using(backend):
            answers.append(call())
    assert answers == answers[:1] * len(answers)
    return answers[0]


def flipped(data, bit):
    at = bit % (8 * len(data))
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def replaced(instance, field, data):
    """The instance with other bytes in a field; of a ring that can be decoded, or None."""
    if field not in ("keys", "commitments") or not isinstance(instance, curve.ClsagInstance):
        return instance._replace(**{field: data})
    ring = {"keys": instance.ring.keys, "commitments": instance.ring.commitments, field: data}
    try:
        return instance._replace(ring=curve.prepare_ring(**ring))
    except InvalidPoint:
        return None


CLSAG_FIELDS = ("keys", "commitments", "pseudo_out", "key_image", "message", "D", "c1", "s")
BPP_FIELDS = ("commitments", "A", "A1", "B", "r1", "s1", "d1", "L", "R", "value_base")


def test_the_main_chain_transaction_holds(clsag, bpp):
    assert everywhere(lambda: curve.clsag_verify(clsag))
    assert everywhere(lambda: curve.clsag_verify_many([clsag] * 3)) == [True] * 3
    weights = curve.sc_random() + curve.sc_random()
    assert everywhere(lambda: curve.bpp_verify_batch([bpp, bpp], weights))


def test_of_nothing_everything_holds():
    assert everywhere(lambda: curve.clsag_verify_many([])) == []
    assert everywhere(lambda: curve.bpp_verify_batch([], b""))


@settings(max_examples=40)
@given(field=st.sampled_from(CLSAG_FIELDS), bit=st.integers(0, 16 * 256 - 1))
def test_no_bit_of_a_clsag_may_change(clsag, field, bit):
    ring = clsag.ring
    data = getattr(ring if field in ("keys", "commitments") else clsag, field)
    tampered = replaced(clsag, field, flipped(data, bit))
    if tampered is not None:
        batch = [clsag, tampered, clsag]
        assert everywhere(lambda: curve.clsag_verify(tampered)) is False
        assert everywhere(lambda: curve.clsag_verify_many(batch)) == [True, False, True]


@settings(max_examples=40)
@given(field=st.sampled_from(BPP_FIELDS), bit=st.integers(0, 7 * 256 - 1))
def test_no_bit_of_a_range_proof_may_change(bpp, field, bit):
    tampered = replaced(bpp, field, flipped(getattr(bpp, field), bit))
    weights = curve.sc_random() + curve.sc_random()
    assert not everywhere(lambda: curve.bpp_verify_batch([tampered], weights[:32]))
    assert not everywhere(lambda: curve.bpp_verify_batch([bpp, tampered], weights))


def test_a_clsag_out_of_form_is_refused(clsag):
    L = curve.L.to_bytes(32, "little")
    one_point = curve.IDENTITY
    bad = [
        clsag._replace(s=clsag.s[32:]),
        clsag._replace(s=clsag.s + curve.ONE),
        clsag._replace(s=clsag.s[:-1]),
        clsag._replace(s=L + clsag.s[32:]),
        clsag._replace(c1=curve.ZERO),
        clsag._replace(c1=L),
        clsag._replace(c1=b""),
        clsag._replace(message=clsag.message[:31]),
        clsag._replace(key_image=one_point),
        clsag._replace(key_image=TORSION_8),
        clsag._replace(key_image=curve.add(clsag.key_image, TORSION_8)),
        clsag._replace(D=one_point),
        clsag._replace(D=TORSION_8),  # 8·D is the identity.
        clsag._replace(D=clsag.D[:31]),
        clsag._replace(pseudo_out=b""),
    ]
    assert everywhere(lambda: curve.clsag_verify_many(bad)) == [False] * len(bad)


def test_torsion_added_to_d_changes_the_hash_and_fails(clsag):
    """8·D is the same, but D_s is hashed."""
    moved = clsag._replace(D=curve.add(clsag.D, TORSION_8))
    assert everywhere(lambda: curve.clsag_verify(moved)) is False


def test_a_range_proof_out_of_form_is_refused(bpp):
    two = bpp.commitments
    bad = [
        bpp._replace(commitments=b""),
        bpp._replace(commitments=two[:32]),
        bpp._replace(commitments=two + two[:32]),
        bpp._replace(commitments=two * 9),
        bpp._replace(commitments=two[:-1]),
        bpp._replace(L=bpp.L[32:]),
        bpp._replace(L=bpp.L[32:], R=bpp.R[32:]),
        bpp._replace(L=bpp.L + bpp.L[:32], R=bpp.R + bpp.R[:32]),
        bpp._replace(r1=curve.L.to_bytes(32, "little")),
        bpp._replace(A=bytes(31)),
        bpp._replace(extra=b"context"),
        bpp._replace(value_base=curve.G),
        bpp._replace(value_base=TORSION_8),
        bpp._replace(value_base=curve.IDENTITY),
        bpp._replace(value_base=b""),
    ]
    for proof in bad:
        assert not everywhere(lambda p=proof: curve.bpp_verify_batch([p], curve.ONE))


def test_weights_are_scalars_and_not_zero(bpp):
    for weights in (b"", curve.ZERO, curve.ONE * 2, b"\xff" * 32):
        with pytest.raises(InvalidScalar, match=r"^weights: "):
            curve.bpp_verify_batch([bpp], weights)


def test_equal_weights_are_what_a_forger_waits_for(bpp):
    """Two proofs that are wrong by opposite amounts cancel under equal weights; hence random."""
    more = bpp._replace(d1=curve.sc_add(bpp.d1, curve.ONE))
    less = bpp._replace(d1=curve.sc_sub(bpp.d1, curve.ONE))
    assert everywhere(lambda: curve.bpp_verify_batch([more, less], curve.ONE * 2))
    weights = curve.sc_random() + curve.sc_random()
    assert not everywhere(lambda: curve.bpp_verify_batch([more, less], weights))


def test_scan_finds_own_outputs_and_no_others():
    a, b = curve.sc_random(), curve.sc_random()
    A, B = curve.base_mul(a), curve.base_mul(b)
    R, keys, tags, shared = [], [], [], []
    secrets = [curve.sc_random() for _ in range(6)]
    secrets[3] = secrets[2]  # Outputs 2 and 3 share a transaction.
    for k, r in enumerate(secrets):
        at = curve.mul8(curve.mul(r, A))
        index = bytes([k])
        s = curve.hash_to_scalar(at + index)
        foreign = curve.base_mul(curve.sc_random())
        keys.append(curve.add(curve.base_mul(s), B if k % 2 else foreign))
        tags.append(keccak256(b"view_tag" + at + index)[0])
        R.append(curve.base_mul(r))
        shared.append(at)
    tags[5] ^= 1
    R[4] = b"\xff" * 32

    def scan():
        return curve.scan(a, B, tx_pubkeys=b"".join(R), output_indexes=range(6),
                          output_keys=b"".join(keys), view_tags=bytes(tags))  # fmt: skip

    assert everywhere(scan) == [(1, shared[1]), (3, shared[3])]
    for indexes in ([2**32] * 6, [-1] * 6, [0] * 5):
        with pytest.raises((InvalidPoint, InvalidScalar)):
            curve.scan(a, B, tx_pubkeys=b"".join(R), output_indexes=indexes,
                       output_keys=b"".join(keys), view_tags=bytes(tags))  # fmt: skip
