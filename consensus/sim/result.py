"""What one run yields."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run without violation was like: an idle one must not pass for a good one."""

    n: int
    trace_sha256: str
    messages: int
    """Delivered to a running instance."""
    blocks: int
    """Height that the core reached."""
    fired: dict[str, int]
    virtual_ms: int
    liveness_ms: int
    """From healing until the core had executed everything."""
    view_max: int
    """Highest view that an instance of the core was in at the end."""
