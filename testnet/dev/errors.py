"""What a chain for developers refuses, in words for the developer."""

from typing import final

from testnet.errors import TestnetError


@final
class DevRefusal(TestnetError):
    """What was asked for cannot be done on this chain; nothing has changed."""


@final
class BadState(TestnetError):
    """A dumped state cannot be loaded.

    Attributes:
        field: the part at fault.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
