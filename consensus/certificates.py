"""Slots, signed votes, and what is made of them: prepared certificates, seals, heads.

Everything signed is signed over `SigningDomain.payload`, so one signature can never stand
for another kind, slot, chain or member set (rule 27). The digest of a block covers chain
data only; view and sender live here, in the vote around it (rule 5).
"""

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import final

from consensus.config import MAX_MEMBERS
from consensus.errors import MalformedMessage
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash

SIGNATURE_BYTES = 64
COUNTER_MAX = 2**62
"""Bound of epochs, terms, views and heights: far above use, and sums stay below 2**63."""

Signatures = tuple[tuple[MemberIndex, bytes], ...]
"""Signatures by distinct members, ascending by index."""


class Kind(IntEnum):
    """What a signature promises. Numbers are signed: never reuse a retired one."""

    PRE_PREPARE = 1
    PREPARE = 2
    COMMIT = 3
    VIEW_CHANGE = 4
    NEW_VIEW = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a vote belongs: one height, in one view of one term of one epoch."""

    epoch: Epoch
    term: Term
    view: View
    height: Height
    """Of the block voted for; of the sender's head in a VIEW-CHANGE; 0 in a NEW-VIEW."""

    def __post_init__(self) -> None:
        if not (
            0 <= self.epoch <= COUNTER_MAX
            and 0 <= self.term <= COUNTER_MAX
            and 0 <= self.view <= COUNTER_MAX
            and 0 <= self.height <= COUNTER_MAX
        ):
            raise MalformedMessage(f"slot must have counters of 0..2**62, got {self}")


_SIGNED = Struct(">BQQQQ32s")
_PAYLOAD_TAG = b"hearth/pbft/1"


@final
@dataclass(frozen=True, slots=True)
class SigningDomain:
    """The chain and the member set that every signature of an epoch is bound to."""

    genesis_hash: Digest
    membership_hash: Digest

    def payload(self, kind: Kind, slot: Slot, digest: bytes) -> bytes:
        """The 32 bytes that are signed for `digest` (of a block, or of a message's content)."""
        fields = _SIGNED.pack(kind, slot.epoch, slot.term, slot.view, slot.height, digest)
        return tagged_hash(_PAYLOAD_TAG, self.genesis_hash, self.membership_hash, fields)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVote:
    """The signed core of any signed message: enough for certificates and as evidence."""

    kind: Kind
    slot: Slot
    digest: Digest
    sender: MemberIndex
    signature: bytes

    def __post_init__(self) -> None:
        check_vote(self.digest, self.sender, self.signature)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """PRE-PREPARE and q - 1 PREPAREs of others for one digest in one slot (rule 2)."""

    pre_prepare: SignedVote
    prepares: Signatures
    """By members other than the primary, in the slot and for the digest of `pre_prepare`."""

    def __post_init__(self) -> None:
        if self.pre_prepare.kind is not Kind.PRE_PREPARE:
            raise MalformedMessage("prepared certificate must start with a PRE-PREPARE")
        check_signatures(self.prepares, "prepares")

    @property
    def slot(self) -> Slot:
        return self.pre_prepare.slot

    @property
    def digest(self) -> Digest:
        return self.pre_prepare.digest


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """COMMITs of ONE view by exactly q members: the proof that a block is decided."""

    view: View
    signatures: Signatures

    def __post_init__(self) -> None:
        if not 0 <= self.view <= COUNTER_MAX:
            raise MalformedMessage(f"seal.view must be in 0..2**62, got {self.view}")
        check_signatures(self.signatures, "seal.signatures")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The highest decided block of a replica, with its proof; genesis needs none."""

    height: Height
    digest: Digest
    seal: Seal | None

    def __post_init__(self) -> None:
        check_digest(self.digest)
        if not 0 <= self.height <= COUNTER_MAX:
            raise MalformedMessage(f"head.height must be in 0..2**62, got {self.height}")
        if (self.seal is None) != (self.height == 0):
            raise MalformedMessage("head.seal must be there, except for genesis")


def check_digest(digest: bytes) -> None:
    """Raise MalformedMessage unless `digest` has 32 bytes."""
    if len(digest) != DIGEST_BYTES:
        raise MalformedMessage(f"digest must be {DIGEST_BYTES} bytes, got {len(digest)}")


def check_sender_and_signature(sender: int, signature: bytes) -> None:
    """Raise MalformedMessage for an impossible index or a signature of the wrong length."""
    if not 0 <= sender < MAX_MEMBERS:
        raise MalformedMessage(f"sender must be in 0..{MAX_MEMBERS - 1}, got {sender}")
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedMessage(f"signature must be {SIGNATURE_BYTES} bytes, got {len(signature)}")


def check_vote(digest: bytes, sender: int, signature: bytes) -> None:
    """The two above, for anything signed."""
    check_digest(digest)
    check_sender_and_signature(sender, signature)


def check_ascending(numbers: list[int], field: str) -> None:
    """Raise MalformedMessage unless the numbers ascend strictly and are few enough."""
    if len(numbers) > MAX_MEMBERS:
        raise MalformedMessage(f"{field} must be at most {MAX_MEMBERS}, got {len(numbers)}")
    if any(b <= a for a, b in pairwise(numbers)):
        raise MalformedMessage(f"{field} must be distinct and ascending")


def check_signatures(signatures: Signatures, field: str) -> None:
    """Raise MalformedMessage unless distinct members sign in ascending order."""
    check_ascending([member for member, _ in signatures], field)
    for member, signature in signatures:
        check_sender_and_signature(member, signature)
