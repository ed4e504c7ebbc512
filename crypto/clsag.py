"""CLSAG: a linkable ring signature over keys and commitments, byte for byte as Monero's.

It shows that one (P_i, C_i) of the ring is spent, with P_i = x·G and C_i - C' = z·G for the
pseudo-output C', and publishes the key image I = x·Hp(P_i), without saying which. Source:
Goodell, Noether, RandomRun, "Concise linkable ring signatures", eprint 2019/654; Monero 0.18.

Symbols: mu_P, mu_C aggregate key and commitment; D = z·Hp(P_π), sent as D_s = (1/8)·D;
L_i = s_i·G + c_i·mu_P·P_i + c_i·mu_C·(C_i - C'); R_i = s_i·Hp(P_i) + c_i·mu_P·I + c_i·mu_C·D;
c_{i+1} = Hs("CLSAG_round" | ring | C' | message | L_i | R_i), cyclic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from crypto import curve
from crypto.curve import ClsagInstance, ClsagWalk, Ring
from crypto.errors import ClsagError, DecodeError
from crypto.transcript import SYSTEM_RNG, Rng, hedged_scalars

RING_MAX = 1024
"""Bounds what a decoder accepts; the rings of the chain are bins of a fixed size below it."""

MESSAGE_BYTES = 32

_AGGREGATE_KEY = b"CLSAG_agg_0".ljust(32, b"\0")
_AGGREGATE_COMMITMENT = b"CLSAG_agg_1".ljust(32, b"\0")
_ROUND = b"CLSAG_round".ljust(32, b"\0")
_NONCE_TAG = b"hearth/clsag/nonce/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClsagStatement:
    """What is claimed: one member of `ring` is spent into `pseudo_out`, with this key image."""

    ring: Ring
    """n members (P_i, C_i), from `curve.prepare_ring`; each is admitted torsion-free."""
    pseudo_out: bytes
    """C'."""
    key_image: bytes
    """I. Refused by the verifier unless canonical and of prime order."""
    message: bytes
    """32 bytes: hash of everything that the signer agrees to."""

    def __post_init__(self) -> None:
        for name, value in (
            ("pseudo_out", self.pseudo_out),
            ("key_image", self.key_image),
            ("message", self.message),
        ):
            if len(value) != 32:
                raise DecodeError(f"clsag.{name}", f"must be 32 bytes, got {len(value)}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClsagWitness:
    """What the signer knows. Secret, all of it."""

    index: int = field(repr=False)
    """π: the signer's place in the ring."""
    secret: bytes = field(repr=False)
    """x, with P_π = x·G; not zero."""
    mask_difference: bytes = field(repr=False)
    """z = mask of C_π - mask of C'; not zero, for D = z·Hp(P_π) must not be the identity."""

    def __post_init__(self) -> None:
        for name, value in (("secret", self.secret), ("mask_difference", self.mask_difference)):
            curve.check_scalar(value, f"clsag.{name}")
            if value == curve.ZERO:
                raise DecodeError(f"clsag.{name}", "must not be zero")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClsagSignature:
    """s_0..s_{n-1}, c_0 (Monero's c1) and D_s: 32·(n + 2) bytes."""

    s: tuple[bytes, ...]
    c1: bytes
    D: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.s) <= RING_MAX:
            raise DecodeError("clsag.s", f"must be 1 to {RING_MAX} scalars, got {len(self.s)}")
        for scalar in (*self.s, self.c1):
            curve.check_scalar(scalar, "clsag.s or clsag.c1")
        curve.check_point(self.D, "clsag.D")

    def to_bytes(self) -> bytes:
        """Return s_0 | ... | s_{n-1} | c_0 | D_s, as in a Monero transaction."""
        return b"".join((*self.s, self.c1, self.D))

    @classmethod
    def from_bytes(cls, data: bytes, *, ring_size: int) -> "ClsagSignature":
        """Parse the signature of a ring of `ring_size`, which the encoding does not repeat.

        Raises:
            DecodeError: a wrong length, or a ring size out of range.
            InvalidScalar, InvalidPoint: a part is not canonical.
        """
        if not 0 < ring_size <= RING_MAX:
            raise DecodeError("clsag.ring_size", f"must lie in 1..{RING_MAX}, got {ring_size}")
        expected = 32 * (ring_size + 2)
        if len(data) != expected:
            raise DecodeError("clsag", f"must be {expected} bytes, got {len(data)}")
        items = tuple(data[at : at + 32] for at in range(0, expected, 32))
        return cls(s=items[:ring_size], c1=items[ring_size], D=items[ring_size + 1])


def sign(
    statement: ClsagStatement, witness: ClsagWitness, *, rng: Rng = SYSTEM_RNG
) -> ClsagSignature:
    """Return a signature of `statement`.

    Each round but the signer's is computed from values that the signature publishes; what is
    secret (x, z, the nonce α) passes through constant-time operations only. There are n - 1
    rounds whatever π is, and c_0 is picked from all challenges at the end, so the time does
    not tell where the walk began. Python leaves copies of secrets in memory.

    Raises:
        ClsagError: the witness does not open the statement.
        InvalidPoint: the pseudo-output is not a point.
    """
    ring = statement.ring
    image_bases = curve.ring_images(ring)
    _check_witness(statement, witness, image_bases)
    own_base = _item(image_bases, witness.index)
    D = curve.mul(witness.mask_difference, own_base)
    D_sent = curve.inv8(D)
    mu_P, mu_C = aggregation(statement, D_sent)
    public = ring.keys + ring.commitments + statement.pseudo_out + statement.message
    alpha, *s = hedged_scalars(
        _NONCE_TAG,
        secrets=witness.secret + witness.mask_difference + witness.index.to_bytes(4, "big"),
        message=public + statement.key_image,
        count=1 + len(ring),
        rng=rng,
    )
    walk = ClsagWalk(
        ring=ring,
        aggregate=(curve.msm_vartime(mu_P + mu_C, statement.key_image + D), mu_P, mu_C),
        pseudo_out=statement.pseudo_out,
        message=statement.message,
        start=(witness.index + 1) % len(ring),
        c=_first_challenge(statement, curve.base_mul(alpha), curve.mul(alpha, own_base)),
        s=b"".join(s),
    )
    challenges = curve.clsag_walk(walk)
    weighted = curve.sc_add(
        curve.sc_mul(mu_P, witness.secret), curve.sc_mul(mu_C, witness.mask_difference)
    )
    own_challenge = challenges[-32:]
    s[witness.index] = curve.sc_sub(alpha, curve.sc_mul(own_challenge, weighted))
    c1 = _item(challenges, len(ring) - 1 - witness.index)
    return ClsagSignature(s=tuple(s), c1=c1, D=D_sent)


def verify(statement: ClsagStatement, signature: ClsagSignature) -> None:
    """Accept the signature, or raise.

    Refused as well: a key image or D that is the identity, a key image outside the prime-order
    subgroup, a challenge of zero. Not looked at: whether the key image was seen before, and
    whether the ring is one that the chain would form.

    Raises:
        ClsagError: it does not verify.
    """
    if not curve.clsag_verify(_instance(statement, signature)):
        raise ClsagError("ring signature does not verify")


def verify_many(items: Sequence[tuple[ClsagStatement, ClsagSignature]]) -> list[bool]:
    """Return for each signature whether it verifies; quicker than one by one where native."""
    return curve.clsag_verify_many([_instance(*item) for item in items])


def aggregation(statement: ClsagStatement, D_sent: bytes) -> tuple[bytes, bytes]:
    """Return mu_P and mu_C: Hs over ring, I, D_s and C', each with its own prefix.

    They bind key and commitment of a member together. (Binding I and D_s here suffices; the
    rounds do not repeat them.)
    """
    ring = statement.ring
    body = ring.keys + ring.commitments + statement.key_image + D_sent + statement.pseudo_out
    return (
        curve.hash_to_scalar(_AGGREGATE_KEY + body),
        curve.hash_to_scalar(_AGGREGATE_COMMITMENT + body),
    )


def _first_challenge(statement: ClsagStatement, L: bytes, R: bytes) -> bytes:
    """Return c_{π+1} = Hs(... | L_π | R_π)."""
    ring = statement.ring
    prefix = _ROUND + ring.keys + ring.commitments + statement.pseudo_out + statement.message
    return curve.hash_to_scalar(prefix + L + R)


def _check_witness(statement: ClsagStatement, witness: ClsagWitness, images: bytes) -> None:
    ring = statement.ring
    if not 0 <= witness.index < len(ring):
        raise ClsagError(f"index must lie in 0..{len(ring) - 1}")
    if curve.base_mul(witness.secret) != _item(ring.keys, witness.index):
        raise ClsagError("secret is not of the ring's key at that index")
    difference = curve.sub(_item(ring.commitments, witness.index), statement.pseudo_out)
    if curve.base_mul(witness.mask_difference) != difference:
        raise ClsagError("pseudo-output does not hold the amount of the member")
    if curve.mul(witness.secret, _item(images, witness.index)) != statement.key_image:
        raise ClsagError("key image is not of this key")


def _instance(statement: ClsagStatement, signature: ClsagSignature) -> ClsagInstance:
    return ClsagInstance(
        ring=statement.ring,
        pseudo_out=statement.pseudo_out,
        key_image=statement.key_image,
        message=statement.message,
        D=signature.D,
        c1=signature.c1,
        s=b"".join(signature.s),
    )


def _item(packed: bytes, index: int) -> bytes:
    return packed[32 * index : 32 * index + 32]
