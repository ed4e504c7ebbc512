"""What must hold after every block, whoever did what: for tests, the simulator and auditors.

Reads through views only, so the same check runs in one process and over RPC.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from market.abi import ADDRESSES, MARKET, AgreementStatus, OfferKind, Phase


class View(Protocol):
    """Calls a view: `view("Market", "phase", 7)` returns its decoded results in a list."""

    def __call__(self, contract: str, function: str, /, *arguments: Any) -> list[Any]: ...


def check(
    view: View, *, accounts: Sequence[bytes], meters: Sequence[bytes], windows: Sequence[int]
) -> list[str]:
    """Return what is violated, in words; empty if all is well.

    Args:
        view: reads the state after one block.
        accounts: every account that ever held tokens; the contracts are added.
        meters: every meter that was ever certified.
        windows: every window in which somebody enrolled.
    """
    holders = list(dict.fromkeys([*accounts, *ADDRESSES.values()]))
    return [
        *_conserved(view, "MoneyToken", holders),
        *_conserved(view, "EnergyToken", holders),
        *_money_of_the_market(view, windows),
        *_energy_of_the_market(view, windows),
        *_energy_is_metered(view, meters, windows),
        *(each for window in windows for each in _nothing_sold_twice(view, window)),
    ]


def _conserved(view: View, token: str, holders: Iterable[bytes]) -> Iterator[str]:
    (supply,) = view(token, "totalSupply")
    held = sum(view(token, "balanceOf", holder)[0] for holder in holders)
    if held != supply:
        yield f"{token}: balances sum to {held}, the supply is {supply}"


def _money_of_the_market(view: View, windows: Sequence[int]) -> Iterator[str]:
    fund, free, locked, held = view("Market", "fund")
    (balance,) = view("MoneyToken", "balanceOf", MARKET)
    if balance != fund + free + locked + held:
        yield f"Market holds {balance}, its books say {fund} + {free} + {locked} + {held}"
    owed = sum(_owed(view, window) for window in windows)
    if held != owed:
        yield f"Market holds {held} for households, it owes them {owed}"


def _owed(view: View, window: int) -> int:
    """Return deposits of open enrolments and payouts that are due."""
    deposit: int = view("Market", "terms", window)[4]
    (phase,) = view("Market", "phase", window)
    is_settled: bool = view("Market", "totals", window)[0]
    owed = 0
    for account in view("Market", "enrolments", window)[0]:
        row = view("Market", "enrolment", window, account)
        is_closed, is_paid, payout = row[6], row[11], row[12]
        if not is_settled or (not is_closed and phase != Phase.DONE):
            owed += deposit
        elif is_closed and not is_paid:
            owed += payout
    return owed


def _energy_of_the_market(view: View, windows: Sequence[int]) -> Iterator[str]:
    (balance,) = view("EnergyToken", "balanceOf", MARKET)
    escrow = sum(view("Market", "escrow", window)[0] for window in windows)
    locks = sum(_locks(view, window) for window in windows)
    if balance != escrow + locks:
        yield f"Market holds {balance} Wh, for {escrow} in escrow and {locks} locked"


def _energy_is_metered(
    view: View, meters: Sequence[bytes], windows: Sequence[int]
) -> Iterator[str]:
    """Tokens are what the batteries hold, what they owe, and exports that wait for settlement."""
    stored, owed = 0, 0
    households: dict[bytes, None] = {}
    for meter in meters:
        household, _, _, _, _, _, charged, discharged, loss, *_ = view("Meters", "meter", meter)
        stored += charged - discharged - loss
        households[household] = None
    for household in households:
        owed += view("Market", "energyDebt", household)[0]
    escrow = sum(view("Market", "escrow", window)[0] for window in windows)
    (supply,) = view("EnergyToken", "totalSupply")
    if supply != stored + owed + escrow:
        yield f"{supply} Wh of tokens for {stored} stored, {owed} owed, {escrow} in escrow"


def _locks(view: View, window: int) -> int:
    """Return the tokens that back stored offers: until the meter attests or the window settles."""
    if view("Market", "totals", window)[0]:
        return 0
    locks = 0
    for offer in view("Market", "getOffers", window)[0]:
        _, seller, kind, quantity, *_ = offer
        is_attested = view("Market", "enrolment", window, seller)[3]
        if kind == OfferKind.STORED and not is_attested:
            locks += quantity
    return locks


def _nothing_sold_twice(view: View, window: int) -> Iterator[str]:
    sold: dict[int, int] = {}
    by_seller: dict[bytes, int] = {}
    for row in view("Market", "agreements", window)[0]:
        _, _, offer_id, seller, _, quantity, _, status = row
        if status != AgreementStatus.VOID:
            sold[offer_id] = sold.get(offer_id, 0) + quantity
            by_seller[seller] = by_seller.get(seller, 0) + quantity
    for offer in view("Market", "getOffers", window)[0]:
        offer_id, _, _, quantity, counted, *_ = offer
        if not sold.get(offer_id, 0) == counted <= quantity:
            agreed = sold.get(offer_id, 0)
            yield f"offer {offer_id} of {window}: {agreed} agreed, {counted} counted, {quantity}"
    cap: int = view("Market", "terms", window)[3]
    for seller, quantity in by_seller.items():
        if quantity > cap:
            yield f"0x{seller.hex()} sold {quantity} Wh in {window}, the cap is {cap}"
