"""Key files: one secret, encrypted under a password.

Argon2id (RFC 9106) makes the key, XSalsa20-Poly1305 (libsodium's secretbox) encrypts and
authenticates. The file is JSON in one canonical form, readable by its owner only. What the
secret opens is `crypto.keystore`'s business.
"""

import json
import os
import stat
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast, final

from nacl.exceptions import CryptoError as SodiumError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from nacl.utils import random as random_bytes

from crypto.errors import DecodeError, KeystoreError
from crypto.hashing import tagged_hash

Kind: TypeAlias = Literal["household", "meter"]
Cost: TypeAlias = Literal["moderate", "min"]
"""moderate: 256 MiB and about a second. min: nothing worth the name; for testnets and tests."""

SECRET_BYTES_MAX = 1024
FILE_BYTES_MAX = 8192

_VERSION = 1
_ALGORITHM = "argon2id13"
_COSTS: dict[Cost, tuple[int, int]] = {
    "moderate": (argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE),
    "min": (argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN),
}
# A hostile file may not ask for more memory or time than our own dearest one.
_OPS_MAX, _MEMORY_MAX = _COSTS["moderate"]
_CIPHERTEXT_BYTES_MAX = SECRET_BYTES_MAX + SecretBox.MACBYTES


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyFile:
    kind: str
    ops: int
    memory_bytes: int
    salt: bytes
    nonce: bytes
    ciphertext: bytes

    def to_text(self) -> str:
        kdf = {
            "algorithm": _ALGORITHM,
            "memory_bytes": self.memory_bytes,
            "ops": self.ops,
            "salt": self.salt.hex(),
        }
        content = {
            "ciphertext": self.ciphertext.hex(),
            "kdf": kdf,
            "kind": self.kind,
            "nonce": self.nonce.hex(),
            "version": _VERSION,
        }
        return json.dumps(content, indent=2) + "\n"

    def box(self, password: str) -> SecretBox:
        """Return the cipher under this file's costs and salt."""
        # The same password, typed on another system, may come in another normal form.
        typed = unicodedata.normalize("NFKC", password).encode("utf-8")
        stretched = argon2id.kdf(
            SecretBox.KEY_SIZE, typed, self.salt, opslimit=self.ops, memlimit=self.memory_bytes
        )
        # The kind takes part, so that a file relabelled by hand does not open.
        return SecretBox(tagged_hash(b"hearth/keystore/key", self.kind.encode(), stretched))


def create(
    path: Path, *, kind: Kind, secret: bytes, password: str, cost: Cost = "moderate"
) -> None:
    """Write a new key file, whole or not at all, with mode 0600.

    Args:
        path: must not exist; its folder must.
        kind: whose secret it is.
        secret: 1 to 1024 bytes.
        password: not empty.
        cost: of each attempt to guess the password.

    Raises:
        KeystoreError: the file exists or cannot be written.
    """
    if not 0 < len(secret) <= SECRET_BYTES_MAX:
        raise KeystoreError(f"secret must be 1 to {SECRET_BYTES_MAX} bytes, got {len(secret)}")
    if not password:
        raise KeystoreError("password must not be empty")
    ops, memory_bytes = _COSTS[cost]
    empty = _KeyFile(
        kind=kind,
        ops=ops,
        memory_bytes=memory_bytes,
        salt=random_bytes(argon2id.SALTBYTES),
        nonce=random_bytes(SecretBox.NONCE_SIZE),
        ciphertext=b"",
    )
    ciphertext = empty.box(password).encrypt(secret, empty.nonce).ciphertext
    full = _KeyFile(
        kind=kind,
        ops=ops,
        memory_bytes=memory_bytes,
        salt=empty.salt,
        nonce=empty.nonce,
        ciphertext=ciphertext,
    )
    try:
        _write_new(path, full.to_text().encode("ascii"))
    except FileExistsError:
        raise KeystoreError(f"{path} exists; a key file is never overwritten") from None
    except OSError as error:
        raise KeystoreError(f"cannot write {path}: {error.strerror}") from error


def open_keystore(path: Path, password: str, *, kind: Kind) -> bytes:
    """Return the secret of a key file.

    Raises:
        KeystoreError: cannot be read, is readable by others, is not a key file of this kind, or
            the password is wrong.
    """
    try:
        file = _parse(_read_private(path), field=str(path))
    except OSError as error:
        raise KeystoreError(f"cannot read {path}: {error.strerror}") from error
    except DecodeError as error:
        raise KeystoreError(str(error)) from None
    if file.kind != kind:
        raise KeystoreError(f"{path} is a key file of kind {file.kind}, expected {kind}")
    try:
        return file.box(password).decrypt(file.ciphertext, file.nonce)
    except SodiumError:
        raise KeystoreError(f"wrong password for {path}, or the file was altered") from None


def _write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data`, durably; a crash leaves either nothing or all of it."""
    descriptor, name = tempfile.mkstemp(prefix=".keys-", dir=path.parent)  # Mode 0600.
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails where the name is taken: no race can overwrite a key.
        os.link(temporary, path)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeystoreError(f"{path} is not a regular file")
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise KeystoreError(f"{path} has mode {mode:04o}; others can read it: chmod 600 it")
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise KeystoreError(f"{path} must be at most {FILE_BYTES_MAX} bytes")
    return data


def _parse(data: bytes, *, field: str) -> _KeyFile:
    """Return the key file whose one text is `data`; raises DecodeError."""
    try:
        content: object = json.loads(data)
    except (ValueError, RecursionError):
        raise DecodeError(field, "is not JSON") from None
    top = _object(content, field, ("ciphertext", "kdf", "kind", "nonce", "version"))
    kdf = _object(top["kdf"], f"{field}: kdf", ("algorithm", "memory_bytes", "ops", "salt"))
    if type(top["version"]) is not int or top["version"] != _VERSION:
        raise DecodeError(f"{field}: version", f"must be {_VERSION}")
    if kdf["algorithm"] != _ALGORITHM:
        raise DecodeError(f"{field}: kdf.algorithm", f"must be {_ALGORITHM}")
    if top["kind"] not in ("household", "meter"):
        raise DecodeError(f"{field}: kind", "must be household or meter")
    file = _KeyFile(
        kind=str(top["kind"]),
        ops=_int(kdf["ops"], f"{field}: kdf.ops", argon2id.OPSLIMIT_MIN, _OPS_MAX),
        memory_bytes=_int(
            kdf["memory_bytes"], f"{field}: kdf.memory_bytes", argon2id.MEMLIMIT_MIN, _MEMORY_MAX
        ),
        salt=_hex(kdf["salt"], f"{field}: kdf.salt", argon2id.SALTBYTES, argon2id.SALTBYTES),
        nonce=_hex(top["nonce"], f"{field}: nonce", SecretBox.NONCE_SIZE, SecretBox.NONCE_SIZE),
        ciphertext=_hex(
            top["ciphertext"],
            f"{field}: ciphertext",
            SecretBox.MACBYTES + 1,
            _CIPHERTEXT_BYTES_MAX,
        ),
    )
    if file.to_text().encode("ascii") != data:
        raise DecodeError(field, "is not in canonical form")
    return file


def _object(value: object, field: str, keys: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(value, dict) or tuple(sorted(value)) != keys:
        raise DecodeError(field, f"must be an object with the keys {', '.join(keys)}")
    return cast("dict[str, object]", value)


def _int(value: object, field: str, lo: int, hi: int) -> int:
    if type(value) is not int or not lo <= value <= hi:
        raise DecodeError(field, f"must be an integer in {lo}..{hi}")
    return value


def _hex(value: object, field: str, lo: int, hi: int) -> bytes:
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        raise DecodeError(field, "must be hex digits") from None
    if not lo <= len(data) <= hi:
        raise DecodeError(field, f"must be hex of {lo} to {hi} bytes, got {len(data)}")
    return data
