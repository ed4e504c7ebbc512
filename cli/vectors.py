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
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
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
      hearth vectors check vectors/evm/state
    """
    files = _files(directory)
    try:
        from cli.vector_pool import check_files
        from crypto import curve

        used = backend or curve.BACKEND
        results = dict(zip(files, check_files(list(files.values()), backend=used), strict=True))
    except ImportError as error:
        raise Unusable(f"the backend is not there: {error}") from None
    if all(result.aside for result in results.values()):
        raise Unusable(f"{directory}: no file in it is a test")
    _print_json(used, results) if as_json else _print_table(used, results)
    failed = sum(result.failed for result in results.values())
    if failed:
        raise CommandError(f"{failed} failed")


def _files(directory: Path) -> dict[str, Path]:
    """Return the data files by their name below `directory`, which may be one file itself."""
    if directory.is_file():
        return {directory.name: directory}
    files = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.upper().startswith(_ASIDE)
    }
    if not files:
        raise Unusable(f"{directory}: no data file is in it")
    return files


def _print_json(backend: str, results: "dict[str, FileResult]") -> None:
    print_json(
        {
            "backend": backend,
            "passed": sum(result.passed for result in results.values()),
            "failed": sum(result.failed for result in results.values()),
            "skipped": _skipped(results),
            "aside": {name: result.aside for name, result in results.items() if result.aside},
            "unknown": [name for name, result in results.items() if result.format is None],
            "by_file": {
                name: {
                    "format": result.format,
                    "passed": result.passed,
                    "failed": result.failed,
                    "skipped": len(result.skipped),
                    "failures": list(result.failures[:_SHOWN_MAX]),
                }
                for name, result in results.items()
                if not result.aside
            },
        }
    )


def _print_table(backend: str, results: "dict[str, FileResult]") -> None:
    rows = [
        (name, result.format or "unknown", result.passed, result.failed, len(result.skipped))
        for name, result in results.items()
        if not result.aside
    ]
    passed = sum(result.passed for result in results.values())
    failed = sum(result.failed for result in results.values())
    print_table(f"{backend}: {passed} passed, {failed} failed", _COLUMNS, rows)
    for name, result in results.items():
        if result.aside:
            click.echo(f"{name}: left aside: {result.aside}", err=True)
        for failure in result.failures[:_SHOWN_MAX]:
            click.echo(f"{name}: {failure}", err=True)
    for line in _skipped(results):
        click.echo(f"{line}: left out", err=True)


def _skipped(results: "dict[str, FileResult]") -> list[str]:
    return [f"{name}: {line}" for name, result in results.items() for line in result.skipped]


_COLUMNS = ("file", "format", "passed", "failed", "skipped")
