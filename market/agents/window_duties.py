"""What a household owes the market in each window, from enrolment to payment.

The state of a window follows from the chain's events alone, so a household that starts anew and
sees the past again knows what is still to do. Duties are tried by the clock: whoever enrols does
so every window, trading or not, so that absence tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from market.abi import (
    Attested,
    BatchAnchored,
    CallMade,
    Closed,
    Enrolled,
    Event,
    OfferKind,
    OfferMade,
    Paid,
    Settled,
    TransactionAllowed,
    TransactionConfirmed,
)
from market.agents.actions import Action, CallView, Report
from market.agents.closing import split_deviation
from market.agents.observations import ViewAnswer
from market.agents.outbox import Outbox
from market.agents.strategies.protocol import Side
from market.agents.terms import MarketTerms
from market.agents.trading.desk import TradingDesk

PUBLISH_PERCENT = 60
"""Part of the trading time after which it is too late to publish an offer or call."""
PATIENCE_PERCENT = 15
"""Part of the trading time that the last window's readings are waited for."""
LATE_WINDOWS = 72
"""Closing stays possible for so long; older windows are forgotten."""

TERMS, OFFERS, CALLS, ENROLMENT = "terms", "offers", "calls", "enrolment"
"""Words of the views that are asked here; the number beside them is the window."""


@final
@dataclass(slots=True)
class WindowState:
    """One window as the household knows it."""

    account: bytes | None = None
    """W: the household's enrolled account; None before enrolment."""
    side: Side | None = None
    quantity: int = 0
    is_published: bool = False
    """Offer or call seen on the chain."""
    is_planned: bool = False
    """Side and quantity are decided (nothing to trade: no side)."""
    market_seen: int = 0
    """Offers and calls on the chain, by their events."""
    market_read: int = -1
    """How many there were when the views were last asked."""
    forgotten_wh: int = 0
    """Called for before the software began anew: its acceptances are on their way unremembered."""
    to_confirm: tuple[bytes, ...] = ()
    """Recorded agreements of ours that the buyer stands by."""
    is_attested: bool = False
    is_closed: bool = False
    settled_ms: int | None = None
    is_paid: bool = False
    asked_ms: int | None = None
    """When the view for the next step was last asked."""


@final
class WindowDuties:
    """Enrols, publishes, records, confirms, closes and, if nobody else does, triggers payment."""

    def __init__(
        self,
        terms: MarketTerms,
        *,
        household: bytes,
        first_window: int,
        windows: int | None,
        outbox: Outbox,
        desk: TradingDesk,
        is_read: Callable[[int], bool],
        net_wh: Callable[[int], int],
        batch_hash: Callable[[int], bytes],
    ) -> None:
        """Wire the duties.

        Args:
            terms: the market's parameters.
            household: the member's account (20 bytes).
            first_window: first window to trade and to be delivered.
            windows: how many; None for ever.
            outbox: sends the transactions.
            desk: negotiates.
            is_read: window → whether all its readings are there.
            net_wh: window → expected export less import.
            batch_hash: window → what to anchor.
        """
        self._terms = terms
        self._household = household
        self._first = first_window
        self._end = None if windows is None else first_window + windows
        self._outbox = outbox
        self._desk = desk
        self._is_read = is_read
        self._net_wh = net_wh
        self._batch_hash = batch_hash
        self._started_ms: int | None = None
        self.windows: dict[int, WindowState] = {}

    # Events --------------------------------------------------------------------------------------

    def see(self, event: Event, now_ms: int) -> tuple[Action, ...]:
        """Follow a window's life on the chain."""
        match event:
            case OfferMade(window, seller, offer_id, _, quantity):
                return self._published(window, Side.SELLER, seller, offer_id, quantity)
            case CallMade(window, buyer, call_id, quantity):
                return self._published(window, Side.BUYER, buyer, call_id, quantity)
            case Enrolled(window, account, household, _) if household == self._household:
                self._state(window).account = account
                self._outbox.done(("enrol", window))
            case BatchAnchored(household, window, _) if household == self._household:
                self._outbox.done(("anchor", window))
            case Settled(window) if window in self.windows:
                self._state(window).settled_ms = now_ms
            case _:
                return self._see_ours(event)
        return ()

    def _see_ours(self, event: Event) -> tuple[Action, ...]:
        """Follow what concerns our enrolled account of a window."""
        match event:
            case TransactionAllowed(window, _, buyer, agreement_id, _, quantity) if self._is_own(
                window, buyer
            ):
                if self._desk.confirms(window, agreement_id) or self._trusts(window, quantity):
                    self._state(window).to_confirm += (agreement_id,)
            case TransactionConfirmed(window, agreement_id) if self._is_to_confirm(
                window, agreement_id
            ):
                self._outbox.done((f"confirm-{agreement_id.hex()}", window))
            case Attested(window, account) if self._is_own(window, account):
                self._state(window).is_attested = True
            case Closed(window, account) if self._is_own(window, account):
                self._state(window).is_closed = True
                self._outbox.done(("close", window))
            case Paid(window, account, _, _, net) if self._is_own(window, account):
                self._state(window).is_paid = True
                return (Report("paid", (("window", window), ("net", net))),)
            case _:
                pass
        return ()

    def _trusts(self, window: int, quantity: int) -> bool:
        """Whether an agreement that is not remembered may stand.

        The contract has checked that an account of ours signed it; what was given up before the
        restart, and bought elsewhere, could be among it, so only the demand is bought.
        """
        state = self._state(window)
        if quantity > state.forgotten_wh:
            return False
        state.forgotten_wh -= quantity
        return True

    def _state(self, window: int) -> WindowState:
        return self.windows.setdefault(window, WindowState())

    def _is_own(self, window: int, account: bytes) -> bool:
        return window in self.windows and self.windows[window].account == account

    def _is_to_confirm(self, window: int, agreement_id: bytes) -> bool:
        return window in self.windows and agreement_id in self.windows[window].to_confirm

    def _published(
        self, window: int, side: Side, account: bytes, number: int, quantity: int
    ) -> tuple[Action, ...]:
        state = self._state(window)
        state.market_seen += 1
        # A household that started in the middle of the trading has no memory of what it agreed
        # before, and must not agree to it a second time.
        began_ms = self._terms.start(window - 1)
        is_ours = self._is_own(window, account) and not state.is_published
        if not is_ours:
            return ()
        state.is_published = True
        self._outbox.done(("publish", window))
        if self._started_ms is None or self._started_ms > began_ms:
            state.forgotten_wh = quantity if side is Side.BUYER else 0
            return (Report("window-not-traded", (("window", window),)),)
        return self._desk.open(window, side, account=account, offer_id=number, quantity=quantity)

    # Views ---------------------------------------------------------------------------------------

    def answer(self, answer: ViewAnswer, now_ms: int) -> tuple[Action, ...]:
        """Go on with what a view has told."""
        word, window = answer.tag
        match word:
            case "terms":
                return self._plan(window, cap=answer.values[3])
            case "offers":
                self._desk.meet_sellers(window, answer.values[0])
            case "calls":
                self._desk.meet_buyers(window, answer.values[0])
            case "enrolment":
                return self._close(window, answer, now_ms)
            case _:
                pass
        return ()

    def _plan(self, window: int, cap: int) -> tuple[Action, ...]:
        state = self._state(window)
        if state.is_planned:
            return ()
        net = self._net_wh(window)
        state.is_planned = True
        state.quantity = min(abs(net), cap)
        if state.quantity:
            state.side = Side.SELLER if net > 0 else Side.BUYER
        return (Report("forecast", (("window", window), ("net_wh", net))),)

    def _close(self, window: int, answer: ViewAnswer, now_ms: int) -> tuple[Action, ...]:
        _, sold, bought, _, exp, imp, is_closed, *_ = answer.values
        if is_closed:
            self._state(window).is_closed = True
            return ()
        parts = split_deviation(exp=exp, imp=imp, sold=sold, bought=bought)
        args = (window, parts.sur, parts.unu, parts.ext, parts.sho)
        return self._send(("close", window), "seller", "close", args, now_ms)

    # Clock ---------------------------------------------------------------------------------------

    def start(self, now_ms: int) -> None:
        """Note when the software began: a window already in trade is not traded from memory."""
        if self._started_ms is None:
            self._started_ms = now_ms

    def tick(self, now_ms: int) -> tuple[Action, ...]:
        """Do what is due in every window that is alive."""
        current = self._terms.window_at(now_ms)
        actions: list[Action] = []
        if self._is_active(current + 1):
            actions += self._trade(current + 1, now_ms)
        for window in sorted(self.windows):
            state = self.windows[window]
            is_over = state.is_paid and self._outbox.is_done(("anchor", window))
            if window < current - LATE_WINDOWS or is_over:
                del self.windows[window]
            elif window < current:
                actions += self._finish(window, state, now_ms)
        return tuple(actions)

    def _is_active(self, window: int) -> bool:
        return self._first <= window and (self._end is None or window < self._end)

    def _trade(self, window: int, now_ms: int) -> list[Action]:
        """Everything before delivery: enrol, publish, look for others, record, confirm."""
        terms, state = self._terms, self._state(window)
        begin, end = terms.start(window - 1), terms.negotiation_end(window)
        if now_ms < begin + terms.margin_ms:
            return []
        if now_ms >= end:
            return self._record(window, state, now_ms)
        if state.account is None:
            return [*self._send(("enrol", window), "seller", "enrol", (window,), now_ms)]
        passed_percent = (now_ms - begin) * 100 // (end - begin)
        actions: list[Action] = []
        if not state.is_planned:
            is_time = self._is_read(window - 2) or passed_percent >= PATIENCE_PERCENT
            if is_time and self._may_ask(state, now_ms):
                actions.append(CallView((TERMS, window), "Market", "terms", (window,)))
        elif state.side is not None and not state.is_published:
            if passed_percent < PUBLISH_PERCENT:
                actions += self._publish(window, state, now_ms)
        elif state.is_published and state.market_read != state.market_seen:
            state.market_read = state.market_seen
            actions.append(CallView((OFFERS, window), "Market", "getOffers", (window,)))
            actions.append(CallView((CALLS, window), "Market", "getCalls", (window,)))
        return actions

    def _publish(self, window: int, state: WindowState, now_ms: int) -> tuple[Action, ...]:
        key, tag = self._desk.negotiation_key(window), ("publish", window)
        if state.side is Side.SELLER:
            offer = (window, OfferKind.FORECAST.value, state.quantity, key, b"")
            return self._send(tag, "seller", "makeOffer", offer, now_ms)
        return self._send(tag, "buyer", "makeCall", (window, state.quantity, key), now_ms)

    def _record(self, window: int, state: WindowState, now_ms: int) -> list[Action]:
        actions: list[Action] = []
        if now_ms < self._terms.negotiation_end(window) + self._terms.margin_ms:
            return actions
        for agreement in self._desk.to_record(window):
            terms = agreement.terms
            args = (
                window,
                terms.offer_id,
                terms.buyer,
                terms.quantity,
                terms.price,
                terms.nonce,
                agreement.signature,
            )
            tag = (f"allow-{agreement.id.hex()}", window)
            actions += self._send(tag, "seller", "allowTransaction", args, now_ms)
        for agreement_id in state.to_confirm:
            tag = (f"confirm-{agreement_id.hex()}", window)
            actions += self._send(tag, "buyer", "confirm", (agreement_id,), now_ms)
        return actions

    def _finish(self, window: int, state: WindowState, now_ms: int) -> list[Action]:
        """Everything after delivery: anchor, close, and payment if the operator is silent."""
        terms, actions = self._terms, list[Action]()
        if state.account is None or now_ms < terms.start(window + 1) + terms.margin_ms:
            return actions
        tag = ("anchor", window)
        if self._is_read(window) and not self._outbox.is_done(tag):
            args = (window, self._batch_hash(window))
            actions += self._send(tag, "seller", "anchor", args, now_ms, contract="Meters")
        if not state.is_closed:
            # Without an attestation the meter's silence is final only after its deadline.
            may_close = state.is_attested or now_ms >= terms.attest_end(window) + terms.margin_ms
            if may_close and self._may_ask(state, now_ms):
                view = (window, state.account)
                actions.append(CallView((ENROLMENT, window), "Market", "enrolment", view))
        elif not state.is_paid and _is_overdue(state.settled_ms, now_ms, terms.window_ms):
            pay = (window, state.account)
            actions += self._send(("pay", window), "seller", "makeTransaction", pay, now_ms)
        return actions

    def _may_ask(self, state: WindowState, now_ms: int) -> bool:
        """Whether to ask a view now: not again while the last answer may still come."""
        rest_ms = max(1, self._terms.window_ms // 20)
        if state.asked_ms is not None and now_ms - state.asked_ms < rest_ms:
            return False
        state.asked_ms = now_ms
        return True

    def _send(
        self,
        tag: tuple[str, int],
        account: str,
        function: str,
        args: tuple[object, ...],
        now_ms: int,
        *,
        contract: str = "Market",
    ) -> tuple[Action, ...]:
        return self._outbox.attempt(
            tag, now_ms, account=account, contract=contract, function=function, args=args
        )


def _is_overdue(since_ms: int | None, now_ms: int, patience_ms: int) -> bool:
    return since_ms is not None and now_ms - since_ms >= patience_ms
