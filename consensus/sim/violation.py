"""What a run ends with when a property fails, and the one number that all judges need."""

from typing import final


@final
class InvariantViolation(AssertionError):
    """A protocol property failed. The seed in the report replays it."""

    def __init__(self, checker: str, message: str) -> None:
        super().__init__(f"{checker}: {message}")
        self.checker = checker


def certificate_size(n: int) -> int:
    """ceil((n + f + 1) / 2), computed apart from the core's `Quorum`."""
    f = (n - 1) // 3
    return -(-(n + f + 1) // 2)
