"""The report of a day: pure, from what the nodes answered and what the meters signed.

Energy in Wh, money in units of 10⁻⁸ EUR until it is shown. Bills with the market are computed from
events by the market's formulas, bills without it from the meters' signed records by the same
tariffs; neither from a counter of a contract.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from market.units import EUR
from testnet.conservation import NodeView, check_node
from testnet.ledger import Ledger, Tariff
from testnet.manifest import HouseholdEntry, Manifest
from testnet.why import WindowGain, explain, gains

AGREEMENTS_MIN = 20
TRADED_PERCENT_MIN = 80

Report: TypeAlias = dict[str, Any]
"""What `report.json` holds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    """A household's day by its meter's verified records."""

    import_wh: tuple[int, ...]
    """For each window of the day."""
    export_wh: tuple[int, ...]
    stored_wh: int
    """What the battery holds at the end, by the registers."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DayRun:
    """All that a report is made from."""

    manifest: Manifest
    tariff: Tariff
    windows: range
    """Chain windows of the day."""
    nodes: Sequence[NodeView]
    meters: Mapping[str, MeterDay]
    """By the household's name."""
    wall_s: float


def make_report(run: DayRun) -> Report:
    """Return the report of a run; `conditions` says which demands it meets."""
    ledger = Ledger(run.nodes[0].logs)
    households = [_household(run, ledger, entry) for entry in run.manifest.households]
    windows = [_window(run, ledger, window) for window in run.windows]
    without = sum(row["bill_without_units"] for row in households)
    with_market = sum(row["bill_units"] for row in households)
    report: Report = {
        "households": len(households),
        "windows": sum(row["is_paid"] for row in windows),
        "blocks": run.nodes[0].height,
        "agreements": sum(row["agreements"] for row in windows),
        "wall_s": round(run.wall_s, 1),
        "households_worse_off": sum(row["worse_off"] for row in households),
        "energy_traded_wh": sum(row["sold_wh"] for row in windows),
        "energy_tradeable_wh": sum(row["tradeable_wh"] for row in windows),
        "unsold_while_demanded_wh": sum(row["unsold_while_demanded_wh"] for row in windows),
        "bill_without_eur": to_eur(without),
        "bill_with_eur": to_eur(with_market),
        "fund_eur": to_eur(ledger.fund),
        "external_eur": to_eur(_external(ledger)),
        "heads_equal": len({(node.block_hash, node.state_root) for node in run.nodes}) == 1,
        "conserved": False,
        "per_household": households,
        "per_window": windows,
        "nodes": [
            {
                "name": node.name,
                "height": node.height,
                "block_hash": node.block_hash,
                "state_root": node.state_root,
                "conservation": check_node(node, _stored_wh(run)),
            }
            for node in run.nodes
        ],
        "run": {
            "day": run.manifest.day,
            "seed": run.manifest.seed,
            "window_ms": run.manifest.window_ms,
            "record_ms": run.manifest.record_ms,
            "first_window": run.windows.start,
        },
    }
    report["conserved"] = all(node["conservation"]["ok"] for node in report["nodes"])
    report["conditions"] = _conditions(
        run, ledger, report, with_market=with_market, without=without
    )
    return report


def to_eur(units: int) -> float:
    """Return euros for people and JSON; exact to the unit below 10⁷ EUR."""
    return round(units / EUR, 8)


def is_passed(report: Report) -> bool:
    """Whether the run meets every condition."""
    return all(condition["ok"] for condition in report["conditions"].values())


def _conditions(
    run: DayRun, ledger: Ledger, report: Report, *, with_market: int, without: int
) -> dict[str, Any]:
    # What the households pay is what the fund and the outside get.
    left_over = with_market - ledger.fund - _external(ledger)
    traded, tradeable = report["energy_traded_wh"], report["energy_tradeable_wh"]
    unequal = [
        row["name"]
        for row in report["per_household"]
        if row["money_change_units"] != -row["bill_units"]
    ]
    return {
        "windows_delivered_and_paid": {
            "ok": report["windows"] == len(run.windows),
            "got": report["windows"],
            "wanted": len(run.windows),
        },
        "heads_equal": {"ok": report["heads_equal"]},
        "conserved": {"ok": report["conserved"]},
        "sold_out": {
            "ok": report["unsold_while_demanded_wh"] == 0,
            "unsold_while_demanded_wh": report["unsold_while_demanded_wh"],
        },
        "traded": {
            "ok": 100 * traded >= TRADED_PERCENT_MIN * tradeable,
            "percent": round(100 * traded / tradeable, 2) if tradeable else None,
            "wanted_percent": TRADED_PERCENT_MIN,
        },
        "agreements": {
            "ok": report["agreements"] >= AGREEMENTS_MIN,
            "got": report["agreements"],
            "wanted": AGREEMENTS_MIN,
        },
        "bill_is_lower": {"ok": with_market < without, "saving_eur": to_eur(without - with_market)},
        "bills_equal_change_of_money": {"ok": not unequal, "unequal": unequal},
        "money_adds_up": {"ok": left_over == 0, "left_over_units": left_over},
    }


def _external(ledger: Ledger) -> int:
    """Return what the external market earned."""
    return sum(book.external_received - book.external_paid for book in ledger.windows.values())


def _stored_wh(run: DayRun) -> int:
    return sum(meter.stored_wh for meter in run.meters.values())


def _window(run: DayRun, ledger: Ledger, window: int) -> dict[str, Any]:
    book = ledger.windows[window]
    prices = book.prices(run.tariff)
    firm = book.confirmed()
    paid = sum(agreement.quantity * agreement.price for agreement in firm)
    return {
        "window": window,
        "hour": window - run.windows.start,
        "enrolled": len(book.households),
        "is_paid": bool(book.paid) and len(book.paid) == len(book.households),
        "offered_wh": book.offered.total(),
        "demanded_wh": book.demanded.total(),
        "tradeable_wh": book.tradeable_wh,
        "sold_wh": book.traded_wh,
        "unsold_while_demanded_wh": book.unsold_while_demanded_wh,
        "agreements": len(firm),
        "unconfirmed": len(book.agreements) - len(firm),
        "price_eur_per_kwh": to_eur(1000 * paid) / book.traded_wh if firm else None,
        "price_min_eur_per_kwh": to_eur(1000 * min(a.price for a in firm)) if firm else None,
        "price_max_eur_per_kwh": to_eur(1000 * max(a.price for a in firm)) if firm else None,
        "pool_sell_eur_per_kwh": to_eur(1000 * prices.p_sur),
        "pool_buy_eur_per_kwh": to_eur(1000 * prices.p_ext),
        "exported_wh": sum(attested.exp for attested in book.attested.values()),
        "imported_wh": sum(attested.imp for attested in book.attested.values()),
        "late": len(book.late),
        "external_eur": to_eur(book.external_received - book.external_paid),
    }


def _household(run: DayRun, ledger: Ledger, entry: HouseholdEntry) -> dict[str, Any]:
    meter = run.meters[entry.name]
    windows = [gains(ledger.windows[w], entry.account, run.tariff) for w in run.windows]
    sums = sum((gain for gain in windows if gain is not None), WindowGain())
    exported, imported = sum(meter.export_wh), sum(meter.import_wh)
    without = imported * run.tariff.retail - exported * run.tariff.feed_in
    bill = -ledger.paid_net(entry.account, run.tariff, ledger.windows)
    held = run.nodes[0].money.get(entry.account, 0) + ledger.locked(entry.account)
    moved = ledger.withdrawn[entry.account] - ledger.deposited[entry.account]
    return {
        "name": entry.name,
        "kind": entry.kind,
        "bought_wh": sums.bought_wh,
        "sold_wh": sums.sold_wh,
        "imported_wh": imported,
        "exported_wh": exported,
        "bill_without_eur": to_eur(without),
        "bill_with_eur": to_eur(bill),
        "saving_eur": to_eur(without - bill),
        "worse_off": bill > without,
        "why": explain(sums, without - bill) if bill > without else None,
        "bill_without_units": without,
        "bill_units": bill,
        "money_change_units": held + moved,
        "gain_trades_eur": to_eur(sums.trades),
        "gain_pool_eur": to_eur(sums.pool),
        "cost_shortfall_eur": to_eur(sums.shortfall),
        "cost_unused_eur": to_eur(sums.unused),
        "shortfall_wh": sums.shortfall_wh,
        "unused_wh": sums.unused_wh,
        "forecast_error_wh": _forecast_error(run, ledger, entry, meter),
    }


def _forecast_error(
    run: DayRun, ledger: Ledger, entry: HouseholdEntry, meter: MeterDay
) -> int | None:
    """Return the mean of |declared - metered| net export over the windows in which it enrolled."""
    errors = []
    for place, window in enumerate(run.windows):
        book = ledger.windows[window]
        account = book.account_of(entry.account)
        if account is not None:
            declared = book.offered[account] - book.demanded[account]
            errors.append(abs(declared - meter.export_wh[place] + meter.import_wh[place]))
    return sum(errors) // len(errors) if errors else None
