"""The whole market through the real machine: random households, offers, agreements, deviations.

Everybody may be silent at every step and may try what is refused. Invariants hold after every
block; at the end nothing is stuck, and no household paid more than it has to.
"""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.abi import MARKET, OfferKind, Phase
from tests.market.contracts.chain import (
    EUR,
    EXTERNAL,
    OPERATOR,
    RECORD_MS,
    Chain,
    home,
    meter,
)
from vm.context import storage_key

KEY = b"\7" * 32
Q = 2**14 - 1
RETAIL, FEED_IN, PENALTY, FEE = 30_000, 8_000, 2_000, 100_000
D = Q * (3 * RETAIL + PENALTY)
FIRST, LAST = 2, 5
"""Windows that are traded."""


class Neighbourhood:
    """Plays windows with random choices and remembers what should come of them."""

    def __init__(self, rng, n, reserve):
        self.rng = rng
        self.chain = Chain(n, checked=False)
        self.chain.fund_all(reserve=reserve)
        self.chain.checked = True
        self.n = n
        self.homes = range(n)
        self.has_honest_split = {}  # (window, home): it closed with the split best for itself.
        self.did = {"agreements": 0, "refused": 0, "closed": 0, "late": 0, "stored": 0}

    def often(self):
        return self.rng.random() < 0.85

    def try_block(self, calls):
        """One block; count refusals. What a contract refuses changes nothing."""
        if not calls:
            return []
        self.rng.shuffle(calls)
        receipts = self.chain.block(calls)
        self.did["refused"] += sum(receipt.status == 0 for receipt in receipts)
        return receipts

    def quantity(self):
        return self.rng.choice([1, *(self.rng.randint(1, 2_000) for _ in range(6)), Q, Q + 1])

    def open(self, w):
        calls = [(home(i), "Market", "enrol", (w,)) for i in self.homes if self.often()]
        self.chain.windows[w] = None
        self.try_block(calls)
        offers = []
        for i in self.homes:
            for _ in range(self.rng.randint(0, 3)):
                kind = self.rng.choice(list(OfferKind))
                quantity = self.quantity()
                if kind == OfferKind.STORED:
                    quantity = self.rng.randint(1, max(1, self.chain.energy(home(i))))
                offers.append((home(i), "Market", "makeOffer", (w, kind, quantity, KEY, b"")))
            if self.often():
                offers.append((home(i), "Market", "makeCall", (w, self.quantity(), KEY)))
        self.try_block(offers)

    def record(self, w):
        (offers,) = self.chain.view("Market", "getOffers", w)
        self.did["stored"] += sum(row[2] == OfferKind.STORED for row in offers)
        names = {home(i).address: home(i) for i in self.homes}
        for _ in range(2):
            calls = []
            for offer_id, seller, _, quantity, sold, *_ in offers:
                buyer = home(self.rng.choice(self.homes))
                part = self.rng.randint(1, max(1, quantity - sold + self.rng.choice([0, 0, 1])))
                price = self.rng.randint(FEED_IN - 1, RETAIL + 1)
                nonce = self.rng.getrandbits(64)
                terms = (w, offer_id, names[seller], buyer, part, price, nonce)
                signature = self.chain.acceptance(buyer, *terms)
                args = (w, offer_id, buyer.address, part, price, nonce, signature)
                calls.append((names[seller], "Market", "allowTransaction", args))
            self.try_block(calls)
            if self.rng.random() < 0.3:
                self.chain.advance(self.chain.start(w) - RECORD_MS // 3)
        confirms = [
            (names[row[4]], "Market", "confirm", (row[0],))
            for row in self.chain.view("Market", "agreements", w)[0]
            if self.often()
        ]
        self.did["agreements"] += len(confirms)
        self.try_block(confirms)

    def attest(self, w):
        calls = []
        for i in self.homes:
            if not self.often():
                continue
            row = self.chain.view("Meters", "meter", meter(i).address)
            registers = self.flows(i, w, row[4:9])
            args = (w, home(i).address, *registers, row[9] + 1, KEY)
            calls.append((meter(i), "Market", "attest", args))
        self.try_block(calls)
        gifts = []
        for i in self.homes:
            if self.rng.random() < 0.1:
                amount = self.rng.randint(0, self.chain.energy(home(i)))
                args = (home(self.rng.choice(self.homes)).address, amount)
                gifts.append((home(i), "EnergyToken", "transfer", args))
        self.try_block(gifts)

    def flows(self, i, w, registers):
        """Return the next registers: often what was agreed, sometimes anything."""
        exp = imp = charged = discharged = 0
        row = self.row(w, i)
        if row is not None:
            exp, imp = row[1], row[2]
        match self.rng.randint(0, 4):
            case 0:
                exp, imp = max(0, exp - self.rng.randint(0, 500)), imp + self.rng.randint(0, 500)
            case 1:
                exp, imp = exp + self.rng.randint(0, 3_000), self.rng.randint(0, imp)
            case 2:
                exp, imp = self.rng.randint(0, 2 * Q), self.rng.randint(0, 2 * Q)
        soc = registers[2] - registers[3] - registers[4]
        if self.rng.random() < 0.8:
            charged = self.rng.randint(0, 4_000)
        discharged = self.rng.randint(0, soc + charged) // self.rng.choice([1, 4])
        loss = (soc + charged - discharged) // 50
        deltas = (exp, imp, charged, discharged, loss)
        return [old + delta for old, delta in zip(registers, deltas, strict=True)]

    def close(self, w, counter):
        calls = []
        for i in self.homes:
            row = self.row(w, i)
            if row is None or self.rng.random() < 0.4:
                continue
            _, sold, bought, _, exp, imp, is_closed, *_ = row
            net = exp - imp - sold + bought
            is_honest = self.rng.random() < 0.7
            if net >= 0:
                sur = min(net, exp) if is_honest else self.rng.randint(0, net)
                split = (sur, net - sur, 0, 0)
            else:
                ext = min(-net, imp) if is_honest else self.rng.randint(0, -net)
                split = (0, 0, ext, -net - ext)
            if not is_closed:
                self.has_honest_split[w, i] = is_honest
                self.did[counter] += 1
            calls.append((home(i), "Market", "close", (w, *split)))
        self.try_block(calls)

    def settle(self, w):
        if self.often():
            self.try_block([(OPERATOR, "Market", "settle", (w,))])
        payers = [
            (home(self.rng.choice(self.homes)), "Market", "makeTransaction", (w, home(i).address))
            for i in self.homes
            if self.often()
        ]
        self.try_block(payers)

    def services(self):
        """The operator and the external market take out what they may, and more."""
        fund, free, *_ = self.chain.view("Market", "fund")
        for key, function, there in (
            (OPERATOR, "withdrawFund", fund),
            (EXTERNAL, "withdrawReserve", free),
        ):
            if self.rng.random() < 0.3:
                amount = self.rng.randint(0, max(0, there) + 1)
                self.try_block([(key, "Market", function, (amount,))])

    def play(self):
        """Go through time; several windows are in different phases at once."""
        for now in range(FIRST - 1, LAST + 6):
            self.chain.advance(self.chain.start(now))
            if FIRST <= now - 1 <= LAST:
                self.attest(now - 1)
                self.close(now - 1, "closed")
            if FIRST <= now + 1 <= LAST:
                self.open(now + 1)
            if FIRST <= now - 2 <= LAST:
                self.close(now - 2, "closed")
            if FIRST <= now - 3 <= LAST:
                self.settle(now - 3)
            if FIRST <= now - 4 <= LAST:
                self.settle(now - 4)
                self.close(now - 4, "late")
            self.services()
            if FIRST <= now + 1 <= LAST:
                self.chain.advance(self.chain.start(now + 1) - RECORD_MS)
                self.record(now + 1)
        self.chain.advance(self.chain.start(LAST + 80))

    def check_end(self):
        chain = self.chain
        fund, free, locked, held = chain.view("Market", "fund")
        assert locked == held == 0
        assert fund >= 0
        assert free >= 0
        assert chain.one("MoneyToken", "balanceOf", MARKET) == fund + free
        assert chain.one("EnergyToken", "balanceOf", MARKET) == 0
        for w in range(FIRST, LAST + 1):
            assert chain.one("Market", "phase", w) == Phase.DONE
            for i in self.homes:
                self.check_bill(w, i)
        bills = sum(self.net(w, i) for w in range(FIRST, LAST + 1) for i in self.homes)
        assert sum(chain.money(home(i)) for i in self.homes) == self.n * 200 * EUR + bills

    def check_deleted(self):
        """Twice late_windows later the state holds nothing of the windows, and all the money."""
        chain = self.chain
        before = chain.view("Market", "fund"), [chain.money(home(i)) for i in self.homes]
        kept = storage_key(MARKET, b"")
        assert {key[len(kept) :][:1] for key in chain.state if key.startswith(kept)} > {b"w"}
        chain.advance(chain.start(LAST + 4 + 2 * 72 + 2))
        left = {key[len(kept) :][:1] for key in chain.state if key.startswith(kept)}
        assert left <= {b"r", b"f", b"d"}, "rules, the fund, and debts"
        assert before == (
            chain.view("Market", "fund"),
            [chain.money(home(i)) for i in self.homes],
        )
        for w in range(FIRST, LAST + 1):
            assert chain.one("Market", "phase", w) == Phase.DONE

    def row(self, w, i):
        if not any(self.chain.one("Market", "enrolmentOf", w, home(i).address)):
            return None
        return self.chain.view("Market", "enrolment", w, home(i).address)

    def net(self, w, i):
        row = self.row(w, i)
        return 0 if row is None else row[12] - D

    def check_bill(self, w, i):
        """At most the outside option and its own deviation; at least nothing of the deposit."""
        row = self.row(w, i)
        if row is None or not row[6]:
            return
        _, sold, bought, _, exp, imp, _, sur, unu, ext, sho, is_paid, payout = row
        assert is_paid
        assert payout >= 0
        agreements = self.chain.view("Market", "agreements", w)[0]
        mine = home(i).address
        agreed = sum(
            row[5] * row[6] * ((row[3] == mine) - (row[4] == mine))
            for row in agreements
            if row[7] == 2
        )
        fees = FEE * sum(row[4] == mine and row[7] == 3 for row in agreements)
        if not (sur or unu or ext or sho):
            assert agreed - fees <= payout - D <= agreed, "exact: nothing but the agreements"
        has_reserve = self.chain.view("Market", "terms", w)[5]
        if has_reserve and self.has_honest_split[w, i]:
            outside = exp * FEED_IN - imp * RETAIL
            own = max(0, bought - imp) + max(0, sold - exp)
            assert payout - D >= outside - own * (RETAIL - FEED_IN + PENALTY) - fees


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.randoms(use_true_random=False),
    st.integers(4, 6),
    st.sampled_from([1000 * EUR, 7 * Q * FEED_IN, 0]),
)
def test_a_neighbourhood_trades_for_days(rng, n, reserve):
    neighbourhood = Neighbourhood(rng, n, reserve)
    neighbourhood.play()
    neighbourhood.check_end()


def test_the_simulation_is_not_idle():
    """Runs with plain seeds do everything that the property is about."""
    totals = dict.fromkeys(("agreements", "refused", "closed", "late", "stored"), 0)
    for seed in range(4):
        neighbourhood = Neighbourhood(random.Random(seed), 5, 1000 * EUR)
        neighbourhood.play()
        neighbourhood.check_end()
        neighbourhood.check_deleted()
        for name, count in neighbourhood.did.items():
            totals[name] += count
    assert all(count >= 5 for count in totals.values()), totals
