"""What the judges see of one instance: what it sends, syncs, complains of, and when it wakes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from consensus.events import Evidence, Halt, Reason, Suspect
from consensus.membership import MemberIndex
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from consensus.replica import Replica
from consensus.sim.checkers import Durability, own_messages
from consensus.sim.seat import Seat
from consensus.sim.violation import InvariantViolation
from consensus.sim.wakefulness import Serving, Wakefulness
from consensus.vote_log import Record, record_slot

if TYPE_CHECKING:
    from consensus.sim.cluster import Cluster
    from consensus.sim.instance import Instance


@final
class Watch:
    """Of one instance, from a start to the next. Only correct members are held to all of it."""

    def __init__(self, cluster: "Cluster", seat: Seat, instance: "Instance") -> None:
        """Begin, as `instance` stands now."""
        self._cluster = cluster
        self._seat = seat
        self._index = instance.index
        self._is_correct = instance.is_correct
        self._is_held = instance.is_correct or instance.is_forgetful
        """Whether it must at least know what it may have forgotten."""
        self._software, self._blocks = instance.software, instance.disk.blocks
        self._sent: set[bytes] = set()
        """Signatures that have left: each is checked once."""
        self._serving = Serving()
        self.waking = Wakefulness(cluster.epochs, is_unproven=instance.disk.is_unproven)

    def on_step(self, replica: Replica) -> None:
        """The replica was stepped, and was not awake before."""
        if self._is_held and replica.me is not None and not replica.is_learner:
            self.waking.on_voter(replica, self._index)

    def on_head_reply(
        self,
        replica: Replica,
        member: MemberIndex,
        key: int,
        reply: HeadReply,
        records: Sequence[Record],
    ) -> None:
        """An answer to the replica's question was stepped."""
        known = [
            message
            for record in (records if reply.yours else ())
            for message in own_messages(record, self._seat.index_in(record_slot(record).epoch))
        ]
        self.waking.on_reply(replica, member, key, reply, known)

    def on_send(
        self,
        message: Message,
        key: int | None,
        records: Sequence[Record],
        local_ms: int,
    ) -> None:
        """A message leaves, to all or to the holder of a key."""
        if not self._is_correct:
            return
        if isinstance(message, PrePrepare | Prepare | Commit | ViewChange | NewView):
            if message.sender == self._seat.index and message.signature not in self._sent:
                self._sent.add(message.signature)
                self._software.require(message.slot.height, f"sends a {type(message).__name__}")
                self._cluster.checkers.on_signed(message)
                Durability.on_send(message.sender, message, records)
        elif isinstance(message, GetBlocks):
            self._software.require(message.from_height, "fetches it")
        elif key is not None and isinstance(message, HeadReply | BodyReply | Blocks):
            self._serving.on_reply(self._index, key, message, local_ms)

    def on_persist(self, records: Sequence[Record]) -> None:
        """Records are about to be synced."""
        me = self._seat.index
        if self._is_held and me is not None:
            own = [message for record in records for message in own_messages(record, me)]
            if own:
                self._software.require(len(self._blocks) + 1, "signs in view of it")
                self.waking.on_signed(own, self._index)

    def on_complaint(self, effect: Suspect | Evidence | Halt, epoch: int) -> None:
        """It suspects or convicts a member of its epoch, or stops for good."""
        if not self._is_correct:
            return
        accusations = self._cluster.checkers.accusations
        match effect:
            case Suspect(reason=Reason.INVALID_PROPOSAL) if self._cluster.plan.has_blackout:
                pass  # Perhaps only too old by now: the clock's fault.
            case Suspect():
                accusations.on_suspect(self._index, epoch, effect)
            case Evidence():
                accusations.on_evidence(self._index, effect)
            case Halt(reason):
                raise InvariantViolation("halt", f"instance {self._index} halted: {reason}")
