"""`hearth testnet flood`: one member sends everything it can; do the others hold?"""

import asyncio
from pathlib import Path
from typing import Any

import click

from cli.errors import CommandError
from cli.output import print_fields, print_json, progress
from cli.target import readable_errors

BASE_PORT = 31_600


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(5), default=300.0, show_default=True, help="How long."
)
@click.option("-n", "--nodes", type=click.IntRange(4, 16), default=4, show_default=True)
@click.option("--base-port", type=int, default=BASE_PORT, show_default=True, help="First port.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path(".hearth"), help="Where it is put."
)
def flood(*, seconds: float, nodes: int, base_port: int, as_json: bool, root: Path) -> None:
    r"""Let one member flood the others on all channels, in a testnet made for it.

    Exits 1 unless no node's memory rises by more than 64 MB above its idleness, and honest
    transfers are sealed all the time.

    \b
    Example:
      hearth testnet flood --seconds 60
    """
    from testnet.bench.bed import open_bed
    from testnet.flood import flood as run_flood

    async def run() -> dict[str, Any]:
        async with open_bed(nodes, root, base_port, progress) as bed:
            return await run_flood(bed, seconds)

    with readable_errors():
        report = asyncio.run(run())
    if as_json:
        print_json(report)
    else:
        sent = report.pop("sent")
        print_fields("flood", {**report, "sent_mb": sent["megabytes"], "links": sent["links"]})
    if not report["ok"]:
        raise CommandError("the flood broke a bound: see the report")
