"""Arguments as tools write them: a number may be a JSON number, digits or a quantity."""

from node.rpc.values import BadValue, Json, read_quantity

_SECONDS_MAX = 2**53 // 1_000
_WORD_TEXT_MAX = 66
_WORD_BYTES = 32


def read_count(value: Json, field: str, lo: int, hi: int) -> int:
    """Return an integer in lo..hi: a JSON number without a fraction, digits, or 0x-hex."""
    number: int
    match value:
        case bool():
            raise BadValue(f"{field}: must be a number, got {value}")
        case int():
            number = value
        case float() if value.is_integer():
            number = int(value)
        case str() if value.isascii() and value.isdigit() and len(value) <= _WORD_TEXT_MAX:
            number = int(value)
        case str():
            number = read_quantity(value, field)
        case _:
            raise BadValue(f"{field}: must be a whole number, got {str(value)[:64]}")
    if not lo <= number <= hi:
        raise BadValue(f"{field}: must lie in {lo}..{hi}, got {number}")
    return number


def read_seconds(value: Json, field: str, lo: int = 0) -> int:
    """Return a number of seconds, or a Unix time in seconds."""
    return read_count(value, field, lo, _SECONDS_MAX)


def read_word(value: Json, field: str) -> int:
    """Return a 256-bit word, given as 0x-hex of at most 32 bytes, with leading zeros or without."""
    if not isinstance(value, str) or value[:2] != "0x" or not 2 < len(value) <= _WORD_TEXT_MAX:
        raise BadValue(f"{field}: must be 0x-hex of at most {_WORD_BYTES} bytes")
    digits = value[2:]
    if not all(each in "0123456789abcdefABCDEF" for each in digits):
        raise BadValue(f"{field}: must be 0x-hex of at most {_WORD_BYTES} bytes")
    return int(digits, 16)
