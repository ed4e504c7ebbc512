"""The Solidity ABI: types, arguments, selectors and event topics (Solidity ABI specification).

Values: uintN and intN are int, address and bytesN are bytes, bool is bool, bytes is bytes,
string is str, arrays are lists, tuples are Python tuples. The decoder accepts only what `encode`
gives: values in range, clean padding, and tails that follow each other in order without gaps.
Not supported: fixed-point numbers and function types, which no compiler needs here, and empty
arrays "T[0]" and tuples "()", whose items would take no bytes however many are announced.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, assert_never, final

from crypto.errors import DecodeError, EncodeError
from crypto.hashing import keccak256

WORD_BYTES = 32
SELECTOR_BYTES = 4

_DEPTH_MAX = 16  # Arrays and tuples inside each other in one type.
_ADDRESS_PADDING = bytes(12)
_WORD_MAX = 2**256 - 1
_FALSE, _TRUE = bytes(WORD_BYTES), (1).to_bytes(WORD_BYTES, "big")
_WORD_TYPE = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})|address|bool")
_ARRAY_SUFFIX = re.compile(r"(.+)\[([1-9][0-9]{0,5})?\]", re.DOTALL)
_SIGNATURE = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]*)(\(.*\))", re.DOTALL)


@final
@dataclass(frozen=True, slots=True)
class Word:
    """A type that takes one word: a number, a flag, an address or at most 32 bytes."""

    name: str
    write: Callable[[Any], bytes]
    """Value to word; raises EncodeError."""
    read: Callable[[bytes], Any]
    """Word to value; raises ValueError with the reason."""
    head_bytes: int = WORD_BYTES
    is_dynamic: bool = False


@final
@dataclass(frozen=True, slots=True)
class Blob:
    """`bytes` or `string`: a length and that many bytes, padded to whole words."""

    name: str
    is_text: bool
    head_bytes: int = WORD_BYTES
    is_dynamic: bool = True


@final
@dataclass(frozen=True, slots=True)
class Array:
    """`T[k]`, or `T[]` where `length` is None."""

    name: str
    item: "AbiType"
    length: int | None
    head_bytes: int
    is_dynamic: bool


@final
@dataclass(frozen=True, slots=True)
class Tuple:
    """`(T1,T2,…)`; the arguments of a function are one as well."""

    name: str
    items: "tuple[AbiType, ...]"
    head_bytes: int
    is_dynamic: bool
    reads: tuple[Callable[[bytes], Any], ...] | None
    """One reader for each word, where every item is a word: the fast path."""


AbiType: TypeAlias = Word | Blob | Array | Tuple


@lru_cache(maxsize=1024)
def parse_type(text: str) -> AbiType:
    """Return the type that `text` names in canonical form: "uint256", "(address,bytes32[])[4]".

    Raises:
        DecodeError: no such type (among them "uint", whose canonical name is "uint256").
    """
    return _parse(text, _DEPTH_MAX)


def _parse(text: str, depth: int) -> AbiType:
    if depth == 0:
        raise DecodeError("type", f"must nest at most {_DEPTH_MAX} deep")
    if text in ("bytes", "string"):
        return Blob(text, is_text=text == "string")
    if match := _ARRAY_SUFFIX.fullmatch(text):
        item = _parse(match[1], depth - 1)
        length = int(match[2]) if match[2] else None
        dynamic = length is None or item.is_dynamic
        head = WORD_BYTES if dynamic else item.head_bytes * (length or 0)
        return Array(text, item, length, head, dynamic)
    if text.startswith("(") and text.endswith(")") and len(text) > 2:
        return _tuple(text, tuple(_parse(part, depth - 1) for part in _split(text[1:-1])))
    if match := _WORD_TYPE.fullmatch(text):
        return _word(text, match[1], int(match[2] or 0))
    raise DecodeError("type", f"unknown ABI type {text[:64]!r}")


def _split(text: str) -> list[str]:
    """Return the parts of `text` between the commas that stand in no parenthesis."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            raise DecodeError("type", f"unbalanced parentheses in {text[:64]!r}")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _tuple(name: str, items: tuple[AbiType, ...]) -> Tuple:
    reads = tuple(item.read for item in items if isinstance(item, Word))
    dynamic = any(item.is_dynamic for item in items)
    return Tuple(
        name,
        items,
        # A dynamic tuple stands in its parent's head as an offset.
        head_bytes=WORD_BYTES if dynamic else sum(item.head_bytes for item in items),
        is_dynamic=dynamic,
        reads=reads if len(reads) == len(items) else None,
    )


def _word(name: str, family: str | None, size: int) -> Word:
    if family is None:
        return _address() if name == "address" else _bool()
    if family == "bytes" and size <= WORD_BYTES:
        return _fixed_bytes(name, size)
    if family == "uint" and size % 8 == 0 and size <= 256:
        return _integer(name, 0, 2**size - 1)
    if family == "int" and size % 8 == 0 and size <= 256:
        return _integer(name, -(2 ** (size - 1)), 2 ** (size - 1) - 1)
    raise DecodeError("type", f"unknown ABI type {name!r}")


def _integer(name: str, lo: int, hi: int) -> Word:
    signed = lo < 0

    def write(value: Any) -> bytes:
        if type(value) is int and lo <= value <= hi:  # The usual case: one look, no more checks.
            return value.to_bytes(WORD_BYTES, "big", signed=signed)
        if isinstance(value, bool) or not isinstance(value, int):
            raise EncodeError(f"{name} must be int, got {type(value).__name__}")
        if not lo <= value <= hi:
            raise EncodeError(f"{name} must lie in {lo}..{hi}, got {value}")
        return value.to_bytes(WORD_BYTES, "big", signed=signed)

    def read(word: bytes) -> int:
        value = int.from_bytes(word, "big", signed=signed)
        if not lo <= value <= hi:
            raise ValueError(f"{name} must lie in {lo}..{hi}, got {value}")
        return value

    # Every word is a uint256, so there is nothing to check.
    return Word(name, write, int.from_bytes if hi == _WORD_MAX else read)


def _fixed_bytes(name: str, size: int) -> Word:
    padding = bytes(WORD_BYTES - size)

    def write(value: Any) -> bytes:
        return _exact_bytes(name, value, size) + padding

    def read(word: bytes) -> bytes:
        if word[size:] != padding:
            raise ValueError(f"{name} must be padded with zero bytes")
        return word[:size]

    return Word(name, write, read)


def _address() -> Word:
    def write(value: Any) -> bytes:
        if type(value) is bytes and len(value) == 20:
            return _ADDRESS_PADDING + value
        return _ADDRESS_PADDING + _exact_bytes("address", value, 20)

    def read(word: bytes) -> bytes:
        if word[:12] != _ADDRESS_PADDING:
            raise ValueError("address must be padded with zero bytes")
        return word[12:]

    return Word("address", write, read)


def _bool() -> Word:
    def write(value: Any) -> bytes:
        if not isinstance(value, bool):
            raise EncodeError(f"bool must be bool, got {type(value).__name__}")
        return _TRUE if value else _FALSE

    def read(word: bytes) -> bool:
        number = int.from_bytes(word, "big")
        if number > 1:
            raise ValueError(f"bool must be 0 or 1, got {number}")
        return number == 1

    return Word("bool", write, read)


def _exact_bytes(name: str, value: Any, size: int) -> bytes:
    if not isinstance(value, bytes):
        raise EncodeError(f"{name} must be bytes, got {type(value).__name__}")
    if len(value) != size:
        raise EncodeError(f"{name} must be {size} bytes, got {len(value)}")
    return value


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Return the encoding of a function's arguments, an event's data or a return value.

    Raises:
        EncodeError: a value that its type does not allow, or another number of values.
        DecodeError: an unknown type.
    """
    return _write_items(_arguments(tuple(types)).items, values, "arguments")


def decode(types: Sequence[str], data: bytes, *, field: str = "calldata") -> list[Any]:
    """Return the values whose one encoding is `data`.

    Raises:
        DecodeError: truncated, trailing or out-of-place bytes, padding, a value out of range, or
            an unknown type.
    """
    layout = _arguments(tuple(types))
    try:
        if layout.reads is not None:
            return _read_words(layout.reads, data)
        values, end = _read_items(layout.items, data, 0)
    except ValueError as error:
        raise DecodeError(field, str(error)) from None
    if end != len(data):
        raise DecodeError(field, f"must be {end} bytes, got {len(data)}")
    return values


@lru_cache(maxsize=1024)
def _arguments(types: tuple[str, ...]) -> Tuple:
    return _tuple("", tuple(parse_type(text) for text in types))


@lru_cache(maxsize=1024)
def selector(signature: str) -> bytes:
    """Return the 4 bytes that call "transfer(address,uint256)".

    Raises:
        DecodeError: not a name and a list of types in canonical form.
    """
    return event_topic(signature)[:SELECTOR_BYTES]


@lru_cache(maxsize=1024)
def event_topic(signature: str) -> bytes:
    """Return the 32 bytes that are the first topic of "Transfer(address,address,uint256)".

    Raises:
        DecodeError: not a name and a list of types in canonical form.
    """
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise DecodeError("signature", f"must be name(types), got {signature[:64]!r}")
    if match[2] != "()":
        parse_type(match[2])
    return keccak256(signature.encode("ascii"))


# Writing -----------------------------------------------------------------------------------------


def _write(kind: AbiType, value: Any) -> bytes:
    match kind:
        case Word():
            return kind.write(value)
        case Blob():
            return _write_blob(kind, value)
        case Tuple():
            return _write_items(kind.items, value, kind.name)
        case Array():
            if not isinstance(value, list | tuple):
                raise EncodeError(f"{kind.name} must be a list, got {type(value).__name__}")
            if kind.length is None:
                items = [kind.item] * len(value)
                return len(value).to_bytes(WORD_BYTES, "big") + _write_items(items, value, "")
            return _write_items([kind.item] * kind.length, value, kind.name)
    assert_never(kind)


def _write_items(items: Sequence[AbiType], values: Any, name: str) -> bytes:
    """Return heads, then tails in order; an offset counts from the first head."""
    if not isinstance(values, list | tuple):
        raise EncodeError(f"{name} must be a list or tuple, got {type(values).__name__}")
    if len(values) != len(items):
        raise EncodeError(f"{name} must have {len(items)} values, got {len(values)}")
    heads, tails = [], []
    end = sum(item.head_bytes for item in items)
    for item, value in zip(items, values, strict=True):
        written = _write(item, value)
        if item.is_dynamic:
            heads.append(end.to_bytes(WORD_BYTES, "big"))
            tails.append(written)
            end += len(written)
        else:
            heads.append(written)
    return b"".join(heads + tails)


def _write_blob(kind: Blob, value: Any) -> bytes:
    wanted = str if kind.is_text else bytes
    if not isinstance(value, wanted):
        raise EncodeError(f"{kind.name} must be {wanted.__name__}, got {type(value).__name__}")
    try:
        data = value.encode("utf-8") if isinstance(value, str) else value
    except UnicodeEncodeError as error:
        raise EncodeError(f"string must be encodable as UTF-8: {error.reason}") from None
    return len(data).to_bytes(WORD_BYTES, "big") + data + bytes(-len(data) % WORD_BYTES)


# Reading: all raise ValueError with the reason; `decode` adds the field's name -------------------


def _read_words(reads: tuple[Callable[[bytes], Any], ...], data: bytes) -> list[Any]:
    if len(data) != WORD_BYTES * len(reads):
        raise ValueError(f"must be {WORD_BYTES * len(reads)} bytes, got {len(data)}")
    values, at = [], 0
    for read in reads:
        values.append(read(data[at : at + WORD_BYTES]))
        at += WORD_BYTES
    return values


def _read_items(items: Iterable[AbiType], data: bytes, base: int) -> tuple[list[Any], int]:
    """Return the values of a tuple or array at `base` and where the last of their bytes ends."""
    items = tuple(items)
    values: list[Any] = []
    at = base
    end = base + sum(item.head_bytes for item in items)
    if end > len(data):
        raise ValueError(f"ends early: needs {end} bytes, has {len(data)}")
    for item in items:
        if item.is_dynamic:
            offset = int.from_bytes(data[at : at + WORD_BYTES], "big")
            if offset != end - base:
                raise ValueError(f"offset at byte {at} must be {end - base}, got {offset}")
            value, end = _read(item, data, end)
        else:
            value, _ = _read(item, data, at)
        values.append(value)
        at += item.head_bytes
    return values, end


def _read(kind: AbiType, data: bytes, at: int) -> tuple[Any, int]:
    match kind:
        case Word():
            return kind.read(data[at : at + WORD_BYTES]), at + WORD_BYTES
        case Blob():
            return _read_blob(kind, data, at)
        case Tuple():
            values, end = _read_items(kind.items, data, at)
            return tuple(values), end
        case Array(length=None):
            count, start = _read_count(data, at, kind.item.head_bytes)
            return _read_items([kind.item] * count, data, start)
        case Array():
            return _read_items([kind.item] * (kind.length or 0), data, at)
    assert_never(kind)


def _read_count(data: bytes, at: int, unit_bytes: int) -> tuple[int, int]:
    """Return a count and where its items start; refuse one for which the bytes are not there."""
    start = at + WORD_BYTES
    count = int.from_bytes(data[at:start], "big")
    if start + count * unit_bytes > len(data):
        raise ValueError(f"ends early: byte {at} announces {count} items")
    return count, start


def _read_blob(kind: Blob, data: bytes, at: int) -> tuple[Any, int]:
    length, start = _read_count(data, at, 1)
    end = start + length + -length % WORD_BYTES
    padding = data[start + length : end]
    if start + length + len(padding) != end or any(padding):
        raise ValueError(f"{kind.name} at byte {at} must be padded with zero bytes to whole words")
    content = data[start : start + length]
    return (content.decode("utf-8") if kind.is_text else content), end
