"""Brings admitted transactions to all members, in batches, each at most once over a link.

Every member has a link to every other, so the member whose household sent a transaction tells all
of them, and nobody else repeats it: n - 1 frames, not n squared. Where a link is missing the
transaction stays in the pools of those who have it; what is still there after a while is passed on
once, and whoever comes up is told all that waits.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import final

from crypto.codec import as_bytes, as_list, decode, encode
from crypto.errors import DecodeError
from crypto.hashing import keccak256
from node.chain import Chain
from node.errors import MempoolFull
from node.links import Links
from node.p2p.frames import FRAME_LIMITS, Channel
from vm.errors import InvalidTransaction, TxReason
from vm.transaction import TX_BYTES_MAX, Transaction

BATCH_MS = 2
"""Least time between two batches: under load it fills them, and a lone transaction never waits."""
BATCH_BYTES_MAX = 512 << 10
"""Raw transactions in one frame; one of maximal size always fits."""
BATCH_COUNT_MAX = 4096
PASS_ON_MS = 500
"""Age at which a peer's transaction is passed on: it should long be sealed."""
TURN_COUNT = 16
"""Peers' transactions admitted in one turn of the loop: some milliseconds of signature checks."""
INCOMING_BYTES_MAX = 8 << 20
"""Of one member's transactions that wait to be looked at; batches above it are dropped."""
SEEN_MAX = 16_384
"""Hashes remembered, so that what comes again costs one hash."""

_OVERHEAD_BYTES = 8  # Of one item and of the list, in msgpack.
assert FRAME_LIMITS[Channel.TRANSACTIONS] > BATCH_BYTES_MAX + _OVERHEAD_BYTES * BATCH_COUNT_MAX
assert TX_BYTES_MAX < BATCH_BYTES_MAX

_FAULTS = frozenset(
    (
        TxReason.MALFORMED,
        TxReason.OVERSIZED,
        TxReason.TYPE_NOT_SUPPORTED,
        TxReason.UNPROTECTED,
        TxReason.WRONG_CHAIN,
        TxReason.INVALID_SENDER,
        TxReason.TIP_ABOVE_FEE_CAP,
        TxReason.INSUFFICIENT_FUNDS,
        TxReason.INTRINSIC_GAS,
        TxReason.GAS_ABOVE_TX_LIMIT,
        TxReason.INITCODE_TOO_LARGE,
    )
)
"""Reasons that do not depend on the head: a correct member never passes such a transaction on."""
_MAY_PASS = frozenset((TxReason.UNREGISTERED, TxReason.NONCE_TOO_HIGH, TxReason.QUOTA_EXCEEDED))
"""Reasons that a block, which others may have already, can lift: looked at again when it comes."""


@final
class Gossip:
    """Transactions between one node's mempool and its peers. Lives on one event loop."""

    def __init__(self, chain: Chain, links: Links) -> None:
        self._chain = chain
        self._links = links
        self._outgoing: list[bytes] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushed_s = 0.0
        self._foreign: dict[bytes, float] = {}
        """Hashes of peers' transactions that may have to be passed on, and when they came."""
        self._pass_on_timer: asyncio.TimerHandle | None = None
        self._seen: dict[bytes, None] = {}
        self._incoming: dict[int, deque[bytes]] = {}
        """Of each member, what was not looked at yet; a member with nothing is not in it."""
        self._incoming_bytes: dict[int, int] = {}
        self._admission: asyncio.Handle | None = None
        chain.on_transaction(self._on_transaction)

    def close(self) -> None:
        """Stop the timers."""
        for timer in (self._flush_timer, self._pass_on_timer, self._admission):
            if timer is not None:
                timer.cancel()

    def on_frame(self, member: int, payload: bytes) -> None:
        """Admit a peer's batch; what can never be valid costs the peer."""
        try:
            batch = decode_batch(payload)
        except DecodeError as error:
            self._links.suspect(member, str(error))
            return
        size = self._incoming_bytes.get(member, 0) + sum(map(len, batch))
        if size > INCOMING_BYTES_MAX:
            return  # As lost as by a network: whoever has them passes them on once more.
        self._incoming_bytes[member] = size
        self._incoming.setdefault(member, deque()).extend(batch)
        if self._admission is None:
            self._admit_some()

    def _admit_some(self) -> None:
        """Admit a few of each member in turn, then let the loop go: votes must not wait."""
        self._admission = None
        for _ in range(TURN_COUNT):
            if not self._incoming:
                return
            member = next(iter(self._incoming))
            waiting = self._incoming.pop(member)
            raw = waiting.popleft()
            self._incoming_bytes[member] -= len(raw)
            if waiting:
                self._incoming[member] = waiting
            self._admit(member, raw)
        if self._incoming:
            self._admission = asyncio.get_running_loop().call_soon(self._admit_some)

    def _admit(self, member: int, raw: bytes) -> None:
        digest = keccak256(raw)
        if digest in self._seen:
            return
        self._remember(digest)
        try:
            self._chain.submit(raw, is_own=False)
        except InvalidTransaction as error:
            if error.reason in _FAULTS:
                self._links.suspect(member, str(error))
            elif error.reason in _MAY_PASS:
                del self._seen[digest]
        except MempoolFull:
            del self._seen[digest]  # There may be room when it comes again.

    def on_up(self, member: int) -> None:
        """Tell a member that came up all that waits here."""
        for payload in encode_batches(tx.raw for tx in self._chain.pool.transactions()):
            self._links.send(member, Channel.TRANSACTIONS, payload)

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        loop = asyncio.get_running_loop()
        if is_own:
            self._remember(tx.hash)
            self._outgoing.append(tx.raw)
            if self._flush_timer is None:
                due = max(self._flushed_s + BATCH_MS / 1000, loop.time())
                self._flush_timer = loop.call_at(due, self._flush)
            return
        self._foreign[tx.hash] = loop.time()
        if self._pass_on_timer is None:
            self._pass_on_timer = loop.call_later(PASS_ON_MS / 1000, self._pass_on)

    def _flush(self) -> None:
        self._flush_timer = None
        self._flushed_s = asyncio.get_running_loop().time()
        outgoing, self._outgoing = self._outgoing, []
        for payload in encode_batches(outgoing):
            self._links.broadcast(Channel.TRANSACTIONS, payload)

    def _pass_on(self) -> None:
        """Pass on what has waited too long; runs only while peers' transactions wait."""
        loop = asyncio.get_running_loop()
        limit = loop.time() - PASS_ON_MS / 1000
        late: list[bytes] = []
        for digest, came in list(self._foreign.items()):
            if came > limit:
                break
            del self._foreign[digest]
            tx = self._chain.pool.get(digest)
            if tx is not None:
                late.append(tx.raw)
        for payload in encode_batches(late):
            self._links.broadcast(Channel.TRANSACTIONS, payload)
        self._pass_on_timer = None
        if self._foreign:
            self._pass_on_timer = loop.call_later(PASS_ON_MS / 1000, self._pass_on)

    def _remember(self, digest: bytes) -> None:
        self._seen[digest] = None
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]


def encode_batches(raws: Iterable[bytes]) -> Iterator[bytes]:
    """Yield payloads that hold the transactions in order, each within the frame's limit."""
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (size + len(raw) > BATCH_BYTES_MAX or len(batch) == BATCH_COUNT_MAX):
            yield encode(batch)
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield encode(batch)


def decode_batch(payload: bytes) -> list[bytes]:
    """Return the raw transactions of a payload; they are not decoded.

    Raises:
        DecodeError: not a non-empty list of 1 to BATCH_COUNT_MAX byte strings.
    """
    value = decode(payload, field="batch", max_bytes=FRAME_LIMITS[Channel.TRANSACTIONS])
    items = as_list(value, "batch", max_length=BATCH_COUNT_MAX)
    if not items:
        raise DecodeError("batch", "must not be empty")
    return [
        as_bytes(item, f"batch[{place}]", max_length=TX_BYTES_MAX)
        for place, item in enumerate(items)
    ]
