"""Units of the market: integers only, the unit last in every name.

Energy is counted in watt-hours (1 energy token = 1 Wh), money in 10⁻⁸ EUR (1 money token unit),
prices in money units per Wh, so that price × energy is exact and never rounded.
"""

from typing import NewType

Wh = NewType("Wh", int)
"""Energy in watt-hours; never negative unless a name says `delta`."""
Money = NewType("Money", int)
"""Money in 10⁻⁸ EUR."""
Price = NewType("Price", int)
"""Price in 10⁻⁸ EUR per Wh: 30,000 is 0.30 EUR per kWh."""
Window = NewType("Window", int)
"""Index of a market window, counted from the genesis time; window w delivers in
[genesis + w·window_ms, genesis + (w+1)·window_ms) and is traded during window w − 1."""

MONEY_DECIMALS = 8
ENERGY_DECIMALS = 3
EUR: int = 10**MONEY_DECIMALS
"""Money units in one euro."""


def cost(energy_wh: int, price: int) -> int:
    """Money for `energy_wh` at `price`: exact, no rounding."""
    return energy_wh * price


def share_floor(total: int, part: int, whole: int) -> int:
    """⌊total·part/whole⌋; 0 when whole is 0."""
    return total * part // whole if whole else 0


def cost_per_wh_floor(money: int, energy_wh: int) -> int:
    """Price at which `energy_wh` is paid out of `money`, rounded DOWN; 0 when no energy."""
    return money // energy_wh if energy_wh else 0


def cost_per_wh_ceil(money: int, energy_wh: int) -> int:
    """Price at which `energy_wh` brings in at least `money`, rounded UP; 0 when no energy."""
    return -(-money // energy_wh) if energy_wh else 0
