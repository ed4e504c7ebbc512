"""The instances of a run: real replicas, each with its disk and application.

Nothing here is random and nothing knows the time by itself: a driver (`world`, or the
minimiser's replay) says what happens next, and gets back what leaves an instance.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, final

from consensus.certificates import Head, SigningDomain
from consensus.config import ConsensusConfig
from consensus.errors import CorruptLog
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
from consensus.membership import Epoch, Height, MemberIndex, Membership
from consensus.messages import (
    Blocks,
    Commit,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    ViewChange,
)
from consensus.replica import Replica
from consensus.sim.app import GENESIS_DIGEST, GENESIS_MS, App, Block, decode_block, digest_of
from consensus.sim.casting import cast_member
from consensus.sim.checkers import (
    Checkers,
    Durability,
    InvariantViolation,
    own_messages,
)
from consensus.sim.disk import Disk
from consensus.sim.faults import Crash, DiskFreed, DiskFull, FaultPlan, LogDamage, LogLoss
from consensus.sim.keys import cluster_keys
from consensus.sim.liar import Liar
from consensus.sim.prefix import sealed_prefix
from consensus.sim.proofs import Proofs, require_awake, require_same_again
from consensus.vote_log import (
    CommitRecord,
    ProposalRecord,
    Record,
    compact,
    encode_frame,
    record_slot,
    replay,
)
from consensus.wire import signed_core

LOG_RECORDS_MAX = 64
"""The log is rewritten without what no longer binds when it holds more records."""
CONFIG = ConsensusConfig()


class Driver(Protocol):
    """Who decides what happens to what leaves an instance."""

    def send(self, source: int, member: MemberIndex | None, message: Message) -> None:
        """An instance sends to a member, or to all others (None)."""

    def request(self, instance: int, answer: Event) -> None:
        """The application will give `answer`; the driver says when."""

    def stopped(self, instance: int) -> None:
        """An instance lost power (or halted)."""


@final
class Instance:
    """One process of a member: a replica, its disk and its application."""

    __slots__ = (
        "_cluster",
        "_crash",
        "_sent",
        "_shown_by",
        "_stop_in",
        "app",
        "builds",
        "disk",
        "drift",
        "index",
        "is_correct",
        "member",
        "outstanding",
        "records",
        "replica",
        "skew_ms",
        "writes",
    )

    def __init__(self, cluster: "Cluster", index: int) -> None:
        plan = cluster.plan
        self._cluster = cluster
        self.index = index
        self.member = MemberIndex(plan.identities[index])
        self.is_correct = self.member not in plan.faulty
        self.skew_ms = plan.skew_ms[index]
        self.drift = 1000 + plan.drift_permille[index]
        self.disk: Disk[SealedBlock] = Disk(cluster.fired)
        self.disk.blocks += cluster.prefix
        self.app = App(())
        self.replica: Replica | Liar | None = None
        self.outstanding: list[tuple[Event, SealedBlock | None]] = []
        """Answers that the application still owes, and the block that each makes durable."""
        self.records: list[Record] = []
        """What the synced log holds."""
        self._sent: set[bytes] = set()
        """Signatures that have left since the start: each is checked once."""
        self._shown_by: set[MemberIndex] = set()
        """Members whose HEAD-REPLY came since the start."""
        self._crash: Crash | None = None
        self._stop_in = 0
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
        self._crash = None
        if self.replica is not None:
            return
        try:
            found = replay(self.disk.log)
        except CorruptLog:
            if not self.disk.is_damaged:
                raise
            return  # It must not guess: it stays down.
        if self.disk.has_hole:
            raise InvariantViolation(
                "vote_log", f"instance {self.index} took a log with a hole in it for whole"
            )
        self.disk.rewrite(self.disk.log[: found.valid_bytes])
        self.records = list(found.records)
        if self.is_correct:
            self._cluster.on_records(self.records, self.member)
        blocks = self.disk.blocks
        self.app = App(_content(block) for block in blocks)
        genesis = Head(height=Height(0), digest=GENESIS_DIGEST, seal=None)
        head = blocks[-1].head if blocks else genesis
        self.replica = cast_member(self._cluster, self.index, head, found.records)
        self._sent.clear()
        self._shown_by.clear()
        self.step(Tick(), at_ms)

    def arm_stop(self, crash: Crash) -> None:
        """Lose power now, or before a later effect; nothing if it is down already."""
        if self.replica is None:
            return
        if crash.effects == 0:
            self._stop(crash.kept_permille)
        else:
            self._crash, self._stop_in = crash, crash.effects

    def step(self, event: Event, at_ms: int) -> None:
        """Feed the replica and perform its effects in order."""
        if self.replica is None:
            return
        if isinstance(event, Receive) and isinstance(event.message, HeadReply):
            self._shown_by.add(event.sender)
        for effect in self.replica.step(event, self.local_ms(at_ms)):
            if self._crash is not None and self._fails_at(effect, self._crash):
                return
            if self.disk.is_full and isinstance(effect, Persist):
                self._fail_for_space(encode_frame(effect.records, len(self.disk.log)))
                return
            self._perform(effect, at_ms)

    def _fails_at(self, effect: Effect, crash: Crash) -> bool:
        """Whether the power fails before `effect` is done."""
        is_write = isinstance(effect, Persist)
        if is_write or not crash.is_at_write:
            self._stop_in -= 1
        if self._stop_in > 0:
            return False
        if isinstance(effect, Persist):
            self.disk.append(encode_frame(effect.records, len(self.disk.log)))
        self._stop(crash.kept_permille)
        return True

    def _fail_for_space(self, data: bytes = b"") -> None:
        """Stop at a write that the disk has no room for: a part of it may be there."""
        self._cluster.fired["disk_full"] += 1
        self.disk.append(data[: len(data) // 2])
        self.disk.sync()
        self._halt()

    def spoil(self, fault: LogLoss | LogDamage | DiskFull | DiskFreed) -> None:
        """Let the disk fail: fill up, have room again, or lose data under one that is down."""
        if isinstance(fault, DiskFull | DiskFreed):
            self.disk.is_full = isinstance(fault, DiskFull)
            return
        if self.replica is not None:
            return
        if isinstance(fault, LogLoss):
            self.disk.lose_log()
        else:
            self.disk.damage(fault.place_permille, fault.bit)

    def question(self) -> None:
        """Ask the signer once more for the newest vote of each kind that still binds."""
        replica = self.replica
        if not self.is_correct or not isinstance(replica, Replica):
            return
        signer = vars(replica)["_s"].signer
        asked: set[int] = set()
        for record in reversed(self.records):
            slot = record_slot(record)
            is_vote = isinstance(record, ProposalRecord | CommitRecord)
            is_void = slot.height <= replica.head.height if is_vote else slot.term < replica.term
            if is_void or record.TAG in asked:
                continue
            asked.add(record.TAG)
            for message in own_messages(record, self.member):
                vote = signed_core(message)
                require_same_again(signer, vote, digest_of(vote.digest))

    def submit(self, nonce: int, at_ms: int) -> None:
        if self.replica is None:
            return
        self.app.submit(nonce)
        if self.app.pending:
            self.step(Pending(is_pending=True), at_ms)

    def answer(self, event: Event, at_ms: int) -> None:
        """Let the application finish, if it still owes this answer."""
        owed = next((item for item in self.outstanding if item[0] == event), None)
        if owed is None:
            return
        self.outstanding.remove(owed)
        block = owed[1]
        if block is not None:
            self._store(block, at_ms)
        self.step(event, at_ms)

    def _store(self, block: SealedBlock, at_ms: int) -> None:
        """The one atomic batch: the block is durable and executed, or nothing is."""
        if block.height <= len(self.disk.blocks):
            return  # Idempotent by height (rule 8).
        if self.disk.is_full:
            self._fail_for_space()
            return
        self.disk.blocks.append(block)
        self.app.apply(_content(block))
        if len(self.records) > LOG_RECORDS_MAX:
            membership = self._cluster.membership
            self.records = list(
                compact(
                    self.records,
                    epoch=membership.epoch,
                    term=membership.term(block.height + 1),
                    height=block.height,
                )
            )
            self.disk.rewrite(encode_frame(tuple(self.records), 0))
        self.step(Pending(is_pending=bool(self.app.pending)), at_ms)

    def _stop(self, kept_permille: int) -> None:
        self._cluster.fired["crash"] += 1
        self.disk.crash(kept_permille)
        self._halt()

    def _halt(self) -> None:
        self.replica = None
        self.outstanding.clear()
        self._crash = None
        self._cluster.driver.stopped(self.index)

    def _perform(self, effect: Effect, at_ms: int) -> None:
        match effect:
            case Broadcast(message):
                self._send(None, message)
            case Send(to, message):
                self._send(to, message)
            case Persist(records):
                self._persist(records)
            case Build() | Validate() | Apply():
                self._request(effect, at_ms)
            case ServeBlocks(to, from_height, limit):
                blocks = self.disk.blocks[from_height - 1 : from_height - 1 + limit]
                if blocks:
                    self._send(to, Blocks(tuple(blocks)))
            case _:
                self._complain(effect)

    def _complain(self, effect: Suspect | Evidence | Halt) -> None:
        checkers = self._cluster.checkers
        match effect:
            case Suspect(reason=Reason.INVALID_PROPOSAL) if self._cluster.plan.has_blackout:
                pass  # Perhaps only too old by now: the clock's fault.
            case Suspect() if self.is_correct:
                checkers.accusations.on_suspect(self.index, effect)
            case Evidence() if self.is_correct:
                checkers.accusations.on_evidence(self.index, effect)
            case Halt(reason) if self.is_correct:
                raise InvariantViolation("halt", f"instance {self.index} halted: {reason}")
            case Halt():
                self._halt()
            case _:
                pass

    def _send(self, to: MemberIndex | None, message: Message) -> None:
        if (
            self.is_correct
            and isinstance(message, PrePrepare | Prepare | Commit | ViewChange | NewView)
            and message.sender == self.member
            and message.signature not in self._sent
        ):
            self._sent.add(message.signature)
            self._cluster.checkers.on_signed(message)
            Durability.on_send(self.member, message, self.records)
        self._cluster.driver.send(self.index, to, message)

    def _persist(self, records: tuple[Record, ...]) -> None:
        self.writes += 1
        if self.is_correct and any(m for r in records for m in own_messages(r, self.member)):
            others = len(self._shown_by - {self.member})
            require_awake(self.member, others, self._cluster.plan.n)
        self.disk.append(encode_frame(records, len(self.disk.log)))
        self.disk.sync()
        self.records += records
        if self.is_correct:
            self._cluster.on_records(records, self.member)

    def _request(self, effect: Build | Validate | Apply, at_ms: int) -> None:
        """Execute at once, in the state of this moment; the answer comes when the driver says."""
        clock_ms = GENESIS_MS + self.local_ms(at_ms) + self.skew_ms
        block: SealedBlock | None = None
        answer: Event
        match effect:
            case Build(height, parent):
                self.builds += 1
                built = self.app.build(height, parent, clock_ms)
                answer = NothingToBuild(height)
                if built is not None:
                    body = built.encode()
                    answer = Built(height, digest_of(body), body)
            case Validate(height, digest, body, fresh):
                content = decode_block(body)
                parent = self.disk.blocks[-1].digest if self.disk.blocks else GENESIS_DIGEST
                limit_ms = clock_ms if fresh else None
                ok = content is not None and self.app.is_valid(
                    content, height, parent, clock_ms=limit_ms
                )
                answer = Validated(digest, ok)
            case Apply(block):
                applied = len(self.disk.blocks)
                pending = sum(1 for _, owed in self.outstanding if owed is not None)
                if self.is_correct:
                    self._cluster.checkers.on_apply(self.index, applied + pending, block)
                answer = Applied(block.height, block.digest, self._cluster.membership)
        self.outstanding.append((answer, block))
        self._cluster.driver.request(self.index, answer)


@final
class Cluster:
    """All instances, and the checkers that watch the correct ones."""

    def __init__(
        self,
        plan: FaultPlan,
        driver: Driver,
        *,
        is_real: bool = False,
        config: ConsensusConfig = CONFIG,
    ) -> None:
        self.plan = plan
        self.driver = driver
        self.config = config
        self.fired: Counter[str] = Counter()
        self.keys = cluster_keys(plan.n, is_real=is_real)
        self.membership = Membership(epoch=Epoch(0), members=self.keys.public)
        self.domain = SigningDomain(GENESIS_DIGEST, self.membership.hash())
        self.checkers = Checkers(
            self.keys.keyring(0),
            self.domain,
            self.membership,
            plan.faulty,
        )
        self._proofs = Proofs(
            self.keys.keyring(0),
            self.domain,
            self.membership,
            self.checkers.sign_once,
            plan.faulty,
        )
        self.prefix = sealed_prefix(plan.prefix, self.membership, self.domain, self.keys)
        for block in self.prefix:
            self.checkers.on_prefix(block)
        self.instances = [Instance(self, i) for i in range(len(plan.identities))]

    def on_records(self, records: Sequence[Record], member: int) -> None:
        """A correct member's records are durable: let all checkers look at them."""
        self.checkers.on_records(records, member)
        self._proofs.on_records(records, member)


def _content(block: SealedBlock) -> Block:
    content = decode_block(block.body)
    assert content is not None, "a quorum has validated every block that is applied"
    return content
