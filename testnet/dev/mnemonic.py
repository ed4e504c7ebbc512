"""Accounts from a mnemonic, as every Ethereum tool derives them (BIP-39, BIP-32, BIP-44)."""

import hashlib
import hmac
import unicodedata
from typing import Final

import coincurve
from mnemonic import Mnemonic

from crypto.errors import DecodeError
from crypto.keys import SECP256K1_ORDER, AccountKey

WELL_KNOWN: Final = "test test test test test test test test test test test junk"
"""The mnemonic of development chains. PUBLIC: whoever uses its keys elsewhere loses everything."""
ROUNDS: Final = 2_048
_HARDENED: Final = 1 << 31
_ETHEREUM: Final = (44 | _HARDENED, 60 | _HARDENED, 0 | _HARDENED, 0)
"""m/44'/60'/0'/0, under which the accounts have their indexes (BIP-44, SLIP-44)."""


def check_mnemonic(words: str) -> str:
    """Return the mnemonic with single spaces; raises DecodeError unless words and checksum fit."""
    text = " ".join(words.lower().split())
    if not Mnemonic("english").check(text):
        raise DecodeError(
            "mnemonic", "must be 12 to 24 English words of BIP-39 with their checksum"
        )
    return text


def seed_of(words: str, passphrase: str = "") -> bytes:
    """Return the 64-byte seed of a mnemonic: PBKDF2-HMAC-SHA512, 2,048 rounds (BIP-39)."""
    password = unicodedata.normalize("NFKD", words).encode()
    salt = unicodedata.normalize("NFKD", "mnemonic" + passphrase).encode()
    return hashlib.pbkdf2_hmac("sha512", password, salt, ROUNDS)


def derive(seed: bytes, path: tuple[int, ...]) -> bytes:
    """Return the 32-byte secret at `path` below the master key of `seed` (BIP-32, private)."""
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    secret, chain_code = node[:32], node[32:]
    for index in path:
        if index & _HARDENED:
            parent = b"\0" + secret
        else:
            parent = coincurve.PrivateKey(secret).public_key.format(compressed=True)
        node = hmac.digest(chain_code, parent + index.to_bytes(4, "big"), "sha512")
        tweak = int.from_bytes(node[:32], "big")
        child = (tweak + int.from_bytes(secret, "big")) % SECP256K1_ORDER
        assert tweak < SECP256K1_ORDER, "no such key: chance 2**-127 (BIP-32)"
        assert child, "no such key: chance 2**-127 (BIP-32)"
        secret, chain_code = child.to_bytes(32, "big"), node[32:]
    return secret


def accounts(words: str, count: int) -> tuple[AccountKey, ...]:
    """Return the keys at m/44'/60'/0'/0/0 … `count` - 1."""
    seed = seed_of(words)
    return tuple(AccountKey(derive(seed, (*_ETHEREUM, index))) for index in range(count))
