"""A little neighbourhood for the trading cores: a seeded relay that delays, loses and repeats."""

import heapq
import random
from dataclasses import dataclass, field

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.ontology import Message, decode_message, encode_message
from market.agents.strategies.faratin import TimeDependent
from market.agents.strategies.protocol import Side
from market.agents.trading.agreement import Counterparty
from market.agents.trading.buyer import BuyerAgent
from market.agents.trading.schedule import CONCESSION_ROUNDS, Schedule
from market.agents.trading.seller import SellerAgent

FEED_IN, RETAIL = 8_000, 30_000
CHAIN_ID = 7
WINDOW = 5
AGREEMENTS_MAX = 16


def account(name: str) -> AccountKey:
    return AccountKey(tagged_hash(b"test/account", name.encode()))


def key_of(name: str) -> bytes:
    return tagged_hash(b"test/key", name.encode())


def strategy(side: Side, name: str, seed: int) -> TimeDependent:
    return TimeDependent.draw(
        side,
        feed_in=FEED_IN,
        retail=RETAIL,
        deadline=CONCESSION_ROUNDS,
        seed=f"{name}/{seed}".encode(),
        window=WINDOW,
    )


@dataclass
class Neighbourhood:
    offers: list[int]
    calls: list[int]
    seed: int
    loss: float = 0.0
    repeat: float = 0.0
    delay_ms: tuple[int, int] = (1, 40)
    negotiation_ms: int = 4_000
    tick_ms: int = 20
    silent_sellers: tuple[int, ...] = ()
    of_one_household: tuple[int, ...] = ()
    """Sellers whose offers are the same household's."""
    has_copied_keys: bool = False
    """Somebody published, before everybody else, offers and calls of 1 Wh with their keys."""
    sent: int = 0
    log: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.schedule = Schedule(
            window=WINDOW, open_ms=0, end_ms=self.negotiation_ms, grace_ms=self.negotiation_ms + 500
        )
        self.sellers = {}
        self.buyers = {}
        accounts = {account(f"b{i}").address for i in range(len(self.calls))}
        for i, quantity in enumerate(self.offers):
            self.sellers[key_of(f"s{i}")] = SellerAgent(
                chain_id=CHAIN_ID,
                schedule=self.schedule,
                key=key_of(f"s{i}"),
                account=self.seller_account(i),
                offer_id=i + 1,
                quantity=quantity,
                strategy=strategy(Side.SELLER, f"s{i}", self.seed),
                agreements_max=AGREEMENTS_MAX,
                band=(FEED_IN, RETAIL),
                may_sign=lambda signer, buyer: signer == buyer and signer in accounts,
            )
        for i, quantity in enumerate(self.calls):
            self.buyers[key_of(f"b{i}")] = BuyerAgent(
                chain_id=CHAIN_ID,
                schedule=self.schedule,
                key=key_of(f"b{i}"),
                account=account(f"b{i}").address,
                signer=account(f"b{i}"),
                quantity=quantity,
                strategy=strategy(Side.BUYER, f"b{i}", self.seed),
                agreements_max=AGREEMENTS_MAX,
                band=(FEED_IN, RETAIL),
            )
        self.silent = {key_of(f"s{i}") for i in self.silent_sellers}
        published_offers = [
            Counterparty(key_of(f"s{i}"), self.seller_account(i), quantity, i + 1)
            for i, quantity in enumerate(self.offers)
        ]
        published_calls = [
            Counterparty(key_of(f"b{i}"), account(f"b{i}").address, quantity, i + 1)
            for i, quantity in enumerate(self.calls)
        ]
        if self.has_copied_keys:
            copied = account("thief").address
            published_offers = [
                *(
                    Counterparty(each.key, copied, 1, 100 + each.offer_id)
                    for each in published_offers
                ),
                *published_offers,
            ]
            published_calls = [
                *(
                    Counterparty(each.key, copied, 1, 100 + each.offer_id)
                    for each in published_calls
                ),
                *published_calls,
            ]
        for seller in self.sellers.values():
            seller.meet(published_calls)
        for buyer in self.buyers.values():
            buyer.meet(published_offers)

    def seller_account(self, i: int) -> bytes:
        return account("several" if i in self.of_one_household else f"s{i}").address

    def run(self) -> "Neighbourhood":
        queue: list[tuple[int, int, bytes, bytes]] = []
        count = 0
        for now in range(0, self.schedule.grace_ms + 1_000, self.tick_ms):
            outgoing = []
            while queue and queue[0][0] <= now:
                at, _, receiver, data = heapq.heappop(queue)
                message = decode_message(data)
                agent = self.sellers.get(receiver) or self.buyers[receiver]
                if receiver not in self.silent:
                    outgoing += agent.receive(message, max(at, now))
                self.check()
            for agent in (*self.sellers.values(), *self.buyers.values()):
                outgoing += agent.tick(now)
            self.check()
            for message in outgoing:
                self.log.append(message)
                copies = 1 + (self.rng.random() < self.repeat)
                for _ in range(copies if self.rng.random() >= self.loss else 0):
                    count += 1
                    due = now + self.rng.randint(*self.delay_ms)
                    heapq.heappush(queue, (due, count, message.receiver, encode_message(message)))
        self.sent = count
        return self

    def check(self) -> None:
        """Nothing is ever sold or bought twice, whatever the relay does."""
        for (i, quantity), seller in zip(
            enumerate(self.offers), self.sellers.values(), strict=True
        ):
            assert (
                sum(a.terms.quantity for a in seller.agreements) + seller.remaining == quantity
            ), i
            assert seller.remaining >= 0
            assert len(seller.agreements) <= AGREEMENTS_MAX
            assert len({a.id for a in seller.agreements}) == len(seller.agreements)
        for buyer in self.buyers.values():
            assert buyer.uncommitted >= 0
            assert len(buyer.agreements) <= AGREEMENTS_MAX

    @property
    def sold(self) -> dict[bytes, int]:
        """Agreement id to Wh, as the sellers granted them."""
        return {
            a.id: a.terms.quantity for seller in self.sellers.values() for a in seller.agreements
        }

    @property
    def bought(self) -> dict[bytes, int]:
        return {a.id: a.terms.quantity for b in self.buyers.values() for a in b.agreements.values()}

    @property
    def left_over(self) -> int:
        """min(offered, demanded) that is not agreed: 0 when one side is sold out."""
        return min(sum(self.offers), sum(self.calls)) - sum(self.sold.values())
