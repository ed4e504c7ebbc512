"""Values as Ethereum's JSON-RPC writes them, and strict readers for what a caller sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, final

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""What a caller sent, parsed."""
Out: TypeAlias = "Mapping[str, Out] | Sequence[Out] | str | int | float | bool | None"
"""What is answered."""

U64_MAX = 2**64 - 1
U256_MAX = 2**256 - 1
_HASH_BYTES = 32
_ADDRESS_BYTES = 20
_DATA_BYTES_MAX = 1 << 20


@final
class BadValue(ValueError):
    """An argument that cannot be read; the text names it."""


class Tag(Enum):
    """Names of blocks. A sealed block is final, so four of them mean the head."""

    LATEST = "latest"
    SAFE = "safe"
    FINALIZED = "finalized"
    PENDING = "pending"
    EARLIEST = "earliest"


BlockId: TypeAlias = "Tag | int | bytes"
"""A tag, a height, or a 32-byte hash."""


@final
@dataclass(frozen=True, slots=True)
class Args:
    """The positional arguments of one call; the method's arity is checked already."""

    items: list[Json]
    client: str = ""
    """Who asks, as `Caller.client`."""

    def get(self, index: int) -> Json:
        """Return an argument, None if it is left out."""
        return self.items[index] if index < len(self.items) else None


def to_quantity(number: int) -> str:
    """Return 0x-hex without leading zeros."""
    return hex(number)


def to_data(data: bytes) -> str:
    """Return 0x-hex of the bytes."""
    return "0x" + data.hex()


def read_quantity(value: Json, field: str, hi: int = U256_MAX) -> int:
    """Return the integer that a 0x-hex quantity means, at most `hi`."""
    if not isinstance(value, str) or value[:2] != "0x" or not 2 < len(value) <= 66:
        raise BadValue(f"{field}: must be a 0x-hex quantity, got {_shown(value)}")
    try:
        number = int(value[2:], 16)
    except ValueError:
        raise BadValue(f"{field}: must be a 0x-hex quantity, got {_shown(value)}") from None
    if hex(number) != value.lower():
        raise BadValue(f"{field}: must have no leading zeros, got {_shown(value)}")
    if number > hi:
        raise BadValue(f"{field}: must be at most {hi:#x}, got {value}")
    return number


def read_data(
    value: Json, field: str, *, length: int | None = None, max_length: int = _DATA_BYTES_MAX
) -> bytes:
    """Return the bytes of 0x-hex text, of `length` or at most `max_length` bytes."""
    if not isinstance(value, str) or value[:2] != "0x":
        raise BadValue(f"{field}: must be 0x-hex bytes, got {_shown(value)}")
    if len(value) > 2 + 2 * max_length:
        raise BadValue(f"{field}: must be at most {max_length} bytes")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise BadValue(f"{field}: must be 0x-hex bytes, got {_shown(value)}") from None
    if 2 * len(data) != len(value) - 2:
        raise BadValue(f"{field}: must be hex digits without spaces")
    if length is not None and len(data) != length:
        raise BadValue(f"{field}: must be {length} bytes, got {len(data)}")
    return data


def read_address(value: Json, field: str) -> bytes:
    """Return the 20 bytes of an address; letter case is not checked, as in geth."""
    return read_data(value, field, length=_ADDRESS_BYTES)


def read_hash(value: Json, field: str) -> bytes:
    """Return the 32 bytes of a hash."""
    return read_data(value, field, length=_HASH_BYTES)


def read_int(value: Json, field: str, lo: int, hi: int) -> int:
    """Return a JSON integer in lo..hi (the `hearth_` methods use plain numbers)."""
    if type(value) is not int or not lo <= value <= hi:
        raise BadValue(f"{field}: must be an integer in {lo}..{hi}, got {_shown(value)}")
    return value


def read_bool(value: Json, field: str) -> bool:
    """Return a JSON boolean; a missing one is false."""
    if value is None:
        return False
    if type(value) is not bool:
        raise BadValue(f"{field}: must be true or false, got {_shown(value)}")
    return value


def read_text(value: Json, field: str, max_length: int) -> str:
    """Return text of at most `max_length` characters."""
    if not isinstance(value, str) or len(value) > max_length:
        raise BadValue(f"{field}: must be text of at most {max_length} characters")
    return value


def read_object(value: Json, field: str, keys: Sequence[str] | None = None) -> dict[str, Json]:
    """Return a JSON object; with `keys`, one that has no others."""
    if not isinstance(value, dict):
        raise BadValue(f"{field}: must be an object, got {_shown(value)}")
    if keys is not None:
        for key in value:
            if key not in keys:
                raise BadValue(f"{field}.{key[:64]}: is not known")
    return value


def read_list(value: Json, field: str, max_length: int) -> list[Json]:
    """Return a JSON array of at most `max_length` items."""
    if not isinstance(value, list):
        raise BadValue(f"{field}: must be an array, got {_shown(value)}")
    if len(value) > max_length:
        raise BadValue(f"{field}: must have at most {max_length} items, got {len(value)}")
    return value


def read_block(value: Json, field: str = "block") -> BlockId:
    """Return a block parameter: a tag, a quantity, a hash, or EIP-1898's object; None is latest."""
    match value:
        case None:
            return Tag.LATEST
        case {"blockHash": block_hash}:
            return read_hash(block_hash, f"{field}.blockHash")
        case {"blockNumber": number}:
            return read_quantity(number, f"{field}.blockNumber", U64_MAX)
        case str() if not value.startswith("0x"):
            try:
                return Tag(value)
            except ValueError:
                raise BadValue(f"{field}: unknown tag {_shown(value)}") from None
        case str() if len(value) == 2 + 2 * _HASH_BYTES:
            return read_hash(value, field)
        case _:
            return read_quantity(value, field, U64_MAX)


def _shown(value: Json) -> str:
    """Return a stranger's value, cut, for an error message."""
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."
