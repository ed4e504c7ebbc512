"""Whole primitives in Python over libsodium: what the native backend must agree with.

All inputs but the scanner's view key are public, so scalars are Python integers here. What each
function means is written at its namesake in `crypto.curve`.
"""
# ruff: noqa: D103, PLR0917  # See the last sentence; and the interface is the Rust crate's.

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

from crypto import curve_sodium as group
from crypto.curve_backend import (
    BPP_TRANSCRIPT_INIT,
    BYTES,
    IDENTITY,
    INV8,
    BppInstance,
    ClsagInstance,
    G,
    H,
    L,
)
from crypto.errors import InvalidPoint, InvalidScalar
from crypto.hashing import keccak256

_BITS = 64
"""Bits of a value in a range proof."""
_VALUES_MAX = 16
_AGG_0 = b"CLSAG_agg_0".ljust(32, b"\0")
_AGG_1 = b"CLSAG_agg_1".ljust(32, b"\0")
_ROUND = b"CLSAG_round".ljust(32, b"\0")


def _hs(*parts: bytes) -> int:
    return int.from_bytes(keccak256(b"".join(parts)), "little") % L


def _bytes(s: int) -> bytes:
    return (s % L).to_bytes(BYTES, "little")


def _split(packed: bytes) -> list[bytes]:
    return [packed[at : at + BYTES] for at in range(0, len(packed), BYTES)]


# CLSAG.


@final
class RingHandle(NamedTuple):
    """The members P_i and C_i, and the images Hp(P_i)."""

    keys: list[bytes]
    commitments: list[bytes]
    images: list[bytes]


def ring(keys: bytes, commitments: bytes) -> RingHandle:
    P, C = group.points(keys), group.points(commitments)
    return RingHandle(P, C, [group.hash_to_point(key) for key in P])


def ring_images(handle: RingHandle) -> bytes:
    return b"".join(handle.images)


def clsag_verify_many(instances: list[tuple[RingHandle, ClsagInstance]]) -> list[bool]:
    return [_clsag_holds(members, instance) for members, instance in instances]


def _clsag_holds(members: RingHandle, instance: ClsagInstance) -> bool:
    _, pseudo_out, key_image, message, D_s, c1, s = instance
    if len(s) != BYTES * len(members.keys) or len(message) != 32:
        return False
    if not all(map(group.is_scalar, (c1, *_split(s)))):
        return False
    if not all(map(group.is_point, (pseudo_out, key_image, D_s))):
        return False
    D = group.mul8(D_s)
    if IDENTITY in (key_image, D) or not group.is_torsion_free(key_image):
        return False
    body = b"".join(members.keys) + b"".join(members.commitments)
    mu_P, mu_C = (_bytes(_hs(tag, body, key_image, D_s, pseudo_out)) for tag in (_AGG_0, _AGG_1))
    rounds = _Rounds(
        members=members,
        image=group.msm_vartime(mu_P + mu_C, [key_image, D]),
        mu_p=mu_P,
        mu_c=mu_C,
        pseudo_out=pseudo_out,
        prefix=_ROUND + body + pseudo_out + message,
    )
    c = int.from_bytes(c1, "little")
    for i, s_i in enumerate(_split(s)):
        if c == 0:
            return False
        c = rounds.next(i, s_i, c)
    return c != 0 and _bytes(c) == c1


def clsag_walk(
    handle: RingHandle,
    aggregate: tuple[bytes, bytes, bytes],
    pseudo_out: bytes,
    message: bytes,
    start: int,
    c: bytes,
    s: bytes,
) -> bytes:
    image, mu_P, mu_C = aggregate
    n = len(handle.keys)
    if len(s) != BYTES * n:
        raise InvalidScalar("s", "must be one scalar for each member")
    for field, scalar in (("mu_P", mu_P), ("mu_C", mu_C), ("c", c), *(("s", s) for s in _split(s))):
        if not group.is_scalar(scalar):
            raise InvalidScalar(field, "must be a scalar")
    body = b"".join(handle.keys) + b"".join(handle.commitments)
    rounds = _Rounds(
        members=handle,
        image=image,
        mu_p=mu_P,
        mu_c=mu_C,
        pseudo_out=pseudo_out,
        prefix=_ROUND + body + pseudo_out + message,
    )
    responses = _split(s)
    challenges = [int.from_bytes(c, "little")]
    for step in range(start, start + n - 1):
        challenges.append(rounds.next(step % n, responses[step % n], challenges[-1]))
    return b"".join(map(_bytes, challenges))


@final
class _Rounds(NamedTuple):
    """What every round of a signature needs; `image` is mu_P·I + mu_C·D."""

    members: RingHandle
    image: bytes
    mu_p: bytes
    mu_c: bytes
    pseudo_out: bytes
    prefix: bytes

    def next(self, i: int, s: bytes, c: int) -> int:
        """Return c_{i+1} of s_i and c_i."""
        c_i = _bytes(c)
        difference = group.sub(self.members.commitments[i], self.pseudo_out)
        left = group.msm_vartime(
            s + group.sc_mul(c_i, self.mu_p) + group.sc_mul(c_i, self.mu_c),
            [G, self.members.keys[i], difference],
        )
        right = group.msm_vartime(s + c_i, [self.members.images[i], self.image])
        return _hs(self.prefix, left, right)


# Bulletproofs+.


@final
class _Challenges(NamedTuple):
    y: int
    z: int
    x: list[int]
    e: int


@final
class _Proof(NamedTuple):
    """A decoded proof: the points are multiplied by 8."""

    m: int
    V8: list[bytes]
    A8: bytes
    A1_8: bytes
    B8: bytes
    r1: int
    s1: int
    d1: int
    L8: list[bytes]
    R8: list[bytes]
    value_base: bytes
    challenges: _Challenges


def bpp_verify_batch(instances: list[BppInstance], weights: bytes) -> bool:
    proofs = []
    for instance in instances:
        proof = _decode(instance)
        if proof is None:
            return False
        proofs.append(proof)
    if not proofs:
        return True
    n_max = _BITS * max(_padded(proof.m) for proof in proofs)
    fixed = [0] * (2 * n_max)  # Of Gi and Hi by turns, at 2i and 2i + 1.
    terms = _Terms([], [])
    for proof, weight in zip(proofs, _split(weights), strict=True):
        _add_equation(proof, int.from_bytes(weight, "little"), fixed, terms)
    points = [*terms.points, *(_generator(at ^ 1) for at in range(2 * n_max))]
    scalars = b"".join(map(_bytes, [*terms.scalars, *fixed]))
    return group.msm_vartime(scalars, points) == IDENTITY


@final
class _Terms(NamedTuple):
    scalars: list[int]
    points: list[bytes]

    def add(self, scalar: int, point: bytes) -> None:
        self.scalars.append(scalar)
        self.points.append(point)


_generators: list[bytes] = []


def _generator(i: int) -> bytes:
    """Return g(i) of the vectors: Hi[k] = g(2k), Gi[k] = g(2k+1)."""
    while len(_generators) <= i:
        k = len(_generators)
        index = bytes((k,)) if k < 128 else bytes((k & 127 | 128, k >> 7))
        _generators.append(group.hash_to_point(keccak256(H + b"bulletproof_plus" + index)))
    return _generators[i]


def _padded(m: int) -> int:
    """Return M, the least power of 2 that is at least m."""
    return 1 << (m - 1).bit_length()


def _decode(proof: BppInstance) -> _Proof | None:
    """Return the proof with its challenges, or None if its form is wrong or a challenge zero."""
    m, rest = divmod(len(proof.commitments), BYTES)
    if rest or not 0 < m <= _VALUES_MAX:
        return None
    rounds = 6 + _padded(m).bit_length() - 1
    if len(proof.L) != BYTES * rounds or len(proof.R) != BYTES * rounds:
        return None
    if not all(map(group.is_scalar, (proof.r1, proof.s1, proof.d1))):
        return None
    C, Ls, Rs = map(_split, (proof.commitments, proof.L, proof.R))
    single = (proof.A, proof.A1, proof.B, proof.value_base)
    if not all(map(group.is_point, (*C, *single, *Ls, *Rs))):
        return None
    if not _is_value_base(proof.value_base):
        return None
    V = [group.mul(INV8, commitment) for commitment in C]
    challenges = _challenges(proof, V)
    if challenges is None:
        return None
    eight = group.mul8
    return _Proof(
        m=m,
        V8=[*map(eight, V)],
        A8=eight(proof.A),
        A1_8=eight(proof.A1),
        B8=eight(proof.B),
        r1=int.from_bytes(proof.r1, "little"),
        s1=int.from_bytes(proof.s1, "little"),
        d1=int.from_bytes(proof.d1, "little"),
        L8=[*map(eight, Ls)],
        R8=[*map(eight, Rs)],
        value_base=proof.value_base,
        challenges=challenges,
    )


def _is_value_base(point: bytes) -> bool:
    return point == H or (point != IDENTITY and group.is_torsion_free(point))


def _challenges(proof: BppInstance, V: list[bytes]) -> _Challenges | None:
    T = _hs(BPP_TRANSCRIPT_INIT, _bytes(_hs(*V)), proof.extra)
    y = _hs(_bytes(T), proof.A)
    z = T = _hs(_bytes(y))
    x = []
    for L_j, R_j in zip(_split(proof.L), _split(proof.R), strict=True):
        T = _hs(_bytes(T), L_j, R_j)
        x.append(T)
    e = _hs(_bytes(T), proof.A1, proof.B)
    return None if 0 in (y, z, *x, e) else _Challenges(y, z, x, e)


def _add_equation(proof: _Proof, w: int, fixed: list[int], terms: _Terms) -> None:
    """Add w times the proof's equation (its sum must be the identity) to a batch's terms."""
    y, z, x, e = proof.challenges
    n = _BITS * _padded(proof.m)
    e2, z2 = e * e % L, z * z % L
    y_powers = list(_powers(y, n + 2))
    z_powers = list(_powers(z2, _padded(proof.m) + 1))  # z^0, z^2, z^4, …
    y_n1 = y_powers[n + 1]
    for j, V8 in enumerate(proof.V8):
        terms.add(-w * e2 * z_powers[j + 1] * y_n1, V8)
    terms.add(-w, proof.B8)
    terms.add(-w * e, proof.A1_8)
    terms.add(-w * e2, proof.A8)
    x_inv = [pow(x_j, -1, L) for x_j in x]
    for x_j, x_j_inv, L8, R8 in zip(x, x_inv, proof.L8, proof.R8, strict=True):
        terms.add(-w * e2 * x_j * x_j, L8)
        terms.add(-w * e2 * x_j_inv * x_j_inv, R8)
    sum_d = (2**64 - 1) * sum(z_powers[1:])
    sum_y = sum(y_powers[1 : n + 1])
    value = proof.r1 * y * proof.s1 + e2 * (y_n1 * z * sum_d + (z2 - z) * sum_y)
    terms.add(w * proof.d1, G)
    terms.add(w * value, proof.value_base)

    S = _products(x, x_inv)
    y_inv_powers = _powers(pow(y, -1, L), n)
    r, s, shift = w * e * proof.r1 % L, w * e * proof.s1 % L, w * e2 * z % L
    for i, y_inv_i in enumerate(y_inv_powers):
        d_i = z_powers[i // _BITS + 1] << i % _BITS
        fixed[2 * i] = (fixed[2 * i] + r * y_inv_i % L * S[i] + shift) % L
        h = s * S[n - 1 - i] - shift - w * e2 % L * d_i % L * y_powers[n - i]
        fixed[2 * i + 1] = (fixed[2 * i + 1] + h) % L


def _powers(x: int, n: int) -> Iterator[int]:
    power = 1
    for _ in range(n):
        yield power
        power = power * x % L


def _products(x: list[int], x_inv: list[int]) -> list[int]:
    """Return S_i: over the rounds j, x_j where bit j of i (highest first) is 1, else 1/x_j."""
    S = [1]
    for x_j, x_j_inv in zip(x, x_inv, strict=True):
        S = [s * factor % L for s in S for factor in (x_j_inv, x_j)]
    return S


# Scanning.


def scan(
    view_secret: bytes,
    spend_public: bytes,
    tx_pubkeys: bytes,
    output_indexes: Sequence[int],
    output_keys: bytes,
    view_tags: bytes,
) -> list[tuple[int, bytes]]:
    if not group.is_scalar(view_secret):
        raise InvalidScalar("view_secret", "must be a scalar")
    if not group.is_point(spend_public):
        raise InvalidPoint("spend_public", "must be a point")
    found = []
    last, shared = b"", b""
    keys = _split(output_keys)
    for k, R in enumerate(_split(tx_pubkeys)):
        if last != R:
            last = R
            shared = group.mul8(group.mul(view_secret, R)) if group.is_point(R) else b""
        if not shared:
            continue
        at = shared + _varint(output_indexes[k])
        if keccak256(b"view_tag" + at)[0] != view_tags[k]:
            continue
        s = group.hash_to_scalar(at)
        if group.add(group.base_mul(s), spend_public) == keys[k]:
            found.append((k, shared))
    return found


def _varint(value: int) -> bytes:
    """Return LEB128: groups of 7 bits, low ones first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
