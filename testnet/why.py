"""Why a household gains or loses by the market: its saving, taken apart exactly.

Without the market a household pays import·λ_b - export·λ_s. With it, what it exports beyond its
sales, imports beyond its purchases, sold without delivering and bought without using have prices
of their own. The difference of the two bills is the sum of the parts below, to the unit.
"""

from dataclasses import dataclass, fields
from typing import Self, final

from market.units import EUR
from testnet.ledger import Tariff, WindowBook


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WindowGain:
    """Parts of the saving in 10⁻⁸ EUR; adds up over windows."""

    sold_wh: int = 0
    bought_wh: int = 0
    trades: int = 0
    """Agreements at prices better than the tariff: sold above λ_s, bought below λ_b."""
    pool: int = 0
    """Deviations that met somebody else's, at prices better than the tariff."""
    shortfall: int = 0
    """Cost of what it sold and did not deliver: (λ_b + π - λ_s) for each Wh."""
    unused: int = 0
    """Cost of what it bought and did not use."""
    fees: int = 0
    shortfall_wh: int = 0
    unused_wh: int = 0
    unsettled: int = 0
    """Surplus fed in without pay: the external market had no reserve for the window."""

    def __add__(self, other: Self) -> "WindowGain":
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return WindowGain(**sums)

    @property
    def total(self) -> int:
        """The saving."""
        return self.trades + self.pool - self.shortfall - self.unused - self.fees - self.unsettled


def gains(book: WindowBook, household: bytes, tariff: Tariff) -> WindowGain | None:
    """Return the parts of one window; None if the household was not in it or has not closed."""
    account = book.account_of(household)
    if account is None or account not in book.closed:
        return None
    firm = book.confirmed()
    sold = [a for a in firm if a.seller == account]
    bought = [a for a in firm if a.buyer == account]
    closed = book.closed[account]
    prices = book.closing_prices(account, tariff)
    surplus = closed.sur * (prices.p_sur - tariff.feed_in)
    return WindowGain(
        sold_wh=sum(a.quantity for a in sold),
        bought_wh=sum(a.quantity for a in bought),
        trades=sum(a.quantity * (a.price - tariff.feed_in) for a in sold)
        + sum(a.quantity * (tariff.retail - a.price) for a in bought),
        pool=max(0, surplus) + closed.ext * (tariff.retail - prices.p_ext),
        shortfall=closed.sho * (prices.p_sho - tariff.feed_in),
        unused=closed.unu * (tariff.retail - prices.p_unu),
        fees=book.net(account, tariff).fees,
        shortfall_wh=closed.sho,
        unused_wh=closed.unu,
        unsettled=max(0, -surplus),
    )


def explain(sums: WindowGain, saving: int) -> str:
    """Return one or two sentences on why `saving` is negative."""
    costs = [
        (sums.shortfall, f"it sold {sums.shortfall_wh} Wh that it did not deliver"),
        (sums.unused, f"it bought {sums.unused_wh} Wh that it did not use"),
        (sums.fees, "it did not confirm agreements in time"),
        (sums.unsettled, "its surplus was fed in while the external market had no reserve"),
    ]
    parts = [f"{words} ({cost / EUR:.4f} EUR)" for cost, words in costs if cost > 0]
    if not parts:
        parts = ["energy of the day was accounted in windows outside it"]
    reasons = " and ".join(parts)
    earned = sums.trades + sums.pool
    return (
        f"{reasons[0].upper()}{reasons[1:]}; trading earned {earned / EUR:.4f} EUR, "
        f"so {-saving / EUR:.4f} EUR are lost."
    )
