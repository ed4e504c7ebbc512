"""The member set of an epoch, and what follows from it: quorum, terms, primaries."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NewType, final

from consensus.config import MAX_MEMBERS, TERM_BLOCKS
from consensus.quorum import Quorum
from crypto.hashing import Digest, tagged_hash

Epoch = NewType("Epoch", int)
"""Counts member sets, from 0."""
Term = NewType("Term", int)
"""Counts groups of heights; each term begins at view 0."""
View = NewType("View", int)
"""Counts primaries within a term, from 0."""
Height = NewType("Height", int)
"""Place in the chain; genesis is 0."""
MemberIndex = NewType("MemberIndex", int)
"""Place in the sorted tuple of an epoch's members."""

PUBLIC_KEY_BYTES = 32
_TAG = b"hearth/membership/1"


@final
@dataclass(frozen=True)
class Membership:
    """The members of one epoch: who seals the blocks from `first_height` on.

    A function of replicated state (rule 28): the set for height h + 1 is known once the
    block at h is applied, and a seal at height h is checked against the set of h.
    """

    epoch: Epoch
    members: tuple[bytes, ...]
    """Node public keys (Ed25519, 32 bytes), ascending, distinct."""
    first_height: Height = Height(1)
    first_term: Term = Term(0)
    term_blocks: int = TERM_BLOCKS
    """Heights in a term."""
    _indices: dict[bytes, MemberIndex] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.epoch < 0 or self.first_term < 0:
            raise ValueError("epoch and first_term must not be negative")
        if self.first_height < 1:
            raise ValueError(f"first_height counts from 1, got {self.first_height}")
        if self.term_blocks < 1:
            raise ValueError(f"term_blocks must be at least 1, got {self.term_blocks}")
        if len(self.members) > MAX_MEMBERS:
            raise ValueError(f"members must be at most {MAX_MEMBERS}, got {len(self.members)}")
        if any(len(key) != PUBLIC_KEY_BYTES for key in self.members):
            raise ValueError(f"members must be keys of {PUBLIC_KEY_BYTES} bytes")
        if list(self.members) != sorted(set(self.members)):
            raise ValueError("members must be distinct and ascending")
        Quorum(len(self.members))
        indices = {key: MemberIndex(place) for place, key in enumerate(self.members)}
        object.__setattr__(self, "_indices", indices)

    @property
    def n(self) -> int:
        """Number of members."""
        return len(self.members)

    @cached_property
    def quorum(self) -> Quorum:
        """Thresholds for this set."""
        return Quorum(len(self.members))

    def hash(self) -> Digest:
        """Hash of the set, bound into everything that its members sign."""
        return self._digest

    @cached_property
    def _digest(self) -> Digest:
        numbers = (self.epoch, self.first_height, self.first_term, self.term_blocks)
        return tagged_hash(_TAG, *(n.to_bytes(8, "big") for n in numbers), *self.members)

    def index_of(self, public: bytes | None) -> MemberIndex | None:
        """Index of the member with this key, None for a stranger."""
        return None if public is None else self._indices.get(public)

    def term(self, height: int) -> Term:
        """Term of the block at `height`, which must not lie before the epoch."""
        if height < self.first_height:
            raise ValueError(f"height must be at least {self.first_height}, got {height}")
        return Term(self.first_term + (height - self.first_height) // self.term_blocks)

    def primary(self, term: int, view: int) -> MemberIndex:
        """The member that proposes in `view` of `term`."""
        return MemberIndex((term + view) % len(self.members))
