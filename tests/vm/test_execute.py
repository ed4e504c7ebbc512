"""One transaction at a time: validity at its place, reverts, nonces, gas and quota."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import abi
from tests.vm.chain import MEMBERS, METERS, OPERATOR, STRANGER, TOY, chain, failure, key
from vm import accounts, gas
from vm.call import ERROR_SELECTOR, revert_data
from vm.contract_state import block_hash_key
from vm.errors import InvalidTransaction, Revert, TxReason
from vm.execute import Meters, apply_transaction
from vm.state import Journal

ALICE, BOB = MEMBERS[:2]


def apply(c, journal, tx, gas_before=0, compute_before=0):
    machine = c.machine
    info = machine._info(c.head.number + 1, c.head.time_ms + 1, c.head.hash)
    before = Meters(gas=gas_before, compute=compute_before)
    return apply_transaction(machine._host, journal, info, tx, before=before).receipt


def refusal(c, tx, gas_before=0, compute_before=0):
    journal = Journal(c.state)
    with pytest.raises(InvalidTransaction) as caught:
        apply(c, journal, tx, gas_before, compute_before)
    assert journal.changes() == []
    return caught.value.reason, caught.value.field


def test_a_transfer_moves_money_and_says_so():
    c = chain()
    (receipt,) = c.seal(c.tx(ALICE, "transfer(address,uint256)", BOB.address, 40))
    assert (receipt.status, receipt.output) == (1, (1).to_bytes(32, "big"))
    assert receipt.logs[0].address == TOY
    assert c.read("balanceOf(address)", ["uint256"], ALICE.address) == [999_960]
    assert c.read("balanceOf(address)", ["uint256"], BOB.address) == [1_000_040]
    assert c.machine.next_nonce(c.state, ALICE.address) == 1


def test_who_may_send():
    """Members, their meters and the services; an agent once a member has registered it."""
    c = chain()
    agent = key(77)
    for signer in (ALICE, METERS[0], OPERATOR):
        c.seal(c.tx(signer, None))
    assert refusal(c, c.tx(agent, None)) == (TxReason.UNREGISTERED, "tx.sender")
    c.seal(c.tx(ALICE, "register(address)", agent.address))
    c.seal(c.tx(agent, None))
    assert accounts.read_account(c.state, agent.address).sponsor == ALICE.address
    assert c.read("describe()", ["uint64", "address", "(uint64,address)[]"], sender=agent)[1] == (
        ALICE.address
    )
    c.seal(c.tx(ALICE, "unregister(address)", agent.address))
    assert refusal(c, c.tx(agent, None)) == (TxReason.UNREGISTERED, "tx.sender")


def test_a_nonce_survives_unregistering():
    """Otherwise the account's old transactions would become valid again."""
    c = chain()
    agent = key(77)
    c.seal(c.tx(ALICE, "register(address)", agent.address))
    old = c.tx(agent, None)
    c.seal(old)
    c.seal(c.tx(ALICE, "unregister(address)", agent.address))
    c.seal(c.tx(BOB, "register(address)", agent.address))
    assert refusal(c, old) == (TxReason.NONCE_TOO_LOW, "tx.nonce")


@pytest.mark.parametrize(
    ("make", "reason", "field"),
    [
        (lambda c: c.tx(ALICE, None, chain_id=1), TxReason.WRONG_CHAIN, "tx.chain_id"),
        (lambda c: c.tx(ALICE, None, value=1), TxReason.INSUFFICIENT_FUNDS, "tx.value"),
        (lambda c: c.tx(ALICE, None, gas_limit=20_999), TxReason.INTRINSIC_GAS, "tx.gas_limit"),
        (lambda c: c.tx(ALICE, None, nonce=1), TxReason.NONCE_TOO_HIGH, "tx.nonce"),
        (lambda c: c.tx(STRANGER, None), TxReason.UNREGISTERED, "tx.sender"),
        (
            lambda c: c.tx(ALICE, None, gas_limit=10_000_001),
            TxReason.GAS_ABOVE_TX_LIMIT,
            "tx.gas_limit",
        ),
    ],
)
def test_invalid_transactions_change_nothing(make, reason, field):
    c = chain()
    assert refusal(c, make(c)) == (reason, field)


def test_ethereum_clients_find_geths_words():
    """ethers and web3.py map errors by these texts."""
    texts = {reason: reason.text for reason in TxReason}
    assert texts[TxReason.NONCE_TOO_LOW] == "nonce too low"
    assert texts[TxReason.INSUFFICIENT_FUNDS] == "insufficient funds for gas * price + value"
    assert texts[TxReason.REPLACEMENT_UNDERPRICED] == "replacement transaction underpriced"
    assert texts[TxReason.UNPROTECTED].startswith("only replay-protected (EIP-155)")
    assert len(set(texts.values())) == len(TxReason)
    error = InvalidTransaction(TxReason.NONCE_TOO_LOW, "tx.nonce", "must be 5, got 4")
    assert str(error) == "nonce too low: tx.nonce: must be 5, got 4"


def test_a_revert_keeps_nonce_and_gas_only():
    c = chain()
    before = dict(c.state)
    (receipt,) = c.seal(c.tx(ALICE, "writeThenFail()"))
    assert failure(receipt) == "ASKED_FOR"
    assert receipt.logs == ()
    changed = {name for name in c.state if c.state[name] != before.get(name)}
    assert changed == {b"a" + ALICE.address, b"q" + ALICE.address, block_hash_key(0)}
    assert before.keys() <= c.state.keys()


def test_revert_data_is_solidity_text():
    assert ERROR_SELECTOR.hex() == "08c379a0"
    data = revert_data(Revert("CODE", "x" * 5000))
    assert len(data) == 4 + 64 + 512
    for detail in ("", "x" * 26, "x" * 27, "übel", "x" * 508):
        revert = Revert("CODE", detail)
        expected = ERROR_SELECTOR + abi.encode(("string",), (str(revert)[:512],))
        assert revert_data(revert) == expected
    c = chain()
    (receipt,) = c.seal(c.tx(ALICE, "transfer(address,uint256)", BOB.address, 10**7))
    assert failure(receipt) == "INSUFFICIENT_BALANCE: has 1000000, needs 10000000"


def test_out_of_gas_costs_the_limit():
    c = chain()
    (receipt,) = c.seal(c.tx(ALICE, "burnGas(uint256)", 10**7, gas_limit=100_000))
    assert failure(receipt).startswith("OUT_OF_GAS")
    assert receipt.gas_used == 100_000


def test_a_call_of_nobody_succeeds_and_costs_the_intrinsic_gas():
    """As on Ethereum: an address without code accepts anything."""
    c = chain()
    (receipt,) = c.seal(c.tx(ALICE, "anything(uint256)", 5, to=b"\x77" * 20))
    zeros = 31
    assert (receipt.status, receipt.output) == (1, b"")
    assert receipt.gas_used == 21_000 + 4 * zeros + 16 * (4 + 32 - zeros)


def test_long_outputs_stay_out_of_receipts():
    c = chain()
    c.seal(c.tx(ALICE, "store(bytes,bytes)", b"k", bytes(8000)))
    (receipt,) = c.seal(c.tx(ALICE, "store(bytes,bytes)", b"k", b"\x01" * 4000))
    assert (receipt.status, receipt.output) == (1, b"")


def test_an_access_list_is_paid_for():
    """EIP-2930: 2,400 for each address and 1,900 for each key."""
    from dataclasses import replace

    c = chain()
    tx = c.tx(ALICE, None)
    listed = replace(tx, access_list=((bytes(20), (bytes(32), bytes(32))), (bytes(20), ())))
    assert gas.intrinsic_gas(listed) - gas.intrinsic_gas(tx) == 2 * 2400 + 2 * 1900


def test_the_quota_is_shared_by_a_sponsors_accounts_and_renewed_each_window():
    c = chain(quota_gas=400_000)
    for signer in (ALICE, METERS[0]):
        c.seal(c.tx(signer, "burnGas(uint256)", 100_000, gas_limit=150_000))
    left = c.machine.account_info(c.state, ALICE.address, c.head.time_ms).quota_left
    assert left == c.machine.account_info(c.state, METERS[0].address, c.head.time_ms).quota_left
    assert 100_000 < left < 200_000
    over = c.tx(METERS[0], None, gas_limit=left + 1)
    assert refusal(c, over) == (TxReason.QUOTA_EXCEEDED, "tx.gas_limit")
    apply(c, Journal(c.state), c.tx(METERS[0], None, gas_limit=left))
    apply(c, Journal(c.state), c.tx(BOB, None, gas_limit=400_000))
    next_window = c.head.time_ms + c.machine.genesis.window_ms
    assert c.machine.account_info(c.state, ALICE.address, next_window).quota_left == 400_000
    (receipt,) = c.seal(c.tx(METERS[0], None, gas_limit=400_000), time_ms=next_window)
    assert c.machine.account_info(c.state, ALICE.address, next_window).quota_left == (
        400_000 - receipt.gas_used
    )


def test_what_the_block_used_counts():
    c = chain()
    tx = c.tx(ALICE, None, gas_limit=100_000)
    assert apply(c, Journal(c.state), tx, gas_before=19_900_000).cumulative_gas == 19_921_000
    assert refusal(c, tx, gas_before=19_900_001) == (TxReason.EXCEEDS_BLOCK_GAS, "tx.gas_limit")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([(0, ALICE), (0, METERS[0]), (1, BOB)]),
            st.integers(0, 120_000),
            st.integers(21_000, 260_000),
            st.integers(0, 4_000),
        ),
        max_size=14,
    )
)
def test_nobody_uses_more_than_the_quota_in_a_window(steps):
    """Whatever is sent, accepted gas limits and used gas of a sponsor stay within its quota."""
    quota = 500_000
    c = chain(quota_gas=quota)
    used = {}
    for (sponsor, signer), burn, limit, wait_ms in steps:
        time_ms = c.head.time_ms + 1 + wait_ms
        window = c.machine.genesis.window_at(time_ms)
        tx = c.tx(signer, "burnGas(uint256)", burn, gas_limit=limit)
        built = c.build([tx], time_ms)
        spent = used.get((sponsor, window), 0)
        if built is None:
            assert limit < gas.intrinsic_gas(tx) or spent + limit > quota
            continue
        c.apply(built.execution)
        used[sponsor, window] = spent + built.execution.header.gas_used
        assert used[sponsor, window] <= quota
        left = c.machine.account_info(c.state, signer.address, time_ms).quota_left
        assert left == quota - used[sponsor, window]
