"""Cursors over new blocks: each reader sees every block from its height on, in order, once."""

import asyncio
from typing import Self, final

from node.chain import Chain
from node.records import BlockRecord

RECENT_MAX = 16
"""Newest blocks kept decoded: readers that keep up cost no read from disk."""


@final
class BlockFeed:
    """Wakes cursors when the chain grows. Readers pull, so a slow one costs no memory."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._recent: dict[int, BlockRecord] = {}
        self._cursors: set[BlockCursor] = set()
        chain.on_block(self._on_block)

    def open(self, first: int) -> "BlockCursor":
        """Return a cursor that begins at height `first`, to be used in a `with` block."""
        cursor = BlockCursor(self, first)
        self._cursors.add(cursor)
        return cursor

    def close(self, cursor: "BlockCursor") -> None:
        """Forget a cursor."""
        self._cursors.discard(cursor)

    def record(self, height: int) -> BlockRecord | None:
        """Return the block at `height`, None above the head."""
        return self._recent.get(height) or self._chain.record(height)

    def rewind(self) -> None:
        """Forget what lay above the head before a chain for developers was put back.

        Whoever reads sees the blocks that take their place.
        """
        self._recent.clear()
        for cursor in self._cursors:
            cursor.rewind(self._chain.height)

    def _on_block(self, record: BlockRecord) -> None:
        self._recent[record.height] = record
        self._recent.pop(record.height - RECENT_MAX, None)
        for cursor in self._cursors:
            cursor.news.set()


@final
class BlockCursor:
    """One reader's place in the chain."""

    def __init__(self, feed: BlockFeed, first: int) -> None:
        self.news = asyncio.Event()
        self._feed = feed
        self._height = first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close(self)

    def rewind(self, height: int) -> None:
        """Go back to the block after `height`, if this reader is further."""
        self._height = min(self._height, height + 1)

    async def next(self) -> BlockRecord:
        """Return the next block; wait until there is one."""
        while True:
            self.news.clear()
            record = self._feed.record(self._height)
            if record is not None:
                self._height += 1
                return record
            await self.news.wait()
