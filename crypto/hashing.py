"""Domain-separated BLAKE2b-256 for our own structures, and Keccak-256 where Ethereum demands it."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import NewType

import sha3

Digest = NewType("Digest", bytes)
"""A 32-byte hash."""

DIGEST_BYTES = 32

_TAG_BYTES_MAX = 255  # The tag's length travels as one byte.


@lru_cache(maxsize=1024)
def _state_after_tag(tag: bytes) -> blake2b:
    if not 0 < len(tag) <= _TAG_BYTES_MAX:
        raise ValueError(f"tag must be 1 to {_TAG_BYTES_MAX} bytes, got {len(tag)}")
    return blake2b(bytes((len(tag),)) + tag, digest_size=DIGEST_BYTES)


def tagged_hash(tag: bytes, *parts: bytes) -> Digest:
    """Return BLAKE2b-256(len(tag) as u8 | tag | for each part: length as u64 big-endian | part).

    Every use has its own tag ("hearth/state/leaf"), so that no bytes made for one purpose can
    pass for another; the lengths keep (b"ab", b"c") apart from (b"a", b"bc").

    Args:
        tag: 1 to 255 bytes, a constant of the caller: it is cached.
        parts: any number of byte strings.
    """
    state = _state_after_tag(tag).copy()
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return Digest(state.digest())


def part_hasher(tag: bytes) -> Callable[[bytes], Digest]:
    """Return what does `tagged_hash(tag, part)` for one part, in two thirds of the time."""
    copy = _state_after_tag(tag).copy

    def hashed(part: bytes) -> Digest:
        state = copy()
        state.update(len(part).to_bytes(8, "big") + part)
        return Digest(state.digest())

    return hashed


def pair_hasher(tag: bytes) -> Callable[[bytes, bytes], Digest]:
    """Return the same for two parts that are digests, 32 bytes each: nobody looks."""
    length = DIGEST_BYTES.to_bytes(8, "big")
    head = _state_after_tag(tag).copy()
    head.update(length)
    copy = head.copy

    def hashed(first: bytes, second: bytes) -> Digest:
        state = copy()
        state.update(first + length + second)
        return Digest(state.digest())

    return hashed


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data` (padding 0x01, as Ethereum; not NIST's SHA3-256)."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest
