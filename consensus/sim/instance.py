"""One process of a run: a replica with its disk and application, and what its shell does.

Nothing here is random and nothing knows the time by itself: a driver (`world`, or the
minimiser's replay) says what happens next, and gets back what leaves an instance.
"""

from typing import TYPE_CHECKING, assert_never, final

from consensus.config import MAX_BLOCKS_PER_REPLY
from consensus.events import (
    Applied,
    Apply,
    Broadcast,
    Build,
    Effect,
    Event,
    Evidence,
    Halt,
    Offered,
    PeerDown,
    PeerUp,
    Pending,
    Persist,
    Receive,
    Rest,
    Send,
    ServeBlocks,
    Suspect,
    Tick,
    Validate,
)
from consensus.membership import Height, MemberIndex, Membership
from consensus.messages import (
    Blocks,
    GetBlocks,
    HeadReply,
    Message,
    SealedBlock,
    Status,
)
from consensus.replica import Replica
from consensus.sim import answers
from consensus.sim.answers import content_of
from consensus.sim.app import GENESIS_MS, App
from consensus.sim.casting import cast_member
from consensus.sim.community import Ready, Standing
from consensus.sim.disk import Disk
from consensus.sim.faults import Crash, DiskFreed, DiskFull, Renewal, Spoiling
from consensus.sim.fuse import Fuse
from consensus.sim.liar import Liar
from consensus.sim.log_file import read_log, rewrite_log
from consensus.sim.proofs import question
from consensus.sim.readiness import Readiness
from consensus.sim.seat import Seat
from consensus.sim.software import Software
from consensus.sim.trace import Said
from consensus.sim.watch import Watch
from consensus.vote_log import Record, encode_frame

if TYPE_CHECKING:
    from consensus.sim.cluster import Cluster


@final
class Instance:
    """One process of a member: a replica, its disk and its application."""

    __slots__ = (
        "_cluster",
        "_fuse",
        "_readiness",
        "_watch",
        "app",
        "builds",
        "disk",
        "drift",
        "index",
        "is_correct",
        "is_forgetful",
        "member",
        "outstanding",
        "records",
        "replica",
        "seat",
        "skew_ms",
        "software",
        "writes",
    )

    def __init__(self, cluster: "Cluster", index: int) -> None:
        plan = cluster.plan
        self._cluster = cluster
        self.index = index
        self.member = plan.identities[index]
        """Number of the key that it holds; a founder's is its index in the first epoch."""
        self.is_correct = self.member not in plan.faulty
        self.is_forgetful = index in plan.unsound
        """Whether its vote log is lost, once: it is faulty, but must know what it has lost."""
        self.skew_ms = plan.skew_ms[index]
        self.drift = 1000 + plan.drift_permille[index]
        self.disk: Disk[SealedBlock] = Disk(cluster.fired)
        self.software = Software(plan.upgrade, index, cluster.fired)
        is_newcomer = index >= len(plan.identities) - plan.newcomers
        if not is_newcomer:
            self.disk.blocks += cluster.prefix
        # A founder's log was begun with its key, a newcomer's may have been lost before it joined.
        self.disk.is_unproven = is_newcomer
        self.app = App((), cluster.charter)
        self.replica: Replica | Liar | None = None
        self.outstanding: list[tuple[Event, SealedBlock | None]] = []
        """Answers that the application still owes, and the block that each makes durable."""
        self.records: list[Record] = []
        """What the synced log holds."""
        self.seat = Seat(
            cluster.charter, cluster.epochs, self.member, may_rotate=index not in plan.seconds
        )
        self._watch = Watch(cluster, self.seat, self)
        self._readiness = Readiness()
        self._fuse = Fuse(None)
        self.builds = 0
        self.writes = 0

    def local_ms(self, at_ms: int) -> int:
        """The instance's monotonic clock."""
        return at_ms * self.drift // 1000

    def wake_ms(self) -> int | None:
        """World time at which the replica wants a Tick."""
        if self.replica is None or (at := self.replica.wake_at) is None:
            return None
        return -(-at * 1000 // self.drift)

    def start(self, at_ms: int) -> None:
        """Start, unless it runs, from the disk: torn tail cut off, head from the block store."""
        self._fuse = Fuse(None)
        if self.replica is not None:
            return
        records = read_log(self.disk, self.index)
        if records is None:
            return  # It must not guess: it stays down.
        self.records = records
        self.app = App((content_of(block) for block in self.disk.blocks), self._cluster.charter)
        self._take_next_key()
        if self.is_correct:
            self._cluster.on_records(self.records, self)
        self._readiness = Readiness()
        self._watch = Watch(self._cluster, self.seat, self)
        self.replica = cast_member(self._cluster, self, tuple(records))
        self.seat.enter(self.replica.membership)
        self.seat.keep_links(self.app.community)
        if not self._rest_if_too_old(at_ms):
            self.step(Tick(), at_ms)

    def _rest_if_too_old(self, at_ms: int) -> bool:
        """Tell the replica to rest where the rules of the next block are not known."""
        must_rest = self.software.must_rest(len(self.disk.blocks))
        if must_rest:
            self.step(Rest(), at_ms)
        return must_rest

    def _take_next_key(self) -> bool:
        if not self.seat.take_next_key(self.app):
            return False
        self.member = self.seat.key
        return True

    def arm_stop(self, crash: Crash) -> None:
        """Lose power now, or before a later effect; nothing if it is down already."""
        if self.replica is None:
            return
        if crash.effects == 0:
            self._stop(crash.kept_permille)
        else:
            self._fuse = Fuse(crash)

    def receive(self, sender: int, message: Said, at_ms: int) -> None:
        """Take what came over the link with the holder of a key."""
        if self.replica is None:
            return
        member = self.seat.indices[sender]
        if isinstance(message, Ready):
            self._hear(message, at_ms)
        elif member is None:
            self._hear_observer(sender, message, at_ms)
        elif isinstance(message, HeadReply):
            self._hear_head(member, sender, message, at_ms)
        else:
            self.step(Receive(member, message), at_ms)
            if self.seat.links is not None and isinstance(message, Status):
                self._say_ready(at_ms)

    def link(self, key: int, at_ms: int, *, is_up: bool) -> None:
        """Learn how the link with the holder of a key stands."""
        member = None if self.replica is None else self.seat.indices[key]
        if member is not None:
            self.step(PeerUp(member) if is_up else PeerDown(member), at_ms)

    def _hear_head(self, member: MemberIndex, sender: int, reply: HeadReply, at_ms: int) -> None:
        replica = self.replica
        if not isinstance(replica, Replica):
            self.step(Receive(member, reply), at_ms)
            return
        asked = vars(replica)["_s"].nonce
        effects = self._advance(replica, Receive(member, reply), at_ms)
        if reply.nonce == asked:
            self._watch.on_head_reply(replica, member, sender, reply, self.records)
        if not self._watch.waking.is_awake:
            self._watch.on_step(replica)
        self._perform_all(effects, at_ms)

    def _hear_observer(self, sender: int, message: Said, at_ms: int) -> None:
        """Of one that is no member here, but whose change is accepted: it follows, or is ahead."""
        if not isinstance(self.replica, Replica):
            return
        if self.app.community.standing(sender) is not Standing.OBSERVER:
            return
        height = len(self.disk.blocks)
        match message:
            case GetBlocks(from_height):
                for reply in self._blocks_from(from_height, MAX_BLOCKS_PER_REPLY):
                    self._cluster.driver.send(self.index, sender, reply)
            case Status(slot=slot) if slot.height > height and self.software.knows(height + 1):
                self._cluster.driver.send(self.index, sender, GetBlocks(Height(height + 1)))
            case Blocks(blocks):
                self.step(Offered(blocks), at_ms)
            case _:
                pass

    def _blocks_from(self, height: int, limit: int) -> list[Blocks]:
        blocks = tuple(self.disk.blocks[height - 1 : height - 1 + limit])
        return [Blocks(blocks)] if blocks else []

    def step(self, event: Event, at_ms: int) -> None:
        """Feed the replica and perform its effects in order."""
        replica = self.replica
        if replica is None:
            return
        effects = self._advance(replica, event, at_ms)
        if not self._watch.waking.is_awake and isinstance(replica, Replica):
            self._watch.on_step(replica)
        if effects:
            self._perform_all(effects, at_ms)

    def _advance(self, replica: Replica | Liar, event: Event, at_ms: int) -> tuple[Effect, ...]:
        effects = replica.step(event, self.local_ms(at_ms))
        disk = self.disk
        if replica.membership is not self.seat.membership:
            was_member = self.seat.index is not None
            self.seat.enter(replica.membership)
            if not was_member and self.seat.index is not None:
                self._watch.waking.on_admitted(is_unproven=replica.is_doubtful)
        if disk.is_unproven is not replica.is_doubtful:
            # Before any effect: a restart must not forget that the log is not whole.
            disk.is_unproven = not disk.is_unproven
        return effects

    def _perform_all(self, effects: tuple[Effect, ...], at_ms: int) -> None:
        for effect in effects:
            if self._fuse.burns_at(effect):
                self._lose_power(effect)
                return
            if self.disk.is_full and isinstance(effect, Persist):
                self._fail_for_space(encode_frame(effect.records, len(self.disk.log)))
                return
            self._perform(effect, at_ms)

    def _lose_power(self, effect: Effect) -> None:
        """The power fails before `effect` is done: a write has begun and is not synced."""
        if isinstance(effect, Persist):
            self.disk.append(encode_frame(effect.records, len(self.disk.log)))
        self._stop(self._fuse.kept_permille)

    def _fail_for_space(self, data: bytes = b"") -> None:
        """Stop at a write that the disk has no room for: a part of it may be there."""
        self._cluster.fired["disk_full"] += 1
        self.disk.append_part(data[: len(data) // 2])
        self.disk.sync()
        self._halt()

    def spoil(self, fault: Spoiling) -> None:
        """Let the disk fill up or have room again; of one that is down, lose data or renew it."""
        if isinstance(fault, DiskFull | DiskFreed):
            self.disk.is_full = isinstance(fault, DiskFull)
        elif self.replica is not None:
            pass  # It has been started since.
        elif isinstance(fault, Renewal):
            self.software.renew(len(self.disk.blocks))
        else:
            self.disk.spoil(fault)

    def question(self) -> None:
        """Ask the signer of a correct instance again."""
        if self.is_correct and isinstance(self.replica, Replica):
            question(self.replica, self.records, self.seat.index_in)

    def submit(self, nonce: int, at_ms: int) -> None:
        if self.replica is None:
            return
        self.app.submit(nonce)
        if self.app.pending:
            self.step(Pending(is_pending=True), at_ms)

    # READYs.

    def _hear(self, ready: Ready, at_ms: int) -> None:
        if self._readiness.hear(ready, self.app.community):
            self._say_ready(at_ms)
            self._look_for_activation(at_ms)

    def _say_ready(self, at_ms: int) -> None:
        """Say what can be said, and repeat it: links lose it."""
        replica, now_ms = self.replica, self.local_ms(at_ms)
        if not self.app.community.open or not isinstance(replica, Replica):
            return
        if not self._readiness.is_due(now_ms) or self._pending_blocks():
            return
        keys = [self.member, *self.seat.next_keys(self.app)]
        said = self._readiness.say(
            self.app.community,
            {key: self._cluster.keys.keyring(key) for key in keys},
            height=len(self.disk.blocks),
            is_voting=replica.me is not None and not replica.is_learner,
            is_level=replica.is_level,
        )
        for ready in said:
            self._cluster.driver.send(self.index, None, ready)
        if said:
            self._look_for_activation(at_ms)

    def _look_for_activation(self, at_ms: int) -> None:
        if self._readiness.activation(self.app.community, len(self.disk.blocks)) is not None:
            self.step(Pending(is_pending=True), at_ms)

    def _pending_blocks(self) -> int:
        return sum(1 for _, owed in self.outstanding if owed is not None)

    # The application.

    def answer(self, event: Event, at_ms: int) -> None:
        """Let the application finish, if it still owes this answer."""
        owed = next((item for item in self.outstanding if item[0] == event), None)
        if owed is None:
            return
        self.outstanding.remove(owed)
        block, before = owed[1], self.seat.membership
        if block is not None:
            self._store(block, at_ms)
        if self.replica is None:
            return  # The disk was full.
        if isinstance(event, Applied):
            self._rest_if_too_old(at_ms)  # Before it hears that it may go on.
            if event.is_witnessed:
                self._watch.waking.on_witnessed()
        self.step(event, at_ms)
        if isinstance(event, Applied) and self.seat.links is not None:
            self._after_block(before, at_ms)

    def _after_block(self, before: Membership | None, at_ms: int) -> None:
        """Look who is a member now, and whether this process still holds the right key."""
        self.seat.keep_links(self.app.community)
        if self.replica is not None and self._take_next_key():
            self._halt()
            self.start(at_ms)
        if self.replica is None:
            return
        if self.seat.membership != before:
            self._cluster.driver.entered(self.index)
        self._say_ready(at_ms)

    def _store(self, block: SealedBlock, at_ms: int) -> None:
        """The one atomic batch: the block is durable and executed, or nothing is."""
        if block.height <= len(self.disk.blocks):
            return  # Idempotent by height (rule 8).
        if self.disk.is_full:
            self._fail_for_space()
            return
        self.disk.blocks.append(block)
        self.app.apply(content_of(block))
        membership = self.app.community.membership
        self.records = rewrite_log(self.disk, self.records, membership, block.height)
        self.step(Pending(is_pending=bool(self.app.pending)), at_ms)

    def _stop(self, kept_permille: int) -> None:
        self._cluster.fired["crash"] += 1
        self.disk.crash(kept_permille)
        self._halt()

    def _halt(self) -> None:
        self.replica = None
        self.outstanding.clear()
        self._fuse = Fuse(None)
        self._cluster.driver.stopped(self.index)

    def _perform(self, effect: Effect, at_ms: int) -> None:
        match effect:
            case Broadcast(message):
                self._send(None, message, at_ms)
            case Send(to, message):
                self._send(self.seat.members[to], message, at_ms)
            case Persist(records):
                self._persist(records)
            case Build() | Validate() | Apply():
                self._request(effect, at_ms)
            case ServeBlocks(to, from_height, limit):
                for reply in self._blocks_from(from_height, limit):
                    self._send(self.seat.members[to], reply, at_ms)
            case Suspect() | Evidence() | Halt():
                assert self.seat.membership is not None, "it has entered an epoch"
                self._watch.on_complaint(effect, self.seat.membership.epoch)
                if isinstance(effect, Halt):
                    self._halt()
            case _:
                assert_never(effect)

    def _send(self, key: int | None, message: Message, at_ms: int) -> None:
        self._watch.on_send(message, key, self.records, self.local_ms(at_ms))
        self._cluster.driver.send(self.index, key, message)

    def _persist(self, records: tuple[Record, ...]) -> None:
        self.writes += 1
        self._watch.on_persist(records)
        self.disk.append(encode_frame(records, len(self.disk.log)))
        self.disk.sync()
        self.records += records
        if self.is_correct:
            self._cluster.on_records(records, self)

    def _request(self, effect: Build | Validate | Apply, at_ms: int) -> None:
        """Execute at once, in the state of this moment; the answer comes when the driver says."""
        clock_ms = GENESIS_MS + self.local_ms(at_ms) + self.skew_ms
        app, blocks = self.app, self.disk.blocks
        block: SealedBlock | None = None
        asked = effect.block.height if isinstance(effect, Apply) else effect.height
        self.software.require(asked, f"asks for {type(effect).__name__}")
        answer: Event
        match effect:
            case Build(height):
                self.builds += 1
                activation = self._readiness.activation(app.community, height - 1)
                answer = answers.to_build(app, effect, clock_ms, activation)
            case Validate():
                answer = answers.to_validate(app, blocks, effect, clock_ms)
            case Apply(block):
                if self.is_correct:
                    applied = len(blocks) + self._pending_blocks()
                    self._cluster.on_apply(self.index, applied, block)
                answer = answers.to_apply(app, blocks, self._readiness, block)
        self.outstanding.append((answer, block))
        self._cluster.driver.request(self.index, answer)
