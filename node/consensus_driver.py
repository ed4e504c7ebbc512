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

from consensus.config import MAX_BLOCKS_BYTES, ConsensusConfig
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
from consensus.messages import Blocks, BodyReply, Message, SealedBlock, ViewChange
from consensus.replica import Replica
from consensus.wire import decode_message, encode_message
from crypto.errors import DecodeError
from node.chain import Chain
from node.errors import CorruptStore, NodeError
from node.executor import digest_of
from node.inbox import Inbox
from node.links import Links
from node.metrics import Metrics
from node.p2p.frames import Channel
from node.records import ConsensusStatus
from node.storage.vote_log import VoteLogFile
from vm.errors import InvalidBlock

SERVE_BYTES_PER_S = 8 << 20
"""Blocks read for one member that asks again and again; who catches up needs longer to execute
them."""
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
            config: timers.

        Raises:
            CorruptStore: the vote log is another member's, or contradicts itself.
        """
        self._chain = chain
        self._vote_log = vote_log
        self._links = links
        self._on_fatal = on_fatal
        self._metrics = metrics
        try:
            self.replica = Replica(
                config=config or ConsensusConfig(),
                genesis_hash=chain.store.digest(0),
                membership=chain.membership(),
                head=chain.sealed_head(),
                keyring=keyring,
                recovered=vote_log.records,
                digest_of=digest_of,
            )
        except CorruptLog as error:
            raise CorruptStore(f"votes.log does not belong to this node: {error}") from error
        self._forget_void()
        self._inbox = Inbox()
        self._serve_at_s: dict[int, float] = {}
        """When a member may be served blocks again."""
        self._effects: deque[Effect] = deque()
        self._outbox: list[tuple[int | None, Channel, bytes]] = []
        """Member (None: all others), channel, payload: leave after the next sync."""
        self._is_unsynced = False
        self._is_scheduled = False
        self._is_stopped = True
        self._is_work_stale = True
        self._told_pending = False
        self._timer: asyncio.TimerHandle | None = None
        self._work_timer: asyncio.TimerHandle | None = None

    # Input.

    def start(self) -> None:
        """Begin inside a running loop; links may be up already or come up later."""
        self._loop = asyncio.get_running_loop()
        self._is_stopped = False
        self._chain.on_transaction(lambda _tx, _is_own: self.work_may_wait())
        self._push(Tick())

    def stop(self) -> None:
        """Take no further step. The caller closes chain and vote log."""
        self._is_stopped = True
        for timer in (self._timer, self._work_timer):
            if timer is not None:
                timer.cancel()

    def on_frame(self, member: int, payload: bytes) -> None:
        """Take a payload of the consensus or catch-up channel."""
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
        """The link with `member` is open."""
        self._push(PeerUp(MemberIndex(member)))

    def on_down(self, member: int) -> None:
        """The link with `member` has ended."""
        self._push(PeerDown(MemberIndex(member)))

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

    # The loop.

    def _push(self, event: Event) -> None:
        self._inbox.put(event)
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
                if isinstance(effect, Build | Validate | Apply) and self._flush():
                    self._schedule()
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
                self._step(self._inbox.pop())
            else:
                break
        self._flush()
        self._arm()

    def _step(self, event: Event) -> None:
        replica = self.replica
        asked = (replica.term, replica.asked)
        self._effects.extend(replica.step(event, self._now_ms()))
        if (replica.term, replica.asked) > asked and replica.asked > 0:
            reason = _view_change_reason(event)
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
                self._vote_log.append(records)
                self._is_unsynced = True
            case Send(to, message):
                self._outbox.append((to, _channel(message), encode_message(message)))
            case Broadcast(message):
                self._outbox.append((None, _channel(message), encode_message(message)))
            case Build():
                self._build(effect)
            case Validate():
                self._validate(effect)
            case Apply(block):
                self._apply(block)
            case ServeBlocks(to, from_height, limit):
                self._serve(to, from_height, limit)
            case Suspect(member, reason, detail):
                self._metrics.suspect(reason.name)
                points = SUSPICION_POINTS.get(reason, _POINTS)
                self._links.suspect(member, f"{reason.name}: {detail}", points)
            case Evidence(first, second):
                _log.error("equivocation", first=repr(first), second=repr(second))
            case Halt(reason):
                raise Halted(reason)
            case _:
                assert_never(effect)

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
        self._inbox.put_first(Validated(effect.digest, is_ok))

    def _apply(self, block: SealedBlock) -> None:
        begin = perf_counter()
        self._chain.apply(block)
        self._forget_void()
        self._metrics.processing("apply", perf_counter() - begin)
        # The level before the answer: on Applied the replica builds at once if work waits.
        membership = self._chain.membership()
        self._inbox.put_first(Applied(block.height, block.digest, membership))
        self._is_work_stale = True

    def _forget_void(self) -> None:
        """Tell the vote log where the durable head is: votes up to it bind nobody."""
        membership, height = self._chain.membership(), self._chain.height
        self._vote_log.advance(
            epoch=membership.epoch, term=membership.term(height + 1), height=height
        )

    def _serve(self, to: int, from_height: int, limit: int) -> None:
        now_s = self._loop.time()
        if now_s < self._serve_at_s.get(to, 0):
            return
        blocks = self._chain.store.sealed_blocks(from_height, limit, MAX_BLOCKS_BYTES)
        if blocks:
            reply = encode_message(Blocks(blocks))
            self._serve_at_s[to] = now_s + len(reply) / SERVE_BYTES_PER_S
            self._outbox.append((to, Channel.CATCH_UP, reply))

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


def _view_change_reason(event: Event) -> str:
    """Return, in one of a few words, what made this node ask for another view."""
    match event:
        case Tick():
            return "timeout"
        case PeerDown():
            return "primary_down"
        case Validated():
            return "invalid_proposal"
        case Receive(_, ViewChange()):
            return "others_asked"
        case _:
            return "other"


def _channel(message: Message) -> Channel:
    """Bodies and blocks that somebody asked for must not stand before votes in a queue."""
    return Channel.CATCH_UP if isinstance(message, Blocks | BodyReply) else Channel.CONSENSUS
