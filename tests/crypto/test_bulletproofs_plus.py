import json
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import bulletproofs_plus as bpp
from crypto import bulletproofs_plus_prover, curve
from crypto.bulletproofs_plus_prover import Transcript, generators
from crypto.errors import CryptoError, DecodeError, RangeProofError
from crypto.hashing import keccak256
from crypto.pedersen import MONEY, AssetId, Opening, commit
from crypto.range_proof import RangeProof, RangeStatement
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip, opening, scalar

pytestmark = pytest.mark.usefixtures("backend")

ENERGY = AssetId(b"e" * 32)
CONTEXT = b"c" * 32


def case(*amounts, asset=MONEY, context=b""):
    witness = [opening(f"value {i}", amount) for i, amount in enumerate(amounts)]
    commitments = tuple(commit(o, asset) for o in witness)
    return RangeStatement(commitments=commitments, asset=asset, context=context), witness


@cache
def proven(*amounts, asset=MONEY, context=b""):
    """A statement and a proof of it. Proofs are the same on both backends, so one will do."""
    statement, witness = case(*amounts, asset=asset, context=context)
    return statement, bpp.prove(statement, witness, rng=SeededRng())


def from_json(fields):
    points = {name: bytes.fromhex(fields[name]) for name in ("A", "A1", "B", "r1", "s1", "d1")}
    L, R = (tuple(map(bytes.fromhex, fields[name])) for name in ("L", "R"))
    return RangeProof(**points, L=L, R=R)


def published(vectors):
    """The two proofs of the Monero project's unit tests, and that of a main-chain transaction."""
    for entry in json.loads((vectors / "monero/bulletproofs_plus.json").read_text()):
        masks = map(bytes.fromhex, entry["masks"])
        values = map(int, entry["values"])
        openings = [Opening(mask=m, amount=v) for m, v in zip(masks, values, strict=True)]
        statement = RangeStatement(commitments=tuple(map(commit, openings)))
        inv8 = [curve.inv8(C).hex() for C in statement.commitments]
        assert inv8 == entry["commitments_inv8"]
        yield statement, from_json(entry["proof"])
    data = main_chain(vectors)
    commitments = tuple(bytes.fromhex(output["commitment"]) for output in data["outputs"])
    yield RangeStatement(commitments=commitments), from_json(data["bulletproof_plus"])


def main_chain(vectors):
    return json.loads((vectors / "monero/transaction_e89415_intermediates.json").read_text())


def test_published_proofs_verify_alone_and_together(vectors):
    items = list(published(vectors))
    assert len(items) == 3
    for statement, proof in items:
        bpp.verify(statement, proof)
    bpp.verify_batch(items)
    assert bpp.verify_many(items) == [True] * 3


def test_the_transcript_of_the_main_chain_proof_is_the_published_one(vectors):
    *_, (statement, proof) = published(vectors)
    data = main_chain(vectors)["bulletproof_plus"]
    transcript = Transcript(statement)
    assert transcript.state.hex() == data["transcript_after_V"]
    y, z = transcript.y_and_z(proof.A)
    assert (y.hex(), z.hex()) == (data["y"], data["z"])
    challenges = [transcript.next(*pair).hex() for pair in zip(proof.L, proof.R, strict=True)]
    assert challenges == data["round_challenges"]
    assert transcript.next(proof.A1, proof.B).hex() == data["e"]


def test_the_generators_are_the_published_ones(vectors):
    path = vectors / "monero/bulletproofs_plus_generators.json"
    points = json.loads(path.read_text())["points"]
    Gi, Hi = generators(128)
    assert [Hi[at : at + 32].hex() for at in range(0, len(Hi), 32)] == points[0:256:2]
    assert [Gi[at : at + 32].hex() for at in range(0, len(Gi), 32)] == points[1:256:2]


@pytest.mark.parametrize(
    "amounts",
    [(0,), (2**64 - 1,), (1, 2**63), (5, 0, 2**64 - 1), tuple(range(16))],
    ids=lambda a: str(len(a)),
)
def test_what_is_in_range_is_proved(amounts):
    statement, proof = proven(*amounts)
    bpp.verify(statement, proof)
    assert len(proof.L) == statement.rounds
    assert RangeProof.from_bytes(proof.to_bytes()) == proof


@pytest.mark.parametrize(("count", "rounds"), [(1, 6), (2, 7), (3, 8), (4, 8), (5, 9), (9, 10)])
def test_the_number_of_rounds_follows_from_the_number_of_values(count, rounds):
    assert RangeStatement(commitments=(curve.H,) * count).rounds == rounds


@pytest.mark.parametrize("count", [0, 17])
def test_more_than_sixteen_values_and_none_are_refused(count):
    with pytest.raises(DecodeError, match=f"1 to 16, got {count}"):
        RangeStatement(commitments=(curve.H,) * count)


def test_an_amount_out_of_range_has_no_opening():
    for amount in (-1, 2**64):
        with pytest.raises(DecodeError, match="amount"):
            Opening(mask=curve.ONE, amount=amount)


@pytest.mark.parametrize("amount", [-1, 2**64])
def test_a_proof_does_not_pass_for_a_commitment_just_outside_the_range(amount):
    """Rule 13. The commitment differs from the proved one by exactly one unit of value."""
    inside = 0 if amount < 0 else 2**64 - 1
    statement, proof = proven(inside)
    shift = curve.neg(curve.H) if amount < 0 else curve.H
    outside = curve.add(statement.commitments[0], shift)
    with pytest.raises(RangeProofError):
        bpp.verify(replace(statement, commitments=(outside,)), proof)


def test_the_prover_refuses_openings_that_do_not_open():
    statement, witness = case(1, 2)
    for wrong in (witness[::-1], witness[:1], [witness[0], opening("another", 2)]):
        with pytest.raises(RangeProofError, match="do not open"):
            bpp.prove(statement, wrong)


@settings(max_examples=25)
@given(bit=st.integers(0, 8 * (32 * 18 + 2) - 1))
def test_no_bit_of_a_proof_can_be_flipped(bit):
    statement, proof = proven(7)
    flipped = flip(proof.to_bytes(), bit)
    try:
        bad = RangeProof.from_bytes(flipped)
    except CryptoError:
        return
    assert bad.to_bytes() == flipped
    with pytest.raises(RangeProofError):
        bpp.verify(statement, bad)
    assert bpp.verify_many([(statement, bad), (statement, proof)]) == [False, True]


@settings(max_examples=15)
@given(which=st.integers(0, 1), bit=st.integers(0, 255))
def test_no_bit_of_a_commitment_can_be_flipped(which, bit):
    statement, proof = proven(7, 9)
    commitments = list(statement.commitments)
    commitments[which] = flip(commitments[which], bit)
    try:
        other = replace(statement, commitments=tuple(commitments))
    except CryptoError:
        return
    with pytest.raises(RangeProofError):
        bpp.verify(other, proof)
    assert bpp.verify_many([(statement, proof), (other, proof)]) == [True, False]


def test_the_order_of_the_commitments_is_bound():
    statement, proof = proven(7, 9)
    with pytest.raises(RangeProofError):
        bpp.verify(replace(statement, commitments=statement.commitments[::-1]), proof)


def test_a_number_of_commitments_that_does_not_fit_the_proof_is_rejected():
    """Rule 12: padding never stands for an output."""
    statement, proof = proven(7, 9)
    first, second = statement.commitments
    for commitments in ((first,), (first, second, curve.H), (first, second, second)):
        with pytest.raises(RangeProofError):
            bpp.verify(replace(statement, commitments=commitments), proof)


@pytest.mark.parametrize(
    "change", [{"asset": ENERGY}, {"context": CONTEXT}, {"context": bytes(32)}]
)
def test_a_proof_is_of_one_asset_and_one_context(change):
    """Rule 11: a proof cannot be shown elsewhere, by somebody else, or for another asset."""
    plain = proven(7)
    bound = proven(7, **change)
    bpp.verify_batch([plain, bound])
    with pytest.raises(RangeProofError):
        bpp.verify(replace(plain[0], **change), plain[1])
    with pytest.raises(RangeProofError):
        bpp.verify(plain[0], bound[1])
    assert plain[0].extra == b""
    assert len(bound[0].extra) == 32


def test_each_context_and_each_asset_has_a_transcript_of_its_own():
    """The formula of docs/spec/privacy.md; the asset is hashed, not only used as a base."""
    statement, proof = proven(7, asset=ENERGY, context=CONTEXT)
    lp = [len(x).to_bytes(4, "big") + x for x in (b"hearth/bulletproofs_plus/v1", ENERGY, CONTEXT)]
    assert statement.extra == keccak256(b"".join(lp))
    with pytest.raises(RangeProofError):
        bpp.verify(replace(statement, context=bytes(32)), proof)
    with pytest.raises(RangeProofError):
        bpp.verify(replace(statement, asset=AssetId(b"f" * 32)), proof)


def test_contexts_of_another_length_are_refused():
    with pytest.raises(DecodeError, match="0 or 32 bytes, got 31"):
        RangeStatement(commitments=(curve.H,), context=bytes(31))
    with pytest.raises(DecodeError, match="asset"):
        RangeStatement(commitments=(curve.H,), asset=AssetId(b""))


def test_a_batch_names_the_bad_one_and_mixes_sizes():
    good = [proven(7), proven(7, 9), proven(1, 2, 3), proven(7, asset=ENERGY, context=CONTEXT)]
    bpp.verify_batch(good)
    bad = (good[1][0], replace(good[1][1], d1=scalar("wrong")))
    assert bpp.verify_many([good[0], bad, *good[2:]]) == [True, False, True, True]
    with pytest.raises(RangeProofError):
        bpp.verify_batch([*good, bad])
    bpp.verify_batch([])


def test_two_errors_that_cancel_without_weights_are_caught():
    """Rule 14: the sum of both equations is right, each of them wrong."""
    statement, proof = proven(7)
    one = replace(proof, d1=curve.sc_add(proof.d1, curve.ONE))
    other = replace(proof, d1=curve.sc_sub(proof.d1, curve.ONE))
    items = [(statement, one), (statement, other)]
    with pytest.raises(RangeProofError):
        bpp.verify_batch(items)
    assert bpp.verify_many(items) == [False, False]


def test_torsion_in_a_point_of_the_proof_counts_alone_as_in_a_batch():
    """Rule 14: a point of order 2 is added to B, which is hashed: both ways reject."""
    statement, proof = proven(7)
    two = bytes.fromhex("ec" + "ff" * 30 + "7f")
    bad = replace(proof, B=curve.add(proof.B, two))
    assert bpp.verify_many([(statement, bad)]) == [False]
    assert bpp.verify_many([(statement, bad), (statement, proof)]) == [False, True]


@settings(max_examples=40)
@given(length=st.integers(0, 1000), data=st.data())
def test_what_decodes_encodes_to_the_same_bytes(length, data):
    blob = bytearray(data.draw(st.binary(min_size=length, max_size=length)))
    try:
        decoded = RangeProof.from_bytes(bytes(blob))
    except CryptoError:
        return
    assert decoded.to_bytes() == blob


def test_the_form_of_the_encoding_is_checked():
    _, proof = proven(7, 9)
    good = proof.to_bytes()
    assert len(good) == 32 * (6 + 14) + 2
    for bad in (b"", good[:-1], good + b"\0", good[:-32], flip(good, 8 * 192), good + bytes(64)):
        with pytest.raises(DecodeError):
            RangeProof.from_bytes(bad)
    with pytest.raises(DecodeError, match="got 7 and 6"):
        replace(proof, R=proof.R[:-1])


def test_when_the_generators_are_folded_does_not_change_the_proof(monkeypatch):
    statement, witness = case(3, 4, asset=ENERGY)
    proof = bpp.prove(statement, witness, rng=SeededRng())
    for blocks, least in ((8, 10**6), (2, 2), (128, 2)):
        monkeypatch.setattr(bulletproofs_plus_prover, "_BLOCKS_MAX", blocks)
        monkeypatch.setattr(bulletproofs_plus_prover, "_FOLDED_MIN", least)
        assert bpp.prove(statement, witness, rng=SeededRng()) == proof


def test_both_backends_make_the_same_proof():
    def made(name):
        with curve.using(name):
            statement, witness = case(3, 4, asset=ENERGY, context=CONTEXT)
            return bpp.prove(statement, witness, rng=SeededRng(b"same")).to_bytes()

    assert len({made(name) for name in BACKENDS}) == 1
