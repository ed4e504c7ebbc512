"""EMI, the external market's agent: keeps the reserve that backs what the community exports.

Before each window the contract locks F = members × Q × feed-in of the free reserve; without it the
window's surplus is not paid. EMI looks once a window and fills the free reserve up from its money.
"""

from typing import final

from market.agents.actions import Action, CallView, Report
from market.agents.observations import Observation, ViewAnswer
from market.agents.outbox import Outbox
from market.agents.terms import MarketTerms

ACCOUNT = "external_market"
WINDOWS_AHEAD = 4
"""Windows that the free reserve should still back: as many as are unsettled at a time."""

_FUND, _BALANCE = "fund", "balance"


@final
class ExternalMarketAgent:
    """Steps with ticks and view answers; sends from the account "external_market"."""

    def __init__(self, terms: MarketTerms, *, account: bytes, members: int) -> None:
        """`account`: its address; `members`: how many households the reserve covers."""
        self._terms = terms
        self._account = account
        self._needed = WINDOWS_AHEAD * members * terms.quantity_max * terms.feed_in
        self._outbox = Outbox(
            (ACCOUNT,), patience_ms=terms.window_ms // 3, retry_ms=max(1, terms.window_ms // 20)
        )
        self._asked: int | None = None
        self._asked_ms = 0
        self._missing = 0
        self._is_short = True
        self._deposits = 0

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and look after the reserve."""
        actions = list(self._outbox.step(observation, now_ms))
        if isinstance(observation, ViewAnswer):
            actions += self._answer(observation, now_ms)
        window = self._terms.window_at(now_ms)
        # Until the reserve stands, look ten times a window: its money may just have arrived.
        is_time = window != self._asked or (
            self._is_short and now_ms - self._asked_ms >= self._terms.window_ms // 10
        )
        if is_time:
            self._asked, self._asked_ms = window, now_ms
            actions.append(CallView((_FUND, window), "Market", "fund", ()))
        return tuple(actions)

    def _answer(self, answer: ViewAnswer, now_ms: int) -> tuple[Action, ...]:
        word, window = answer.tag
        if word == _FUND:
            self._missing = max(0, self._needed - answer.values[1])
            self._is_short = self._missing > 0
            if self._is_short:
                balance = (self._account,)
                return (CallView((_BALANCE, window), "MoneyToken", "balanceOf", balance),)
            return ()
        amount = min(self._missing, answer.values[0])
        if word != _BALANCE or amount == 0:
            return ()
        self._deposits += 1
        sent = self._outbox.attempt(
            ("deposit", self._deposits),
            now_ms,
            account=ACCOUNT,
            contract="Market",
            function="depositReserve",
            args=(amount,),
        )
        self._is_short = False  # Look again in the next window, when this deposit is sealed.
        return (*sent, Report("reserve", (("amount", amount),)))
