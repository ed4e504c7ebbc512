"""One market window in words and numbers, from its events; pure.

The figures come from `testnet.ledger`, which computes them from events alone.
"""

from collections.abc import Callable, Iterable
from typing import Any, final

from market import abi
from market.agents.events import decode_events
from market.agents.observations import BlockSeen
from market.agents.terms import MarketTerms
from market.units import cost
from testnet.ledger import Agreement, Ledger, LogLine, WindowBook

UNITS_PER_CENT_A_KWH = 1_000
"""A price of 1,000 · 10⁻⁸ EUR per Wh is one cent per kWh."""


@final
class WindowWatch:
    """Follows one window: each event once, in the chain's order; returns lines for people."""

    def __init__(self, window: int, terms: MarketTerms, name_of: Callable[[bytes], str]) -> None:
        """Begin with nothing seen.

        Args:
            window: whose events count.
            terms: of the market.
            name_of: words for an address.
        """
        self.window = window
        self._terms = terms
        self._name_of = name_of
        self._ledger = Ledger(())
        self._phase: abi.Phase | None = None
        self.settled: list[abi.Settled] = []
        """Settlements of other windows that passed by."""

    @property
    def book(self) -> WindowBook:
        """Everything that was seen of the window."""
        return self._ledger.windows[self.window]

    def on_events(self, lines: Iterable[LogLine]) -> list[str]:
        """Book what belongs to the window, and say what people want to hear of it."""
        said = []
        for line in lines:
            seen = BlockSeen(height=0, time_ms=0, transactions=(), events=(line,))
            for event in decode_events(seen):
                if getattr(event, "window", None) == self.window:
                    self._ledger.add(line)
                    said += self._describe(event)
                elif isinstance(event, abi.Settled):
                    self.settled.append(event)
                    said.append(f"window {event.window} is settled: {describe_settled(event)}")
        return said

    def on_time(self, now_ms: int) -> list[str]:
        """Say which phase has begun; each once."""
        phase = trading_phase(self._terms, self.window, now_ms)
        if phase is self._phase:
            return []
        self._phase = phase
        left_s = max(0, self._phase_end(phase) - now_ms) / 1000
        match phase:
            case abi.Phase.NEGOTIATE:
                return [f"window {self.window}: negotiation, {left_s:.1f} s left"]
            case abi.Phase.RECORD:
                return [f"window {self.window}: agreements are recorded, {left_s:.1f} s left"]
            case abi.Phase.DELIVER:
                return [f"window {self.window}: trading is over, delivery begins"]
            case _:
                return [f"window {self.window}: trading begins in {left_s:.1f} s"]

    def _phase_end(self, phase: abi.Phase) -> int:
        match phase:
            case abi.Phase.FUTURE:
                return self._terms.start(self.window - 1)
            case abi.Phase.NEGOTIATE:
                return self._terms.negotiation_end(self.window)
            case _:
                return self._terms.start(self.window)

    def name(self, account: bytes) -> str:
        """Return the household behind an enrolled account, in words."""
        return self._name_of(self.book.households.get(account, account))

    def _describe(self, event: abi.Event) -> list[str]:
        match event:
            case abi.OfferMade():
                kind = abi.OfferKind(event.kind).name.lower()
                return [f"offer   {self.name(event.seller)}: {event.quantity:,} Wh {kind}"]
            case abi.CallMade():
                return [f"call    {self.name(event.buyer)}: {event.quantity:,} Wh"]
            case abi.TransactionAllowed():
                return [f"allowed {self._deal(self.book.agreements[event.agreement_id])}"]
            case abi.TransactionConfirmed():
                deal = self._deal(self.book.agreements[event.agreement_id])
                return [f"firm    {deal}; {self.book.traded_wh:,} Wh in all"]
            case abi.TransactionVoided():
                return [f"void    {self._deal(self.book.agreements[event.agreement_id])}"]
            case abi.Settled():
                return [f"window {event.window} is settled: {describe_settled(event)}"]
            case _:
                return []

    def _deal(self, deal: Agreement) -> str:
        return (
            f"{self.name(deal.seller)} -> {self.name(deal.buyer)}: {deal.quantity:,} Wh "
            f"at {cents_a_kwh(deal.price)} ct/kWh"
        )


def trading_phase(terms: MarketTerms, window: int, now_ms: int) -> abi.Phase:
    """Return how far trading of `window` is by the clock; DELIVER when it is over."""
    if now_ms < terms.start(window - 1):
        return abi.Phase.FUTURE
    if now_ms < terms.negotiation_end(window):
        return abi.Phase.NEGOTIATE
    return abi.Phase.RECORD if now_ms < terms.start(window) else abi.Phase.DELIVER


def describe_settled(event: abi.Settled) -> str:
    """Return totals and prices of a settled window in words."""
    return (
        f"surplus {event.surplus:,} Wh, deficit {event.deficit:,} Wh, "
        f"{event.matched:,} Wh of it met inside; paid {cents_a_kwh(event.p_sur)}, "
        f"charged {cents_a_kwh(event.p_ext)} ct/kWh"
    )


def cents_a_kwh(price: int) -> str:
    """Return a price (10⁻⁸ EUR per Wh) as cents per kWh with two decimals, rounded down."""
    return f"{price // UNITS_PER_CENT_A_KWH}.{price % UNITS_PER_CENT_A_KWH // 10:02d}"


def window_report(window: int, book: WindowBook, name_of: Callable[[bytes], str]) -> dict[str, Any]:
    """Return a window as one JSON object: totals, prices, households, settlement.

    Energy in Wh, prices in 10⁻⁸ EUR per Wh, money in 10⁻⁸ EUR. What has not happened yet is null.
    """
    firm = book.confirmed()
    traded = book.traded_wh
    worth = sum(cost(deal.quantity, deal.price) for deal in firm)
    prices = [deal.price for deal in firm]
    settled = book.settled
    return {
        "window": window,
        "enrolled": len(book.households),
        "offered_wh": book.offered.total(),
        "demanded_wh": book.demanded.total(),
        "tradeable_wh": book.tradeable_wh,
        "agreements": len(firm),
        "unconfirmed": len(book.agreements) - len(firm),
        "traded_wh": traded,
        "unsold_while_demanded_wh": book.unsold_while_demanded_wh,
        "price_min": min(prices, default=None),
        "price_mean": worth // traded if traded else None,
        "price_max": max(prices, default=None),
        "households": [
            _household(book, account, name_of(household))
            for account, household in book.households.items()
        ],
        "settled": None
        if settled is None
        else {
            "surplus_wh": settled.surplus,
            "deficit_wh": settled.deficit,
            "matched_wh": settled.matched,
            "p_sur": settled.p_sur,
            "p_ext": settled.p_ext,
            "p_unu": settled.p_unu,
            "p_sho": settled.p_sho,
        },
    }


def _household(book: WindowBook, account: bytes, name: str) -> dict[str, Any]:
    attested, paid = book.attested.get(account), book.paid.get(account)
    firm = book.confirmed()
    return {
        "name": name,
        "offered_wh": book.offered[account],
        "demanded_wh": book.demanded[account],
        "sold_wh": sum(deal.quantity for deal in firm if deal.seller == account),
        "bought_wh": sum(deal.quantity for deal in firm if deal.buyer == account),
        "exported_wh": None if attested is None else attested.exp,
        "imported_wh": None if attested is None else attested.imp,
        "closed": account in book.closed,
        "net_units": None if paid is None else paid.net,
    }
