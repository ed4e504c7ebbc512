"""Fetching a snapshot from several peers at once: a core that is stepped, values in, values out.

Which block is fetched is a matter of trust in nobody: its hand-overs lead from genesis to the
members that sealed it, and each chunk is verified against its state root by itself, so a peer that
sends something wrong is found out at once and costs one item. Peers are only believed that
there is something to fetch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from crypto.errors import CryptoError, InvalidProof
from crypto.hashing import Digest
from crypto.merkle_chunk import CHUNKS, Chunk, verify_chunk
from crypto.merkle_list import list_root
from node.epoch_walk import EpochWalk, UnsealedBlock
from node.executor import decode_receipts
from node.hand_over import HandOver
from node.snapshot_wire import (
    BODY,
    ITEMS,
    PART_BYTES,
    RECEIPTS,
    GetPart,
    Gone,
    Offer,
    Part,
    decode_chunk,
    decode_epochs,
    epochs_item,
    epochs_piece,
)
from vm.block import Block, decode_block
from vm.errors import InvalidBlock
from vm.receipt import Receipt, encode_receipt

PATIENCE_MS: Final = 5_000
"""For one part; who does not send it by then is asked again when the others have nothing."""
AHEAD: Final = 2
"""Items that one peer is asked for at a time, so that it need not wait for our next question."""
TRANSFERS_MAX: Final = 16
"""Items that are on their way at a time, from all peers: each is in memory until it is whole."""


@final
@dataclass(frozen=True, slots=True)
class Fetched:
    """A chunk that was verified: keep it, then call `SnapshotDownload.kept`."""

    number: int
    entries: list[tuple[bytes, bytes]]
    chunk: Chunk


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to a peer."""

    peer: int
    message: GetPart


@final
@dataclass(frozen=True, slots=True)
class Blame:
    """A peer sent what does not hold."""

    peer: int
    reason: str


Outcome = Fetched | Ask | Blame


@final
@dataclass(slots=True)
class _Transfer:
    """An item on its way from one peer."""

    peer: int
    asked_ms: int
    data: bytearray = field(default_factory=bytearray)
    total: int = 0


@final
class SnapshotDownload:
    """One snapshot from those that offer it. `is_complete` when there is nothing left to fetch."""

    def __init__(
        self, offer: Offer, offered_by: int, genesis: HandOver, have: Iterable[int] = ()
    ) -> None:
        """Fetch `offer`; whether it is sealed is found out first.

        Args:
            offer: a block, with the seal that this peer showed.
            offered_by: answers for the seal.
            genesis: block 0 and the founders, as this node computes them.
            have: chunks that are here already, verified against the same block.
        """
        self.offer = offer
        self.offered_by = offered_by
        self.is_refused = False
        """Whether the seal of the offer turned out to be none."""
        self.taken = 0
        """How many items have come."""
        self.epochs = EpochWalk(genesis, offer.header, offer.seal)
        self.body: bytes | None = None
        self.receipts: tuple[Receipt, ...] | None = None
        self.block: Block | None = None
        self._peers: dict[int, None] = {offered_by: None}
        self._wanted = dict.fromkeys(sorted(set(range(ITEMS)) - set(have)))
        self._transfers: dict[int, _Transfer] = {}
        self._asked: dict[int, bool] = {}
        """Peer -> whether it has sent an item that holds."""

    @property
    def is_proven(self) -> bool:
        """Whether the block is known to be sealed by its members."""
        return self.epochs.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether all has come."""
        return not self._wanted

    @property
    def missing(self) -> int:
        """How many items have not come yet, as far as is known: epochs may need more."""
        return len(self._wanted)

    @property
    def peers(self) -> tuple[int, ...]:
        """Those that are asked."""
        return tuple(self._peers)

    @property
    def idlers(self) -> tuple[int, ...]:
        """Those that were asked and have sent nothing, or owe something now."""
        owing = {transfer.peer for transfer in self._transfers.values()}
        return tuple(p for p, has_sent in self._asked.items() if not has_sent or p in owing)

    def add_peer(self, peer: int) -> None:
        """Ask this one too: it offers the same block."""
        self._peers[peer] = None

    def drop_peer(self, peer: int) -> None:
        """Ask it no more; what it owed is asked for elsewhere."""
        self._peers.pop(peer, None)
        for item in [i for i, t in self._transfers.items() if t.peer == peer]:
            del self._transfers[item]

    def on_gone(self, peer: int, message: Gone) -> None:
        """The peer does not hold the block any more."""
        if message.snapshot == self.offer.digest:
            self.drop_peer(peer)

    def tick(self, now_ms: int) -> list[Outcome]:
        """Return what to ask whom now."""
        for item, transfer in list(self._transfers.items()):
            if now_ms - transfer.asked_ms > PATIENCE_MS:
                del self._transfers[item]
                self._put_last(transfer.peer)
        asked: list[Outcome] = []
        loads = dict.fromkeys(self._peers, 0)
        for transfer in self._transfers.values():
            loads[transfer.peer] += 1
        for item in self._next_items():
            peer = min(loads, key=lambda each: loads[each], default=None)
            if peer is None or loads[peer] >= AHEAD:
                break
            loads[peer] += 1
            self._transfers[item] = _Transfer(peer, now_ms)
            self._asked.setdefault(peer, False)
            asked.append(Ask(peer, GetPart(self.offer.digest, item, 0)))
        return asked

    def _put_last(self, peer: int) -> None:
        """Ask the others first."""
        if peer in self._peers:
            del self._peers[peer]
            self._peers[peer] = None

    def _next_items(self) -> list[int]:
        """Return what nobody was asked for; the proof of the block comes before all else."""
        if not self.is_proven:
            item = epochs_item(self.epochs.pieces)
            return [] if item in self._transfers else [item]
        limit = min(AHEAD * len(self._peers), TRANSFERS_MAX - len(self._transfers))
        found: list[int] = []
        for item in self._wanted:
            if len(found) >= limit:
                break
            if item not in self._transfers:
                found.append(item)
        return found

    def on_part(self, peer: int, part: Part, now_ms: int) -> list[Outcome]:
        """Take a part; returns what follows from it."""
        transfer = self._transfers.get(part.item)
        if part.snapshot != self.offer.digest or transfer is None or transfer.peer != peer:
            return []  # Too late: another was asked.
        if part.offset != len(transfer.data) or (transfer.total and part.total != transfer.total):
            del self._transfers[part.item]
            self._put_last(peer)  # Late, or a liar that would be asked for ever.
            return []
        transfer.total = part.total
        transfer.data += part.data
        transfer.asked_ms = now_ms
        if len(transfer.data) < part.total:
            at = len(transfer.data)
            assert at % PART_BYTES == 0, "a part is whole, or the last"
            return [Ask(peer, GetPart(part.snapshot, part.item, at))]
        del self._transfers[part.item]
        try:
            fetched = self.take(part.item, bytes(transfer.data))
        except UnsealedBlock as error:
            self.is_refused = True
            return [Blame(self.offered_by, f"snapshot offer: {error}")]
        except (CryptoError, InvalidBlock) as error:
            self.drop_peer(peer)
            return [Blame(peer, f"snapshot item {part.item}: {error}")]
        self._asked[peer] = True
        return [] if fetched is None else [fetched]

    def take(self, item: int, data: bytes) -> Fetched | None:
        """Take a whole item, verified; return the chunk to keep, if it is one.

        Raises:
            UnsealedBlock: the members did not seal the block.
            CryptoError, InvalidBlock: it does not hold.
        """
        fetched = self._take(item, data)
        self._wanted.pop(item, None)
        self.taken += 1
        return fetched

    def in_order(self) -> Iterator[int]:
        """Yield the items for one who takes each before asking for the next, until it has all."""
        while not self.is_proven:
            yield epochs_item(self.epochs.pieces)
        yield from (BODY, RECEIPTS, *range(CHUNKS))

    def _take(self, item: int, data: bytes) -> Fetched | None:
        header = self.offer.header
        if item < CHUNKS:
            proof, entries = decode_chunk(data)
            return Fetched(item, entries, verify_chunk(header.state_root, item, entries, proof))
        piece = epochs_piece(item)
        if piece is not None:
            self._take_epochs(piece, data)
        elif item == BODY:
            block = decode_block(data)
            if block.header != header or list_root(block.transactions) != header.transactions_root:
                raise InvalidProof("is not the block that was asked for")
            self.body, self.block = data, block
        elif item == RECEIPTS:
            receipts = decode_receipts(data)
            if list_root([encode_receipt(each) for each in receipts]) != header.receipts_root:
                raise InvalidProof("are not the block's receipts")
            self.receipts = receipts
        return None

    def _take_epochs(self, piece: int, data: bytes) -> None:
        if piece != self.epochs.pieces:
            raise InvalidProof(f"is piece {piece} of the epochs, not {self.epochs.pieces}")
        self.epochs.take(decode_epochs(data))
        if not self.is_proven:
            self._wanted[epochs_item(self.epochs.pieces)] = None


def best_offer(offers: Mapping[int, Sequence[Offer]], above: int) -> tuple[int, Offer] | None:
    """Return the block from a height on that the most peers offer, the highest among equals.

    With it a peer that offers it; None if there is no such offer.
    """
    counts: dict[Digest, int] = {}
    found: dict[Digest, tuple[int, Offer]] = {}
    for peer, each in offers.items():
        for offer in each:
            if offer.header.number >= above:
                counts[offer.digest] = counts.get(offer.digest, 0) + 1
                found.setdefault(offer.digest, (peer, offer))
    return max(
        found.values(),
        key=lambda each: (counts[each[1].digest], each[1].header.number, each[1].digest),
        default=None,
    )
