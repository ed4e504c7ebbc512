"""Key files of Ethereum's wallets: read as published, and refused with the field that is wrong."""

import json
import os
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import web3_keystore
from crypto.errors import DecodeError, KeystoreError
from crypto.keys import AccountKey
from crypto.web3_keystore import open_web3_keystore

SECRET = bytes(range(1, 33))
PASSWORD = "Stromzähler"


def made(**costs):
    """A key file written by another program."""
    return Account.encrypt(SECRET.hex(), PASSWORD, **costs)


@pytest.fixture(scope="module")
def file():
    return made(kdf="pbkdf2", iterations=2)


def opened(content, password=PASSWORD):
    return open_web3_keystore(json.dumps(content).encode(), password)


@pytest.mark.parametrize("costs", [{"kdf": "pbkdf2", "iterations": 3}, {"kdf": "scrypt"}])
def test_a_file_of_another_program_opens(costs):
    if costs["kdf"] == "scrypt":
        costs = {**costs, "iterations": 1 << 10}
    assert opened(made(**costs)).secret == SECRET


def test_the_published_files_open():
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    path = Path(folder) / "evm" / "other" / "KeyStoreTests" / "basic_tests.json"
    tests = json.loads(path.read_text())
    for entry in (tests["mycrypto"], tests["evilnonce"]):
        assert opened(entry["json"], entry["password"]).secret.hex() == entry["priv"]


def test_a_wrong_password_is_told_from_a_wrong_file(file):
    with pytest.raises(KeystoreError, match="password is wrong"):
        opened(file, "Stromzahler")


@settings(max_examples=40)
@given(data=st.data())
def test_no_digit_of_what_is_authenticated_can_be_changed(file, data):
    changed = json.loads(json.dumps(file))
    name = data.draw(st.sampled_from(["ciphertext", "mac"]))
    digits = changed["crypto"][name]
    at = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from(sorted(set("0123456789abcdef") - {digits[at]})))
    changed["crypto"][name] = digits[:at] + other + digits[at + 1 :]
    with pytest.raises(KeystoreError):
        opened(changed)


def test_the_address_is_checked_where_there_is_one(file):
    own = AccountKey.from_secret(SECRET).address.hex()
    assert opened({**file, "address": "0x" + own}).address.hex() == own
    with pytest.raises(KeystoreError, match="another account"):
        opened({**file, "address": "00" * 20})


def replaced(file, path, value):
    changed = json.loads(json.dumps(file))
    *parents, last = path.split(".")
    inner = changed
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("version", 1, "version"),
        ("version", True, "version"),
        ("crypto", [], "crypto"),
        ("crypto.cipher", "aes-128-cbc", "cipher"),
        ("crypto.cipherparams", None, "cipherparams"),
        ("crypto.cipherparams.iv", "00" * 15, "iv"),
        ("crypto.ciphertext", "00" * 33, "ciphertext"),
        ("crypto.ciphertext", "0g" * 32, "ciphertext"),
        ("crypto.ciphertext", "000", "ciphertext"),
        ("crypto.ciphertext", 7, "ciphertext"),
        ("crypto.mac", "", "mac"),
        ("crypto.kdf", "argon2", "kdf"),
        ("crypto.kdfparams.prf", "hmac-sha1", "prf"),
        ("crypto.kdfparams.dklen", 16, "dklen"),
        ("crypto.kdfparams.dklen", 1 << 40, "dklen"),
        ("crypto.kdfparams.salt", "00" * 257, "salt"),
        ("crypto.kdfparams.c", 0, "c"),
        ("crypto.kdfparams.c", True, "c"),
        ("crypto.kdfparams.c", web3_keystore.PBKDF2_ROUNDS_MAX + 1, "c"),
    ],
)
def test_what_is_not_such_a_file_is_refused_by_field(file, path, value, field):
    with pytest.raises(DecodeError) as refusal:
        opened(replaced(file, path, value))
    assert refusal.value.field.split(".")[-1] == field


@pytest.mark.parametrize(
    ("n", "r", "p"),
    [
        (1000, 8, 1),
        (1, 8, 1),
        (0, 8, 1),
        (1 << 20, 8, 1),
        (1 << 18, 8, 8),
        (2, 1 << 23, 1),
        (2, 1, 1 << 23),
        (1024, 0, 1),
        (1024, 8, 0),
        (1 << 64, 8, 1),
    ],
)
def test_no_file_can_ask_for_more_work_than_we_allow(file, n, r, p, monkeypatch):
    """Decided before any memory is taken."""
    monkeypatch.setattr(web3_keystore, "lib", None)
    params = {"n": n, "r": r, "p": p, "dklen": 32, "salt": "00"}
    crypto = {**file["crypto"], "kdf": "scrypt", "kdfparams": params}
    with pytest.raises(DecodeError) as refusal:
        opened({**file, "crypto": crypto})
    assert refusal.value.field.startswith("kdfparams")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"7", b"[" * 5_000, b" " * 8193])
def test_bytes_that_are_no_object_are_refused(content):
    with pytest.raises(DecodeError) as refusal:
        open_web3_keystore(content, PASSWORD)
    assert refusal.value.field == "file"


def test_a_password_has_a_bound(file):
    with pytest.raises(DecodeError) as refusal:
        opened(file, "a" * 1025)
    assert refusal.value.field == "password"
