"""Proofs about the openings of commitments, each bound to a context.

A range proof alone can be copied with its commitment: another bidder may show both as its own.
A proof of opening bound to who says it, and where, cannot. Kinds:

    opening    knowledge of (m, v) with C = m·G + v·H_a             (Okamoto, 1992)
    equality   one v with C = m·G + v·H_a and C' = m'·G + v·H_b     (Chaum, Pedersen, 1992)
    value      knowledge of m with C - v·H_a = m·G, v public        (Schnorr, 1991)

`value` also proves every public linear relation of commitments, by C = their combination: that
C_pay - p·C_q commits to 0, say, for a public price p.
"""

from dataclasses import dataclass
from typing import TypeAlias, final

from crypto import curve, linear_proof
from crypto.errors import DecodeError
from crypto.hashing import keccak256
from crypto.linear_proof import Equation, LinearProof, Relation
from crypto.pedersen import AMOUNT_MAX, MONEY, AssetId, Opening, value_generator
from crypto.transcript import SYSTEM_RNG, Rng

_OPENING_TAG = b"hearth/opening/v1"
_EQUALITY_TAG = b"hearth/equality/v1"
_VALUE_TAG = b"hearth/value/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningStatement:
    """The prover can open `commitment`, an amount of `asset`."""

    commitment: bytes
    context: bytes
    asset: AssetId = MONEY

    def __post_init__(self) -> None:
        _check_commitment(self.commitment, "opening.commitment")

    @property
    def relation(self) -> Relation:
        """C = w_0·G + w_1·H_a."""
        equation = _opened(self.commitment, self.asset, mask=0, amount=1)
        return Relation(tag=_OPENING_TAG, context=self.context, equations=(equation,), scalars=2)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EqualityStatement:
    """The prover can open both, each over its own asset, to one and the same amount."""

    left: bytes
    right: bytes
    context: bytes
    left_asset: AssetId = MONEY
    right_asset: AssetId = MONEY

    def __post_init__(self) -> None:
        _check_commitment(self.left, "equality.left")
        _check_commitment(self.right, "equality.right")

    @property
    def relation(self) -> Relation:
        """C = w_0·G + w_2·H_a and C' = w_1·G + w_2·H_b."""
        left = _opened(self.left, self.left_asset, mask=0, amount=2)
        right = _opened(self.right, self.right_asset, mask=1, amount=2)
        return Relation(tag=_EQUALITY_TAG, context=self.context, equations=(left, right), scalars=3)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ValueStatement:
    """The prover can open `commitment`, and it holds the public `amount` of `asset`."""

    commitment: bytes
    amount: int
    context: bytes
    asset: AssetId = MONEY

    def __post_init__(self) -> None:
        _check_commitment(self.commitment, "value.commitment")
        if not 0 <= self.amount <= AMOUNT_MAX:
            raise DecodeError("value.amount", f"must lie in 0..2^64-1, got {self.amount}")

    @property
    def relation(self) -> Relation:
        """C - v·H_a = w_0·G."""
        public = curve.commit(curve.ZERO, self.amount, value_generator(self.asset))
        equation = Equation(image=curve.sub(self.commitment, public), terms=((curve.G, 0),))
        # The image alone would not tell (C, v) from (C + H_a, v + 1).
        bound = keccak256(
            self.context + self.commitment + self.amount.to_bytes(8, "big") + self.asset
        )
        return Relation(tag=_VALUE_TAG, context=bound, equations=(equation,), scalars=1)


Statement: TypeAlias = OpeningStatement | EqualityStatement | ValueStatement


def prove_opening(
    statement: OpeningStatement, witness: Opening, *, rng: Rng = SYSTEM_RNG
) -> LinearProof:
    """Return a proof of 96 bytes. Constant time in the witness.

    Raises:
        LinearProofError: the witness does not open the commitment.
    """
    scalars = (witness.mask, _scalar(witness.amount))
    return linear_proof.prove(statement.relation, scalars, rng=rng)


def prove_equality(
    statement: EqualityStatement, left: Opening, right: Opening, *, rng: Rng = SYSTEM_RNG
) -> LinearProof:
    """Return a proof of 160 bytes. Constant time in both openings.

    Raises:
        LinearProofError: they do not open the commitments, or not to the same amount.
    """
    scalars = (left.mask, right.mask, _scalar(left.amount))
    return linear_proof.prove(statement.relation, scalars, rng=rng)


def prove_value(statement: ValueStatement, mask: bytes, *, rng: Rng = SYSTEM_RNG) -> LinearProof:
    """Return a proof of 64 bytes. Constant time in the mask.

    Raises:
        LinearProofError: the commitment does not hold that amount under that mask.
    """
    return linear_proof.prove(statement.relation, (mask,), rng=rng)


def verify(statement: Statement, proof: LinearProof) -> None:
    """Accept the proof, or raise.

    Raises:
        LinearProofError: it is not one of this statement in this context.
    """
    linear_proof.verify(statement.relation, proof)


def proof_from_bytes(statement: Statement, data: bytes) -> LinearProof:
    """Parse a proof of the shape that `statement` asks for.

    Raises:
        DecodeError, InvalidPoint, InvalidScalar: it is not in its one form.
    """
    relation = statement.relation
    return LinearProof.from_bytes(data, equations=len(relation.equations), scalars=relation.scalars)


def _opened(commitment: bytes, asset: AssetId, *, mask: int, amount: int) -> Equation:
    """C = w_mask·G + w_amount·H_a."""
    return Equation(image=commitment, terms=((curve.G, mask), (value_generator(asset), amount)))


def _check_commitment(commitment: bytes, field: str) -> None:
    """Any torsion-free point: 0·G + 0·H is a commitment as well."""
    curve.check_point(commitment, field)
    if not curve.is_torsion_free(commitment):
        raise DecodeError(field, "must be of prime order")


def _scalar(amount: int) -> bytes:
    return amount.to_bytes(32, "little")
