"""The native contracts of this chain, in the order of their addresses: the order of genesis."""

from market.contracts.accountability import Accountability
from market.contracts.energy_token import ENERGY
from market.contracts.market import Market
from market.contracts.membership import Membership
from market.contracts.meters import Meters
from market.contracts.money_token import MONEY
from market.contracts.ramp import Ramp
from market.contracts.registry import Registry
from vm.native import NativeContract

NATIVES: tuple[NativeContract, ...] = (
    Membership(),
    Registry(),
    ENERGY,
    MONEY,
    Ramp(),
    Meters(),
    Market(),
    Accountability(),
)
