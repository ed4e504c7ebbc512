"""What a command says when it cannot do its work, and with which exit code."""

from enum import IntEnum
from typing import IO, Any, ClassVar, final

import click

from cli.output import printable


class ExitCode(IntEnum):
    """Exit codes of `hearth`; stable, for scripts."""

    OK = 0
    FAILED = 1
    """The work was done and its result is bad: a violation found, heads that differ."""
    USAGE = 2
    """The command line, or a file that it names, is wrong (click's own code)."""
    UNREACHABLE = 3
    """No node answers."""
    REFUSED = 4
    """The chain, or the node, refused what was asked."""


class CommandError(click.ClickException):
    """Ends a command with one line that says what is wrong, and one that says what to do."""

    exit_code: ClassVar[int] = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        # The words are often a contract's or a compiler's.
        click.echo(f"Error: {printable(self.message)}", err=True, file=file)
        if self.hint:
            click.echo(f"  {self.hint}", err=True, file=file)


@final
class Unusable(CommandError):
    """A file, option or argument is wrong."""

    exit_code: ClassVar[int] = ExitCode.USAGE


@final
class Unreachable(CommandError):
    """No node answers."""

    exit_code: ClassVar[int] = ExitCode.UNREACHABLE


@final
class Refused(CommandError):
    """The chain, or the node, said no."""

    exit_code: ClassVar[int] = ExitCode.REFUSED
