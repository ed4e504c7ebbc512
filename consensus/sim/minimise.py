"""Shorten a failing run: fewer steps, the same violation."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Step = TypeVar("Step")


def minimise(
    script: Sequence[Step], fails: Callable[[Sequence[Step]], bool], *, budget: int = 2_000
) -> list[Step]:
    """Return a short subsequence of `script` that still fails.

    Chunks are deleted, halving their size (after Zeller & Hildebrandt, TSE 2002, ddmin), until
    no single step can go or `budget` runs are spent. Steps are values ("deliver m to 2"), not
    indexes, and replay skips a step that no longer applies, so a deletion leaves a
    meaningful run.

    Raises:
        ValueError: the whole script does not fail.
    """
    if not fails(script):
        raise ValueError("nothing to minimise: the recorded run does not fail again")
    best, size = list(script), len(script)
    while size > 1 or (size == 1 and len(best) > 1):
        size = max(1, size // 2)
        before = len(best)
        start = 0
        while start < len(best) and budget > 0:
            shorter = best[:start] + best[start + size :]
            budget -= 1
            if fails(shorter):
                best = shorter
            else:
                start += size
        if budget == 0 or (size == 1 and len(best) == before):
            break
    return best
