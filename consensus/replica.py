"""One replica: state, `step`, dispatch. Read this first.

A step takes one event in, then tries the rules, in order, until none applies; last, the
pacemaker looks at the time. Effects leave in the order in which they must be performed.
"""

from collections.abc import Callable
from typing import assert_never, final

from consensus import (
    catch_up,
    comparison,
    normal_case,
    pacemaker,
    recovery,
    retransmission,
    view_change,
)
from consensus.certificates import Head
from consensus.config import ConsensusConfig
from consensus.errors import CorruptLog, DoubleSign
from consensus.events import (
    Applied,
    Built,
    Effect,
    Event,
    NothingToBuild,
    Offered,
    PeerDown,
    PeerUp,
    Pending,
    Receive,
    Rest,
    Tick,
    Validated,
)
from consensus.keyring import Keyring
from consensus.membership import Epoch, MemberIndex, Membership, Term, View
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Status,
    ViewChange,
)
from consensus.state import State
from consensus.verification import remember_head
from consensus.vote_log import Record
from consensus.waiting import Waiting, waiting_for
from crypto.hashing import Digest

_RULES: tuple[Callable[[State], bool], ...] = (
    catch_up.take_block,
    normal_case.decide,
    recovery.end_learning,
    view_change.join,
    view_change.announce,
    normal_case.propose,
    normal_case.validate,
    normal_case.prepare,
    normal_case.commit,
)
"""Decisions first: what is decided needs no vote. Each returns whether it did something."""


_IDLE = (Status, GetHead, GetBody, GetBlocks)


@final
class Replica:
    """One replica. Feed it events with `step`; perform the effects it returns, in order.

    The same events give the same effects: no clock, socket, file or random source is read
    here. Not thread-safe; one task owns it. Can be copied with `copy.deepcopy`.
    """

    def __init__(
        self,
        *,
        config: ConsensusConfig,
        genesis_hash: Digest,
        membership: Membership,
        head: Head,
        keyring: Keyring,
        recovered: tuple[Record, ...] = (),
        digest_of: Callable[[bytes], bytes],
        base_digest: Digest | None = None,
        is_log_new: bool = False,
    ) -> None:
        """Take up at a durable head with the records that the vote log holds.

        Args:
            config: own timer settings.
            genesis_hash: digest of block 0; bound into every signature.
            membership: who seals the block at `head.height` + 1.
            head: the highest block that is stored, with its seal.
            keyring: own key, or none for a follower.
            recovered: `vote_log.replay(...)`'s records, all of them.
            digest_of: the digest that a body has, cheap and total: nothing is executed.
            base_digest: digest of the block below `membership.first_height`; genesis and the
                head need not be told.
            is_log_new: whether the vote log may have been lost: it was made for this life of
                the key, and nothing has shown yet that there was none before.

        Raises:
            ValueError: the head is block 0 with another digest than `genesis_hash`, or lies
                below the epoch.
            CorruptLog: the records contradict each other or belong to another member.
        """
        if head.height == 0 and head.digest != genesis_hash:
            raise ValueError("the digest of block 0 must be genesis_hash")
        if membership.first_height == 1:
            base_digest = genesis_hash
        elif head.height == membership.first_height - 1:
            base_digest = head.digest
        self._s = State(
            config=config,
            genesis_hash=genesis_hash,
            membership=membership,
            head=head,
            keyring=keyring,
            digest_of=digest_of,
            base_digest=base_digest,
            is_doubtful=is_log_new,
        )
        recovery.restore(self._s, recovered)

    def step(self, event: Event, now_ms: int) -> tuple[Effect, ...]:
        """Advance by one event at `now_ms` of a clock that never runs back.

        Raises nothing on account of a peer: bad input becomes `Suspect` or is ignored. After
        `Halt` every step is empty.
        """
        s = self._s
        if s.halted is not None:
            return ()
        s.effects = []
        is_quiet = s.started_ms is not None and _changes_no_table(s, event)
        try:
            pacemaker.begin_step(s, now_ms)
            _take(s, event)
            if not is_quiet:
                _settle(s)
            is_quiet = is_quiet and not s.is_connectivity_stale
            if pacemaker.lose_patience(s):
                is_quiet = False
                _settle(s)
            if not (is_quiet and pacemaker.is_arranged(s)):
                pacemaker.arrange(s)
        except DoubleSign as error:
            s.halt(f"asked to sign twice: {error}")
        except CorruptLog as error:
            s.halt(f"the vote log does not fit the epoch that begins: {error}")
        return tuple(s.effects)

    @property
    def wake_at(self) -> int | None:
        """The next instant at which a `Tick` matters; None when only an event can."""
        return None if self._s.halted is not None else self._s.wake_ms

    def waiting_for(self) -> Waiting:
        """What is awaited, from whom, since when: the answer to "why is nothing decided"."""
        return waiting_for(self._s)

    @property
    def head(self) -> Head:
        """The highest block that the application has applied."""
        return self._s.head

    @property
    def membership(self) -> Membership:
        """Who seals the block above the head."""
        return self._s.membership

    @property
    def me(self) -> MemberIndex | None:
        return self._s.me

    @property
    def epoch(self) -> Epoch:
        return self._s.epoch

    @property
    def term(self) -> Term:
        return self._s.term

    @property
    def view(self) -> View:
        """The view last entered."""
        return self._s.view

    @property
    def asked(self) -> View:
        """The view asked for; equal to `view` outside view changes."""
        return self._s.asked

    @property
    def primary(self) -> MemberIndex:
        return self._s.primary

    @property
    def is_learner(self) -> bool:
        return self._s.is_learner or self._s.is_resting

    @property
    def may_attest(self) -> bool:
        """Whether it can say, with a signature, that it has sent no COMMIT above its head.

        Not while it may have forgotten one (rule 25), and not while a decision is on its way.
        """
        s = self._s
        return (
            s.may_vote
            and s.halted is None
            and s.decision is None
            and s.me is not None
            and s.commits[s.me] is None
            and s.must_reach <= s.head.height
        )

    @property
    def is_doubtful(self) -> bool:
        """Whether this key may have signed more than its vote log says."""
        return self._s.is_doubtful

    @property
    def is_level(self) -> bool:
        """Whether f + 1 others claim heads that are not above ours, and at most f higher ones.

        No proof: a reason to believe that this replica has what the others have. What f members
        say does not count, or a single liar that boasts could keep it from being level for ever.
        """
        return recovery.is_level(self._s)

    @property
    def is_connected(self) -> bool:
        """Whether q members are online, this one included."""
        return self._s.is_connected

    @property
    def online(self) -> tuple[MemberIndex, ...]:
        """Members heard of lately, this one included."""
        return tuple(MemberIndex(i) for i in range(self._s.n) if self._s.is_online(MemberIndex(i)))

    @property
    def in_flight(self) -> Digest | None:
        """Digest of the proposal of the entered view, if there is one."""
        proposal = self._s.proposal
        return None if proposal is None else proposal.digest

    @property
    def prepared_by(self) -> tuple[MemberIndex, ...]:
        """Members whose PREPARE in the entered view is held."""
        s = self._s
        return tuple(v.sender for v in s.prepares if v is not None and v.slot.view == s.view)

    @property
    def committed_by(self) -> tuple[MemberIndex, ...]:
        """Members whose COMMIT in the entered view is held."""
        s = self._s
        return tuple(v.sender for v in s.commits if v is not None and v.slot.view == s.view)

    @property
    def timeout_ms(self) -> int:
        """Present length of the progress and view timers."""
        return self._s.timers.timeout_ms

    @property
    def commit_latency_ms(self) -> int:
        """Smoothed time from when a height is open to its decision."""
        return self._s.timers.commit_latency_ms

    def fetched_above(self, height: int) -> tuple[SealedBlock, ...]:
        """Return blocks that were fetched and follow on `height`; nobody has verified them.

        Those of the first member that sent the next one.
        """
        for member in sorted(self._s.buffered):
            blocks = self._s.buffered[member]
            place = height + 1 - blocks[0].height
            if 0 <= place < len(blocks):
                return blocks[place:]
        return ()

    @property
    def halted(self) -> str | None:
        """Why the replica stopped, if it did."""
        return self._s.halted

    @property
    def table_sizes(self) -> dict[str, int]:
        """Entries held on account of peers, for metrics and the flood test (rule 33)."""
        s = self._s
        return {
            "pre_prepares": len(s.pre_prepares),
            "prepares": len(s.prepares),
            "commits": len(s.commits),
            "view_changes": len(s.view_changes),
            "stash": len(s.stash),
            "buffered": len(s.buffered),
            "heads": len(s.heads),
            "verified": len(s.verified),
            "verdicts": len(s.verdicts),
            "accused": len(s.accused),
            "signed": 0 if s.signer is None else len(s.signer),
        }


def _changes_no_table(s: State, event: Event) -> bool:
    """Whether no rule that did not apply before can apply after it: most events are such."""
    if type(event) is Receive:
        message = event.message
        if type(message) in _IDLE:
            return True
        return isinstance(message, Prepare | Commit) and not normal_case.is_now(s, message)
    return type(event) is Tick


def _take(s: State, event: Event) -> None:
    match event:
        case Receive(sender, message):
            _receive(s, sender, message)
        case Tick():
            s.is_connectivity_stale = True
        case Applied():
            _applied(s, event)
        case Validated():
            normal_case.on_validated(s, event)
        case Built() | NothingToBuild():
            normal_case.on_built(s, event)
        case Pending(is_pending):
            s.is_pending = is_pending
        case Offered(blocks):
            catch_up.on_offered(s, blocks)
        case Rest():
            s.is_resting = True
            s.timers.stop()
        case PeerUp() | PeerDown():
            _on_link(s, event)
        case _:
            assert_never(event)


def _on_link(s: State, event: PeerUp | PeerDown) -> None:
    member = event.member
    if isinstance(event, PeerUp):
        _hear(s, member)
        retransmission.send_status(s, member)
        recovery.ask_head(s, member)
        return
    s.peers[member].is_up = False
    s.peers[member].asked_blocks_ms = None
    s.is_connectivity_stale = True


def _hear(s: State, member: MemberIndex) -> None:
    peer = s.peers[member]
    if not peer.is_online(s.now_ms, s.config.heartbeat_overdue_ms):
        s.is_connectivity_stale = True
    peer.is_up = True
    peer.heard_ms = s.now_ms


def _receive(s: State, sender: MemberIndex, message: Message) -> None:
    if not 0 <= sender < s.n or sender == s.me:
        return  # A link of a former epoch, or our own echo.
    _hear(s, sender)
    if s.is_resting and not isinstance(message, Status | GetHead | GetBody | GetBlocks):
        return
    match message:
        case PrePrepare() | Prepare() | Commit():
            normal_case.on_vote(s, sender, message)
        case Status():
            retransmission.on_status(s, sender, message)
        case ViewChange():
            view_change.on_view_change(s, sender, message)
        case NewView():
            view_change.on_new_view(s, sender, message)
        case _:
            _receive_request_or_reply(s, sender, message)


def _receive_request_or_reply(
    s: State,
    sender: MemberIndex,
    message: GetHead | HeadReply | GetBody | BodyReply | GetBlocks | Blocks | Shown,
) -> None:
    match message:
        case GetHead():
            recovery.on_get_head(s, sender, message)
        case HeadReply():
            recovery.on_head_reply(s, sender, message)
        case GetBody():
            catch_up.on_get_body(s, sender, message)
        case BodyReply():
            catch_up.on_body_reply(s, sender, message)
        case GetBlocks():
            catch_up.on_get_blocks(s, sender, message)
        case Blocks():
            catch_up.on_blocks(s, sender, message)
        case Shown():
            comparison.on_shown(s, sender, message)
        case _:
            assert_never(message)


def _applied(s: State, event: Applied) -> None:
    """The decided block is durable: move the head, and the term or epoch if it ends here."""
    block = s.applying
    if block is None or (event.height, event.digest) != (block.height, block.digest):
        s.halt(f"the application applied height {event.height}, which was not decided")
        return
    s.applying = None
    s.head, s.head_body = block.head, block.body
    remember_head(s, s.head)
    s.progressed_ms = s.now_ms
    s.is_building = False
    term = event.membership.term(block.height + 1)
    if s.signer is not None:
        s.signer.forget_decided(block.height, term)
    if event.membership != s.membership:
        was_member = s.me is not None
        s.enter_epoch(event.membership, block.digest)
        recovery.begin_epoch(s, is_witnessed=event.is_witnessed, was_member=was_member)
    elif term != s.term:
        s.enter_term()
    else:
        s.enter_height()
    normal_case.replay_stash(s)


def _settle(s: State) -> None:
    while s.halted is None and s.applying is None and not s.is_resting:
        for rule in _RULES:
            if rule(s):
                break
        else:
            return
