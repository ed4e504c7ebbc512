"""From one epoch to the next: the block that changes the member set, its seal, and the new set.

A node keeps one of these for each epoch. With them anybody who trusts the genesis file walks to
the set of today, also where the blocks between are not kept.
"""

from dataclasses import dataclass
from typing import Self, final

from consensus.certificates import Seal
from consensus.errors import MalformedMessage
from consensus.membership import Epoch, Height, Membership, Term
from crypto import codec
from crypto.errors import DecodeError
from node.storage.rows import SEAL_BYTES_MAX, decode_seal, encode_seal
from vm.block import HEADER_BYTES, Header, decode_header
from vm.members import MemberSet, decode_members, encode_members

MEMBERS_BYTES_MAX = 8 << 10
HAND_OVER_BYTES_MAX = HEADER_BYTES + SEAL_BYTES_MAX + MEMBERS_BYTES_MAX + 64


@final
@dataclass(frozen=True, slots=True)
class HandOver:
    """The set that seals the blocks above `header`, and what shows it.

    Raises:
        DecodeError: from the constructor; the parts do not belong together.
    """

    header: Header
    """Of the last block of the epoch before; of block 0 for the founders."""
    seal: Seal | None
    """None for block 0 alone, which everybody computes."""
    members: MemberSet

    def __post_init__(self) -> None:
        if self.members.hash() != self.header.next_members_hash:
            raise DecodeError("hand_over.members", "is not the set that the header names")
        if self.members.first_height != self.header.number + 1:
            raise DecodeError("hand_over.members", "does not begin above the header")
        if (self.seal is None) != (self.header.number == 0):
            raise DecodeError("hand_over.seal", "must be there, except for block 0")

    @property
    def membership(self) -> Membership:
        """The set as consensus knows it."""
        return membership_of(self.members)

    def to_bytes(self) -> bytes:
        """Return canonical [header, seal or nil, member set]."""
        seal = None if self.seal is None else encode_seal(self.seal)
        return codec.encode([self.header.to_bytes(), seal, encode_members(self.members)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `data` is the one encoding of, or raise DecodeError; no seal is verified."""
        value = codec.decode(data, field="hand_over", max_bytes=HAND_OVER_BYTES_MAX)
        header, seal, members = codec.as_list(value, "hand_over", length=3)
        record = codec.as_bytes(members, "hand_over.members", max_length=MEMBERS_BYTES_MAX)
        return cls(
            decode_header(codec.as_bytes(header, "hand_over.header", length=HEADER_BYTES)),
            None if seal is None else read_seal(seal, "hand_over.seal"),
            decode_members(record),
        )


def read_seal(value: codec.Value, field: str) -> Seal:
    """Return the seal whose encoding `value` is; raises DecodeError."""
    try:
        return decode_seal(codec.as_bytes(value, field, max_length=SEAL_BYTES_MAX))
    except MalformedMessage as error:
        raise DecodeError(field, str(error)) from None


def membership_of(members: MemberSet) -> Membership:
    """Return a member set of the state as consensus knows it; their hashes are equal."""
    return Membership(
        Epoch(members.epoch),
        members.keys,
        first_height=Height(members.first_height),
        first_term=Term(members.first_term),
        term_blocks=members.term_blocks,
    )
