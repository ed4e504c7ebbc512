"""The one face of the curve: Ed25519 as Monero uses it, in points, scalars and batches of them.

Two backends stand behind it, native (a Rust crate over curve25519-dalek) and libsodium, and agree
byte for byte, in what they accept and in what they refuse. `BACKEND` says which one serves; the
environment's HEARTH_CURVE (native, sodium) forces one.

A point is its 32-byte compressed Edwards encoding: y little-endian, the sign of x in bit 255.
Allowed is one encoding per point: y < p, on the curve, no sign where x = 0 (Monero's
`ge_frombytes_vartime`). Points outside the prime-order subgroup are points; ask
`check_prime_order` where they must not be. A scalar is 32 bytes little-endian, below ℓ. *Packed*
means n items of 32 bytes one after the other.

Bad input raises InvalidPoint or InvalidScalar, which name the argument. What ends in `_vartime`
takes time that depends on its arguments and must not see a secret; so do `is_*`, `check_*`,
`Points`, `hash_to_point` and the verifications. Everything else is constant time in its scalars.
Timing may tell that the scalar of `mul` or `base_mul` was exactly zero (`msm` and `commit` hide
even that), which no secret key or nonce is.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import cast

from crypto.curve_backend import (
    BYTES,
    IDENTITY,
    INV8,
    ONE,
    ZERO,
    BppInstance,
    ClsagInstance,
    ClsagWalk,
    G,
    Group,
    H,
    L,
    Points,
    Proofs,
    Ring,
)
from crypto.errors import InvalidPoint, InvalidScalar

__all__ = [
    "BACKEND", "BYTES", "IDENTITY", "INV8", "ONE", "ZERO", "BppInstance", "ClsagInstance",
    "ClsagWalk", "G", "H", "L", "Points", "Ring",
]  # fmt: skip

_MODULES = {
    "native": ("crypto._curve", "crypto._curve"),
    "sodium": ("crypto.curve_sodium", "crypto.curve_sodium_proofs"),
}
"""Each backend's scalars and points, and its whole primitives."""


def _choose() -> str:
    forced = os.environ.get("HEARTH_CURVE")
    if forced is not None:
        if forced not in _MODULES:
            raise ImportError(f"HEARTH_CURVE must be one of {sorted(_MODULES)}, got {forced!r}")
        return forced
    return "native" if is_available("native") else "sodium"


def _load(backend: str) -> tuple[Group, Proofs]:
    try:
        group, proofs = map(import_module, _MODULES[backend])
    except ImportError as error:
        raise ImportError(
            f"the {backend} curve cannot be loaded ({error}); the native one is built by "
            "`pip install --no-cache-dir --force-reinstall --no-deps .` where cargo is installed"
        ) from error
    return cast("Group", group), cast("Proofs", proofs)


def is_available(backend: str) -> bool:
    """Return whether this installation has the backend "native" or "sodium"."""
    try:
        _load(backend)
    except ImportError:
        return False
    return True


BACKEND = _choose()
"""The backend that serves now: "native" or "sodium"."""
_impl, _proofs = _load(BACKEND)


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Serve by `backend` inside the `with` block. For tests and benchmarks; not thread-safe."""
    global BACKEND, _impl, _proofs  # Which one serves is this module's state.
    before = BACKEND
    BACKEND, (_impl, _proofs) = backend, _load(backend)
    try:
        yield
    finally:
        BACKEND, (_impl, _proofs) = before, _load(before)


def _points(points: bytes | Points) -> object:
    packed = points if isinstance(points, Points) else Points(points)
    return packed.handle(BACKEND, lambda: _impl.points(packed.packed))


# Scalars.


def is_scalar(s: bytes) -> bool:
    """Return whether `s` is 32 bytes and below ℓ (Monero's sc_check)."""
    return _impl.is_scalar(s)


def check_scalar(s: bytes, field: str) -> None:
    """Raise InvalidScalar, naming `field`, unless `s` is a scalar."""
    if not _impl.is_scalar(s):
        raise InvalidScalar(field, "must be 32 bytes, little-endian, below the group order")


def reduce32(data: bytes) -> bytes:
    """Return 32 little-endian bytes mod ℓ (sc_reduce32)."""
    return _impl.reduce32(data)


def reduce64(data: bytes) -> bytes:
    """Return 64 little-endian bytes mod ℓ: uniform where the bytes are."""
    return _impl.reduce64(data)


def hash_to_scalar(data: bytes) -> bytes:
    """Return Hs(data) = Keccak-256(data) mod ℓ."""
    return _impl.hash_to_scalar(data)


def sc_add(a: bytes, b: bytes) -> bytes:
    """Return a + b."""
    return _impl.sc_add(a, b)


def sc_sub(a: bytes, b: bytes) -> bytes:
    """Return a - b."""
    return _impl.sc_sub(a, b)


def sc_mul(a: bytes, b: bytes) -> bytes:
    """Return a·b."""
    return _impl.sc_mul(a, b)


def sc_neg(a: bytes) -> bytes:
    """Return -a."""
    return _impl.sc_neg(a)


def sc_invert(a: bytes) -> bytes:
    """Return 1/a; InvalidScalar if a is zero."""
    return _impl.sc_invert(a)


def sc_random() -> bytes:
    """Return a uniform scalar that is not zero, from 64 bytes of the system's randomness."""
    while (s := _impl.reduce64(os.urandom(64))) == ZERO:
        pass
    return s


# Vectors of scalars, packed.


def sv_add(a: bytes, b: bytes) -> bytes:
    """Return the sums a_i + b_i of two vectors of one length."""
    return _impl.sv_add(a, b)


def sv_sub(a: bytes, b: bytes) -> bytes:
    """Return the differences a_i - b_i of two vectors of one length."""
    return _impl.sv_sub(a, b)


def sv_mul(a: bytes, b: bytes) -> bytes:
    """Return the products a_i·b_i of two vectors of one length."""
    return _impl.sv_mul(a, b)


def sv_scale(v: bytes, s: bytes) -> bytes:
    """Return the products v_i·s."""
    return _impl.sv_scale(v, s)


def sv_inner(a: bytes, b: bytes) -> bytes:
    """Return the inner product, the sum of a_i·b_i."""
    return _impl.sv_inner(a, b)


def sv_powers(x: bytes, n: int) -> bytes:
    """Return x^0, x^1, …, x^{n-1}."""
    return _impl.sv_powers(x, n)


def sv_invert(v: bytes) -> bytes:
    """Return the inverses 1/v_i, by one inversion; InvalidScalar if one is zero."""
    return _impl.sv_invert(v)


# Points.


def is_point(encoding: bytes) -> bool:
    """Return whether the bytes are the one encoding of a point of the curve."""
    return _impl.is_point(encoding)


def check_point(encoding: bytes, field: str) -> None:
    """Raise InvalidPoint, naming `field`, unless the bytes are a point."""
    if not _impl.is_point(encoding):
        raise InvalidPoint(field, "must be the canonical encoding of a point of the curve")


def is_torsion_free(P: bytes) -> bool:
    """Return whether ℓ·P is the identity; InvalidPoint if P is not a point."""
    return _impl.is_torsion_free(P)


def check_prime_order(encoding: bytes, field: str) -> None:
    """Raise InvalidPoint, naming `field`, unless the bytes are a point of order ℓ."""
    check_point(encoding, field)
    if encoding == IDENTITY or not _impl.is_torsion_free(encoding):
        raise InvalidPoint(field, "must be of prime order")


def add(P: bytes, Q: bytes) -> bytes:
    """Return P + Q."""
    return _impl.add(P, Q)


def sub(P: bytes, Q: bytes) -> bytes:
    """Return P - Q."""
    return _impl.sub(P, Q)


def neg(P: bytes) -> bytes:
    """Return -P."""
    return _impl.neg(P)


def mul8(P: bytes) -> bytes:
    """Return 8·P, which lies in the prime-order subgroup."""
    return _impl.mul8(P)


def inv8(P: bytes) -> bytes:
    """Return (8^-1 mod ℓ)·P, the point that is sent in P's place in a range proof or CLSAG."""
    return _impl.mul(INV8, P)


def base_mul(s: bytes) -> bytes:
    """Return s·G."""
    return _impl.base_mul(s)


def mul(s: bytes, P: bytes) -> bytes:
    """Return s·P, s as an integer below ℓ, for any point P; P must not be secret."""
    return _impl.mul(s, P)


def commit(mask: bytes, amount: int, value_base: bytes = H) -> bytes:
    """Return the Pedersen commitment mask·G + amount·value_base, 0 <= amount < 2^64.

    Raises:
        InvalidScalar: the mask is no scalar, or the amount out of range.
        InvalidPoint: the value base is not a point.

    Timing: constant in mask and amount, zero included.
    """
    if not 0 <= amount < 2**64:
        raise InvalidScalar("amount", "must be at least 0 and below 2^64")
    return _impl.commit(mask, amount, value_base)


def msm(scalars: bytes, points: bytes | Points) -> bytes:
    """Return the sum of s_i·P_i in constant time; the points must not be secret."""
    return _impl.msm(scalars, _points(points))


def msm_vartime(scalars: bytes, points: bytes | Points) -> bytes:
    """Return the sum of s_i·P_i for public scalars."""
    return _impl.msm_vartime(scalars, _points(points))


def sum_points(points: bytes | Points) -> bytes:
    """Return the sum of the P_i."""
    return _impl.sum_points(_points(points))


def decode(packed: bytes) -> Points:
    """Return `packed` as points that are decoded now; InvalidPoint names the first bad one."""
    points = Points(packed)
    _points(points)
    return points


def take(points: Points, indexes: Sequence[int]) -> Points:
    """Return the points at `indexes`, in that order, without decoding them again."""
    if not all(0 <= i < len(points) for i in indexes):
        raise IndexError(f"indexes must be at least 0 and below {len(points)}")
    packed = b"".join(points.packed[BYTES * i : BYTES * i + BYTES] for i in indexes)
    handle = _impl.points_take(_points(points), indexes)
    return Points._with_handle(packed, BACKEND, handle)  # Its one other maker.


# Hashes to the curve.


def hash_to_point(data: bytes) -> bytes:
    """Return Hp(data) = 8·map(Keccak-256(data)) of 32 bytes; InvalidPoint if it is the identity.

    It is one Elligator 2 map, so it reaches about half of the points. For key images only;
    generators of our own are `hash_to_point_unbiased`.
    """
    return _impl.hash_to_point(data)


def map_to_point(data: bytes) -> bytes:
    """Return Monero's map of 32 bytes (all 256 bits mod p) to the curve, without the factor 8."""
    return _impl.map_to_point(data)


def hash_to_point_unbiased(person: bytes, data: bytes) -> bytes:
    """Return U(data) = 8·map(h_0) + 8·map(h_1), h = BLAKE2b-512 of `data` under `person`.

    Args:
        person: 1 to 16 bytes, one constant for each use: its domain.
        data: any bytes.
    """
    if not 0 < len(person) <= hashlib.blake2b.PERSON_SIZE:
        raise ValueError(f"person must be 1 to 16 bytes, got {len(person)}")
    h = hashlib.blake2b(data, digest_size=64, person=person).digest()
    U = _impl.mul8(_impl.add(_impl.map_to_point(h[:32]), _impl.map_to_point(h[32:])))
    if U == IDENTITY:
        raise InvalidPoint("data", "must not hash to the identity")
    return U


# Whole primitives. They return what holds; they never raise for what a stranger could send.


def prepare_ring(keys: bytes, commitments: bytes) -> Ring:
    """Return a ring, decoded, with Hp(P_i) computed; worth caching by its members.

    Args:
        keys: P_i, packed; at least one.
        commitments: C_i, packed, as many.

    Raises:
        InvalidPoint: a member is not a point, the lengths differ, or the ring is empty.
    """
    if len(keys) != len(commitments) or not keys or len(keys) % BYTES:
        raise InvalidPoint("ring", "must be as many keys as commitments, at least one")
    ring = Ring(keys, commitments)
    _ring(ring)
    return ring


def _ring(ring: Ring) -> object:
    return ring.handle(BACKEND, lambda: _proofs.ring(ring.keys, ring.commitments))


def ring_images(ring: Ring) -> bytes:
    """Return Hp(P_0) || … || Hp(P_{n-1})."""
    return _proofs.ring_images(_ring(ring))


def clsag_verify(instance: ClsagInstance) -> bool:
    """Return whether the CLSAG holds: `clsag_verify_many` of one."""
    return clsag_verify_many([instance])[0]


def clsag_verify_many(instances: Sequence[ClsagInstance]) -> list[bool]:
    """Return for each CLSAG whether it holds (Goodell, Noether, RandomRun, eprint 2019/654).

    Refused is, besides a wrong closing challenge: a number of s that is not the ring's; a
    scalar that is not canonical; a zero challenge; a point that is not canonical; a key image
    that is not of prime order; D = identity.
    """
    return _proofs.clsag_verify_many([(_ring(i.ring), i) for i in instances])


def clsag_walk(walk: ClsagWalk) -> bytes:
    """Return the n challenges from c_start on, packed; Invalid… if a field has not its one form."""
    return _proofs.clsag_walk(_ring(walk.ring), *walk[1:])


def bpp_verify_batch(instances: Sequence[BppInstance], weights: bytes) -> bool:
    """Return whether all Bulletproofs+ hold, by one equation (eprint 2020/735).

    Args:
        instances: proofs with their statements; none at all holds.
        weights: one scalar for each proof, packed, not zero, drawn by a cryptographic generator
            after the proofs were fixed; otherwise a batch of bad proofs may cancel out.

    Raises:
        InvalidScalar: the weights are not as many scalars, or one is zero.
    """
    if len(weights) != BYTES * len(instances):
        raise InvalidScalar("weights", "must be one scalar for each proof")
    for at in range(0, len(weights), BYTES):
        check_scalar(weights[at : at + BYTES], "weights")
        if weights[at : at + BYTES] == ZERO:
            raise InvalidScalar("weights", "must not be zero")
    return _proofs.bpp_verify_batch(list(instances), weights)


def scan(
    view_secret: bytes,
    spend_public: bytes,
    *,
    tx_pubkeys: bytes,
    output_indexes: Sequence[int],
    output_keys: bytes,
    view_tags: bytes,
) -> list[tuple[int, bytes]]:
    """Return (position, D8) of the outputs that the keys own; D8 = 8·(a·R), SECRET.

    Output k belongs to (a, B) if its view tag and its key are those that D8 and its index in
    its transaction give. Equal neighbours in `tx_pubkeys` are multiplied once. An output whose
    R or key is not a point belongs to nobody.

    Args:
        view_secret: a. SECRET.
        spend_public: B.
        tx_pubkeys: R of each output's transaction, packed, n.
        output_indexes: n indexes, each 0 <= i < 2^32.
        output_keys: P of each output, packed, n.
        view_tags: one byte each, n.

    Timing: constant in a but for the number of hits; see rule 17: scan where nobody waits.
    """
    n = len(view_tags)
    if (len(tx_pubkeys), len(output_indexes), len(output_keys)) != (BYTES * n, n, BYTES * n):
        raise InvalidPoint("outputs", "must be as many keys and indexes as view tags")
    if not all(0 <= index < 2**32 for index in output_indexes):
        raise InvalidScalar("output_indexes", "must be at least 0 and below 2^32")
    return _proofs.scan(
        view_secret, spend_public, tx_pubkeys, output_indexes, output_keys, view_tags
    )
