"""`hearth restore`: a home of a backup, whose node follows before it votes."""

from pathlib import Path

import click

from cli.errors import CommandError
from cli.output import print_fields, print_json
from cli.target import readable_errors


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where to: a directory that is empty, or not there yet.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(*, file: Path, home: Path, as_json: bool) -> None:
    r"""Make a home of a backup; everything in it is verified.

    The node that is run in it follows the chain and votes only when that is known to be safe: it
    does not know what it promised before. Never run it beside the node that was backed up.

    \b
    Example:
      hearth restore lindenweg-4.backup --home ~/.hearth/home
    """
    from node.backup import restore_backup
    from node.errors import StorageError
    from node.home import Home
    from node.natives import NATIVES

    with readable_errors():
        try:
            restored = restore_backup(file, Home(home), NATIVES)
        except StorageError as error:
            raise CommandError(f"{file.name}: {error}") from None
    result = {
        "home": str(home),
        "name": restored.name,
        "height": restored.height,
        "files": list(restored.files),
    }
    if as_json:
        print_json(result)
        return
    print_fields("Restored", {**result, "files": ", ".join(restored.files)})
    click.echo(f"Run it: hearth node run --home {home}")
