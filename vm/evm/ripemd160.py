"""RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996).

In Python because OpenSSL has it only where the machine's configuration loads the legacy provider:
replicated code cannot depend on that.
"""

from collections.abc import Iterator

_MASK = 0xFFFFFFFF
_BLOCK_BYTES = 64
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)

# The paper's tables, a hexadecimal digit a step, a round a row: which word of the block is added,
# and by how much is rotated; left line, right line.
_WORDS = (
    "0123456789abcdef 74d1a6f3c0952eb8 3ae49f812706db5c 19ba08c4d37fe562 40597c2ae138b6fd",
    "5e7092b4d6f81a3c 6b370d5aef8c4912 f5137e69b8c2a04d 86413bf05c2d97ae cfa4158762de039b",
)
_ROTATIONS = (
    "befc5879bdef6798 768db97f7cf9b7dc bd67e9dfe8d65c75 bcefef989e56865c 9f5b68dc5cdeb856",
    "899bdff5778beec6 9df7c89b77c76fdb 97fb866ecd5edd75 f58bee6e69c9c5f8 85c9c5e68d65fdbb",
)
_CONSTANTS = (
    (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E),
    (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000),
)


def ripemd160(data: bytes) -> bytes:
    """Return the 20-byte hash of `data`."""
    padding = bytes(-(len(data) + 9) % _BLOCK_BYTES)
    padded = data + b"\x80" + padding + (8 * len(data)).to_bytes(8, "little")
    state: tuple[int, ...] = _START
    for at in range(0, len(padded), _BLOCK_BYTES):
        state = _compress(state, padded[at : at + _BLOCK_BYTES])
    return b"".join(word.to_bytes(4, "little") for word in state)


def _steps(line: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (function, word, rotation, constant) of a line's 80 steps."""
    words, rotations = (table[line].replace(" ", "") for table in (_WORDS, _ROTATIONS))
    for step, (word, rotation) in enumerate(zip(words, rotations, strict=True)):
        number = step // 16
        # The right line goes through the five functions backwards.
        function = number if line == 0 else 4 - number
        yield function, int(word, 16), int(rotation, 16), _CONSTANTS[line][number]


_LINES = tuple(tuple(_steps(line)) for line in (0, 1))


def _compress(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, _BLOCK_BYTES, 4)]
    left, right = (_line(state, words, line) for line in _LINES)
    # Each word gets the next two of the left and right lines, in turn.
    return tuple(
        (state[(i + 1) % 5] + left[(i + 2) % 5] + right[(i + 3) % 5]) & _MASK for i in range(5)
    )


def _line(
    state: tuple[int, ...], words: list[int], steps: tuple[tuple[int, int, int, int], ...]
) -> tuple[int, ...]:
    a, b, c, d, e = state
    for function, word, rotation, constant in steps:
        total = (a + _mix(function, b, c, d) + words[word] + constant) & _MASK
        rotated = (total << rotation | total >> (32 - rotation)) + e & _MASK
        a, b, c, d, e = e, rotated, b, (c << 10 | c >> 22) & _MASK, d
    return a, b, c, d, e


def _mix(function: int, x: int, y: int, z: int) -> int:
    """Return one of the paper's five bitwise functions."""
    match function:
        case 0:
            return x ^ y ^ z
        case 1:
            return x & y | ~x & z
        case 2:
            return (x | ~y) ^ z
        case 3:
            return x & z | y & ~z
        case _:
            return x ^ (y | ~z)
