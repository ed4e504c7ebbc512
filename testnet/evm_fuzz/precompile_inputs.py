"""Inputs for the precompiled contracts 1 to 5: good ones, and good ones gone slightly wrong."""

import random

from crypto.hashing import keccak256
from crypto.keys import AccountKey

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_MODEXP_LENGTHS = (0, 1, 2, 8, 31, 32, 33, 64)


def precompile_input(rng: random.Random, number: int) -> bytes:
    """Return an input for the contract at address `number`, 1 to 5."""
    if number == 1:
        data = _signature(rng)
    elif number == 5:
        data = _modexp(rng)
    else:
        data = rng.randbytes(rng.choice((0, 1, 31, 32, 33, 55, 64, 119, 200)))
    if data and rng.random() < 0.15:
        place = rng.randrange(len(data))
        data = data[:place] + bytes((rng.randrange(256),)) + data[place + 1 :]
    return data


def _signature(rng: random.Random) -> bytes:
    """Return (digest, v, r, s) as ECRECOVER wants them, mostly valid."""
    key = AccountKey.from_secret(keccak256(rng.randbytes(8)))
    digest = rng.randbytes(32)
    r, s, parity = key.sign_digest(digest)
    v = 27 + parity
    kind = rng.randrange(12)
    if kind == 0:
        s = _CURVE_ORDER - s  # High s is valid here, unlike in transactions.
        v = 27 + 28 - v
    elif kind == 1:
        r, s = rng.choice(((0, s), (r, 0), (_CURVE_ORDER, s), (r, _CURVE_ORDER)))
    elif kind == 2:
        v = rng.choice((0, 1, 26, 29, 27 + 256, 2**255))
    elif kind == 3:
        r = rng.getrandbits(256)
    return digest + b"".join(number.to_bytes(32, "big") for number in (v, r, s))


def _modexp(rng: random.Random) -> bytes:
    """Return lengths and numbers for MODEXP (EIP-198), some too long for what follows them."""
    lengths = [rng.choice(_MODEXP_LENGTHS) for _ in range(3)]
    body = b"".join(
        rng.choice((bytes(length), rng.randbytes(length), b"\0" * (length // 2)))
        for length in lengths
    )
    if rng.random() < 0.05:
        lengths[rng.randrange(3)] = rng.choice((2**16, 2**64, 2**255))
    return b"".join(length.to_bytes(32, "big") for length in lengths) + body
