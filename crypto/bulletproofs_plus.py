"""Bulletproofs+: committed values lie in 0..2^64-1, up to 16 of them in one proof, as Monero's.

Source: Chung, Han, Ju, Kim, Seo, "Bulletproofs+", eprint 2020/735; transcript and roles of
Monero 0.18 (value generator H, mask generator G, every point that is sent carries a factor 1/8).
The prover never folds its generators: it keeps their coefficients, so that each L_j and R_j is
one constant-time multi-scalar multiplication over points that were decoded once.

For our own transactions a proof may be over another asset's generator H_a, and be bound to a
context; then T0 = Hs(T_init | Hs(V..) | extra) with `extra` a hash of both. Without them `extra`
is empty and the proof is Monero's, bit for bit.
"""

from collections.abc import Sequence

from crypto import curve
from crypto.bulletproofs_plus_prover import prove_values
from crypto.curve import BppInstance
from crypto.errors import RangeProofError
from crypto.pedersen import Opening, commit, value_generator
from crypto.range_proof import RangeProof, RangeStatement
from crypto.transcript import SYSTEM_RNG, Rng, random_weight

__all__ = ["RangeProof", "RangeStatement", "prove", "verify", "verify_batch", "verify_many"]


def prove(
    statement: RangeStatement, witness: Sequence[Opening], *, rng: Rng = SYSTEM_RNG
) -> RangeProof:
    """Return a proof that the openings' amounts are in range (an `Opening` holds no other).

    Constant time in masks and amounts but for Python's handling of the amounts' bits as
    objects. Size 32·(2·rounds + 6) + 2 bytes.

    Args:
        statement: the commitments, 1 to 16. Public.
        witness: their openings, in order. Secret.
        rng: fresh randomness for the blindings.

    Raises:
        RangeProofError: an opening does not open its commitment.
    """
    opened = tuple(commit(opening, statement.asset) for opening in witness)
    if opened != statement.commitments:
        raise RangeProofError("openings do not open the commitments")
    return prove_values(statement, witness, rng=rng)


def verify(statement: RangeStatement, proof: RangeProof) -> None:
    """Accept the proof, or raise.

    Raises:
        RangeProofError: it does not verify.
    """
    verify_batch([(statement, proof)])


def verify_batch(
    items: Sequence[tuple[RangeStatement, RangeProof]], *, rng: Rng = SYSTEM_RNG
) -> None:
    """Accept all proofs by one multi-scalar multiplication, or raise.

    The weights are drawn from `rng` after the proofs are fixed; whoever could predict them
    could make two bad proofs cancel out. All points of a proof are multiplied by 8, so a proof
    passes alone if and only if it passes in a batch.

    Raises:
        RangeProofError: at least one does not verify; `verify_many` tells which.
    """
    weights = b"".join(random_weight(rng) for _ in items)
    if not curve.bpp_verify_batch([_instance(*item) for item in items], weights):
        raise RangeProofError(f"{len(items)} range proofs do not all verify")


def verify_many(
    items: Sequence[tuple[RangeStatement, RangeProof]], *, rng: Rng = SYSTEM_RNG
) -> list[bool]:
    """Return for each proof whether it verifies: as one batch, and one by one if that fails."""
    if _holds(items, rng):
        return [True] * len(items)
    return [_holds([item], rng) for item in items]


def _holds(items: Sequence[tuple[RangeStatement, RangeProof]], rng: Rng) -> bool:
    try:
        verify_batch(items, rng=rng)
    except RangeProofError:
        return False
    return True


def _instance(statement: RangeStatement, proof: RangeProof) -> BppInstance:
    return BppInstance(
        commitments=b"".join(statement.commitments),
        A=proof.A,
        A1=proof.A1,
        B=proof.B,
        r1=proof.r1,
        s1=proof.s1,
        d1=proof.d1,
        L=b"".join(proof.L),
        R=b"".join(proof.R),
        value_base=value_generator(statement.asset),
        extra=statement.extra,
    )
