"""Test vectors of proofs and of whole transactions: each judged by itself and in a batch."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from crypto import curve
from crypto.bulletproofs_plus import RangeStatement, verify_many
from crypto.errors import CryptoError, MoneroError
from crypto.monero import (
    check_form,
    read_range_proof,
    verify_balance,
    verify_range_proof,
    verify_transaction,
    verify_transactions,
)
from crypto.monero_transaction import RangeProofFields, parse_transaction
from crypto.pedersen import Opening, commit

Cases = Iterator[tuple[str, Callable[[], bool]]]


def bulletproofs_plus(entries: list[Any]) -> Cases:
    """Proofs with their commitments divided by 8, and what they are said to be about."""
    for i, entry in enumerate(entries):
        yield f"[{i}] proof", partial(_range_proof_says, entry)
        if entry["valid"] is True and "values" in entry:
            yield f"[{i}] commitments", partial(_opens, entry)


def transactions(entries: list[Any]) -> Cases:
    """Whole transactions with the members of their rings, good and bad."""
    for i, entry in enumerate(entries):
        yield f"[{i}]", partial(_transaction_says, entry)


def transaction_hashes(entries: list[Any]) -> Cases:
    """Transactions without their rings."""
    for i, entry in enumerate(entries):
        if entry.get("tx_id") is not None:
            yield f"[{i}] tx_id", partial(_has_id, entry)
        yield f"[{i}] signature_hash", partial(_has_signature_hash, entry)
        yield f"[{i}] bytes", partial(_is_written_the_same, entry)
        yield f"[{i}] form", partial(_passes, check_form, entry)
        yield f"[{i}] balance", partial(_passes, verify_balance, entry)
        yield f"[{i}] range proof", partial(_passes, verify_range_proof, entry)


def _range_proof_says(entry: dict[str, Any]) -> bool:
    proof = entry["proof"]
    fields = RangeProofFields(
        **{name: bytes.fromhex(proof[name]) for name in ("A", "A1", "B", "r1", "s1", "d1")},
        L=_packed(proof["L"]),
        R=_packed(proof["R"]),
    )
    try:
        statement = RangeStatement(
            commitments=tuple(curve.mul8(bytes.fromhex(V)) for V in entry["commitments_inv8"])
        )
        item = statement, read_range_proof(fields)
    except CryptoError:
        return entry["valid"] is False
    return verify_many([item]) == [entry["valid"]] and (
        verify_many([item] * 2) == [entry["valid"]] * 2
    )


def _opens(entry: dict[str, Any]) -> bool:
    """The commitments open to the values with the masks; of a valid proof the values are ranged."""
    openings = [
        Opening(mask=bytes.fromhex(mask), amount=int(str(value)))
        for value, mask in zip(entry["values"], entry["masks"], strict=True)
    ]
    own = b"".join(curve.inv8(commit(opening)) for opening in openings)
    return own == _packed(entry["commitments_inv8"])


def _transaction_says(entry: dict[str, Any]) -> bool:
    valid = entry["valid"]
    if not isinstance(valid, bool):
        raise TypeError("valid must be true or false")
    try:
        transaction = parse_transaction(bytes.fromhex(entry["tx"]))
        rings = [
            curve.prepare_ring(
                _packed([member["key"] for member in ring]),
                _packed([member["commitment"] for member in ring]),
            )
            for ring in entry["rings"]
        ]
    except CryptoError:
        return not valid
    expected_id = entry.get("tx_id")
    has_id = expected_id is None or transaction.id() == bytes.fromhex(expected_id)
    try:
        verify_transaction(transaction, rings)
        alone = True
    except MoneroError:
        alone = False
    batched = verify_transactions([(transaction, rings)] * 2)
    return batched == [alone] * 2 and (alone and has_id) == valid


def _has_id(entry: dict[str, Any]) -> bool:
    return parse_transaction(bytes.fromhex(entry["tx"])).id() == bytes.fromhex(entry["tx_id"])


def _has_signature_hash(entry: dict[str, Any]) -> bool:
    transaction = parse_transaction(bytes.fromhex(entry["tx"]))
    return transaction.signature_hash() == bytes.fromhex(entry["signature_hash"])


def _is_written_the_same(entry: dict[str, Any]) -> bool:
    data = bytes.fromhex(entry["tx"])
    return parse_transaction(data).to_bytes() == data


def _passes(verify: Callable[[Any], None], entry: dict[str, Any]) -> bool:
    verify(parse_transaction(bytes.fromhex(entry["tx"])))
    return True


def _packed(items: list[str]) -> bytes:
    return b"".join(bytes.fromhex(item) for item in items)
