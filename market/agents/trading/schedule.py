"""Rounds of one window's negotiation on the clock."""

from dataclasses import dataclass
from typing import final

ROUNDS = 10
"""As good as 55 on measured communities, with a fifth of the messages."""
CONCESSION_ROUNDS = 6
"""Reservation prices are reached here; the rest matches whatever is left at them."""
BINDING_ROUNDS = 4
"""How long proposals and acceptances bind: an answer may take longer than a round to arrive."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Rounds 0 … `rounds` − 1 of equal length in [open_ms, end_ms); answers until `grace_ms`."""

    window: int
    open_ms: int
    end_ms: int
    grace_ms: int
    """Answers to acceptances that were made in time still count until then."""
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        if not 0 < self.rounds <= self.end_ms - self.open_ms:
            raise ValueError("each round must last at least one millisecond")
        if self.grace_ms < self.end_ms:
            raise ValueError("grace_ms must not lie before end_ms")

    @property
    def round_ms(self) -> int:
        """Length of one round."""
        return (self.end_ms - self.open_ms) // self.rounds

    @property
    def binding_ms(self) -> int:
        """How long a proposal or an acceptance binds whoever made it."""
        return BINDING_ROUNDS * self.round_ms

    def round_at(self, now_ms: int) -> int:
        """Round of `now_ms`; −1 before the first, `rounds` − 1 after the last."""
        if now_ms < self.open_ms:
            return -1
        return min((now_ms - self.open_ms) // self.round_ms, self.rounds - 1)

    def part_passed(self, now_ms: int, percent: int) -> bool:
        """Whether `percent` of the round of `now_ms` has passed (always so after the end)."""
        start = self.open_ms + self.round_at(now_ms) * self.round_ms
        return (now_ms - start) * 100 >= self.round_ms * percent

    def is_open(self, now_ms: int) -> bool:
        """Whether one may bid and accept."""
        return self.open_ms <= now_ms < self.end_ms
