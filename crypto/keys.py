"""Signing keys: Ed25519 for nodes (libsodium), secp256k1 for accounts (libsecp256k1).

Both kinds sign in constant time in the secret, inside their C libraries, with nonces derived
from secret and message (RFC 8032; RFC 6979): no random source is needed or used.
"""

from typing import Self, final

import coincurve
from nacl import bindings as sodium
from nacl.exceptions import CryptoError as SodiumError

from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import keccak256

ADDRESS_BYTES = 20
SECRET_BYTES = 32
ED25519_PUBLIC_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
ACCOUNT_SIGNATURE_BYTES = 65
"""r (32) | s (32) | y parity (1), big-endian."""

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

_ADDRESS_PREFIX = "0x"


@final
class NodeKey:
    """An Ed25519 key pair (RFC 8032)."""

    __slots__ = ("_secret", "public")

    public: bytes
    """32 bytes."""

    def __init__(self, seed: bytes) -> None:
        _check_length("seed", seed, SECRET_BYTES)
        self.public, self._secret = sodium.crypto_sign_seed_keypair(seed)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key pair of a 32-byte secret seed."""
        return cls(seed)

    @property
    def seed(self) -> bytes:
        """The 32-byte secret from which the pair was made."""
        return self._secret[:SECRET_BYTES]

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`; the same each time."""
        return sodium.crypto_sign(message, self._secret)[:ED25519_SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"NodeKey(public={self.public.hex()})"


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Accept `signature` over `message` by the holder of `public`, or raise.

    libsodium's rule: S < ℓ, R and the key canonical and not of small order, and the equation
    without the cofactor. Every node uses the same library, so all decide alike.

    Raises:
        InvalidSignature: a wrong length, a refused key, or a signature that does not verify.
    """
    if len(public) != ED25519_PUBLIC_BYTES:
        raise InvalidSignature(f"public key must be 32 bytes, got {len(public)}")
    if len(signature) != ED25519_SIGNATURE_BYTES:
        raise InvalidSignature(f"signature must be 64 bytes, got {len(signature)}")
    try:
        sodium.crypto_sign_open(signature + message, public)
    except SodiumError:
        raise InvalidSignature("Ed25519 signature does not verify") from None


@final
class AccountKey:
    """A secp256k1 key pair with its Ethereum address."""

    __slots__ = ("_key", "address", "public")

    public: bytes
    """64 bytes: the uncompressed point without its prefix byte."""
    address: bytes
    """20 bytes: the last of the Keccak-256 of `public`."""

    def __init__(self, secret: bytes) -> None:
        _check_length("secret", secret, SECRET_BYTES)
        if not 0 < int.from_bytes(secret, "big") < SECP256K1_ORDER:
            raise DecodeError("secret", "must be a scalar in 1..n-1")
        self._key = coincurve.PrivateKey(secret)
        self.public = self._key.public_key.format(compressed=False)[1:]
        self.address = keccak256(self.public)[-ADDRESS_BYTES:]

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Return the key pair of a 32-byte big-endian secret scalar in 1..n-1."""
        return cls(secret)

    @property
    def secret(self) -> bytes:
        """The 32-byte secret scalar."""
        return bytes(self._key.secret)

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        """Return (r, s, y parity) over a 32-byte digest, with the low s (EIP-2)."""
        signature = self.sign65(digest)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return r, s, signature[64]

    def sign65(self, digest: bytes) -> bytes:
        """Return r | s | y parity (65 bytes) over a 32-byte digest, with the low s (EIP-2)."""
        _check_length("digest", digest, 32)
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        assert signature[64] < 2, "r overflowed the group order: chance 2**-127"
        return signature

    def __repr__(self) -> str:
        return f"AccountKey(address={checksum_address(self.address)})"


def recover_address(digest: bytes, r: int, s: int, y_parity: int) -> bytes:
    """Return the 20-byte address whose key signed the 32-byte `digest`.

    Raises:
        InvalidSignature: r or s outside 1..n-1, s in the upper half (EIP-2: it would be a second
            form of the same signature), a parity other than 0 or 1, or no such point.
    """
    if len(digest) != 32:
        raise InvalidSignature(f"digest must be 32 bytes, got {len(digest)}")
    if not 0 < r < SECP256K1_ORDER:
        raise InvalidSignature("r must lie in 1..n-1")
    if not 0 < s <= SECP256K1_ORDER // 2:
        raise InvalidSignature("s must lie in 1..n/2")
    if y_parity not in (0, 1):
        raise InvalidSignature(f"y parity must be 0 or 1, got {y_parity}")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        raise InvalidSignature("r is not the abscissa of a point that could have signed") from None
    return keccak256(key.format(compressed=False)[1:])[-ADDRESS_BYTES:]


def verify_account(address: bytes, digest: bytes, signature: bytes) -> None:
    """Accept r | s | y parity (65 bytes) over `digest` by the holder of `address`, or raise.

    Raises:
        InvalidSignature: as `recover_address`, or another key signed.
    """
    if len(signature) != ACCOUNT_SIGNATURE_BYTES:
        raise InvalidSignature(f"signature must be 65 bytes, got {len(signature)}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    signer = recover_address(digest, r, s, signature[64])
    if signer != address:
        raise InvalidSignature(f"signed by 0x{signer.hex()}, expected 0x{address.hex()}")


def checksum_address(address: bytes) -> str:
    """Return "0x" and 40 hex digits, in which upper case is a checksum (EIP-55)."""
    _check_length("address", address, ADDRESS_BYTES)
    digits = address.hex()
    mask = keccak256(digits.encode("ascii")).hex()
    upper = (d.upper() if m >= "8" else d for d, m in zip(digits, mask, strict=False))
    return _ADDRESS_PREFIX + "".join(upper)


def parse_address(text: str, field: str) -> bytes:
    """Return the 20 bytes of an address in hex; where the case is mixed, EIP-55 must hold.

    Raises:
        DecodeError: not "0x" and 40 hex digits, or a wrong checksum (most likely a typing error).
    """
    digits = text[2:]
    if not text.startswith(_ADDRESS_PREFIX) or len(digits) != 2 * ADDRESS_BYTES:
        raise DecodeError(field, 'must be "0x" and 40 hex digits')
    if not all(d in "0123456789abcdefABCDEF" for d in digits):
        raise DecodeError(field, 'must be "0x" and 40 hex digits')
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and text != checksum_address(address):
        raise DecodeError(field, "has a wrong checksum (EIP-55)")
    return address


def _check_length(field: str, data: bytes, length: int) -> None:
    if len(data) != length:
        raise DecodeError(field, f"must be {length} bytes, got {len(data)}")
