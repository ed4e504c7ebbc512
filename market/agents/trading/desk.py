"""The trading desk: one seller or buyer per window, and the sealed messages to and from it."""

from collections.abc import Sequence
from typing import Any, TypeAlias, final

from crypto.errors import DecodeError
from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.actions import Action, RelayListen, RelaySend, Report
from market.agents.directory import HouseholdDirectory
from market.agents.errors import BoxRefused
from market.agents.observations import MessageArrived
from market.agents.ontology import Message, decode_message, encode_message
from market.agents.relay_box import RelayBox
from market.agents.strategies.faratin import TimeDependent
from market.agents.strategies.protocol import Side
from market.agents.terms import MarketTerms
from market.agents.trading.agreement import Agreement, Counterparty
from market.agents.trading.buyer import BuyerAgent
from market.agents.trading.schedule import CONCESSION_ROUNDS, Schedule
from market.agents.trading.seller import SellerAgent

OPEN_PERCENT = 30
"""Part of the trading time after which bidding begins: offers and calls are on the chain then."""
GRACE_PERCENT = 20
"""Part of the recording phase in which answers to acceptances that were in time still count."""

MESSAGES_PER_SENDER_MAX = 128
"""Of one counterparty in a window, several times what an honest one sends. Each is answered, and
the node's relay takes only so many messages: nobody may make us spend them on it."""

TradingAgent: TypeAlias = SellerAgent | BuyerAgent


def schedule_of(terms: MarketTerms, window: int) -> Schedule:
    """Return the rounds of a window: the same for every household."""
    begin, end = terms.start(window - 1), terms.negotiation_end(window)
    return Schedule(
        window=window,
        open_ms=begin + (end - begin) * OPEN_PERCENT // 100,
        end_ms=end,
        grace_ms=end + terms.record_ms * GRACE_PERCENT // 100,
    )


@final
class _Session:
    """One window's agent with its box."""

    def __init__(self, schedule: Schedule, box: RelayBox, agent: TradingAgent, own: bytes) -> None:
        self.schedule = schedule
        self.box = box
        self.agent = agent
        self.own = own
        """The household's enrolled account in the window."""
        self.messages_refused = 0
        self._heard: dict[bytes, int] = {}
        """Messages by their senders' keys."""

    def admits(self, sender: bytes) -> bool:
        """Whether to listen to one more message of `sender`: a counterparty, and not too many."""
        heard = self._heard.get(sender, 0)
        if heard >= MESSAGES_PER_SENDER_MAX or not self.agent.knows(sender):
            return False
        self._heard[sender] = heard + 1
        return True


@final
class TradingDesk:
    """Runs SA and BA of a household over its windows."""

    def __init__(
        self,
        terms: MarketTerms,
        directory: HouseholdDirectory,
        *,
        signer: AccountKey,
        secret: bytes,
    ) -> None:
        """`signer` signs acceptances; negotiation keys and prices follow from `secret`."""
        self._terms = terms
        self._directory = directory
        self._signer = signer
        self._secret = secret
        self._sessions: dict[int, _Session] = {}

    def negotiation_key(self, window: int) -> bytes:
        """The public key of the household's offer or call in `window`."""
        return self._box(window).public

    def _box(self, window: int) -> RelayBox:
        number = window.to_bytes(8, "big")
        return RelayBox(tagged_hash(b"hearth/agents/negotiation", self._secret, number))

    def open(
        self, window: int, side: Side, *, account: bytes, offer_id: int, quantity: int
    ) -> tuple[Action, ...]:
        """Begin to trade `quantity` Wh; a second time for the same window changes nothing."""
        if window in self._sessions:
            return ()
        terms, schedule, box = self._terms, schedule_of(self._terms, window), self._box(window)
        strategy = TimeDependent.draw(
            side,
            feed_in=terms.feed_in,
            retail=terms.retail,
            deadline=CONCESSION_ROUNDS,
            seed=self._secret,
            window=window,
        )
        agent: TradingAgent
        if side is Side.SELLER:
            agent = SellerAgent(
                chain_id=terms.chain_id,
                schedule=schedule,
                key=box.public,
                account=account,
                offer_id=offer_id,
                quantity=quantity,
                strategy=strategy,
                agreements_max=terms.agreements_max,
                band=(terms.feed_in, terms.retail),
                may_sign=self._directory.may_sign,
            )
        else:
            agent = BuyerAgent(
                chain_id=terms.chain_id,
                schedule=schedule,
                key=box.public,
                account=account,
                signer=self._signer,
                quantity=quantity,
                strategy=strategy,
                agreements_max=terms.agreements_max,
                band=(terms.feed_in, terms.retail),
            )
        self._sessions[window] = _Session(schedule, box, agent, account)
        return (RelayListen(box.public, terms.start(window)),)

    def meet_sellers(self, window: int, rows: Sequence[Sequence[Any]]) -> None:
        """Take what `getOffers(window)` returned."""
        session = self._sessions.get(window)
        if session is not None and isinstance(session.agent, BuyerAgent):
            session.agent.meet(
                [
                    Counterparty(key, seller, quantity, offer_id)
                    for offer_id, seller, _kind, quantity, _sold, key, _conditions in rows
                    if not self._directory.may_sign(seller, session.own)
                ]
            )

    def meet_buyers(self, window: int, rows: Sequence[Sequence[Any]]) -> None:
        """Take what `getCalls(window)` returned."""
        session = self._sessions.get(window)
        if session is not None and isinstance(session.agent, SellerAgent):
            session.agent.meet(
                [
                    Counterparty(key, buyer, quantity, call_id)
                    for call_id, buyer, quantity, _bought, key in rows
                    if not self._directory.may_sign(buyer, session.own)
                ]
            )

    def receive(self, arrived: MessageArrived, now_ms: int) -> tuple[Action, ...]:
        """Open, check and answer a relayed message; what is malformed is counted and dropped."""
        for window, session in self._sessions.items():
            if session.box.public == arrived.to_key:
                message = self._read(session, arrived.payload)
                if message is None:
                    return (Report("message-refused", (("window", window),)),)
                return self._send(session, session.agent.receive(message, now_ms))
        return ()

    def _read(self, session: _Session, payload: bytes) -> Message | None:
        try:
            opened = session.box.open(payload, session.admits)
            message = decode_message(opened.plaintext)
        except (BoxRefused, DecodeError):
            session.messages_refused += 1
            return None
        # The box proves who speaks; what the message says about that must agree with it.
        is_honest = (message.sender, message.receiver) == (opened.sender, session.box.public)
        if not is_honest or message.window != session.schedule.window:
            session.messages_refused += 1
            return None
        return message

    def tick(self, now_ms: int) -> tuple[Action, ...]:
        """Let time pass for every open session; forget those whose window has begun."""
        actions: list[Action] = []
        for window, session in tuple(self._sessions.items()):
            if now_ms >= self._terms.start(window + 1):
                del self._sessions[window]
            elif now_ms <= session.schedule.grace_ms + session.schedule.round_ms:
                actions += self._send(session, session.agent.tick(now_ms))
        return tuple(actions)

    def to_record(self, window: int) -> Sequence[Agreement]:
        """Agreements that the household as a seller has to record."""
        session = self._sessions.get(window)
        if session is None or not isinstance(session.agent, SellerAgent):
            return ()
        return tuple(session.agent.agreements)

    def confirms(self, window: int, agreement_id: bytes) -> bool:
        """Whether the household as a buyer stands by a recorded agreement."""
        session = self._sessions.get(window)
        if session is None or not isinstance(session.agent, BuyerAgent):
            return False
        return session.agent.confirms(agreement_id)

    def _send(self, session: _Session, messages: Sequence[Message]) -> tuple[Action, ...]:
        actions = []
        for message in messages:
            try:
                payload = session.box.seal(message.receiver, encode_message(message))
            except BoxRefused:
                session.messages_refused += 1
                continue
            actions.append(RelaySend(message.receiver, message.window, payload))
        return tuple(actions)
