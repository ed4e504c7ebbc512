"""What one instance's software knows: an upgrade of the rules that it may be too old for.

Real blocks of new rules name another protocol version; of the toy application's, only the height
counts. The judge of upgrades is here as well: software that is too old must never be asked to
execute such a block, and its replica signs nothing there (`consensus.events.Rest`).
"""

from collections import Counter
from typing import final

from consensus.sim.faults import Upgrade
from consensus.sim.violation import InvariantViolation


@final
class Software:
    """Of one instance; it stays what it is in a crash."""

    __slots__ = ("_fired", "_instance", "_upgrade", "is_old")

    def __init__(self, upgrade: Upgrade | None, instance: int, fired: Counter[str]) -> None:
        self._upgrade = upgrade
        self._instance = instance
        self._fired = fired
        self.is_old = upgrade is not None and instance in upgrade.old
        """Whether it knows the rules up to the upgrade only."""

    def knows(self, height: int) -> bool:
        """Whether it can execute the block at `height`."""
        return self._upgrade is None or not self.is_old or height < self._upgrade.first_height

    def must_rest(self, head: int) -> bool:
        """Whether the replica is to be told to rest at the head `head`; counts it if so."""
        is_known = self.knows(head + 1)
        self._fired["rested"] += not is_known
        return not is_known

    def renew(self, head: int) -> None:
        """Replace it, while the process is down at the head `head`."""
        self._fired["upgraded"] += not self.knows(head + 1)
        self.is_old = False

    def require(self, height: int, what: str) -> None:
        """Judge that the replica does something with the block at `height`.

        Raises:
            InvariantViolation: this software does not know its rules.
        """
        if not self.knows(height):
            raise InvariantViolation(
                "rest", f"instance {self._instance} is too old for height {height}, and {what}"
            )
