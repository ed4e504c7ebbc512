"""Mainnet's reading of raw transactions: what wallets sign is read, what mainnet refuses is not."""

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.mainnet_transaction import NotOnMainnet, check_stateless, intrinsic_gas, read
from crypto.keys import SECP256K1_ORDER, AccountKey
from vm.errors import InvalidTransaction
from vm.transaction import decode

KEY = AccountKey.from_secret(b"\x07" * 32)
TO = "0x" + "20" * 20
PLAIN = {"nonce": 1, "gas": 100_000, "to": TO, "value": 3, "data": b""}
FEES = {
    "unprotected": {"gasPrice": 9},
    "legacy": {"gasPrice": 9, "chainId": 1},
    "access_list": {"type": 1, "gasPrice": 9, "chainId": 1, "accessList": []},
    "dynamic_fee": {
        "type": 2,
        "maxFeePerGas": 9,
        "maxPriorityFeePerGas": 1,
        "chainId": 1,
        "accessList": [],
    },
}


def signed(kind, **changes):
    """Bytes that another program signs."""
    fields = {**PLAIN, **FEES[kind], **changes}
    return bytes(Account.sign_transaction(fields, KEY.secret).raw_transaction)


@pytest.mark.parametrize("kind", FEES)
@settings(max_examples=20, deadline=None)
@given(nonce=st.integers(0, 2**64 - 2), value=st.integers(0, 2**256 - 1), data=st.binary())
def test_what_a_wallet_signs_is_read(kind, nonce, value, data):
    raw = signed(kind, nonce=nonce, value=value, data=data)
    found = read(raw)
    assert found.sender == KEY.address
    assert (found.tx.nonce, found.tx.value, found.tx.data) == (nonce, value, data)
    other = Account.sign_transaction(
        {**PLAIN, **FEES[kind], "nonce": nonce, "value": value, "data": data}, KEY.secret
    )
    assert found.hash == bytes(other.hash)


def test_production_still_refuses_what_names_no_chain():
    with pytest.raises(InvalidTransaction, match="EIP-155"):
        decode(signed("unprotected"))


@pytest.mark.parametrize("kind", ["legacy", "access_list", "dynamic_fee"])
def test_another_chain_is_refused(kind):
    with pytest.raises(NotOnMainnet, match="chain id"):
        read(signed(kind, chainId=2))


def test_a_signature_of_nobody_is_refused():
    from crypto import rlp

    items = rlp.decode(signed("unprotected"), field="tx", max_bytes=1000)
    for at, number in ((7, 5), (7, SECP256K1_ORDER), (8, SECP256K1_ORDER - 1), (8, 0)):
        changed = list(items)
        changed[at] = rlp.encode_int(number)
        with pytest.raises((NotOnMainnet, InvalidTransaction)):
            read(rlp.encode(changed))


@pytest.mark.parametrize(
    ("changes", "gas"),
    [
        ({}, 21_000),
        ({"data": b"\0\1"}, 21_020),
        ({"to": b"", "data": b"\1" * 33}, 21_000 + 32_000 + 33 * 16 + 2 * 2),
        (
            {"accessList": [{"address": TO, "storageKeys": ["0x" + "00" * 32, "0x" + "11" * 32]}]},
            21_000 + 2_400 + 2 * 1_900,
        ),
    ],
)
def test_intrinsic_gas(changes, gas):
    """EIP-2028, EIP-2930 and EIP-3860."""
    tx = read(signed("dynamic_fee", **changes)).tx
    assert intrinsic_gas(tx) == gas
    assert check_stateless(read(signed("dynamic_fee", **changes, gas=gas)).tx) == gas
    with pytest.raises(NotOnMainnet, match="intrinsic"):
        check_stateless(read(signed("dynamic_fee", **changes, gas=gas - 1)).tx)


def test_init_code_has_a_limit():
    gas = 2_000_000
    tx = read(signed("legacy", to=b"", data=bytes(49_152), gas=gas)).tx
    assert check_stateless(tx) <= gas
    tx = read(signed("legacy", to=b"", data=bytes(49_153), gas=gas)).tx
    with pytest.raises(NotOnMainnet, match="init code"):
        check_stateless(tx)


def test_gas_times_fee_must_fit_a_word():
    fits = read(signed("legacy", gas=2**32, gasPrice=2**224 - 1)).tx
    assert check_stateless(fits)
    with pytest.raises(NotOnMainnet, match="below"):
        check_stateless(read(signed("legacy", gas=2**32, gasPrice=2**224)).tx)
