"""What one node may tune, and the limits that all nodes share."""

from dataclasses import dataclass
from typing import final

MAX_BODY_BYTES = 1 << 20
"""Largest block body: a proposal above it is refused before it is looked at."""
MAX_MEMBERS = 128
"""Largest member set: a NEW-VIEW of q view changes with two certificates is then 1 MB."""
MAX_NEW_VIEW_BYTES = 3 << 20
"""Bound of an encoded NEW-VIEW, above q * (two certificates of q signatures) for MAX_MEMBERS."""
MAX_BLOCKS_PER_REPLY = 32
"""Sealed blocks in one catch-up reply."""
MAX_BLOCKS_BYTES = 4 << 20
"""Bytes in one catch-up reply; one block of maximal size with its seal always fits."""
MAX_MESSAGE_BYTES = MAX_BLOCKS_BYTES + (64 << 10)
"""Bound of any encoded message: the largest kind plus its header."""
TERM_BLOCKS = 16
"""Heights in a term: bounds what a slow or censoring primary can do (rule 16)."""

assert MAX_BLOCKS_BYTES > MAX_BODY_BYTES + MAX_MEMBERS * 128
assert MAX_MESSAGE_BYTES >= MAX_NEW_VIEW_BYTES


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusConfig:
    """Timer settings of one replica, milliseconds unless named otherwise."""

    progress_base_ms: int = 250
    """Floor of the progress and view timers."""
    block_compute_ms: int = 50
    """Time that the worst legal block takes to execute on the slowest supported machine."""
    view_timeout_cap: int = 16
    """Largest factor by which consecutive failed views stretch the base timeout (rule 11)."""
    heartbeat_ms: int = 500
    """Interval of STATUS while nothing is open."""
    heartbeat_overdue_ms: int = 1500
    """Silence after which a member counts as offline."""
    retransmit_ms: int = 100
    """Interval of STATUS while something is open, and patience with an unanswered request."""
    serve_interval_ms: int = 5
    """Least time between two answers of one kind to one member's requests (rule 35)."""

    def __post_init__(self) -> None:
        for name in (
            "progress_base_ms",
            "block_compute_ms",
            "view_timeout_cap",
            "heartbeat_ms",
            "retransmit_ms",
            "serve_interval_ms",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.heartbeat_overdue_ms < 2 * self.heartbeat_ms:
            raise ValueError(
                "heartbeat_overdue_ms must allow for one lost heartbeat: at least "
                f"{2 * self.heartbeat_ms}, got {self.heartbeat_overdue_ms}"
            )
