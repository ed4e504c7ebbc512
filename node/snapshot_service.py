"""Snapshots over the links: serves those who join, and joins by one where that is far shorter.

A node that begins far below its peers fetches the state at a recent block, certified by seals from
genesis on, and replays only what came after. Meanwhile its replica rests. When all is there, or
nobody has the rest, the node is opened anew: on the new database, or to replay blocks as ever.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Final, final

import structlog

from crypto.errors import DecodeError
from crypto.hashing import keccak256
from node.chain import Chain
from node.executor import encode_receipts
from node.hand_over import HandOver
from node.links import Links
from node.p2p.frames import Channel
from node.snapshot_download import Ask, Blame, Fetched, Outcome, SnapshotDownload, best_offer
from node.snapshot_server import SnapshotServer
from node.snapshot_wire import (
    ITEMS,
    AskOffers,
    GetPart,
    Gone,
    Offer,
    Offers,
    Part,
    SnapshotMessage,
    decode_snapshot_message,
    encode_snapshot_message,
)
from node.storage.block_write import BlockWrite
from node.storage.store_import import BaseBlock, StoreImport, former
from vm.block import encode_block
from vm.receipt import logs_bloom

JOIN_BLOCKS: Final = 512
"""A node without a chain joins by a snapshot of a block at this height or above."""
JOIN_BLOCKS_KEEPING: Final = 20_000
"""One with a chain only if it is so far behind: by a snapshot it loses the blocks that it has."""
GATHER_MS: Final = 400
"""After the first offer the others' are awaited for so long: more peers, more speed."""
TICK_S: Final = 0.25
STALL_MS: Final = 120_000
"""How long a download may bring nothing whole, however much its peers promise: then the others'
offers are looked at again, without those peers'."""
UNPROVEN_MS: Final = 20_000
"""The same while it is not known whether the block exists: that is told by one item alone."""
PEERLESS_MS: Final = 15_000
"""How long a download waits for a peer to come back, rather than begin with another block."""
STUCK_MS: Final = 15_000
"""After so long without a block, though a peer offers one above the head, a node without a chain
takes any snapshot: nobody may be left of the members that it knows from genesis."""
WAITING_MAX: Final = 4
"""Questions of one peer that wait for an answer."""
SERVE_BYTES_PER_S: Final = 24 << 20
"""To all who join together; who votes goes first."""
SERVE_PAUSE_FACTOR: Final = 3
"""After an answer the loop is left alone for so many times as long as the answer took: who asks
without end gets a quarter of it."""

_log = structlog.get_logger("snapshot")


@final
class SnapshotService:
    """One node's snapshots. Lives on its event loop."""

    def __init__(
        self,
        *,
        chain: Chain,
        links: Links,
        folder: Path,
        rest: Callable[[], None],
        reopen: Callable[[], None],
        may_join: bool = True,
    ) -> None:
        """Nothing is sent before a link is up.

        Args:
            chain: is served; and compared with what the others have.
            links: to the peers.
            folder: where a database in the making may lie.
            rest: stops the replica; called when a download begins.
            reopen: called once, after `rest`: the node must be opened anew.
            may_join: False only serves.
        """
        self._chain = chain
        self._links = links
        self._folder = folder
        self._rest = rest
        self._reopen = reopen
        self._may_join = may_join
        self.server = SnapshotServer(chain)
        shutil.rmtree(former(chain.store.path), ignore_errors=True)  # What a crash left.
        self._waiting: dict[int, deque[GetPart]] = {}
        self._serving: asyncio.TimerHandle | None = None
        self._offers: dict[int, tuple[Offer, ...]] = {}
        self._choice: asyncio.TimerHandle | None = None
        self._replay: asyncio.TimerHandle | None = None
        """Looks whether blocks come, where no snapshot is wanted."""
        self._is_stuck = False
        """Whether none came: any block is taken then."""
        self._ticker: asyncio.TimerHandle | None = None
        self._into: StoreImport | None = None
        self.download: SnapshotDownload | None = None
        self._served_ms = 0
        """When there was a peer that serves the download."""
        self._moved_ms, self._taken = 0, 0
        """When the last item came, and how many had by then."""
        self._unreliable = set[int]()
        """Peers whose download came to nothing: their offers count no more."""
        self.fresh: Path | None = None
        """A finished database that is to take the place of the node's own."""
        self.has_given_up = False
        """Whether nobody had the rest of a snapshot: replay blocks."""

    def close(self) -> None:
        """Stop; what was fetched so far stays on disk."""
        for timer in (self._serving, self._choice, self._ticker, self._replay):
            if timer is not None:
                timer.cancel()
        if self._into is not None:
            self._into.close()
            self._into = None
        self._may_join = False
        self.download = None
        self.server.close()

    @property
    def is_joining(self) -> bool:
        """Whether the replica rests, because the state comes as a whole."""
        return self.download is not None or self.fresh is not None

    def why(self) -> list[str]:
        """Say how far a download is, in words; empty where there is none."""
        download = self.download
        if download is None:
            return []
        height, peers = download.offer.header.number, len(download.peers)
        return [
            f"joins by the state at block {height}: {ITEMS - download.missing} of {ITEMS} parts "
            f"are here, asked of {peers} {'node' if peers == 1 else 'nodes'}"
        ]

    # Links.

    def on_up(self, peer: int) -> None:
        """Ask what the peer offers."""
        if self._may_join:
            self._send(peer, AskOffers())

    def on_down(self, peer: int) -> None:
        """Forget what the peer offered and asked for."""
        self._waiting.pop(peer, None)
        self._offers.pop(peer, None)
        if self.download is not None:
            self.download.drop_peer(peer)
            self._go_on()

    def on_frame(self, peer: int, payload: bytes) -> None:
        """Take a payload of the snapshot channel."""
        try:
            message = decode_snapshot_message(payload)
        except DecodeError as error:
            self._links.suspect(peer, str(error))
            return
        match message:
            case AskOffers():
                self._send(peer, self.server.offers())
            case GetPart():
                self._queue(peer, message)
            case Offers(offers):
                self._on_offers(peer, offers)
            case Part():
                self._on_part(peer, message)
            case Gone():
                if self.download is not None:
                    self.download.on_gone(peer, message)
                    self._offers.pop(peer, None)
                    self._send(peer, AskOffers())
                    self._go_on()

    # Serving.

    def _queue(self, peer: int, asked: GetPart) -> None:
        waiting = self._waiting.setdefault(peer, deque())
        if len(waiting) >= WAITING_MAX:
            self._links.suspect(peer, "asks for more of a snapshot than it was given", points=1)
            return
        waiting.append(asked)
        if self._serving is None:
            self._serving = asyncio.get_running_loop().call_later(0, self._serve_one)

    def _serve_one(self) -> None:
        """Answer one question, of each peer in turn; then leave the loop alone for a while."""
        self._serving = None
        if not self._waiting:
            return
        begin = perf_counter()
        peer = next(iter(self._waiting))
        waiting = self._waiting.pop(peer)
        asked = waiting.popleft()
        if waiting:
            self._waiting[peer] = waiting
        answer = self.server.part(asked)
        size = 0
        if answer is not None:
            self._send(peer, answer)
            size = len(answer.data) if isinstance(answer, Part) else 0
        if self._waiting:
            pause_s = max(SERVE_PAUSE_FACTOR * (perf_counter() - begin), size / SERVE_BYTES_PER_S)
            self._serving = asyncio.get_running_loop().call_later(pause_s, self._serve_one)

    # Joining.

    def _on_offers(self, peer: int, offers: tuple[Offer, ...]) -> None:
        if not self._may_join or peer in self._unreliable:
            return
        known = self._chain.machine.protocols
        offers = tuple(offer for offer in offers if offer.header.version in known)
        self._offers[peer] = offers
        if self.download is not None:
            if self.download.offer.digest in (offer.digest for offer in offers):
                self.download.add_peer(peer)
                self._go_on()
        elif self._choice is None and self._best() is not None:
            loop = asyncio.get_running_loop()
            self._choice = loop.call_later(GATHER_MS / 1000, self._choose)
        else:
            self._watch_replay()

    def _best(self) -> tuple[int, Offer] | None:
        height = self._chain.height
        if self._is_stuck:
            return best_offer(self._offers, height + 1)
        return best_offer(
            self._offers, JOIN_BLOCKS if self._is_new else height + JOIN_BLOCKS_KEEPING
        )

    @property
    def _is_new(self) -> bool:
        return (
            self._chain.height < JOIN_BLOCKS // 2
        )  # What it replays while offers come is no loss.

    def _watch_replay(self) -> None:
        """See, once, whether blocks come while a peer offers one above the head."""
        height = self._chain.height
        if self._replay is None and self._is_new and best_offer(self._offers, height + 1):
            loop = asyncio.get_running_loop()
            self._replay = loop.call_later(STUCK_MS / 1000, self._judge_replay, height)

    def _judge_replay(self, height: int) -> None:
        self._replay = None
        if self.download is not None or not self._may_join:
            return
        if self._chain.height > height:
            self._watch_replay()
        elif best_offer(self._offers, height + 1) is not None:
            _log.warning("no blocks come: joins by whatever snapshot there is", height=height)
            self._is_stuck = True
            self._choose()

    def _choose(self) -> None:
        self._choice = None
        best = self._best()
        if best is None or self.download is not None:
            return
        self._rest()
        peer, offer = best
        self._into = StoreImport.open(self._folder, offer.digest)
        self.download = SnapshotDownload(offer, peer, self._genesis(), self._into.tops)
        for other, offers in self._offers.items():
            if offer.digest in (each.digest for each in offers):
                self.download.add_peer(other)
        _log.info("joins by a snapshot", height=offer.header.number, missing=self.download.missing)
        self._served_ms = self._moved_ms = self._now_ms()
        self._taken = 0
        self._tick()

    def _genesis(self) -> HandOver:
        return self._chain.epochs()[0]

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self._go_on()

    def _on_part(self, peer: int, part: Part) -> None:
        if self.download is not None:
            self._perform(self.download.on_part(peer, part, self._now_ms()))
            self._go_on()

    def _go_on(self) -> None:
        """Ask for more, or come to an end."""
        download = self.download
        if download is None:
            return
        now_ms = self._now_ms()
        if download.peers:
            self._served_ms = now_ms
        if download.taken > self._taken:
            self._moved_ms, self._taken = now_ms, download.taken
        is_stalled = now_ms - self._moved_ms > (STALL_MS if download.is_proven else UNPROVEN_MS)
        if download.is_complete:
            self._finish(download)
        elif download.is_refused or is_stalled or now_ms - self._served_ms > PEERLESS_MS:
            if is_stalled:
                self._disbelieve(download.idlers)
            self._give_up(download)
        else:
            self._perform(download.tick(now_ms))

    def _disbelieve(self, peers: Iterable[int]) -> None:
        """Look no more at what these offer: else they could keep this node from joining for ever.

        No points: whose line is slow has done nothing wrong.
        """
        for peer in peers:
            self._unreliable.add(peer)
            self._offers.pop(peer, None)

    def _perform(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Ask(peer, message):
                    self._send(peer, message)
                case Blame(peer, reason):
                    self._disbelieve((peer,))
                    self._links.suspect(peer, reason, points=50)
                case Fetched(number, entries, chunk):
                    assert self._into is not None, "a download writes into it"
                    self._into.put_chunk(number, entries, chunk)

    def _give_up(self, download: SnapshotDownload) -> None:
        """Fetch another block's state; replay blocks where nobody offers one."""
        assert self._into is not None, "a download writes into it"
        _log.warning("snapshot is not to be had", height=download.offer.header.number)
        self._into.close()
        self._into = self.download = None
        if self._ticker is not None:
            self._ticker.cancel()
        if self._best() is not None:
            self._choose()
        else:
            self.has_given_up = True
            self._end()

    def _finish(self, download: SnapshotDownload) -> None:
        assert self._into is not None, "a download writes into it"
        into, self._into = self._into, None
        machine = self._chain.machine
        into.finish(
            base_block(download, genesis_write(self._chain)),
            download.offer.header.state_root,
            machine.genesis.hash,
        )
        _log.info("snapshot is complete", height=download.offer.header.number)
        self.fresh = self._folder
        self._end()

    def _end(self) -> None:
        self.download = None
        self._may_join = False
        if self._ticker is not None:
            self._ticker.cancel()
        self._reopen()

    def _send(self, peer: int, message: SnapshotMessage) -> None:
        self._links.send(peer, Channel.SNAPSHOT, encode_snapshot_message(message))

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


def genesis_write(chain: Chain) -> BlockWrite:
    """Return what a database holds of block 0 beside the state."""
    store = chain.store
    body, receipts = store.body(0), store.receipts(0)
    assert body is not None and receipts is not None, "every chain has block 0"  # noqa: PT018
    return BlockWrite(
        height=0,
        digest=store.digest(0),
        body=body,
        seal=None,
        receipts=receipts,
        transaction_hashes=(),
        bloom=None,
        changes=(),
        nodes={},
    )


def base_block(download: SnapshotDownload, genesis: BlockWrite) -> BaseBlock:
    """Return what a database needs to begin at the block that was fetched."""
    block, receipts, seal = download.block, download.receipts, download.offer.seal
    assert block is not None and receipts is not None, "all items have come"  # noqa: PT018
    logs = [log for receipt in receipts for log in receipt.logs]
    write = BlockWrite(
        height=block.header.number,
        digest=block.header.hash,
        body=encode_block(block),
        seal=seal,
        receipts=encode_receipts(receipts),
        transaction_hashes=tuple(keccak256(raw) for raw in block.transactions),
        bloom=logs_bloom(logs) if logs else None,
        changes=(),
        nodes={},
    )
    return BaseBlock(
        write=write,
        genesis=genesis,
        hand_overs=download.epochs.rows,
    )
