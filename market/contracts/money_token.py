"""The money token: 1 unit is 10⁻⁸ EUR, minted and burnt by the ramp only."""

from typing import final

from market.abi import MONEY_TOKEN, RevertCode
from market.contracts.erc20 import Erc20
from market.units import MONEY_DECIMALS


@final
class MoneyToken(Erc20):
    """Euros in the community's bank account."""

    ADDRESS = MONEY_TOKEN
    NAME = "money_token"
    TOKEN_NAME = "Hearth Euro"  # noqa: S105 (a name, not a secret)
    SYMBOL = "hEUR"
    DECIMALS = MONEY_DECIMALS
    SHORT = RevertCode.INSUFFICIENT_FUNDS


MONEY = MoneyToken()
"""The contract; other contracts call it with `ctx.at(MONEY_TOKEN)`."""
