"""The member set in the state: who seals the next block, and how one set follows another.

The set of height h + 1 is a function of the state after h (research rule 28), so whoever holds a
proven state knows who may seal what comes next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import Digest, tagged_hash
from vm.state import Journal, StateReader

MEMBERS_KEY: Final = b"m"
"""State key of the member set."""
MEMBERS_MIN: Final = 4
"""PBFT tolerates no fault below."""
MEMBERS_MAX: Final = 128
TERM_BLOCKS: Final = 16
"""Heights in a term, as consensus counts them."""
NODE_KEY_BYTES: Final = 32

_VALUE_BYTES_MAX = 8 * 1024
_MEMBERS_TAG = b"hearth/membership/1"
_KEYS_TAG = b"hearth/members/keys"
_U63 = 2**63


@final
@dataclass(frozen=True, slots=True)
class MemberSet:
    """The node keys of one epoch and where it begins; a value that exists is a valid one.

    Raises:
        DecodeError: from the constructor, naming the field.
    """

    epoch: int
    """Counts member sets, from 0."""
    first_height: int
    """First block that this set seals."""
    first_term: int
    """Term of that block."""
    term_blocks: int
    """Heights in a term."""
    keys: tuple[bytes, ...]
    """Ed25519 node keys, 32 bytes each, ascending, distinct."""

    def __post_init__(self) -> None:
        for name, least in (("epoch", 0), ("first_height", 1), ("first_term", 0)):
            number = getattr(self, name)
            if not least <= number < _U63:
                raise DecodeError(f"members.{name}", f"must lie in {least}..2**63-1, got {number}")
        if not 0 < self.term_blocks < _U63:
            raise DecodeError("members.term_blocks", f"must be positive, got {self.term_blocks}")
        count = len(self.keys)
        if not MEMBERS_MIN <= count <= MEMBERS_MAX:
            message = f"must be {MEMBERS_MIN} to {MEMBERS_MAX}, got {count}"
            raise DecodeError("members.keys", message)
        if any(len(key) != NODE_KEY_BYTES for key in self.keys):
            raise DecodeError("members.keys", f"must have {NODE_KEY_BYTES} bytes each")
        if any(self.keys[i] >= self.keys[i + 1] for i in range(count - 1)):
            raise DecodeError("members.keys", "must be ascending and distinct")

    @property
    def quorum(self) -> int:
        """Votes in a certificate: ceil((n + f + 1) / 2) with f = floor((n - 1) / 3)."""
        return quorum(len(self.keys))

    def term(self, height: int) -> int:
        """Return the term of the block at `height`, which must not lie before the epoch."""
        assert height >= self.first_height, f"{height} lies before {self.first_height}"
        return self.first_term + (height - self.first_height) // self.term_blocks

    def next(self, height: int, keys: Sequence[bytes]) -> "MemberSet":
        """Return the set of `keys` (ascending) that follows a change in the block at `height`.

        Raises:
            DecodeError: `keys` are not a valid set.
        """
        return MemberSet(
            epoch=self.epoch + 1,
            first_height=height + 1,
            first_term=self.term(height) + 1,
            term_blocks=self.term_blocks,
            keys=tuple(keys),
        )

    def hash(self) -> Digest:
        """Return what a header's `next_members_hash` must be; consensus signs under the same."""
        numbers = (self.epoch, self.first_height, self.first_term, self.term_blocks)
        return tagged_hash(_MEMBERS_TAG, *(n.to_bytes(8, "big") for n in numbers), *self.keys)


@final
@dataclass(frozen=True, slots=True)
class NextMembers:
    """What the contract that governs the members says about an accepted proposal."""

    keys: tuple[bytes, ...]
    """Node keys of the new set, ascending."""
    newcomer: bytes | None
    """The key that must be among the READYs: the admitted, rotated or reincarnated one's."""


def quorum(n: int) -> int:
    """Return ceil((n + f + 1) / 2) for `n` members of which f = floor((n - 1) / 3) may be faulty.

    Consensus has the argument for it; a test holds the two together.
    """
    return (n + (n - 1) // 3) // 2 + 1


def keys_hash(keys: Sequence[bytes]) -> Digest:
    """Return the hash of a list of node keys alone: what a READY names.

    Not the set's: when a READY is signed, nobody knows yet at which height the set begins.
    """
    return tagged_hash(_KEYS_TAG, *keys)


def first_members(node_keys: Sequence[bytes]) -> MemberSet:
    """Return the set of genesis, from the founders' node keys in any order."""
    return MemberSet(0, 1, 0, TERM_BLOCKS, tuple(sorted(node_keys)))


def encode_members(members: MemberSet) -> bytes:
    """Return canonical [epoch, first_height, first_term, term_blocks, [key, …]]."""
    return codec.encode(
        [
            members.epoch,
            members.first_height,
            members.first_term,
            members.term_blocks,
            members.keys,
        ]
    )


def decode_members(data: bytes) -> MemberSet:
    """Return the set whose one encoding is `data`, or raise DecodeError naming the field."""
    value = codec.decode(data, field="members", max_bytes=_VALUE_BYTES_MAX)
    epoch, height, term, blocks, keys = codec.as_list(value, "members", length=5)
    items = codec.as_list(keys, "members.keys", max_length=MEMBERS_MAX)
    return MemberSet(
        epoch=codec.as_int(epoch, "members.epoch"),
        first_height=codec.as_int(height, "members.first_height"),
        first_term=codec.as_int(term, "members.first_term"),
        term_blocks=codec.as_int(blocks, "members.term_blocks"),
        keys=tuple(codec.as_bytes(key, "members.keys", NODE_KEY_BYTES) for key in items),
    )


def read_members(state: StateReader | Journal) -> MemberSet:
    """Return the set that seals the block above the one whose state this is."""
    return decode_members(_stored(state))


def write_members(journal: Journal, members: MemberSet) -> None:
    """Store the set that seals the next block."""
    journal.put(MEMBERS_KEY, encode_members(members))


def members_hash(state: StateReader | Journal) -> Digest:
    """Return what a header's `next_members_hash` must be over this state."""
    return read_members(state).hash()


def _stored(state: StateReader | Journal) -> bytes:
    value = state.get(MEMBERS_KEY)
    assert value is not None, "the genesis state has a member set, and nothing deletes it"
    return value
