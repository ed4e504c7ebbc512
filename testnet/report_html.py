"""The day's report as one HTML page that needs nothing else: plots are inline SVG."""

import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from market.agents.devices.readings import QuarterReading
from testnet.report import Report, is_passed

QUARTERS_PER_HOUR = 4
WIDE = (9.0, 3.2)

_SVG_METADATA = ("Creator", "Date", "Format", "Type")
"""Left out: who made the picture says nothing to its reader, and times would differ."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2b33; background: #fdfdfb; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
.lead { color: #52636d; margin-top: .3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #dde3e6; text-align: right; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
tr.total td { font-weight: 600; border-top: 2px solid #1c2b33; }
.ok { color: #19703a; } .bad { color: #b3261e; font-weight: 600; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
figcaption { color: #52636d; font-size: .9rem; }
"""
_COLOURS = {
    "offered": "#e0a526",
    "demanded": "#3b6fb6",
    "sold": "#2f855a",
    "grey": "#9aa8af",
    "red": "#b3261e",
}


def render(report: Report, readings: Sequence[Sequence[QuarterReading]]) -> str:
    """Return the page.

    Args:
        report: as `report.make_report` made it.
        readings: the day's quarter-hours of each household, in the report's order.
    """
    verdict = (
        '<span class="ok">all conditions met</span>'
        if is_passed(report)
        else '<span class="bad">not all conditions met</span>'
    )
    saving = report["bill_without_eur"] - report["bill_with_eur"]
    run = report["run"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Hearth: {html.escape(run['day'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>A day of the neighbourhood, {html.escape(run['day'])}</h1>",
        f"<p class='lead'>{report['households']} households, each its own node; "
        f"{report['windows']} windows of one hour in {report['wall_s']:.0f} s, "
        f"{report['blocks']} blocks; {verdict}.</p>",
        f"<p>{report['agreements']} agreements moved {_kwh(report['energy_traded_wh'])} of the "
        f"{_kwh(report['energy_tradeable_wh'])} that could be traded. All bills together come to "
        f"{report['bill_with_eur']:.2f} EUR with the market and to "
        f"{report['bill_without_eur']:.2f} EUR without it (below zero the households earn): "
        f"{saving:.2f} EUR better. Worse off than without it: "
        f"{report['households_worse_off']} of {report['households']}.</p>",
        "<h2>Households</h2>",
        _household_table(report),
        _worse_off(report),
        _figure(_plot_bills(report), "Bills of the day; below zero the household earns."),
        "<h2>Market</h2>",
        _figure(_plot_energy(report), "What was offered, demanded and sold in each hour."),
        _figure(
            _plot_prices(report),
            "Prices of the agreements (mean and range) lie between feed-in and retail; the pool "
            "prices what nobody had foreseen.",
        ),
        "<h2>The day behind the meters</h2>",
        _figure(_plot_day(readings), "Sums over all households, by quarter-hour."),
        "<h2>Conditions</h2>",
        _condition_table(report),
        "<h2>Windows</h2>",
        _window_table(report),
        "</body></html>",
    ]
    return "\n".join(parts)


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.2f} kWh"


# Tables ------------------------------------------------------------------------------------------


def _household_table(report: Report) -> str:
    columns = ("household", "kind", "bought", "sold", "imported", "exported")
    rows = [
        [
            row["name"],
            row["kind"],
            *(_kwh(row[key]) for key in ("bought_wh", "sold_wh", "imported_wh", "exported_wh")),
            f"{row['bill_without_eur']:.4f}",
            f"{row['bill_with_eur']:.4f}",
            f"{row['saving_eur']:+.4f}",
        ]
        for row in report["per_household"]
    ]
    sums = [
        _kwh(sum(row[key] for row in report["per_household"]))
        for key in ("bought_wh", "sold_wh", "imported_wh", "exported_wh")
    ]
    saving = report["bill_without_eur"] - report["bill_with_eur"]
    total = [f"{report['bill_without_eur']:.4f}", f"{report['bill_with_eur']:.4f}"]
    rows.append(["all", "", *sums, *total, f"{saving:+.4f}"])
    heads = (*columns, "bill without, EUR", "bill with, EUR", "saving, EUR")
    return _table(heads, rows, text_columns=2, has_total=True)


def _worse_off(report: Report) -> str:
    worse = [row for row in report["per_household"] if row["worse_off"]]
    items = "".join(
        f"<li><b>{html.escape(row['name'])}</b>: {html.escape(row['why'])}</li>" for row in worse
    )
    return f"<p>Why some are worse off:</p><ul>{items}</ul>" if worse else ""


def _condition_table(report: Report) -> str:
    rows = []
    for name, condition in report["conditions"].items():
        numbers = ", ".join(f"{k} {v}" for k, v in condition.items() if k != "ok")
        mark = "met" if condition["ok"] else "NOT MET"
        rows.append([name.replace("_", " "), mark, numbers])
    return _table(("condition", "state", "numbers"), rows, text_columns=3)


def _window_table(report: Report) -> str:
    columns = {
        "hour": "hour",
        "offered_wh": "offered, Wh",
        "demanded_wh": "demanded, Wh",
        "sold_wh": "sold, Wh",
        "agreements": "agreements",
        "price_eur_per_kwh": "price, EUR/kWh",
        "exported_wh": "exported, Wh",
        "imported_wh": "imported, Wh",
    }
    rows = [[_cell(row[key]) for key in columns] for row in report["per_window"]]
    return _table(tuple(columns.values()), rows, text_columns=1)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text_columns: int,
    has_total: bool = False,
) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if place < text_columns else ''}>{html.escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f"<tr>{cells('th', heads)}</tr>"]
    for place, row in enumerate(rows):
        kind = " class=total" if has_total and place == len(rows) - 1 else ""
        lines.append(f"<tr{kind}>{cells('td', row)}</tr>")
    return f"<table>{''.join(lines)}</table>"


# Plots -------------------------------------------------------------------------------------------


def _plot_bills(report: Report) -> Figure:
    figure, axes = _axes("EUR")
    rows = report["per_household"]
    places = range(len(rows))
    without = [row["bill_without_eur"] for row in rows]
    with_market = [row["bill_with_eur"] for row in rows]
    axes.bar([p - 0.2 for p in places], without, 0.38, label="without", color=_COLOURS["grey"])
    axes.bar([p + 0.2 for p in places], with_market, 0.38, label="with", color=_COLOURS["sold"])
    axes.set_xticks(list(places), [f"{row['name']}\n{row['kind']}" for row in rows], fontsize=8)
    axes.axhline(0, color="#1c2b33", linewidth=0.8)
    axes.legend(frameon=False, title="market")
    return figure


def _plot_energy(report: Report) -> Figure:
    figure, axes = _axes("Wh")
    hours = [row["hour"] for row in report["per_window"]]
    for key, width in (("offered", 0.9), ("demanded", 0.6), ("sold", 0.3)):
        values = [row[f"{key}_wh"] for row in report["per_window"]]
        axes.bar(hours, values, width, label=key, color=_COLOURS[key])
    # Offers at noon dwarf what could be sold; the plot shows the trade, the table the rest.
    most = max([1, *(row["demanded_wh"] for row in report["per_window"])])
    axes.set_ylim(0, 1.4 * most)
    axes.set_xlabel("hour (offers may exceed the plot)")
    axes.legend(frameon=False)
    return figure


def _plot_prices(report: Report) -> Figure:
    figure, axes = _axes("EUR/kWh")
    traded = [row for row in report["per_window"] if row["price_eur_per_kwh"] is not None]
    hours = [row["hour"] for row in traded]
    mean = [row["price_eur_per_kwh"] for row in traded]
    low = [row["price_min_eur_per_kwh"] for row in traded]
    high = [row["price_max_eur_per_kwh"] for row in traded]
    every = [row["hour"] for row in report["per_window"]]
    for key, label, style in (
        ("pool_buy_eur_per_kwh", "pool, buying", "--"),
        ("pool_sell_eur_per_kwh", "pool, selling", ":"),
    ):
        values = [row[key] for row in report["per_window"]]
        axes.step(every, values, style, where="mid", label=label, color=_COLOURS["grey"])
    # Lines and not error bars: where all prices are equal, rounding may put the mean outside.
    axes.vlines(hours, low, high, color=_COLOURS["sold"])
    axes.plot(hours, mean, "o", label="agreements", color=_COLOURS["sold"])
    axes.set_xlim(-0.6, len(every) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hour")
    axes.legend(frameon=False)
    return figure


def _plot_day(readings: Sequence[Sequence[QuarterReading]]) -> Figure:
    figure, axes = _axes("kW")
    quarters = min((len(series) for series in readings), default=0)
    hours = [quarter / QUARTERS_PER_HOUR for quarter in range(quarters)]

    def power_kw(name: str) -> list[float]:
        sums = (sum(getattr(s[q], name) for s in readings) for q in range(quarters))
        return [total * QUARTERS_PER_HOUR / 1000 for total in sums]

    axes.plot(hours, power_kw("load_wh"), label="load", color=_COLOURS["demanded"])
    axes.plot(hours, power_kw("pv_wh"), label="PV", color=_COLOURS["offered"])
    stored = [sum(s[q].soc_wh for s in readings) / 1000 for q in range(quarters)]
    axes.plot(hours, stored, "--", label="batteries, kWh", color=_COLOURS["sold"])
    axes.set_xlabel("hour")
    axes.set_xlim(0, max(1, quarters) / QUARTERS_PER_HOUR)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def _axes(unit: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=WIDE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6eaec", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _figure(figure: Figure, caption: str) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": caption}):
        figure.savefig(out, format="svg", metadata=dict.fromkeys(_SVG_METADATA))
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]  # Without the XML prolog, which HTML does not want.
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
