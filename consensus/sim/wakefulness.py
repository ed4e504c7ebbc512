"""When a member may sign after a start, and what one member may ask of it: rules 19, 25, 35.

Watched from outside: which HEAD-REPLYs reached the replica, what they showed it to have signed,
and what it answers when. Also for members whose vote log was lost: they are held to nothing else.
"""

from collections.abc import Iterable
from typing import final

from consensus.certificates import Kind, SignedVote
from consensus.config import ConsensusConfig
from consensus.messages import Blocks, BodyReply, HeadReply, NewView, Signed
from consensus.replica import Replica
from consensus.sim.epochs import Epochs
from consensus.sim.violation import InvariantViolation, certificate_size
from consensus.state import State
from consensus.wire import signed_core

_VIEWS = (Kind.VIEW_CHANGE, Kind.NEW_VIEW)


@final
class Wakefulness:
    """Of one instance, from a start to the next."""

    def __init__(self, epochs: Epochs, *, is_unproven: bool) -> None:
        """`is_unproven`: its vote log may lack what was promised."""
        self._epochs = epochs
        self._shown_by: set[int] = set()
        """Keys of members whose HEAD-REPLY it took."""
        self._is_unproven = is_unproven
        self._fault: str | None = None
        """What is wrong with its waking, once it signs anything."""
        self.is_awake = False
        """Whether it was seen to vote with good reason."""
        self._forgotten: set[tuple[int, int]] = set()
        """(epoch, term) in which it was shown a signature that its log does not hold."""

    def on_reply(
        self,
        replica: Replica,
        sender: int,
        key: int,
        reply: HeadReply,
        known: Iterable[Signed],
    ) -> None:
        """An answer to its question was stepped: note what it has shown, if the replica took it.

        Args:
            replica: after the step.
            sender: index of the member that answers.
            key: its key.
            reply: the answer.
            known: what the vote log shows to be signed.
        """
        state: State = vars(replica)["_s"]
        was_taken = state.nonce is None or sender in state.heads
        if not was_taken:
            return
        self._shown_by.add(key)
        places = {_place(signed_core(message)) for message in known}
        for vote in reply.yours:
            is_lost = _still_binds(state, vote) and _place(vote) not in places
            if is_lost and self._epochs.is_vote_signed(vote):
                self._forgotten.add((vote.slot.epoch, vote.slot.term))

    def on_witnessed(self) -> None:
        """An epoch begins that this process said READY to: no vote in it can be forgotten."""
        self.is_awake = True

    def on_admitted(self, *, is_unproven: bool) -> None:
        """It has become a member: its log may have been there, and level, before its key was one's.

        Only the replica can tell.
        """
        self._is_unproven = is_unproven

    def on_voter(self, replica: Replica, member: int) -> None:
        """It takes itself for a voter: see whether enough others have answered.

        Before the first block nobody has voted, and an unproven log is as good as any.
        """
        state: State = vars(replica)["_s"]
        is_witness = not self._is_unproven or state.head.height == 0
        enough = certificate_size(state.n) - is_witness
        if len(self._shown_by) < enough:
            self._fault = (
                f"member {member} votes when {len(self._shown_by)} others have shown it their "
                f"heads, not {enough}"
            )
        self.is_awake = True

    def on_signed(self, messages: Iterable[Signed], member: int) -> None:
        """It has signed something new; raise if it ought to be silent."""
        if self._fault is not None:
            raise InvariantViolation("learner", self._fault)
        for message in messages:
            slot = message.slot
            if isinstance(message, NewView):
                continue  # Its own of former times, that somebody has passed on.
            if any(slot.epoch == e and slot.term <= term for e, term in self._forgotten):
                raise InvariantViolation(
                    "recall",
                    f"member {member} signs in term {slot.term}, of whose votes it has lost some",
                )


def _place(vote: SignedVote) -> tuple[Kind, int, int, int, int]:
    slot = vote.slot
    height = 0 if vote.kind in _VIEWS else slot.height
    return vote.kind, slot.epoch, slot.term, slot.view, height


def _still_binds(state: State, vote: SignedVote) -> bool:
    """Whether an own signature in `vote` could be contradicted at the replica's head."""
    slot = vote.slot
    if vote.sender != state.me or slot.epoch != state.epoch or slot.term < state.term:
        return False
    if vote.kind not in _VIEWS and slot.height < state.height:
        return False
    return slot.term > state.term or slot.view >= state.asked


@final
class Serving:
    """What an instance serves to one member stays within the quota (rule 35)."""

    def __init__(self) -> None:
        self._served: dict[tuple[int, type], int] = {}

    def on_reply(
        self, member: int, key: int, reply: HeadReply | BodyReply | Blocks, local_ms: int
    ) -> None:
        """Note an answer of `member` to the holder of `key`, or raise."""
        place = (key, type(reply))
        before = self._served.get(place)
        if before is not None and local_ms - before < SERVE_INTERVAL_MS:
            raise InvariantViolation(
                "serving",
                f"member {member} served {type(reply).__name__} to {key} after "
                f"{local_ms - before} ms again",
            )
        self._served[place] = local_ms


SERVE_INTERVAL_MS = ConsensusConfig().serve_interval_ms
