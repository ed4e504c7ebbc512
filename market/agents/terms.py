"""The public terms of a market and its clock arithmetic, as an agent knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

from market.abi import FUNCTIONS

QUARTERS_PER_WINDOW = 4
"""A window stands for one hour of the devices, however fast a testnet runs it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTerms:
    """Genesis parameters of the market: prices in 10⁻⁸ EUR per Wh, times in Unix ms."""

    chain_id: int
    retail: int
    feed_in: int
    penalty: int
    quantity_max: int
    """Q in Wh: the cap of a window can only be lower."""
    agreements_max: int
    genesis_time_ms: int
    window_ms: int
    record_ms: int
    attest_windows: int
    close_windows: int
    settle_windows: int

    def __post_init__(self) -> None:
        if not 0 <= self.feed_in < self.retail:
            raise ValueError(f"feed_in must be in 0..{self.retail - 1}, got {self.feed_in}")
        if not 0 < self.record_ms < self.window_ms:
            raise ValueError(f"record_ms must be in 1..{self.window_ms - 1}, got {self.record_ms}")
        if self.quantity_max <= 0 or self.agreements_max <= 0:
            raise ValueError("quantity_max and agreements_max must be positive")

    @classmethod
    def from_parameters(cls, chain_id: int, values: Sequence[Any]) -> Self:
        """Build from what the view `Market.parameters()` returns."""
        named = dict(zip(FUNCTIONS["Market"]["parameters"].output_names, values, strict=True))
        return cls(
            chain_id=chain_id,
            retail=named["retail"],
            feed_in=named["feedIn"],
            penalty=named["penalty"],
            quantity_max=named["quantityMax"],
            agreements_max=named["agreementsMax"],
            genesis_time_ms=named["genesisTimeMs"],
            window_ms=named["windowMs"],
            record_ms=named["recordMs"],
            attest_windows=named["attestWindows"],
            close_windows=named["closeWindows"],
            settle_windows=named["settleWindows"],
        )

    @property
    def margin_ms(self) -> int:
        """How long after a phase began one waits, for the clock of the next block's proposer."""
        return max(1, self.window_ms // 200)

    def start(self, window: int) -> int:
        """When delivery of `window` begins."""
        return self.genesis_time_ms + window * self.window_ms

    def window_at(self, now_ms: int) -> int:
        """The window that is being delivered at `now_ms`; negative before genesis."""
        return (now_ms - self.genesis_time_ms) // self.window_ms

    def negotiation_end(self, window: int) -> int:
        """When nothing is negotiated any more and recording begins."""
        return self.start(window) - self.record_ms

    def attest_end(self, window: int) -> int:
        """After this no meter can attest."""
        return self.start(window + 1 + self.attest_windows)

    def close_end(self, window: int) -> int:
        """After this the operator may settle whoever has not closed."""
        return self.start(window + 1 + self.close_windows)
