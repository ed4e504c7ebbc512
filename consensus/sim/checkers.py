"""Properties checked at every step of the simulator; each names the rule that it guards.

Only correct members are held to them: a twin is Byzantine and may do anything, and one whose
disk failed counts as faulty, too. Checkers keep
their own record of what was signed, so a bug in the core's verification cannot blind them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never, final

from consensus.certificates import Kind, Seal, SignedVote, Slot
from consensus.events import Evidence, Suspect
from consensus.membership import Height
from consensus.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Signed,
    ViewChange,
)
from consensus.sim.app import GENESIS_DIGEST, decode_block, digest_of
from consensus.sim.epochs import Epochs
from consensus.sim.innocence import Innocence
from consensus.sim.violation import InvariantViolation, certificate_size
from consensus.vote_log import (
    CommitRecord,
    NewViewRecord,
    ProposalRecord,
    Record,
    ViewChangeRecord,
)
from consensus.wire import signed_core
from crypto.hashing import Digest


def _short(digest: bytes) -> str:
    return digest.hex()[:8]


def _slot_text(slot: Slot) -> str:
    return f"epoch {slot.epoch} term {slot.term} view {slot.view} height {slot.height}"


@final
class SignOnce:
    """A correct key signs one digest for a slot, whatever crashes lie between (rules 23, 24).

    And after a VIEW-CHANGE for a view it signs nothing new in a lower one (rule 10).
    """

    def __init__(self) -> None:
        self._signed: dict[tuple[int, Kind, Slot], bytes] = {}
        self._asked: dict[tuple[int, int, int], int] = {}
        """(member, epoch, term) -> highest view asked for."""

    def note(self, vote: SignedVote) -> None:
        """Record that a correct member has signed `vote`, or raise."""
        slot = _key_slot(vote)
        key = (vote.sender, vote.kind, slot)
        before = self._signed.get(key)
        if before == vote.digest:
            return
        if before is not None:
            raise InvariantViolation(
                "sign_once",
                f"member {vote.sender} signed {vote.kind.name} for {_short(before)} and "
                f"{_short(vote.digest)} in {_slot_text(slot)}",
            )
        self._signed[key] = vote.digest
        term = (vote.sender, slot.epoch, slot.term)
        asked = self._asked.get(term, 0)
        if vote.kind is Kind.VIEW_CHANGE:
            self._asked[term] = max(asked, slot.view)
        elif vote.kind is not Kind.NEW_VIEW and slot.view < asked:
            raise InvariantViolation(
                "no_vote_below_view_change",
                f"member {vote.sender} asked for view {asked} and then signed "
                f"{vote.kind.name} in {_slot_text(slot)}",
            )

    def has_noted(self, vote: SignedVote) -> bool:
        """The same for a vote of any kind."""
        return self.has_signed(vote.sender, vote.kind, _key_slot(vote), vote.digest)

    def has_signed(self, member: int, kind: Kind, slot: Slot, digest: bytes) -> bool:
        """Whether a correct member is known to have signed this."""
        return self._signed.get((member, kind, slot)) == digest


def _key_slot(vote: SignedVote) -> Slot:
    """The slot without what may differ: a VIEW-CHANGE is one per (term, view), whatever head."""
    if vote.kind is not Kind.VIEW_CHANGE:
        return vote.slot
    slot = vote.slot
    return Slot(epoch=slot.epoch, term=slot.term, view=slot.view, height=Height(0))


@final
class Durability:
    """What a message promises is on the sender's disk before the message leaves (rule 23)."""

    @staticmethod
    def on_send(member: int, message: Signed, records: Sequence[Record]) -> None:
        """Check one outgoing message against the synced records of its sender, or raise."""
        if not any(_is_backed(message, record) for record in reversed(records)):
            raise InvariantViolation(
                "durability",
                f"member {member} sent {type(message).__name__} in {_slot_text(message.slot)} "
                "before the record that it rests on was synced",
            )


def _is_backed(message: Signed, record: Record) -> bool:
    match message:
        case PrePrepare():
            return isinstance(record, ProposalRecord) and _holds_body(record, message)
        case Prepare():
            return (
                isinstance(record, ProposalRecord)
                and record.prepare == message
                and _holds_body(record, message)
            )
        case Commit():
            return isinstance(record, CommitRecord) and record.commit == message
        case ViewChange():
            return isinstance(record, ViewChangeRecord) and record.view_change == message
        case NewView():
            return isinstance(record, NewViewRecord) and record.new_view == message
        case _:
            assert_never(message)


def _holds_body(record: ProposalRecord, vote: PrePrepare | Prepare) -> bool:
    kept = record.pre_prepare
    return kept.slot == vote.slot and kept.digest == vote.digest == digest_of(kept.body)


@final
class Agreement:
    """Safety: all correct members apply the same blocks in the same order, without gaps.

    The first to apply a height writes the canonical history (Castro & Liskov, OSDI '99,
    section 4.5.1). What a member has applied it never applies anew with other content, also
    not after a restart (rules 8, 9).
    """

    def __init__(self) -> None:
        self.history: list[tuple[Digest, int]] = []

    def on_apply(self, instance: int, applied: int, block: SealedBlock) -> None:
        """Check that a correct instance with `applied` blocks may apply `block`, or raise."""
        if block.height != applied + 1:
            raise InvariantViolation(
                "agreement", f"instance {instance} applied {block.height} after {applied}"
            )
        if block.height == len(self.history) + 1:
            self.history.append((block.digest, instance))
        agreed, first = self.history[block.height - 1]
        if block.digest != agreed:
            raise InvariantViolation(
                "agreement",
                f"height {block.height}: instance {instance} applied {_short(block.digest)}, "
                f"instance {first} applied {_short(agreed)}",
            )


@final
class Seals:
    """A seal holds COMMITs of one view by exactly q members, each truly signed (rules 2, 3).

    A correct member's COMMIT must also be one that this member is known to have signed.
    """

    def __init__(self, epochs: Epochs, sign_once: SignOnce) -> None:
        self._epochs = epochs
        self._sign_once = sign_once
        self._seen: set[tuple[int, Digest, Seal]] = set()

    def on_apply(self, block: SealedBlock) -> None:
        """Verify the seal of a block that a correct member applies, or raise."""
        key = (block.height, block.digest, block.seal)
        if key in self._seen:
            return
        members = [member for member, _ in block.seal.signatures]
        enough = certificate_size(self._epochs.at(block.height).n)
        if len(set(members)) != enough or len(members) != enough:
            raise InvariantViolation("seals", f"height {block.height} is sealed by {members}")
        slot = self._epochs.commit_slot(block.height, block.seal.view)
        for member, signature in block.seal.signatures:
            if not self._epochs.is_signed(Kind.COMMIT, slot, block.digest, member, signature):
                raise InvariantViolation(
                    "seals", f"{_slot_text(slot)}: no valid COMMIT of member {member} in the seal"
                )
            known = self._sign_once.has_signed(member, Kind.COMMIT, slot, block.digest)
            if not known and not self._epochs.is_faulty(slot.epoch, member):
                raise InvariantViolation(
                    "seals", f"{_slot_text(slot)}: member {member} never signed that COMMIT"
                )
        self._seen.add(key)


@final
class Validity:
    """Blocks form a chain of client transactions, each executed at most once."""

    def __init__(self) -> None:
        self._tip = GENESIS_DIGEST
        self._height = 0
        self._time_ms = 0
        self.submitted: set[int] = set()
        self.executed: set[int] = set()

    def on_apply(self, block: SealedBlock) -> None:
        """Check a block when the first correct member applies it, or raise."""
        if block.height <= self._height:
            return
        content = decode_block(block.body)
        if content is None or digest_of(block.body) != block.digest:
            raise InvariantViolation("validity", f"height {block.height}: body does not fit")
        if content.height != block.height or content.parent != self._tip:
            raise InvariantViolation("validity", f"height {block.height}: not on its parent")
        if content.time_ms <= self._time_ms:
            raise InvariantViolation("validity", f"height {block.height}: time does not rise")
        for nonce in content.nonces:
            if nonce in self.executed:
                raise InvariantViolation("at_most_once", f"nonce {nonce} executed twice")
            if nonce not in self.submitted:
                raise InvariantViolation("validity", f"nonce {nonce} came from no client")
            self.executed.add(nonce)
        self._tip, self._height, self._time_ms = block.digest, block.height, content.time_ms


@final
class Accusations:
    """A correct member suspects and convicts Byzantine members only (rule 36)."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self.made = 0

    def on_suspect(self, instance: int, epoch: int, suspect: Suspect) -> None:
        """Check a suspicion of a correct instance that is in `epoch`, or raise."""
        self.made += 1
        if not self._epochs.is_faulty(epoch, suspect.member):
            raise InvariantViolation(
                "accusations",
                f"instance {instance} suspects correct member {suspect.member}: "
                f"{suspect.reason.name} ({suspect.detail})",
            )

    def on_evidence(self, instance: int, evidence: Evidence) -> None:
        """Check that the two votes convict a Byzantine member before any judge, or raise."""
        first, second = evidence.first, evidence.second
        self.made += 1
        for vote in (first, second):
            if not self._epochs.is_vote_signed(vote):
                raise InvariantViolation("accusations", f"evidence of {instance} is not signed")
        if first.sender != second.sender or not _contradict(evidence):
            raise InvariantViolation("accusations", f"evidence of {instance} contradicts nothing")
        if not self._epochs.is_faulty(first.slot.epoch, first.sender):
            raise InvariantViolation("accusations", f"evidence against correct {first.sender}")


def _contradict(evidence: Evidence) -> bool:
    """Whether one correct member cannot have signed both; computed apart from the core's."""
    first, second, asked = evidence.first, evidence.second, evidence.view_change
    if asked is not None:
        height, certificate = first.slot.height, asked.prepared
        is_shown = asked.head.height >= height or (
            certificate is not None
            and certificate.slot.height == height
            and (certificate.slot.view, certificate.digest == first.digest)
            >= (first.slot.view, True)
        )
        is_later = asked.slot.view > first.slot.view and second == signed_core(asked)
        same_term = (asked.slot.epoch, asked.slot.term) == (first.slot.epoch, first.slot.term)
        return first.kind is Kind.COMMIT and is_later and same_term and not is_shown
    if first.kind is second.kind:
        differ = (first.slot, first.digest) != (second.slot, second.digest)
        return _key_slot(first) == _key_slot(second) and differ
    is_split = first.kind in (Kind.PRE_PREPARE, Kind.PREPARE) and second.kind is Kind.COMMIT
    return is_split and first.slot == second.slot and first.digest != second.digest


@final
class Checkers:
    """All of them, called by the cluster; `instance` is always a correct one."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self.sign_once = SignOnce()
        self._noted: set[bytes] = set()
        """Signatures, each over all that its message says."""
        self._innocence = Innocence()
        self.agreement = Agreement()
        self.validity = Validity()
        self.accusations = Accusations(epochs)
        self._seals = Seals(epochs, self.sign_once)

    def on_signed(self, message: Signed) -> None:
        """A correct member signed `message`: it was sent, or synced to the vote log."""
        if message.signature in self._noted:
            return  # It is synced before it is sent, and sent again.
        self._noted.add(message.signature)
        self.sign_once.note(signed_core(message))
        found = self._innocence.convict(message)
        if found is not None:
            raise InvariantViolation("innocence", f"correct member {message.sender}: {found}")

    def on_records(self, records: Iterable[Record], member: int) -> None:
        """A correct member's records are durable: what it signed in them counts as signed."""
        for record in records:
            for message in own_messages(record, member):
                self.on_signed(message)

    def on_prefix(self, block: SealedBlock) -> None:
        """A block of the chain that is there at the start: all that sealed it signed it."""
        self.validity.submitted.update(_nonces(block))
        slot = self._epochs.commit_slot(block.height, block.seal.view)
        for member, signature in block.seal.signatures:
            self.sign_once.note(
                SignedVote(
                    kind=Kind.COMMIT,
                    slot=slot,
                    digest=block.digest,
                    sender=member,
                    signature=signature,
                )
            )
        self.on_apply(0, block.height - 1, block)

    def on_apply(self, instance: int, applied: int, block: SealedBlock) -> None:
        is_first = block.height > len(self.agreement.history)
        self.agreement.on_apply(instance, applied, block)
        self._seals.on_apply(block)
        self.validity.on_apply(block)
        content = decode_block(block.body)
        if is_first and content is not None:
            self._epochs.on_decided(content)


def _nonces(block: SealedBlock) -> tuple[int, ...]:
    content = decode_block(block.body)
    return () if content is None else content.nonces


def own_messages(record: Record, member: int) -> Iterator[Signed]:
    """What `member` signed itself in one of its records."""
    match record:
        case ProposalRecord(pre_prepare, prepare):
            if pre_prepare.sender == member:
                yield pre_prepare
            if prepare is not None:
                yield prepare
        case CommitRecord(_, commit):
            yield commit
        case ViewChangeRecord(view_change):
            yield view_change
        case NewViewRecord(new_view):
            if new_view.sender == member:
                yield new_view
        case _:
            assert_never(record)
