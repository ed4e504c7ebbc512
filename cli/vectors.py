"""`hearth vectors`: judge this build by test vectors that others made."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import CommandError, Unusable
from cli.output import print_json, print_table

if TYPE_CHECKING:
    from cli.vector_files import FileResult

_ASIDE = ("README", "LICENSE")
"""Files that explain a folder, by the start of their name; all others are data."""
_SHOWN_MAX = 20
"""Failures of one file that are printed; the count is of all."""


@click.group()
def command() -> None:
    """Judge this build by test vectors that others made."""


@command.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--backend",
    type=click.Choice(("native", "sodium")),
    help="Which backend of the curve. The one that is loaded.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(*, directory: Path, backend: str | None, as_json: bool) -> None:
    r"""Check all files in DIRECTORY and below; each is known by its content, not by its name.

    A file that no check knows fails like a wrong value; README and LICENSE files are left aside.
    Ends with 1 if anything failed.

    \b
    Examples:
      hearth vectors check vectors/monero --json
      hearth vectors check vectors/monero --backend sodium
    """
    files = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and not path.name.upper().startswith(_ASIDE)
    )
    if not files:
        raise Unusable(f"{directory}: no data file is in it")
    try:
        from cli.vector_files import check_file
        from crypto import curve

        with curve.using(backend or curve.BACKEND):
            used = curve.BACKEND
            results = {path.relative_to(directory).as_posix(): check_file(path) for path in files}
    except ImportError as error:
        raise Unusable(f"the backend is not there: {error}") from None
    _print(used, results, as_json=as_json)
    failed = sum(result.failed for result in results.values())
    if failed:
        raise CommandError(f"{failed} failed")


def _print(backend: str, results: "dict[str, FileResult]", *, as_json: bool) -> None:
    passed = sum(result.passed for result in results.values())
    failed = sum(result.failed for result in results.values())
    if as_json:
        by_file = {
            name: {
                "format": result.format,
                "passed": result.passed,
                "failed": result.failed,
                "failures": list(result.failures[:_SHOWN_MAX]),
            }
            for name, result in results.items()
        }
        unknown = [name for name, result in results.items() if result.format is None]
        print_json(
            {
                "backend": backend,
                "passed": passed,
                "failed": failed,
                "unknown": unknown,
                "by_file": by_file,
            }
        )
        return
    rows = [
        (name, result.format or "unknown", result.passed, result.failed)
        for name, result in results.items()
    ]
    print_table(f"{backend}: {passed} passed, {failed} failed", _COLUMNS, rows)
    for name, result in results.items():
        for failure in result.failures[:_SHOWN_MAX]:
            click.echo(f"{name}: {failure}", err=True)


_COLUMNS = ("file", "format", "passed", "failed")
