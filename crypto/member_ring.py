"""Scoped linkable ring signature: one of the members calls, and calls once for each scope.

The signer publishes a tag T = x·h with h = U(σ) for the scope σ. Two calls of one member in one
scope carry the same T; tags of different scopes cannot be linked to each other or to P = x·G
(decisional Diffie-Hellman). Sources: LSAG, Liu, Wei, Wong, eprint 2004/027; linkability for each
event, Tsang, Wei, eprint 2004/281.

    σ   = lp(network) lp(root) lp(epoch) lp(contract) lp(purpose) lp(slot)
    ctx = K(lp(tag) lp(n) lp(P_0 | ... | P_{n-1}) lp(σ) lp(T) lp(message))
    L_i = s_i·G + c_i·P_i;  R_i = s_i·h + c_i·T;  c_{i+1} = Hs(lp(tag') lp(ctx) lp(L_i) lp(R_i))

Members' keys are independent random ones with a proof of possession: with P' = P + m·G for a
known m the tags would differ by m·h, and whoever knows m could link both.
"""

from dataclasses import dataclass, field
from typing import final

from crypto import curve, linear_proof
from crypto.errors import DecodeError, LinearProofError, MemberRingError
from crypto.hashing import keccak256
from crypto.linear_proof import Equation, LinearProof, Relation
from crypto.transcript import SYSTEM_RNG, Rng, challenge, encode_fields, hedged_scalars

MEMBERS_MAX = 1024
FIELD_BYTES_MAX = 255
"""Bounds contract and purpose."""

_SCOPE_PERSON = b"hearth/scope/v1"
_CONTEXT_TAG = b"hearth/member_ring/ctx/v1"
_ROUND_TAG = b"hearth/member_ring/c/v1"
_NONCE_TAG = b"hearth/member_ring/nonce/v1"
_POSSESSION_TAG = b"hearth/member_ring/possession/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The members of an epoch, as the chain fixed them; nothing in it comes from a caller."""

    network: bytes
    """32 bytes: the genesis hash."""
    root: bytes
    """32 bytes: the registry's root at the beginning of the epoch."""
    epoch: int
    keys: tuple[bytes, ...]
    """P_0..P_{n-1}: of prime order, distinct, each admitted with a proof of possession."""
    slots: int = 1
    """k: how many calls a member has in each (contract, purpose) of the epoch."""

    def __post_init__(self) -> None:
        for name, value in (("network", self.network), ("root", self.root)):
            if len(value) != 32:
                raise DecodeError(f"snapshot.{name}", f"must be 32 bytes, got {len(value)}")
        if not 0 <= self.epoch < 2**64 or not 0 < self.slots < 2**32:
            raise DecodeError("snapshot", "epoch or slots out of range")
        if not 0 < len(self.keys) <= MEMBERS_MAX:
            raise DecodeError(
                "snapshot.keys", f"must be 1 to {MEMBERS_MAX} keys, got {len(self.keys)}"
            )
        if len(set(self.keys)) != len(self.keys):
            raise DecodeError("snapshot.keys", "must be distinct")
        for key in self.keys:
            curve.check_prime_order(key, "snapshot.keys")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Within which a member's calls are linked: one slot of a purpose of a contract."""

    contract: bytes
    purpose: bytes
    slot: int = 0

    def __post_init__(self) -> None:
        for name, value in (("contract", self.contract), ("purpose", self.purpose)):
            if len(value) > FIELD_BYTES_MAX:
                raise DecodeError(
                    f"scope.{name}", f"must be at most {FIELD_BYTES_MAX} bytes, got {len(value)}"
                )
        if not 0 <= self.slot < 2**32:
            raise DecodeError("scope.slot", f"must lie in 0..2^32-1, got {self.slot}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallStatement:
    """A member of `snapshot` makes the call with hash `message` in `scope`."""

    snapshot: Snapshot
    scope: Scope
    message: bytes
    """32 bytes: hash of the complete call: contract, method, arguments, proofs, expiry."""

    def __post_init__(self) -> None:
        if len(self.message) != 32:
            raise DecodeError("call.message", f"must be 32 bytes, got {len(self.message)}")
        if self.scope.slot >= self.snapshot.slots:
            raise DecodeError(
                "call.slot", f"must be below {self.snapshot.slots}, got {self.scope.slot}"
            )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSecret:
    """The signer's key and its place in the snapshot. Secret."""

    index: int = field(repr=False)
    secret: bytes = field(repr=False)
    """x, with P = x·G; not zero; used for nothing else."""

    def __post_init__(self) -> None:
        curve.check_scalar(self.secret, "member.secret")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallSignature:
    """T, c_0 and s_0..s_{n-1}: 32·(n + 2) bytes. T is what the chain records as used."""

    tag: bytes
    c0: bytes
    s: tuple[bytes, ...]

    def __post_init__(self) -> None:
        curve.check_prime_order(self.tag, "call_signature.tag")
        for scalar in (self.c0, *self.s):
            curve.check_scalar(scalar, "call_signature.c0 or .s")

    def to_bytes(self) -> bytes:
        """Return T | c_0 | s_0 | ... | s_{n-1}."""
        return b"".join((self.tag, self.c0, *self.s))

    @classmethod
    def from_bytes(cls, data: bytes, *, members: int) -> "CallSignature":
        """Parse a signature by a ring of `members`.

        Raises:
            DecodeError: a wrong length.
            InvalidPoint, InvalidScalar: a part is not canonical, or T not of prime order.
        """
        expected = 32 * (members + 2)
        if not 0 < members <= MEMBERS_MAX or len(data) != expected:
            raise DecodeError("call_signature", f"must be {expected} bytes, got {len(data)}")
        items = tuple(data[at : at + 32] for at in range(0, expected, 32))
        return cls(tag=items[0], c0=items[1], s=items[2:])


def scope_base(snapshot: Snapshot, scope: Scope) -> bytes:
    """Return h = U(σ). Its domain is disjoint from that of Hp and of the assets."""
    return curve.hash_to_point_unbiased(_SCOPE_PERSON, _sigma(snapshot, scope))


def tag_of(secret: bytes, snapshot: Snapshot, scope: Scope) -> bytes:
    """Return T = x·h. Constant time in x; pick an unused slot at random, not in order."""
    return curve.mul(secret, scope_base(snapshot, scope))


def sign(
    statement: CallStatement, witness: MemberSecret, *, rng: Rng = SYSTEM_RNG
) -> CallSignature:
    """Return the signature. The same number of rounds wherever the signer stands in the ring.

    Raises:
        MemberRingError: the secret is not of the key at that index.
    """
    keys = statement.snapshot.keys
    n = len(keys)
    if not 0 <= witness.index < n or curve.base_mul(witness.secret) != keys[witness.index]:
        raise MemberRingError("secret is not of the snapshot's key at that index")
    h = scope_base(statement.snapshot, statement.scope)
    tag = curve.mul(witness.secret, h)
    context = _context(statement, tag)
    alpha, *s = hedged_scalars(
        _NONCE_TAG,
        secrets=witness.secret + witness.index.to_bytes(4, "big"),
        message=context,
        count=n + 1,
        rng=rng,
    )
    challenges = [curve.ZERO] * n
    rounds = _Rounds(keys, h, tag)
    c = _next(context, curve.base_mul(alpha), curve.mul(alpha, h))
    for step in range(1, n):
        i = (witness.index + step) % n
        challenges[i] = c
        c = _next(context, *rounds.points(i, s[i], c))
    challenges[witness.index] = c
    s[witness.index] = curve.sc_sub(alpha, curve.sc_mul(c, witness.secret))
    return CallSignature(tag=tag, c0=challenges[0], s=tuple(s))


def verify(statement: CallStatement, signature: CallSignature) -> None:
    """Accept the signature, or raise. The caller then refuses a tag that it has seen.

    The ring and its order come from the snapshot; T was found canonical, of prime order and
    not the identity when the signature was parsed.

    Raises:
        MemberRingError: it does not verify.
    """
    keys = statement.snapshot.keys
    if len(signature.s) != len(keys):
        raise MemberRingError(f"must have {len(keys)} responses, got {len(signature.s)}")
    h = scope_base(statement.snapshot, statement.scope)
    context = _context(statement, signature.tag)
    rounds = _Rounds(keys, h, signature.tag)
    c = signature.c0
    for i, s in enumerate(signature.s):
        if c == curve.ZERO:
            raise MemberRingError("a challenge is zero")
        c = _next(context, *rounds.points(i, s, c))
    if c != signature.c0:
        raise MemberRingError("ring signature does not verify")


def prove_possession(
    secret: bytes, *, network: bytes, member: bytes, rng: Rng = SYSTEM_RNG
) -> LinearProof:
    """Return a proof of 64 bytes that `member` knows the secret of the ring key it registers.

    Raises:
        LinearProofError: the secret is zero.
    """
    if secret == curve.ZERO:
        raise LinearProofError("ring key must not be the identity")
    relation = _possession(curve.base_mul(secret), network, member)
    return linear_proof.prove(relation, (secret,), rng=rng)


def verify_possession(key: bytes, proof: LinearProof, *, network: bytes, member: bytes) -> None:
    """Accept the registration of `key` by `member` in this network, or raise.

    Raises:
        InvalidPoint: the key is not canonical, not of prime order, or the identity.
        LinearProofError: the proof is not one of this key, member and network.
    """
    curve.check_prime_order(key, "ring_key")
    linear_proof.verify(_possession(key, network, member), proof)


def _possession(key: bytes, network: bytes, member: bytes) -> Relation:
    return Relation(
        tag=_POSSESSION_TAG,
        context=keccak256(encode_fields(network, member)),
        equations=(Equation(image=key, terms=((curve.G, 0),)),),
        scalars=1,
    )


def _sigma(snapshot: Snapshot, scope: Scope) -> bytes:
    return encode_fields(
        snapshot.network,
        snapshot.root,
        snapshot.epoch.to_bytes(8, "big"),
        scope.contract,
        scope.purpose,
        scope.slot.to_bytes(4, "big"),
    )


def _context(statement: CallStatement, tag: bytes) -> bytes:
    keys = statement.snapshot.keys
    return keccak256(
        encode_fields(
            _CONTEXT_TAG,
            len(keys).to_bytes(4, "big"),
            b"".join(keys),
            _sigma(statement.snapshot, statement.scope),
            tag,
            statement.message,
        )
    )


def _next(context: bytes, L: bytes, R: bytes) -> bytes:
    return challenge(_ROUND_TAG, context, L, R)


@final
class _Rounds:
    """L_i and R_i of one signature: each point is decoded once."""

    __slots__ = ("_of_R", "_points")

    def __init__(self, keys: tuple[bytes, ...], h: bytes, tag: bytes) -> None:
        self._points = curve.decode(b"".join((curve.G, h, tag, *keys)))
        self._of_R = curve.take(self._points, (1, 2))

    def points(self, i: int, s: bytes, c: bytes) -> tuple[bytes, bytes]:
        """Return L_i and R_i. Takes time that depends on s and c, which are published."""
        of_L = curve.take(self._points, (0, 3 + i))
        return curve.msm_vartime(s + c, of_L), curve.msm_vartime(s + c, self._of_R)
