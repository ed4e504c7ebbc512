"""Monero's map from 32 bytes to the curve, in Python's integers: an Elligator 2 map.

Its inputs are public (one-time keys, scopes, names of assets), so time may depend on them.
Source: Monero's `ge_fromfe_frombytes_vartime`; Bernstein et al., "Elligator" (CCS 2013), §5.
"""

from crypto.curve_backend import P

_A = 486662
"""The Montgomery form's coefficient: v² = u³ + A·u² + u."""

_D = -121665 * pow(121666, -1, P) % P
_SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)


def map_to_point(data: bytes) -> bytes:
    """Return the encoding of the map of 32 bytes, all 256 bits of which count; no factor 8."""
    r = int.from_bytes(data, "little") % P
    w = (1 + 2 * r * r) % P  # Never zero: -1/2 is not a square.
    u = -_A * pow(w, -1, P) % P
    is_square = pow(u * (u * u + _A * u + 1), (P - 1) // 2, P) != P - 1
    if not is_square:
        u = (-u - _A) % P
    y = (u - 1) * pow(u + 1, -1, P) % P
    y2 = y * y % P
    x = _sqrt((y2 - 1) * pow(_D * y2 + 1, -1, P) % P)
    if x & 1 != int(is_square):
        x = P - x if x else 0
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _sqrt(a: int) -> int:
    """Return a root of a square, p = 5 mod 8."""
    root = pow(a, (P + 3) // 8, P)
    if root * root % P != a:
        root = root * _SQRT_MINUS_ONE % P
    assert root * root % P == a, "the map gives an x² that has a root"
    return root
