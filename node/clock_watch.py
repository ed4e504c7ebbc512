"""Tells whether this machine's clock is off, by the times of the blocks that others propose.

A block that has just been sealed was proposed a moment ago, so its time should be ours. One liar
proves nothing: f + 1 proposers must agree that our clock is off, and in which direction. Pure.
"""

from typing import Final, final

TOLERANCE_MS: Final = 5_000
"""A block's time may lie a little ahead of a clock, and it takes a moment to arrive."""


@final
class ClockWatch:
    """What the newest block of each other proposer says of our clock."""

    def __init__(self) -> None:
        self._offsets_ms: dict[int, int] = {}
        self._epoch = -1

    def on_block(
        self, *, epoch: int, proposer: int, block_ms: int, parent_ms: int, now_ms: int
    ) -> None:
        """Note a block that was sealed just now and proposed by another member.

        Not a block whose time is its parent's + 1: it says only that a clock lies behind.
        """
        if epoch != self._epoch:
            self._epoch, self._offsets_ms = epoch, {}
        if block_ms > parent_ms + 1:
            self._offsets_ms[proposer] = now_ms - block_ms

    def offset_ms(self, one_correct: int) -> int | None:
        """Return by how much our clock is ahead (behind: negative); None if nothing shows it.

        Args:
            one_correct: f + 1.
        """
        for sign in (1, -1):
            agreeing = sorted(
                sign * offset
                for offset in self._offsets_ms.values()
                if sign * offset > TOLERANCE_MS
            )
            if len(agreeing) >= one_correct:
                return sign * agreeing[0]  # The least: at least so much is true.
        return None
