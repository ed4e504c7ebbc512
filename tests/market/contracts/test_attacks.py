"""What one household, a colluding pair or a standstill of the chain must not be able to do."""

import pytest

from market.abi import MARKET
from tests.market.contracts import chain as chains
from tests.market.contracts.chain import OPERATOR, Chain, Reverted, home

W = 3
KEY = b"\7" * 32


def enrolled(n=4, **params):
    chain = Chain(n, **params)
    chain.fund_all()
    chain.negotiate(W)
    for i in range(n):
        chain.send(home(i), "Market", "enrol", W)
    return chain


def test_an_agent_that_changes_sides_does_not_take_the_households_name():
    """W of home 0 is revoked, joins home 1 and enrols again: home 0 must keep its window."""
    chain = Chain()
    chain.fund_all()
    agent = chain.agent(home(0), "turncoat")
    chain.negotiate(W)
    chain.send(agent, "Market", "enrol", W)
    chain.send(home(0), "Registry", "revokeAgent", agent.address)
    chain.agent(home(1), "turncoat")
    with pytest.raises(Reverted) as caught:
        chain.send(agent, "Market", "enrol", W)
    assert caught.value.code == "ALREADY_ENROLLED"
    chain.send(home(1), "Market", "enrol", W)
    assert chain.view("Market", "enrolment", W, agent.address)[0] == home(0).address


def test_a_standstill_over_recording_leaves_nothing_pledged_for_ever(monkeypatch):
    """The operator settles in the very block that begins to void: it must wait for the rest.

    Home 0 is owed for a sale and owes fees for purchases that it never confirmed; nobody closes.
    """
    monkeypatch.setattr(chains, "GAS", 1_200_000)
    chain = enrolled(block_gas_limit=2_600_000)
    for seller in (0, 2):
        chain.send(home(seller), "Market", "makeOffer", W, 0, 1_000, KEY, b"")
    chain.record(W)
    sale = chain.allow(W, 1, home(0), home(1), 100, 20_000)
    chain.send(home(1), "Market", "confirm", sale)
    for nonce in range(15):
        chain.allow(W, 1, home(0), home(1), 1, 20_000, nonce)
        chain.allow(W, 2, home(2), home(3), 1, 20_000, nonce)
    chain.allow(W, 2, home(2), home(0), 1, 20_000)
    chain.now = chain.start(W + 3)  # No block was made for three windows.
    with pytest.raises(Reverted) as caught:
        chain.send(OPERATOR, "Market", "settle", W)
    assert caught.value.code == "WRONG_PHASE"
    chain.advance(chain.start(W + 4 + 73))
    fund, free, locked, held = chain.view("Market", "fund")
    assert (locked, held) == (0, 0)
    chain.send(OPERATOR, "Market", "withdrawFund", fund)
    assert chain.one("MoneyToken", "balanceOf", MARKET) == free


def test_a_flood_of_withdrawals_holds_up_nobody_else():
    chain = Chain()
    for i in (0, 1):
        chain.pay_in(home(i), 10_000)
    flood = [(home(0), "Ramp", "requestWithdrawal", (1, b"\1" * 32))] * 1_100
    for at in range(0, len(flood), 100):
        chain.block(flood[at : at + 100])
    assert chain.send(home(1), "Ramp", "requestWithdrawal", 10_000, b"\2" * 32) == [9]
    assert len(chain.one("Ramp", "pending")) == 9
    with pytest.raises(Reverted) as caught:
        chain.send(home(0), "Ramp", "requestWithdrawal", 1, b"\1" * 32)
    assert caught.value.code == "TOO_MANY"
    for i in range(3):
        chain.send(home(i), "Ramp", "confirmPayout", 1, b"\3" * 32)
    chain.send(home(0), "Ramp", "requestWithdrawal", 1, b"\1" * 32)
