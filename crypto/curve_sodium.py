"""The curve on libsodium (PyNaCl): the second opinion, and what serves where Rust is absent.

Three habits of libsodium are kept from the callers: its addition accepts encodings that are not
canonical, so every point is checked here first; its `noclamp` multiplications refuse a zero
scalar, a result that is the identity, and points with torsion, so those are computed apart; and
they ignore bit 255 of a scalar, so every scalar is checked to be below ℓ. Versions before 1.0.20
take some points of order 2ℓ for points of order ℓ (CVE-2025-69277): the import refuses those.
What each function means is written at its namesake in `crypto.curve`.
"""
# ruff: noqa: D103  # See the last sentence.

import os
from collections.abc import Callable, Sequence

from nacl import bindings as sodium
from nacl.exceptions import CryptoError as SodiumError

from crypto.curve_backend import BYTES, IDENTITY, INV8, ONE, ZERO, G, L, P
from crypto.curve_map import map_to_point as map_to_point_of_32
from crypto.errors import InvalidPoint, InvalidScalar
from crypto.hashing import keccak256

_Y_MASK = 2**255 - 1
_ORDER_2 = (P - 1).to_bytes(32, "little")
"""(0, -1), the point of order 2."""
_X_IS_ZERO = (IDENTITY, _ORDER_2)


def _self_test() -> None:
    """Refuse a libsodium that takes a point of order 2ℓ for one of order ℓ."""
    P2 = sodium.crypto_core_ed25519_add(G, _ORDER_2)
    for point in (P2, sodium.crypto_core_ed25519_add(P2, G)):
        if sodium.crypto_core_ed25519_is_valid_point(point):
            raise ImportError("this libsodium accepts points of order 2l: PyNaCl >= 1.6.2 needed")


_self_test()


# Scalars.


def is_scalar(s: bytes) -> bool:
    return len(s) == BYTES and int.from_bytes(s, "little") < L


def _check_scalar(field: str, s: bytes) -> None:
    if not is_scalar(s):
        raise InvalidScalar(field, "must be 32 bytes, little-endian, below the group order")


def _split(field: str, v: bytes) -> list[bytes]:
    """Return the scalars of a packed vector, checked."""
    if len(v) % BYTES:
        raise InvalidScalar(field, f"must be a multiple of 32 bytes, got {len(v)}")
    scalars = [v[at : at + BYTES] for at in range(0, len(v), BYTES)]
    for k, s in enumerate(scalars):
        _check_scalar(f"{field}[{k}]", s)
    return scalars


def reduce32(data: bytes) -> bytes:
    if len(data) != 32:
        raise InvalidScalar("data", f"must be 32 bytes, got {len(data)}")
    return sodium.crypto_core_ed25519_scalar_reduce(data + bytes(32))


def reduce64(data: bytes) -> bytes:
    if len(data) != 64:
        raise InvalidScalar("data", f"must be 64 bytes, got {len(data)}")
    return sodium.crypto_core_ed25519_scalar_reduce(data)


def hash_to_scalar(data: bytes) -> bytes:
    return reduce32(keccak256(data))


def sc_add(a: bytes, b: bytes) -> bytes:
    _check_scalar("a", a)
    _check_scalar("b", b)
    return sodium.crypto_core_ed25519_scalar_add(a, b)


def sc_sub(a: bytes, b: bytes) -> bytes:
    _check_scalar("a", a)
    _check_scalar("b", b)
    return sodium.crypto_core_ed25519_scalar_sub(a, b)


def sc_mul(a: bytes, b: bytes) -> bytes:
    _check_scalar("a", a)
    _check_scalar("b", b)
    return sodium.crypto_core_ed25519_scalar_mul(a, b)


def sc_neg(a: bytes) -> bytes:
    _check_scalar("a", a)
    return sodium.crypto_core_ed25519_scalar_negate(a)


def sc_invert(a: bytes) -> bytes:
    _check_scalar("a", a)
    if a == ZERO:
        raise InvalidScalar("a", "must not be zero")
    return sodium.crypto_core_ed25519_scalar_invert(a)


def _pairs(a: bytes, b: bytes) -> list[tuple[bytes, bytes]]:
    if len(a) != len(b):
        raise InvalidScalar("b", f"must be {len(a)} bytes as a, got {len(b)}")
    return list(zip(_split("a", a), _split("b", b), strict=True))


def _each(call: Callable[[bytes, bytes], bytes], pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([call(x, y) for x, y in pairs])


def sv_add(a: bytes, b: bytes) -> bytes:
    return _each(sodium.crypto_core_ed25519_scalar_add, _pairs(a, b))


def sv_sub(a: bytes, b: bytes) -> bytes:
    return _each(sodium.crypto_core_ed25519_scalar_sub, _pairs(a, b))


def sv_mul(a: bytes, b: bytes) -> bytes:
    return _each(sodium.crypto_core_ed25519_scalar_mul, _pairs(a, b))


def sv_scale(v: bytes, s: bytes) -> bytes:
    scalars = _split("v", v)
    _check_scalar("s", s)
    return b"".join([sodium.crypto_core_ed25519_scalar_mul(x, s) for x in scalars])


def sv_inner(a: bytes, b: bytes) -> bytes:
    total = ZERO
    for x, y in _pairs(a, b):
        product = sodium.crypto_core_ed25519_scalar_mul(x, y)
        total = sodium.crypto_core_ed25519_scalar_add(total, product)
    return total


def sv_powers(x: bytes, n: int) -> bytes:
    _check_scalar("x", x)
    if n < 0:
        raise InvalidScalar("n", f"must not be negative, got {n}")
    powers = [ONE]
    for _ in range(n - 1):
        powers.append(sodium.crypto_core_ed25519_scalar_mul(powers[-1], x))
    return b"".join(powers[:n])


def sv_invert(v: bytes) -> bytes:
    scalars = _split("v", v)
    for k, s in enumerate(scalars):
        if s == ZERO:
            raise InvalidScalar(f"v[{k}]", "must not be zero")
    return b"".join([sodium.crypto_core_ed25519_scalar_invert(s) for s in scalars])


# Points.


def _has_one_form(encoding: bytes) -> bool:
    """Return whether y < p and no sign stands where x = 0; libsodium lets both pass in places."""
    if len(encoding) != BYTES:
        return False
    packed = int.from_bytes(encoding, "little")
    y, sign = packed & _Y_MASK, packed >> 255
    return y < P and not (sign and y in (1, P - 1))


def is_point(encoding: bytes) -> bool:
    if not _has_one_form(encoding):
        return False
    try:
        sodium.crypto_core_ed25519_add(encoding, IDENTITY)
    except SodiumError:  # Not on the curve.
        return False
    return True


def _check_point(field: str, encoding: bytes) -> None:
    if not is_point(encoding):
        raise InvalidPoint(field, "must be the canonical encoding of a point of the curve")


def points(packed: bytes) -> list[bytes]:
    if len(packed) % BYTES:
        raise InvalidPoint("points", f"must be a multiple of 32 bytes, got {len(packed)}")
    split = [packed[at : at + BYTES] for at in range(0, len(packed), BYTES)]
    for k, encoding in enumerate(split):
        _check_point(f"points[{k}]", encoding)
    return split


def points_take(handle: list[bytes], indexes: Sequence[int]) -> list[bytes]:
    return [handle[i] for i in indexes]


def is_torsion_free(P: bytes) -> bool:
    _check_point("P", P)
    return P == IDENTITY or sodium.crypto_core_ed25519_is_valid_point(P)


def add(P: bytes, Q: bytes) -> bytes:
    _check_point("P", P)
    _check_point("Q", Q)
    return sodium.crypto_core_ed25519_add(P, Q)


def sub(P: bytes, Q: bytes) -> bytes:
    _check_point("P", P)
    _check_point("Q", Q)
    return sodium.crypto_core_ed25519_sub(P, Q)


def neg(P: bytes) -> bytes:
    _check_point("P", P)
    return P if P in _X_IS_ZERO else P[:31] + bytes((P[31] ^ 0x80,))


def mul8(P: bytes) -> bytes:
    _check_point("P", P)
    for _ in range(3):
        P = sodium.crypto_core_ed25519_add(P, P)
    return P


def base_mul(s: bytes) -> bytes:
    _check_scalar("s", s)
    return IDENTITY if s == ZERO else sodium.crypto_scalarmult_ed25519_base_noclamp(s)


def mul(s: bytes, P: bytes) -> bytes:
    _check_scalar("s", s)
    _check_point("P", P)
    return _mul(s, P)


def _mul(s: bytes, P: bytes) -> bytes:
    """Return s·P of checked arguments; what libsodium refuses is put together from its parts."""
    try:
        return sodium.crypto_scalarmult_ed25519_noclamp(s, P)
    except SodiumError:
        return _mul_with_torsion(s, P)


def _mul_with_torsion(s: bytes, P: bytes) -> bytes:
    """Return s·P where s = 0, P = identity or P = Q + T, T of order up to 8.

    Then s·P = s·Q + (s mod 8)·T, and Q = (1/8)·8P has order ℓ or is the identity.
    """
    Q8 = mul8(P)
    Q = IDENTITY if Q8 == IDENTITY else sodium.crypto_scalarmult_ed25519_noclamp(INV8, Q8)
    T = sodium.crypto_core_ed25519_sub(P, Q)
    multiples = [IDENTITY]
    for _ in range(7):
        multiples.append(sodium.crypto_core_ed25519_add(multiples[-1], T))
    product = multiples[s[0] & 7]
    if s == ZERO or Q == IDENTITY:
        return product
    return sodium.crypto_core_ed25519_add(product, sodium.crypto_scalarmult_ed25519_noclamp(s, Q))


def commit(mask: bytes, amount: int, value_base: bytes) -> bytes:
    _check_scalar("mask", mask)
    _check_point("value_base", value_base)
    # amount + 1 is never zero, so an amount of zero takes no other path than the rest.
    shifted = _mul((amount + 1).to_bytes(32, "little"), value_base)
    value = sodium.crypto_core_ed25519_sub(shifted, value_base)
    return sodium.crypto_core_ed25519_add(base_mul(mask), value)


def _check_terms(scalars: bytes, handle: list[bytes]) -> list[bytes]:
    split = _split("scalars", scalars)
    if len(split) != len(handle):
        raise InvalidScalar("scalars", f"must be {len(handle)} as the points, got {len(split)}")
    return split


def msm(scalars: bytes, handle: list[bytes]) -> bytes:
    """Add (s_i + r)·P_i and take r·(P_0 + …) away, so that a secret zero takes no other path."""
    split = _check_terms(scalars, handle)
    r = reduce64(os.urandom(64))
    total, blinded = IDENTITY, IDENTITY
    for s, point in zip(split, handle, strict=True):
        try:
            term = sodium.crypto_scalarmult_ed25519_noclamp(
                sodium.crypto_core_ed25519_scalar_add(s, r), point
            )
            blinded = sodium.crypto_core_ed25519_add(blinded, point)
        except SodiumError:  # The point is not of order ℓ.
            term = _mul_with_torsion(s, point)
        total = sodium.crypto_core_ed25519_add(total, term)
    return sodium.crypto_core_ed25519_sub(total, _mul(r, blinded))


def msm_vartime(scalars: bytes, handle: list[bytes]) -> bytes:
    total = IDENTITY
    for s, point in zip(_check_terms(scalars, handle), handle, strict=True):
        if s != ZERO:
            total = sodium.crypto_core_ed25519_add(total, _mul(s, point))
    return total


def sum_points(handle: list[bytes]) -> bytes:
    total = IDENTITY
    for point in handle:
        total = sodium.crypto_core_ed25519_add(total, point)
    return total


# Hashes to the curve.


def _check_32(data: bytes) -> None:
    if len(data) != 32:
        raise InvalidPoint("data", f"must be 32 bytes, got {len(data)}")


def map_to_point(data: bytes) -> bytes:
    _check_32(data)
    return map_to_point_of_32(data)


def hash_to_point(data: bytes) -> bytes:
    _check_32(data)
    image = mul8(map_to_point_of_32(keccak256(data)))
    if image == IDENTITY:
        raise InvalidPoint("data", "must not hash to the identity")
    return image
