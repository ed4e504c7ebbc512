"""Web3 Secret Storage, version 3: the key files of Ethereum's wallets (geth, MetaMask, MyCrypto).

Read only: our own key files are `crypto.keyfile`'s. A password is stretched by scrypt (RFC 7914)
or PBKDF2-HMAC-SHA256 (RFC 8018); its first half is the AES-128-CTR key of the secret, its second
half authenticates the ciphertext with Keccak-256 (Ethereum wiki, "Web3 Secret Storage Definition").
"""

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl._sodium import ffi, lib  # type: ignore[import-not-found]  # Compiled, without types.

from crypto.errors import DecodeError, KeystoreError
from crypto.hashing import keccak256
from crypto.keys import SECRET_BYTES, AccountKey

FILE_BYTES_MAX = 8192
SCRYPT_MEMORY_BYTES_MAX = 512 * 1024 * 1024
"""Of 128 * n * r. Twice what geth's dearest setting (n = 2**18, r = 8) takes."""
SCRYPT_WORK_MAX = 1 << 23
"""Of n * r * p, the number of mixed blocks: four times geth's, some seconds."""
PBKDF2_ROUNDS_MAX = 10_000_000
"""Some seconds. Wallets write 262,144."""
PASSWORD_BYTES_MAX = 1024

_KEY_BYTES = 32
_IV_BYTES = 16
_SALT_BYTES_MAX = 256


def open_web3_keystore(content: bytes, password: str) -> AccountKey:
    """Return the account in a key file.

    Args:
        content: the file's bytes, from anywhere.
        password: as typed; UTF-8, not normalised, as the wallets that wrote the file do.

    Raises:
        DecodeError: not such a file, a cost above our limits, or not a key (the field is named).
        KeystoreError: the password is wrong, or the file was changed.
    """
    file = _parse(content)
    typed = password.encode("utf-8")
    if len(typed) > PASSWORD_BYTES_MAX:
        raise DecodeError("password", f"must be at most {PASSWORD_BYTES_MAX} bytes")
    crypto = _object(file, "crypto")
    if crypto.get("cipher") != "aes-128-ctr":
        raise DecodeError("crypto.cipher", 'must be "aes-128-ctr"')
    iv = _hex(_object(crypto, "cipherparams"), "iv", lo=_IV_BYTES, hi=_IV_BYTES)
    ciphertext = _hex(crypto, "ciphertext", lo=SECRET_BYTES, hi=SECRET_BYTES)
    mac = _hex(crypto, "mac", lo=32, hi=32)
    stretched = _stretch(crypto, typed)
    if not hmac.compare_digest(mac, keccak256(stretched[16:] + ciphertext)):
        raise KeystoreError("the password is wrong, or the key file was changed")
    decryptor = Cipher(algorithms.AES(stretched[:16]), modes.CTR(iv)).decryptor()
    key = AccountKey.from_secret(decryptor.update(ciphertext) + decryptor.finalize())
    if "address" in file and _hex(file, "address", lo=20, hi=20) != key.address:
        raise KeystoreError(f"the key file names another account than it holds, {key!r}")
    return key


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > FILE_BYTES_MAX:
        raise DecodeError("file", f"must be at most {FILE_BYTES_MAX} bytes, got {len(content)}")
    try:
        file = json.loads(content)
    except (ValueError, RecursionError):
        raise DecodeError("file", "is not JSON") from None
    if not isinstance(file, dict):
        raise DecodeError("file", "must be a JSON object")
    version = file.get("version")
    if isinstance(version, bool) or version != 3:
        raise DecodeError("version", f"must be 3, got {str(version)[:32]}")
    return file


def _stretch(crypto: dict[str, Any], password: bytes) -> bytes:
    """Return 32 secret bytes from the password, at the costs that the file names."""
    params = _object(crypto, "kdfparams")
    salt = _hex(params, "salt", lo=0, hi=_SALT_BYTES_MAX)
    _integer(params, "dklen", lo=_KEY_BYTES, hi=_KEY_BYTES)
    match crypto.get("kdf"):
        case "scrypt":
            return _scrypt(params, salt, password)
        case "pbkdf2":
            if params.get("prf") != "hmac-sha256":
                raise DecodeError("kdfparams.prf", 'must be "hmac-sha256"')
            rounds = _integer(params, "c", lo=1, hi=PBKDF2_ROUNDS_MAX)
            return hashlib.pbkdf2_hmac("sha256", password, salt, rounds, _KEY_BYTES)
        case _:
            raise DecodeError("crypto.kdf", 'must be "scrypt" or "pbkdf2"')


def _scrypt(params: dict[str, Any], salt: bytes, password: bytes) -> bytes:
    n = _integer(params, "n", lo=2, hi=SCRYPT_WORK_MAX)
    r = _integer(params, "r", lo=1, hi=SCRYPT_WORK_MAX)
    p = _integer(params, "p", lo=1, hi=SCRYPT_WORK_MAX)
    if n & (n - 1):
        raise DecodeError("kdfparams.n", f"must be a power of two, got {n}")
    memory = 128 * r * (n + p)
    if memory > SCRYPT_MEMORY_BYTES_MAX or n * r * p > SCRYPT_WORK_MAX:
        raise DecodeError("kdfparams", f"n {n}, r {r}, p {p} cost more than a key file may")
    # libsodium's own function: OpenSSL, and PyNaCl's wrapper, refuse n >= 2**(16 r), as RFC 7914
    # demands, but wallets have written such files (r = 1) and the published vectors hold one.
    stretched = ffi.new("uint8_t[]", _KEY_BYTES)
    failed = lib.crypto_pwhash_scryptsalsa208sha256_ll(
        password, len(password), salt, len(salt), n, r, p, stretched, _KEY_BYTES
    )
    if failed:
        raise KeystoreError(f"there is no memory for scrypt with n {n}, r {r}, p {p}")
    return bytes(stretched)


def _object(parent: dict[str, Any], field: str) -> dict[str, Any]:
    value = parent.get(field)
    if not isinstance(value, dict):
        raise DecodeError(field, "must be a JSON object")
    return value


def _integer(parent: dict[str, Any], field: str, *, lo: int, hi: int) -> int:
    value = parent.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"kdfparams.{field}", "must be an integer")
    if not lo <= value <= hi:
        raise DecodeError(f"kdfparams.{field}", f"must lie in {lo}..{hi}")
    return value


def _hex(parent: dict[str, Any], field: str, *, lo: int, hi: int) -> bytes:
    text = parent.get(field)
    if not isinstance(text, str):
        raise DecodeError(field, "must be hex digits")
    digits = text.removeprefix("0x")
    if len(digits) % 2 or any(d not in "0123456789abcdefABCDEF" for d in digits):
        raise DecodeError(field, "must be hex digits")
    if not lo <= len(digits) // 2 <= hi:
        raise DecodeError(field, f"must be {lo} to {hi} bytes, got {len(digits) // 2}")
    return bytes.fromhex(digits)
