"""Proof that a committed payment is price times quantity, and that none of the three wraps.

X = x·H + r_x·G (price), Y = y·H + r_y·G (quantity), Z = z·H + r_z·G (payment), all on money's H.
The product proof shows z = x·y mod ℓ: a linear proof of

    X = w_0·H + w_1·G;  Y = w_2·H + w_3·G;  Z = w_2·X + w_4·G,  w_4 = r_z - r_x·y

(Cramer, Damgård, 1998). It says nothing about integers: x = ℓ - 1 would be a price of -1. With
range proofs x, y < 2^64, so x·y < 2^128 < ℓ and z is the product of integers; its own range
proof makes it an amount. `prove_payment` gives both, bound to one context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crypto import bulletproofs_plus, curve, linear_proof
from crypto.errors import DecodeError, LinearProofError
from crypto.linear_proof import Equation, LinearProof, Relation
from crypto.pedersen import Opening
from crypto.range_proof import RangeProof, RangeStatement
from crypto.transcript import SYSTEM_RNG, Rng

PRODUCT_PROOF_BYTES = 32 * (3 + 5)

_TAG = b"hearth/product/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProductStatement:
    """The amount in `payment` is the product of those in `price` and `quantity`.

    Each is a torsion-free point; `context` (32 bytes) is the hash of network, contract, orders,
    the assets that the three stand for, and the sender.
    """

    price: bytes
    quantity: bytes
    payment: bytes
    context: bytes

    def __post_init__(self) -> None:
        for name, point in (
            ("price", self.price),
            ("quantity", self.quantity),
            ("payment", self.payment),
        ):
            curve.check_point(point, f"product.{name}")
            if not curve.is_torsion_free(point):
                raise DecodeError(f"product.{name}", "must be of prime order")

    @property
    def relation(self) -> Relation:
        """The three equations of the module's head."""
        return Relation(
            tag=_TAG,
            context=self.context,
            equations=(
                Equation(image=self.price, terms=((curve.H, 0), (curve.G, 1))),
                Equation(image=self.quantity, terms=((curve.H, 2), (curve.G, 3))),
                Equation(image=self.payment, terms=((self.price, 2), (curve.G, 4))),
            ),
            scalars=5,
        )

    @property
    def ranges(self) -> RangeStatement:
        """All three hold 64-bit values, in the same context."""
        return RangeStatement(
            commitments=(self.price, self.quantity, self.payment), context=self.context
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProductWitness:
    """The openings of the three commitments. Secret."""

    price: Opening
    quantity: Opening
    payment: Opening


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentProof:
    """The product proof and the aggregated range proof of X, Y and Z."""

    product: LinearProof
    ranges: RangeProof

    def to_bytes(self) -> bytes:
        """Return 256 bytes of the product proof, then the range proof."""
        return self.product.to_bytes() + self.ranges.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "PaymentProof":
        """Parse what `to_bytes` wrote.

        Raises:
            DecodeError, InvalidPoint, InvalidScalar: it is not in its one form.
        """
        return cls(
            product=product_from_bytes(data[:PRODUCT_PROOF_BYTES]),
            ranges=RangeProof.from_bytes(data[PRODUCT_PROOF_BYTES:]),
        )


def prove(
    statement: ProductStatement, witness: ProductWitness, *, rng: Rng = SYSTEM_RNG
) -> LinearProof:
    """Return a product proof alone, for amounts whose ranges are proved elsewhere.

    Constant time in the witness.

    Raises:
        LinearProofError: the witness does not open the commitments, or is no product.
    """
    x, y, z = witness.price, witness.quantity, witness.payment
    if x.amount * y.amount != z.amount:
        raise LinearProofError("payment is not price times quantity")
    y_scalar = y.amount.to_bytes(32, "little")
    cross = curve.sc_sub(z.mask, curve.sc_mul(x.mask, y_scalar))
    scalars = (x.amount.to_bytes(32, "little"), x.mask, y_scalar, y.mask, cross)
    return linear_proof.prove(statement.relation, scalars, rng=rng)


def verify(statement: ProductStatement, proof: LinearProof) -> None:
    """Accept a product proof, or raise. The caller answers for the ranges.

    Raises:
        LinearProofError: it does not verify.
    """
    linear_proof.verify(statement.relation, proof)


def verify_many(
    items: Sequence[tuple[ProductStatement, LinearProof]], *, rng: Rng = SYSTEM_RNG
) -> list[bool]:
    """Return for each product proof whether it verifies; together if all do."""
    return linear_proof.verify_many(
        [(statement.relation, proof) for statement, proof in items], rng=rng
    )


def prove_payment(
    statement: ProductStatement, witness: ProductWitness, *, rng: Rng = SYSTEM_RNG
) -> PaymentProof:
    """Return a product proof with the ranges of all three.

    Raises:
        LinearProofError: the witness does not open the commitments, or is no product.
    """
    openings = (witness.price, witness.quantity, witness.payment)
    return PaymentProof(
        product=prove(statement, witness, rng=rng),
        ranges=bulletproofs_plus.prove(statement.ranges, openings, rng=rng),
    )


def verify_payment(statement: ProductStatement, proof: PaymentProof) -> None:
    """Accept that payment = price × quantity as 64-bit integers, or raise.

    Raises:
        LinearProofError: the product proof does not verify.
        RangeProofError: the range proof does not.
    """
    verify(statement, proof.product)
    bulletproofs_plus.verify(statement.ranges, proof.ranges)


def product_from_bytes(data: bytes) -> LinearProof:
    """Parse a product proof of 256 bytes.

    Raises:
        DecodeError, InvalidPoint, InvalidScalar: it is not in its one form.
    """
    return LinearProof.from_bytes(data, equations=3, scalars=5)
