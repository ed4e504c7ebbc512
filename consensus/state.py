"""All that a replica remembers, in memory bounded by the number of members (rule 33).

Handlers (`normal_case`, `view_change`, `recovery`, `retransmission`) read and change it;
only `Replica` owns it. A table holds at most one message per member and kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import final

from consensus.certificates import Head, Kind, PreparedCertificate, Seal, SigningDomain, Slot
from consensus.config import ConsensusConfig
from consensus.events import Effect, Halt, Persist, Reason, Suspect
from consensus.keyring import Keyring
from consensus.membership import Epoch, Height, MemberIndex, Membership, Term, View
from consensus.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    ViewChange,
    Vote,
)
from consensus.peers import Peer
from consensus.signer import Signer
from consensus.timers import Timers
from consensus.vote_log import Record
from crypto.hashing import Digest

VERIFIED_MAX = 256
"""Heads and certificates remembered as verified, so that repeats cost no signatures."""


class Verdict(Enum):
    """What this replica knows about a body above its head."""

    EXECUTED = 1
    """Built or validated since the start: an overlay may be there."""
    VOTED_BEFORE = 2
    """Found valid before a restart: the vote stands, the overlay is gone."""
    REFUSED = 3
    """Not valid as a fresh proposal, in this view; perhaps by the clock alone."""
    INVALID = 4
    """Not valid whatever the clock says."""


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """What a NEW-VIEW proves: where its view begins, and with which digest if one is bound."""

    head: Head
    certificate: PreparedCertificate | None


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """A sealed digest at the height above the head whose body is still missing."""

    digest: Digest
    seal: Seal


@final
class State:
    """Mutable state of one replica. `height` is the slot under way: the head's plus one."""

    def __init__(
        self,
        *,
        config: ConsensusConfig,
        genesis_hash: Digest,
        membership: Membership,
        head: Head,
        keyring: Keyring,
        digest_of: Callable[[bytes], bytes],
        base_digest: Digest | None,
        is_doubtful: bool = False,
    ) -> None:
        self.config = config
        self.genesis_hash = genesis_hash
        self.keyring = keyring
        self.digest_of = digest_of
        self.now_ms = 0
        self.effects: list[Effect] = []
        self.halted: str | None = None
        self.head = head
        self.head_body: bytes | None = None
        self.is_pending = False
        self.is_building = False
        self.applying: SealedBlock | None = None
        self.timers = Timers(config)
        self.wake_ms: int | None = None
        """The next instant at which a Tick matters; set at the end of every step."""
        self.progressed_ms = 0
        """When the head or the view last moved."""
        self.verified: dict[Head | PreparedCertificate, None] = {}
        # Catching up and learning.
        self.is_learner = False
        self.is_resting = False
        """Whether the application lacks the rules of the next block: nothing is decided here."""
        self.must_reach = Height(0)
        """The vote log binds slots up to here: no vote before they are decided."""
        self.forgotten_term: Term | None = None
        """Newest term with an own signature that the vote log does not know (rule 25)."""
        self.is_doubtful = is_doubtful
        """Whether this key may have signed more than the vote log says: lost, or an old copy."""
        self.later_records: tuple[Record, ...] = ()
        """Of the vote log, for epochs that the block store has not reached."""
        self.started_ms: int | None = None
        self.nonce: Digest | None = None
        self.nonces_used = 0
        self.links: dict[bytes, Peer] = {}
        self.enter_epoch(membership, base_digest)

    def enter_epoch(self, membership: Membership, base_digest: Digest | None) -> None:
        """Take over the member set of the height above the head; all tables start anew.

        `base_digest` is that of the block below the epoch's first.
        """
        self.base_digest = base_digest
        former = self.links
        self.membership = membership
        self.n = membership.n
        self.f = membership.quorum.f
        self.q = membership.quorum.certificate
        self.epoch: Epoch = membership.epoch
        self.domain = SigningDomain(self.genesis_hash, membership.hash())
        self.me: MemberIndex | None = membership.index_of(self.keyring.public)
        self.signer: Signer | None = None
        if self.me is not None:
            self.signer = Signer(self.keyring, self.domain, self.me)
        self.links = {key: former.get(key) or Peer() for key in membership.members}
        self.peers = list(self.links.values())
        """By index, in the order of the sorted keys."""
        self.others = [MemberIndex(i) for i in range(self.n) if i != self.me]
        self.is_connected = False
        """Whether q members, this one included, are online."""
        self.is_connectivity_stale = True
        self.accused: dict[tuple[MemberIndex, Kind], None] = {}
        self.stash: dict[tuple[MemberIndex, int], Vote] = {}
        """Votes for the height after `height`, one per member and kind: others decided first."""
        self.heads: dict[MemberIndex, Height] = {}
        """Learner: the head that each member gave in answer to `nonce`."""
        self.buffered: dict[MemberIndex, tuple[SealedBlock, ...]] = {}
        self.offered: tuple[SealedBlock, ...] = ()
        """By one who is no member."""
        self.offered_ms: int | None = None
        self.behind_since_ms: int | None = None
        self.last_source = 0
        self.claimed_max = max((peer.claimed_height for peer in self.peers), default=0)
        self.enter_term()

    def enter_term(self) -> None:
        """Begin the term of the height above the head, at view 0."""
        self.term: Term = self.membership.term(self.head.height + 1)
        self.set_view(View(0))
        self.asked = View(0)
        """Equal to `view`, or the higher view that this replica asked for."""
        self.new_view: NewView | None = None
        self.choice: Choice | None = None
        self.view_changes: list[ViewChange | None] = [None] * self.n
        """Newest of each member, this one included (rule 13)."""
        self.enter_height()

    def enter_height(self) -> None:
        """Begin the slot above the head; whatever was said about lower ones is void."""
        self.height: Height = Height(self.head.height + 1)
        self.pre_prepares: dict[View, PrePrepare] = {}
        """For the entered view, and for the view asked for."""
        self.prepares: list[Prepare | None] = [None] * self.n
        """Newest of each member."""
        self.commits: list[Commit | None] = [None] * self.n
        self.commits_changed = False
        self.certificate: PreparedCertificate | None = None
        """Own prepared certificate of the highest view."""
        self.certificate_body: bytes | None = None
        self.verdicts: dict[Digest, Verdict] = {}
        self.validating: tuple[Digest, bool] | None = None
        """Digest and freshness of the one Validate without an answer."""
        self.decision: Decision | None = None
        self.fetched: tuple[Digest, bytes] | None = None
        self.body_asked: tuple[Digest, MemberIndex, int] | None = None
        """Digest, member and time of the last GetBody."""
        self.opened_ms: int | None = None
        """Since when something ought to be decided at this height, in the entered view."""
        self.accused.clear()

    def set_view(self, view: View) -> None:
        """`view`, the view last entered, and its primary."""
        self.view = view
        self.primary: MemberIndex = self.membership.primary(self.term, view)

    # Small facts that several handlers need.

    @property
    def proposal(self) -> PrePrepare | None:
        """Of the entered view."""
        return self.pre_prepares.get(self.view)

    @property
    def is_active(self) -> bool:
        """Whether this replica may vote in the entered view (rules 10, 19)."""
        return self.asked == self.view and self.may_vote

    @property
    def may_vote(self) -> bool:
        """Whether it may sign anything at all now."""
        is_free = not self.is_learner and not self.is_resting
        return self.me is not None and is_free and self.applying is None

    @property
    def carried(self) -> PreparedCertificate | None:
        """The certificate that binds the entered view at the present height, if any."""
        choice = self.choice
        if choice is None or choice.head.height != self.head.height:
            return None
        return choice.certificate

    @property
    def is_open(self) -> bool:
        """Whether something ought to be decided at the present height."""
        return (
            self.is_pending
            or self.proposal is not None
            or self.certificate is not None
            or self.decision is not None
            or self.carried is not None
        )

    def slot(self, view: View, height: Height) -> Slot:
        """A slot in the present term."""
        return Slot(epoch=self.epoch, term=self.term, view=view, height=height)

    def is_online(self, member: MemberIndex) -> bool:
        """Whether `member` is this replica itself or was heard of lately."""
        return member == self.me or self.peers[member].is_online(
            self.now_ms, self.config.heartbeat_overdue_ms
        )

    def count_online(self) -> int:
        """Members online, this one included."""
        return sum(self.is_online(MemberIndex(i)) for i in range(self.n))

    def is_overdue(self, member: MemberIndex) -> bool:
        """Whether `member` is offline and had its chance to come up since the start."""
        if self.is_online(member):
            return False
        overdue_ms = self.config.heartbeat_overdue_ms
        is_settled = self.started_ms is None or self.now_ms - self.started_ms > overdue_ms
        return is_settled or self.peers[member].heard_ms > 0

    def find_body(self, digest: Digest) -> bytes | None:
        """A body held for the present slot, or the head's."""
        for pre_prepare in self.pre_prepares.values():
            if pre_prepare.digest == digest:
                return pre_prepare.body
        if self.certificate is not None and self.certificate.digest == digest:
            return self.certificate_body
        if self.fetched is not None and self.fetched[0] == digest:
            return self.fetched[1]
        return self.head_body if self.head.digest == digest else None

    def claims(self, member: MemberIndex, height: int) -> None:
        """A message of `member` implies that its head is at `height` or above."""
        peer = self.peers[member]
        if height > peer.claimed_height:
            peer.claimed_height = height
            self.claimed_max = max(self.claimed_max, height)

    def disbelieve(self, member: MemberIndex) -> None:
        """Forget what `member` claimed: it did not deliver."""
        self.peers[member].claimed_height = 0
        self.claimed_max = max(peer.claimed_height for peer in self.peers)

    def may_check(self, member: MemberIndex) -> bool:
        """Whether to check a message of `member` of which a correct member sends few.

        One view change of all members, twice over, passes at once (rules 34, 35): a correct
        member is not held up even where views fail one after another.
        """
        return self.peers[member].may_spend(self.now_ms, self.config.retransmit_ms, 2 * self.n)

    # Effects.

    def emit(self, effect: Effect) -> None:
        """Append to the effects of this step; their order is the contract."""
        self.effects.append(effect)

    def persist(self, record: Record) -> None:
        """Whatever is emitted after this is performed after the record is synced."""
        self.effects.append(Persist((record,)))

    def suspect(self, member: MemberIndex, reason: Reason, detail: str) -> None:
        """Report a member's fault."""
        self.effects.append(Suspect(member, reason, detail))

    def halt(self, reason: str) -> None:
        """Stop for good."""
        if self.halted is None:
            self.halted = reason
            self.effects.append(Halt(reason))
