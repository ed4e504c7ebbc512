"""Challenges and nonces of our own proofs: what is hashed, and how its parts are kept apart.

A proof that leaves part of its statement out of the hash can be forged for another statement
("Frozen Heart", Trail of Bits, 2022). So each proof hashes, in this order, its own tag, the
context, every base and every point of the statement, and each message of the prover; and each
field goes in with its length, so that no two statements share their bytes.
"""

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import TypeAlias

from crypto import curve

Rng: TypeAlias = Callable[[int], bytes]
"""Returns that many unpredictable bytes. Tests give a seeded one to compare the backends."""

SYSTEM_RNG: Rng = os.urandom

CONTEXT_BYTES = 32
"""A context is the hash of all that a proof is bound to: network, contract, orders, assets."""

_FRESH_BYTES = 64
_NONCE_PERSON = b"hearth/nonce/v1"


def prefixed(field: bytes) -> bytes:
    """Return the field behind its length, four bytes big-endian (lp in docs/spec/privacy.md)."""
    return len(field).to_bytes(4, "big") + field


def encode_fields(*fields: bytes) -> bytes:
    """Return all fields, each behind its length."""
    return b"".join(map(prefixed, fields))


def challenge(tag: bytes, *fields: bytes) -> bytes:
    """Return Hs(lp(tag) | lp(field) | ...), a scalar; `tag` belongs to one kind of proof only."""
    return curve.hash_to_scalar(encode_fields(tag, *fields))


def hedged_scalars(
    tag: bytes, *, secrets: bytes, message: bytes, count: int, rng: Rng = SYSTEM_RNG
) -> tuple[bytes, ...]:
    """Return `count` secret scalars that nobody can predict, for use in one proof only.

    Hedged: scalar i is BLAKE2b-512(seed | i) mod ℓ with seed = BLAKE2b-512 of the tag, the
    secrets, the message and fresh randomness. If the random source fails, equal nonces come up
    only for equal proofs, which give nothing away; if the secrets leak, the randomness still
    hides the nonces. 64 bytes are reduced, so the distance from uniform is below 2^-250.
    Nothing is kept between calls, so a fork of the process repeats nothing.

    Args:
        tag: which proof; nonces of different proofs are independent.
        secrets: the witness, encoded. Secret.
        message: the whole public statement.
        count: number of scalars; each is non-zero.
        rng: source of fresh randomness.

    Raises:
        ValueError: `rng` gave another number of bytes than it was asked for.
    """
    fresh = rng(_FRESH_BYTES)
    if len(fresh) != _FRESH_BYTES:
        raise ValueError(f"rng must give {_FRESH_BYTES} bytes, got {len(fresh)}")
    seed = blake2b(
        encode_fields(tag, secrets, message, fresh), digest_size=64, person=_NONCE_PERSON
    ).digest()
    scalars: list[bytes] = []
    counter = 0
    while len(scalars) < count:
        wide = blake2b(seed + counter.to_bytes(4, "big"), digest_size=64, person=_NONCE_PERSON)
        scalar = curve.reduce64(wide.digest())
        if scalar != curve.ZERO:
            scalars.append(scalar)
        counter += 1
    return tuple(scalars)


def random_weight(rng: Rng = SYSTEM_RNG) -> bytes:
    """Return a random scalar, not zero: the weight of one equation in a batch.

    To be drawn after all proofs of the batch are fixed, from a generator nobody can predict.
    """
    while True:
        weight = curve.reduce64(rng(_FRESH_BYTES))
        if weight != curve.ZERO:
            return weight
