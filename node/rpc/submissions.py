"""Waiting for a seal: the one moment at which a transaction counts as acknowledged."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from crypto.hashing import keccak256
from node.chain import Chain
from node.records import BlockRecord
from node.rpc.errors import Code, RpcFault
from node.rpc.values import to_data
from vm.errors import InvalidTransaction, TxReason
from vm.transaction import Transaction

SUBMIT_TIMEOUT_MS = 10_000
SUBMIT_TIMEOUT_MAX_MS = 60_000
RECEIPT_WAIT_MS = 500
"""How long a question for the receipt of a waiting transaction is kept before it is answered null.
ethers asks once, and again when it sees a new block: a block that is sealed between these two would
be missed, and where nobody else trades no other comes."""
RECEIPT_MIN_MS = 300
"""How old a transaction of our own clients is when its receipt is first answered. ethers answers a
repeated question from its memory for 250 ms: a program that has the receipt of its transaction any
sooner signs the next one with the same nonce. Who is in a hurry has the calls that wait."""
WAITERS_MAX = 4_096
"""Calls that wait, of all clients: each keeps its body and a timer."""
WAITERS_OF_CLIENT_MAX = 1_024
"""Of these, calls of one client (`Caller.client`): 16 WebSocket connections full of them. A client
that never stops submitting leaves the others room."""


@final
class Submissions:
    """Calls that wait until a transaction is in a sealed block."""

    def __init__(self, chain: Chain, receipt_min_ms: int = RECEIPT_MIN_MS) -> None:
        """Wait for blocks of `chain`; no receipt is answered before it is `receipt_min_ms` old."""
        self._chain = chain
        self._receipt_min_ms = receipt_min_ms
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._waiters: Counter[str] = Counter()
        """How many calls of each client wait; no zeros."""
        self._admitted_ms: dict[bytes, int] = {}
        """When those came that are younger than `receipt_min_ms`; in order."""
        chain.on_block(self._on_block)
        chain.on_transaction(self._on_transaction)

    @property
    def waiting(self) -> dict[str, int]:
        """How many calls of each client wait; who has none is not in it."""
        return dict(self._waiters)

    async def submit(self, raw: bytes, timeout_ms: int, client: str = "") -> bytes:
        """Submit a raw transaction and return its hash once it is sealed.

        A transaction that is known or sealed already is waited for, too: asking again after a
        lost answer is safe.

        Raises:
            InvalidTransaction, MempoolFull: it is not admitted.
            RpcFault: NOT_SEALED in time, with its hash; LIMIT_EXCEEDED where too many calls wait,
                of this client or of all: it is admitted, but nobody waits for its seal.
        """
        digest = self._admit(raw)
        if self._chain.transaction(digest) is not None:
            return digest
        if self._waiters.total() >= WAITERS_MAX:
            raise RpcFault(Code.LIMIT_EXCEEDED, f"{WAITERS_MAX} calls wait for a seal already")
        if self._waiters[client] >= WAITERS_OF_CLIENT_MAX:
            message = f"{WAITERS_OF_CLIENT_MAX} calls of this client wait for a seal already"
            raise RpcFault(Code.LIMIT_EXCEEDED, message)
        with self._place(client):
            is_sealed = await self._is_sealed_within(digest, timeout_ms)
        if not is_sealed:
            message = f"not sealed within {timeout_ms} ms; it may still be: ask for its receipt"
            raise RpcFault(Code.NOT_SEALED, message, {"hash": to_data(digest)})
        return digest

    async def linger(self, digest: bytes, client: str = "") -> None:
        """Wait until it is time to answer for the receipt of a transaction.

        That is when it is sealed and old enough, or RECEIPT_WAIT_MS have passed. Returns at once
        where there is nothing to wait for, or where too many wait already.
        """
        if not self._has_room(client):
            return
        with self._place(client):
            await self._linger(digest)

    async def _linger(self, digest: bytes) -> None:
        if self._chain.pending_transaction(digest) is not None:
            await self._is_sealed_within(digest, RECEIPT_WAIT_MS)
        admitted_ms = self._admitted_ms.get(digest)
        if admitted_ms is None:
            return
        left_ms = admitted_ms + self._receipt_min_ms - _now_ms()
        if left_ms > 0:
            await asyncio.sleep(left_ms / 1000)

    def _has_room(self, client: str) -> bool:
        is_own_share_left = self._waiters[client] < WAITERS_OF_CLIENT_MAX
        return is_own_share_left and self._waiters.total() < WAITERS_MAX

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        """Count a call of `client` for as long as it waits."""
        self._waiters[client] += 1
        try:
            yield
        finally:
            self._waiters[client] -= 1
            if not self._waiters[client]:
                del self._waiters[client]

    async def _is_sealed_within(self, digest: bytes, timeout_ms: int) -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, set()).add(future)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await future
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(digest)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[digest]
        return True

    def _admit(self, raw: bytes) -> bytes:
        try:
            return self._chain.submit(raw)
        except InvalidTransaction as error:
            digest = keccak256(raw)
            is_waiting = error.reason is TxReason.ALREADY_KNOWN
            if is_waiting or self._chain.transaction(digest) is not None:
                return digest
            raise

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        if not is_own or not self._receipt_min_ms:
            return
        now_ms = _now_ms()
        while self._admitted_ms:
            oldest = next(iter(self._admitted_ms))
            if now_ms - self._admitted_ms[oldest] < self._receipt_min_ms:
                break
            del self._admitted_ms[oldest]
        self._admitted_ms[tx.hash] = now_ms

    def _on_block(self, record: BlockRecord) -> None:
        if not self._waiting:
            return
        for digest in record.transaction_hashes:
            for future in self._waiting.pop(digest, ()):
                if not future.done():
                    future.set_result(None)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
