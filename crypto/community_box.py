"""A key dealt to many at once, each in a box of its own, and the proof that a box fails.

A dealer draws a key and one ephemeral pair e, E = e·G, and boxes the key for the holder of
X = x·G under the point 8·e·X = 8·x·E:

    box = key xor H(context, E, X, 8·x·E)

The hash of the key is public, so whoever opens a box sees whether it holds the key. If not, the
holder publishes x·E with a proof that it is the same x as in X = x·G (Chaum and Pedersen, 1992),
and everybody opens that one box. The factor 8 makes parts of small order count for nothing, so no
holder can blame an honest dealer. Node keys serve as X: their scalars are those of RFC 8032.

The dealer shows that it knows e (Schnorr, 1989). Without that it could deal spoiled boxes under
the E of somebody else, and what the holders publish about those would open the other's boxes.
"""

from collections.abc import Sequence
from hashlib import sha512
from typing import Final

from crypto import curve, linear_proof
from crypto.errors import DecodeError
from crypto.hashing import Digest, tagged_hash
from crypto.keys import NodeKey
from crypto.linear_proof import Equation, LinearProof, Relation
from crypto.transcript import SYSTEM_RNG, Rng

KEY_BYTES: Final = 32
BOX_BYTES: Final = 32
POINT_BYTES: Final = 32
PROOF_BYTES: Final = 96
DEALER_PROOF_BYTES: Final = 64

_CONTEXT_TAG = b"hearth/community/context"
_KEY_TAG = b"hearth/community/key"
_PAD_TAG = b"hearth/community/box"
_PROOF_TAG = b"hearth/community/shared"
_DEALER_TAG = b"hearth/community/dealer"


def deal_context(genesis_hash: bytes, epoch: int) -> Digest:
    """Return the 32 bytes that bind boxes, proofs and the key's hash to one chain and epoch."""
    return tagged_hash(_CONTEXT_TAG, genesis_hash, epoch.to_bytes(8, "big"))


def key_hash(context: Digest, key: bytes) -> Digest:
    """Return the public hash of a dealt key."""
    return tagged_hash(_KEY_TAG, context, key)


def deal(
    context: Digest,
    dealer: bytes,
    key: bytes,
    holders: Sequence[bytes],
    *,
    rng: Rng = SYSTEM_RNG,
) -> bytes:
    """Return E | box | … | proof for the holders' public keys, in their order.

    Args:
        context: see `deal_context`.
        dealer: account that will publish this; the proof (64 bytes) is bound to it.
        key: 32 secret bytes.
        holders: Ed25519 node keys, 32 bytes each.
        rng: for the ephemeral scalar, which must never come twice.

    Raises:
        DecodeError: the key's length.
        InvalidPoint: a holder's key is not a point.
    """
    if len(key) != KEY_BYTES:
        raise DecodeError("key", f"must be {KEY_BYTES} bytes, got {len(key)}")
    scalar = curve.reduce64(rng(64))
    ephemeral = curve.base_mul(scalar)
    boxes = [
        _xor(key, _pad(context, ephemeral, holder, curve.mul8(curve.mul(scalar, holder))))
        for holder in holders
    ]
    proof = linear_proof.prove(_knowledge(context, dealer, ephemeral), [scalar], rng=rng)
    return ephemeral + b"".join(boxes) + proof.to_bytes()


def verify_dealer(context: Digest, dealer: bytes, ephemeral: bytes, proof: bytes) -> None:
    """Accept that the account `dealer` knows e behind E = e·G, or raise.

    Raises:
        DecodeError, InvalidPoint, InvalidScalar: not in the one form, or not of prime order.
        LinearProofError: the proof does not show it.
    """
    curve.check_prime_order(ephemeral, "ephemeral")
    parsed = LinearProof.from_bytes(proof, equations=1, scalars=1)
    linear_proof.verify(_knowledge(context, dealer, ephemeral), parsed)


def _knowledge(context: Digest, dealer: bytes, ephemeral: bytes) -> Relation:
    """E = w·G, said by this dealer: nobody can use another's proof."""
    return Relation(
        tag=_DEALER_TAG,
        context=tagged_hash(_DEALER_TAG, context, dealer),
        equations=(Equation(image=ephemeral, terms=((curve.G, 0),)),),
        scalars=1,
    )


def open_box(context: Digest, holder: NodeKey, ephemeral: bytes, box: bytes) -> bytes:
    """Return the 32 bytes in the holder's box; compare their `key_hash`.

    Raises:
        DecodeError: the box has another length.
        InvalidPoint: the ephemeral key is not a point.
    """
    shared = curve.mul(_scalar(holder), ephemeral)
    return open_shared(context, holder.public, ephemeral, box, shared)


def open_shared(
    context: Digest, holder: bytes, ephemeral: bytes, box: bytes, shared: bytes
) -> bytes:
    """Return the 32 bytes in a box, given x·E, as everybody can after a dispute.

    Raises:
        DecodeError: the box has another length.
        InvalidPoint: x·E is not a point.
    """
    if len(box) != BOX_BYTES:
        raise DecodeError("box", f"must be {BOX_BYTES} bytes, got {len(box)}")
    return _xor(box, _pad(context, ephemeral, holder, curve.mul8(shared)))


def prove_shared(
    context: Digest, holder: NodeKey, ephemeral: bytes, *, rng: Rng = SYSTEM_RNG
) -> tuple[bytes, bytes]:
    """Return x·E (32 bytes) and the proof (96 bytes) that it is the holder's.

    Whoever reads them can open the holder's box: only a holder whose box fails publishes them.
    """
    scalar = _scalar(holder)
    shared = curve.mul(scalar, ephemeral)
    relation = _relation(context, holder.public, ephemeral, shared)
    return shared, linear_proof.prove(relation, [scalar], rng=rng).to_bytes()


def verify_shared(
    context: Digest, holder: bytes, ephemeral: bytes, shared: bytes, proof: bytes
) -> None:
    """Accept `shared` as x·E for the x of the holder's key, or raise.

    Raises:
        DecodeError, InvalidPoint, InvalidScalar: not in the one form, or not of prime order.
        LinearProofError: the proof does not show it.
    """
    for name, point in (("holder", holder), ("ephemeral", ephemeral), ("shared", shared)):
        curve.check_prime_order(point, name)
    parsed = LinearProof.from_bytes(proof, equations=2, scalars=1)
    linear_proof.verify(_relation(context, holder, ephemeral, shared), parsed)


def _relation(context: Digest, holder: bytes, ephemeral: bytes, shared: bytes) -> Relation:
    """X = w·G and S = w·E."""
    equations = (
        Equation(image=holder, terms=((curve.G, 0),)),
        Equation(image=shared, terms=((ephemeral, 0),)),
    )
    return Relation(tag=_PROOF_TAG, context=context, equations=equations, scalars=1)


def _scalar(holder: NodeKey) -> bytes:
    """Return the secret scalar of an Ed25519 key modulo ℓ (RFC 8032, section 5.1.5)."""
    digest = bytearray(sha512(holder.seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return curve.reduce32(bytes(digest))


def _pad(context: Digest, ephemeral: bytes, holder: bytes, shared: bytes) -> Digest:
    return tagged_hash(_PAD_TAG, context, ephemeral, holder, shared)


def _xor(left: bytes, right: bytes) -> bytes:
    assert len(left) == len(right) == BOX_BYTES, "a box and its pad have 32 bytes"
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
