"""Whether money and energy are conserved, computed again from one node's logs and balances."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from testnet.ledger import Ledger, LogLine, TokenBook


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What one node answered at the end."""

    name: str
    height: int
    """Common to all views."""
    block_hash: str
    state_root: str
    logs: tuple[LogLine, ...]
    """Of all blocks, in order."""
    money: Mapping[bytes, int]
    """`balanceOf` of every account that a transfer ever named."""
    energy: Mapping[bytes, int]
    money_supply: int
    energy_supply: int


def check_node(node: NodeView, stored_wh: int) -> dict[str, Any]:
    """Return every check by name with its numbers, and `ok` if all hold.

    Args:
        node: its balances were taken at the head of its logs.
        stored_wh: what all batteries hold by the meters' records.
    """
    ledger = Ledger(node.logs)
    attested = [a for book in ledger.windows.values() for a in book.attested.values()]
    exported = sum(a.exp for a in attested)
    charged = sum(a.charged for a in attested)
    discharged = sum(a.discharged + a.loss for a in attested)
    escrow = sum(
        sum(a.exp for a in book.attested.values())
        for book in ledger.windows.values()
        if book.settled is None
    )
    debt = sum(ledger.debt_wh.values())
    money, energy = ledger.money, ledger.energy
    checks = {
        "money_balances": _same_balances(money, node.money, node.money_supply),
        "energy_balances": _same_balances(energy, node.energy, node.energy_supply),
        "money_minted_by_deposits": _equal(money.minted, ledger.deposited.total()),
        "money_burnt_by_withdrawals": _equal(money.burnt, ledger.withdrawn.total()),
        "energy_minted_by_meters": _equal(energy.minted, exported + charged),
        "energy_burnt_by_use": _equal(energy.burnt, discharged - debt + exported - escrow),
        "energy_left_is_stored": _equal(energy.minted - energy.burnt - escrow - debt, stored_wh),
    }
    return {"ok": all(check["ok"] for check in checks.values()), **checks}


def _equal(got: int, wanted: int) -> dict[str, Any]:
    return {"ok": got == wanted, "got": got, "wanted": wanted}


def _same_balances(book: TokenBook, answered: Mapping[bytes, int], supply: int) -> dict[str, Any]:
    """Compare balances by transfers with those that the node answers, and both with the supply."""
    booked = {account: amount for account, amount in book.balances.items() if amount}
    told = {account: amount for account, amount in answered.items() if amount}
    total = sum(booked.values())
    return {
        "ok": booked == told and total == supply == book.minted - book.burnt,
        "sum": total,
        "supply": supply,
        "minted": book.minted,
        "burnt": book.burnt,
    }
