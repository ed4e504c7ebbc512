"""Thresholds in one place, with the argument for each (rule 3)."""

from dataclasses import dataclass
from typing import final

MEMBERS_MIN = 4
"""The smallest n that tolerates one Byzantine member: 3f + 1 with f = 1."""


@final
@dataclass(frozen=True, slots=True)
class Quorum:
    """Thresholds for `n` members of which at most `f` are Byzantine."""

    n: int

    def __post_init__(self) -> None:
        if self.n < MEMBERS_MIN:
            raise ValueError(f"n must be at least {MEMBERS_MIN}, got {self.n}")

    @property
    def f(self) -> int:
        """Faults tolerated: the largest f with n >= 3f + 1."""
        return (self.n - 1) // 3

    @property
    def certificate(self) -> int:
        """Votes in a certificate, q = ceil((n + f + 1) / 2).

        Two sets of q share 2q - n members, which must exceed f for one of them to be
        correct; and q <= n - f, so that the correct members can form one alone. The
        familiar 2f + 1 equals this for n = 3f + 1 only and is unsafe for other n.
        """
        return (self.n + self.f) // 2 + 1

    @property
    def one_correct(self) -> int:
        """Members of which at least one is correct: f + 1."""
        return self.f + 1
