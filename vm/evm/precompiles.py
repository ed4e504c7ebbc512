"""Precompiled contracts 0x01 to 0x05 (Yellow Paper, appendix E; EIP-198, EIP-2565).

Those from 0x06 on (alt_bn128, BLAKE2 F, KZG) are left out: in Python each is a denial of service.
"""

import hashlib
from types import MappingProxyType

from crypto.errors import InvalidSignature
from crypto.keys import SECP256K1_ORDER, recover_address
from vm.evm.environment import Precompile
from vm.evm.gas import words
from vm.evm.ripemd160 import ripemd160

_ECRECOVER = 3_000
_SHA256, _SHA256_WORD = 60, 12
_RIPEMD160, _RIPEMD160_WORD = 600, 120
_IDENTITY, _IDENTITY_WORD = 15, 3
_MODEXP_MIN = 200


def ecrecover(data: bytes, gas: int) -> tuple[int, bytes]:
    """0x01: hash, v (27 or 28), r, s, 32 bytes each -> the signer's address, padded; or nothing.

    Unlike a transaction's, s may lie in the upper half.
    """
    if gas < _ECRECOVER:
        return _ECRECOVER, b""
    data = data[:128].ljust(128, b"\0")
    v, r, s = (int.from_bytes(data[at : at + 32], "big") for at in (32, 64, 96))
    if v not in (27, 28):
        return _ECRECOVER, b""
    if s > SECP256K1_ORDER // 2:
        # (r, n − s) with the other parity is the same signature in its lower form.
        v, s = 55 - v, SECP256K1_ORDER - s
    try:
        address = recover_address(data[:32], r, s, v - 27)
    except InvalidSignature:
        return _ECRECOVER, b""
    return _ECRECOVER, address.rjust(32, b"\0")


def sha256(data: bytes, gas: int) -> tuple[int, bytes]:
    """0x02: bytes -> SHA-256."""
    cost = _SHA256 + _SHA256_WORD * words(len(data))
    return cost, hashlib.sha256(data).digest() if cost <= gas else b""


def ripemd(data: bytes, gas: int) -> tuple[int, bytes]:
    """0x03: bytes -> RIPEMD-160, padded."""
    cost = _RIPEMD160 + _RIPEMD160_WORD * words(len(data))
    return cost, ripemd160(data).rjust(32, b"\0") if cost <= gas else b""


def identity(data: bytes, gas: int) -> tuple[int, bytes]:
    """0x04: bytes -> the same."""
    return _IDENTITY + _IDENTITY_WORD * words(len(data)), data


def modexp(data: bytes, gas: int) -> tuple[int, bytes]:
    """0x05: three lengths, base, exponent, modulus -> base^exponent mod modulus (EIP-2565)."""
    base_size, exponent_size, modulus_size = (
        int.from_bytes(data[at : at + 32].ljust(32, b"\0"), "big") for at in (0, 32, 64)
    )
    head = _number(data, 96 + base_size, min(exponent_size, 32))
    cost = _modexp_cost(base_size, exponent_size, modulus_size, head)
    if cost > gas or not modulus_size:
        return cost, b""
    base = _number(data, 96, base_size)
    exponent = _number(data, 96 + base_size, exponent_size)
    modulus = _number(data, 96 + base_size + exponent_size, modulus_size)
    result = pow(base, exponent, modulus) if modulus else 0
    return cost, result.to_bytes(modulus_size, "big")


def _number(data: bytes, offset: int, size: int) -> int:
    """Return `size` bytes at `offset` as a number; beyond the end there are zeros."""
    part = data[offset : offset + size]
    return int.from_bytes(part, "big") << 8 * (size - len(part)) if part else 0


def _modexp_cost(base_size: int, exponent_size: int, modulus_size: int, head: int) -> int:
    """Return the price; `head` is the exponent's first 32 bytes."""
    complexity = ((max(base_size, modulus_size) + 7) // 8) ** 2
    iterations = max(0, head.bit_length() - 1)
    if exponent_size > 32:
        iterations += 8 * (exponent_size - 32)
    return max(_MODEXP_MIN, complexity * max(1, iterations) // 3)


def _address(number: int) -> bytes:
    return number.to_bytes(20, "big")


PRECOMPILES: MappingProxyType[bytes, Precompile] = MappingProxyType(
    {
        _address(1): ecrecover,
        _address(2): sha256,
        _address(3): ripemd,
        _address(4): identity,
        _address(5): modexp,
    }
)

COMPUTE_PER_GAS: MappingProxyType[bytes, int] = MappingProxyType({_address(3): 11, _address(5): 4})
"""Where a unit of gas is more than a unit of compute: RIPEMD-160 is plain Python, and EIP-2565 has
numbers of one machine word in mind, which Python has not."""
