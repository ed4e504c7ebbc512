"""What a Bulletproof+ states and what it is: the values that `bulletproofs_plus` works on."""

from dataclasses import dataclass
from typing import final

from crypto import curve
from crypto.errors import DecodeError
from crypto.hashing import keccak256
from crypto.pedersen import MONEY, AssetId
from crypto.transcript import CONTEXT_BYTES, encode_fields

VALUES_MAX = 16
VALUE_BITS = 64
ROUNDS_MIN, ROUNDS_MAX = 6, 10
"""log2(64·M) for M = 1 and M = 16."""

_EXTRA_TAG = b"hearth/bulletproofs_plus/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RangeStatement:
    """Every commitment holds a value of 0..2^64-1 of `asset`.

    The commitments are those of the outputs themselves: what the proof calls V_j = (1/8)·C_j is
    computed from them, never read from a stranger.
    """

    commitments: tuple[bytes, ...]
    """C_1..C_m, 1 <= m <= 16."""
    asset: AssetId = MONEY
    context: bytes = b""
    """Empty, or 32 bytes: the hash of all that the proof is bound to."""

    def __post_init__(self) -> None:
        if not 0 < len(self.commitments) <= VALUES_MAX:
            raise DecodeError(
                "range.commitments", f"must be 1 to {VALUES_MAX}, got {len(self.commitments)}"
            )
        for point in self.commitments:
            curve.check_point(point, "range.commitments")
        if len(self.context) not in (0, CONTEXT_BYTES):
            raise DecodeError(
                "range.context", f"must be 0 or {CONTEXT_BYTES} bytes, got {len(self.context)}"
            )
        if len(self.asset) != 32:
            raise DecodeError("range.asset", f"must be 32 bytes, got {len(self.asset)}")

    @property
    def rounds(self) -> int:
        """6 + log2(M), the number of points L_j, and of R_j."""
        return ROUNDS_MIN + (len(self.commitments) - 1).bit_length()

    @property
    def extra(self) -> bytes:
        """What the transcript binds beyond Monero's: nothing, or 32 bytes."""
        if self.asset == MONEY and not self.context:
            return b""
        return keccak256(encode_fields(_EXTRA_TAG, self.asset, self.context))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RangeProof:
    """A, A1, B, L_j, R_j (points, all times 1/8) and r1, s1, d1 (scalars)."""

    A: bytes
    A1: bytes
    B: bytes
    r1: bytes
    s1: bytes
    d1: bytes
    L: tuple[bytes, ...]
    R: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.L) != len(self.R) or not ROUNDS_MIN <= len(self.L) <= ROUNDS_MAX:
            raise DecodeError(
                "range_proof.L and .R",
                f"must be {ROUNDS_MIN} to {ROUNDS_MAX} each, got {len(self.L)} and {len(self.R)}",
            )
        for point in (self.A, self.A1, self.B, *self.L, *self.R):
            curve.check_point(point, "range_proof")
        for scalar in (self.r1, self.s1, self.d1):
            curve.check_scalar(scalar, "range_proof.r1, .s1 or .d1")

    def to_bytes(self) -> bytes:
        """Return A A1 B r1 s1 d1 | count L | count R, as in a Monero transaction."""
        head = (self.A, self.A1, self.B, self.r1, self.s1, self.d1)
        count = bytes((len(self.L),))  # A varint: below 128, one byte.
        return b"".join((*head, count, *self.L, count, *self.R))

    @classmethod
    def from_bytes(cls, data: bytes) -> "RangeProof":
        """Parse what `to_bytes` wrote.

        Raises:
            DecodeError: a wrong length or count.
            InvalidPoint, InvalidScalar: a part is not canonical.
        """
        rounds, rest = divmod(len(data) - 6 * 32 - 2, 64)
        if rest or not ROUNDS_MIN <= rounds <= ROUNDS_MAX:
            raise DecodeError("range_proof", f"cannot be {len(data)} bytes")
        left, right = 6 * 32, 6 * 32 + 1 + 32 * rounds
        if data[left] != rounds or data[right] != rounds:
            raise DecodeError("range_proof", f"must hold {rounds} L and {rounds} R by its length")
        A, A1, B, r1, s1, d1 = _items(data[:left])
        L, R = _items(data[left + 1 : right]), _items(data[right + 1 :])
        return cls(A=A, A1=A1, B=B, r1=r1, s1=s1, d1=d1, L=L, R=R)


def _items(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[at : at + 32] for at in range(0, len(packed), 32))
