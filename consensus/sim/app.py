"""A toy application: blocks are lists of nonces, each of which may be executed once.

It is what the replica orders in the simulator, and it has every rule that a real one has and
that consensus can get wrong: a block names its height and parent, its time lies above its
parent's and, if the proposal is fresh, not too far ahead of the clock (rule 32), and no
transaction is executed twice.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import final

from consensus.membership import Membership
from consensus.sim.community import Activation, Charter, Community, decode_activation
from consensus.sim.faults import PREFIX_MAX, TOLERANCE_MS
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash

NONCES_PER_BLOCK_MAX = 2
"""Small, so that a burst of clients needs several blocks."""
AGE_MS_MAX = 15_000
"""How far behind the clock a fresh block's time may lie: far above any delay in a drawn plan.
A carried block may be older than any such bound, so it must not be measured again."""
GENESIS_MS = 1_000_000
"""Wall time at which a run starts, in ms."""

_HEAD = struct.Struct(">Q32sQH")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The content of a body."""

    height: int
    parent: Digest
    time_ms: int
    nonces: tuple[int, ...]
    activation: Activation | None = None
    """Of another member set, from the next height on."""

    def encode(self) -> bytes:
        head = _HEAD.pack(self.height, self.parent, self.time_ms, len(self.nonces))
        tail = b"" if self.activation is None else self.activation.encode()
        return head + b"".join(nonce.to_bytes(4, "big") for nonce in self.nonces) + tail


@lru_cache(maxsize=1024)
def decode_block(body: bytes) -> Block | None:
    """Read a body; None if it is not the one encoding of a block."""
    if len(body) < _HEAD.size:
        return None
    height, parent, time_ms, count = _HEAD.unpack_from(body)
    end = _HEAD.size + 4 * count
    activation = decode_activation(body[end:]) if len(body) > end else None
    if len(body) < end or (len(body) > end and activation is None):
        return None
    nonces = tuple(int.from_bytes(body[i : i + 4], "big") for i in range(_HEAD.size, end, 4))
    return Block(
        height=height,
        parent=Digest(parent),
        time_ms=time_ms,
        nonces=nonces,
        activation=activation,
    )


def digest_of(body: bytes) -> Digest:
    """Return what the replicas agree on: it covers chain data only (rule 5)."""
    return tagged_hash(b"hearth/sim/block", body)


GENESIS_DIGEST = tagged_hash(b"hearth/sim/genesis")
assert len(GENESIS_DIGEST) == DIGEST_BYTES


@final
class App:
    """State of one instance: what was executed, and what clients have handed in."""

    def __init__(self, blocks: Iterable[Block], charter: Charter) -> None:
        """Rebuild the state from the stored chain (the mempool is lost in a crash)."""
        self.executed: set[int] = set()
        self.pending: dict[int, None] = {}
        self.community = Community(charter)
        self._time_ms = GENESIS_MS - PREFIX_MAX
        for block in blocks:
            self.apply(block)

    def submit(self, nonce: int) -> None:
        if nonce not in self.executed:
            self.pending[nonce] = None

    def build(
        self, height: int, parent: Digest, clock_ms: int, activation: Activation | None = None
    ) -> Block | None:
        """Make a block on the head from the oldest pending nonces; None if it would be empty."""
        nonces = tuple(self.pending)[:NONCES_PER_BLOCK_MAX]
        if not nonces and activation is None:
            return None
        time_ms = max(clock_ms, self._time_ms + 1)
        return Block(
            height=height, parent=parent, time_ms=time_ms, nonces=nonces, activation=activation
        )

    def is_valid(self, block: Block, height: int, parent: Digest, *, clock_ms: int | None) -> bool:
        """Execute on an overlay; `clock_ms` is None for a carried proposal (rule 32)."""
        if block.height != height or block.parent != parent or block.time_ms <= self._time_ms:
            return False
        if clock_ms is not None and not self._is_timely(block.time_ms, clock_ms):
            return False
        if block.activation is None:
            if not block.nonces:
                return False
        elif not self.community.is_valid(block.activation, height):
            return False
        is_new = self.executed.isdisjoint(block.nonces)
        return is_new and len(set(block.nonces)) == len(block.nonces)

    def _is_timely(self, time_ms: int, clock_ms: int) -> bool:
        if time_ms == self._time_ms + 1:
            return True  # Clocks that wake behind the head must not halt the chain.
        return clock_ms - AGE_MS_MAX <= time_ms <= clock_ms + TOLERANCE_MS

    def membership_after(self, block: Block) -> Membership:
        """Who seals the block above `block`, which is the next one."""
        return self.community.membership_after(block.height, block.activation)

    def apply(self, block: Block) -> None:
        self.community.take(block.height, block.nonces, block.activation)
        self._time_ms = block.time_ms
        self.executed.update(block.nonces)
        for nonce in block.nonces:
            self.pending.pop(nonce, None)
