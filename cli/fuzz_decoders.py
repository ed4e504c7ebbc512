"""`hearth fuzz --decoders`: look for bytes that a decoder neither refuses nor gives back."""

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

from cli import fuzz_ledger
from cli.errors import CommandError, Unusable
from cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from cli.decoders.campaign import TargetResult
    from cli.decoders.target import Target

SECONDS = 10
"""For each target, unless told otherwise."""
FOLDER = ".hearth/fuzz"
"""Of corpus and findings; git ignores it."""

F = TypeVar("F", bound=Callable[..., object])


class Options(TypedDict):
    """What only `--decoders` takes."""

    decoders: bool
    seconds: int
    target: str | None
    given: str | None
    corpus: str


def options(command: F) -> F:
    """Give a command these options."""
    for add in (
        click.option("--corpus", default=FOLDER, show_default=True, help="Its inputs, findings."),
        click.option("--input", "given", type=click.Path(), help="One input again; see --target."),
        click.option("--target", metavar="NAME", help="With --decoders: one of them."),
        click.option(
            "--seconds",
            type=click.IntRange(1),
            default=SECONDS,
            show_default=True,
            help="With --decoders: of each.",
        ),
        click.option("--decoders", is_flag=True, help="All decoders, by coverage (atheris)."),
    ):
        command = add(command)
    return command


def run(options: Options, *, workers: int | None, ledger: str | None, is_json: bool) -> None:
    """Fuzz one target or all, or judge one input again; any finding ends with 1."""
    targets, seconds = _chosen(options["target"]), options["seconds"]
    if options["given"] is not None:
        if len(targets) != 1:
            raise Unusable("--input needs the --target that it is for")
        _judge(targets[0], Path(options["given"]), is_json=is_json)
        return
    from cli.decoders import campaign

    began = time.monotonic()
    try:
        results = campaign.run(
            targets,
            Path(options["corpus"]),
            seconds=seconds,
            workers=workers or os.cpu_count() or 1,
            on_result=_tell,
        )
    except campaign.NotInstalled:
        raise Unusable(
            "the fuzzer atheris is not installed",
            hint="`make fuzz` installs it; or: pip install 'hearth[fuzz]'",
        ) from None
    except campaign.ProcessEnded as error:
        raise CommandError(str(error)) from None
    _report(results, time.monotonic() - began, is_json=is_json)
    if ledger is not None:
        _note(Path(ledger), results, seconds)
    found = [(result.name, each) for result in results for each in result.found]
    if found:
        target, first = found[0]
        raise CommandError(
            f"{len(found)} inputs show that a decoder breaks its promise: {first.message}",
            hint=f"again: hearth fuzz --decoders --target {target} --input "
            + shlex.quote(str(first.path)),
        )


def _chosen(name: str | None) -> "tuple[Target, ...]":
    from cli.decoders.table import BY_NAME, TARGETS

    if name is None:
        return TARGETS
    if name not in BY_NAME:
        raise Unusable(f"--target must be one of {', '.join(BY_NAME)}, got {name!r}")
    return (BY_NAME[name],)


def _judge(target: "Target", path: Path, *, is_json: bool) -> None:
    from cli.decoders.target import Finding, judge

    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    try:
        is_accepted = judge(target, data)
    except Finding as finding:
        raise CommandError(f"{target.name}: {finding}") from finding
    if is_json:
        print_json({"target": target.name, "bytes": len(data), "accepted": is_accepted})
    else:
        progress(f"{target.name} {'accepts' if is_accepted else 'refuses'} these {len(data)} bytes")


def _tell(result: "TargetResult") -> None:
    fate = "; ".join(each.message for each in result.found) or "nothing found"
    progress(
        f"{result.name}: {result.executions:,} inputs, {result.corpus} in the corpus, "
        f"{result.coverage} branches: {fate}"
    )


def _report(results: "list[TargetResult]", seconds: float, *, is_json: bool) -> None:
    if is_json:
        rows = [result.to_json() for result in results]
        total = sum(result.executions for result in results)
        findings = sum(len(result.found) for result in results)
        print_json(
            {
                "targets": rows,
                "seconds": round(seconds, 1),
                "executions": total,
                "findings": findings,
            }
        )
        return
    print_table(
        "Decoders",
        ("target", "inputs", "inputs/s", "corpus", "branches", "found"),
        [
            (
                each.name,
                f"{each.executions:,}",
                f"{each.executions / each.seconds:,.0f}",
                each.corpus,
                each.coverage,
                len(each.found),
            )
            for each in results
        ],
    )


def _note(path: Path, results: "list[TargetResult]", seconds: int) -> None:
    fuzz_ledger.add_decoders(
        path,
        targets=len(results),
        seconds=seconds,
        hours=sum(result.seconds for result in results) / 3600,
        inputs=sum(result.executions for result in results),
        failures=[f"{each.name} ({one.path.name})" for each in results for one in each.found],
    )
