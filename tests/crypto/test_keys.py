import warnings
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import keccak256
from crypto.keys import (
    SECP256K1_ORDER,
    AccountKey,
    NodeKey,
    checksum_address,
    parse_address,
    recover_address,
    verify_account,
    verify_ed25519,
)

SECRETS = st.integers(1, SECP256K1_ORDER - 1).map(lambda n: n.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def account(number):
    return AccountKey.from_secret(number.to_bytes(32, "big"))


# Ed25519


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_rfc_8032_section_7_1(seed, public, message, signature):
    key = NodeKey.from_seed(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.seed.hex() == seed
    assert key.sign(bytes.fromhex(message)).hex() == signature
    verify_ed25519(key.public, bytes.fromhex(message), bytes.fromhex(signature))


@given(message=st.binary(max_size=100), bit=st.integers(0, 511))
def test_a_flipped_bit_does_not_verify(message, bit):
    key = NodeKey.from_seed(bytes(32))
    signature = bytearray(key.sign(message))
    verify_ed25519(key.public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        verify_ed25519(key.public, message, bytes(signature))
    with pytest.raises(InvalidSignature):
        verify_ed25519(key.public, message + b"x", key.sign(message))


def test_s_above_the_order_is_refused():
    """S + ℓ satisfies the equation too: RFC 8032, section 8.4, wants it refused."""
    key = NodeKey.from_seed(bytes(32))
    signature = key.sign(b"m")
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    with pytest.raises(InvalidSignature):
        verify_ed25519(key.public, b"m", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "public",
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_keys_of_small_order_are_refused(public):
    """Under such a key, R = the key and S = 0 would verify for some or for all messages."""
    for r in (public, "01" + "00" * 31):
        for n in range(16):
            with pytest.raises(InvalidSignature):
                verify_ed25519(bytes.fromhex(public), bytes([n]), bytes.fromhex(r) + bytes(32))


def test_lengths_are_named():
    key = NodeKey.from_seed(bytes(32))
    with pytest.raises(InvalidSignature, match="signature must be 64 bytes, got 63"):
        verify_ed25519(key.public, b"", bytes(63))
    with pytest.raises(InvalidSignature, match="public key must be 32 bytes, got 33"):
        verify_ed25519(key.public + b"x", b"", bytes(64))
    with pytest.raises(DecodeError, match="seed: must be 32 bytes, got 31"):
        NodeKey.from_seed(bytes(31))


# secp256k1


def test_deterministic_nonce():
    """RFC 6979 for secp256k1 with SHA-256: the vector that most libraries share."""
    r, s, _ = account(1).sign_digest(sha256(b"Satoshi Nakamoto").digest())
    assert r == 0x934B1EA10A4B3C1757E2B0C017D0B6143CE3C9A7E6A4A49860D7A6AB210EE3D8
    assert s == 0x2442CE9D2B916064108014783E923EC36B49743E2FFA1C4496F01A512AAFD9E5


def test_the_address_of_the_generator():
    key = account(1)
    assert key.public.hex().startswith("79be667ef9dcbbac55a06295ce870b07")
    assert len(key.public) == 64
    assert checksum_address(key.address) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert key.secret == (1).to_bytes(32, "big")


@given(secret=SECRETS, digest=DIGESTS)
def test_whoever_signed_is_recovered(secret, digest):
    key = AccountKey.from_secret(secret)
    r, s, y_parity = key.sign_digest(digest)
    assert 0 < s <= SECP256K1_ORDER // 2
    assert recover_address(digest, r, s, y_parity) == key.address
    signature = key.sign65(digest)
    assert signature == r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([y_parity])
    verify_account(key.address, digest, signature)


@given(digest=DIGESTS, bit=st.integers(0, 519))
def test_a_flipped_bit_is_another_signer_or_none(digest, bit):
    signature = bytearray(account(7).sign65(digest))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        verify_account(account(7).address, digest, bytes(signature))


def test_same_signature_as_the_reference_library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Its dependencies warn at import.
        from eth_account import Account

        for number in (1, 2, 12345, SECP256K1_ORDER - 1):
            key, digest = account(number), keccak256(number.to_bytes(32, "big"))
            signed = Account.unsafe_sign_hash(digest, key.secret)
            assert key.sign_digest(digest) == (signed.r, signed.s, signed.v - 27)
            assert checksum_address(key.address) == Account.from_key(key.secret).address


DIGEST = keccak256(b"digest")
R, S, PARITY = account(7).sign_digest(DIGEST)


@pytest.mark.parametrize(
    ("r", "s", "y_parity", "reason"),
    [
        (R, SECP256K1_ORDER - S, 1 - PARITY, "s must lie in 1..n/2"),
        (R, 0, PARITY, "s must lie"),
        (R, SECP256K1_ORDER // 2 + 1, PARITY, "s must lie"),
        (0, S, PARITY, "r must lie in 1..n-1"),
        (SECP256K1_ORDER, S, PARITY, "r must lie"),
        (2**256, S, PARITY, "r must lie"),
        (-1, S, PARITY, "r must lie"),
        (R, S, 2, "y parity must be 0 or 1, got 2"),
        (R, S, 27, "y parity must be 0 or 1, got 27"),
        (5, S, 0, "not the abscissa"),
    ],
)
def test_eip_2_and_ranges(r, s, y_parity, reason):
    """The first signature is mathematically good: accepting it would give each a second form."""
    with pytest.raises(InvalidSignature, match=reason):
        recover_address(DIGEST, r, s, y_parity)


def test_account_lengths_are_named():
    key = account(7)
    with pytest.raises(InvalidSignature, match="signature must be 65 bytes, got 64"):
        verify_account(key.address, DIGEST, bytes(64))
    with pytest.raises(InvalidSignature, match="digest must be 32 bytes, got 31"):
        recover_address(bytes(31), R, S, PARITY)
    with pytest.raises(DecodeError, match="digest: must be 32 bytes, got 33"):
        key.sign65(bytes(33))
    with pytest.raises(DecodeError, match="secret: must be 32 bytes, got 1"):
        AccountKey.from_secret(b"x")
    with pytest.raises(InvalidSignature, match="signed by 0x"):
        verify_account(account(8).address, DIGEST, key.sign65(DIGEST))


@pytest.mark.parametrize("number", [0, SECP256K1_ORDER, 2**256 - 1])
def test_secrets_outside_the_group_are_refused(number):
    with pytest.raises(DecodeError, match=r"secret: must be a scalar in 1\.\.n-1"):
        account(number)


def test_no_key_shows_its_secret():
    secret = bytes(range(100, 132))
    for key in (AccountKey.from_secret(secret), NodeKey.from_seed(secret)):
        for text in (repr(key), str(key), f"{key}"):
            assert secret.hex() not in text
            assert repr(secret) not in text


# Addresses


@pytest.mark.parametrize(
    "text",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
    ],
)
def test_eip_55_examples(text):
    address = parse_address(text, "to")
    assert address == bytes.fromhex(text[2:])
    assert checksum_address(address) == text
    assert parse_address(text.lower(), "to") == address
    assert parse_address("0x" + text[2:].upper(), "to") == address


@given(st.binary(min_size=20, max_size=20))
def test_addresses_round_trip(address):
    assert parse_address(checksum_address(address), "to") == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "wrong checksum"),
        ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "40 hex digits"),
        ("0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "40 hex digits"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "40 hex digits"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", "40 hex digits"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Be ed", "40 hex digits"),
        ("0x" + "١" * 40, "40 hex digits"),
        ("", "40 hex digits"),
    ],
)
def test_refused_addresses(text, reason):
    with pytest.raises(DecodeError, match=f"^to: .*{reason}"):
        parse_address(text, "to")
