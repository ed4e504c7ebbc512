"""How a household closes its window: its deviation from its agreements, split in its favour."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """The four parts in Wh: exp − imp − sold + bought = sur + unu − ext − sho."""

    sur: int
    """Exported beyond what was sold."""
    unu: int
    """Bought and not used."""
    ext: int
    """Imported beyond what was bought."""
    sho: int
    """Sold and not delivered."""


def split_deviation(*, exp: int, imp: int, sold: int, bought: int) -> Deviation:
    """Return the parts that pay best: surplus and import before the penalised kinds.

    The contract demands sur ≤ exp, ext ≤ imp, and that only one direction deviates.
    """
    net = exp - imp - sold + bought
    if net >= 0:
        sur = min(exp, net)
        return Deviation(sur=sur, unu=net - sur, ext=0, sho=0)
    ext = min(imp, -net)
    return Deviation(sur=0, unu=0, ext=ext, sho=-net - ext)
