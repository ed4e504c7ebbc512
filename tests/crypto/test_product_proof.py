from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto import product_proof as pp
from crypto.errors import (
    CryptoError,
    DecodeError,
    InvalidPoint,
    LinearProofError,
    RangeProofError,
)
from crypto.linear_proof import LinearProof, prove
from crypto.pedersen import commit
from crypto.product_proof import PaymentProof, ProductStatement, ProductWitness
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip, opening, scalar

pytestmark = pytest.mark.usefixtures("backend")

CONTEXT = b"c" * 32


def case(price, quantity, payment=None):
    witness = ProductWitness(
        price=opening("price", price),
        quantity=opening("quantity", quantity),
        payment=opening("payment", price * quantity if payment is None else payment),
    )
    statement = ProductStatement(
        price=commit(witness.price),
        quantity=commit(witness.quantity),
        payment=commit(witness.payment),
        context=CONTEXT,
    )
    return statement, witness


@cache
def proven(price=31, quantity=700):
    statement, witness = case(price, quantity)
    return statement, pp.prove(statement, witness, rng=SeededRng())


@cache
def paid(price=31, quantity=700):
    statement, witness = case(price, quantity)
    return statement, pp.prove_payment(statement, witness, rng=SeededRng())


@settings(max_examples=15)
@given(price=st.integers(0, 2**32 - 1), quantity=st.integers(0, 2**32))
def test_a_product_is_proved(price, quantity):
    statement, witness = case(price, quantity)
    proof = pp.prove(statement, witness)
    pp.verify(statement, proof)
    assert len(proof.to_bytes()) == pp.PRODUCT_PROOF_BYTES == 256
    assert pp.product_from_bytes(proof.to_bytes()) == proof


def test_the_prover_refuses_what_is_no_product():
    for payment in (31 * 700 - 1, 31 * 700 + 1, 0):
        with pytest.raises(LinearProofError, match="price times quantity"):
            pp.prove(*case(31, 700, payment))
    statement, witness = case(31, 700)
    with pytest.raises(LinearProofError, match="equation 0"):
        pp.prove(statement, replace(witness, price=opening("another", 31)))


def test_a_payment_of_one_more_does_not_verify():
    statement, proof = proven()
    more = replace(statement, payment=curve.add(statement.payment, curve.H))
    with pytest.raises(LinearProofError):
        pp.verify(more, proof)


@pytest.mark.parametrize("part", ["price", "quantity", "payment"])
def test_every_commitment_is_bound(part):
    statement, proof = proven()
    other = replace(statement, **{part: curve.add(getattr(statement, part), curve.G)})
    with pytest.raises(LinearProofError):
        pp.verify(other, proof)
    assert pp.verify_many([(other, proof), (statement, proof)]) == [False, True]


@settings(max_examples=15)
@given(bit=st.integers(0, 255))
def test_every_bit_of_the_context_is_bound(bit):
    statement, proof = proven()
    with pytest.raises(LinearProofError):
        pp.verify(replace(statement, context=flip(CONTEXT, bit)), proof)


def test_price_and_quantity_cannot_change_places():
    statement, proof = proven()
    swapped = replace(statement, price=statement.quantity, quantity=statement.price)
    with pytest.raises(LinearProofError):
        pp.verify(swapped, proof)


@settings(max_examples=25)
@given(bit=st.integers(0, 8 * 256 - 1))
def test_no_bit_of_a_proof_can_be_flipped(bit):
    statement, good = proven()
    flipped = flip(good.to_bytes(), bit)
    try:
        bad = pp.product_from_bytes(flipped)
    except CryptoError:
        return
    assert bad.to_bytes() == flipped
    with pytest.raises(LinearProofError):
        pp.verify(statement, bad)
    assert pp.verify_many([(statement, bad), (statement, good)]) == [False, True]


def test_many_products_verify_together():
    items = [proven(3, 4), proven(), proven(0, 9)]
    assert pp.verify_many(items) == [True] * 3


def test_a_payment_proof_shows_product_and_ranges():
    statement, proof = paid()
    pp.verify_payment(statement, proof)
    assert PaymentProof.from_bytes(proof.to_bytes()) == proof


def test_a_product_mod_the_group_order_is_no_payment():
    """Rule 13: (l - 1)·(l - 1) = 1 mod l passes the product proof; the ranges refuse it."""
    minus_one = curve.sc_neg(curve.ONE)
    masks = {name: scalar(name) for name in ("x", "y", "z")}

    def point(value, mask):
        return curve.msm(value + mask, curve.H + curve.G)

    statement = ProductStatement(
        price=point(minus_one, masks["x"]),
        quantity=point(minus_one, masks["y"]),
        payment=point(curve.ONE, masks["z"]),
        context=CONTEXT,
    )
    cross = curve.sc_add(masks["z"], masks["x"])  # r_z - r_x·(-1)
    witness = (minus_one, masks["x"], minus_one, masks["y"], cross)
    product = prove(statement.relation, witness)
    pp.verify(statement, product)
    with pytest.raises(RangeProofError):
        pp.verify_payment(statement, PaymentProof(product=product, ranges=paid()[1].ranges))


def test_both_halves_of_a_payment_proof_must_hold():
    statement, proof = paid()
    other = paid(30, 700)[1]
    with pytest.raises(LinearProofError):
        pp.verify_payment(statement, replace(proof, product=other.product))
    with pytest.raises(RangeProofError):
        pp.verify_payment(statement, replace(proof, ranges=other.ranges))


def test_the_ranges_are_bound_to_the_same_context():
    statement, proof = paid()
    elsewhere = replace(statement, context=bytes(32))
    moved = replace(proof, product=pp.prove(elsewhere, case(31, 700)[1]))
    with pytest.raises(RangeProofError):
        pp.verify_payment(elsewhere, moved)


@pytest.mark.parametrize("part", ["price", "quantity", "payment"])
def test_points_with_torsion_are_refused(part):
    statement, _ = case(2, 3)
    two = bytes.fromhex("ec" + "ff" * 30 + "7f")
    with pytest.raises(DecodeError, match=part):
        replace(statement, **{part: curve.add(getattr(statement, part), two)})
    with pytest.raises(InvalidPoint, match=part):
        replace(statement, **{part: b"\xff" * 32})


def test_lengths_are_checked():
    with pytest.raises(DecodeError, match="must be 256 bytes, got 255"):
        pp.product_from_bytes(bytes(255))
    with pytest.raises(DecodeError):
        PaymentProof.from_bytes(paid()[1].to_bytes()[:-1])


def test_both_backends_make_the_same_proof():
    def made(name):
        with curve.using(name):
            return pp.prove(*case(5, 6), rng=SeededRng(b"same")).to_bytes()

    assert len({made(name) for name in BACKENDS}) == 1


def test_a_linear_proof_of_another_shape_is_rejected():
    statement, proof = proven()
    shorter = LinearProof(announcements=proof.announcements[:2], responses=proof.responses)
    with pytest.raises(LinearProofError):
        pp.verify(statement, shorter)
