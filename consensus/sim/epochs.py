"""The member sets of a run as the judges have them, worked out from the agreed history alone.

A change is checked here once more, apart from the application and the core: READYs of a quorum of
the new set, each signed, the newcomer's among them (rule 29).
"""

from typing import final

from consensus.certificates import Kind, SignedVote, SigningDomain, Slot
from consensus.membership import Membership
from consensus.sim.app import GENESIS_DIGEST, Block
from consensus.sim.community import (
    CHANGE_NONCES_FIRST,
    READY_SPAN,
    Activation,
    Charter,
    following,
    keys_after,
    ready_digest,
)
from consensus.sim.faults import ChangeKind
from consensus.sim.violation import InvariantViolation, certificate_size

_PAYLOAD = SigningDomain.payload
"""Held from the start, so that a mutant of the core does not change what is checked."""
_TERM = Membership.term


@final
class Epochs:
    """Member sets by epoch and by height, and who of them is faulty."""

    def __init__(self, charter: Charter, faulty: frozenset[int]) -> None:
        """`faulty` are numbers of keys."""
        self._charter = charter
        self._faulty = frozenset(charter.public[number] for number in faulty)
        self._handed_in: set[int] = set()
        self.sets: list[Membership] = []
        self._domains: list[SigningDomain] = []
        self._add(charter.founders)

    def _add(self, membership: Membership) -> None:
        self.sets.append(membership)
        self._domains.append(SigningDomain(GENESIS_DIGEST, membership.hash()))

    @property
    def newest(self) -> Membership:
        """The set of the block above the agreed history."""
        return self.sets[-1]

    def of(self, epoch: int) -> Membership | None:
        """The set of an epoch, if it has begun."""
        return self.sets[epoch] if 0 <= epoch < len(self.sets) else None

    def at(self, height: int) -> Membership:
        """The set that seals the block at `height`."""
        return next(each for each in reversed(self.sets) if each.first_height <= height)

    def commit_slot(self, height: int, view: int) -> Slot:
        """The slot of a COMMIT for the block at `height`."""
        membership = self.at(height)
        return Slot(
            epoch=membership.epoch,
            term=_TERM(membership, height),
            view=view,  # type: ignore[arg-type]  # any view that a seal names
            height=height,  # type: ignore[arg-type]
        )

    def domain(self, epoch: int) -> SigningDomain:
        """What the votes of an epoch are bound to."""
        return self._domains[epoch]

    def is_faulty(self, epoch: int, member: int) -> bool:
        """Whether the member with this index in that epoch is held to nothing."""
        membership = self.of(epoch)
        return (
            membership is not None
            and 0 <= member < membership.n
            and membership.members[member] in self._faulty
        )

    def is_signed(
        self, kind: Kind, slot: Slot, digest: bytes, member: int, signature: bytes
    ) -> bool:
        """Whether this is the signature of a member of the slot's epoch."""
        membership = self.of(slot.epoch)
        if membership is None or not 0 <= member < membership.n:
            return False
        payload = _PAYLOAD(self._domains[slot.epoch], kind, slot, digest)
        return self._charter.keyring.verify(membership.members[member], payload, signature)

    def is_vote_signed(self, vote: SignedVote) -> bool:
        """The same for a vote."""
        return self.is_signed(vote.kind, vote.slot, vote.digest, vote.sender, vote.signature)

    def on_decided(self, block: Block) -> None:
        """Follow the agreed history by one block, or raise if its change does not hold."""
        numbers = (nonce - CHANGE_NONCES_FIRST for nonce in block.nonces)
        self._handed_in.update(n for n in numbers if 0 <= n < len(self._charter.changes))
        if block.activation is not None:
            self._activate(block.height, block.activation)

    def _activate(self, height: int, activation: Activation) -> None:
        where = f"height {height}: change {activation.change}"
        if activation.change not in self._handed_in:
            raise InvariantViolation("activation", f"{where} was not handed in, or is over")
        charter, newest = self._charter, self.newest
        change = charter.changes[activation.change]
        keys = keys_after(change, newest.members, charter.public)
        if keys is None:
            raise InvariantViolation("activation", f"{where} does not apply to the members")
        signers = [ready.key for ready in activation.readies]
        first = change.new_key if change.kind is ChangeKind.ROTATE else change.key
        if change.kind is not ChangeKind.EVICT and first not in signers:
            raise InvariantViolation("activation", f"{where}: the newcomer is not ready")
        if len(set(signers)) < certificate_size(len(keys)):
            raise InvariantViolation("activation", f"{where}: only {signers} are ready")
        for ready in activation.readies:
            public = charter.public[ready.key]
            digest = ready_digest(activation.change, newest.epoch, keys, ready.height)
            is_signed = charter.keyring.verify(public, digest, ready.signature)
            is_recent = height - READY_SPAN <= ready.height < height
            if public not in keys or not is_signed or not is_recent:
                raise InvariantViolation("activation", f"{where}: READY of {ready.key} is void")
        self._handed_in.discard(activation.change)
        self._add(following(newest, height, keys))
