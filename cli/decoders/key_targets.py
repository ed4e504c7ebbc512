"""Targets: key files, backup words, secrets, and what is sealed to a key."""

from functools import cache
from typing import Final

from cli.decoders import material, scratch
from cli.decoders.target import Finding, Target
from crypto import (
    community_box,
    web3_keystore,
)
from crypto.errors import (
    DecodeError,
    InvalidPoint,
    InvalidScalar,
    KeystoreError,
)
from crypto.keyfile import open_keystore
from crypto.keys import AccountKey, NodeKey
from crypto.keystore import HouseholdKeys, MeterKeys
from node.errors import ConfigError
from node.home import load_household

_PASSWORD: Final = "public"  # noqa: S105  So is the key.
_ELEMENTS: Final = (DecodeError, InvalidPoint, InvalidScalar)
_ARGON_SECONDS: Final = 3.0
"""A file may ask for as much as our dearest setting; on a slow board it takes this long."""


# Keys.


@cache
def _key_file(kind: str) -> bytes:
    path = scratch.folder() / f"seed.{kind}"
    if kind == "household":
        HouseholdKeys.from_entropy(bytes(32)).save(path, _PASSWORD, cost="min")
    else:
        MeterKeys.from_entropy(bytes(32)).save(path, _PASSWORD, cost="min")
    content = path.read_bytes()
    path.unlink()
    return content


def _household_keys(data: bytes) -> None:
    path = scratch.file("some.keys", data)
    keys = HouseholdKeys.load(path, _PASSWORD)
    if load_household(path, _PASSWORD).account.address != keys.account.address:
        raise Finding("a key file holds two keys")


def _household_file(data: bytes) -> None:
    load_household(scratch.file("some.keys", data), _PASSWORD)


def _meter_keys(data: bytes) -> None:
    MeterKeys.load(scratch.file("some.keys", data), _PASSWORD)


def _words(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    keys = HouseholdKeys.from_words(text)
    if " ".join(text.lower().split()) != keys.words():
        raise Finding("other words than those that were read")


def _wallet_files() -> list[bytes]:
    """Made by the rules of the format, with costs that a fuzzer can pay."""
    return [_wallet_file(kdf) for kdf in ("pbkdf2", "scrypt")]


def _wallet_file(kdf: str) -> bytes:
    import hashlib
    import json

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    from crypto.hashing import keccak256

    password, salt, iv = _PASSWORD.encode(), bytes(16), bytes(16)
    if kdf == "pbkdf2":
        params: dict[str, object] = {"c": 2, "prf": "hmac-sha256"}
        stretched = hashlib.pbkdf2_hmac("sha256", password, salt, 2, 32)
    else:
        params = {"n": 4, "r": 1, "p": 1}
        stretched = hashlib.scrypt(password, salt=salt, n=4, r=1, p=1, dklen=32)
    encryptor = Cipher(algorithms.AES(stretched[:16]), modes.CTR(iv)).encryptor()
    key = AccountKey.from_secret(material.digest(3))
    ciphertext = encryptor.update(key.secret) + encryptor.finalize()
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": kdf,
        "kdfparams": {**params, "dklen": 32, "salt": salt.hex()},
        "mac": keccak256(stretched[16:] + ciphertext).hex(),
    }
    return json.dumps({"version": 3, "address": key.address.hex(), "crypto": crypto}).encode()


def _wallet(data: bytes) -> None:
    web3_keystore.open_web3_keystore(data, _PASSWORD)


def _secret(data: bytes) -> bytes:
    return AccountKey.from_secret(data).secret


def _seed(data: bytes) -> bytes:
    return NodeKey.from_seed(data).seed


def _entropy(data: bytes) -> None:
    HouseholdKeys.from_entropy(data)
    MeterKeys.from_entropy(data)


def _boxes() -> list[bytes]:
    holder = material.chain().community.nodes[0]
    context = community_box.deal_context(bytes(32), 1)
    dealt = community_box.deal(context, bytes(20), bytes(32), [holder.public], rng=material.rng())
    return [dealt[: community_box.POINT_BYTES + community_box.BOX_BYTES]]


def _box(data: bytes) -> None:
    """A dealer's ephemeral key and box: whatever it holds, 32 bytes or a refusal come out."""
    holder = material.chain().community.nodes[0]
    context = community_box.deal_context(bytes(32), 1)
    key = community_box.open_box(context, holder, data[:32], data[32:])
    shared, _ = community_box.prove_shared(context, holder, data[:32], rng=material.rng())
    again = community_box.open_shared(context, holder.public, data[:32], data[32:], shared)
    if len(key) != 32 or again != key:
        raise Finding("a box opens in two ways")


TARGETS: Final = (
    Target(
        name="household-keys",
        covers=(HouseholdKeys.load, open_keystore),
        run=_household_keys,
        refuses=(KeystoreError,),
        seeds=lambda: [_key_file("household")],
        seconds=_ARGON_SECONDS,
    ),
    Target(
        name="household-file",
        covers=(load_household,),
        run=_household_file,
        refuses=(ConfigError,),
        seeds=lambda: [_key_file("household")],
        seconds=_ARGON_SECONDS,
    ),
    Target(
        name="meter-keys",
        covers=(MeterKeys.load,),
        run=_meter_keys,
        refuses=(KeystoreError,),
        seeds=lambda: [_key_file("meter")],
        seconds=_ARGON_SECONDS,
    ),
    Target(
        name="backup-words",
        covers=(HouseholdKeys.from_words,),
        run=_words,
        refuses=(DecodeError,),
        seeds=lambda: [HouseholdKeys.from_entropy(bytes(32)).words().encode()],
        cases=60,
    ),
    Target(
        name="wallet-file",
        covers=(web3_keystore.open_web3_keystore,),
        run=_wallet,
        refuses=(DecodeError, KeystoreError),
        seeds=_wallet_files,
        seconds=10.0,
    ),
    Target(
        name="account-secret",
        covers=(AccountKey.from_secret,),
        run=_secret,
        refuses=(DecodeError,),
        seeds=lambda: [material.digest(3)],
        bytes_max=64,
    ),
    Target(
        name="node-seed",
        covers=(NodeKey.from_seed,),
        run=_seed,
        refuses=(DecodeError,),
        seeds=lambda: [material.digest(3)],
        bytes_max=64,
    ),
    Target(
        name="entropy",
        covers=(HouseholdKeys.from_entropy, MeterKeys.from_entropy),
        run=_entropy,
        refuses=(DecodeError,),
        seeds=lambda: [bytes(32)],
        bytes_max=64,
    ),
    Target(
        name="community-box",
        covers=(community_box.open_box, community_box.open_shared),
        run=_box,
        refuses=_ELEMENTS,
        seeds=_boxes,
        bytes_max=128,
    ),
)
