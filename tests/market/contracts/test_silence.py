"""Nothing is stuck after any deadline, whoever is silent at whichever step.

Every combination is played through to the end, with all invariants after every block.
"""

from itertools import product

import pytest

from market.abi import MARKET, Phase
from tests.market.contracts.chain import EUR, OPERATOR, Chain, home

W = 2
KEY = b"\7" * 32
D = (2**14 - 1) * 92_000
RESERVE = 1000 * EUR
PRICE, SOLD = 20_000, 1_000
RETAIL, FEED_IN, PENALTY = 30_000, 8_000, 2_000

CLOSES = ("in time", "late", "never")


def play(chain, i, window, when, net, exp, imp):
    """Close home `i` if it closes `when`, with the split that is best for it."""
    if net >= 0:
        split = (min(net, exp), max(0, net - exp), 0, 0)
    else:
        split = (0, 0, min(-net, imp), max(0, -net - imp))
    if when:
        chain.send(home(i), "Market", "close", window, *split)


@pytest.mark.parametrize("reserve", [RESERVE, 0])
@pytest.mark.parametrize("buyer_confirms", [True, False])
def test_every_silence_ends_well(buyer_confirms, reserve):
    start = Chain(checked=False)
    start.fund_all(reserve=reserve)
    for attests, closes, (settles, pays) in product(
        product((True, False), repeat=2),
        product(CLOSES, repeat=2),
        [(True, True), (True, False), (False, False)],
    ):
        chain = start.copy()
        _play_window(chain, buyer_confirms, attests, closes, settles=settles, pays=pays)
        _check_end(chain, buyer_confirms, attests, closes, reserve)


def _play_window(chain, buyer_confirms, attests, closes, *, settles, pays):
    _trade(chain, is_confirmed=buyer_confirms)
    flows = [(1_300, 0), (0, 900)]
    for i in range(2):
        if attests[i]:
            chain.attest(i, W, *flows[i])
    chain.advance(chain.start(W + 2))
    nets = []
    for i, sign in enumerate((-1, 1)):
        exp, imp = flows[i] if attests[i] else (0, 0)
        nets.append((exp - imp + sign * SOLD * buyer_confirms, exp, imp))
        play(chain, i, W, closes[i] == "in time", *nets[i])
    chain.advance(chain.start(W + 3))
    if settles:
        chain.send(OPERATOR, "Market", "settle", W)
    if settles and pays:
        for i in range(2):
            if closes[i] == "in time":
                chain.send(home(2), "Market", "makeTransaction", W, home(i).address)
    chain.advance(chain.start(W + 4))
    for i in range(2):
        play(chain, i, W, closes[i] == "late", *nets[i])
    chain.advance(chain.start(W + 4 + 72))


def _trade(chain, *, is_confirmed):
    chain.checked = True
    chain.negotiate(W)
    for i in range(2):
        chain.send(home(i), "Market", "enrol", W)
    chain.send(home(0), "Market", "makeOffer", W, 0, SOLD, KEY, b"")
    chain.record(W)
    agreement = chain.allow(W, 1, home(0), home(1), SOLD, PRICE)
    if is_confirmed:
        chain.send(home(1), "Market", "confirm", agreement)
    chain.deliver(W)


def _check_end(chain, buyer_confirms, attests, closes, reserve):
    assert chain.one("Market", "phase", W) == Phase.DONE
    fund, free, locked, held = chain.view("Market", "fund")
    assert locked == held == 0
    assert fund >= 0
    assert chain.one("MoneyToken", "balanceOf", MARKET) == fund + free
    assert chain.one("EnergyToken", "totalSupply") == 0
    assert chain.one("MoneyToken", "balanceOf", home(2).address) == 200 * EUR
    for i in range(2):
        change = chain.money(home(i)) - 200 * EUR
        if closes[i] == "never":
            assert change == -D
            continue
        delivered = attests[i] * (1_300, 900)[i]
        agreed = SOLD * buyer_confirms
        short = max(0, agreed - delivered)
        feed_in = FEED_IN if reserve else 0
        if i == 0:
            # Paid at least as outside for what it delivered; its own shortfall costs it.
            at_least = agreed * PRICE + max(0, delivered - agreed) * feed_in
            assert change >= at_least - short * (RETAIL + PENALTY)
        else:
            fee = 0 if buyer_confirms else 100_000
            at_least = -agreed * PRICE - max(0, delivered - agreed) * RETAIL - fee
            assert change >= at_least
    pays = [closes[i] != "never" for i in range(2)]
    if all(pays):
        assert fund <= 3 * SOLD * (RETAIL + PENALTY), "the fund gets penalties, no deposits"
