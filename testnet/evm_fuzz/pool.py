"""What random programs draw from: few addresses and slots, so that they meet, and sharp numbers."""

import random
from dataclasses import dataclass
from typing import final

SENDER = bytes.fromhex("5e" * 20)
COINBASE = bytes.fromhex("cb" * 20)
STRANGER = bytes.fromhex("57" * 20)
"""Has a balance and no code."""
NOBODY = bytes.fromhex("0b" * 20)
"""Does not exist before."""
CONTRACTS = tuple(bytes.fromhex(f"c{number}" * 20) for number in range(4))
PRECOMPILES = tuple(number.to_bytes(20, "big") for number in range(1, 6))
SLOTS = (0, 1, 2, 3, 2**255, 2**256 - 1)

_SHARP = (
    0,
    1,
    2,
    3,
    5,
    31,
    32,
    33,
    127,
    128,
    255,
    256,
    257,
    2**31,
    2**63,
    2**64 - 1,
    2**64,
    2**127,
    2**128 - 1,
    2**160,
    2**255 - 1,
    2**255,
    2**255 + 1,
    2**256 - 2,
    2**256 - 1,
)


@final
@dataclass(frozen=True, slots=True)
class Pool:
    """Draws with one random source."""

    rng: random.Random

    def word(self) -> int:
        """Return a 256-bit number: sharp, small, an address or anything."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.45:
            return rng.choice(_SHARP)
        if kind < 0.75:
            return rng.randrange(64)
        if kind < 0.8:
            return int.from_bytes(self.address(), "big")
        return rng.getrandbits(rng.choice((8, 16, 64, 160, 255, 256)))

    def address(self) -> bytes:
        """Return an address that programs call or ask about."""
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(CONTRACTS)
        return rng.choice((*PRECOMPILES, SENDER, COINBASE, STRANGER, NOBODY, bytes(20)))

    def slot(self) -> int:
        """Return a storage key; the first are the likeliest."""
        return SLOTS[min(int(self.rng.expovariate(0.8)), len(SLOTS) - 1)]

    def stored(self) -> int:
        """Return a storage value; few, so that slots return to what they were."""
        return self.rng.choice((0, 0, 1, 1, 2, self.word()))

    def offset(self) -> int:
        """Return a memory offset, now and then absurd."""
        rng = self.rng
        if rng.random() < 0.0007:
            return rng.choice((2**16, 2**20, 2**32, 2**64, 2**255, 2**256 - 1))
        return rng.choice((0, 1, 31, 32, 64, rng.randrange(512)))

    def size(self) -> int:
        """Return a size in bytes, now and then absurd."""
        rng = self.rng
        if rng.random() < 0.0007:
            return rng.choice((2**14, 2**22, 2**64 - 1, 2**256 - 1))
        return rng.choice((0, 1, 32, 33, 64, rng.randrange(200)))

    def gas(self) -> int:
        """Return the gas that a call asks for."""
        rng = self.rng
        return rng.choice((0, 1, 700, 2300, 2301, 9000, rng.randrange(60_000), 2**64, 2**256 - 1))

    def value(self) -> int:
        """Return the value of a call: mostly nothing, at times more than there is."""
        return self.rng.choice((0, 0, 0, 1, 2, 100, 2**128))

    def small_bytes(self, size_max: int) -> bytes:
        """Return random bytes, zeros often among them."""
        rng = self.rng
        size = rng.randrange(size_max + 1)
        if rng.random() < 0.3:
            return bytes(size)
        return rng.randbytes(size)
