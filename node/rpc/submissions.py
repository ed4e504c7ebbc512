"""Waiting for a seal: the one moment at which a transaction counts as acknowledged."""

import asyncio
from typing import final

from crypto.hashing import keccak256
from node.chain import Chain
from node.records import BlockRecord
from node.rpc.errors import Code, RpcFault
from node.rpc.values import to_data
from vm.errors import InvalidTransaction, TxReason

SUBMIT_TIMEOUT_MS = 10_000
SUBMIT_TIMEOUT_MAX_MS = 60_000
RECEIPT_WAIT_MS = 500
"""How long a question for the receipt of a waiting transaction is kept before it is answered null.
ethers asks once, and again when it sees a new block: a block that is sealed between these two would
be missed, and where nobody else trades no other comes."""
WAITERS_MAX = 4_096


@final
class Submissions:
    """Calls that wait until a transaction is in a sealed block."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._count = 0
        chain.on_block(self._on_block)

    async def submit(self, raw: bytes, timeout_ms: int) -> bytes:
        """Submit a raw transaction and return its hash once it is sealed.

        A transaction that is known or sealed already is waited for, too: asking again after a
        lost answer is safe.

        Raises:
            InvalidTransaction, MempoolFull: it is not admitted.
            RpcFault: NOT_SEALED in time, with its hash; or too many calls wait.
        """
        digest = self._admit(raw)
        if self._chain.transaction(digest) is not None:
            return digest
        if self._count >= WAITERS_MAX:
            raise RpcFault(Code.LIMIT_EXCEEDED, f"{WAITERS_MAX} calls wait for a seal already")
        if not await self._is_sealed_within(digest, timeout_ms):
            message = f"not sealed within {timeout_ms} ms; it may still be: ask for its receipt"
            raise RpcFault(Code.NOT_SEALED, message, {"hash": to_data(digest)})
        return digest

    async def linger(self, digest: bytes) -> None:
        """Return when a waiting transaction is sealed, or RECEIPT_WAIT_MS have passed.

        Returns at once where there is nothing to wait for, or where too many wait already.
        """
        is_waiting = self._chain.pending_transaction(digest) is not None
        if is_waiting and self._count < WAITERS_MAX:
            await self._is_sealed_within(digest, RECEIPT_WAIT_MS)

    async def _is_sealed_within(self, digest: bytes, timeout_ms: int) -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, set()).add(future)
        self._count += 1
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await future
        except TimeoutError:
            return False
        finally:
            self._count -= 1
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

    def _on_block(self, record: BlockRecord) -> None:
        if not self._waiting:
            return
        for digest in record.transaction_hashes:
            for future in self._waiting.pop(digest, ()):
                if not future.done():
                    future.set_result(None)
