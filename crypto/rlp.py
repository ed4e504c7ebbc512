"""Recursive length prefix, the encoding of Ethereum's transactions (Yellow Paper, appendix B).

The decoder is strict: it accepts only what `encode` gives.
"""

from collections.abc import Sequence
from typing import TypeAlias

from crypto.errors import DecodeError, EncodeError

Item: TypeAlias = "bytes | list[Item]"
"""What `decode` returns."""

Encodable: TypeAlias = "bytes | Sequence[Encodable]"
"""What `encode` takes: byte strings, and lists or tuples of them, nested."""

DEPTH_MAX = 32
"""Lists inside each other. Ethereum's transactions need 4."""

_STRING, _LIST = 0x80, 0xC0
_SHORT_MAX = 55  # Longer payloads have a length of their own.


def encode(item: Encodable) -> bytes:
    """Return the encoding of a byte string or of a list of items.

    Raises:
        EncodeError: something else than bytes, lists and tuples.
    """
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(len(item), _STRING) + item
    if isinstance(item, list | tuple):
        payload = b"".join([encode(inner) for inner in item])
        return _prefix(len(payload), _LIST) + payload
    raise EncodeError(f"cannot encode {type(item).__name__}")


def _prefix(length: int, offset: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes((offset + length,))
    size = encode_int(length)
    return bytes((offset + _SHORT_MAX + len(size),)) + size


def encode_list(payload: bytes) -> bytes:
    """Return the encoding of a list whose items are encoded already, one after the other."""
    return _prefix(len(payload), _LIST) + payload


def int_size(number: int) -> int:
    """Return the length of the encoding of an integer of at most 55 bytes."""
    return 1 if number < _STRING else 1 + (number.bit_length() + 7) // 8


def list_start(data: bytes) -> int:
    """Return where the first item of an encoded list begins; `data` was decoded before."""
    return 1 + max(0, data[0] - _LIST - _SHORT_MAX)


def encode_int(number: int) -> bytes:
    """Return a non-negative integer as minimal big-endian bytes: an item, not yet encoded."""
    if number < 0:
        raise EncodeError(f"must not be negative, got {number}")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode(data: bytes, *, field: str, max_bytes: int) -> Item:
    """Return the item whose one encoding is `data`.

    Args:
        data: bytes from anywhere.
        field: how error messages call `data`.
        max_bytes: refused before anything is decoded if longer.

    Raises:
        DecodeError: too long, truncated, trailing bytes, or not the shortest form.
    """
    if len(data) > max_bytes:
        raise DecodeError(field, f"must be at most {max_bytes} bytes, got {len(data)}")
    item, end = _decode_item(data, 0, len(data), field, DEPTH_MAX)
    if end != len(data):
        raise DecodeError(field, f"has {len(data) - end} trailing bytes")
    return item


def decode_int(item: Item, field: str) -> int:
    """Return the integer that a decoded item is; no leading zero bytes."""
    if not isinstance(item, bytes):
        raise DecodeError(field, "must be a byte string, got a list")
    if item[:1] == b"\0":
        raise DecodeError(field, "must have no leading zero bytes")
    return int.from_bytes(item, "big")


def _decode_item(data: bytes, at: int, limit: int, field: str, depth: int) -> tuple[Item, int]:
    """Return the item that starts at `at` and where it ends; it must end by `limit`."""
    if at >= limit:
        raise DecodeError(field, f"ends early, at byte {at}")
    first = data[at]
    if first < _STRING:
        return data[at : at + 1], at + 1
    offset = _LIST if first >= _LIST else _STRING
    start, end = _payload(data, at, limit, first - offset, field)
    if offset == _STRING:
        if end - start == 1 and data[start] < _STRING:
            raise DecodeError(field, f"byte {at}: a single byte below 0x80 stands for itself")
        return data[start:end], end
    if depth == 0:
        raise DecodeError(field, f"lists must nest at most {DEPTH_MAX} deep")
    items: list[Item] = []
    while start < end:
        # Most items are short strings: those are read here, all else in a call of its own.
        length = data[start] - _STRING
        stop = start + 1 + length
        if (1 < length <= _SHORT_MAX or length == 0) and stop <= end:
            items.append(data[start + 1 : stop])
            start = stop
        else:
            item, start = _decode_item(data, start, end, field, depth - 1)
            items.append(item)
    return items, end


def _payload(data: bytes, at: int, limit: int, short: int, field: str) -> tuple[int, int]:
    """Return where the payload of the item at `at` starts and ends."""
    start, length = at + 1, short
    if short > _SHORT_MAX:
        start += short - _SHORT_MAX
        size = data[at + 1 : min(start, limit)]
        length = int.from_bytes(size, "big")
        if start > limit:
            raise DecodeError(field, f"ends early, in the length at byte {at}")
        if size[0] == 0 or length <= _SHORT_MAX:
            raise DecodeError(field, f"the length at byte {at} is not in its shortest form")
    if start + length > limit:
        raise DecodeError(field, f"the item at byte {at} announces {length} bytes, ends early")
    return start, start + length
