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
        table.add_row(*(printable(str(cell)) for cell in row))
    # Into a file or pipe nothing is folded; on a terminal the table fits it. Texts of the chain
    # are shown as they are, also where rich would read "[b]" or ":x:" as its own signs.
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    console = Console(width=width, markup=False, emoji=False)
    console.print(table)
    if not rows:
        console.print("  (none)")


def print_fields(title: str, fields: dict[str, object]) -> None:
    """Print one record, a field a line."""
    if title:
        click.secho(title, bold=True)
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        text = printable(str(_plain(value) if isinstance(value, bytes) else value))
        click.echo(f"  {name:<{width}}  {text}")


def printable(text: str) -> str:
    """Return text of the chain or of a file so that it cannot steer the terminal.

    Control characters, but for line breaks, become what Python writes for them.
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


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
