from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve, linear_proof
from crypto import opening_proof as op
from crypto.errors import CryptoError, DecodeError, InvalidPoint, InvalidScalar, LinearProofError
from crypto.linear_proof import Equation, LinearProof, Relation
from crypto.opening_proof import EqualityStatement, OpeningStatement, ValueStatement
from crypto.pedersen import MONEY, AssetId, Opening, commit, value_generator
from crypto.transcript import challenge, encode_fields, hedged_scalars, random_weight
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip, opening, scalar

pytestmark = pytest.mark.usefixtures("backend")

ENERGY = AssetId(b"e" * 32)
CONTEXT = b"c" * 32
TWO = bytes.fromhex("ec" + "ff" * 30 + "7f")
"""The point of order 2."""

MINE = opening("mine", 41)
SAME = opening("the same amount", 41)


def cases():
    """A statement of each kind with its proof, and with a witness that does not fulfil it."""
    plain = OpeningStatement(commitment=commit(MINE, ENERGY), asset=ENERGY, context=CONTEXT)
    equal = EqualityStatement(
        left=commit(MINE), right=commit(SAME, ENERGY), right_asset=ENERGY, context=CONTEXT
    )
    value = ValueStatement(commitment=commit(MINE), amount=41, context=CONTEXT)
    rng = SeededRng()
    return [
        (plain, op.prove_opening(plain, MINE, rng=rng)),
        (equal, op.prove_equality(equal, MINE, SAME, rng=rng)),
        (value, op.prove_value(value, MINE.mask, rng=rng)),
    ]


KINDS = ["opening", "equality", "value"]


@pytest.mark.parametrize("kind", range(3), ids=KINDS)
def test_what_is_known_is_proved(kind):
    statement, proof = cases()[kind]
    op.verify(statement, proof)
    assert op.proof_from_bytes(statement, proof.to_bytes()) == proof
    assert len(proof.to_bytes()) == (96, 160, 64)[kind]


@pytest.mark.parametrize("kind", range(3), ids=KINDS)
def test_a_proof_of_another_context_is_rejected(kind):
    """Rule 11: whoever copies a commitment with its proof cannot show it as its own."""
    statement, proof = cases()[kind]
    with pytest.raises(LinearProofError):
        op.verify(replace(statement, context=bytes(32)), proof)


@settings(max_examples=20)
@given(kind=st.integers(0, 2), bit=st.integers(0, 8 * 160 - 1))
def test_no_bit_of_a_proof_can_be_flipped(kind, bit):
    statement, good = cases()[kind]
    flipped = flip(good.to_bytes(), bit)
    try:
        bad = op.proof_from_bytes(statement, flipped)
    except CryptoError:
        return
    assert bad.to_bytes() == flipped
    with pytest.raises(LinearProofError):
        op.verify(statement, bad)
    items = [(statement.relation, bad), (statement.relation, good)]
    assert linear_proof.verify_many(items) == [False, True]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (0, {"commitment": commit(SAME, ENERGY)}),
        (0, {"asset": MONEY}),
        (1, {"left": commit(SAME)}),
        (1, {"right": commit(MINE, ENERGY)}),
        (1, {"right_asset": MONEY}),
        (2, {"amount": 42}),
        (2, {"commitment": commit(SAME)}),
        (2, {"commitment": curve.add(commit(MINE), curve.H), "amount": 42}),
        (2, {"asset": ENERGY}),
    ],
)
def test_every_part_of_the_statement_is_bound(kind, change):
    """Rule 10. The last but one leaves C - v·H as it was."""
    statement, proof = cases()[kind]
    with pytest.raises(LinearProofError):
        op.verify(replace(statement, **change), proof)


def test_an_image_cannot_be_chosen_after_the_challenge():
    """Rule 10, Frozen Heart: solve t·G = a + c·image for the image, knowing no logarithm of it."""
    response, announcement = scalar("t"), curve.hash_to_point(b"a" * 32)
    bait = Equation(image=curve.H, terms=((curve.G, 0),))
    c = challenge(b"test", CONTEXT, bait.to_bytes(), announcement)
    image = curve.mul(curve.sc_invert(c), curve.sub(curve.base_mul(response), announcement))
    proof = LinearProof(announcements=(announcement,), responses=(response,))
    assert curve.base_mul(response) == curve.add(announcement, curve.mul(c, image))
    forged = Relation(
        tag=b"test", context=CONTEXT, equations=(replace(bait, image=image),), scalars=1
    )
    with pytest.raises(LinearProofError):
        linear_proof.verify(forged, proof)


def test_a_base_or_its_scalar_cannot_be_exchanged():
    """Every base and the place of its scalar are in the hash."""
    equations = {
        Equation(image=image, terms=terms).to_bytes()
        for image in (curve.G, curve.H)
        for terms in (
            ((curve.G, 0), (curve.H, 1)),
            ((curve.G, 1), (curve.H, 0)),
            ((curve.H, 0), (curve.G, 1)),
            ((curve.G, 0),),
        )
    }
    assert len(equations) == 8


def test_the_proof_of_opening_verifies_by_the_formula_of_the_specification():
    """docs/spec/privacy.md, "Linear proofs", written out for one equation."""
    statement, proof = cases()[0]
    H_a = value_generator(ENERGY)
    equation = statement.commitment + curve.G + b"\0" + H_a + b"\1"
    (a,), (t_0, t_1) = proof.announcements, proof.responses
    c = challenge(b"hearth/opening/v1", CONTEXT, equation, a)
    left = curve.add(curve.base_mul(t_0), curve.mul(t_1, H_a))
    assert left == curve.add(a, curve.mul(c, statement.commitment))


def test_the_prover_refuses_a_false_statement():
    (plain, _), (equal, _), (value, _) = cases()
    with pytest.raises(LinearProofError, match="equation 0"):
        op.prove_opening(plain, SAME)
    with pytest.raises(LinearProofError, match="equation 1"):
        op.prove_equality(equal, MINE, MINE)
    unequal = replace(equal, right=commit(opening("unequal", 42), ENERGY))
    with pytest.raises(LinearProofError, match="equation 1"):
        op.prove_equality(unequal, MINE, opening("unequal", 42))
    with pytest.raises(LinearProofError, match="equation 0"):
        op.prove_value(value, SAME.mask)
    with pytest.raises(LinearProofError, match="must be 2 scalars, got 1"):
        linear_proof.prove(plain.relation, (MINE.mask,))


def test_a_public_price_is_a_linear_relation():
    """C_pay - p·C_q commits to 0 under the mask m_pay - p·m_q."""
    price, quantity, pay = 30, opening("quantity", 12), opening("pay", 360)
    p = price.to_bytes(32, "little")
    difference = curve.sub(commit(pay), curve.mul(p, commit(quantity)))
    statement = ValueStatement(commitment=difference, amount=0, context=CONTEXT)
    mask = curve.sc_sub(pay.mask, curve.sc_mul(p, quantity.mask))
    op.verify(statement, op.prove_value(statement, mask))


def test_commitments_with_torsion_are_refused():
    C = curve.add(commit(MINE), TWO)
    with pytest.raises(DecodeError, match="prime order"):
        OpeningStatement(commitment=C, context=CONTEXT)
    with pytest.raises(DecodeError, match="prime order"):
        ValueStatement(commitment=C, amount=41, context=CONTEXT)
    for side in ("left", "right"):
        with pytest.raises(DecodeError, match=side):
            replace(cases()[1][0], **{side: C})
    with pytest.raises(InvalidPoint):
        OpeningStatement(commitment=b"\xff" * 32, context=CONTEXT)


def test_the_commitment_of_zero_under_mask_zero_can_be_opened():
    nothing = Opening(mask=curve.ZERO, amount=0)
    statement = OpeningStatement(commitment=commit(nothing), context=CONTEXT)
    assert statement.commitment == curve.IDENTITY
    op.verify(statement, op.prove_opening(statement, nothing))


def test_fields_out_of_range_are_refused():
    with pytest.raises(DecodeError, match="amount"):
        ValueStatement(commitment=curve.G, amount=2**64, context=CONTEXT)
    statement = OpeningStatement(commitment=curve.G, context=b"short")
    with pytest.raises(DecodeError, match="must be 32 bytes, got 5"):
        op.verify(statement, cases()[0][1])


def test_a_proof_of_another_shape_is_rejected():
    (plain, two), (_, three), _ = cases()
    with pytest.raises(LinearProofError):
        op.verify(plain, three)
    with pytest.raises(DecodeError, match="must be 96 bytes, got 160"):
        op.proof_from_bytes(plain, three.to_bytes())
    with pytest.raises(InvalidScalar):
        replace(two, responses=(b"\xff" * 32, two.responses[1]))
    with pytest.raises(InvalidPoint):
        replace(two, announcements=(b"\xff" * 32,))


@settings(max_examples=30)
@given(data=st.binary(min_size=60, max_size=100))
def test_what_decodes_encodes_to_the_same_bytes(data):
    try:
        decoded = LinearProof.from_bytes(data, equations=1, scalars=1)
    except CryptoError:
        return
    assert decoded.to_bytes() == data


def test_a_batch_accepts_all_or_names_the_bad_ones():
    items = [(statement.relation, proof) for statement, proof in cases()]
    assert linear_proof.verify_many(items) == [True] * 3
    assert linear_proof.verify_many([]) == []
    relation, proof = items[1]
    wrong = replace(proof, responses=(curve.ONE, *proof.responses[1:]))
    assert linear_proof.verify_many([items[0], (relation, wrong)]) == [True, False]


def test_two_errors_that_cancel_without_weights_are_caught():
    """Rule 14."""
    statement, proof = cases()[2]
    up, down = (
        replace(proof, responses=(change(proof.responses[0], curve.ONE),))
        for change in (curve.sc_add, curve.sc_sub)
    )
    items = [(statement.relation, up), (statement.relation, down)]
    assert linear_proof.verify_many(items) == [False, False]


def test_torsion_in_an_announcement_counts_alone_as_in_a_batch():
    """Rule 14. A prover may add it before the challenge: harmless, but all nodes must agree."""
    secret, nonce = scalar("x"), scalar("nonce")
    relation = Relation(
        tag=b"test",
        context=CONTEXT,
        equations=(Equation(image=curve.base_mul(secret), terms=((curve.G, 0),)),),
        scalars=1,
    )
    announcement = curve.add(curve.base_mul(nonce), TWO)
    c = challenge(b"test", CONTEXT, relation.equations[0].to_bytes(), announcement)
    response = curve.sc_add(nonce, curve.sc_mul(c, secret))
    proof = LinearProof(announcements=(announcement,), responses=(response,))
    for _ in range(10):  # A weight without the factor 8 would decide by chance.
        assert linear_proof.verify_many([(relation, proof)]) == [True]
        assert linear_proof.verify_many([(relation, proof)] * 2) == [True, True]


def test_challenges_keep_fields_apart():
    """Rule 15: the tag and each length are hashed."""
    challenges = {
        challenge(b"t", b"ab", b"c"),
        challenge(b"t", b"a", b"bc"),
        challenge(b"t", b"abc"),
        challenge(b"ta", b"b", b"c"),
        challenge(b"t", b"ab", b"c", b""),
    }
    assert len(challenges) == 5
    assert encode_fields(b"ab", b"") == b"\0\0\0\2ab\0\0\0\0"


def test_nonces_are_hedged():
    """Rule 16: they depend on the tag, the secrets, the message and fresh randomness."""

    def nonces(tag=b"t", secrets=b"s", message=b"m", seed=b"", count=3):
        return hedged_scalars(
            tag, secrets=secrets, message=message, count=count, rng=SeededRng(seed)
        )

    base = nonces()
    assert len(set(base)) == 3
    assert nonces() == base
    assert nonces(count=5)[:3] == base
    for other in (
        nonces(tag=b"u"),
        nonces(secrets=b"t"),
        nonces(message=b"n"),
        nonces(seed=b"1"),
        nonces(secrets=b"sm", message=b""),
    ):
        assert not set(other) & set(base)
    for nonce in base:
        assert curve.is_scalar(nonce)
        assert nonce != curve.ZERO


def test_a_random_source_that_runs_dry_is_noticed():
    with pytest.raises(ValueError, match="must give 64 bytes, got 3"):
        hedged_scalars(b"t", secrets=b"", message=b"", count=1, rng=lambda _: b"abc")


def test_a_weight_is_never_zero():
    draws = [bytes(64), curve.L.to_bytes(64, "little"), b"\x05" + bytes(63)]
    assert random_weight(lambda _: draws.pop(0)) == b"\x05" + bytes(31)


def test_both_backends_make_the_same_proofs():
    def made(name):
        with curve.using(name):
            return tuple(proof.to_bytes() for _, proof in cases())

    assert len({made(name) for name in BACKENDS}) == 1
