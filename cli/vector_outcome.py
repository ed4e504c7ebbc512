"""What a question of a test vector answers, and how it says what differs."""

from collections.abc import Callable, Iterator
from typing import TypeAlias, final

Question: TypeAlias = Callable[[], bool]
"""True: as the file says. False, or an error of `Mismatch`'s kind: not."""

Cases: TypeAlias = Iterator[tuple[str, Question]]
"""A label and its question, asked by whoever runs the cases, or never."""


@final
class Mismatch(Exception):
    """The case is not as the file says; the text holds what was expected and what came."""


@final
class LeftOut(Exception):
    """The case asks for what this build leaves out on purpose; the text says what that is."""


def expect(**pairs: tuple[object, object]) -> bool:
    """Return True, or raise one Mismatch for all pairs (expected, got) that differ.

    Args:
        pairs: by the name of what is compared.
    """
    differ = [
        f"{name}: expected {shown(expected)}, got {shown(got)}"
        for name, (expected, got) in pairs.items()
        if expected != got
    ]
    if differ:
        raise Mismatch("; ".join(differ))
    return True


def shown(value: object) -> str:
    """Return a value as the files write it: bytes in hex; cut where it is long."""
    text = "0x" + value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[: _SHOWN_CHARS_MAX - 1] + "…"


def unhex(text: str) -> bytes:
    """Return the bytes of hex digits with or without 0x, as the published files write them."""
    return bytes.fromhex(text.removeprefix("0x"))


_SHOWN_CHARS_MAX = 200
