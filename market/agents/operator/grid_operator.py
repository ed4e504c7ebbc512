"""MGO, the micro-grid operator's agent: settles each window and triggers everybody's payment.

It has no power that deadlines do not take from it: whatever it leaves undone, the contract does
by itself or anybody may do.
"""

from dataclasses import dataclass, field
from typing import final

from market.abi import CapSet, Closed, Enrolled, Event, Paid, Settled
from market.agents.actions import Action
from market.agents.events import decode_events
from market.agents.observations import BlockSeen, Observation, Tick
from market.agents.outbox import Outbox
from market.agents.terms import MarketTerms

ACCOUNT = "operator"
WINDOWS_KEPT = 80
"""Somewhat more than the windows in which late closing is possible."""


@final
@dataclass(slots=True)
class _Window:
    enrolled: list[bytes] = field(default_factory=list)
    closed: set[bytes] = field(default_factory=set)
    paid: set[bytes] = field(default_factory=set)
    is_settled: bool = False


@final
class GridOperatorAgent:
    """Steps with blocks and ticks; sends from the account "operator".

    It begins to act with its first tick, which comes when the past blocks are seen.
    """

    def __init__(self, terms: MarketTerms, *, cap_wh: int | None = None) -> None:
        """`cap_wh`: published for every window ahead of its trading; None leaves the default."""
        self._terms = terms
        self._cap_wh = cap_wh
        self._outbox = Outbox(
            (ACCOUNT,), patience_ms=terms.window_ms // 3, retry_ms=max(1, terms.window_ms // 20)
        )
        self._windows: dict[int, _Window] = {}
        self._is_live = False

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and do what is due."""
        actions = list(self._outbox.step(observation, now_ms))
        if isinstance(observation, BlockSeen):
            for event in decode_events(observation):
                self._see(event)
        self._is_live |= isinstance(observation, Tick)
        if not self._is_live:
            return tuple(actions)
        current = self._terms.window_at(now_ms)
        if self._cap_wh is not None:
            actions += self._publish_cap(current + 2, self._cap_wh, now_ms)
        for window in sorted(self._windows):
            state = self._windows[window]
            is_over = state.is_settled and len(state.paid) == len(state.enrolled)
            if is_over or window < current - WINDOWS_KEPT:
                del self._windows[window]
            elif now_ms >= self._terms.start(window + 1) + self._terms.margin_ms:
                actions += self._settle(window, state, now_ms)
        return tuple(actions)

    def _see(self, event: Event) -> None:
        match event:
            case Enrolled(window, account):
                self._windows.setdefault(window, _Window()).enrolled.append(account)
            case Closed(window, account) if window in self._windows:
                self._windows[window].closed.add(account)
            case Settled(window) if window in self._windows:
                self._windows[window].is_settled = True
                self._outbox.done(("settle", window))
            case Paid(window, account) if window in self._windows:
                self._windows[window].paid.add(account)
            case CapSet(window):
                self._outbox.done(("cap", window))
            case _:
                pass

    def _publish_cap(self, window: int, cap_wh: int, now_ms: int) -> tuple[Action, ...]:
        """The window after next: its trading has not begun, so the cap still counts."""
        return self._outbox.attempt(
            ("cap", window),
            now_ms,
            account=ACCOUNT,
            contract="Market",
            function="setCap",
            args=(window, cap_wh),
        )

    def _settle(self, window: int, state: _Window, now_ms: int) -> list[Action]:
        actions: list[Action] = []
        if not state.is_settled:
            is_late = now_ms >= self._terms.close_end(window) + self._terms.margin_ms
            if is_late or len(state.closed) == len(state.enrolled):
                actions += self._outbox.attempt(
                    ("settle", window),
                    now_ms,
                    account=ACCOUNT,
                    contract="Market",
                    function="settle",
                    args=(window,),
                )
            return actions
        for account in state.enrolled:
            if account in state.closed and account not in state.paid:
                actions += self._outbox.attempt(
                    (f"pay-{account.hex()}", window),
                    now_ms,
                    account=ACCOUNT,
                    contract="Market",
                    function="makeTransaction",
                    args=(window, account),
                )
        return actions
