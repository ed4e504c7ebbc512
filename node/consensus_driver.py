"""Feeds the replica with what happens and performs its effects, in their order.

Effects of many steps share one sync of the vote log: what is to be sent waits in an outbox until
the records before it are on disk (group commit). Before anything slow (executing or writing a
block) the outbox is flushed and the loop gets a turn, so that nobody waits for a vote of ours that
was ready.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final, assert_never, final

import structlog

from consensus.config import ConsensusConfig
from consensus.errors import CorruptLog, MalformedMessage
from consensus.events import (
    Applied,
    Apply,
    Broadcast,
    Build,
    Built,
    Effect,
    Event,
    Evidence,
    Halt,
    NothingToBuild,
    Offered,
    PeerDown,
    PeerUp,
    Pending,
    Persist,
    Reason,
    Receive,
    Send,
    ServeBlocks,
    Suspect,
    Tick,
    Validate,
    Validated,
)
from consensus.keyring import Keyring
from consensus.membership import MemberIndex
from consensus.messages import Blocks, NewView, SealedBlock
from consensus.replica import Replica
from consensus.vote_log import NewViewRecord, Record
from consensus.wire import decode_message, encode_message
from crypto.errors import DecodeError
from node.block_server import BlockServer, channel_of
from node.chain import Chain
from node.consensus_metrics import view_change_reason
from node.errors import CorruptStore, NodeError
from node.executor import digest_of
from node.inbox import FromPeer, Inbox, Item, LinkChange
from node.links import Links
from node.metrics import Metrics
from node.p2p.frames import Channel
from node.p2p.roster import Roster
from node.protocols import rest_if_too_old
from node.records import ConsensusStatus
from node.senders import Senders
from node.step_timer import StepTimer
from node.storage.vote_log import VoteLogFile
from vm.errors import InvalidBlock

SUSPICION_POINTS: Final = {
    # A wrong clock, ours or theirs, can cause it.
    Reason.INVALID_PROPOSAL: 2,
}
_POINTS = 10

_log = structlog.get_logger("consensus")


@final
class Halted(NodeError):
    """The replica stops because going on could break a promise."""


@final
class ConsensusDriver:
    """Owns the replica of one node. Lives on one event loop; never waits."""

    def __init__(
        self,
        *,
        chain: Chain,
        vote_log: VoteLogFile,
        links: Links,
        keyring: Keyring,
        metrics: Metrics,
        on_fatal: Callable[[Exception], None],
        roster: Roster | None = None,
        config: ConsensusConfig | None = None,
    ) -> None:
        """Nothing is sent before `start`.

        Args:
            chain: built and read through its executor.
            vote_log: replayed already.
            links: where messages leave.
            keyring: of this node; without a key it follows.
            metrics: where it counts.
            on_fatal: called once, with the error after which this node must stop.
            roster: numbers the peers of `links`; None numbers the present members in order.
            config: timers.

        Raises:
            CorruptStore: the vote log is another member's, or contradicts itself.
        """
        self._chain = chain
        self._vote_log = vote_log
        self._links = links
        self._on_fatal = on_fatal
        self._metrics = metrics
        membership = chain.membership()
        self._roster = roster or Roster(membership.members)
        try:
            self.replica = Replica(
                config=config or ConsensusConfig(),
                genesis_hash=chain.store.digest(0),
                membership=membership,
                head=chain.sealed_head(),
                keyring=keyring,
                recovered=vote_log.records,
                is_log_new=vote_log.is_unproven,
                digest_of=digest_of,
                base_digest=chain.base_digest(),
            )
        except CorruptLog as error:
            raise CorruptStore(f"votes.log does not belong to this node: {error}") from error
        self._forget_void()
        self._inbox = Inbox()
        self._blocks = BlockServer(chain.store)
        self._effects: deque[Effect] = deque()
        self._outbox: list[tuple[int | None, Channel, bytes]] = []
        """Member (None: all others), channel, payload: leave after the next sync."""
        self._is_unsynced = False
        self._is_scheduled = False
        self._is_stopped = True
        self._is_work_stale = True
        self._told_pending = False
        self.has_awaited: Callable[[SealedBlock], bool] = lambda _: False
        """Whether this process said READY to the change of members that the block carries."""
        self._steps = StepTimer()
        self.senders = Senders()
        self.on_evidence: Callable[[Evidence], None] = lambda _: None
        self.on_new_view: Callable[[NewView], None] = lambda _: None
        """Told of each NEW-VIEW that is accepted."""
        self._timer: asyncio.TimerHandle | None = None
        self._work_timer: asyncio.TimerHandle | None = None

    # Input.

    def start(self) -> None:
        """Begin inside a running loop; links may be up already or come up later."""
        self._loop = asyncio.get_running_loop()
        self._is_stopped = False
        self._chain.on_transaction(lambda _tx, _is_own: self.work_may_wait())
        self._push(rest_if_too_old(self._chain) or Tick())

    def stop(self) -> None:
        """Take no further step. The caller closes chain and vote log."""
        self._is_stopped = True
        self.senders.stop()
        for timer in (self._timer, self._work_timer):
            if timer is not None:
                timer.cancel()

    def on_frame(self, member: int, payload: bytes) -> None:
        """Take a payload of the consensus or catch-up channel from a peer, by its number."""
        if not self._inbox.has_room(member, len(payload)):
            return
        try:
            message = decode_message(payload)
        except (DecodeError, MalformedMessage) as error:
            self._metrics.suspect("MALFORMED")
            self._links.suspect(member, str(error))
            return
        self._inbox.receive(member, message, len(payload))
        self._schedule()

    def on_up(self, member: int) -> None:
        """The link with the peer of this number is open."""
        self._push(LinkChange(member, is_up=True))

    def on_down(self, member: int) -> None:
        """The link with the peer of this number has ended."""
        self._push(LinkChange(member, is_up=False))

    def work_may_wait(self) -> None:
        """Look, in the loop's next turn, whether there is something to build a block of."""
        self._is_work_stale = True
        self._schedule()

    def status(self) -> ConsensusStatus:
        """Return what the replica says of itself."""
        replica = self.replica
        return ConsensusStatus(
            epoch=replica.epoch,
            term=replica.term,
            view=replica.view,
            primary=replica.primary,
            is_learner=replica.is_learner,
            peers_up=len(self._links.up),
        )

    @property
    def waiting(self) -> int:
        """Events that the replica has not taken yet."""
        return len(self._inbox)

    # The loop.

    def _push(self, item: Event | LinkChange) -> None:
        self._inbox.put(item)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._is_stopped:
            self._is_scheduled = True
            self._loop.call_soon(self._run_guarded)

    def _run_guarded(self) -> None:
        self._is_scheduled = False
        if self._is_stopped:
            return
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  The edge of the task: the node must stop.
            self.stop()
            self._on_fatal(error)

    def _run(self) -> None:
        """Step until nothing is left, or until something slow has to let the loop go first."""
        while True:
            if self._effects:
                effect = self._effects[0]
                if self._must_wait(effect):
                    return
                self._effects.popleft()
                self._perform(effect)
                if isinstance(effect, Apply):
                    # Catching up applies many blocks in a row: peers and readers go in between.
                    self._schedule()
                    return
            elif self._is_work_stale:
                self._refresh_pending()
            elif self._inbox:
                self._take(self._inbox.pop())
            else:
                break
        self._flush()
        self._arm()

    def _must_wait(self, effect: Effect) -> bool:
        """Whether others have their turn before something slow; the loop comes back to it."""
        if isinstance(effect, Build | Validate | Apply) and self._flush():
            self._schedule()
            return True
        return isinstance(effect, Apply) and self.senders.is_coming(
            effect.block.body, self._schedule
        )

    def _take(self, item: Item) -> None:
        """Step the replica, in whose eyes a peer has its index in the present epoch."""
        if not isinstance(item, FromPeer | LinkChange):
            self._step(item)
            return
        member = self.replica.membership.index_of(self._roster.key(item.peer))
        match item:
            case FromPeer(_, Blocks(blocks)) if member is None:
                self._step(Offered(blocks))  # Seals tell what they are worth.
            case FromPeer(peer, message) if member is None:
                self._outbox.extend(self._blocks.answer(peer, message, self._loop.time()))
            case LinkChange() if member is None:
                pass  # An observer asks; nobody waits for it.
            case FromPeer(_, message):
                assert member is not None, "the case above has taken strangers"
                self._step(Receive(member, message))
            case LinkChange(_, is_up):
                assert member is not None, "the case above has taken strangers"
                self._step(PeerUp(member) if is_up else PeerDown(member))

    def _peer(self, member: MemberIndex) -> int:
        """Return the number of a member of the replica's epoch."""
        return self._roster.number(self.replica.membership.members[member])

    def _step(self, event: Event) -> None:
        replica = self.replica
        asked, was_doubtful = (replica.term, replica.asked), replica.is_doubtful
        self._effects.extend(replica.step(event, self._now_ms()))
        if replica.is_doubtful is not was_doubtful:
            # Before any effect: a restart must not forget that the log is not whole.
            self._vote_log.prove(is_proven=was_doubtful)
        if (replica.term, replica.asked) > asked and replica.asked > 0:
            reason = view_change_reason(event)
            self._metrics.view_change(reason)
            _log.info("view change", term=replica.term, view=replica.asked, reason=reason)

    def _flush(self) -> bool:
        """Sync what was promised, then send; False if there was nothing to send."""
        if self._is_unsynced:
            begin = perf_counter()
            self._vote_log.sync()
            self._metrics.sync("votes", perf_counter() - begin)
            self._is_unsynced = False
        if not self._outbox:
            return False
        for member, channel, payload in self._outbox:
            if member is None:
                self._links.broadcast(channel, payload)
            else:
                self._links.send(member, channel, payload)
        self._outbox.clear()
        return True

    def _arm(self) -> None:
        """Set the one timer to the next instant at which a Tick matters."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self.replica.wake_at
        if wake_at is not None and not self._is_stopped:
            # Rounded up, or the replica would be woken just before its time, for nothing.
            delay_s = max(wake_at / 1000 - self._loop.time(), 0) + 0.001
            self._timer = self._loop.call_later(delay_s, self._push, Tick())

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)

    # Effects.

    def _perform(self, effect: Effect) -> None:  # noqa: C901  One line per effect.
        match effect:
            case Persist(records):
                self._persist(records)
            case Send(to, message):
                self._outbox.append((self._peer(to), channel_of(message), encode_message(message)))
            case Broadcast(message):
                self._outbox.append((None, channel_of(message), encode_message(message)))
            case Build():
                self._build(effect)
            case Validate():
                self._validate(effect)
            case Apply(block):
                self._apply(block)
            case ServeBlocks(to, from_height, limit):
                peer, now_s = self._peer(to), self._loop.time()
                self._outbox.extend(self._blocks.serve(peer, from_height, limit, now_s))
            case Suspect(member, reason, detail):
                self._metrics.suspect(reason.name)
                points = SUSPICION_POINTS.get(reason, _POINTS)
                self._links.suspect(self._peer(member), f"{reason.name}: {detail}", points)
            case Evidence(first, second):
                _log.error("equivocation", first=repr(first), second=repr(second))
                self.on_evidence(effect)
            case Halt(reason):
                raise Halted(reason)
            case _:
                assert_never(effect)

    def _persist(self, records: tuple[Record, ...]) -> None:
        self._vote_log.append(records)
        self._is_unsynced = True
        self._metrics.steps(self._steps.on_records(records, self._loop.time()))
        for record in records:
            if isinstance(record, NewViewRecord):
                self.on_new_view(record.new_view)

    def _build(self, effect: Build) -> None:
        if effect.height != self._chain.height + 1:
            return  # Asked before a block that came from elsewhere: the answer would be refused.
        begin = perf_counter()
        executed = self._chain.build()
        self._metrics.processing("build", perf_counter() - begin)
        if executed is None:
            self._told_pending = False
            self._inbox.put_first(NothingToBuild(effect.height))
            self._arm_work()
        else:
            self._inbox.put_first(Built(effect.height, executed.digest, executed.body))

    def _validate(self, effect: Validate) -> None:
        if effect.height != self._chain.height + 1:
            return
        now_ms = self._chain.now_ms() if effect.fresh else None
        begin = perf_counter()
        try:
            executed = self._chain.executor.validate(effect.body, fresh_at_ms=now_ms)
            is_ok = executed.digest == effect.digest
        except InvalidBlock as error:
            _log.warning("proposal refused", height=effect.height, reason=str(error))
            is_ok = False
        self._metrics.processing("validate", perf_counter() - begin)
        self._metrics.proposal(is_ok=is_ok)
        self._inbox.put_first(Validated(effect.digest, is_ok))

    def _apply(self, block: SealedBlock) -> None:
        self._metrics.steps(self._steps.on_decided(self._loop.time()))
        begin = perf_counter()
        senders = self.senders.take(block.body)
        self.senders.look_ahead(self.replica.fetched_above(block.height))
        self._chain.apply(block, senders)
        self._forget_void()
        self._metrics.processing("apply", perf_counter() - begin)
        # The level before the answer: on Applied the replica builds at once if work waits.
        membership = self._chain.membership()
        is_witnessed = membership.first_height == block.height + 1 and self.has_awaited(block)
        self._inbox.put_first(Applied(block.height, block.digest, membership, is_witnessed))
        rest = rest_if_too_old(self._chain)
        if rest is not None:
            self._inbox.put_first(rest)  # Before it hears that it may go on.
        self._is_work_stale = True
        if membership != self.replica.membership:
            # Who was an observer may have been up for long: the replica learns it now.
            for peer in sorted(self._links.up):
                self._inbox.put(LinkChange(peer, is_up=True))

    def _forget_void(self) -> None:
        """Tell the vote log where the durable head is: votes up to it bind nobody."""
        membership, height = self._chain.membership(), self._chain.height
        self._vote_log.advance(
            epoch=membership.epoch, term=membership.term(height + 1), height=height
        )

    # Work.

    def _refresh_pending(self) -> None:
        """Tell the replica whether something waits, if that has changed since it was told."""
        self._is_work_stale = False
        is_pending = self._chain.has_work()
        if is_pending != self._told_pending:
            self._told_pending = is_pending
            self._inbox.put_first(Pending(is_pending))
        if not is_pending:
            self._arm_work()

    def _arm_work(self) -> None:
        """Look again when time alone may bring work."""
        if self._work_timer is not None:
            self._work_timer.cancel()
            self._work_timer = None
        due_ms = self._chain.next_work_ms()
        if due_ms is not None:
            delay_s = max(due_ms - self._chain.now_ms(), 0) / 1000 + 0.001
            self._work_timer = self._loop.call_later(delay_s, self.work_may_wait)
