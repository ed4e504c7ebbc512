"""Evidence as the chain judges it: bytes in, the offence out, or a revert.

The same bytes and the same law as `consensus.evidence`, written again because contracts stand
beside consensus and not upon it; a test holds the two together. `docs/spec/consensus.md`, section
10, says why no correct member ever signs such a pair.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash
from crypto.keys import ED25519_SIGNATURE_BYTES
from market.abi import EVIDENCE_BYTES_MAX, RevertCode
from market.contracts.signed import check_ed25519
from vm.errors import Revert
from vm.members import MEMBERS_MAX, MemberSet
from vm.native import CallContext

DOUBLE_VOTE: Final = 1
SPLIT_VOTE: Final = 2
HIDDEN_CERTIFICATE: Final = 3
"""Offences: what was done."""

PRE_PREPARE: Final = 1
PREPARE: Final = 2
COMMIT: Final = 3
VIEW_CHANGE: Final = 4
NEW_VIEW: Final = 5
"""Kinds of votes, as they are signed."""

_COUNTER_MAX: Final = 2**62
_SIGNED = Struct(">BQQQQ32s")
_PAYLOAD_TAG: Final = b"hearth/pbft/1"
_VIEW_CHANGE_TAG: Final = b"hearth/pbft/view-change/1"


@final
@dataclass(frozen=True, slots=True)
class Place:
    """The slot of a vote."""

    epoch: int
    term: int
    view: int
    height: int


@final
@dataclass(frozen=True, slots=True)
class Vote:
    """The signed core of a consensus message."""

    kind: int
    place: Place
    digest: bytes
    sender: int
    """Index in the member set of the epoch."""
    signature: bytes


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """What a VIEW-CHANGE shows: its head's height, and its certificate's slot and digest."""

    head_height: int
    certificate: tuple[Place, bytes] | None


@final
@dataclass(frozen=True, slots=True)
class Accusation:
    """Evidence that was read, whose messages contradict each other. Signatures are unchecked."""

    offence: int
    votes: tuple[Vote, Vote]

    @property
    def place(self) -> Place:
        """The slot of the offence; of a VIEW-CHANGE, whatever its head."""
        vote = self.votes[0]
        return _place_of(vote)


def read_evidence(data: bytes) -> Accusation:
    """Return what `data` accuses of.

    Reverts:
        BAD_ARGUMENT: not the canonical bytes of two messages that contradict each other.
    """
    try:
        value = codec.decode(data, field="evidence", max_bytes=EVIDENCE_BYTES_MAX)
        tag, first, second = codec.as_list(value, "evidence", length=3)
        offence = codec.as_int(tag, "evidence.offence", DOUBLE_VOTE, HIDDEN_CERTIFICATE)
        one = _read_vote(first)
        if offence == HIDDEN_CERTIFICATE:
            two, shown = _read_view_change(second)
            is_guilty = _is_hidden(one, two, shown)
        else:
            two = _read_vote(second)
            is_guilty = _is_double(one, two) if offence == DOUBLE_VOTE else _is_split(one, two)
    except DecodeError as error:
        raise Revert(RevertCode.BAD_ARGUMENT, error.field) from None
    if not is_guilty or one.sender != two.sender:
        raise Revert(RevertCode.BAD_ARGUMENT, "the messages convict nobody")
    return Accusation(offence, (one, two))


def check_evidence(ctx: CallContext, accusation: Accusation, members: MemberSet) -> None:
    """Accept both signatures before the member set of the offence's epoch.

    Reverts:
        BAD_SIGNATURE: one of them is not the member's.
    """
    assert accusation.place.epoch == members.epoch, "the caller looks up the epoch's set"
    domain = members.hash()
    for vote in accusation.votes:
        place = vote.place
        fields = _SIGNED.pack(
            vote.kind, place.epoch, place.term, place.view, place.height, vote.digest
        )
        payload = tagged_hash(_PAYLOAD_TAG, ctx.first_hash, domain, fields)
        check_ed25519(ctx, members.keys[vote.sender], payload, vote.signature)


# The law -----------------------------------------------------------------------------------------


def _place_of(vote: Vote) -> Place:
    place = vote.place
    if vote.kind != VIEW_CHANGE:
        return place
    return Place(place.epoch, place.term, place.view, 0)


def _is_double(one: Vote, two: Vote) -> bool:
    same = one.kind == two.kind and _place_of(one) == _place_of(two)
    return same and (one.place.height, one.digest) < (two.place.height, two.digest)


def _is_split(one: Vote, two: Vote) -> bool:
    kinds = one.kind in (PRE_PREPARE, PREPARE) and two.kind == COMMIT
    return kinds and one.place == two.place and one.digest != two.digest


def _is_hidden(commit: Vote, asked: Vote, shown: Shown) -> bool:
    ours, theirs = commit.place, asked.place
    if commit.kind != COMMIT or (ours.epoch, ours.term) != (theirs.epoch, theirs.term):
        return False
    if theirs.view <= ours.view or shown.head_height >= ours.height:
        return False
    if shown.certificate is None or shown.certificate[0].height != ours.height:
        return True
    view, digest = shown.certificate[0].view, shown.certificate[1]
    return view < ours.view or (view == ours.view and digest != commit.digest)


# Reading -----------------------------------------------------------------------------------------


def _read_vote(value: codec.Value) -> Vote:
    kind, place, digest, sender, signature = codec.as_list(value, "vote", length=5)
    return Vote(
        codec.as_int(kind, "vote.kind", PRE_PREPARE, NEW_VIEW),
        _read_place(place),
        codec.as_bytes(digest, "vote.digest", DIGEST_BYTES),
        codec.as_int(sender, "vote.sender", 0, MEMBERS_MAX - 1),
        codec.as_bytes(signature, "vote.signature", ED25519_SIGNATURE_BYTES),
    )


def _read_place(value: codec.Value) -> Place:
    epoch, term, view, height = codec.as_list(value, "slot", length=4)
    return Place(
        codec.as_int(epoch, "slot.epoch", 0, _COUNTER_MAX),
        codec.as_int(term, "slot.term", 0, _COUNTER_MAX),
        codec.as_int(view, "slot.view", 0, _COUNTER_MAX),
        codec.as_int(height, "slot.height", 0, _COUNTER_MAX),
    )


def _read_view_change(value: codec.Value) -> tuple[Vote, Shown]:
    """Return its signed core and what it shows; what it rests on is read as strictly."""
    tag, slot, head, certificate, sender, signature = codec.as_list(value, "view_change", length=6)
    codec.as_int(tag, "view_change.tag", VIEW_CHANGE, VIEW_CHANGE)
    place = _read_place(slot)
    head_height = _read_head(head)
    if place.height != head_height or place.view < 1:
        raise DecodeError("view_change.slot", "must be at its head's height, for a view above 0")
    shown = Shown(head_height, None if certificate is None else _read_certificate(certificate))
    vote = Vote(
        VIEW_CHANGE,
        place,
        _digest_of(head, certificate),
        codec.as_int(sender, "view_change.sender", 0, MEMBERS_MAX - 1),
        codec.as_bytes(signature, "view_change.signature", ED25519_SIGNATURE_BYTES),
    )
    return vote, shown


def _digest_of(head: codec.Value, certificate: codec.Value) -> Digest:
    return tagged_hash(_VIEW_CHANGE_TAG, codec.encode([head, certificate]))


def _read_head(value: codec.Value) -> int:
    height, digest, seal = codec.as_list(value, "head", length=3)
    number = codec.as_int(height, "head.height", 0, _COUNTER_MAX)
    codec.as_bytes(digest, "head.digest", DIGEST_BYTES)
    if (seal is None) != (number == 0):
        raise DecodeError("head.seal", "must be there, except for genesis")
    if seal is not None:
        view, signatures = codec.as_list(seal, "seal", length=2)
        codec.as_int(view, "seal.view", 0, _COUNTER_MAX)
        _check_signatures(signatures)
    return number


def _read_certificate(value: codec.Value) -> tuple[Place, bytes]:
    pre_prepare, prepares = codec.as_list(value, "certificate", length=2)
    vote = _read_vote(pre_prepare)
    if vote.kind != PRE_PREPARE:
        raise DecodeError("certificate", "must start with a PRE-PREPARE")
    _check_signatures(prepares)
    return vote.place, vote.digest


def _check_signatures(value: codec.Value) -> None:
    before = -1
    for item in codec.as_list(value, "signatures", max_length=MEMBERS_MAX):
        member, signature = codec.as_list(item, "signatures", length=2)
        index = codec.as_int(member, "signatures.member", 0, MEMBERS_MAX - 1)
        codec.as_bytes(signature, "signatures.signature", ED25519_SIGNATURE_BYTES)
        if index <= before:
            raise DecodeError("signatures", "must be distinct and ascending")
        before = index
