"""Signed approvals (EIP-2612, EIP-712, EIP-5267): eth-account signs, the tokens judge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import abi
from crypto.abi_event import encode_event
from crypto.hashing import keccak256
from crypto.keys import SECP256K1_ORDER, checksum_address
from market.abi import ADDRESSES, FUNCTIONS, Approval
from market.contracts.permit import domain_separator, permit_digest
from tests.market.contracts.chain import GAS, Chain, Reverted, account, home
from tests.vm.oracles import Account, encode_typed_data
from vm.gas import SECP256K1_VERIFY

TOKENS = ("EnergyToken", "MoneyToken")
NAMES = {"EnergyToken": "Hearth Energy", "MoneyToken": "Hearth Euro"}
ALICE, BOB, CARRIER = home(0), account("bob"), home(1)
NEVER = 2**256 - 1
WORDS = st.integers(0, 2**256 - 1)
TYPES = {
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}


def typed_data(chain_id, token, owner, spender, value, nonce, deadline):
    """The message as eth-account hashes it, from EIP-712's JSON alone."""
    domain = {
        "name": NAMES[token],
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": checksum_address(ADDRESSES[token]),
    }
    message = {
        "owner": checksum_address(owner),
        "spender": checksum_address(spender),
        "value": value,
        "nonce": nonce,
        "deadline": deadline,
    }
    return encode_typed_data(domain, TYPES, message)


def signed(chain, key=ALICE, *, token="MoneyToken", owner=ALICE, spender=BOB, **changed):
    """The seven arguments of `permit`, signed by eth-account with `key`."""
    values = {"value": 500, "nonce": 0, "deadline": NEVER, **changed}
    chain_id = changed.pop("chain_id", chain.machine.genesis.chain_id)
    values.pop("chain_id", None)
    message = typed_data(chain_id, token, owner.address, spender.address, **values)
    made = Account.sign_message(message, key.secret)
    r, s = (number.to_bytes(32, "big") for number in (made.r, made.s))
    return owner.address, spender.address, values["value"], values["deadline"], made.v, r, s


@settings(max_examples=30)
@given(
    st.sampled_from(TOKENS),
    st.integers(1, 2**52 - 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=20, max_size=20),
    WORDS,
    WORDS,
    WORDS,
)
def test_the_digest_is_eip_712s(token, chain_id, owner, spender, value, nonce, deadline):
    theirs = typed_data(chain_id, token, owner, spender, value, nonce, deadline)
    separator = domain_separator(NAMES[token], chain_id, ADDRESSES[token])
    assert separator == theirs.header
    digest = permit_digest(
        separator, owner=owner, spender=spender, value=value, nonce=nonce, deadline=deadline
    )
    assert digest == keccak256(b"\x19\x01" + theirs.header + theirs.body)


@pytest.mark.parametrize("token", TOKENS)
def test_a_wallet_finds_all_that_it_signs_on_the_chain(token):
    """EIP-5267 describes the domain from which DOMAIN_SEPARATOR is computed."""
    chain = Chain(checked=False)
    fields, name, version, chain_id, contract, salt, extensions = chain.view(token, "eip712Domain")
    assert (fields, salt, extensions) == (b"\x0f", bytes(32), [])
    assert (name, version) == (chain.one(token, "name"), "1")
    assert (chain_id, contract) == (chain.machine.genesis.chain_id, ADDRESSES[token])
    separator = chain.one(token, "DOMAIN_SEPARATOR")
    assert separator == typed_data(chain_id, token, bytes(20), bytes(20), 0, 0, 0).header


@pytest.mark.parametrize("token", TOKENS)
def test_a_permit_approves_once_whoever_carries_it(token):
    chain = Chain(checked=False)
    args = signed(chain, token=token)
    assert chain.send(CARRIER, token, "permit", *args) == []
    assert chain.one(token, "allowance", ALICE.address, BOB.address) == 500
    assert chain.one(token, "nonces", ALICE.address) == 1
    (log,) = chain.receipts[0].logs
    values = (ALICE.address, BOB.address, 500)
    expected = encode_event(Approval.SIGNATURE, values)
    assert (log.address, (log.topics, log.data)) == (ADDRESSES[token], expected)
    with pytest.raises(Reverted, match="BAD_SIGNATURE"):
        chain.send(CARRIER, token, "permit", *args)
    again = signed(chain, token=token, nonce=1, value=7)
    chain.send(CARRIER, token, "permit", *again)
    assert chain.one(token, "allowance", ALICE.address, BOB.address) == 7


def test_what_a_permit_allows_is_spent_as_an_approval_is():
    chain = Chain(checked=False)
    chain.pay_in(ALICE, 1_000)
    chain.send(CARRIER, "MoneyToken", "permit", *signed(chain, spender=CARRIER))
    chain.send(CARRIER, "MoneyToken", "transferFrom", ALICE.address, BOB.address, 400)
    assert (chain.money(ALICE), chain.money(BOB)) == (600, 400)
    with pytest.raises(Reverted, match="INSUFFICIENT_ALLOWANCE"):
        chain.send(CARRIER, "MoneyToken", "transferFrom", ALICE.address, BOB.address, 101)


def test_a_contract_needs_no_registered_owner():
    """The owner of a permit pays no gas, so it need not be able to send transactions."""
    chain = Chain(checked=False)
    args = signed(chain, BOB, owner=BOB, spender=CARRIER)
    chain.send(CARRIER, "MoneyToken", "permit", *args)
    assert chain.one("MoneyToken", "allowance", BOB.address, CARRIER.address) == 500


def test_the_deadline_is_the_last_second_at_which_it_serves():
    """EIP-2612: block.timestamp <= deadline, in the seconds that a block shows."""
    chain = Chain(checked=False)
    second = chain.now // 1000 + 10
    chain.advance((second + 1) * 1000 - 2)
    chain.send(CARRIER, "MoneyToken", "permit", *signed(chain, deadline=second))
    assert chain.head.time_ms // 1000 == second
    late = signed(chain, nonce=1, deadline=second)
    chain.advance((second + 1) * 1000)
    with pytest.raises(Reverted, match="DEADLINE_PASSED"):
        chain.send(CARRIER, "MoneyToken", "permit", *late)
    assert chain.one("MoneyToken", "nonces", ALICE.address) == 1


def refused(chain, args, code):
    before = dict(chain.state)
    with pytest.raises(Reverted) as caught:
        chain.send(CARRIER, "MoneyToken", "permit", *args)
    assert caught.value.code == code
    assert chain.one("MoneyToken", "nonces", ALICE.address) == 0
    assert not [key for key in chain.state if key not in before and b"\x01\x03n" in key]


def test_a_signature_is_bound_to_every_value():
    chain = Chain(checked=False)
    good = signed(chain)
    for position, other in ((0, BOB.address), (1, CARRIER.address), (2, 501), (3, NEVER - 1)):
        args = (*good[:position], other, *good[position + 1 :])
        refused(chain, args, "BAD_SIGNATURE")
    for made in (
        signed(chain, token="EnergyToken"),
        signed(chain, chain_id=chain.machine.genesis.chain_id + 1),
        signed(chain, nonce=1),
        signed(chain, CARRIER),
    ):
        refused(chain, made, "BAD_SIGNATURE")
    chain.send(CARRIER, "MoneyToken", "permit", *good)


def test_a_signature_has_one_form():
    """The upper half of s, v = 0 or 1, and r or s out of range are refused (EIP-2)."""
    chain = Chain(checked=False)
    *head, v, r, s = signed(chain)
    high = (SECP256K1_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    zero, order = bytes(32), SECP256K1_ORDER.to_bytes(32, "big")
    for bad in (
        (27 + 28 - v, r, high),
        (27 + 28 - v, r, s),
        (v - 27, r, s),
        (29, r, s),
        (255, r, s),
        (v, zero, s),
        (v, r, zero),
        (v, order, s),
        (v, r, order),
    ):
        refused(chain, (*head, *bad), "BAD_SIGNATURE")


def test_nobody_owns_the_zero_address():
    """EIP-2612 warns of a failed ecrecover that gives zero; ours refuses instead."""
    chain = Chain(checked=False)
    args = (bytes(20), BOB.address, 1, NEVER, 27, b"\xff" * 32, b"\1" * 32)
    refused(chain, args, "BAD_SIGNATURE")


def test_the_zero_address_gets_no_allowance():
    chain = Chain(checked=False)

    class Nobody:
        address = bytes(20)

    refused(chain, signed(chain, spender=Nobody), "BAD_RECIPIENT")


def test_the_signatures_gas_is_charged_before_the_work():
    chain = Chain(checked=False)
    spec = FUNCTIONS["MoneyToken"]["permit"]
    call = {
        "sender": CARRIER.address,
        "to": ADDRESSES["MoneyToken"],
        "data": abi.selector(spec.signature) + abi.encode(spec.input_types, signed(chain)),
        "time_ms": chain.now,
    }
    full = chain.machine.call(chain.head, chain.state, gas=GAS, **call)
    assert full.status == 1
    assert full.gas_used > SECP256K1_VERIFY
    short = chain.machine.call(chain.head, chain.state, gas=full.gas_used - 1, **call)
    assert short.status == 0


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), WORDS, st.booleans()), max_size=8))
def test_permits_follow_the_model(steps):
    """Random owners, spenders and values; a stale permit changes nothing."""
    chain = Chain(checked=False)
    nonces, allowances = dict.fromkeys(range(3), 0), {}
    for owner, spender, value, is_stale in steps:
        if owner == spender:
            continue
        nonce = nonces[owner] + (1 if is_stale else 0)
        args = signed(
            chain, home(owner), owner=home(owner), spender=home(spender), value=value, nonce=nonce
        )
        if is_stale:
            with pytest.raises(Reverted, match="BAD_SIGNATURE"):
                chain.send(CARRIER, "MoneyToken", "permit", *args)
            continue
        chain.send(CARRIER, "MoneyToken", "permit", *args)
        nonces[owner] += 1
        allowances[owner, spender] = value
    for who, nonce in nonces.items():
        assert chain.one("MoneyToken", "nonces", home(who).address) == nonce
    for (owner, spender), value in allowances.items():
        pair = (home(owner).address, home(spender).address)
        assert chain.one("MoneyToken", "allowance", *pair) == value
