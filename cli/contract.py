"""`hearth contract`: contracts of one's own, and calls of any contract by its ABI."""

import json
from pathlib import Path

import click

from cli import interfaces
from cli.errors import Unusable
from cli.output import progress
from market.abi import ADDRESSES


@click.group()
def command() -> None:
    """Compile, deploy and call contracts; print interfaces."""


@command.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--all", "everything", is_flag=True, help="Of every native contract.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(interfaces.FORMATS)),
    default="json",
    show_default=True,
    help="JSON ABI, Solidity or Vyper.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files into this folder, in every format, instead of printing.",
)
def abi(*, name: str | None, everything: bool, form: str, out: Path | None) -> None:
    r"""Print the interface of a native contract, for programs and contracts that call it.

    \b
    Examples:
      hearth contract abi Market
      hearth contract abi MoneyToken --format sol > IMoneyToken.sol
      hearth contract abi --all --out interfaces
    """
    if (name is None) == (not everything):
        raise Unusable("give either NAME or --all")
    if name is not None and name not in ADDRESSES:
        raise Unusable(f"NAME must be one of {', '.join(ADDRESSES)}, got {name!r}")
    names = [name] if name is not None else list(ADDRESSES)
    if out is not None:
        _write(out, names)
    elif form == "json" and name is None:
        click.echo(json.dumps({each: interfaces.json_abi(each) for each in names}, indent=1))
    else:
        click.echo("\n".join(interfaces.FORMATS[form](each) for each in names), nl=False)


def _write(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in names:
        for suffix, render in interfaces.FORMATS.items():
            (folder / f"I{each}.{suffix}").write_text(render(each), "utf-8")
    progress(f"{len(names) * len(interfaces.FORMATS)} files are in {folder}")
