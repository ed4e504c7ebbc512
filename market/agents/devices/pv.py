"""PVA, the panel's agent: keeps the hour's readings in the owner's store, and their hash ready.

The hash that is anchored on the chain is keyed with a secret of the hour, derived from the
owner's data key: four energies alone could be guessed from a bare hash.
"""

from collections.abc import Sequence
from dataclasses import astuple
from typing import final

from crypto import codec
from crypto.hashing import Digest, tagged_hash
from market.agents.devices.readings import QuarterReading

WINDOWS_KEPT = 24 * 31
"""A month of hours stays in memory; the shell writes what it wants to keep longer."""


@final
class PhotovoltaicAgent:
    """The owner's store of one household's readings, by window."""

    def __init__(self, data_key: bytes) -> None:
        self._data_key = data_key
        self._batches: dict[int, list[QuarterReading]] = {}

    def take(self, window: int, reading: QuarterReading) -> None:
        """Keep a reading of `window`."""
        self._batches.setdefault(window, []).append(reading)
        if len(self._batches) > WINDOWS_KEPT:
            del self._batches[min(self._batches)]

    def production_wh(self, window: int) -> int:
        """Energy that the panel produced in `window`, as far as it was read."""
        return sum(reading.pv_wh for reading in self._batches.get(window, ()))

    def batch(self, window: int) -> Sequence[QuarterReading]:
        """The readings of `window` so far."""
        return tuple(self._batches.get(window, ()))

    def batch_key(self, window: int) -> Digest:
        """The secret that opens the hour's hash to whoever the owner gives it."""
        return tagged_hash(b"hearth/data/key", self._data_key, window.to_bytes(8, "big"))

    def batch_hash(self, window: int) -> Digest:
        """What is anchored on the chain."""
        return batch_hash(self.batch_key(window), self.batch(window))


def batch_hash(key: bytes, batch: Sequence[QuarterReading]) -> Digest:
    """Return the keyed hash of an hour's readings: a buyer of the data recomputes it."""
    rows = [list(astuple(reading)) for reading in batch]
    return tagged_hash(b"hearth/data/batch", key, codec.encode(rows))
