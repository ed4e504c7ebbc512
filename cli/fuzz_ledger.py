"""`hearth fuzz --ledger FILE`: adds what a campaign ran, and what failed, to a public table."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cli.errors import CommandError

HEADER = """\
# The fuzzer's ledger

Every campaign that was recorded, failures included: a seed that fails stays in the table, and its
history becomes a test. `hearth fuzz --seeds N --ledger docs/fuzz-ledger.md` adds a line. *Hours*
are of processor time. A seed belongs to its commit: on another one it may draw another schedule.

| date | commit | campaign | runs | hours | messages | failures |
|---|---|---|---|---|---|---|
"""
DECODERS = "## Decoders\n"
_DECODERS_HEAD = """
Every decoder under atheris, each for so many seconds: `hearth fuzz --decoders --ledger FILE`. What
fails is named by its target and its input's file; a fix comes with a test that holds the input.
*Hours* are of the processes, their waiting included.

| date | commit | targets | seconds each | inputs | hours | failures |
|---|---|---|---|---|---|---|
"""


def add(
    path: Path, *, campaign: str, runs: int, seconds: float, messages: int, failures: list[str]
) -> None:
    """Append one line; begin the file if it is not there."""
    text = path.read_text("utf-8") if path.exists() else HEADER
    if not text.startswith("# The fuzzer's ledger"):
        raise CommandError(f"{path} is no ledger of the fuzzer")
    failed = ", ".join(failures) if failures else "0"
    day = datetime.now(UTC).date().isoformat()
    hours = f"{seconds / 3600:.2f}"
    line = f"| {day} | {commit()} | {campaign} | {runs:,} | {hours} | {messages:,} | {failed} |"
    table, title, decoders = text.partition(DECODERS)
    rest = f"\n{title}{decoders}" if title else ""
    path.write_text(f"{table.rstrip()}\n{line}\n{rest}", "utf-8")


def add_decoders(
    path: Path, *, targets: int, seconds: int, hours: float, inputs: int, failures: list[str]
) -> None:
    """Append one line to the section of the decoders, which is the last one; begin it."""
    text = path.read_text("utf-8") if path.exists() else HEADER
    if DECODERS not in text:
        text = f"{text.rstrip()}\n\n{DECODERS}{_DECODERS_HEAD}"
    day = datetime.now(UTC).date().isoformat()
    failed = ", ".join(failures) if failures else "0"
    line = f"| {day} | {commit()} | {targets} | {seconds} | {inputs:,} | {hours:.2f} | {failed} |"
    path.write_text(f"{text.rstrip()}\n{line}\n", "utf-8")


def commit() -> str:
    """The commit of the source that runs, with a + if it was changed since."""
    here = Path(__file__).parents[1]
    try:
        named = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return named.stdout.strip()
