"""Mutations of inputs that follow from a seed: the fast mode, which needs no coverage."""

import random
from collections.abc import Iterator, Sequence
from typing import Final

_EDGES: Final = tuple(
    number.to_bytes(size, "big")
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
)
"""Where lengths and counters wrap."""
WORDS: Final = (
    b"\xc0", b"\xc1", b"\xcc\x80", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\x91" * 40, b"\xca\x00\x00\x00\x00", b"\xd4\x01\x00",
    b"\xf8\xff", b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b"9" * 40, b"9" * 5000,
    b"[" * 1200, b'{"":' * 1200, b'"\\ud800"', b"\xff\xfe", b"\xe2\x80\xae", b"0x", b"\x00", b"|",
)  # fmt: skip
"""What stands for something in msgpack, RLP and JSON, and is often forgotten."""


def mutants(
    seeds: Sequence[bytes], count: int, *, seed: int = 0, bytes_max: int
) -> Iterator[bytes]:
    """Yield `count` inputs, each a seed changed in one to four places; the same ones each time."""
    dice = random.Random(seed)
    for _ in range(count):
        data = dice.choice(seeds)
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            data = _changed(data, seeds, dice)
        yield data[:bytes_max]


def _changed(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice((1, 1, 2, 4, 8, 32, 256)))
    head, middle, tail = data[:at], data[at:end], data[end:]
    other = dice.choice(seeds)
    start = dice.randrange(len(other) + 1)
    match dice.randrange(9):
        case 0 if middle:
            flipped = middle[0] ^ (1 << dice.randrange(8))
            return head + bytes((flipped,)) + middle[1:] + tail
        case 1:
            return head + tail
        case 2:
            return head
        case 3:
            return head + middle * 2 + tail
        case 4:
            edge = dice.choice(_EDGES)
            return head + edge + data[at + len(edge) :]
        case 5:
            return head + dice.choice(WORDS) + tail
        case 6:
            return head + other[start : start + len(middle)] + tail
        case 7:
            return head + other[start:]
        case _:
            return head + dice.randbytes(len(middle) or 1) + tail
