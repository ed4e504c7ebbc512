"""Time-dependent concession (Faratin, Sierra, Jennings 1998, section 4.1, polynomial family).

alpha(t) = k + (1 − k)·(min(t, T)/T)^(1/beta): beta < 1 concedes late ("Boulware"), 1 linearly,
> 1 early ("Conceder"). A buyer names best + alpha·(reservation − best) from below, a seller from
above. Each takes what is at least as good as what it would name in the next round.
"""

import math
import random
from dataclasses import dataclass
from typing import Self, final

from crypto.hashing import tagged_hash
from market.agents.strategies.protocol import Side

MARGIN_MIN, MARGIN_MAX = 0.02, 0.10
"""Reservation prices keep this part of the public band: a trade at them still gains."""
K_MAX = 0.10
BETA_MIN, BETA_MAX = 0.5, 2.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TimeDependent:
    """Concedes from `best` to `reservation` within `deadline` rounds."""

    side: Side
    best: int
    reservation: int
    deadline: int
    k: float
    beta: float

    def __post_init__(self) -> None:
        low, high = self.best, self.reservation
        if self.side is Side.SELLER:
            low, high = high, low
        if not 0 <= low <= high:
            raise ValueError(f"{self.side.value}: best and reservation are the wrong way round")
        if self.deadline < 1:
            raise ValueError(f"deadline must be at least 1 round, got {self.deadline}")
        if not 0 <= self.k <= 1 or not self.beta > 0:
            raise ValueError("k must be in 0..1 and beta positive")

    @classmethod
    def draw(
        cls, side: Side, *, feed_in: int, retail: int, deadline: int, seed: bytes, window: int
    ) -> Self:
        """Draw a household's prices from its seed: the same seed, the same prices.

        The reservation price is the household's own; how fast it concedes differs from window to
        window, so that nobody can learn it from past windows.
        """
        own = random.Random(tagged_hash(b"hearth/agents/strategy", seed, side.value.encode()))
        number = window.to_bytes(8, "big")
        mood = random.Random(tagged_hash(b"hearth/agents/strategy/window", seed, number))
        margin = round(own.uniform(MARGIN_MIN, MARGIN_MAX) * (retail - feed_in))
        is_buyer = side is Side.BUYER
        return cls(
            side=side,
            best=feed_in if is_buyer else retail,
            reservation=retail - margin if is_buyer else feed_in + margin,
            deadline=deadline,
            k=mood.uniform(0, K_MAX),
            beta=math.exp(mood.uniform(math.log(BETA_MIN), math.log(BETA_MAX))),
        )

    def price(self, round_: int) -> int:
        """Rounded in the agent's own favour; exactly the reservation from the deadline on."""
        if round_ >= self.deadline:
            return self.reservation
        alpha: float = self.k + (1 - self.k) * (max(round_, 0) / self.deadline) ** (1 / self.beta)
        named: float = self.best + alpha * (self.reservation - self.best)
        if self.side is Side.BUYER:
            return min(math.floor(named), self.reservation)
        return max(math.ceil(named), self.reservation)

    def accepts(self, round_: int, price: int) -> bool:
        mine = self.price(round_ + 1)
        return price <= mine if self.side is Side.BUYER else price >= mine
