"""What can go wrong with a testnet, in words for the person who started it."""

from typing import final


class TestnetError(Exception):
    """Base of everything that this package raises on purpose."""

    __test__ = False  # The name begins with "Test", and pytest would take it for one.


@final
class BadFile(TestnetError):
    """A file of the testnet is missing, or not what we wrote.

    Attributes:
        field: the file, or the file and the entry in it, at fault.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@final
class BadOption(TestnetError):
    """What was asked for cannot be: so many households, that day, those ports."""


@final
class PortBusy(TestnetError):
    """A port that the testnet needs is taken."""


@final
class AlreadyExists(TestnetError):
    """There is a testnet of this name."""


@final
class NotRunning(TestnetError):
    """The testnet, or the process of it that was named, does not run."""


@final
class ProcessDied(TestnetError):
    """A process ended by itself; the text holds the end of its log."""


@final
class TimedOut(TestnetError):
    """Something did not happen in the time that it may take."""
