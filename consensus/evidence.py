"""Evidence that a member broke the protocol: signed messages that no correct member can have made.

It convicts before anybody who knows the member set, and never an innocent (rule 36): each kind
rests on something that a correct replica does not sign whatever it hears and however often it
restarts, since its votes are synced before they leave (rules 10, 23, 24). A replica that lost its
vote log waits out the terms that it has forgotten (rule 25).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeAlias, assert_never, final

from consensus.certificates import Kind, SignedVote, SigningDomain, Slot
from consensus.errors import ConsensusError, MalformedMessage
from consensus.keyring import Keyring
from consensus.membership import Height, MemberIndex, Membership
from consensus.messages import ViewChange
from consensus.wire import (
    read_signed_vote,
    read_view_change,
    signed_core,
    signed_vote_to_value,
    to_value,
)
from crypto.codec import Encodable, Value, as_int, as_list, decode, encode
from crypto.errors import DecodeError
from crypto.hashing import Digest

EVIDENCE_BYTES_MAX = 20 * 1024
"""A VIEW-CHANGE with a seal and a certificate of the largest member set, and a vote."""


class InvalidEvidence(ConsensusError):
    """The messages convict nobody: a signature is not the member's, or the epoch is another."""


class Offence(IntEnum):
    """What was done. Numbers are on chain: never reuse a retired one."""

    DOUBLE_VOTE = 1
    SPLIT_VOTE = 2
    HIDDEN_CERTIFICATE = 3


@final
@dataclass(frozen=True, slots=True)
class DoubleVote:
    """Two signatures of one kind where one is allowed: for a slot, or for a view asked for.

    PRE-PREPARE, PREPARE, COMMIT and NEW-VIEW: one slot, two digests. VIEW-CHANGE: its bytes
    are frozen per (epoch, term, view), whatever the head.
    """

    TAG: ClassVar[Offence] = Offence.DOUBLE_VOTE
    first: SignedVote
    second: SignedVote
    """Above `first` by (height, digest)."""

    def __post_init__(self) -> None:
        one, two = self.first, self.second
        if (one.sender, one.kind) != (two.sender, two.kind):
            raise MalformedMessage("double vote: one member and one kind are needed")
        if place_of(one) != place_of(two):
            raise MalformedMessage("double vote: the slots must be one and the same")
        if _order(one) >= _order(two):
            raise MalformedMessage("double vote: must differ, and ascend by height and digest")

    @property
    def votes(self) -> tuple[SignedVote, SignedVote]:
        return self.first, self.second


@final
@dataclass(frozen=True, slots=True)
class SplitVote:
    """A proposal or PREPARE for one digest and a COMMIT to another, in one slot.

    A replica commits to what it proposed or prepared in that view, and to nothing else.
    """

    TAG: ClassVar[Offence] = Offence.SPLIT_VOTE
    vote: SignedVote
    commit: SignedVote

    def __post_init__(self) -> None:
        if self.vote.kind not in (Kind.PRE_PREPARE, Kind.PREPARE):
            raise MalformedMessage("split vote: must begin with a PRE-PREPARE or a PREPARE")
        if self.commit.kind is not Kind.COMMIT:
            raise MalformedMessage("split vote: must end with a COMMIT")
        if (self.vote.sender, self.vote.slot) != (self.commit.sender, self.commit.slot):
            raise MalformedMessage("split vote: one member and one slot are needed")
        if self.vote.digest == self.commit.digest:
            raise MalformedMessage("split vote: the digests agree")

    @property
    def votes(self) -> tuple[SignedVote, SignedVote]:
        return self.vote, self.commit


@final
@dataclass(frozen=True, slots=True)
class HiddenCertificate:
    """A COMMIT, and a VIEW-CHANGE for a later view that says nothing of what it rests on.

    Who commits holds a prepared certificate, and shows it, or a newer one, until the height is
    decided (rule 1). Nobody commits in a view below one that he asked for (rule 10), so it does
    not matter which of the two came first.
    """

    TAG: ClassVar[Offence] = Offence.HIDDEN_CERTIFICATE
    commit: SignedVote
    view_change: ViewChange

    def __post_init__(self) -> None:
        commit, asked = self.commit, self.view_change
        if commit.kind is not Kind.COMMIT:
            raise MalformedMessage("hidden certificate: must begin with a COMMIT")
        if commit.sender != asked.sender:
            raise MalformedMessage("hidden certificate: one member is needed")
        ours, theirs = commit.slot, asked.slot
        if (ours.epoch, ours.term) != (theirs.epoch, theirs.term) or theirs.view <= ours.view:
            raise MalformedMessage("hidden certificate: the view asked for must be a later one")
        if _shows(asked, commit):
            raise MalformedMessage("hidden certificate: the VIEW-CHANGE shows it")

    @property
    def votes(self) -> tuple[SignedVote, SignedVote]:
        return self.commit, signed_core(self.view_change)


Proof: TypeAlias = DoubleVote | SplitVote | HiddenCertificate
"""A value that exists convicts its member once its two signatures verify."""


def _shows(asked: ViewChange, commit: SignedVote) -> bool:
    """Whether a VIEW-CHANGE is what a correct signer of `commit` may send later."""
    height, view = commit.slot.height, commit.slot.view
    if asked.head.height >= height:
        return True
    certificate = asked.prepared
    if certificate is None or certificate.slot.height != height:
        return False
    shown = certificate.slot.view
    return shown > view or (shown == view and certificate.digest == commit.digest)


def place_of(vote: SignedVote) -> Slot:
    """The slot in which a second, other vote of this kind is an offence."""
    slot = vote.slot
    if vote.kind is not Kind.VIEW_CHANGE:
        return slot
    return Slot(epoch=slot.epoch, term=slot.term, view=slot.view, height=Height(0))


def _order(vote: SignedVote) -> tuple[int, bytes]:
    return vote.slot.height, vote.digest


def offender(proof: Proof) -> MemberIndex:
    """Index of the guilty member in the set of the proof's epoch."""
    return proof.votes[0].sender


def offence_key(proof: Proof) -> tuple[MemberIndex, Offence, Kind, Slot]:
    """What tells one offence from another: (offender, slot), and the kind (rule 36)."""
    vote = proof.votes[0]
    return vote.sender, proof.TAG, vote.kind, place_of(vote)


def proof_from(
    first: SignedVote,
    second: SignedVote,
    view_change: ViewChange | None = None,
) -> Proof | None:
    """What two messages of one member prove, given in any order; None: nothing.

    `view_change` is the message of which the other one is the signed core.
    """
    low, high = sorted((first, second), key=lambda v: (v.kind, _order(v)))
    try:
        if low.kind is high.kind:
            return DoubleVote(low, high)
        if high.kind is Kind.COMMIT:
            return SplitVote(low, high)
        if low.kind is Kind.COMMIT and view_change is not None:
            return HiddenCertificate(low, view_change)
    except MalformedMessage:
        pass
    return None


def verify_evidence(
    proof: Proof, *, genesis_hash: Digest, membership: Membership, keyring: Keyring
) -> bytes:
    """Accept the evidence before the member set of its epoch.

    Returns:
        The offender's node key.

    Raises:
        InvalidEvidence: another epoch, no such member, or a signature is not its own.
    """
    domain = SigningDomain(genesis_hash, membership.hash())
    for vote in proof.votes:
        if vote.slot.epoch != membership.epoch:
            raise InvalidEvidence(f"epoch must be {membership.epoch}, got {vote.slot.epoch}")
        if vote.sender >= membership.n:
            raise InvalidEvidence(f"member must be below {membership.n}, got {vote.sender}")
        payload = domain.payload(vote.kind, vote.slot, vote.digest)
        if not keyring.verify(membership.members[vote.sender], payload, vote.signature):
            raise InvalidEvidence(f"the {vote.kind.name} is not signed by member {vote.sender}")
    return membership.members[offender(proof)]


def encode_evidence(proof: Proof) -> bytes:
    """The one encoding: [offence, the first message, the second]."""
    second: list[Encodable]
    match proof:
        case DoubleVote() | SplitVote():
            second = signed_vote_to_value(proof.votes[1])
        case HiddenCertificate():
            second = to_value(proof.view_change)
        case _:
            assert_never(proof)
    return encode([proof.TAG, signed_vote_to_value(proof.votes[0]), second])


def decode_evidence(data: bytes) -> Proof:
    """The evidence whose one encoding is `data`.

    Raises:
        DecodeError: not the canonical bytes of messages that contradict each other.
    """
    value = decode(data, field="evidence", max_bytes=EVIDENCE_BYTES_MAX)
    tag, first, second = as_list(value, "evidence", 3)
    offence = Offence(as_int(tag, "evidence.offence", 1, len(Offence)))
    try:
        one = read_signed_vote(first, "evidence.first")
        return _read(offence, one, second)
    except MalformedMessage as error:
        raise DecodeError("evidence", str(error)) from None


def _read(offence: Offence, first: SignedVote, second: Value) -> Proof:
    match offence:
        case Offence.DOUBLE_VOTE:
            return DoubleVote(first, read_signed_vote(second, "evidence.second"))
        case Offence.SPLIT_VOTE:
            return SplitVote(first, read_signed_vote(second, "evidence.second"))
        case Offence.HIDDEN_CERTIFICATE:
            parts = as_list(second, "evidence.second", 6)
            as_int(parts[0], "evidence.second.tag", ViewChange.TAG, ViewChange.TAG)
            return HiddenCertificate(first, read_view_change(parts[1:]))
        case _:
            assert_never(offence)
