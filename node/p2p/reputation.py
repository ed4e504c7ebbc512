"""Points of suspicion per peer: they decay, and at a limit the peer's links are refused a while.

A correct peer may earn a few (a wrong clock, a crossing message), so one point-worthy message
never cuts a link; only a stream of them does.
"""

from typing import final

from node.p2p.config import NetworkConfig


@final
class Reputation:
    """Pure; time comes in as `now_ms`."""

    __slots__ = ("_banned_until_ms", "_config", "_scores")

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._scores: dict[int, tuple[int, int]] = {}  # Member -> (points, as of ms).
        self._banned_until_ms: dict[int, int] = {}

    def add(self, member: int, points: int, now_ms: int) -> bool:
        """Add points; return whether the member must be disconnected now."""
        score = self.score(member, now_ms) + points
        if score < self._config.score_limit:
            self._scores[member] = (score, now_ms)
            return False
        self._scores.pop(member, None)
        self._banned_until_ms[member] = now_ms + self._config.ban_ms
        return True

    def score(self, member: int, now_ms: int) -> int:
        """Return the points that have not decayed yet."""
        points, since_ms = self._scores.get(member, (0, now_ms))
        return max(0, points - (now_ms - since_ms) * self._config.score_decay_per_s // 1000)

    def banned_ms(self, member: int, now_ms: int) -> int:
        """Return for how much longer the member's links are refused; 0: they are not."""
        return max(0, self._banned_until_ms.get(member, 0) - now_ms)
