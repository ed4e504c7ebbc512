"""When a replica loses patience (rules 11 to 16): deadlines as plain numbers, no clock.

One progress timer runs while something is open in an entered view; one view timer runs in a
view change, and only once q members take part in it. Both last `timeout_ms`, which grows with
consecutive failed views that had a quorum, up to a cap. Nothing climbs without a quorum, so
recovery takes no longer after a long outage than after a short one.
"""

from typing import final

from consensus.config import ConsensusConfig

LATENCY_SAMPLE_MAX_MS = 1000
"""One commit latency counts at most this much: a pause must not make a replica sluggish."""
_SCALE = 8


@final
class Timers:
    """Deadlines in milliseconds of the shell's monotonic clock; None: not running."""

    __slots__ = (
        "_config",
        "_smoothed",
        "failed_views",
        "progress_deadline",
        "status_sent_ms",
        "view_deadline",
    )

    def __init__(self, config: ConsensusConfig) -> None:
        self._config = config
        self._smoothed = 0
        self.progress_deadline: int | None = None
        self.view_deadline: int | None = None
        self.failed_views = 0
        """Consecutive views that failed although a quorum took part."""
        self.status_sent_ms: int | None = None

    @property
    def commit_latency_ms(self) -> int:
        """Smoothed time from when a height is open to its decision."""
        return self._smoothed // _SCALE

    def sample_latency(self, latency_ms: int) -> None:
        """Take one more commit latency into the average: half of a rise, an eighth of a fall.

        Fast upwards, because blocks that grow under load must not cost a view change each.
        """
        error = _SCALE * min(max(latency_ms, 0), LATENCY_SAMPLE_MAX_MS) - self._smoothed
        self._smoothed += error // 2 if error > 0 else -(-error // 8)

    @property
    def timeout_ms(self) -> int:
        """Present length of the progress and view timers."""
        return timeout_ms(self._config, self.commit_latency_ms, self.failed_views)

    def stop(self) -> None:
        """Both timers off, as after a decision or on entering a view; `failed_views` stays."""
        self.progress_deadline = None
        self.view_deadline = None

    def reset(self) -> None:
        """Back to the base: after a decision, and when a quorum is connected again."""
        self.stop()
        self.failed_views = 0


def timeout_ms(config: ConsensusConfig, latency_ms: int, failed_views: int) -> int:
    """Base max(floor, 4 * latency + 4 * compute limit), doubled per failed view, capped."""
    base = max(config.progress_base_ms, 4 * latency_ms + 4 * config.block_compute_ms)
    return base * min(1 << min(failed_views, 30), config.view_timeout_cap)
