"""Monero's variable-length integers: groups of 7 bits, lowest first (LEB128)."""

from crypto.errors import EncodeError

VARINT_MAX = 2**64 - 1


def write_varint(number: int) -> bytes:
    """Return the shortest encoding of 0 <= number < 2^64.

    Raises:
        EncodeError: out of range.
    """
    if not 0 <= number <= VARINT_MAX:
        raise EncodeError(f"varint must lie in 0..2^64-1, got {number}")
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
