"""Precompiles 1 to 5: published vectors, prices, and input of any shape."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import keccak256
from crypto.keys import SECP256K1_ORDER, AccountKey
from tests.vm.evm.machine import asm, calling, returning, run, word
from vm.evm.precompiles import PRECOMPILES
from vm.evm.ripemd160 import ripemd160

ECRECOVER, SHA256, RIPEMD160, IDENTITY, MODEXP = (
    PRECOMPILES[number.to_bytes(20, "big")] for number in range(1, 6)
)
PLENTY = 10**9


def w(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
        (b"a" * 1_000, "aa69deee9a8922e92f8105e007f76110f381e9cf"),
    ],
)
def test_ripemd160_is_the_papers(text, digest):
    """Dobbertin, Bosselaers, Preneel 1996, appendix B; the last by OpenSSL."""
    assert ripemd160(text).hex() == digest


@given(st.binary(max_size=300))
def test_hashes_and_identity_and_their_prices(data):
    words = -(-len(data) // 32)
    assert SHA256(data, PLENTY) == (60 + 12 * words, hashlib.sha256(data).digest())
    assert RIPEMD160(data, PLENTY) == (600 + 120 * words, bytes(12) + ripemd160(data))
    assert IDENTITY(data, PLENTY) == (15 + 3 * words, data)


@given(st.binary(min_size=32, max_size=32), st.integers(1, SECP256K1_ORDER - 1), st.booleans())
def test_ecrecover_finds_the_signer_also_of_a_high_s(digest, secret, is_high):
    key = AccountKey.from_secret(w(secret))
    r, s, parity = key.sign_digest(digest)
    if is_high:
        s, parity = SECP256K1_ORDER - s, 1 - parity
    expected = bytes(12) + key.address
    assert ECRECOVER(digest + w(27 + parity) + w(r) + w(s), PLENTY) == (3_000, expected)


@pytest.mark.parametrize(
    ("v", "r", "s"),
    [
        (26, 1, 1),
        (29, 1, 1),
        (0, 1, 1),
        (2**255 + 27, 1, 1),
        (27, 0, 1),
        (27, 1, 0),
        (27, SECP256K1_ORDER, 1),
        (27, 1, SECP256K1_ORDER),
        (27, 5, 1),
        (27, 2**256 - 1, 2**256 - 1),
    ],
)
def test_ecrecover_of_what_is_no_signature_is_empty(v, r, s):
    assert ECRECOVER(keccak256(b"x") + w(v) + w(r) + w(s), PLENTY) == (3_000, b"")


def test_modexp_examples_of_eip_198():
    p = 2**256 - 2**32 - 977
    fermat = w(1) + w(32) + w(32) + b"\x03" + w(p - 1) + w(p)
    assert MODEXP(fermat, PLENTY) == (1_360, w(1))
    zero_base = w(0) + w(32) + w(32) + w(p - 1) + w(p)
    assert MODEXP(zero_base, PLENTY) == (1_360, w(0))
    # A base of 2^256 - 1 bytes cannot be paid for.
    cost, output = MODEXP(w(0) + w(32) + w(2**256 - 1) + w(2**256 - 2) + w(2**256 - 3), PLENTY)
    assert cost > PLENTY
    assert output == b""
    # Input beyond the end is zeros: a modulus cut short.
    cut = w(1) + w(2) + w(32) + bytes.fromhex("03ffff8000000000000000000000000000000000000000")
    number = int.from_bytes(bytes.fromhex("80").ljust(32, b"\0"), "big")
    assert MODEXP(cut, PLENTY)[1] == w(pow(3, 0xFFFF, number))


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=8)
)
def test_modexp_is_pow(base, exponent, modulus, more):
    data = w(len(base)) + w(len(exponent)) + w(len(modulus)) + base + exponent + modulus + more
    cost, output = MODEXP(data, PLENTY)
    b, e, m = (int.from_bytes(part, "big") for part in (base, exponent, modulus))
    assert output == (pow(b, e, m) if m else 0).to_bytes(len(modulus), "big")
    assert cost >= 200


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_any_input_has_a_price_and_nothing_is_computed_above_it(data, gas):
    for precompile in PRECOMPILES.values():
        cost, output = precompile(data, gas)
        assert cost > 0
        assert isinstance(output, bytes)


def test_a_precompile_that_cannot_be_paid_for_fails_with_its_gas():
    poor = returning(calling((1).to_bytes(20, "big"), gas=2_999))
    assert word(run(poor)) == 0
    paid = returning(calling((1).to_bytes(20, "big"), gas=3_000))
    assert word(run(paid)) == 1
    assert run(poor).gas_left - run(paid).gas_left == 1


def test_those_from_6_on_are_accounts_without_code():
    for number in range(6, 11):
        code = asm(calling(number.to_bytes(20, "big")), "POP") + returning("RETURNDATASIZE")
        assert word(run(code)) == 0
