"""The energy token: 1 unit is 1 Wh, minted and burnt on the word of certified meters only."""

from typing import final

from market.abi import ENERGY_TOKEN, RevertCode
from market.contracts.erc20 import Erc20
from market.units import ENERGY_DECIMALS


@final
class EnergyToken(Erc20):
    """Energy that is there: in a battery, or exported and not yet consumed."""

    ADDRESS = ENERGY_TOKEN
    NAME = "energy_token"
    TOKEN_NAME = "Hearth Energy"  # noqa: S105 (a name, not a secret)
    SYMBOL = "kWh"
    DECIMALS = ENERGY_DECIMALS
    SHORT = RevertCode.INSUFFICIENT_ENERGY


ENERGY = EnergyToken()
"""The contract; other contracts call it with `ctx.at(ENERGY_TOKEN)`."""
