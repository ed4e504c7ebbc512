"""A whole chain whose blocks are sealed on demand, and that can be put back: the core of `dev`.

It is a node's own `Chain` over a database in memory, with a clock that moves when it is told to and
with seals by keys that are all here. Two things no community can do happen in blocks of their own,
which hold no transaction: an empty block (`mine`), and a change of the state by decree (`edit`).
Their headers commit to the state as any other's does, so proofs stay true.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from consensus.messages import SealedBlock
from node.chain import Chain
from node.errors import MempoolFull
from node.executor import Executed
from node.mempool import MempoolConfig, MempoolState
from node.records import BlockRecord, ConsensusStatus
from node.rpc.block_feed import BlockFeed
from node.rpc.filters import Filter, Filters
from node.storage.block_store import ChainStore
from testnet.dev.clock import ClockState, VirtualClock
from testnet.dev.community import NATIVE_CONTRACTS, DevCommunity
from testnet.dev.errors import BadState, DevRefusal
from testnet.dev.memory_db import MemoryDb
from testnet.dev.sealer import Sealer
from testnet.dev.state_file import DumpedState, open_rows, rows_to_dump
from vm.block import Block, encode_block
from vm.errors import InvalidTransaction
from vm.machine import Machine
from vm.state import Journal
from vm.transaction import Transaction, decode

SECOND: Final = 1_000
SNAPSHOTS_MAX: Final = 10_000
MINE_MAX: Final = 10_000
"""Blocks that one call may mine."""
_FOR_EVER_MS: Final = 2**60


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The chain at one moment: what is not here lies below `mark` in the database's undo log."""

    mark: int
    clock: ClockState
    pool: MempoolState
    filters: Mapping[str, Filter]
    impersonated: frozenset[bytes]
    is_automine: bool


@final
class DevChain:
    """One chain for developers.

    Attributes:
        chain: as the RPC reads it.
        is_automine: whether each transaction is sealed at once.
        impersonated: addresses for which transactions are taken without a signature.
        senders: of sealed transactions without a signature, by hash.
    """

    def __init__(
        self, community: DevCommunity, clock: VirtualClock, db: MemoryDb | None = None
    ) -> None:
        """Open the chain in `db`; an empty one gets genesis.

        Raises:
            StorageError: `db` holds another chain, or what contradicts itself.
        """
        self.community = community
        self.clock = clock
        self.db = db or MemoryDb()
        self.is_automine = True
        self.impersonated: set[bytes] = set()
        self.senders: dict[bytes, bytes] = {}
        genesis = community.genesis
        store = ChainStore(Path("memory"), genesis.hash, db=self.db)
        self.chain = Chain(
            Machine(genesis, NATIVE_CONTRACTS),
            store,
            now_ms=clock.now_ms,
            mempool=MempoolConfig(time_to_live_ms=_FOR_EVER_MS),  # Time jumps here.
        )
        self._sealer = Sealer(community.nodes, store.digest(0))
        self._snapshots: dict[int, Snapshot] = {}
        self._next_snapshot = 1
        self._filters: Filters | None = None
        self._feed: BlockFeed | None = None
        self.chain.attach(self._status, self._why)

    def serve(self, filters: Filters, feed: BlockFeed) -> None:
        """Have the server's filters and subscriptions follow when the chain is put back."""
        self._filters, self._feed = filters, feed
        # Last, after all that listens has seen the transaction wait.
        self.chain.on_transaction(self._on_transaction)

    # Blocks.

    def seal_pending(self) -> int:
        """Seal what waits and can run, and what is due; return how many blocks that took."""
        count = 0
        while self.chain.has_work():
            executed = self.chain.build()
            if executed is None:
                break
            self._seal(executed)
            count += 1
        return count

    def mine(self, time_ms: int | None = None) -> BlockRecord:
        """Seal one block with what fits, or an empty one.

        Args:
            time_ms: of the block; None for what the clock says.

        Raises:
            DevRefusal: the time is not above the newest block's.
        """
        if time_ms is not None:
            self.set_next_time(time_ms)
        return self._seal(self.chain.build() or self._by_decree(lambda _: None))

    def edit(self, write: Callable[[Journal], None]) -> BlockRecord:
        """Change the state by decree, in a block of its own.

        What is due runs before: no block but this kind may pass over a deadline.
        """
        head = self.chain
        while head.machine.is_due(head.state(), max(head.now_ms(), head.head.time_ms + 1)):
            executed = head.build()
            assert executed is not None, "a due deadline makes a block"
            self._seal(executed)
        return self._seal(self._by_decree(write))

    def _by_decree(self, write: Callable[[Journal], None]) -> Executed:
        """Return a block without transactions over the head."""
        chain = self.chain
        head = chain.head
        time_ms = max(chain.now_ms(), head.time_ms + 1)
        place = Block(replace(head, time_ms=time_ms), ())
        draft = chain.machine.replay(head, place, chain.state())
        write(draft.journal)
        execution = draft.finish(head.hash, chain.tree)
        block = Block(execution.header, ())
        executed = Executed(execution.header.hash, encode_block(block), block, execution)
        chain.executor.keep(executed)
        return executed

    def _seal(self, executed: Executed) -> BlockRecord:
        height = executed.block.header.number
        sealed: SealedBlock = self._sealer.seal(
            executed.body, height, executed.digest, self.chain.membership()
        )
        # Before anybody is told of the block: who asks then must see the clock behind it.
        self.clock.on_block(executed.block.header.time_ms)
        record = self.chain.apply(sealed)
        assert record is not None, "it lies above the head"
        return record

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        """Seal it at once, unless told otherwise; all come by our RPC."""
        del is_own
        if tx.sender() in self.impersonated:
            self.senders[tx.hash] = tx.sender()
        if self.is_automine:
            self.seal_pending()

    # Time.

    def increase_time(self, seconds: int) -> None:
        """Move the clock on; what falls due by that runs at once. Raises DevRefusal."""
        if seconds < 0:
            raise DevRefusal(f"time does not go back, got {seconds} s: use a snapshot")
        self.clock.advance(seconds * SECOND)
        self.tick()

    def set_time(self, time_ms: int) -> None:
        """Set the clock. Raises DevRefusal."""
        self._check_above_head(time_ms)
        self.clock.set(time_ms)
        self.tick()

    def set_next_time(self, time_ms: int) -> None:
        """Choose the time of the next block exactly. Raises DevRefusal."""
        self._check_above_head(time_ms)
        self.clock.set_next(time_ms)

    def tick(self) -> None:
        """Run what is due by now; a chosen time waits for the block that it is meant for."""
        if self.is_automine and self.clock.next_ms is None:
            self.seal_pending()

    def _check_above_head(self, time_ms: int) -> None:
        newest = self.chain.head.time_ms
        if time_ms // SECOND <= newest // SECOND and self.chain.height:
            raise DevRefusal(
                f"timestamp must be above the newest block's {newest // SECOND}, "
                f"got {time_ms // SECOND}"
            )

    # Snapshots.

    def snapshot(self) -> int:
        """Remember chain, clock, mempool, filters, and return the snapshot's number, from 1.

        Raises:
            DevRefusal: there are SNAPSHOTS_MAX.
        """
        if len(self._snapshots) >= SNAPSHOTS_MAX:
            raise DevRefusal(f"there are {SNAPSHOTS_MAX} snapshots: revert to one of them")
        number = self._next_snapshot
        self._next_snapshot += 1
        self._snapshots[number] = Snapshot(
            mark=self.db.mark(),
            clock=self.clock.capture(),
            pool=self.chain.pool.snapshot(),
            filters={} if self._filters is None else self._filters.snapshot(),
            impersonated=frozenset(self.impersonated),
            is_automine=self.is_automine,
        )
        return number

    def revert(self, number: int) -> bool:
        """Go back to a snapshot, which is used up with all later ones; False if there is none."""
        snapshot = self._snapshots.get(number)
        if snapshot is None:
            return False
        self.db.revert(snapshot.mark)
        for later in [each for each in self._snapshots if each >= number]:
            del self._snapshots[later]
            self.db.release()
        self.chain.reopen()
        self.chain.pool.restore(snapshot.pool)
        self.clock.restore(snapshot.clock)
        self.impersonated = set(snapshot.impersonated)
        self.is_automine = snapshot.is_automine
        self._rewind(snapshot.filters)
        return True

    def _rewind(self, filters: Mapping[str, Filter]) -> None:
        """Have whoever follows the chain go on from the head that is now."""
        if self._filters is not None and self._feed is not None:
            self._filters.restore(filters)
            self._feed.rewind()

    # Files.

    def dump(self) -> DumpedState:
        """Return all of the chain, with what waits and the clock; snapshots are left out."""
        return DumpedState(
            genesis_hash=self.community.genesis.hash,
            time_ms=self.clock.reading_ms,
            rows=rows_to_dump(self.db),
            pool=tuple((tx.raw, tx.sender()) for tx in self.chain.pool.transactions()),
            senders=tuple(sorted(self.senders.items())),
        )

    def load(self, dumped: DumpedState) -> None:
        """Put a dumped chain in the place of this one; all snapshots are void.

        Raises:
            BadState: it is not one of this genesis, or contradicts itself; nothing has changed.
        """
        rows = open_rows(dumped, self.community.genesis)
        try:
            waiting = [decode(raw).with_sender(sender) for raw, sender in dumped.pool]
        except InvalidTransaction as error:
            raise BadState("state.pool", str(error)) from None
        self._snapshots.clear()
        self.db.replace(rows)
        self.chain.reopen()
        self.clock.restore(ClockState(dumped.time_ms, None))
        self.senders = dict(dumped.senders)
        self.chain.pool.restore(MempoolState((), ()))
        for tx in waiting:
            with suppress(InvalidTransaction, MempoolFull):  # As if it came anew.
                self.chain.pool.add(tx, self.chain.now_ms(), is_own=True)
        self._rewind({})

    # What the RPC asks of a replica.

    def _status(self) -> ConsensusStatus:
        members = self.chain.membership()
        term = members.term(self.chain.height + 1)
        return ConsensusStatus(
            epoch=members.epoch,
            term=term,
            view=0,
            primary=members.primary(term, 0),
            is_learner=False,
            peers_up=members.n - 1,
        )

    def _why(self) -> list[str]:
        waiting = len(self.chain.pool)
        if not waiting or self.is_automine:
            return []
        return [f"{waiting} transactions wait for evm_mine: blocks are not sealed by themselves"]
