"""How the benches of one process take time."""

import statistics
import time
from collections.abc import Callable

RUNS = 5


def median_seconds(work: Callable[[], object], runs: int = 0) -> float:
    """Return the processor's seconds that `work` takes."""
    times = []
    for _ in range(runs or RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)
