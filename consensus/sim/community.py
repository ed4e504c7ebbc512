"""Who the members are, as the toy application's state has it: changes, READYs, activations.

What `vm` and the membership contract do on a real chain, reduced to what consensus can get wrong.
A client hands a change in as a transaction; once executed it waits until a quorum of the set to
come, the newcomer included, has signed READY (rule 29), and takes effect in the block that carries
these. The block above begins a new epoch and term (rule 28).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import final

from consensus.config import MAX_MEMBERS
from consensus.keyring import Keyring
from consensus.membership import Epoch, Height, Membership, Term
from consensus.quorum import Quorum
from consensus.sim.faults import Change, ChangeKind
from crypto.hashing import Digest, tagged_hash

CHANGE_NONCES_FIRST = 3_000_000
"""Nonce of the transaction that hands in the plan's first change; the others' follow."""
MEMBERS_MIN = 4
READY_SPAN = 16
"""Blocks for which a READY counts."""
OPEN_SPAN = 24
"""Blocks after which a change that did not take effect is void."""
_READY = Struct(">HQ64s")
_ACTIVATION = Struct(">HH")


class Standing(Enum):
    """What a replica is in the eyes of another one's application."""

    MEMBER = 1
    OBSERVER = 2
    """Its change is accepted: it follows, before it is a member."""
    STRANGER = 3


@final
@dataclass(frozen=True, slots=True)
class Ready:
    """The word of a key: I am there for the set that `change` makes of the present one."""

    change: int
    """Number of the change in the plan."""
    key: int
    """Number of the key that signs."""
    height: int
    """Of the signer's head."""
    signature: bytes


@final
@dataclass(frozen=True, slots=True)
class Activation:
    """What a block carries that changes the member set: READYs, ascending by key."""

    change: int
    readies: tuple[Ready, ...]

    def encode(self) -> bytes:
        """Behind a block's nonces."""
        words = (_READY.pack(r.key, r.height, r.signature) for r in self.readies)
        return _ACTIVATION.pack(self.change, len(self.readies)) + b"".join(words)


def decode_activation(data: bytes) -> Activation | None:
    """Read what `Activation.encode` wrote; None if it is not the one encoding of one."""
    if len(data) < _ACTIVATION.size:
        return None
    change, count = _ACTIVATION.unpack_from(data)
    if len(data) != _ACTIVATION.size + count * _READY.size:
        return None
    words = _READY.iter_unpack(data[_ACTIVATION.size :])
    readies = tuple(Ready(change, key, height, signature) for key, height, signature in words)
    keys = [ready.key for ready in readies]
    return Activation(change, readies) if keys == sorted(set(keys)) else None


def ready_digest(change: int, epoch: int, keys: Sequence[bytes], height: int) -> Digest:
    """What a READY signs: `keys` are those of the set to come, in place of epoch `epoch`'s."""
    numbers = (change, epoch, height)
    return tagged_hash(b"hearth/sim/ready", *(n.to_bytes(8, "big") for n in numbers), *keys)


def readies_needed(n: int) -> int:
    """How many of `n` new members must have said READY (rule 29)."""
    return Quorum(n).certificate


def keys_after(
    change: Change, members: Sequence[bytes], public: Sequence[bytes]
) -> tuple[bytes, ...] | None:
    """Return the set that `change` makes of `members`; None if it cannot be applied to them."""
    key = public[change.key]
    is_member, left = key in members, [each for each in members if each != key]
    found: list[bytes] | None
    match change.kind:
        case ChangeKind.ADMIT:
            found = None if is_member else [*left, key]
        case ChangeKind.EVICT:
            found = left if is_member else None
        case ChangeKind.ROTATE:
            new = public[change.new_key]
            found = [*left, new] if is_member and new not in members else None
        case ChangeKind.REINCARNATE:
            found = [*left, key] if is_member else None
    if found is None or not MEMBERS_MIN <= len(found) <= MAX_MEMBERS:
        return None
    return tuple(sorted(found))


def following(membership: Membership, height: int, keys: tuple[bytes, ...]) -> Membership:
    """Return the set after an activation in the block at `height`."""
    return Membership(
        epoch=Epoch(membership.epoch + 1),
        members=keys,
        first_height=Height(height + 1),
        first_term=Term(membership.term(height) + 1),
        term_blocks=membership.term_blocks,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What every application of a run knows from the start."""

    founders: Membership
    changes: tuple[Change, ...]
    public: tuple[bytes, ...]
    """All keys of the run by number: the founders' ascending, then those of who comes later."""
    keyring: Keyring
    """To verify with."""

    def number(self, key: bytes) -> int:
        """Number of a public key."""
        return self.public.index(key)


@final
class Community:
    """The part of an application's state that says who the members are."""

    def __init__(self, charter: Charter) -> None:
        self.charter = charter
        self.membership = charter.founders
        self.open: dict[int, int] = {}
        """Number of each change that waits, and the height at which it was handed in."""
        self._public = {key: number for number, key in enumerate(charter.public)}

    def take(self, height: int, nonces: Sequence[int], activation: Activation | None) -> None:
        """Apply a decided block."""
        self.open = {number: at for number, at in self.open.items() if at + OPEN_SPAN > height}
        for nonce in nonces:
            number = nonce - CHANGE_NONCES_FIRST
            if 0 <= number < len(self.charter.changes):
                self.open[number] = height
        if activation is not None:
            self.membership = self.membership_after(height, activation)
            del self.open[activation.change]

    def membership_after(self, height: int, activation: Activation | None) -> Membership:
        """Return the set that seals the block above the one at `height`."""
        if activation is None:
            return self.membership
        keys = self.keys_after(activation.change)
        assert keys is not None, "a quorum has validated every block that is applied"
        return following(self.membership, height, keys)

    def is_open(self, number: int, height: int) -> bool:
        """Whether a block at `height` may still carry the change: that block may end it."""
        return number in self.open and self.open[number] + OPEN_SPAN > height

    def keys_after(self, number: int) -> tuple[bytes, ...] | None:
        """Return the set that an open change makes of the present one, if it can be applied."""
        if number not in self.open:
            return None
        charter = self.charter
        return keys_after(charter.changes[number], self.membership.members, charter.public)

    def newcomer(self, number: int) -> int | None:
        """Return the number of the key whose READY a change needs above all, if there is one."""
        change = self.charter.changes[number]
        if change.kind is ChangeKind.EVICT:
            return None
        return change.new_key if change.kind is ChangeKind.ROTATE else change.key

    def is_valid(self, activation: Activation, height: int) -> bool:
        """Whether a block at `height` may carry this."""
        keys = self.keys_after(activation.change)
        if keys is None or not self.is_open(activation.change, height):
            return False
        signers = [ready.key for ready in activation.readies]
        newcomer = self.newcomer(activation.change)
        if len(signers) != readies_needed(len(keys)) or newcomer not in (None, *signers):
            return False
        return all(self.is_ready(ready, keys, height) for ready in activation.readies)

    def is_ready(self, ready: Ready, keys: tuple[bytes, ...], height: int) -> bool:
        """Whether a READY counts in a block at `height` for the set `keys`."""
        if not height - READY_SPAN <= ready.height < height:
            return False
        if not 0 <= ready.key < len(self.charter.public):
            return False
        public = self.charter.public[ready.key]
        digest = ready_digest(ready.change, self.membership.epoch, keys, ready.height)
        return public in keys and self.charter.keyring.verify(public, digest, ready.signature)

    def standing(self, key: int) -> Standing:
        """What the holder of a key is at the head."""
        if self.charter.public[key] in self.membership.members:
            return Standing.MEMBER
        is_observer = any(
            self.newcomer(number) == key and self.keys_after(number) is not None
            for number in self.open
        )
        return Standing.OBSERVER if is_observer else Standing.STRANGER
