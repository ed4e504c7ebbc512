"""Numbers for node keys that never change while the process runs.

A member's index is its place among the members of one epoch, so it means another member once the
set has changed, while frames and links of before are still on their way. Everything in the node
that outlives an epoch keeps peers by the numbers given here; only the replica is told indexes.
"""

from collections.abc import Iterable
from typing import final


@final
class Roster:
    """Node keys (32 bytes) and their numbers. Grows by one entry for each key ever voted on."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        """Number `keys` from 0 in their order."""
        self._keys: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        for key in keys:
            self.number(key)

    def number(self, key: bytes) -> int:
        """Return the number of `key`; one that is new gets the next."""
        found = self._numbers.setdefault(key, len(self._keys))
        if found == len(self._keys):
            self._keys.append(key)
        return found

    def find(self, key: bytes) -> int | None:
        """Return the number of `key`, None if it has none."""
        return self._numbers.get(key)

    def key(self, number: int) -> bytes:
        """Return the key with this number, which must have been given."""
        return self._keys[number]
