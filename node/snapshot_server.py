"""Serves the state at some past heights to nodes that join, while the chain goes on.

At every PIN_BLOCKS-th height, the same on all nodes, the state is held by a snapshot of the
database, so that a joining node finds one and the same block at several peers. What it costs:
the rows that were replaced since, on disk.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import plyvel

from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree
from crypto.merkle_chunk import CHUNKS, prove_chunk
from node.chain import Chain
from node.epoch_walk import EPOCHS_PER_PIECE
from node.errors import StorageError
from node.records import BlockRecord
from node.snapshot_wire import (
    BODY,
    RECEIPTS,
    GetPart,
    Gone,
    Offer,
    Offers,
    Part,
    encode_chunk,
    encode_epochs,
    epochs_piece,
    part_of,
)
from node.storage.pinned import PinnedState
from vm.block import Header

PIN_BLOCKS: Final = 256
PINS_MAX: Final = 2
"""A node that began to fetch the older one has as long as the newer lasts to end."""
CACHE_BYTES: Final = 8 << 20
"""Of items that were made and are asked for part by part."""


@final
@dataclass(frozen=True, slots=True)
class _Pin:
    offer: Offer
    state: PinnedState
    tree: SparseMerkleTree


@final
class SnapshotServer:
    """Answers one request at a time; its owner minds how many, and when."""

    def __init__(self, chain: Chain, pin_blocks: int = PIN_BLOCKS) -> None:
        """Hold the head at once: after a restart of all there is one that all have."""
        self._chain = chain
        self._pin_blocks = pin_blocks
        self._pins: OrderedDict[Digest, _Pin] = OrderedDict()
        self._cache: OrderedDict[tuple[Digest, int], bytes] = OrderedDict()
        self._cached_bytes = 0
        self.pin_head()
        chain.on_block(self._on_block)

    def close(self) -> None:
        """Let go of all; nothing is offered after this."""
        self._pin_blocks = 0
        while self._pins:
            self._drop_oldest()

    def pin_head(self) -> None:
        """Hold the state at the head, if it is not genesis."""
        header = self._chain.head
        seal = self._chain.seal(header.number)
        if seal is None or header.hash in self._pins:
            return
        state = self._chain.store.pin()
        tree = SparseMerkleTree(_Nodes(state.node))
        self._pins[header.hash] = _Pin(Offer(header, seal), state, tree)
        if len(self._pins) > PINS_MAX:
            self._drop_oldest()

    def _on_block(self, record: BlockRecord) -> None:
        if self._pin_blocks and record.height % self._pin_blocks == 0:
            self.pin_head()

    def _drop_oldest(self) -> None:
        snapshot, pin = self._pins.popitem(last=False)
        pin.state.close()
        for key in [key for key in self._cache if key[0] == snapshot]:
            self._cached_bytes -= len(self._cache.pop(key))

    def offers(self) -> Offers:
        """Return what is held; the head, where nothing was held yet: there is always something."""
        if not self._pins and self._pin_blocks:
            self.pin_head()
        held = sorted((pin.offer for pin in self._pins.values()), key=_number)
        return Offers(tuple(held))

    def part(self, asked: GetPart) -> Part | Gone | None:
        """Return what was asked for; None for what no item has.

        Raises:
            StorageError: the disk fails, or is damaged.
        """
        pin = self._pins.get(asked.snapshot)
        if pin is None:
            return Gone(asked.snapshot)
        data = self._item(pin, asked.item)
        return None if data is None else part_of(data, asked.snapshot, asked.item, asked.offset)

    def _item(self, pin: _Pin, item: int) -> bytes | None:
        key = (pin.offer.digest, item)
        data = self._cache.pop(key, None)
        if data is None:
            try:
                data = self._make(pin, item)
            except plyvel.Error as error:
                raise StorageError(f"a snapshot cannot be read: {error}") from error
            if data is None:
                return None
            self._cached_bytes += len(data)
        self._cache[key] = data
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])
        return data

    def _make(self, pin: _Pin, item: int) -> bytes | None:
        store, height = self._chain.store, pin.offer.header.number
        if item < CHUNKS:
            return encode_chunk(prove_chunk(pin.tree, item), pin.state.entries(item))
        piece = epochs_piece(item)
        if piece is not None:
            epochs = self._chain.epochs()
            end = bisect_right(epochs, height + 1, key=lambda step: step.members.first_height)
            steps = epochs[:end][piece * EPOCHS_PER_PIECE : (piece + 1) * EPOCHS_PER_PIECE]
            return encode_epochs([step.to_bytes() for step in steps]) if steps else None
        data = {BODY: store.body, RECEIPTS: store.receipts}[item](height)
        assert data is not None, "blocks are kept, and the block of a pin is one of them"
        return data


def _number(offer: Offer) -> int:
    header: Header = offer.header
    return header.number


@final
class _Nodes:
    def __init__(self, get: Callable[[bytes], bytes | None]) -> None:
        self.get = get
