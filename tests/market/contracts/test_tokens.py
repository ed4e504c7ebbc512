"""ERC-20 (EIP-20) on both tokens, against a model of two dictionaries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.abi_event import decode_event, encode_event
from market.abi import ADDRESSES, MONEY_TOKEN, Approval, Transfer
from tests.market.contracts.chain import EUR, Chain, Reverted, account, home

ZERO = bytes(20)


def funded():
    chain = Chain(checked=False)
    for i in range(3):
        chain.pay_in(home(i), 1_000)
    return chain


@pytest.mark.parametrize(
    ("token", "decimals", "symbol"), [("EnergyToken", 3, "kWh"), ("MoneyToken", 8, "hEUR")]
)
def test_metadata(token, decimals, symbol):
    chain = Chain()
    assert chain.one(token, "decimals") == decimals
    assert chain.one(token, "symbol") == symbol
    assert chain.one(token, "name").startswith("Hearth")


def test_transfer_moves_and_logs():
    chain = funded()
    assert chain.send(home(0), "MoneyToken", "transfer", home(1).address, 400) == [True]
    (log,) = chain.receipts[0].logs
    topics, data = encode_event(Transfer.SIGNATURE, (home(0).address, home(1).address, 400))
    assert (log.address, log.topics, log.data) == (MONEY_TOKEN, topics, data)
    assert (chain.money(home(0)), chain.money(home(1))) == (600, 1_400)


def test_nothing_moves_to_where_it_could_not_return():
    chain = funded()
    for to in (ZERO, *ADDRESSES.values()):
        for function, args in (
            ("transfer", (to, 1)),
            ("transferFrom", (home(1).address, to, 1)),
        ):
            with pytest.raises(Reverted, match="BAD_RECIPIENT"):
                chain.send(home(0), "MoneyToken", function, *args)
    with pytest.raises(Reverted, match="BAD_RECIPIENT"):
        chain.send(home(0), "MoneyToken", "approve", ZERO, 1)


def test_unlimited_allowance_is_not_used_up():
    chain = funded()
    everything = 2**256 - 1
    chain.send(home(0), "MoneyToken", "approve", home(1).address, everything)
    log = chain.receipts[0].logs[0]
    assert decode_event(Approval.SIGNATURE, log.topics, log.data)[2] == everything
    args = (home(0).address, home(2).address, 5)
    chain.send(home(1), "MoneyToken", "transferFrom", *args)
    spender = (home(0).address, home(1).address)
    assert chain.one("MoneyToken", "allowance", *spender) == everything


PEOPLE = st.integers(0, 2)
AMOUNTS = st.integers(0, 1_200)
MOVES = st.one_of(
    st.tuples(st.just("transfer"), PEOPLE, PEOPLE, AMOUNTS),
    st.tuples(st.just("approve"), PEOPLE, PEOPLE, AMOUNTS),
    st.tuples(st.just("transferFrom"), PEOPLE, PEOPLE, PEOPLE, AMOUNTS),
)
FUNDED = funded()


@settings(max_examples=40, deadline=None)
@given(st.lists(MOVES, max_size=25))
def test_tokens_follow_the_model(moves):
    chain = FUNDED.copy()
    balances, allowances = dict.fromkeys(range(3), 1_000), {}
    for function, *people, amount in moves:
        caller = people[0]
        if function == "transfer":
            owner, to, allowed = caller, people[1], amount
        elif function == "approve":
            allowances[caller, people[1]] = amount
            chain.send(home(caller), "MoneyToken", "approve", home(people[1]).address, amount)
            continue
        else:
            owner, to = people[1:]
            allowed = allowances.get((owner, caller), 0)
        args = [home(who).address for who in people[1:]]
        code = None
        if allowed < amount:
            code = "INSUFFICIENT_ALLOWANCE"
        elif balances[owner] < amount:
            code = "INSUFFICIENT_FUNDS"
        if code:
            with pytest.raises(Reverted, match=code):
                chain.send(home(caller), "MoneyToken", function, *args, amount)
            continue
        chain.send(home(caller), "MoneyToken", function, *args, amount)
        balances[owner] -= amount
        balances[to] += amount
        if function == "transferFrom":
            allowances[owner, caller] = allowed - amount
    assert [chain.money(home(i)) for i in range(3)] == list(balances.values())
    for (owner, spender), left in allowances.items():
        pair = (home(owner).address, home(spender).address)
        assert chain.one("MoneyToken", "allowance", *pair) == left
    assert chain.one("MoneyToken", "totalSupply") == 3_000


def test_anybody_may_receive():
    chain = funded()
    stranger = account("stranger")
    chain.send(home(0), "MoneyToken", "transfer", stranger.address, 7)
    assert chain.money(stranger) == 7
    assert EUR == 10**8
