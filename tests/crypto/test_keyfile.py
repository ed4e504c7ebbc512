import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import keyfile
from crypto.errors import DecodeError, KeystoreError

SECRET = bytes(range(32))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "household.keys"
    keyfile.create(path, kind="household", secret=SECRET, password="pässword", cost="min")
    return path


def rewrite(path, change):
    content = json.loads(path.read_text("ascii"))
    change(content)
    path.write_text(json.dumps(content, indent=2) + "\n", "ascii")


def test_a_secret_comes_back_under_its_password(path):
    assert keyfile.open_keystore(path, "pässword", kind="household") == SECRET
    assert SECRET.hex() not in path.read_text("ascii")


def test_the_same_password_in_another_normal_form(path):
    """Some systems send ä as one code point, some as two."""
    assert keyfile.open_keystore(path, "pa\u0308ssword", kind="household") == SECRET


@pytest.mark.parametrize("password", ["", "password", "pässword "])
def test_a_wrong_password_is_called_so(path, password):
    with pytest.raises(KeystoreError, match="wrong password"):
        keyfile.open_keystore(path, password, kind="household")


def test_only_the_owner_can_read_it(path):
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o610, 0o602):
        path.chmod(mode)
        with pytest.raises(KeystoreError, match="others can read it"):
            keyfile.open_keystore(path, "pässword", kind="household")


def test_a_key_file_is_never_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="never overwritten"):
        keyfile.create(path, kind="meter", secret=b"other", password="x", cost="min")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeystoreError, match="No space left on device"):
        keyfile.create(tmp_path / "k", kind="meter", secret=b"s", password="x", cost="min")
    assert list(tmp_path.iterdir()) == []


def test_file_and_folder_are_synced_before_create_returns(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_mode) or real(fd))
    keyfile.create(tmp_path / "k", kind="meter", secret=b"s", password="x", cost="min")
    assert [mode & 0o170000 for mode in synced] == [0o100000, 0o040000]


@pytest.mark.parametrize(
    ("secret", "password", "reason"),
    [(b"", "x", "1 to 1024"), (b"x" * 1025, "x", "1 to 1024"), (b"x", "", "must not be empty")],
)
def test_refused_arguments(tmp_path, secret, password, reason):
    with pytest.raises(KeystoreError, match=reason):
        keyfile.create(tmp_path / "k", kind="meter", secret=secret, password=password, cost="min")


def test_the_largest_secret_fits(tmp_path):
    secret = bytes(keyfile.SECRET_BYTES_MAX)
    keyfile.create(tmp_path / "k", kind="meter", secret=secret, password="x", cost="min")
    assert (tmp_path / "k").stat().st_size <= keyfile.FILE_BYTES_MAX
    assert keyfile.open_keystore(tmp_path / "k", "x", kind="meter") == secret


def test_the_kind_is_checked_and_authenticated(path):
    with pytest.raises(KeystoreError, match="of kind household, expected meter"):
        keyfile.open_keystore(path, "pässword", kind="meter")
    rewrite(path, lambda content: content.update(kind="meter"))
    with pytest.raises(KeystoreError, match="the file was altered"):
        keyfile.open_keystore(path, "pässword", kind="meter")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(version=2), "version: must be 1"),
        (lambda c: c.update(version=True), "version: must be 1"),
        (lambda c: c.update(kind="wallet"), "kind: must be household or meter"),
        (lambda c: c.update(nonce="00"), "nonce: must be hex of 24 to 24 bytes, got 1"),
        (lambda c: c.update(nonce=5), "nonce: must be hex"),
        (lambda c: c.update(nonce="zz"), "nonce: must be hex digits"),
        (lambda c: c.update(nonce=c["nonce"][:-1] + " "), "nonce: must be hex"),
        (lambda c: c.update(ciphertext="00" * 16), "ciphertext: must be hex of 17 to"),
        (lambda c: c.update(ciphertext="00" * 1041), "ciphertext: must be hex of 17 to"),
        (lambda c: c.update(extra=1), "must be an object with the keys"),
        (lambda c: c.pop("nonce"), "must be an object with the keys"),
        (lambda c: c.update(kdf=[]), "kdf: must be an object"),
        (lambda c: c["kdf"].update(algorithm="argon2i"), "kdf.algorithm: must be argon2id13"),
        (lambda c: c["kdf"].update(memory_bytes=2**28 + 1), "kdf.memory_bytes: must be an integer"),
        (lambda c: c["kdf"].update(memory_bytes=8191), "kdf.memory_bytes: must be an integer"),
        (lambda c: c["kdf"].update(ops=4), "kdf.ops: must be an integer in 1..3"),
        (lambda c: c["kdf"].update(ops=1.0), "kdf.ops: must be an integer in 1..3"),
        (lambda c: c["kdf"].update(salt=""), "kdf.salt: must be hex of 16 to 16 bytes, got 0"),
        (lambda c: c.update(nonce=c["nonce"].upper()), "not in canonical form"),
    ],
)
def test_a_bad_file_is_refused_with_the_field(path, change, reason):
    rewrite(path, change)
    with pytest.raises(KeystoreError, match=reason):
        keyfile.open_keystore(path, "x", kind="household")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "not JSON"), (b"\xff", "not JSON"), (b"[" * 8000, "not JSON"), (b"[]", "an object"),
     (b"1" * 8000, "not JSON"), (b" " * 8193, "at most 8192 bytes")],
)  # fmt: skip
def test_what_is_no_key_file(path, data, reason):
    path.write_bytes(data)
    with pytest.raises(KeystoreError, match=reason):
        keyfile.open_keystore(path, "x", kind="household")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(KeystoreError, match="No such file"):
        keyfile.open_keystore(tmp_path / "none", "x", kind="household")
    with pytest.raises(KeystoreError, match="cannot write"):
        keyfile.create(tmp_path / "no" / "k", kind="meter", secret=b"s", password="x", cost="min")
    os.mkfifo(tmp_path / "pipe", 0o600)
    reader = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(KeystoreError, match="not a regular file"):
            keyfile.open_keystore(tmp_path / "pipe", "x", kind="household")
    finally:
        os.close(reader)


@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.booleans())
def test_whatever_parses_is_canonical(at, byte, cut):
    file = keyfile._KeyFile(
        kind="meter",
        ops=1,
        memory_bytes=8192,
        salt=bytes(16),
        nonce=bytes(24),
        ciphertext=bytes(48),
    )
    data = bytearray(file.to_text().encode("ascii"))
    assert keyfile._parse(bytes(data), field="file") == file
    data[at : at + 1] = b"" if cut else bytes([byte])
    try:
        parsed = keyfile._parse(bytes(data), field="file")
    except DecodeError:
        return
    assert parsed.to_text().encode("ascii") == data
