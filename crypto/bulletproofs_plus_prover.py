"""The prover of Bulletproofs+, and the transcript that it shares with the tests.

All scalar vectors are packed. Notation of eprint 2020/735: n = 64·M; aL the bits of the values,
aR = aL - 1; y, z, x_j, e challenges; γ_j the masks; α, d_L, d_R, r, s, δ, η blindings.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import final

from crypto import curve
from crypto.curve import Points
from crypto.curve_backend import BPP_TRANSCRIPT_INIT
from crypto.hashing import keccak256
from crypto.pedersen import Opening, value_generator
from crypto.range_proof import VALUE_BITS, RangeProof, RangeStatement
from crypto.transcript import Rng, hedged_scalars
from crypto.varint import write_varint

_BLOCKS_MAX = 8
"""After three rounds: where folding the generators costs least in all, as measured."""
_FOLDED_MIN = 32
"""Of fewer generators than these the last rounds are too short to be worth it."""

_NONCE_TAG = b"hearth/bulletproofs_plus/nonce/v1"
_GENERATOR = b"bulletproof_plus"
_BITS = (curve.ZERO, curve.ONE)


@final
class Transcript:
    """Monero's Fiat-Shamir transcript: one scalar T, into which everything is hashed."""

    __slots__ = ("state",)

    def __init__(self, statement: RangeStatement) -> None:
        """T = Hs(T_init | Hs(V_1 | ... | V_m) | extra), V_j = (1/8)·C_j; no padding."""
        V = b"".join(map(curve.inv8, statement.commitments))
        self.state = curve.hash_to_scalar(
            BPP_TRANSCRIPT_INIT + curve.hash_to_scalar(V) + statement.extra
        )

    def y_and_z(self, A: bytes) -> tuple[bytes, bytes]:
        """Return y = Hs(T | A) and z = T = Hs(y)."""
        y = curve.hash_to_scalar(self.state + A)
        self.state = curve.hash_to_scalar(y)
        return y, self.state

    def next(self, left: bytes, right: bytes) -> bytes:
        """Return T = Hs(T | left | right): x_j of (L_j, R_j), and e of (A1, B)."""
        self.state = curve.hash_to_scalar(self.state + left + right)
        return self.state


def prove_values(statement: RangeStatement, witness: Sequence[Opening], *, rng: Rng) -> RangeProof:
    """Return the proof; the caller has checked that the witness opens the statement."""
    n = VALUE_BITS << (statement.rounds - 6)
    value_base = value_generator(statement.asset)
    alpha, r, s, delta, eta, *blindings = hedged_scalars(
        _NONCE_TAG,
        secrets=b"".join(o.mask + o.amount.to_bytes(8, "little") for o in witness),
        message=b"".join(statement.commitments) + value_base + statement.extra,
        count=5 + 2 * statement.rounds,
        rng=rng,
    )
    transcript = Transcript(statement)
    aL = _bits(witness, n)
    aR = curve.sv_sub(aL, curve.ONE * n)
    A = curve.inv8(curve.msm(aL + curve.ONE + alpha, _bit_points(n)))
    y, z = transcript.y_and_z(A)
    argument = _InnerProduct(
        a=curve.sv_sub(aL, z * n),
        b=curve.sv_add(curve.sv_add(aR, z * n), _shifted_powers(y, z, n)),
        blinding=curve.sc_add(alpha, _masks(witness, y, z, n)),
        y=y,
        value_base=value_base,
    )
    L, R = [], []
    for j in range(statement.rounds):
        L_j, R_j = argument.cross_terms(blindings[2 * j], blindings[2 * j + 1])
        L.append(L_j)
        R.append(R_j)
        argument.fold(transcript.next(L_j, R_j))
    A1, B = argument.last_terms(r, s, delta, eta)
    r1, s1, d1 = argument.answers(transcript.next(A1, B), r, s, delta, eta)
    return RangeProof(A=A, A1=A1, B=B, r1=r1, s1=s1, d1=d1, L=tuple(L), R=tuple(R))


@final
class _InnerProduct:
    """The weighted inner product argument, in the state after some rounds.

    a and b have length m; of n generators Gi and Hi, number i now stands in the folded one of
    number i mod m, with coefficient gc[i div m] or hc[i div m]: a coefficient is the same for a
    whole block, since it depends only on which half i fell into in each round. The coefficients
    are public. Once n / m has grown to 8, the generators are folded at last, by one
    multiplication of 8 terms each: dearer for each point than a round, but there are many
    rounds to come, and all of them get 8 times shorter.
    """

    def __init__(self, *, a: bytes, b: bytes, blinding: bytes, y: bytes, value_base: bytes) -> None:
        self._a, self._b, self._blinding, self._y = a, b, blinding, y
        self._value_base = value_base
        n = len(a) // 32
        self._bases = _original_bases(n, value_base)
        self._powers = curve.sv_powers(y, n + 1)
        self._y_inverse_powers = curve.sv_powers(curve.sc_invert(y), n + 1)
        self._gc, self._hc = curve.ONE, curve.ONE
        self._last_blindings = (curve.ZERO, curve.ZERO)

    def cross_terms(self, left: bytes, right: bytes) -> tuple[bytes, bytes]:
        """Return L_j and R_j, blinded by d_L = `left` and d_R = `right`."""
        k = len(self._a) // 64
        a_lo, a_hi, b_lo, b_hi = self._halves()
        y_k, y_minus_k = self._power(k), self._inverse_power(k)
        weights = self._powers[32 : 32 * (k + 1)]
        c_left = curve.sv_inner(curve.sv_mul(a_lo, weights), b_hi)
        c_right = curve.sc_mul(y_k, curve.sv_inner(curve.sv_mul(a_hi, weights), b_lo))
        of_left, of_right = self._bases.of_round(k)
        L = curve.msm(
            _outer(self._hc, b_hi)
            + _outer(self._gc, curve.sv_scale(a_lo, y_minus_k))
            + c_left
            + left,
            of_left,
        )
        R = curve.msm(
            _outer(self._hc, b_lo) + _outer(self._gc, curve.sv_scale(a_hi, y_k)) + c_right + right,
            of_right,
        )
        self._last_blindings = (left, right)
        return curve.inv8(L), curve.inv8(R)

    def fold(self, x: bytes) -> None:
        """Halve a and b under the challenge x_j."""
        k = len(self._a) // 64
        a_lo, a_hi, b_lo, b_hi = self._halves()
        x_inverse = curve.sc_invert(x)
        low = curve.sc_mul(x_inverse, self._power(k))
        self._a = curve.sv_add(curve.sv_scale(a_lo, x), curve.sv_scale(a_hi, low))
        self._b = curve.sv_add(curve.sv_scale(b_lo, x_inverse), curve.sv_scale(b_hi, x))
        left, right = self._last_blindings
        squared = curve.sv_mul(x + x_inverse, x + x_inverse)
        self._blinding = curve.sc_add(self._blinding, curve.sv_inner(squared, left + right))
        high = curve.sc_mul(x, self._inverse_power(k))
        self._gc = _outer(self._gc, x_inverse + high)
        self._hc = _outer(self._hc, x + x_inverse)
        if len(self._gc) == 32 * _BLOCKS_MAX and self._bases.n >= _FOLDED_MIN:
            self._bases = self._bases.folded(self._gc, self._hc)
            self._gc, self._hc = curve.ONE, curve.ONE

    def last_terms(self, r: bytes, s: bytes, delta: bytes, eta: bytes) -> tuple[bytes, bytes]:
        """Return A1 and B, when a and b are single scalars."""
        cross = curve.sc_add(curve.sc_mul(r, self._b), curve.sc_mul(s, self._a))
        scalars = (
            curve.sv_scale(self._gc, r)
            + curve.sv_scale(self._hc, s)
            + curve.sc_mul(self._y, cross)
            + delta
        )
        A1 = curve.msm(scalars, self._bases.points)
        rys = curve.sc_mul(curve.sc_mul(r, self._y), s)
        B = curve.msm(rys + eta, self._value_base + curve.G)
        return curve.inv8(A1), curve.inv8(B)

    def answers(
        self, e: bytes, r: bytes, s: bytes, delta: bytes, eta: bytes
    ) -> tuple[bytes, bytes, bytes]:
        """Return r1 = r + a·e, s1 = s + b·e, d1 = η + δ·e + α'·e²."""
        r1 = curve.sc_add(r, curve.sc_mul(self._a, e))
        s1 = curve.sc_add(s, curve.sc_mul(self._b, e))
        powers = curve.ONE + e + curve.sc_mul(e, e)
        return r1, s1, curve.sv_inner(powers, eta + delta + self._blinding)

    def _halves(self) -> tuple[bytes, bytes, bytes, bytes]:
        half = len(self._a) // 2
        return self._a[:half], self._a[half:], self._b[:half], self._b[half:]

    def _power(self, k: int) -> bytes:
        return self._powers[32 * k : 32 * k + 32]

    def _inverse_power(self, k: int) -> bytes:
        return self._y_inverse_powers[32 * k : 32 * k + 32]


def _bits(witness: Sequence[Opening], n: int) -> bytes:
    """aL: the bits of the amounts, lowest first, and zeros for the padding values."""
    bits = (opening.amount >> i & 1 for opening in witness for i in range(VALUE_BITS))
    return b"".join(_BITS[bit] for bit in bits).ljust(32 * n, b"\0")


def _shifted_powers(y: bytes, z: bytes, n: int) -> bytes:
    """d_i·y^{n-i}, i from 0, with d_{64j+i} = z^{2(j+1)}·2^i."""
    twos = b"".join((1 << i).to_bytes(32, "little") for i in range(VALUE_BITS))
    squares = _value_weights(z, n // VALUE_BITS)
    descending = _reversed(curve.sv_powers(y, n + 1)[32:])
    return curve.sv_mul(_outer(squares, twos), descending)


def _masks(witness: Sequence[Opening], y: bytes, z: bytes, n: int) -> bytes:
    """Σ_j z^{2(j+1)}·y^{n+1}·γ_j."""
    masks = b"".join(opening.mask for opening in witness)
    total = curve.sv_inner(_value_weights(z, len(witness)), masks)
    return curve.sc_mul(total, curve.sv_powers(y, n + 2)[-32:])


def _value_weights(z: bytes, count: int) -> bytes:
    """z^2, z^4, ..., z^{2·count}."""
    return curve.sv_powers(curve.sc_mul(z, z), count + 1)[32:]


def _outer(left: bytes, right: bytes) -> bytes:
    """left_0·right, left_1·right, ..."""
    return curve.sv_mul(_repeat(left, len(right) // 32), right * (len(left) // 32))


def _repeat(packed: bytes, count: int) -> bytes:
    """Each item `count` times in a row."""
    return b"".join(packed[at : at + 32] * count for at in range(0, len(packed), 32))


def _reversed(packed: bytes) -> bytes:
    return b"".join(packed[at : at + 32] for at in range(len(packed) - 32, -1, -32))


@lru_cache(maxsize=16)
def generators(n: int) -> tuple[bytes, bytes]:
    """Return Gi and Hi, n points each, packed: Hi_k = g(2k), Gi_k = g(2k+1).

    g(i) = Hp(K(H | "bulletproof_plus" | varint i)), for i below 2048.
    """
    points = [
        curve.hash_to_point(keccak256(curve.H + _GENERATOR + write_varint(i))) for i in range(2 * n)
    ]
    return b"".join(points[1::2]), b"".join(points[::2])


@final
class _Bases:
    """n generators Gi, n generators Hi, the value base and G: decoded once."""

    __slots__ = ("_rounds", "n", "points")

    def __init__(self, points: Points) -> None:
        self.points = points
        self.n = len(points) // 2 - 1
        self._rounds: dict[int, tuple[Points, Points]] = {}

    def of_round(self, k: int) -> tuple[Points, Points]:
        """Return the points of L_j and R_j where a and b have length 2k.

        Of each block of 2k generators, L takes the low Hi and the high Gi, R the others; the
        value base and G follow.
        """
        if k not in self._rounds:
            n = self.n
            low = [i for i in range(n) if i % (2 * k) < k]
            high = [i for i in range(n) if i % (2 * k) >= k]
            ends = [2 * n, 2 * n + 1]
            self._rounds[k] = (
                curve.take(self.points, [n + i for i in low] + high + ends),
                curve.take(self.points, [n + i for i in high] + low + ends),
            )
        return self._rounds[k]

    def folded(self, gc: bytes, hc: bytes) -> "_Bases":
        """Return the bases with Σ gc_j·Gi_{jm+q} and Σ hc_j·Hi_{jm+q} for the generators.

        Takes time that depends on the coefficients, which follow from public challenges.
        """
        m = self.n // (len(gc) // 32)
        sums = [
            curve.msm_vartime(
                coefficients, curve.take(self.points, range(first + q, first + self.n, m))
            )
            for coefficients, first in ((gc, 0), (hc, self.n))
            for q in range(m)
        ]
        return _Bases(curve.decode(b"".join(sums) + self.points.packed[-64:]))


@lru_cache(maxsize=16)
def _original_bases(n: int, value_base: bytes) -> _Bases:
    Gi, Hi = generators(n)
    return _Bases(Points(Gi + Hi + value_base + curve.G))


@lru_cache(maxsize=16)
def _bit_points(n: int) -> Points:
    """Points for A: since aR = aL - 1, ⟨aL, Gi⟩ + ⟨aR, Hi⟩ = Σ aL_i·(Gi_i + Hi_i) - Σ Hi_i."""
    Gi, Hi = generators(n)
    sums = [curve.add(Gi[at : at + 32], Hi[at : at + 32]) for at in range(0, 32 * n, 32)]
    return Points(b"".join(sums) + curve.neg(curve.sum_points(Hi)) + curve.G)
