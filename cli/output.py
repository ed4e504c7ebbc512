"""Tables for people, JSON for programs, progress on stderr."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

PIPE_COLUMNS = 200


def print_json(value: Any) -> None:
    """Print one JSON object; bytes as 0x-hex, keys in the order given."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers are aligned to the right. Says so when there is no row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    numeric = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # Into a file or pipe nothing is folded; on a terminal the table fits it.
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_COLUMNS)
    console.print(table)
    if not rows:
        console.print("  (none)")


def print_fields(title: str, fields: dict[str, object]) -> None:
    """Print one record, a field a line."""
    if title:
        click.secho(title, bold=True)
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"  {name:<{width}}  {_plain(value) if isinstance(value, bytes) else value}")


def progress(line: str) -> None:
    """Say on stderr how far a long command is, so that stdout stays for the result."""
    click.echo(line, err=True)


def eur(units: int) -> str:
    """Money units (10⁻⁸ EUR) as euros with four decimals, rounded to nearest."""
    sign = "-" if units < 0 else ""
    tenth_cents = (abs(units) + 5_000) // 10_000
    return f"{sign}{tenth_cents // 10_000}.{tenth_cents % 10_000:04d}"


def _is_number(cell: object) -> bool:
    text = str(cell).replace(",", "").replace("_", "").lstrip("-")
    return text.replace(".", "", 1).replace("%", "").strip().isdigit()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
