"""Which check a file of test vectors gets: decided by the shape of its content.

A check yields cases: a label, and a question that answers whether the case is as the file says.
A question that raises an error is a failed case too, so no broken entry is passed over.
"""

import json
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, final

from cli.mainnet_transaction import NotOnMainnet
from cli.vector_encodings import abi_tests, keystore_tests, rlp_tests
from cli.vector_eth_transactions import eth_transactions
from cli.vector_intermediates import transaction_intermediates
from cli.vector_outcome import Cases, LeftOut, Mismatch, Question
from cli.vector_points import (
    check_key,
    generators,
    hash_to_point,
    key_derivations,
    rejected,
    zero_commitments,
)
from cli.vector_proofs import bulletproofs_plus, transaction_hashes, transactions
from cli.vector_state import state_tests
from cli.vector_transcripts import is_chain_blocks, is_chain_json, is_transcript
from crypto.errors import CryptoError
from vm.errors import VmError

FILE_BYTES_MAX = 256 * 1024 * 1024

Check: TypeAlias = Callable[[Any], Cases]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What came of one file, or of a part of it."""

    format: str | None
    """None where no check knows the file."""
    passed: int = 0
    failures: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Labels of the cases that ask for what this build leaves out, with what that is."""
    aside: str | None = None
    """Why the file is no test, where it is none."""

    @property
    def failed(self) -> int:
        """Number of cases that failed."""
        return len(self.failures)


# By what tells a format apart: the keys of the file's object, or of the first object in its list.
_OF_LIST: tuple[tuple[frozenset[str], str, Check], ...] = (
    (frozenset({"in", "out"}), "hash_to_point", hash_to_point),
    (frozenset({"key", "valid"}), "check_key", check_key),
    (frozenset({"amount", "commitment"}), "zero_commitments", zero_commitments),
    (frozenset({"commitments_inv8", "proof"}), "bulletproofs_plus", bulletproofs_plus),
    (frozenset({"tx", "rings", "valid"}), "transactions", transactions),
    (frozenset({"tx", "signature_hash"}), "transaction_hashes", transaction_hashes),
)
_OF_OBJECT: tuple[tuple[frozenset[str], str, Check], ...] = (
    (frozenset({"transcript_init", "points"}), "bulletproofs_plus_generators", generators),
    (frozenset({"blob", "ring", "clsag"}), "transaction_intermediates", transaction_intermediates),
)
_DERIVATION_COMMANDS = frozenset(
    {"check_scalar", "derive_public_key", "hash_to_point", "derive_key_image_generator"}
)


_NESTED: tuple[tuple[frozenset[str], str, Check], ...] = (
    (frozenset({"env", "pre", "transaction", "post"}), "state_tests", state_tests),
    (frozenset({"txbytes", "result"}), "eth_transactions", eth_transactions),
    (frozenset({"types", "args", "result"}), "abi_tests", abi_tests),
    (frozenset({"json", "password", "priv"}), "keystore_tests", keystore_tests),
    (frozenset({"in", "out"}), "rlp_tests", rlp_tests),
)
"""Of files `{name: test}`: by the keys of the first test."""


def check_file(path: Path) -> FileResult:
    """Recognise the file and ask all its questions."""
    return merge([check_part(path, 0, 1)])


def check_part(path: Path, part: int, parts: int) -> FileResult:
    """Recognise the file and ask every question whose place, modulo `parts`, is `part`."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return _unknown(f"larger than {FILE_BYTES_MAX} bytes")
    data = path.read_bytes()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _not_json(path, data, str(error))
    if is_chain_json(content):
        return _ASIDE
    found = recognise(content)
    if found is None:
        return _unknown("unknown format")
    name, cases = found
    passed, failures, skipped = 0, [], []
    try:
        for label, question in islice(cases(content), part, None, parts):
            try:
                failure = _ask(question)
            except LeftOut as left_out:
                skipped.append(f"{label}: {left_out}")
                continue
            if failure is None:
                passed += 1
            else:
                failures.append(f"{label}: {failure}")
    except _BROKEN as error:
        failures.append(f"the file is not of the shape of {name}: {error!r}")
    return FileResult(format=name, passed=passed, failures=tuple(failures), skipped=tuple(skipped))


def merge(parts: Sequence[FileResult]) -> FileResult:
    """Return the result of a file from all its parts."""
    first = parts[0]
    # A file whose shape breaks half way says so in each part.
    failures = tuple(dict.fromkeys(line for part in parts for line in part.failures))
    skipped = tuple(sorted(line for part in parts for line in part.skipped))
    passed = sum(part.passed for part in parts)
    if not (passed or failures or skipped or first.aside):
        failures = ("the file holds no case",)
    return FileResult(
        format=first.format, passed=passed, failures=failures, skipped=skipped, aside=first.aside
    )


def _not_json(path: Path, data: bytes, error: str) -> FileResult:
    if is_transcript(data):
        return _transcript(path)
    if is_chain_blocks(data):
        return _ASIDE
    return _unknown(f"unknown format, not JSON: {error}")


def _transcript(path: Path) -> FileResult:
    """Put a transcript's requests to a chain of ours; one case a file."""
    from testnet.rpc_shapes import BadTranscript, check_transcript  # A node's worth of imports.

    try:
        found = check_transcript(path)
    except BadTranscript as error:
        return _unknown(f"no RPC transcript: {error}")
    except _BROKEN as error:
        return FileResult(format="rpc_transcript", failures=(repr(error),))
    if not found.served and not found.failures:
        return FileResult(format="rpc_transcript", aside=f"{found.method} is not served here")
    failures = ("; ".join(found.failures),) if found.failures else ()
    return FileResult(format="rpc_transcript", passed=not failures, failures=failures)


def recognise(content: object) -> tuple[str, Check] | None:
    """Return the format's name and its check, or None."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _by_keys(content[0].keys(), _OF_LIST)
    if not isinstance(content, dict) or not content:
        return None
    nested = next((value for value in content.values() if isinstance(value, dict)), {})
    found = _by_keys(nested.keys(), _NESTED)
    if found is not None:
        return found
    if content.keys() & _DERIVATION_COMMANDS:
        return "key_derivations", key_derivations
    if any("reject" in key for key in content):
        return "rejected_points_and_scalars", rejected
    return _by_keys(content.keys(), _OF_OBJECT)


def _by_keys(
    keys: Set[str], formats: tuple[tuple[frozenset[str], str, Check], ...]
) -> tuple[str, Check] | None:
    for needed, name, cases in formats:
        if needed <= keys:
            return name, cases
    return None


def _ask(question: Question) -> str | None:
    """Return what is wrong, or None."""
    try:
        return None if question() else "not as the file says"
    except Mismatch as mismatch:
        return str(mismatch)
    except _BROKEN as error:
        return repr(error)


def _unknown(why: str) -> FileResult:
    return FileResult(format=None, failures=(why,))


_ASIDE = FileResult(format="rpc_chain", aside="the chain that RPC transcripts were made on")
_BROKEN = (
    *(CryptoError, VmError, NotOnMainnet, ArithmeticError, AttributeError, LookupError),
    *(TypeError, ValueError),
    # Our own mistakes in what is judged: a case that fails, not the end of the check.
    *(AssertionError, MemoryError, RuntimeError),
)
"""What an entry that is not of its format's shape, or a refused value, may raise."""
