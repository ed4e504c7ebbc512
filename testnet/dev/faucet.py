"""A native contract that gives tokens to whoever asks: on chains for developers only."""

from typing import Final, final

from market.abi import ENERGY_TOKEN, MONEY_TOKEN
from market.contracts.energy_token import ENERGY
from market.contracts.erc20 import check_recipient
from market.contracts.money_token import MONEY
from vm.gas import METHOD
from vm.native import U64, Address, CallContext, NativeContract, external

FAUCET: Final = (0x01FF).to_bytes(20, "big")
"""Above all contracts of a community."""


@final
class Faucet(NativeContract):
    """Mints both tokens. Elsewhere money comes from the bank and energy from meters alone."""

    ADDRESS = FAUCET
    NAME = "faucet"

    @external(gas=METHOD)
    def give(self, ctx: CallContext, to: Address, money: U64, energy: U64) -> None:
        """Give `to` money (10⁻⁸ EUR) and energy (Wh); 0 gives none of it.

        Reverts:
            BAD_ARGUMENT: `to` cannot hold tokens, or the supply would become too large.
        """
        check_recipient(to)
        if money:
            MONEY.mint(ctx.at(MONEY_TOKEN), to, money)
        if energy:
            ENERGY.mint(ctx.at(ENERGY_TOKEN), to, energy)
