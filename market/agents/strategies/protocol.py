"""What a negotiation algorithm is to the trading agents. Anybody's own can take its place."""

from enum import Enum
from typing import Protocol


class Side(Enum):
    """Which side of the market an agent negotiates for."""

    BUYER = "buyer"
    SELLER = "seller"


class Strategy(Protocol):
    """Prices of one agent in one window. Rounds count from 0; prices are 10⁻⁸ EUR per Wh."""

    def price(self, round_: int) -> int:
        """The price that it names in a round: a buyer's bid, a seller's ask."""

    def accepts(self, round_: int, price: int) -> bool:
        """Whether it takes the counterparty's `price` in a round."""
