"""JSON files of a testnet, read strictly: no unknown, missing or double key, no floats.

Each file of a testnet is written by one process and read by others; a file that is not exactly
what was written must be refused by name, not half understood.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from testnet.errors import BadFile

FILE_BYTES_MAX = 4 << 20
DEPTH_MAX = 32
"""Levels of a file; ours have a handful. Indented, what is deep would grow past every bound."""
INT_MAX = 2**63 - 1

T = TypeVar("T")


def read_file(path: Path) -> dict[str, Any]:
    """Return the object in the file; raises BadFile."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadFile(path.name, f"cannot be read: {error.strerror}") from None
    return parse(data, path.name)


def parse(data: bytes, field: str) -> dict[str, Any]:
    """Return the object that `data` encodes; raises BadFile."""
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(field, f"must be at most {FILE_BYTES_MAX} bytes, got {len(data)}")

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise BadFile(f"{field}: {key[:64]}", "is given twice")
            found[key] = value
        return found

    def no_float(text: str) -> None:
        raise BadFile(field, f"numbers must be integers, got {text[:32]}")

    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=distinct,
            parse_float=no_float,
            parse_constant=no_float,
        )
        if b"\\u" in data:  # An escape may stand for half a character, which no file can hold.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadFile(field, f"is not JSON: {error}") from None
    _check_depth(value, field, DEPTH_MAX)
    return typed(value, dict, field)


def _check_depth(value: Any, field: str, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise BadFile(field, f"must be at most {DEPTH_MAX} levels deep")
    for inner in value.values() if isinstance(value, dict) else value:
        _check_depth(inner, field, left - 1)


def render(value: Mapping[str, Any]) -> bytes:
    """Return the text of a file that `parse` reads back."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path`, whole or not at all; a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


def check_keys(value: Mapping[str, Any], keys: tuple[str, ...], field: str) -> None:
    """Accept an object with exactly `keys`, or raise BadFile."""
    for key in keys:
        if key not in value:
            raise BadFile(f"{field}: {key}", "is missing")
    for key in value:
        if key not in keys:
            raise BadFile(f"{field}: {key[:64]}", "is not known")


def typed(value: Any, kind: type[T], field: str) -> T:
    """Return `value` if it is of exactly that type (a bool is no int), or raise BadFile."""
    if type(value) is not kind:
        raise BadFile(field, f"must be {kind.__name__}, got {type(value).__name__}")
    return value


def integer(value: Any, field: str, lo: int = 0, hi: int = INT_MAX) -> int:
    """Return an integer in lo..hi, or raise BadFile."""
    number = typed(value, int, field)
    if not lo <= number <= hi:
        raise BadFile(field, f"must lie in {lo}..{hi}, got {number}")
    return number


def integers(value: Any, field: str) -> tuple[int, ...]:
    """Return a list of integers that are not negative, or raise BadFile."""
    items = typed(value, list, field)
    return tuple(integer(item, f"{field}[{index}]") for index, item in enumerate(items))


def text(value: Any, field: str) -> str:
    """Return printable text that is not empty, or raise BadFile."""
    words: str = typed(value, str, field)
    if not words or len(words) > 256 or not words.isprintable():
        raise BadFile(field, "must be 1 to 256 printable characters")
    return words


def hex_bytes(value: Any, field: str, length: int) -> bytes:
    """Return the bytes of "0x" and lower-case hex digits, or raise BadFile."""
    words = text(value, field)
    try:
        data = bytes.fromhex(words.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != length or words != "0x" + data.hex():
        raise BadFile(field, f'must be "0x" and {2 * length} hex digits in lower case')
    return data
