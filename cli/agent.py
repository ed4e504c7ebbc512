"""`hearth agent`: the household's software that forecasts, negotiates and trades."""

from pathlib import Path

import click

from cli.errors import Unusable
from cli.output import print_json, print_table
from cli.target import readable_errors


@click.group()
def command() -> None:
    """Run a household's agents."""


@command.command()
@click.option("--home", type=click.Path(path_type=Path), help="Home of the household's node.")
@click.option(
    "--services",
    type=click.Path(path_type=Path),
    help="Folder of a testnet: run the operator's and the external market's agents instead.",
)
def run(home: Path | None, services: Path | None) -> None:
    r"""Run all agents of a household beside its node, until told to stop.

    They register themselves, enrol for every window, forecast, offer or call, negotiate, record,
    close, and see to it that they are paid. They reach nothing but the household's own node and
    the readings that its meter writes.

    \b
    Examples:
      hearth agent run --home .hearth/testnet/default/h39
      hearth agent run --services .hearth/testnet/default
    """
    from cli.agent_process import run_household, run_services

    with readable_errors():
        if (home is None) == (services is None):
            raise Unusable("give either --home or --services")
        try:
            if home is not None:
                run_household(home)
            elif services is not None:
                run_services(services)
        except KeyboardInterrupt:
            return


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def strategies(*, as_json: bool) -> None:
    r"""List the negotiation strategies that are shipped.

    \b
    Example:
      hearth agent strategies
    """
    rows = [
        {
            "name": "faratin",
            "what": "time-dependent concession: from one end of the public price band to the "
            "household's reservation price",
            "source": "Faratin, Sierra, Jennings 1998",
        }
    ]
    if as_json:
        print_json(rows)
        return
    print_table("", ("name", "what", "source"), [tuple(row.values()) for row in rows])
