"""What `hearth_subscribe("blocks")` pushes: a block's results, rendered once for all readers."""

from functools import lru_cache
from typing import final

from node.chain import Chain
from node.log_query import log_entries
from node.records import BlockRecord
from node.rpc.values import Out, to_data
from node.rpc.views import sender_of
from vm.transaction import Transaction

BLOCKS_CACHED = 64
SENDERS_CACHED = 8_192
"""Senders remembered from admission: recovering them anew would cost more than the block."""


@final
class BlockNotices:
    """Renders blocks of one chain."""

    def __init__(self, chain: Chain) -> None:
        self._senders: dict[bytes, bytes] = {}  # By transaction hash, oldest first.
        self._render = lru_cache(BLOCKS_CACHED)(self._notice)
        chain.on_transaction(self._on_transaction)

    def of(self, record: BlockRecord) -> Out:
        """Return the notification of a block."""
        return self._render(record)

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        """Remember the sender; where the transaction came from does not matter."""
        del is_own
        self._senders[tx.hash] = tx.sender()
        if len(self._senders) > SENDERS_CACHED:
            del self._senders[next(iter(self._senders))]

    def _notice(self, record: BlockRecord) -> Out:
        places = zip(record.transaction_hashes, record.transactions, record.receipts, strict=True)
        return {
            "height": record.height,
            "hash": to_data(record.hash),
            "timeMs": record.header.time_ms,
            "stateRoot": to_data(record.header.state_root),
            "transactions": [
                {
                    "hash": to_data(digest),
                    "from": to_data(self._senders.get(digest) or sender_of(raw)),
                    "status": receipt.status,
                }
                for digest, raw, receipt in places
            ],
            "logs": [
                {
                    "address": to_data(entry.log.address),
                    "topics": [to_data(topic) for topic in entry.log.topics],
                    "data": to_data(entry.log.data),
                    "logIndex": entry.log_index,
                    "transactionHash": to_data(entry.transaction_hash),
                }
                for entry in log_entries(record)
            ],
        }
