"""Accounts from a mnemonic: the published vectors, the addresses that all tools show, an oracle."""

import random

import pytest
from eth_account import Account
from mnemonic import Mnemonic

from crypto.errors import DecodeError
from crypto.keys import checksum_address
from testnet.dev.mnemonic import WELL_KNOWN, accounts, check_mnemonic, derive, seed_of

HARDENED = 1 << 31

# As Hardhat and anvil print them.
ADDRESSES = [
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
    "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
    "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
    "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
]


def test_the_well_known_mnemonic_gives_the_well_known_accounts():
    keys = accounts(WELL_KNOWN, 10)
    assert [checksum_address(key.address) for key in keys] == ADDRESSES
    assert keys[0].secret.hex() == (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    )


def test_bip39_seed_of_the_reference_vectors():
    """The first of BIP-39's vectors, whose passphrase is TREZOR."""
    words = "abandon " * 11 + "about"
    assert seed_of(words, "TREZOR").hex() == (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531"
        "f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"
    )


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ((), "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"),
        ((HARDENED,), "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"),
        ((HARDENED, 1), "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368"),
        (
            (HARDENED, 1, 2 | HARDENED),
            "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca",
        ),
    ],
)
def test_bip32_first_vector(path, secret):
    assert derive(bytes(range(16)), path).hex() == secret


@pytest.mark.parametrize("seed", range(5))
def test_any_mnemonic_gives_what_eth_account_gives(seed):
    Account.enable_unaudited_hdwallet_features()
    words = Mnemonic("english").to_mnemonic(random.Random(seed).randbytes(16))
    index = seed * 7
    theirs = Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{index}")
    assert checksum_address(accounts(words, index + 1)[index].address) == theirs.address


def test_a_mnemonic_is_checked():
    assert check_mnemonic("  TEST " + WELL_KNOWN[5:]) == WELL_KNOWN
    for wrong in ("", "test test", WELL_KNOWN.replace("junk", "test"), WELL_KNOWN + " x"):
        with pytest.raises(DecodeError, match="mnemonic"):
            check_mnemonic(wrong)
