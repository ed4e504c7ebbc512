"""What goes into a replica and what comes out. The order of effects is the contract."""

from dataclasses import dataclass
from enum import IntEnum
from typing import final

from consensus.certificates import SignedVote
from consensus.membership import Height, MemberIndex, Membership
from consensus.messages import Message, SealedBlock, ViewChange
from consensus.vote_log import Record
from crypto.hashing import Digest

# Events.


@final
@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; due when `Replica.wake_at` is reached, harmless at any other time."""


@final
@dataclass(frozen=True, slots=True)
class Receive:
    """`message` came over the authenticated link of `sender`, a member of the current epoch."""

    sender: MemberIndex
    message: Message


@final
@dataclass(frozen=True, slots=True)
class PeerUp:
    """The link with `member` is open."""

    member: MemberIndex


@final
@dataclass(frozen=True, slots=True)
class PeerDown:
    """The link with `member` is closed."""

    member: MemberIndex


@final
@dataclass(frozen=True, slots=True)
class Pending:
    """Whether the application has something to put into the block above the head.

    Level, not edge: the replica remembers the last word, except that `NothingToBuild` also
    says False. Say True again when something arrives after that.
    """

    is_pending: bool


@final
@dataclass(frozen=True, slots=True)
class Built:
    """Answer to `Build`: a block on the head, already executed."""

    height: Height
    digest: Digest
    body: bytes


@final
@dataclass(frozen=True, slots=True)
class NothingToBuild:
    """Answer to `Build`: nothing to propose now. Counts as `Pending(False)`."""

    height: Height


@final
@dataclass(frozen=True, slots=True)
class Validated:
    """Answer to `Validate`: executing the body gave `digest` (ok), or it is not valid here.

    Every `Validate` is answered, in order, even when the height is decided by then.
    """

    digest: Digest
    ok: bool


@final
@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to `Apply`: the block is durable; `membership` seals the block at height + 1."""

    height: Height
    digest: Digest
    membership: Membership
    is_witnessed: bool = False
    """The epoch begins here and this very process agreed to it before: so no vote of this key
    in it can have been forgotten."""


@final
@dataclass(frozen=True, slots=True)
class Offered:
    """Blocks of one who is no member here: perhaps it is one in the epoch that they lead into.

    A block proves itself, whoever brings it. Where a key rotates, or somebody is evicted, nobody
    else who is left in this epoch may have its last block.
    """

    blocks: tuple[SealedBlock, ...]


@final
@dataclass(frozen=True, slots=True)
class Rest:
    """The application cannot execute what comes after its head: it lacks the rules.

    From here on the replica decides and signs nothing. It answers whoever asks and keeps its
    links alive, so that others see where it stands. Only a new start ends it.
    """


Event = (
    Tick
    | Receive
    | PeerUp
    | PeerDown
    | Pending
    | Built
    | NothingToBuild
    | Validated
    | Applied
    | Offered
    | Rest
)


class Reason(IntEnum):
    """Why a peer is suspected. Numbers are stable: they appear in logs and metrics.

    A correct member whose messages are delayed, repeated or reordered earns none of these,
    except INVALID_PROPOSAL, which a wrong clock can earn too.
    """

    WRONG_SENDER = 1
    """A vote that another member signed, or a message from outside the member set."""
    WRONG_PRIMARY = 2
    """A PRE-PREPARE or NEW-VIEW by a member that is not the primary of its view."""
    BAD_SIGNATURE = 3
    BAD_SLOT = 4
    """The term does not follow from the height."""
    BAD_CERTIFICATE = 5
    """A prepared certificate, seal or head that does not verify."""
    BAD_NEW_VIEW = 6
    """Not exactly q VIEW-CHANGEs of that view, or they contradict each other."""
    WRONG_CHOICE = 7
    """The first proposal of a view is not the one that its NEW-VIEW proves."""
    BODY_MISMATCH = 8
    """The body does not have the digest it came under."""
    EQUIVOCATION = 9
    """Two different signed messages where one is allowed; `Evidence` comes with it."""
    INVALID_PROPOSAL = 10
    """The application refused the body. Perhaps a wrong clock: not transferable."""


# Effects.


@final
@dataclass(frozen=True, slots=True)
class Persist:
    """Append the records to the vote log and sync, before any later effect is performed."""

    records: tuple[Record, ...]


@final
@dataclass(frozen=True, slots=True)
class Send:
    """Send to one member."""

    to: MemberIndex
    message: Message


@final
@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all other members."""

    message: Message


@final
@dataclass(frozen=True, slots=True)
class Build:
    """Build and execute a block at `height` on `parent`; answer `Built` or `NothingToBuild`."""

    height: Height
    parent: Digest


@final
@dataclass(frozen=True, slots=True)
class Validate:
    """Execute `body` on an overlay of the head; answer `Validated`.

    `fresh` is False for a proposal carried over from an earlier view, whose time must not
    be compared with the clock again (rule 32).
    """

    height: Height
    digest: Digest
    body: bytes
    fresh: bool


@final
@dataclass(frozen=True, slots=True)
class Apply:
    """The block is decided: write it durably in one batch, then answer `Applied`.

    Idempotent by height. `executed`: this replica built or validated this very digest, so
    an overlay may be there; otherwise execute it now and stop if the digest differs.
    """

    block: SealedBlock
    executed: bool


@final
@dataclass(frozen=True, slots=True)
class ServeBlocks:
    """Send stored blocks to `to` as `Blocks`: at most `limit`, and MAX_BLOCKS_BYTES."""

    to: MemberIndex
    from_height: Height
    limit: int


@final
@dataclass(frozen=True, slots=True)
class Suspect:
    """A peer broke the protocol. Never raised: a Byzantine peer is an expected input."""

    member: MemberIndex
    reason: Reason
    detail: str


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """Two verified signatures of one member that contradict each other. Transferable.

    `consensus.evidence.proof_from` makes a proof of it that anybody can judge.
    """

    first: SignedVote
    second: SignedVote
    view_change: ViewChange | None = None
    """The message of which `second` is the signed core, where its content is the offence."""


@final
@dataclass(frozen=True, slots=True)
class Halt:
    """Stop loudly: going on could break a promise. The replica takes no further step."""

    reason: str


Effect = (
    Persist | Send | Broadcast | Build | Validate | Apply | ServeBlocks | Suspect | Evidence | Halt
)
