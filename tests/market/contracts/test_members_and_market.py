"""The market while members come and go: nothing is stuck, and no window pays more than it holds."""

import pytest

from tests.market.contracts.chain import EUR, EXTERNAL, OPERATOR, Chain, account, ed25519, home
from tests.market.contracts.members import accept, activate, admit, node
from tests.market.contracts.test_governance import refused

Q = 2**14 - 1
FEED_IN = 8_000
NEW = account("new")
NEW_METER = account("new meter")


def certificate():
    """Return the arguments of `certify` for the newcomer's meter."""
    return NEW_METER.address, NEW.address, ed25519("x").public, "1HTH1", 10**6


@pytest.mark.parametrize("more", [0, 1])
def test_who_joins_after_a_window_has_opened_enrols_if_the_reserve_covers_it(more):
    """It was locked for the members of then: one surplus more could not be paid."""
    chain = Chain()
    chain.fund_all(reserve=4 * Q * FEED_IN)
    chain.pay_in(EXTERNAL, EUR)
    chain.negotiate(1)
    for i in range(4):
        chain.send(home(i), "Market", "enrol", 1)
    admit(chain, "new", map(node, range(4)))
    chain.send(home(0), "MoneyToken", "transfer", NEW.address, 100 * EUR)
    chain.pay_in(EXTERNAL, 10 * EUR)
    chain.send(EXTERNAL, "Market", "depositReserve", Q * FEED_IN - 1 + more)
    if more:
        chain.send(NEW, "Market", "enrol", 1)
        assert chain.view("Market", "fund")[1:3] == [0, 5 * Q * FEED_IN]
    else:
        refused("INSUFFICIENT_RESERVE", chain, NEW, "Market", "enrol", 1)
    chain.send(OPERATOR, "Meters", "certify", *certificate())
    chain.deliver(1)
    for i in range(4):
        chain.attest(i, 1, Q, 0)
        chain.send(home(i), "Market", "close", 1, Q, 0, 0, 0)
    if more:
        reading = (1, NEW.address, Q, 0, 0, 0, 0, 1, b"\1" * 32)
        chain.send(NEW_METER, "Market", "attest", *reading)
        chain.send(NEW, "Market", "close", 1, Q, 0, 0, 0)
    chain.advance(chain.start(40))
    assert chain.view("Market", "fund")[2] == 0, "nothing stays locked"


def test_a_window_settles_at_full_surplus_also_with_a_newcomer():
    chain = Chain()
    chain.fund_all()
    chain.pay_in(EXTERNAL, 1000 * EUR)
    admit(chain, "new", map(node, range(4)))
    chain.send(home(0), "MoneyToken", "transfer", NEW.address, 100 * EUR)
    chain.negotiate(2)
    for key in (NEW, *map(home, range(4))):
        chain.send(key, "Market", "enrol", 2)
    chain.deliver(2)
    for i in range(4):
        chain.attest(i, 2, exp=Q, imp=0)
        chain.send(home(i), "Market", "close", 2, Q, 0, 0, 0)
    chain.advance(chain.start(2 + 40))


@pytest.mark.parametrize("when", ["enrolled", "closed"])
def test_an_evicted_households_window_is_settled_and_paid(when):
    chain = Chain(5)
    chain.fund_all()
    before = chain.money(home(4))
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 1, [home(i) for i in range(3)])
    chain.negotiate(2)
    for i in range(5):
        chain.send(home(i), "Market", "enrol", 2)
    if when == "enrolled":
        activate(chain, 1, map(node, range(4)))
    chain.deliver(2)
    for i in range(5):
        chain.attest(i, 2, exp=10 * i, imp=0)
        chain.send(home(i), "Market", "close", 2, 10 * i, 0, 0, 0)
    if when == "closed":
        activate(chain, 1, map(node, range(4)))
    chain.advance(chain.start(2 + 40))
    assert chain.money(home(4)) > before, "deposit and surplus came back"
    refused("NOT_HOUSEHOLD", chain, home(4), "Market", "enrol", 43)


def test_a_newcomers_meter_is_certified_once_it_is_in():
    chain = Chain()
    refused("NOT_MEMBER", chain, OPERATOR, "Meters", "certify", *certificate())
    admit(chain, "new", map(node, range(4)))
    chain.send(OPERATOR, "Meters", "certify", *certificate())
    chain.send(NEW_METER, "Meters", "anchor", 0, b"\1" * 32)


def test_votes_of_the_evicted_make_no_money():
    chain = Chain(5)
    reference, to = b"\5" * 32, home(0).address
    for i in (3, 4):
        chain.send(home(i), "Ramp", "attestDeposit", reference, to, 500)
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 1, [home(i) for i in range(3)])
    activate(chain, 1, map(node, range(4)))
    chain.send(home(0), "Ramp", "attestDeposit", reference, to, 500)
    assert chain.money(home(0)) == 0, "two of four: the third who voted is a member no more"
    chain.send(home(1), "Ramp", "attestDeposit", reference, to, 500)
    assert chain.money(home(0)) == 500
    chain.send(home(0), "Ramp", "requestWithdrawal", 500, b"\1" * 32)
    refused("NOT_MEMBER", chain, home(4), "Ramp", "confirmPayout", 1, reference)
    for i in range(3):
        chain.send(home(i), "Ramp", "confirmPayout", 1, reference)
    assert chain.view("Ramp", "withdrawal", 1)[5]
