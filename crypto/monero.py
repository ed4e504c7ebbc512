"""Judges whole Monero transactions of RingCT type 6, given the members of their rings.

This is the check that our CLSAG and Bulletproofs+ are Monero's: what its main chain has accepted
is accepted here, and nothing else. Nothing in it is secret; all of it takes variable time.

Departure: key, commitment and pseudo-output of every output and input must be of prime order,
where Monero's nodes only want the key image to be. A wallet makes no others.

Source: docs/spec/privacy.md, "Monero transactions"; Monero 0.18, `verRctSemanticsSimple`,
`verRctNonSemanticsSimple`, `check_tx_semantic`, `check_tx_inputs_keyimages_domain`.
"""

from collections.abc import Sequence
from itertools import pairwise

from crypto import bulletproofs_plus, clsag, curve
from crypto.bulletproofs_plus import RangeProof, RangeStatement
from crypto.clsag import ClsagSignature, ClsagStatement
from crypto.curve import Ring
from crypto.errors import CryptoError, MoneroError, RangeProofError
from crypto.monero_transaction import OUTPUTS_MAX, RangeProofFields, Transaction
from crypto.pedersen import is_balanced

OUTPUTS_MIN = 2
"""One output would tell which it is, the payment or the change."""

_VALUE_BITS_LOG2 = 6


def verify_transaction(transaction: Transaction, rings: Sequence[Ring]) -> None:
    """Accept the transaction, or raise.

    Args:
        transaction: from `parse_transaction`.
        rings: for each input the keys and commitments at its offsets, in their order
            (`curve.prepare_ring`).

    Raises:
        MoneroError: a rule is broken, a proof does not hold, or the rings are not as many, or not
            of the sizes, that the inputs ask for.
    """
    verify_without_rings(transaction)
    if not all(clsag.verify_many(_ring_signatures(transaction, rings))):
        raise MoneroError("a ring signature does not verify")


def verify_transactions(
    transactions: Sequence[tuple[Transaction, Sequence[Ring]]],
) -> list[bool]:
    """Return for each transaction whether `verify_transaction` accepts it.

    All range proofs are checked by one equation, and all signatures by one call; only if the
    equation does not hold is each range proof checked by itself.
    """
    verdicts = [False] * len(transactions)
    formed, proofs, signatures = [], [], []
    for i, (transaction, rings) in enumerate(transactions):
        try:
            check_form(transaction)
            _check_points(transaction)
            verify_balance(transaction)
            proof, signed = _range_proof(transaction), _ring_signatures(transaction, rings)
        except MoneroError:
            continue
        formed.append(i)
        proofs.append(proof)
        signatures += [(i, each) for each in signed]
    for i, holds in zip(formed, bulletproofs_plus.verify_many(proofs), strict=True):
        verdicts[i] = holds
    results = clsag.verify_many([each for _, each in signatures])
    for (i, _), holds in zip(signatures, results, strict=True):
        verdicts[i] &= holds
    return verdicts


def verify_without_rings(transaction: Transaction) -> None:
    """Check all but the ring signatures: form, points, balance and range proof.

    Raises:
        MoneroError: a rule is broken, or the range proof does not hold.
    """
    check_form(transaction)
    _check_points(transaction)
    for spent in transaction.inputs:  # With the rings, it is part of each ring signature.
        _check_prime_order(spent.key_image, "key_image")
    verify_balance(transaction)
    verify_range_proof(transaction)


def check_form(transaction: Transaction) -> None:
    """Check counts and orders, of which none needs the curve.

    Raises:
        MoneroError: the rule that is broken, in words.
    """
    if not transaction.inputs:
        raise MoneroError("must spend at least one output")
    for spent in transaction.inputs:
        if not spent.key_offsets:
            raise MoneroError("a ring must have at least one member")
        if 0 in spent.key_offsets[1:]:
            raise MoneroError("a ring must not name a member twice")
        if sum(spent.key_offsets) >= 2**64:
            raise MoneroError("a ring must not name a member beyond 2^64")
    images = (spent.key_image for spent in transaction.inputs)
    if any(left <= right for left, right in pairwise(images)):
        raise MoneroError("inputs must be ordered by key image, the largest first, none twice")
    _check_outputs(transaction)


def _check_outputs(transaction: Transaction) -> None:
    outputs = len(transaction.outputs)
    if not OUTPUTS_MIN <= outputs <= OUTPUTS_MAX:
        raise MoneroError(f"must have {OUTPUTS_MIN} to {OUTPUTS_MAX} outputs, got {outputs}")
    # The number of rounds says for how many values the proof is: exactly enough for the outputs.
    rounds = _VALUE_BITS_LOG2 + (outputs - 1).bit_length()
    proof = transaction.range_proof
    if not len(proof.L) == len(proof.R) == curve.BYTES * rounds:
        raise MoneroError(f"the range proof of {outputs} outputs must have {rounds} rounds")


def verify_balance(transaction: Transaction) -> None:
    """Check that the pseudo-outputs' sum is the outputs' and the fee, compared as encodings.

    Raises:
        MoneroError: it is not, or a point does not decode.
    """
    commitments = [output.commitment for output in transaction.outputs]
    try:
        balanced = is_balanced(transaction.pseudo_outs, commitments, fee=transaction.fee)
    except CryptoError as error:
        raise MoneroError(f"balance: {error}") from None
    if not balanced:
        raise MoneroError("inputs and outputs do not balance")


def verify_range_proof(transaction: Transaction) -> None:
    """Check that the one range proof holds for the outputs' commitments.

    The transaction carries no copy of the statement (V_j = C_j / 8), so none can differ from what
    the balance is about.

    Raises:
        MoneroError: it does not.
    """
    statement, proof = _range_proof(transaction)
    try:
        bulletproofs_plus.verify(statement, proof)
    except RangeProofError as error:
        raise MoneroError(str(error)) from None


def read_range_proof(fields: RangeProofFields) -> RangeProof:
    """Return the proof of the fields.

    Raises:
        CryptoError: a point or scalar is not canonical, or the number of rounds is out of range.
    """
    return RangeProof(
        A=fields.A,
        A1=fields.A1,
        B=fields.B,
        r1=fields.r1,
        s1=fields.s1,
        d1=fields.d1,
        L=_split(fields.L),
        R=_split(fields.R),
    )


def _range_proof(transaction: Transaction) -> tuple[RangeStatement, RangeProof]:
    commitments = tuple(output.commitment for output in transaction.outputs)
    try:
        return RangeStatement(commitments=commitments), read_range_proof(transaction.range_proof)
    except CryptoError as error:
        raise MoneroError(f"range proof: {error}") from None


def _ring_signatures(
    transaction: Transaction, rings: Sequence[Ring]
) -> list[tuple[ClsagStatement, ClsagSignature]]:
    wanted = [len(spent.key_offsets) for spent in transaction.inputs]
    given = [len(ring) for ring in rings]
    if given != wanted:
        raise MoneroError(f"rings must have {wanted} members, got {given}")
    message = transaction.signature_hash()
    parts = zip(
        rings, transaction.inputs, transaction.pseudo_outs, transaction.signatures, strict=True
    )
    try:
        return [
            (
                ClsagStatement(
                    ring=ring, pseudo_out=pseudo_out, key_image=spent.key_image, message=message
                ),
                ClsagSignature(s=_split(fields.s), c1=fields.c1, D=fields.D),
            )
            for ring, spent, pseudo_out, fields in parts
        ]
    except CryptoError as error:
        raise MoneroError(f"ring signature: {error}") from None


def _check_points(transaction: Transaction) -> None:
    for point in transaction.pseudo_outs:
        _check_prime_order(point, "pseudo_out")
    for output in transaction.outputs:
        _check_prime_order(output.key, "output.key")
        _check_prime_order(output.commitment, "output.commitment")


def _check_prime_order(point: bytes, field: str) -> None:
    try:
        curve.check_prime_order(point, field)
    except CryptoError as error:
        raise MoneroError(str(error)) from None


def _split(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[at : at + curve.BYTES] for at in range(0, len(packed), curve.BYTES))
