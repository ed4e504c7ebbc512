"""Records of fixed width in a contract's storage: one frozen value, one layout, one key prefix.

Integers are big-endian, so that keys sort as their numbers do.
"""

from dataclasses import fields
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from vm.native import CallContext

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")

U64_MAX = 2**64 - 1
ADDRESS_BYTES = 20


@final
class Records(Generic[T]):
    """All records of one kind; a record's key is the prefix and the parts that the caller gives."""

    __slots__ = ("_kind", "_names", "_prefix", "_struct", "_values")

    def __init__(self, prefix: bytes, kind: type[T], layout: str) -> None:
        """Bind a dataclass with at least two fields to its `struct` layout.

        Args:
            prefix: distinct within the contract.
            kind: a dataclass.
            layout: one `struct` code for each field, without byte order.
        """
        self._prefix = prefix
        self._kind = kind
        self._struct = Struct(">" + layout)
        self._names = tuple(field.name for field in fields(kind))
        self._values: attrgetter[Any] = attrgetter(*self._names)

    def get(self, ctx: CallContext, key: bytes = b"") -> T | None:
        """Return the record under `key`, or None."""
        stored = ctx.get(self._prefix + key)
        if not stored:
            return None
        values = self._struct.unpack(stored)
        return self._kind(**dict(zip(self._names, values, strict=True)))

    def put(self, ctx: CallContext, record: T, key: bytes = b"") -> None:
        """Write `record` under `key`."""
        ctx.put(self._prefix + key, self._struct.pack(*self._values(record)))

    def delete(self, ctx: CallContext, key: bytes = b"") -> None:
        """Delete the record under `key`, which must exist."""
        ctx.put(self._prefix + key, b"")


def u64(number: int) -> bytes:
    """Return `number` (0..2**64-1) as the 8 bytes of a key."""
    return number.to_bytes(8, "big")


def split_addresses(joined: bytes) -> list[bytes]:
    """Return the 20-byte addresses that stand in `joined` one after the other."""
    return [joined[at : at + ADDRESS_BYTES] for at in range(0, len(joined), ADDRESS_BYTES)]
