import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import clsag, curve
from crypto.clsag import ClsagSignature, ClsagStatement, ClsagWitness
from crypto.curve import ClsagWalk
from crypto.errors import ClsagError, CryptoError, DecodeError, InvalidPoint, InvalidScalar
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, clsag_case, flip, scalar

pytestmark = pytest.mark.usefixtures("backend")

RING = 5


def from_hex(*texts):
    return b"".join(map(bytes.fromhex, texts))


def mainnet(vectors):
    data = json.loads((vectors / "monero/transaction_e89415_intermediates.json").read_text())
    ring = curve.prepare_ring(
        from_hex(*(member["key"] for member in data["ring"])),
        from_hex(*(member["commitment"] for member in data["ring"])),
    )
    statement = ClsagStatement(
        ring=ring,
        pseudo_out=from_hex(data["pseudo_out"]),
        key_image=from_hex(data["key_image"]),
        message=from_hex(data["message"]),
    )
    parts = data["clsag"]
    signature = ClsagSignature.from_bytes(
        from_hex(*parts["s"], parts["c1"], parts["D_inv8"]), ring_size=len(ring)
    )
    return parts, statement, signature


def test_a_signature_of_the_monero_main_chain_verifies(vectors):
    _, statement, signature = mainnet(vectors)
    clsag.verify(statement, signature)
    assert clsag.verify_many([(statement, signature)] * 3) == [True] * 3


def test_each_round_of_the_main_chain_signature_is_the_published_one(vectors):
    parts, statement, signature = mainnet(vectors)
    mu_P, mu_C = clsag.aggregation(statement, signature.D)
    assert (mu_P.hex(), mu_C.hex()) == (parts["mu_P"], parts["mu_C"])
    D = curve.mul8(signature.D)
    assert D.hex() == parts["D"]
    walk = ClsagWalk(
        ring=statement.ring,
        aggregate=(curve.msm(mu_P + mu_C, statement.key_image + D), mu_P, mu_C),
        pseudo_out=statement.pseudo_out,
        message=statement.message,
        start=0,
        c=signature.c1,
        s=b"".join(signature.s),
    )
    challenges = curve.clsag_walk(walk)
    assert challenges == from_hex(*(published["c_i"] for published in parts["rounds"]))


@pytest.mark.parametrize("size", [1, 2, 3, 11, 16])
def test_every_member_can_sign(size):
    for index in {0, size // 2, size - 1}:
        statement, witness = clsag_case(size, index)
        signature = clsag.sign(statement, witness)
        clsag.verify(statement, signature)
        assert len(signature.to_bytes()) == 32 * (size + 2)


def test_two_signatures_of_one_key_share_the_key_image_and_nothing_else():
    statement, witness = clsag_case(RING, 2)
    first, second = (clsag.sign(statement, witness) for _ in range(2))
    assert not set(first.s) & set(second.s)
    assert first.c1 != second.c1


def test_the_signers_place_leaves_no_mark_on_the_number_of_rounds(monkeypatch):
    """Rule 17: one walk of n - 1 rounds wherever the signer stands; it makes n challenges."""
    walks = []
    walk = curve.clsag_walk

    def recorded(way):
        challenges = walk(way)
        walks.append((way.start, len(challenges)))
        return challenges

    monkeypatch.setattr(curve, "clsag_walk", recorded)
    for index in range(RING):
        clsag.sign(*clsag_case(RING, index))
    assert walks == [((index + 1) % RING, 32 * RING) for index in range(RING)]


def test_a_walk_refuses_what_is_not_in_its_one_form():
    statement, _ = clsag_case(2, 0)
    good = ClsagWalk(
        ring=statement.ring,
        aggregate=(curve.G, curve.ONE, curve.ONE),
        pseudo_out=statement.pseudo_out,
        message=statement.message,
        start=0,
        c=curve.ONE,
        s=curve.ONE * 2,
    )
    assert len(curve.clsag_walk(good)) == 64
    bad = b"\xff" * 32
    for change in (
        {"aggregate": (bad, curve.ONE, curve.ONE)},
        {"aggregate": (curve.G, bad, curve.ONE)},
        {"aggregate": (curve.G, curve.ONE, bad)},
        {"pseudo_out": bad},
        {"c": bad},
        {"s": curve.ONE + bad},
        {"s": curve.ONE * 3},
    ):
        with pytest.raises((InvalidPoint, InvalidScalar)):
            curve.clsag_walk(good._replace(**change))


@settings(max_examples=25)
@given(bit=st.integers(0, 8 * 32 * (RING + 2) - 1))
def test_no_bit_of_a_signature_can_be_flipped(bit):
    statement, witness = clsag_case(RING, 1)
    good = clsag.sign(statement, witness, rng=SeededRng())
    flipped = flip(good.to_bytes(), bit)
    try:
        bad = ClsagSignature.from_bytes(flipped, ring_size=RING)
    except CryptoError:
        return
    assert bad.to_bytes() == flipped
    with pytest.raises(ClsagError):
        clsag.verify(statement, bad)
    assert clsag.verify_many([(statement, good), (statement, bad)]) == [True, False]


@settings(max_examples=25)
@given(part=st.sampled_from(["pseudo_out", "key_image", "message"]), bit=st.integers(0, 255))
def test_no_bit_of_the_statement_can_be_flipped(part, bit):
    """Rule 10: the whole statement is in the hash."""
    statement, witness = clsag_case(RING, 1)
    good = clsag.sign(statement, witness, rng=SeededRng())
    other = replace(statement, **{part: flip(getattr(statement, part), bit)})
    with pytest.raises(ClsagError):
        clsag.verify(other, good)
    assert clsag.verify_many([(other, good), (statement, good)]) == [False, True]


@pytest.mark.parametrize("part", ["keys", "commitments"])
@pytest.mark.parametrize("member", range(RING))
def test_another_member_in_the_ring_is_rejected(part, member):
    statement, witness = clsag_case(RING, 1)
    signature = clsag.sign(statement, witness, rng=SeededRng())
    packed = {"keys": statement.ring.keys, "commitments": statement.ring.commitments}
    changed = bytearray(packed[part])
    changed[32 * member : 32 * member + 32] = curve.base_mul(scalar("a stranger"))
    packed[part] = bytes(changed)
    ring = curve.prepare_ring(packed["keys"], packed["commitments"])
    with pytest.raises(ClsagError):
        clsag.verify(replace(statement, ring=ring), signature)


def test_a_signature_of_a_larger_or_smaller_ring_is_rejected():
    statement, witness = clsag_case(RING, 0)
    signature = clsag.sign(statement, witness)
    for s in (signature.s[:-1], (*signature.s, scalar("one more"))):
        with pytest.raises(ClsagError):
            clsag.verify(statement, replace(signature, s=s))


@pytest.mark.parametrize("part", ["key_image", "D"])
def test_points_of_small_order_are_rejected(part, vectors):
    """Rules 1 and 22: torsion in the key image would give several spends of one output."""
    rejected = json.loads((vectors / "monero/rejected_points_and_scalars.json").read_text())
    statement, witness = clsag_case(RING, 3)
    signature = clsag.sign(statement, witness)
    for entry in rejected["torsion_points"]:
        torsion = bytes.fromhex(entry["point"])
        if part == "D":  # 8·D_s is the identity.
            with pytest.raises(ClsagError):
                clsag.verify(statement, replace(signature, D=torsion))
            continue
        images = [torsion]
        if entry["order"] > 1:
            images.append(curve.add(statement.key_image, torsion))
        for image in images:
            with pytest.raises(ClsagError):
                clsag.verify(replace(statement, key_image=image), signature)


def test_the_signer_refuses_what_would_not_verify():
    statement, witness = clsag_case(RING, 3)
    other, _ = clsag_case(RING, 2)
    wrong = [
        (replace(statement, key_image=other.key_image), witness, "key image"),
        (replace(statement, pseudo_out=curve.H), witness, "pseudo-output"),
        (statement, replace(witness, index=2), "secret"),
        (statement, replace(witness, index=RING), "index"),
        (statement, replace(witness, index=-1), "index"),
        (statement, replace(witness, secret=scalar("another")), "secret"),
    ]
    for case, known, words in wrong:
        with pytest.raises(ClsagError, match=words):
            clsag.sign(case, known)


def test_a_witness_of_zero_is_refused():
    with pytest.raises(DecodeError, match="secret"):
        ClsagWitness(index=0, secret=curve.ZERO, mask_difference=curve.ONE)
    with pytest.raises(DecodeError, match="mask_difference"):
        ClsagWitness(index=0, secret=curve.ONE, mask_difference=curve.ZERO)
    with pytest.raises(InvalidScalar):
        ClsagWitness(index=0, secret=curve.L.to_bytes(32, "little"), mask_difference=curve.ONE)


def test_equal_randomness_gives_equal_nonces_only_for_equal_statements():
    """Rule 16: a broken random source alone does not leak the key."""
    statement, witness = clsag_case(RING, 3)
    other = replace(statement, message=bytes(32))
    first = clsag.sign(statement, witness, rng=SeededRng())
    assert first == clsag.sign(statement, witness, rng=SeededRng())
    assert not set(first.s) & set(clsag.sign(other, witness, rng=SeededRng()).s)


@settings(max_examples=30)
@given(data=st.binary(max_size=32 * 6), ring_size=st.integers(-1, 5))
def test_what_decodes_encodes_to_the_same_bytes(data, ring_size):
    try:
        decoded = ClsagSignature.from_bytes(data, ring_size=ring_size)
    except CryptoError:
        return
    assert decoded.to_bytes() == data


def test_lengths_are_named_in_the_refusal():
    with pytest.raises(DecodeError, match="must be 96 bytes, got 95"):
        ClsagSignature.from_bytes(bytes(95), ring_size=1)
    with pytest.raises(DecodeError, match="ring_size"):
        ClsagSignature.from_bytes(b"", ring_size=0)
    statement, _ = clsag_case(2, 0)
    with pytest.raises(DecodeError, match="must be 32 bytes, got 0"):
        replace(statement, message=b"")


def test_both_backends_make_the_same_signature(backend):
    def made(name):
        with curve.using(name):
            return clsag.sign(*clsag_case(RING, 4), rng=SeededRng(b"same")).to_bytes()

    assert len({made(name) for name in BACKENDS}) == 1
