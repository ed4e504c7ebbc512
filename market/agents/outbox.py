"""An agent's transactions: each duty is done once, tried again when it fails, and given up in time.

A duty has a tag of the core's choosing. Sending it twice is harmless but for a second makeOffer,
so a call whose fate is unknown waits for its event before it is tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from market.agents.actions import Action
from market.agents.nonce_lane import Call, NonceLane
from market.agents.observations import (
    NonceAnswer,
    Observation,
    SendRefused,
    Tick,
    TransactionSealed,
)

ATTEMPTS_MAX = 4
DUTIES_MAX = 8192
"""Remembered duties; the oldest are forgotten first."""

Tag: TypeAlias = tuple[str, int]


@final
@dataclass(slots=True)
class _Duty:
    attempts: int = 0
    is_in_flight: bool = False
    is_done: bool = False
    retry_ms: int = 0


@final
class Outbox:
    """Lanes and duties of an agent's accounts."""

    def __init__(self, accounts: Sequence[str], *, patience_ms: int, retry_ms: int) -> None:
        self._lanes = {
            name: NonceLane(name, patience_ms=patience_ms, rest_ms=retry_ms) for name in accounts
        }
        self._patience_ms = patience_ms
        self._retry_ms = retry_ms
        self._duties: dict[Tag, _Duty] = {}

    def attempt(
        self,
        tag: Tag,
        now_ms: int,
        *,
        account: str,
        contract: str,
        function: str,
        args: tuple[Any, ...],
    ) -> tuple[Action, ...]:
        """Send the duty's call unless it is done, on its way, resting, or given up."""
        duty = self._duties.setdefault(tag, _Duty())
        if duty.is_done or duty.is_in_flight or now_ms < duty.retry_ms:
            return ()
        if duty.attempts >= ATTEMPTS_MAX:
            return ()
        call = Call(contract=contract, function=function, args=args, tag=tag)
        try:
            actions = self._lanes[account].send(call, now_ms)
        except OverflowError:
            duty.retry_ms = now_ms + self._patience_ms
            return ()
        duty.attempts += 1
        duty.is_in_flight = True
        self._forget_oldest()
        return actions

    def done(self, tag: Tag) -> None:
        """Note from an event that the duty is fulfilled, whoever did it."""
        duty = self._duties.setdefault(tag, _Duty())
        duty.is_done = True
        self._forget_oldest()

    def is_done(self, tag: Tag) -> bool:
        """Whether the duty is fulfilled."""
        return tag in self._duties and self._duties[tag].is_done

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Follow the lanes' own observations; others are not for the outbox."""
        match observation:
            case TransactionSealed(account, nonce, is_success):
                calls = self._lanes[account].on_sealed(nonce, now_ms)
                if calls:
                    self._note_unknown(calls[:-1], now_ms)
                    self._note(calls[-1], now_ms, is_success=is_success)
                return ()
            case SendRefused(account, nonce, _):
                return self._lanes[account].on_refused(nonce, now_ms)
            case NonceAnswer(account, nonce):
                dropped, actions = self._lanes[account].on_nonce(nonce, now_ms)
                self._note_unknown(dropped, now_ms)
                return actions
            case Tick():
                ticks = [lane.on_tick(now_ms) for lane in self._lanes.values()]
                return tuple(action for actions in ticks for action in actions)
            case _:
                return ()

    def _note(self, call: Call, now_ms: int, *, is_success: bool) -> None:
        duty = self._duties.get(call.tag)
        if duty is None:
            return
        duty.is_in_flight = False
        duty.is_done |= is_success
        duty.retry_ms = now_ms + self._retry_ms

    def _note_unknown(self, calls: Sequence[Call], now_ms: int) -> None:
        """Sealed with an unknown outcome: its event will tell; until then it is not repeated."""
        for call in calls:
            duty = self._duties.get(call.tag)
            if duty is not None:
                duty.is_in_flight = False
                duty.retry_ms = now_ms + self._patience_ms

    def _forget_oldest(self) -> None:
        if len(self._duties) > DUTIES_MAX:
            oldest = next(iter(self._duties))
            if not self._duties[oldest].is_in_flight:
                del self._duties[oldest]
