"""Deadlines of contracts: a queue in the state, ordered by time and then by entry.

A binary heap whose cells are state keys (Williams 1964), because the state can be read by key
only: entering and leaving touch at most log2(DEADLINES_MAX) cells, and the next deadline is
found by one read.
"""

from dataclasses import dataclass
from typing import final

from vm.errors import Revert
from vm.state import Journal, StateReader

DEADLINES_MAX = 65_536
"""Far above what 128 households can have open; bounds the heap's depth to 16."""
PAYLOAD_BYTES_MAX = 64

_COUNTERS = b"d"  # Cells in use (u64) and entries ever made (u64).
_TIME_MAX = 2**63


@final
@dataclass(frozen=True, slots=True)
class Deadline:
    """At `time_ms` or later, the contract's `on_deadline` runs with `payload`, once."""

    time_ms: int
    contract: bytes
    payload: bytes


def schedule(journal: Journal, time_ms: int, contract: bytes, payload: bytes) -> None:
    """Enter a deadline; of equal times, the earlier entry comes first.

    Raises:
        Revert: DEADLINES_FULL, or BAD_DEADLINE for a time outside 0..2**63-1.
    """
    if not 0 <= time_ms < _TIME_MAX:
        raise Revert("BAD_DEADLINE", f"time_ms must lie in 0..2**63-1, got {time_ms}")
    assert len(payload) <= PAYLOAD_BYTES_MAX, f"payload of {len(payload)} bytes"
    size, entries = _counters(journal)
    if size >= DEADLINES_MAX:
        raise Revert("DEADLINES_FULL", f"{DEADLINES_MAX} deadlines are waiting")
    entry = time_ms.to_bytes(8, "big") + entries.to_bytes(8, "big") + contract + payload
    at = size
    while at > 0:
        parent = (at - 1) // 2
        above = _cell(journal, parent)
        if above < entry:
            break
        journal.put(_key(at), above)
        at = parent
    journal.put(_key(at), entry)
    _put_counters(journal, size + 1, entries + 1)


def next_due(state: StateReader | Journal) -> int | None:
    """Return the time of the earliest deadline in milliseconds, or None."""
    entry = state.get(_key(0))
    return None if entry is None else int.from_bytes(entry[:8], "big")


def take(journal: Journal) -> Deadline:
    """Remove and return the earliest deadline; there must be one."""
    size, entries = _counters(journal)
    assert size > 0, "the queue must not be empty"
    first, last = _cell(journal, 0), _cell(journal, size - 1)
    journal.put(_key(size - 1), None)
    if size > 1:
        _sink(journal, last, size - 1)
    _put_counters(journal, size - 1, entries)
    return Deadline(int.from_bytes(first[:8], "big"), first[16:36], first[36:])


def _sink(journal: Journal, entry: bytes, size: int) -> None:
    """Put `entry` at the top of a heap of `size` cells and move it down to its place."""
    at = 0
    while (child := 2 * at + 1) < size:
        below = _cell(journal, child)
        if child + 1 < size:
            right = _cell(journal, child + 1)
            if right < below:
                child, below = child + 1, right
        if entry < below:
            break
        journal.put(_key(at), below)
        at = child
    journal.put(_key(at), entry)


def _key(at: int) -> bytes:
    return b"d" + at.to_bytes(4, "big")


def _cell(journal: Journal, at: int) -> bytes:
    entry = journal.get(_key(at))
    assert entry is not None, f"cell {at} of the deadline queue is missing"
    return entry


def _counters(journal: Journal) -> tuple[int, int]:
    value = journal.get(_COUNTERS)
    if value is None:
        return 0, 0
    return int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")


def _put_counters(journal: Journal, size: int, entries: int) -> None:
    journal.put(_COUNTERS, size.to_bytes(8, "big") + entries.to_bytes(8, "big"))
