"""The values that replicas exchange; `consensus.wire` gives them bytes."""

from dataclasses import dataclass
from typing import ClassVar, final

from consensus.certificates import (
    COUNTER_MAX,
    Head,
    Kind,
    PreparedCertificate,
    Seal,
    SignedVote,
    Slot,
    check_ascending,
    check_digest,
    check_sender_and_signature,
    check_vote,
)
from consensus.config import MAX_BLOCKS_PER_REPLY, MAX_BODY_BYTES, MAX_MEMBERS
from consensus.errors import MalformedMessage
from consensus.membership import Epoch, Height, MemberIndex, View
from crypto.hashing import Digest


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PrePrepare:
    """The primary's proposal and its vote: `digest` holds `slot`.

    The body travels unsigned: the digest names it. Castro & Liskov, OSDI '99, section 4.2.
    """

    TAG: ClassVar[int] = Kind.PRE_PREPARE
    slot: Slot
    digest: Digest
    sender: MemberIndex
    signature: bytes
    body: bytes

    def __post_init__(self) -> None:
        _check_block_vote(self.slot, self.digest, self.sender, self.signature)
        if len(self.body) > MAX_BODY_BYTES:
            raise MalformedMessage(
                f"body must be at most {MAX_BODY_BYTES} bytes, got {len(self.body)}"
            )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """A backup's vote, after executing the body: `digest` holds `slot`."""

    TAG: ClassVar[int] = Kind.PREPARE
    slot: Slot
    digest: Digest
    sender: MemberIndex
    signature: bytes

    def __post_init__(self) -> None:
        _check_block_vote(self.slot, self.digest, self.sender, self.signature)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A member's word that it holds, durably, a prepared certificate for `digest` in `slot`."""

    TAG: ClassVar[int] = Kind.COMMIT
    slot: Slot
    digest: Digest
    sender: MemberIndex
    signature: bytes

    def __post_init__(self) -> None:
        _check_block_vote(self.slot, self.digest, self.sender, self.signature)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """A member asks for `slot.view` and states, for good, what it prepared before.

    Its bytes are frozen per (term, view). `prepared`, if any, is for the height above the
    head, from a view below `slot.view`, and the sender holds its body.
    """

    TAG: ClassVar[int] = Kind.VIEW_CHANGE
    slot: Slot
    """`slot.height` is the head's."""
    head: Head
    prepared: PreparedCertificate | None
    sender: MemberIndex
    signature: bytes

    def __post_init__(self) -> None:
        check_vote(self.head.digest, self.sender, self.signature)
        if self.slot.height != self.head.height:
            raise MalformedMessage("view change: slot.height must be the head's")
        if self.slot.view < 1:
            raise MalformedMessage("view change: slot.view must be at least 1, got 0")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    """The new primary's proof that `slot.view` may begin: q VIEW-CHANGEs for that view."""

    TAG: ClassVar[int] = Kind.NEW_VIEW
    slot: Slot
    """`slot.height` is 0."""
    view_changes: tuple[ViewChange, ...]
    """Ascending by sender, distinct."""
    sender: MemberIndex
    signature: bytes

    def __post_init__(self) -> None:
        check_sender_and_signature(self.sender, self.signature)
        if self.slot.height != 0:
            raise MalformedMessage(f"new view: slot.height must be 0, got {self.slot.height}")
        check_ascending([m.sender for m in self.view_changes], "view_changes")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the sender has and lacks: heartbeat, and the request for what was lost (rule 14)."""

    TAG: ClassVar[int] = 16
    slot: Slot
    """Epoch, term and entered view; `slot.height` is the head's."""
    head_digest: Digest
    asked: View
    """Equal to `slot.view`, or the higher view that the sender asked for."""
    proposal: Digest | None
    """The proposal held in the entered view for the height above the head."""
    prepares: int
    """Bitmap of the members whose PREPARE in that view the sender holds."""
    commits: int
    """The same for COMMITs."""
    view_changes: tuple[View, ...]
    """View of the newest VIEW-CHANGE held of each member, 0 for none; empty when all are 0."""
    is_learner: bool

    def __post_init__(self) -> None:
        check_digest(self.head_digest)
        if not self.slot.view <= self.asked <= COUNTER_MAX:
            raise MalformedMessage("asked must be in slot.view..2**62")
        if self.proposal is not None:
            check_digest(self.proposal)
        for name, bitmap in (("prepares", self.prepares), ("commits", self.commits)):
            if bitmap < 0 or bitmap >> MAX_MEMBERS:
                raise MalformedMessage(f"{name} must be a bitmap of {MAX_MEMBERS} members")
        if len(self.view_changes) > MAX_MEMBERS:
            raise MalformedMessage(f"view_changes must have at most {MAX_MEMBERS} entries")
        if any(not 0 <= view <= COUNTER_MAX for view in self.view_changes):
            raise MalformedMessage("view_changes must hold views in 0..2**62")


@final
@dataclass(frozen=True, slots=True)
class GetHead:
    """Ask for a proven head, in a reply that repeats `nonce` (rule 19)."""

    TAG: ClassVar[int] = 17
    nonce: Digest

    def __post_init__(self) -> None:
        check_digest(self.nonce)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeadReply:
    """The replier's head, and the asker's own newest signatures that the replier holds.

    The latter tell a replica that lost its vote log that it has promised more than it
    remembers (rule 25).
    """

    TAG: ClassVar[int] = 18
    nonce: Digest
    epoch: Epoch
    """Epoch of the height above the head."""
    head: Head
    yours: tuple[SignedVote, ...]
    """At most one of each kind, ascending by kind; all by the asker."""

    def __post_init__(self) -> None:
        check_digest(self.nonce)
        if not 0 <= self.epoch <= COUNTER_MAX:
            raise MalformedMessage(f"epoch must be in 0..2**62, got {self.epoch}")
        check_ascending([vote.kind for vote in self.yours], "yours")


@final
@dataclass(frozen=True, slots=True)
class GetBody:
    """Ask for the body that has this digest."""

    TAG: ClassVar[int] = 19
    digest: Digest

    def __post_init__(self) -> None:
        check_digest(self.digest)


@final
@dataclass(frozen=True, slots=True)
class BodyReply:
    """A body that was asked for."""

    TAG: ClassVar[int] = 20
    digest: Digest
    body: bytes

    def __post_init__(self) -> None:
        check_digest(self.digest)
        if len(self.body) > MAX_BODY_BYTES:
            raise MalformedMessage(
                f"body must be at most {MAX_BODY_BYTES} bytes, got {len(self.body)}"
            )


@final
@dataclass(frozen=True, slots=True)
class GetBlocks:
    """Ask for sealed blocks from this height upwards."""

    TAG: ClassVar[int] = 21
    from_height: Height

    def __post_init__(self) -> None:
        if not 1 <= self.from_height <= COUNTER_MAX:
            raise MalformedMessage(f"from_height must be in 1..2**62, got {self.from_height}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBlock:
    """A decided block: what is stored, served to those who catch up, and proven by its seal."""

    height: Height
    digest: Digest
    body: bytes
    seal: Seal

    def __post_init__(self) -> None:
        check_digest(self.digest)
        if not 1 <= self.height <= COUNTER_MAX:
            raise MalformedMessage(f"block.height must be in 1..2**62, got {self.height}")
        if len(self.body) > MAX_BODY_BYTES:
            raise MalformedMessage(
                f"block.body must be at most {MAX_BODY_BYTES} bytes, got {len(self.body)}"
            )

    @property
    def head(self) -> Head:
        """The head of a chain that ends with this block."""
        return Head(height=self.height, digest=self.digest, seal=self.seal)


@final
@dataclass(frozen=True, slots=True)
class Blocks:
    """Consecutive sealed blocks; the answer to GetBlocks."""

    TAG: ClassVar[int] = 22
    blocks: tuple[SealedBlock, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.blocks) <= MAX_BLOCKS_PER_REPLY:
            raise MalformedMessage(
                f"blocks must be 1..{MAX_BLOCKS_PER_REPLY}, got {len(self.blocks)}"
            )
        first = self.blocks[0].height
        if any(block.height != first + i for i, block in enumerate(self.blocks)):
            raise MalformedMessage("blocks must have consecutive heights")


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """The proposal that the sender has, for one who voted for another in that slot."""

    TAG: ClassVar[int] = 23
    vote: SignedVote
    """A PRE-PREPARE's."""

    def __post_init__(self) -> None:
        if self.vote.kind is not Kind.PRE_PREPARE:
            raise MalformedMessage("shown must be a PRE-PREPARE")


Vote = PrePrepare | Prepare | Commit
"""Signed for one block in one slot."""
Signed = PrePrepare | Prepare | Commit | ViewChange | NewView
Unsigned = Status | GetHead | HeadReply | GetBody | BodyReply | GetBlocks | Blocks | Shown
"""Sent on authenticated links only; proves nothing to a third party."""
Message = Signed | Unsigned


def _check_block_vote(slot: Slot, digest: bytes, sender: int, signature: bytes) -> None:
    check_vote(digest, sender, signature)
    if slot.height < 1:
        raise MalformedMessage("slot.height of a vote counts from 1, got 0")
