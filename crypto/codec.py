"""Canonical msgpack: each value has exactly one encoding, and only that one decodes.

Allowed are nil, booleans, integers of at most 64 bits, byte strings, text, arrays, and maps with
text keys in the order of their UTF-8 bytes; all in their shortest form. Floats and extension
types are refused. Wider integers travel as minimal big-endian byte strings.
Format: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import msgpack

from crypto.errors import DecodeError, EncodeError

DEPTH_MAX = 32
"""Arrays and maps inside each other; bounds our own recursion against hostile input."""

Value: TypeAlias = "bool | int | bytes | str | list[Value] | dict[str, Value] | None"
"""What `decode` returns."""

Encodable: TypeAlias = (
    "bool | int | bytes | str | Sequence[Encodable] | Mapping[str, Encodable] | None"
)
"""What `encode` takes: lists or tuples, and dicts."""

Nested: TypeAlias = "int | bytes | Sequence[Nested]"
"""What `encode_nested` takes: integers, byte strings, and lists or tuples of them."""

_LEAVES = frozenset((type(None), bool, int, bytes, str))
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def encode(value: Encodable) -> bytes:
    """Return the one encoding of `value`; tuples are encoded as arrays.

    Raises:
        EncodeError: a type, an integer or a depth that is not allowed (it is a ValueError).
    """
    try:
        packed: bytes = msgpack.packb(_ordered(value, DEPTH_MAX), use_bin_type=True)
    except OverflowError:
        raise EncodeError(f"integers must lie in {_INT_MIN}..{_INT_MAX}") from None
    except UnicodeEncodeError as error:
        raise EncodeError(f"text must be encodable as UTF-8: {error.reason}") from None
    return packed


def encode_nested(value: Nested) -> bytes:
    """Return what `encode` does for our own values without maps and subclasses, sooner.

    Nothing is looked at before it is packed: no map to order, no type to refuse.

    Raises:
        EncodeError: an integer that is not allowed.
    """
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True)
    except OverflowError:
        raise EncodeError(f"integers must lie in {_INT_MIN}..{_INT_MAX}") from None
    return packed


def _ordered(value: Encodable, depth: int) -> Encodable:
    """Return `value` with sorted maps; refuse what is not allowed. `depth`: levels left."""
    kind = type(value)
    if kind in _LEAVES:
        return value
    if depth == 0:
        raise EncodeError(f"depth must be at most {DEPTH_MAX}")
    if kind is list or kind is tuple:
        items = cast("Sequence[Encodable]", value)
        for item in items:
            if type(item) not in _LEAVES:
                return [_ordered(inner, depth - 1) for inner in items]
        return items
    if kind is dict:
        entries = cast("dict[str, Encodable]", value)
        for key in entries:
            if type(key) is not str:
                raise EncodeError(f"map keys must be str, got {type(key).__name__}")
        # Code points sort as their UTF-8 bytes do.
        return {key: _ordered(entries[key], depth - 1) for key in sorted(entries)}
    if isinstance(value, int | bytes | str):  # An IntEnum, for instance: encoded as its value.
        return value
    raise EncodeError(f"cannot encode {kind.__name__}")


def decode(data: bytes, *, field: str, max_bytes: int) -> Value:
    """Return the value whose one encoding is `data`.

    Args:
        data: bytes from anywhere.
        field: how error messages call `data`.
        max_bytes: refused before anything is decoded if longer.

    Raises:
        DecodeError: too long, not msgpack, not the canonical form, or trailing bytes.
    """
    if len(data) > max_bytes:
        raise DecodeError(field, f"must be at most {max_bytes} bytes, got {len(data)}")
    try:
        # A nest of array headers that each announce many items would make unpackb allocate for
        # all of them; skip() builds nothing and finds the lie first.
        scanner = msgpack.Unpacker(max_buffer_size=len(data) or 1)
        scanner.feed(data)
        scanner.skip()
        value: Value = msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=_refuse_ext)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(field, f"not msgpack: {error or type(error).__name__}") from None
    try:
        again = encode(value)
    except EncodeError as error:
        raise DecodeError(field, str(error)) from None
    if again != data:
        raise DecodeError(field, "not in canonical form")
    return value


def _refuse_ext(code: int, data: bytes) -> None:
    raise ValueError(f"extension type {code} of {len(data)} bytes is not allowed")


def as_bytes(
    value: Value, field: str, length: int | None = None, max_length: int | None = None
) -> bytes:
    """Return `value` as a byte string of `length`, or of at most `max_length`, bytes."""
    if type(value) is not bytes:
        raise DecodeError(field, f"must be bytes, got {type(value).__name__}")
    if length is not None and len(value) != length:
        raise DecodeError(field, f"must be {length} bytes, got {len(value)}")
    if max_length is not None and len(value) > max_length:
        raise DecodeError(field, f"must be at most {max_length} bytes, got {len(value)}")
    return value


def as_int(value: Value, field: str, lo: int = 0, hi: int = _INT_MAX) -> int:
    """Return `value` as an integer in lo..hi; a boolean is not one."""
    if type(value) is not int:
        raise DecodeError(field, f"must be an integer, got {type(value).__name__}")
    if not lo <= value <= hi:
        raise DecodeError(field, f"must lie in {lo}..{hi}, got {value}")
    return value


def as_bool(value: Value, field: str) -> bool:
    """Return `value` as a boolean."""
    if type(value) is not bool:
        raise DecodeError(field, f"must be a boolean, got {type(value).__name__}")
    return value


def as_str(value: Value, field: str, max_length: int) -> str:
    """Return `value` as text of at most `max_length` characters."""
    if type(value) is not str:
        raise DecodeError(field, f"must be text, got {type(value).__name__}")
    if len(value) > max_length:
        raise DecodeError(field, f"must be at most {max_length} characters, got {len(value)}")
    return value


def as_list(
    value: Value, field: str, length: int | None = None, max_length: int | None = None
) -> list[Value]:
    """Return `value` as a list of `length`, or of at most `max_length`, items."""
    if type(value) is not list:
        raise DecodeError(field, f"must be a list, got {type(value).__name__}")
    if length is not None and len(value) != length:
        raise DecodeError(field, f"must have {length} items, got {len(value)}")
    if max_length is not None and len(value) > max_length:
        raise DecodeError(field, f"must have at most {max_length} items, got {len(value)}")
    return value


def as_map(value: Value, field: str, keys: tuple[str, ...]) -> dict[str, Value]:
    """Return `value` as a map that has exactly `keys`."""
    if type(value) is not dict:
        raise DecodeError(field, f"must be a map, got {type(value).__name__}")
    for key in keys:
        if key not in value:
            raise DecodeError(f"{field}.{key}", "is missing")
    if len(value) != len(keys):
        unknown = min(key for key in value if key not in keys)
        raise DecodeError(field, f"has the unknown key {unknown[:64]!r}")
    return value


def int_to_bytes(number: int) -> bytes:
    """Return a non-negative integer as minimal big-endian bytes; zero is empty."""
    if number < 0:
        raise EncodeError(f"must not be negative, got {number}")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def int_from_bytes(value: Value, field: str, max_bytes: int = 32) -> int:
    """Return the integer whose minimal big-endian form is `value`, of at most `max_bytes`."""
    data = as_bytes(value, field, max_length=max_bytes)
    if data[:1] == b"\0":
        raise DecodeError(field, "must have no leading zero bytes")
    return int.from_bytes(data, "big")
