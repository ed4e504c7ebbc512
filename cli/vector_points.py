"""Test vectors of single points and scalars: decoding, hashes to the curve, derivations."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from crypto import curve
from crypto.bulletproofs_plus_prover import generators as range_proof_generators
from crypto.errors import CryptoError, InvalidPoint, InvalidScalar
from crypto.hashing import keccak256
from crypto.pedersen import zero_commitment
from crypto.stealth import check_key_image, one_time_key

Cases = Iterator[tuple[str, Callable[[], bool]]]

_GENERATORS_MAX = 2048
"""Of 64 bits times 16 values, for each of them two points."""
_UNBIASED_PERSON = b"Monero"
"""Monero's own personalisation of its unbiased map; none of ours starts like it."""


def hash_to_point(entries: list[Any]) -> Cases:
    """Hp(in) = out."""
    for entry in entries:
        yield _short(entry["in"]), partial(_hashes_to, entry["in"], entry["out"])


def check_key(entries: list[Any]) -> Cases:
    """Is `key` the one encoding of a point?"""
    for entry in entries:
        yield _short(entry["key"]), partial(_is_point_says, entry["key"], entry["valid"])


def zero_commitments(entries: list[Any]) -> Cases:
    """G + amount·H = commitment."""
    for entry in entries:
        yield f"amount {entry['amount']}", partial(_commits, entry["amount"], entry["commitment"])


def generators(content: dict[str, Any]) -> Cases:
    """The vectors Hi (even places) and Gi (odd places) of the range proof."""
    points = content["points"]
    yield "points, number", partial(_is_even_and_at_most, len(points), _GENERATORS_MAX)
    Gi, Hi = range_proof_generators(min(len(points), _GENERATORS_MAX) // 2)
    for i, point in enumerate(points[:_GENERATORS_MAX]):
        own = (Hi, Gi)[i % 2][i // 2 * curve.BYTES :][: curve.BYTES]
        yield f"points[{i}]", partial(_is_hex, own, point)
    init = curve.hash_to_point(keccak256(b"bulletproof_plus_transcript"))
    yield "transcript_init", partial(_is_hex, init, content["transcript_init"])


def key_derivations(content: dict[str, Any]) -> Cases:
    """Commands of Monero's unit tests, each with its arguments and its answer, all as text."""
    for command, lines in content.items():
        if command in {"origin", "note"}:
            continue
        answer = _COMMANDS.get(command, _unknown_command)
        for i, line in enumerate(lines):
            yield f"{command}[{i}]", partial(answer, *line)


def rejected(content: dict[str, Any]) -> Cases:
    """What must be refused, under a key that says where."""
    for key, value in content.items():
        if key in {"origin", "note"}:
            continue
        if key == "scalar_order":
            yield key, partial(_is_order, value)
            continue
        refuse = _REFUSALS.get(key, _unknown_command)
        for i, entry in enumerate(value):
            yield f"{key}[{i}]", partial(refuse, entry)


def _short(text: str) -> str:
    return f"{text[:16]}…"


def _hashes_to(data: str, point: str) -> bool:
    return curve.hash_to_point(bytes.fromhex(data)) == bytes.fromhex(point)


def _is_point_says(key: str, valid: object) -> bool:
    encoding = bytes.fromhex(key)
    if curve.is_point(encoding) is not valid:
        return False
    # What decodes must decode everywhere: the sum is an independent way into the backend.
    return valid is not _is_refused(partial(curve.add, encoding, curve.IDENTITY), InvalidPoint)


def _commits(amount: object, commitment: str) -> bool:
    return zero_commitment(int(str(amount))) == bytes.fromhex(commitment)


def _is_even_and_at_most(number: int, maximum: int) -> bool:
    return number % 2 == 0 and number <= maximum


def _is_hex(data: bytes, text: str) -> bool:
    return data == bytes.fromhex(text)


def _check_scalar(scalar: str, valid: str) -> bool:
    return curve.is_scalar(bytes.fromhex(scalar)) is _truth(valid)


def _derive_public_key(shared: str, index: str, base: str, valid: str, key: str = "") -> bool:
    derive = partial(one_time_key, bytes.fromhex(shared), int(index), bytes.fromhex(base))
    if not _truth(valid):
        return _is_refused(derive, InvalidPoint)
    return derive() == bytes.fromhex(key)


def _map_to_point(data: str, point: str) -> bool:
    return curve.map_to_point(bytes.fromhex(data)) == bytes.fromhex(point)


def _key_image_generator(key: str, biased: str, point: str) -> bool:
    data = bytes.fromhex(key)
    if _truth(biased):
        return curve.hash_to_point(data) == bytes.fromhex(point)
    return curve.hash_to_point_unbiased(_UNBIASED_PERSON, data) == bytes.fromhex(point)


_COMMANDS: dict[str, Callable[..., bool]] = {
    "check_scalar": _check_scalar,
    "derive_public_key": _derive_public_key,
    "hash_to_point": _map_to_point,
    "derive_key_image_generator": _key_image_generator,
}


def _is_order(scalar: str) -> bool:
    order = bytes.fromhex(scalar)
    return int.from_bytes(order, "little") == curve.L and not curve.is_scalar(order)


def _refuses_torsion(entry: dict[str, Any]) -> bool:
    """A point of small order: it decodes, has the order said, and serves as nothing."""
    point = bytes.fromhex(entry["point"])
    return (
        _order(point, 8) == int(entry["order"])
        and curve.mul8(point) == curve.IDENTITY
        and _is_refused_as_element(point)
    )


def _refuses_encoding(encoding: str) -> bool:
    """A second encoding of a point: no function takes it."""
    data = bytes.fromhex(encoding)
    calls = (
        partial(curve.check_point, data, "point"),
        partial(curve.add, data, curve.G),
        partial(curve.sub, curve.G, data),
        partial(curve.mul, curve.ONE, data),
        partial(curve.mul8, data),
        partial(curve.msm_vartime, curve.ONE, data),
        partial(curve.sum_points, data),
    )
    return (
        not curve.is_point(data)
        and _is_refused_as_element(data)
        and all(_is_refused(call, InvalidPoint) for call in calls)
    )


def _refuses_scalar(scalar: str) -> bool:
    """A number that is not below the group's order: no function takes it."""
    data = bytes.fromhex(scalar)
    calls = (
        partial(curve.base_mul, data),
        partial(curve.mul, data, curve.G),
        partial(curve.sc_add, data, curve.ONE),
        partial(curve.sc_mul, data, curve.ONE),
        partial(curve.msm_vartime, data, curve.G),
    )
    return not curve.is_scalar(data) and all(_is_refused(call, InvalidScalar) for call in calls)


def _refuses_mixed(entry: dict[str, Any]) -> bool:
    """A point of the whole group outside the subgroup: neither key image nor commitment."""
    point = bytes.fromhex(entry["point"])
    # ℓ·P is free of the part of order ℓ and keeps the order of the other part.
    torsion = curve.add(curve.mul(_scalar(curve.L - 1), point), point)
    return (
        curve.is_point(point)
        and not curve.is_torsion_free(point)
        and _order(torsion, 8) == int(entry["torsion_order"])
        and _is_refused_as_element(point)
    )


_REFUSALS: dict[str, Callable[[Any], bool]] = {
    "torsion_points": _refuses_torsion,
    "non_canonical_encodings_must_reject": _refuses_encoding,
    "scalars_must_reject": _refuses_scalar,
    "mixed_order_points_must_reject_as_key_image_or_commitment": _refuses_mixed,
}


def _is_refused_as_element(point: bytes) -> bool:
    return _is_refused(partial(check_key_image, point), CryptoError) and _is_refused(
        partial(curve.check_prime_order, point, "commitment"), InvalidPoint
    )


def _is_refused(call: Callable[[], object], error: type[CryptoError]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def _order(point: bytes, maximum: int) -> int:
    """Return the least n with n·point = identity, 0 if it is beyond `maximum`."""
    total = point
    for n in range(1, maximum + 1):
        if total == curve.IDENTITY:
            return n
        total = curve.add(total, point)
    return 0


def _scalar(number: int) -> bytes:
    return number.to_bytes(curve.BYTES, "little")


def _truth(text: object) -> bool:
    if str(text).lower() not in {"true", "false"}:
        raise ValueError(f"must be true or false, got {text!r}")
    return str(text).lower() == "true"


def _unknown_command(*_: object) -> bool:
    raise ValueError("no check knows this key")
