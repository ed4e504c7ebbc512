"""Proof of knowledge of scalars behind points that depend on them linearly.

The statement is a list of equations image_k = Σ_j w_j·base_kj over secret scalars w_0..w_{m-1}.
Schnorr's, Okamoto's and Chaum-Pedersen's proofs and the product proof are all of this form
(Maurer, "Unifying zero-knowledge proofs of knowledge", 2009), so there is one prover and one
verifier for them:

    announce  a_k = Σ_j b_j·base_kj                 with nonces b_j
    challenge c   = Hs(lp(tag) lp(context) lp(equation_k)... lp(a_k)...)
    respond   t_j = b_j + c·w_j
    verify    Σ_j t_j·base_kj = a_k + c·image_k     for each k

It is 2-special-sound and honest-verifier zero-knowledge. The announcements are sent, and not the
challenge, so that many proofs are verified by one multi-scalar multiplication with random
weights. The sum is multiplied by 8: what is of small order counts for nothing, alone and in a
batch alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crypto import curve
from crypto.errors import DecodeError, LinearProofError
from crypto.transcript import (
    CONTEXT_BYTES,
    SYSTEM_RNG,
    Rng,
    challenge,
    encode_fields,
    hedged_scalars,
    random_weight,
)

SCALARS_MAX = 16
EQUATIONS_MAX = 16


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """image = Σ w_j·base over `terms`, pairs (base, j)."""

    image: bytes
    terms: tuple[tuple[bytes, int], ...]

    def to_bytes(self) -> bytes:
        """Return image | for each term: base | j as one byte."""
        return self.image + b"".join(base + bytes((index,)) for base, index in self.terms)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """The statement: what is proved, for which use, in which context.

    Images and bases are points of prime order or the identity: whoever makes the relation has
    checked those that came from outside.
    """

    tag: bytes
    """Names the kind of proof; no two kinds share one."""
    context: bytes
    """32 bytes: hash of network, contract, orders, assets, sender."""
    equations: tuple[Equation, ...]
    scalars: int
    """Number m of secret scalars."""

    def __post_init__(self) -> None:
        if len(self.context) != CONTEXT_BYTES:
            raise DecodeError("context", f"must be {CONTEXT_BYTES} bytes, got {len(self.context)}")
        assert 0 < self.scalars <= SCALARS_MAX, "number of scalars"
        assert 0 < len(self.equations) <= EQUATIONS_MAX, "number of equations"
        used = {index for equation in self.equations for _, index in equation.terms}
        assert used == set(range(self.scalars)), "each scalar stands in an equation"

    def transcript(self) -> bytes:
        """Return the fields of the statement, each behind its length."""
        return encode_fields(self.context, *(equation.to_bytes() for equation in self.equations))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProof:
    """The announcements a_k and the responses t_j."""

    announcements: tuple[bytes, ...]
    responses: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return a_0 | ... | t_0 | ..., 32 bytes each."""
        return b"".join((*self.announcements, *self.responses))

    @classmethod
    def from_bytes(cls, data: bytes, *, equations: int, scalars: int) -> "LinearProof":
        """Parse what `to_bytes` wrote, for a relation of that shape.

        Raises:
            DecodeError: a wrong length.
            InvalidPoint: an announcement is not the canonical encoding of a point.
            InvalidScalar: a response is not canonical.
        """
        expected = 32 * (equations + scalars)
        if len(data) != expected:
            raise DecodeError("linear_proof", f"must be {expected} bytes, got {len(data)}")
        items = tuple(data[at : at + 32] for at in range(0, expected, 32))
        return cls(announcements=items[:equations], responses=items[equations:])

    def __post_init__(self) -> None:
        for point in self.announcements:
            curve.check_point(point, "linear_proof.announcement")
        for scalar in self.responses:
            curve.check_scalar(scalar, "linear_proof.response")


def prove(relation: Relation, witness: Sequence[bytes], *, rng: Rng = SYSTEM_RNG) -> LinearProof:
    """Return a proof that the prover knows `witness`. Constant time in it.

    Args:
        relation: the statement. Public.
        witness: the m scalars, canonical. Secret.
        rng: fresh randomness for the nonces.

    Raises:
        LinearProofError: the witness does not fulfil the relation; a proof of something false
            would only be found out by others.
    """
    if len(witness) != relation.scalars:
        raise LinearProofError(f"witness must be {relation.scalars} scalars, got {len(witness)}")
    for number, equation in enumerate(relation.equations):
        if _combine(equation, witness) != equation.image:
            raise LinearProofError(f"witness does not fulfil equation {number}")
    statement = relation.transcript()
    nonces = hedged_scalars(
        relation.tag,
        secrets=b"".join(witness),
        message=statement,
        count=relation.scalars,
        rng=rng,
    )
    announcements = tuple(_combine(equation, nonces) for equation in relation.equations)
    c = _challenge(relation, announcements)
    responses = tuple(
        curve.sc_add(nonce, curve.sc_mul(c, secret))
        for nonce, secret in zip(nonces, witness, strict=True)
    )
    return LinearProof(announcements=announcements, responses=responses)


def verify(relation: Relation, proof: LinearProof) -> None:
    """Accept the proof, or raise.

    Raises:
        LinearProofError: it does not show the relation.
    """
    if not _holds([(relation, proof)], SYSTEM_RNG):
        raise LinearProofError(f"{relation.tag.decode()}: proof does not verify")


def verify_many(
    items: Sequence[tuple[Relation, LinearProof]], *, rng: Rng = SYSTEM_RNG
) -> list[bool]:
    """Return for each proof whether it verifies: one multiplication if all of them do.

    The weights come from `rng` after the proofs are fixed. If the sum is not zero, each proof
    is verified alone, so that one bad proof does not hide the good ones.
    """
    if _holds(items, rng):
        return [True] * len(items)
    return [_holds([item], rng) for item in items]


def _holds(items: Sequence[tuple[Relation, LinearProof]], rng: Rng) -> bool:
    """Return whether 8·Σ weight·(Σ t_j·base_kj - a_k - c·image_k) = 0 over all equations."""
    scalars: list[bytes] = []
    points: list[bytes] = []
    for relation, proof in items:
        if (len(proof.announcements), len(proof.responses)) != (
            len(relation.equations),
            relation.scalars,
        ):
            return False
        c = _challenge(relation, proof.announcements)
        for equation, announcement in zip(relation.equations, proof.announcements, strict=True):
            weight = random_weight(rng)
            minus = curve.sc_neg(weight)
            scalars += (minus, curve.sc_mul(minus, c))
            points += (announcement, equation.image)
            for base, index in equation.terms:
                scalars.append(curve.sc_mul(weight, proof.responses[index]))
                points.append(base)
    if not points:
        return True
    total = curve.msm_vartime(b"".join(scalars), b"".join(points))
    return curve.mul8(total) == curve.IDENTITY


def _challenge(relation: Relation, announcements: Sequence[bytes]) -> bytes:
    """Return c. The fields of the statement are hashed as they were given to the nonces."""
    fields = (relation.context, *(equation.to_bytes() for equation in relation.equations))
    return challenge(relation.tag, *fields, *announcements)


def _combine(equation: Equation, scalars: Sequence[bytes]) -> bytes:
    """Return Σ w_j·base. Constant time."""
    return curve.msm(
        b"".join(scalars[index] for _, index in equation.terms),
        b"".join(base for base, _ in equation.terms),
    )
