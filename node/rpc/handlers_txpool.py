"""`txpool_`: what waits in this node's mempool, as geth shows it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import final

from crypto.keys import checksum_address
from node.chain import Chain
from node.rpc.dispatch import Handler
from node.rpc.values import Args, Out, read_address, to_quantity
from node.rpc.views import pending_json
from vm.transaction import Transaction

CONTENT_MAX = 5_000
"""Transactions in one answer, oldest first; the mempool may hold more."""
CONTENT_BYTES_MAX = 8 << 20
"""Of these transactions; as JSON they are about three times as long."""


@final
class TxpoolMethods:
    """Handlers over one chain's mempool.

    Pending is what can run one after another from the sender's next nonce; queued is what lies
    behind a gap.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "txpool_status": self.status,
            "txpool_content": self.content,
            "txpool_contentFrom": self.content_from,
            "txpool_inspect": self.inspect,
        }

    def status(self, _: Args) -> Out:
        queued = sum(self._is_queued(tx) for tx in self._chain.pool.transactions())
        total = len(self._chain.pool)
        return {"pending": to_quantity(total - queued), "queued": to_quantity(queued)}

    def content(self, _: Args) -> Out:
        pending, queued = self._by_sender()
        return {"pending": _shown(pending), "queued": _shown(queued)}

    def content_from(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        found: dict[bool, dict[str, Out]] = {False: {}, True: {}}
        of_sender = (tx for tx in self._chain.pool.transactions() if tx.sender() == address)
        for tx in _cut(of_sender):
            found[self._is_queued(tx)][str(tx.nonce)] = pending_json(tx)
        return {"pending": found[False], "queued": found[True]}

    def inspect(self, _: Args) -> Out:
        pending, queued = self._by_sender()
        return {"pending": _told(pending), "queued": _told(queued)}

    def _by_sender(self) -> tuple[list[Transaction], list[Transaction]]:
        """Return what can run and what cannot, as much as an answer holds."""
        pending: list[Transaction] = []
        queued: list[Transaction] = []
        for tx in _cut(self._chain.pool.transactions()):
            (queued if self._is_queued(tx) else pending).append(tx)
        return pending, queued

    def _is_queued(self, tx: Transaction) -> bool:
        free = self._chain.pool.pending_nonce(tx.sender())
        return free is not None and tx.nonce >= free


def _cut(transactions: Iterable[Transaction]) -> Iterator[Transaction]:
    """Yield transactions until an answer is full."""
    size = 0
    for _, tx in zip(range(CONTENT_MAX), transactions, strict=False):
        size += len(tx.raw)
        if size > CONTENT_BYTES_MAX:
            return
        yield tx


def _shown(transactions: list[Transaction]) -> dict[str, Out]:
    found: defaultdict[str, dict[str, Out]] = defaultdict(dict)
    for tx in transactions:
        found[checksum_address(tx.sender())][str(tx.nonce)] = pending_json(tx)
    return dict(found)


def _told(transactions: list[Transaction]) -> dict[str, Out]:
    found: defaultdict[str, dict[str, Out]] = defaultdict(dict)
    for tx in transactions:
        to = "contract creation" if tx.to is None else checksum_address(tx.to)
        words = f"{to}: {tx.value} wei + {tx.gas_limit} gas × {tx.gas_price} wei"
        found[checksum_address(tx.sender())][str(tx.nonce)] = words
    return dict(found)
