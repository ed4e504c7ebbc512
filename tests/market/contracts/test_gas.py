"""The worst deadlines of a window fit into the gas that a deadline has (market_rules)."""

import pytest

from market.contracts.market import Market
from market.contracts.market_rules import ENTRY_GAS_BASE, ENTRY_GAS_PER_MEMBER
from tests.market.contracts.chain import EUR, Chain, home

W = 4
KEY = b"\7" * 32


def loaded(n, attested):
    """A window in which all have offered stored energy and recorded agreements."""
    chain = Chain(n, checked=False)
    for i in range(n):
        chain.pay_in(home(i), 100 * EUR)
    everybody = range(n)
    chain.negotiate(1)
    for i in everybody:
        chain.send(home(i), "Market", "enrol", 1)
    chain.deliver(1)
    for i in everybody:
        chain.attest(i, 1, 0, 0, 10)
    chain.negotiate(W)
    for i in everybody:
        chain.send(home(i), "Market", "enrol", W)
        chain.send(home(i), "Market", "makeOffer", W, 1, 10, KEY, b"\1" * 256)
        chain.send(home(i), "Market", "makeCall", W, 10, KEY)
    chain.record(W)
    for i in everybody:
        chain.allow(W, i + 1, home(i), home((i + 1) % n), 5, 20_000)
    chain.advance(chain.start(W + 1))
    for i in everybody:
        if attested:
            chain.attest(i, W, 100, 100)
    return chain


@pytest.mark.parametrize("attested", [True, False])
@pytest.mark.parametrize("n", [4, 24])
def test_every_deadline_stays_below_what_genesis_demands(n, attested, monkeypatch):
    """Nobody closes: every household is looked at on the way to its forfeited deposit."""
    used = {}
    on_deadline = Market.on_deadline

    def measured(self, ctx, payload):
        before = ctx.gas_left
        on_deadline(self, ctx, payload)
        used[payload[:1]] = max(used.get(payload[:1], 0), before - ctx.gas_left)

    monkeypatch.setattr(Market, "on_deadline", measured)
    chain = loaded(n, attested)
    chain.advance(chain.start(W + 4))
    chain.advance(chain.start(W + 4 + 73))
    chain.advance(chain.start(W + 4 + 146))
    assert set(used) == {b"v", b"s", b"l", b"d"}
    assert max(used.values()) <= ENTRY_GAS_BASE + ENTRY_GAS_PER_MEMBER * n, used
