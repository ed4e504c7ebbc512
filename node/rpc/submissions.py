"""Waiting for a seal: the one moment at which a transaction counts as acknowledged."""

import asyncio
from typing import final

from crypto.hashing import keccak256
from node.chain import Chain
from node.records import BlockRecord
from node.rpc.errors import Code, RpcFault
from node.rpc.values import to_data
from vm.errors import InvalidTransaction, TxReason

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
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, set()).add(future)
        self._count += 1
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await future
        except TimeoutError:
            message = f"not sealed within {timeout_ms} ms; it may still be: ask for its receipt"
            raise RpcFault(Code.NOT_SEALED, message, {"hash": to_data(digest)}) from None
        finally:
            self._count -= 1
            waiting = self._waiting.get(digest)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[digest]
        return digest

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
