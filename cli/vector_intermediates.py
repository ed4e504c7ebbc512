"""A transaction with every intermediate value of its proofs: a second, slow derivation of each.

Follows docs/spec/privacy.md, "CLSAG" and "Bulletproofs+", one formula a line, with the curve's
primitives only: where a proof fails whose intermediates pass, the fault is in the primitive that
verifies it whole. Python's integers serve for scalars; nothing here is secret.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from crypto import curve
from crypto.hashing import keccak256
from crypto.monero import verify_transaction
from crypto.monero_transaction import RangeProofFields, Transaction, parse_transaction

Cases = Iterator[tuple[str, Callable[[], bool]]]

_VALUE_BITS = 64
_SHOWN = 4
"""Of the scalars of a proof's generators, the file has the first four and the last."""


def transaction_intermediates(content: dict[str, Any]) -> Cases:
    """The fields, the hashes, each round of the ring signature, each challenge of the range proof.

    The whole transaction, too, must verify.
    """
    transaction = parse_transaction(bytes.fromhex(content["blob"]))
    yield "verifies", partial(_verifies, transaction, content["ring"])
    expected = _leaves("", {k: v for k, v in content.items() if k not in _NOT_DERIVED})
    derived = dict(_leaves("", _derive(transaction, content["ring"])))
    for label, value in expected:
        yield label, partial(_equal, derived, label, value)


_NOT_DERIVED = frozenset(("origin", "blob", "note"))


def _verifies(transaction: Transaction, ring: list[Any]) -> bool:
    keys, commitments = _ring(ring)
    verify_transaction(transaction, [curve.prepare_ring(keys, commitments)])
    return True


def _equal(derived: dict[str, object], label: str, value: object) -> bool:
    return derived[label] == value


def _leaves(label: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield each number or text in a nested value with the path to it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(f"{label}.{key}" if label else str(key), each)
    elif isinstance(value, list):
        yield f"{label}.length", len(value)
        for i, each in enumerate(value):
            yield from _leaves(f"{label}[{i}]", each)
    else:
        yield label, value


def _derive(transaction: Transaction, ring: list[Any]) -> dict[str, object]:
    """Return what the file states, derived from the transaction and its ring."""
    return {
        "tx_id": transaction.id().hex(),
        "prefix_hash": keccak256(transaction.prefix()).hex(),
        "base_hash": keccak256(transaction.rct_base()).hex(),
        "bp_components_hash": keccak256(transaction.range_proof.hashed).hex(),
        "message": transaction.signature_hash().hex(),
        "fee": transaction.fee,
        "ring": ring,
        "key_image": transaction.inputs[0].key_image.hex(),
        "pseudo_out": transaction.pseudo_outs[0].hex(),
        "outputs": [
            {
                "key": output.key.hex(),
                "view_tag": "" if output.view_tag is None else f"{output.view_tag:02x}",
                "commitment": output.commitment.hex(),
                "ecdh8": output.encrypted_amount.hex(),
            }
            for output in transaction.outputs
        ],
        "clsag": _derive_clsag(transaction, *_ring(ring)),
        "bulletproof_plus": _derive_range_proof(transaction),
    }


def _derive_clsag(transaction: Transaction, P: bytes, C: bytes) -> dict[str, object]:
    signature = transaction.signatures[0]
    image, offset = transaction.inputs[0].key_image, transaction.pseudo_outs[0]
    body = P + C
    D = curve.mul8(signature.D)
    mu_P, mu_C = (
        curve.hash_to_scalar(tag.ljust(32, b"\0") + body + image + signature.D + offset)
        for tag in (b"CLSAG_agg_0", b"CLSAG_agg_1")
    )
    head = b"CLSAG_round".ljust(32, b"\0") + body + offset + transaction.signature_hash()
    rounds = []
    c = signature.c1
    for i, (P_i, C_i, s_i) in enumerate(
        zip(_split(P), _split(C), _split(signature.s), strict=True)
    ):
        Hp = curve.hash_to_point(P_i)
        difference = curve.sub(C_i, offset)
        weights = s_i + curve.sc_mul(c, mu_P) + curve.sc_mul(c, mu_C)
        L = curve.msm_vartime(weights, curve.G + P_i + difference)
        R = curve.msm_vartime(weights, Hp + image + D)
        following = curve.hash_to_scalar(head + L + R)
        rounds.append(
            {
                "i": i,
                "c_i": c.hex(),
                "Hp": Hp.hex(),
                "C_minus_offset": difference.hex(),
                "L": L.hex(),
                "R": R.hex(),
                "c_next": following.hex(),
            }
        )
        c = following
    return {
        "c1": c.hex(),  # The challenge after the last round: the ring is closed.
        "D_inv8": signature.D.hex(),
        "s": [s.hex() for s in _split(signature.s)],
        "mu_P": mu_P.hex(),
        "mu_C": mu_C.hex(),
        "D": D.hex(),
        "rounds": rounds,
    }


def _derive_range_proof(transaction: Transaction) -> dict[str, object]:
    proof = transaction.range_proof
    V = [curve.inv8(output.commitment) for output in transaction.outputs]
    init = curve.hash_to_point(keccak256(b"bulletproof_plus_transcript"))
    start = curve.hash_to_scalar(init + curve.hash_to_scalar(b"".join(V)))
    y = curve.hash_to_scalar(start + proof.A)
    z = state = curve.hash_to_scalar(y)
    challenges = []
    for left, right in zip(_split(proof.L), _split(proof.R), strict=True):
        state = curve.hash_to_scalar(state + left + right)
        challenges.append(state)
    e = curve.hash_to_scalar(state + proof.A1 + proof.B)
    return {
        **{name: getattr(proof, name).hex() for name in ("A", "A1", "B", "r1", "s1", "d1")},
        "L": [point.hex() for point in _split(proof.L)],
        "R": [point.hex() for point in _split(proof.R)],
        "V_inv8": [point.hex() for point in V],
        "transcript_init": init.hex(),
        "transcript_after_V": start.hex(),
        "y": y.hex(),
        "z": z.hex(),
        "round_challenges": [challenge.hex() for challenge in challenges],
        "e": e.hex(),
        "unit_weight_scalars": _generator_scalars(
            proof, y=_number(y), z=_number(z), e=_number(e), x=[_number(c) for c in challenges]
        ),
    }


def _generator_scalars(
    proof: RangeProofFields, *, y: int, z: int, e: int, x: list[int]
) -> dict[str, object]:
    """Return the factors of G, H and the vectors Gi, Hi in the equation of the verification."""
    n = 1 << len(x)
    r1, s1 = _number(proof.r1), _number(proof.s1)
    d = [pow(z, 2 * (i // _VALUE_BITS + 1), curve.L) << i % _VALUE_BITS for i in range(n)]
    powers = [pow(y, i, curve.L) for i in range(n + 2)]
    inverse = pow(y, -1, curve.L)
    S = [_product(x, i) for i in range(n)]
    square = e * e
    weighted = powers[n + 1] * z * sum(d) + (z * z - z) * sum(powers[1 : n + 1])
    Gi = [e * r1 * pow(inverse, i, curve.L) * S[i] + square * z for i in range(n)]
    Hi = [e * s1 * S[n - 1 - i] - square * z - square * d[i] * powers[n - i] for i in range(n)]
    return {
        "G": proof.d1.hex(),
        "H": _text(r1 * y * s1 + square * weighted),
        "Gi_first4": [_text(scalar) for scalar in Gi[:_SHOWN]],
        "Hi_first4": [_text(scalar) for scalar in Hi[:_SHOWN]],
        "Gi_last": _text(Gi[-1]),
        "Hi_last": _text(Hi[-1]),
    }


def _product(x: list[int], i: int) -> int:
    """Return S_i: x_j where bit j of i is set, counted from the most significant, else 1/x_j."""
    product = 1
    for j, challenge in enumerate(x):
        is_set = i >> (len(x) - 1 - j) & 1
        product = product * pow(challenge, 1 if is_set else -1, curve.L) % curve.L
    return product


def _ring(ring: list[Any]) -> tuple[bytes, bytes]:
    keys = b"".join(bytes.fromhex(member["key"]) for member in ring)
    return keys, b"".join(bytes.fromhex(member["commitment"]) for member in ring)


def _split(packed: bytes) -> list[bytes]:
    return [packed[at : at + curve.BYTES] for at in range(0, len(packed), curve.BYTES)]


def _number(scalar: bytes) -> int:
    return int.from_bytes(scalar, "little")


def _text(number: int) -> str:
    return (number % curve.L).to_bytes(curve.BYTES, "little").hex()
