"""Which check a file of test vectors gets: decided by the shape of its content.

A check yields cases: a label, and a question that answers whether the case is as the file says.
A question that raises an error is a failed case too, so no broken entry is passed over.
"""

import json
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from cli.vector_intermediates import transaction_intermediates
from cli.vector_points import (
    check_key,
    generators,
    hash_to_point,
    key_derivations,
    rejected,
    zero_commitments,
)
from cli.vector_proofs import bulletproofs_plus, transaction_hashes, transactions
from crypto.errors import CryptoError

FILE_BYTES_MAX = 256 * 1024 * 1024

Cases = Iterator[tuple[str, Callable[[], bool]]]


@final
@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of one file; `format` is None where no check knows it."""

    format: str | None
    passed: int
    failed: int
    failures: tuple[str, ...]


# By what tells a format apart: the keys of the file's object, or of the first object in its list.
_OF_LIST: tuple[tuple[frozenset[str], str, Callable[[Any], Cases]], ...] = (
    (frozenset({"in", "out"}), "hash_to_point", hash_to_point),
    (frozenset({"key", "valid"}), "check_key", check_key),
    (frozenset({"amount", "commitment"}), "zero_commitments", zero_commitments),
    (frozenset({"commitments_inv8", "proof"}), "bulletproofs_plus", bulletproofs_plus),
    (frozenset({"tx", "rings", "valid"}), "transactions", transactions),
    (frozenset({"tx", "signature_hash"}), "transaction_hashes", transaction_hashes),
)
_OF_OBJECT: tuple[tuple[frozenset[str], str, Callable[[Any], Cases]], ...] = (
    (frozenset({"transcript_init", "points"}), "bulletproofs_plus_generators", generators),
    (frozenset({"blob", "ring", "clsag"}), "transaction_intermediates", transaction_intermediates),
)
_DERIVATION_COMMANDS = frozenset(
    {"check_scalar", "derive_public_key", "hash_to_point", "derive_key_image_generator"}
)


def check_file(path: Path) -> FileResult:
    """Recognise the file and ask all its questions."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return _unknown(f"larger than {FILE_BYTES_MAX} bytes")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return _unknown(f"unknown format, not JSON: {error}")
    found = recognise(content)
    if found is None:
        return _unknown("unknown format")
    name, cases = found
    passed, failures = 0, []
    try:
        for label, question in cases(content):
            failure = _ask(question)
            if failure is None:
                passed += 1
            else:
                failures.append(f"{label}: {failure}")
    except _BROKEN as error:
        failures.append(f"the file is not of the shape of {name}: {error!r}")
    if not passed and not failures:
        failures.append("the file holds no case")
    return FileResult(name, passed, len(failures), tuple(failures))


def recognise(content: object) -> tuple[str, Callable[[Any], Cases]] | None:
    """Return the format's name and its check, or None."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _by_keys(content[0].keys(), _OF_LIST)
    if not isinstance(content, dict) or not content:
        return None
    if content.keys() & _DERIVATION_COMMANDS:
        return "key_derivations", key_derivations
    if any("reject" in key for key in content):
        return "rejected_points_and_scalars", rejected
    return _by_keys(content.keys(), _OF_OBJECT)


def _by_keys(
    keys: Set[str], formats: tuple[tuple[frozenset[str], str, Callable[[Any], Cases]], ...]
) -> tuple[str, Callable[[Any], Cases]] | None:
    for needed, name, cases in formats:
        if needed <= keys:
            return name, cases
    return None


def _ask(question: Callable[[], bool]) -> str | None:
    """Return what is wrong, or None."""
    try:
        return None if question() else "not as the file says"
    except _BROKEN as error:
        return repr(error)


def _unknown(why: str) -> FileResult:
    return FileResult(None, 0, 1, (why,))


_BROKEN = (CryptoError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an entry that is not of its format's shape, or a refused value, may raise."""
