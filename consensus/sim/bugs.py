"""The deliberate bugs: what each function of the core would be if it broke its rule.

Written against the core's own names, one bug a function, as close to a mistake that somebody
has made as can be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from consensus.certificates import (
    Head,
    Kind,
    PreparedCertificate,
    Seal,
    SignedVote,
    SigningDomain,
    Slot,
)
from consensus.config import ConsensusConfig
from consensus.errors import CorruptLog, DoubleSign
from consensus.events import Applied, Apply, Persist, Reason, Send, Validate
from consensus.membership import MemberIndex, Membership, Term, View
from consensus.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Status,
    ViewChange,
    Vote,
)
from consensus.normal_case import When, when
from consensus.normal_case import on_vote as on_vote_rightly
from consensus.peers import Peer
from consensus.quorum import Quorum
from consensus.recovery import begin_epoch as begin_epoch_rightly
from consensus.recovery import restore as restore_rightly
from consensus.replica import _applied as applied_rightly
from consensus.retransmission import _answer as answer_rightly
from consensus.signer import Signer
from consensus.state import Choice, State
from consensus.tally import prepared_certificate
from consensus.verification import accuse, is_head_proven
from consensus.view_change import ask as ask_rightly
from consensus.view_change import on_view_change as on_view_change_rightly
from consensus.vote_log import CommitRecord, ProposalRecord, Record, Replay
from consensus.vote_log import compact as compact_rightly
from consensus.vote_log import replay as replay_rightly
from consensus.wire import signed_core
from crypto.hashing import Digest

_PAYLOAD = SigningDomain.payload
_SIGN = Signer.sign
_ENTER_EPOCH = State.enter_epoch


def ask_without_certificate(s: State, view: View) -> bool:
    """Ask for a view and say nothing of what was prepared (rule 1)."""
    prepared, s.certificate = s.certificate, None
    try:
        return ask_rightly(s, view)
    finally:
        s.certificate = prepared


def believe_new_view(s: State, m: NewView) -> str | None:
    """Take the new primary's word for what was prepared (rule 1)."""
    return None if len(m.view_changes) > s.f else "none of it can be true"


def believe_accuser(s: State, sender: MemberIndex, m: Shown) -> None:
    """Accuse on the word of another, without a look at the signature (rule 36)."""
    known = s.pre_prepares.get(m.vote.slot.view)
    if known is not None and known.slot == m.vote.slot and known.digest != m.vote.digest:
        accuse(s, known, m.vote)
    s.claims(sender, 0)


def carry_nothing(_self: State) -> PreparedCertificate | None:
    """Propose and accept a new block in a new view, whatever it is bound to (rule 1)."""
    return None


def believe_certificate(s: State, certificate: PreparedCertificate) -> bool:
    """Look at the slot of a certificate and not at its signatures (rule 1)."""
    return certificate.slot.epoch == s.epoch


def believe_head(s: State, head: Head) -> bool:
    """Believe a head without its seal (rule 17)."""
    return head.height >= s.membership.first_height or head.seal is None


def one_term_for_ever(self: Membership, _height: int) -> Term:
    """Never hand the lead over (rule 16)."""
    return self.first_term


def compact_away_views(
    records: Iterable[Record], *, epoch: int, term: int, height: int
) -> tuple[Record, ...]:
    """Drop the own VIEW-CHANGEs with the decided votes (rule 23)."""
    kept = compact_rightly(records, epoch=epoch, term=term, height=height)
    return tuple(r for r in kept if isinstance(r, ProposalRecord | CommitRecord))


def stash_all(s: State, vote: Vote) -> None:
    """Keep every vote that comes too early (rule 33)."""
    kept: list[Vote] = vars(s).setdefault("every_early_vote", [])
    kept.append(vote)


def believe_vote(s: State, vote: Vote) -> bool:
    """Count votes without a look at their signatures (rule 34)."""
    return vote.sender < s.n


def prepared_by_q_others(
    pre_prepare: PrePrepare, prepares: Sequence[Prepare | None], q: int
) -> PreparedCertificate | None:
    """Demand q PREPAREs beside the PRE-PREPARE (rule 2)."""
    enough = prepared_certificate(pre_prepare, prepares, q + 1)
    return None if enough is None else prepared_certificate(pre_prepare, prepares, q)


def prepared_with_the_primary_twice(
    pre_prepare: PrePrepare, prepares: Sequence[Prepare | None], q: int
) -> PreparedCertificate | None:
    """Be content with q - 2 PREPAREs beside the PRE-PREPARE (rule 2)."""
    return prepared_certificate(pre_prepare, prepares, q - 1)


def prepared_across_digests(
    pre_prepare: PrePrepare, prepares: Sequence[Prepare | None], q: int
) -> PreparedCertificate | None:
    """Count PREPAREs for whatever digest."""
    matching = [
        (vote.sender, vote.signature)
        for vote in prepares
        if vote is not None and vote.slot == pre_prepare.slot and vote.sender != pre_prepare.sender
    ]
    if len(matching) < q - 1:
        return None
    return PreparedCertificate(
        pre_prepare=signed_core(pre_prepare), prepares=tuple(matching[: q - 1])
    )


def two_f_plus_one(self: Quorum) -> int:
    """The familiar quorum, for any n (rule 3)."""
    return 2 * self.f + 1


def one_too_few(self: Quorum) -> int:
    """A certificate short of one vote (rule 3)."""
    return (self.n + self.f) // 2


def choose_lowest_view(view_changes: Sequence[ViewChange]) -> Choice:
    """Let the certificate of the lowest view win (rule 4)."""
    head = max((m.head for m in view_changes), key=lambda head: head.height)
    found = [m.prepared for m in view_changes if m.prepared is not None]
    above = [c for c in found if c.slot.height == head.height + 1]
    return Choice(head, min(above, key=lambda c: c.slot.view, default=None))


def choose_above_any_head(view_changes: Sequence[ViewChange]) -> Choice:
    """Carry a certificate whatever head it stands on (rule 7)."""
    head = max((m.head for m in view_changes), key=lambda head: head.height)
    found = [m.prepared for m in view_changes if m.prepared is not None]
    return Choice(head, max(found, key=lambda c: c.slot.view, default=None))


def take_any_block(s: State) -> bool:
    """Apply what a reply starts with, also if it was applied before (rule 8)."""
    for member in sorted(s.buffered):
        block = s.buffered.pop(member)[0]
        if block.height <= s.height and is_head_proven(s, block.head):
            s.applying = block
            s.emit(Apply(block, executed=False))
            return True
    return False


def take_unsealed_block(s: State) -> bool:
    """Apply blocks of others without a look at their seals (rule 20)."""
    for member in sorted(s.buffered):
        block = s.buffered.pop(member)[0]
        if block.height == s.height:
            s.applying = block
            s.emit(Apply(block, executed=False))
            return True
    return False


def apply_later(s: State, block: SealedBlock) -> None:
    """Leave the height open until the application has finished (rule 9, as besu 1734)."""
    vars(s)["late"] = block
    s.emit(Apply(block, executed=False))
    s.enter_height()


def applied_late(s: State, event: Applied) -> None:
    """The other half: only now is the height decided."""
    s.applying = vars(s)["late"]
    applied_rightly(s, event)


def is_active_whatever_was_asked(self: State) -> bool:
    """Vote in the entered view even after asking for a later one (rule 10)."""
    return self.may_vote


def quorum_always(s: State) -> bool:
    """Climb whether or not others take part (rule 11)."""
    return s.n > 0


def connected_always(s: State) -> None:
    """Run timers whether or not a quorum is there (rule 11)."""
    s.is_connectivity_stale = False
    s.is_connected = True


def timeout_without_cap(config: ConsensusConfig, latency_ms: int, failed_views: int) -> int:
    """Double for ever (rule 11)."""
    base = max(config.progress_base_ms, 4 * latency_ms + 4 * config.block_compute_ms)
    return int(base << failed_views)


def join_nobody(s: State) -> bool:
    """Wait for the own timer, however many ask for a later view (rule 12)."""
    return s.n == 0


def keep_every_view_change(s: State, sender: MemberIndex, m: ViewChange) -> None:
    """Keep all VIEW-CHANGEs of a member (rule 13)."""
    on_view_change_rightly(s, sender, m)
    kept: list[ViewChange] = vars(s).setdefault("every_view_change", [])
    kept.append(m)


def hear_status_only(s: State, sender: MemberIndex, m: Status) -> None:
    """Never send again what was lost (rule 14)."""
    s.claims(sender, m.slot.height)


def answer_with_new_view(s: State, sender: MemberIndex, m: Status) -> None:
    """Send the NEW-VIEW also to one that asked for a later view and refuses it (rule 14)."""
    if m.slot.view < s.view and s.new_view is not None:
        s.emit(Send(sender, s.new_view))
    else:
        answer_rightly(s, sender, m)


def vote_at_once(s: State) -> None:
    """Start as a voter (rule 19)."""
    s.is_learner = False


def applied_and_rested(s: State, event: Applied) -> None:
    """Take the last block of known rules for the end of the rest (rule 19)."""
    applied_rightly(s, event)
    s.is_resting = False


def may_vote_while_resting(self: State) -> bool:
    """Keep the right to ask for a view where the rules are not known (rule 19)."""
    return self.me is not None and not self.is_learner and self.applying is None


def persist_nothing(self: State, *records: Record) -> None:
    """Trust that the power stays on (rule 23)."""


def persist_without_bodies(self: State, *records: Record) -> None:
    """Sync votes but not the bodies they are for (rule 23)."""
    stripped = tuple(
        replace(record, pre_prepare=replace(record.pre_prepare, body=b""))
        if isinstance(record, ProposalRecord)
        else record
        for record in records
    )
    self.effects.append(Persist(stripped))


def restore_nothing(s: State, records: Sequence[Record]) -> None:
    """Start as if nothing had been signed (rule 24)."""
    restore_rightly(s, ())


def sign_never_again(self: Signer, kind: Kind, slot: Slot, digest: Digest) -> bytes:
    """Refuse to repeat an own vote (rule 24, as tendermint 3089)."""
    vote = SignedVote(
        kind=kind, slot=slot, digest=digest, sender=MemberIndex(0), signature=bytes(64)
    )
    if self.knows(vote):
        raise DoubleSign("already signed")
    return _SIGN(self, kind, slot, digest)


def sign_anything(self: Signer, kind: Kind, slot: Slot, digest: Digest) -> bytes:
    """Remember nothing (rule 24)."""
    self.forget_decided(2**63, 2**63)
    return _SIGN(self, kind, slot, digest)


def replay_refusing_torn_tail(data: bytes) -> Replay:
    """Take an unfinished write for corruption (rule 26)."""
    found = replay_rightly(data)
    if found.valid_bytes != len(data):
        raise CorruptLog("torn")
    return found


def replay_up_to_damage(data: bytes) -> Replay:
    """Take corruption for an unfinished write (rule 26)."""
    refused, taken = len(data) + 1, 0
    while taken + 1 < refused:
        end = (taken + refused) // 2
        try:
            replay_rightly(data[:end])
            taken = end
        except CorruptLog:
            refused = end
    return replay_rightly(data[:taken])


def payload_without_kind(self: SigningDomain, _kind: Kind, slot: Slot, digest: bytes) -> bytes:
    """Let a PREPARE's signature stand for a COMMIT's (rule 27)."""
    return _PAYLOAD(self, Kind.COMMIT, slot, digest)


def payload_without_view(self: SigningDomain, kind: Kind, slot: Slot, digest: bytes) -> bytes:
    """Let a vote of one view stand for another's (rule 27)."""
    return _PAYLOAD(self, kind, replace(slot, view=View(0)), digest)


def validate_carried_as_fresh(s: State, digest: Digest, body: bytes) -> bool:
    """Measure a carried block against the clock (rule 32)."""
    if s.validating is not None:
        return False
    s.validating = (digest, True)
    s.emit(Validate(s.height, digest, body, fresh=True))
    return True


def decided_across_views(commits: Sequence[Commit | None], q: int) -> tuple[Digest, Seal] | None:
    """Add up COMMITs of several views."""
    for first in commits:
        same = [v for v in commits if v is not None and first and v.digest == first.digest]
        if first is not None and len(same) >= q:
            view = max(v.slot.view for v in same)
            signatures = tuple((v.sender, v.signature) for v in same[:q])
            return first.digest, Seal(view=view, signatures=signatures)
    return None


def decided_across_digests(commits: Sequence[Commit | None], q: int) -> tuple[Digest, Seal] | None:
    """Add up COMMITs for several digests."""
    for first in commits:
        same = [v for v in commits if v is not None and first and v.slot == first.slot]
        if first is not None and len(same) >= q:
            signatures = tuple((v.sender, v.signature) for v in same[:q])
            return first.digest, Seal(view=first.slot.view, signatures=signatures)
    return None


def is_always_open(_s: State) -> bool:
    """Find something open where nothing is, so that timers run while idle."""
    return True


def blame_for_being_late(s: State, sender: MemberIndex, vote: Vote) -> None:
    """Hold a vote for a decided height against its sender."""
    if when(s, vote) is When.PAST:
        s.suspect(sender, Reason.BAD_SLOT, "for a height that is decided")
    on_vote_rightly(s, sender, vote)


def forget_what_is_shown(_s: State, _sender: MemberIndex, _vote: SignedVote) -> None:
    """Take no notice of own signatures that the log does not hold (rule 25)."""


def trust_any_log(s: State) -> int:
    """Count an own log that may have been lost as a witness (rule 25)."""
    return s.q - 1


def begin_epoch_at_once(s: State, *, is_witnessed: bool, was_member: bool) -> None:
    """End all quarantine where an epoch begins, though it is only replayed (rule 25)."""
    begin_epoch_rightly(s, is_witnessed=is_witnessed or s.me is not None, was_member=was_member)


def applied_in_the_old_set(s: State, event: Applied) -> None:
    """Go on with the members of before (rule 28)."""
    applied_rightly(s, replace(event, membership=s.membership))


def enter_epoch_in_the_old_domain(
    self: State, membership: Membership, base_digest: Digest | None
) -> None:
    """Sign and verify as if the first member set were there for ever (rule 28)."""
    first: SigningDomain | None = vars(self).get("domain")
    _ENTER_EPOCH(self, membership, base_digest)
    if first is not None:
        self.domain = first
        if self.me is not None:
            self.signer = Signer(self.keyring, first, self.me)


def enter_epoch_without_base(
    self: State, membership: Membership, _base_digest: Digest | None
) -> None:
    """Let nothing prove the block below the epoch (rule 28)."""
    _ENTER_EPOCH(self, membership, None)


def enter_epoch_in_the_old_view(
    self: State, membership: Membership, base_digest: Digest | None
) -> None:
    """Carry the view into the epoch that begins (rule 28)."""
    view: View = vars(self).get("view", View(0))
    _ENTER_EPOCH(self, membership, base_digest)
    self.set_view(view)
    self.asked = view


def one_ready_too_few(n: int) -> int:
    """Let a set take effect with a member too few to make it live (rule 29)."""
    return Quorum(n).certificate - 1


def serve_without_end(_self: Peer, _tag: int, _now_ms: int, _interval_ms: int) -> bool:
    """Answer whoever asks, as often as he asks (rule 35)."""
    return True
