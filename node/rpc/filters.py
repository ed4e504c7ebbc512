"""Filters that are polled: cursors into the chain, forgotten when nobody asks for a while."""

import asyncio
import copy
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

from node.chain import Chain
from node.records import LogEntry
from node.rpc.chain_reads import LogRange, check_range, find_logs
from node.rpc.errors import Code, RpcFault
from node.rpc.values import Out, to_data
from node.rpc.views import log_json, pending_json
from vm.transaction import Transaction

FILTERS_MAX = 256
"""Of all clients together; the one that was not asked for longest makes room."""
IDLE_MS = 300_000
"""As geth: a filter that is not polled for five minutes is forgotten."""
PENDING_MAX = 10_000
"""Transactions kept for a filter of pending ones; the oldest are dropped."""
PENDING_BYTES_MAX = 8 << 20
"""Of these transactions, where the filter gives them whole: sealed ones are held by nobody else."""
BLOCKS_MAX = 10_000
"""Block hashes in one answer; the rest follows at the next poll."""


@final
@dataclass(slots=True)
class LogFilter:
    """Logs of the blocks from `next_height` on."""

    range: LogRange
    next_height: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Polls at the same time must not report a block twice."""


@final
@dataclass(slots=True)
class BlockFilter:
    """Hashes of the blocks from `next_height` on."""

    next_height: int


@final
@dataclass(slots=True)
class PendingFilter:
    """Transactions admitted since the last poll: their hashes, or all of them."""

    is_full: bool
    admitted: deque[Transaction | bytes] = field(default_factory=deque)
    size: int = 0
    """Bytes of the transactions that are held whole."""

    def add(self, tx: Transaction) -> None:
        """Note a transaction; the oldest make room."""
        self.admitted.append(tx if self.is_full else tx.hash)
        self.size += len(tx.raw) if self.is_full else 0
        while len(self.admitted) > PENDING_MAX or self.size > PENDING_BYTES_MAX:
            oldest = self.admitted.popleft()
            self.size -= 0 if isinstance(oldest, bytes) else len(oldest.raw)

    def clear(self) -> None:
        """Forget all of them."""
        self.admitted.clear()
        self.size = 0


Filter: TypeAlias = "LogFilter | BlockFilter | PendingFilter"


@final
class Filters:
    """All filters of a node. `now_ms` is any clock that only goes forward."""

    def __init__(self, chain: Chain, now_ms: Callable[[], int]) -> None:
        self._chain = chain
        self._now_ms = now_ms
        self._filters: dict[str, tuple[Filter, int]] = {}  # By id, least recently asked first.
        chain.on_transaction(self._on_transaction)

    def __len__(self) -> int:
        return len(self._filters)

    def add_logs(self, range_: LogRange) -> str:
        """Make a log filter: it reports from the next block on, as geth's does."""
        return self._add(LogFilter(range_, max(range_.first, self._chain.height + 1)))

    def add_blocks(self) -> str:
        """Make a filter of new block hashes."""
        return self._add(BlockFilter(self._chain.height + 1))

    def add_pending(self, *, is_full: bool = False) -> str:
        """Make a filter of pending transactions' hashes; `is_full` gives them whole."""
        return self._add(PendingFilter(is_full))

    def remove(self, name: str) -> bool:
        """Forget a filter; False if it is not there."""
        return self._filters.pop(name, None) is not None

    async def changes(self, name: str) -> list[Out]:
        """Return what is new since the last call. Raises RpcFault."""
        found = self._get(name)
        chain = self._chain
        match found:
            case LogFilter():
                async with found.turn:
                    entries = await self._new_logs(found)
                return [log_json(entry) for entry in entries]
            case BlockFilter(first):
                found.next_height = min(chain.height + 1, first + BLOCKS_MAX)
                return [to_data(chain.store.digest(h)) for h in range(first, found.next_height)]
            case PendingFilter():
                answer: list[Out] = [
                    to_data(tx) if isinstance(tx, bytes) else pending_json(tx)
                    for tx in found.admitted
                ]
                found.clear()
                return answer

    async def _new_logs(self, found: LogFilter) -> list[LogEntry]:
        """Return what one answer can hold of the new logs; the rest follows at the next poll."""
        chain, first = self._chain, found.next_height
        last = chain.height if found.range.last is None else min(found.range.last, chain.height)
        while True:
            try:
                entries = await find_logs(chain, found.range, first, last)
            except RpcFault:
                if last <= first:
                    found.next_height = first + 1  # Of one block alone: it would stay for ever.
                    raise
                last = first + (last - first) // 2
            else:
                found.next_height = max(first, last + 1)
                return entries

    async def logs(self, name: str) -> list[Out]:
        """Return all logs of a log filter's range. Raises RpcFault."""
        found = self._get(name)
        if not isinstance(found, LogFilter):
            raise RpcFault(Code.SERVER, "filter not found")
        range_, height = found.range, self._chain.height
        last = height if range_.last is None else range_.last
        check_range(range_.first, min(last, height))
        entries = await find_logs(self._chain, range_, range_.first, last)
        return [log_json(entry) for entry in entries]

    def snapshot(self) -> dict[str, Filter]:
        """Return each filter as it stands, for `restore`."""
        return {name: _copied(made) for name, (made, _) in self._filters.items()}

    def restore(self, state: Mapping[str, Filter]) -> None:
        """Put back the filters of a snapshot, after the chain was put back to that moment.

        Those made since stay, for somebody polls them, and see what comes after the head.
        """
        now_ms, next_height = self._now_ms(), self._chain.height + 1
        for name, (made, _) in self._filters.items():
            if name in state:
                continue
            if isinstance(made, PendingFilter):
                made.clear()
            else:
                made.next_height = min(made.next_height, next_height)
        for name, made in state.items():
            self._filters.pop(name, None)  # To the end: all were asked for at the same time.
            self._filters[name] = (_copied(made), now_ms)

    def _add(self, made: Filter) -> str:
        self._forget_idle()
        while len(self._filters) >= FILTERS_MAX:
            del self._filters[next(iter(self._filters))]
        name = hex(secrets.randbits(127) | 1 << 127)  # Not to be guessed by another client.
        self._filters[name] = (made, self._now_ms())
        return name

    def _get(self, name: str) -> Filter:
        self._forget_idle()
        entry = self._filters.pop(name, None)
        if entry is None:
            raise RpcFault(Code.SERVER, "filter not found")
        self._filters[name] = (entry[0], self._now_ms())
        return entry[0]

    def _forget_idle(self) -> None:
        oldest_ms = self._now_ms() - IDLE_MS
        for name, (_, asked_ms) in list(self._filters.items()):
            if asked_ms >= oldest_ms:
                return
            del self._filters[name]

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        """Note the transaction, but not for filters that nobody asks any more."""
        del is_own
        self._forget_idle()
        for made, _ in self._filters.values():
            if isinstance(made, PendingFilter):
                made.add(tx)


def _copied(made: Filter) -> Filter:
    """Return a filter that moves on its own."""
    if isinstance(made, PendingFilter):
        return PendingFilter(made.is_full, made.admitted.copy(), made.size)
    return copy.copy(made)
