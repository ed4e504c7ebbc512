"""What a replica knows of each member's link: heard when, claims what, was served when."""

from dataclasses import dataclass, field
from typing import final


@final
@dataclass(slots=True)
class Peer:
    """One member, as seen from here. Times are milliseconds."""

    is_up: bool = False
    heard_ms: int = 0
    """When its last message came, or its link opened."""
    claimed_height: int = 0
    """Head that its messages imply. Worthless as proof: it only says whom to ask (rule 20)."""
    answered_ms: int | None = None
    """When a STATUS of it was last answered with retransmissions."""
    served_ms: dict[int, int] = field(default_factory=dict)
    """When a request was last served to it, by the request's tag."""
    spent_until_ms: int = 0
    """When all that it had checked beyond the ordinary will be paid for, see `may_spend`."""
    asked_blocks_ms: int | None = None
    """When it was asked for blocks that have not come yet."""

    def is_online(self, now_ms: int, overdue_ms: int) -> bool:
        """Whether its link is up and it was heard of lately."""
        return self.is_up and now_ms - self.heard_ms <= overdue_ms

    def may_serve(self, tag: int, now_ms: int, interval_ms: int) -> bool:
        """Whether the quota allows another such answer now; counts it if so (rule 35)."""
        served_ms = self.served_ms.get(tag)
        if served_ms is not None and now_ms - served_ms < interval_ms:
            return False
        self.served_ms[tag] = now_ms
        return True

    def may_spend(self, now_ms: int, interval_ms: int, burst: int) -> bool:
        """Whether one more message of it, beyond one vote a height, may be checked; counts it.

        `burst` at once, then one each `interval_ms`. A message that is not checked is as good
        as lost: it will be repeated, if it matters.
        """
        until_ms = max(self.spent_until_ms, now_ms)
        if until_ms - now_ms > (burst - 1) * interval_ms:
            return False
        self.spent_until_ms = until_ms + interval_ms
        return True
