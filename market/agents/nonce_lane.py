"""One account's transactions in order: nonces, what is in flight, and recovery after a refusal.

Each agent account has one lane, so nonces never race. After a refusal, or when nothing is sealed
for too long, the lane asks for the chain's nonce, forgets what the chain has, and sends the rest
again in order under consecutive nonces. Nothing is sent twice to effect: a call is renumbered only
when the chain's nonce shows that its old number was not used.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, final

from market.agents.actions import Action, AskNonce, SendTransaction

IN_FLIGHT_MAX = 64
"""As many as a node's mempool keeps ahead of the account's nonce."""
REFUSALS_MAX = 5
"""Recoveries without a seal after which the first call is given up: no node takes it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A contract call without its nonce; `tag` is the core's own name for it."""

    contract: str
    function: str
    args: tuple[Any, ...]
    tag: tuple[str, int]


@final
class NonceLane:
    """Numbers calls of one account; all methods return the actions to perform."""

    __slots__ = (
        "_account",
        "_answered_ms",
        "_asked_ms",
        "_calls",
        "_is_broken",
        "_next",
        "_patience_ms",
        "_refusals",
        "_rest_ms",
        "_sent_ms",
    )

    def __init__(self, account: str, *, patience_ms: int, rest_ms: int) -> None:
        """`patience_ms`: without a seal; `rest_ms`: at least, between two recoveries."""
        self._account = account
        self._patience_ms = patience_ms
        self._rest_ms = rest_ms
        self._is_broken = False
        """Refused since the last recovery: nothing behind can be sealed."""
        self._refusals = 0
        self._answered_ms: int | None = None
        self._next: int | None = None
        """Nonce of the first of `_calls`; None while the chain's is not known."""
        self._calls: deque[Call] = deque()
        self._asked_ms: int | None = None
        self._sent_ms = 0

    def send(self, call: Call, now_ms: int) -> tuple[Action, ...]:
        """Queue `call` behind the others of the account.

        Raises:
            OverflowError: IN_FLIGHT_MAX calls wait; the caller drops its call.
        """
        if len(self._calls) >= IN_FLIGHT_MAX:
            raise OverflowError(f"at most {IN_FLIGHT_MAX} transactions in flight")
        self._calls.append(call)
        if self._next is None:
            return self._ask(now_ms)
        if self._is_broken or self._asked_ms is not None:
            return ()  # The recovery that is under way sends it.
        if len(self._calls) == 1:
            self._sent_ms = now_ms
        return (self._numbered(len(self._calls) - 1),)

    def on_sealed(self, nonce: int, now_ms: int) -> tuple[Call, ...]:
        """Take what is sealed out of the lane: the last is the call of `nonce`, if it was ours.

        Nonces seal in order, so what stands before it was sealed as well, its outcome unknown.
        """
        if self._next is None or not self._next <= nonce < self._next + len(self._calls):
            return ()
        self._sent_ms = now_ms
        self._refusals = 0
        return self._drop(nonce + 1 - self._next)

    def on_refused(self, nonce: int, now_ms: int) -> tuple[Action, ...]:
        """Ask for the chain's nonce, unless the refused transaction is already settled."""
        if self._next is not None and nonce < self._next:
            return ()
        self._refusals += not self._is_broken
        self._is_broken = True
        return self._recover(now_ms)

    def on_nonce(self, nonce: int, now_ms: int) -> tuple[tuple[Call, ...], tuple[Action, ...]]:
        """Continue from the chain's next nonce.

        Returns:
            The calls that the chain has, whatever came of them, or that no node takes; and all
            others, sent again.
        """
        self._asked_ms = None
        self._answered_ms = self._sent_ms = now_ms
        self._is_broken = False
        dropped: tuple[Call, ...] = ()
        if self._next is not None:
            dropped = self._drop(min(len(self._calls), max(0, nonce - self._next)))
        if not dropped and self._refusals >= REFUSALS_MAX and self._calls:
            dropped = (self._calls.popleft(),)
        if dropped:
            self._refusals = 0
        self._next = nonce
        return dropped, tuple(self._numbered(index) for index in range(len(self._calls)))

    def _drop(self, count: int) -> tuple[Call, ...]:
        assert self._next is not None, "nothing is in flight before the chain's nonce is known"
        self._next += count
        return tuple(self._calls.popleft() for _ in range(count))

    def on_tick(self, now_ms: int) -> tuple[Action, ...]:
        """Ask again when no answer came, or when nothing was sealed for too long."""
        if self._is_broken and self._asked_ms is None:
            return self._recover(now_ms)
        since = self._sent_ms if self._asked_ms is None else self._asked_ms
        if self._calls and now_ms - since >= self._patience_ms:
            return self._ask(now_ms, again=True)
        return ()

    def _recover(self, now_ms: int) -> tuple[Action, ...]:
        """Ask, but not in a tight loop with a node that refuses whatever it is sent."""
        if self._answered_ms is not None and now_ms - self._answered_ms < self._rest_ms:
            return ()
        return self._ask(now_ms)

    @property
    def in_flight(self) -> int:
        """Calls that are not sealed yet."""
        return len(self._calls)

    def _ask(self, now_ms: int, *, again: bool = False) -> tuple[Action, ...]:
        if self._asked_ms is not None and not again:
            return ()
        self._asked_ms = now_ms
        return (AskNonce(self._account),)

    def _numbered(self, index: int) -> SendTransaction:
        assert self._next is not None, "only called once the chain's nonce is known"
        call = self._calls[index]
        return SendTransaction(
            account=self._account,
            nonce=self._next + index,
            contract=call.contract,
            function=call.function,
            args=call.args,
        )
