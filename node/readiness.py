"""READYs: who of the new set is there to vote when an accepted change takes effect (rule 29).

A pure core. It holds at most one READY for each open change and node key, signs the own ones, and
makes the activation as soon as a quorum of the new set has said READY.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import Digest
from crypto.keys import NodeKey
from node.community import Change
from node.p2p.frames import READY_BYTES_MAX
from vm.activation import READY_SPAN, ActivationTransaction, Ready, ready_digest
from vm.members import MEMBERS_MAX, quorum

RENEW_BLOCKS: Final = READY_SPAN // 2
"""Age at which an own READY is replaced: it must not lapse while others gather theirs."""
CHANGES_MAX: Final = 64
"""Accepted changes that are looked after at a time, the oldest first."""
FORMER_MAX: Final = 4
"""New sets of one change that are remembered, after others took effect before it."""
ITEM_BYTES_MAX: Final = 120
"""Of a READY in a frame: two numbers of nine bytes, a key, a signature, their heads."""
ITEMS_MAX: Final = READY_BYTES_MAX // ITEM_BYTES_MAX - 1
"""In a frame, which begins with their number."""


class Taken(Enum):
    """What became of a READY that a peer sent."""

    NEW = auto()
    KNOWN = auto()
    """Held already, or older than the one that is held."""
    STALE = auto()
    """Of no open change, or of a height that this node cannot judge yet or any more."""
    UNKNOWN = auto()
    """For another new set than this node knows, perhaps: its sender is ahead by a change."""
    FORGED = auto()
    """Not of the new set, or its signature is not the key's."""


@final
@dataclass(frozen=True, slots=True)
class Told:
    """A READY and the change that it is for."""

    proposal_id: int
    ready: Ready


@final
class Readiness:
    """One node's READYs. Time is the height of the head."""

    def __init__(self, genesis_hash: Digest) -> None:
        self._genesis_hash = genesis_hash
        self._changes: dict[int, Change] = {}
        self._former: dict[int, tuple[Change, ...]] = {}
        """Each as it was before, the newest first: peers that are behind speak of it."""
        self._readies: dict[int, dict[bytes, Ready]] = {}
        self._height = 0
        self._signed: set[tuple[int, bytes]] = set()
        self._activations: tuple[ActivationTransaction, ...] | None = None

    def set_changes(self, changes: Sequence[Change]) -> None:
        """Take over the changes that wait at the head; what was said for others is dropped."""
        before, self._changes = self._changes, {each.id: each for each in changes[:CHANGES_MAX]}
        same = {id_ for id_, each in self._changes.items() if _is_same(before.get(id_), each)}
        self._former = {
            id_: self._former.get(id_, ())
            if id_ in same
            else (before[id_], *self._former.get(id_, ()))[:FORMER_MAX]
            for id_ in self._changes.keys() & before.keys()
        }
        self._readies = {id_: self._readies[id_] if id_ in same else {} for id_ in self._changes}
        self._activations = None

    def set_height(self, height: int) -> None:
        """The head is at `height`."""
        self._height = height
        self._activations = None

    def say(self, keys: Mapping[bytes, NodeKey], *, is_voting: bool, is_level: bool) -> list[Told]:
        """Sign what this node can say now; returns what has to be told to the others.

        Args:
            keys: own node keys, by public key: the present one, and the one to come.
            is_voting: whether the node votes in the present epoch.
            is_level: whether it knows of no block above its head.
        """
        told = []
        for change in self._changes.values():
            for public, key in keys.items():
                if public in change.keys and self._may_say(change, public, is_voting, is_level):
                    ready = self._sign(change, key)
                    self._readies[change.id][public] = ready
                    self._signed.add((change.id, public))
                    told.append(Told(change.id, ready))
        if told:
            self._activations = None
        return told

    def _may_say(self, change: Change, public: bytes, is_voting: bool, is_level: bool) -> bool:  # noqa: FBT001
        held = self._readies[change.id]
        own = held.get(public)
        if own is not None and not self._is_stale(change, own):
            return False
        newcomer = change.newcomer
        if newcomer is None:
            return is_voting
        if newcomer.node_key == public:
            return is_level
        # The newcomer's own READY shows that it follows; without it the change must not begin.
        first = held.get(newcomer.node_key)
        return is_voting and first is not None and self._is_recent(first)

    def _is_stale(self, change: Change, own: Ready) -> bool:
        """Whether to say it anew: it is old, or was said by an earlier life of the process.

        Only what this very process has said shows it that no vote of the epoch can be forgotten.
        """
        if (change.id, own.node_key) not in self._signed and own.height <= self._height:
            return True
        return own.height <= self._height - RENEW_BLOCKS

    def _sign(self, change: Change, key: NodeKey) -> Ready:
        keys = Digest(change.keys_hash)
        digest = ready_digest(self._genesis_hash, change.id, keys, self._height)
        return Ready(key.public, self._height, key.sign(digest))

    def receive(self, told: Told) -> Taken:
        """Take a READY that a peer told."""
        change, ready = self._changes.get(told.proposal_id), told.ready
        if change is None or not self._is_near(ready):
            return Taken.STALE
        held = self._readies[change.id]
        own = held.get(ready.node_key)
        if own is not None and own.height >= ready.height:
            return Taken.KNOWN
        if not self._is_for(ready, change):
            return self._judge(ready, change)
        held[ready.node_key] = ready
        self._activations = None
        return Taken.NEW

    def _is_for(self, ready: Ready, change: Change) -> bool:
        is_of_set = ready.node_key in change.keys
        return is_of_set and ready.is_signed(
            self._genesis_hash, change.id, Digest(change.keys_hash)
        )

    def _judge(self, ready: Ready, change: Change) -> Taken:
        """Say what a READY is that does not hold for the change as it is at this head.

        Where one change takes effect, READYs for the others that wait, under their new sets of
        before and after, cross each other. Who sends those has done nothing wrong.
        """
        if ready.height > self._height:
            return Taken.UNKNOWN
        former = self._former.get(change.id, ())
        return Taken.STALE if any(self._is_for(ready, each) for each in former) else Taken.FORGED

    def _is_near(self, ready: Ready) -> bool:
        # A little above the head is a peer that is ahead by what is on its way.
        return self._height - READY_SPAN <= ready.height <= self._height + READY_SPAN

    def _is_recent(self, ready: Ready) -> bool:
        return self._height + 1 - READY_SPAN <= ready.height <= self._height

    def all(self) -> list[Told]:
        """Return all that is held, for a peer that comes up."""
        return [
            Told(id_, ready)
            for id_, held in self._readies.items()
            for _, ready in sorted(held.items())
        ]

    def frames(self) -> list[bytes]:
        """Return the same in as many payloads as it takes."""
        held = self.all()
        return [encode_told(held[at : at + ITEMS_MAX]) for at in range(0, len(held), ITEMS_MAX)]

    def has_said(self, activation: ActivationTransaction) -> bool:
        """Whether this process signed one of the READYs in `activation`."""
        return any(
            (activation.proposal_id, ready.node_key) in self._signed for ready in activation.readies
        )

    def counts(self) -> dict[int, tuple[int, int]]:
        """Return, for each change, how many have said READY lately and how many must."""
        return {
            change.id: (len(self._recent(change.id)), quorum(len(change.keys)))
            for change in self._changes.values()
        }

    def activations(self) -> tuple[ActivationTransaction, ...]:
        """Return the activations that the block above the head could hold, oldest change first."""
        if self._activations is None:
            self._activations = tuple(self._make_activations())
        return self._activations

    def _make_activations(self) -> Iterable[ActivationTransaction]:
        for id_, change in sorted(self._changes.items()):
            recent = self._recent(id_)
            needed = quorum(len(change.keys))
            newcomer = None if change.newcomer is None else change.newcomer.node_key
            is_there = newcomer is None or any(r.node_key == newcomer for r in recent)
            if is_there and len(recent) >= needed:
                yield ActivationTransaction(id_, tuple(_chosen(recent, newcomer, needed)))

    def _recent(self, id_: int) -> list[Ready]:
        return [ready for _, ready in sorted(self._readies[id_].items()) if self._is_recent(ready)]


def _is_same(before: Change | None, now: Change) -> bool:
    return before is not None and before.keys_hash == now.keys_hash


def _chosen(recent: Sequence[Ready], newcomer: bytes | None, needed: int) -> list[Ready]:
    """Return `needed` of them, the newcomer's included: a block pays for each signature."""
    first = sorted(recent, key=lambda ready: ready.node_key != newcomer)[:needed]
    return sorted(first, key=lambda ready: ready.node_key)


def encode_told(told: Iterable[Told]) -> bytes:
    """Return the canonical list [[proposal id, node key, height, signature], …]."""
    return codec.encode(
        [[t.proposal_id, t.ready.node_key, t.ready.height, t.ready.signature] for t in told]
    )


def decode_told(payload: bytes) -> list[Told]:
    """Return the READYs whose one encoding is `payload`; signatures are not verified yet.

    Raises:
        DecodeError: names the field.
    """
    value = codec.decode(payload, field="readies", max_bytes=READY_BYTES_MAX)
    items = codec.as_list(value, "readies", max_length=ITEMS_MAX)
    if not items:
        raise DecodeError("readies", "must not be empty")
    return [_read(item) for item in items]


def _read(value: codec.Value) -> Told:
    id_, key, height, signature = codec.as_list(value, "ready", length=4)
    ready = Ready(
        codec.as_bytes(key, "ready.node_key", length=32),
        codec.as_int(height, "ready.height"),
        codec.as_bytes(signature, "ready.signature", length=64),
    )
    return Told(codec.as_int(id_, "ready.proposal_id", 1), ready)


assert ITEMS_MAX > MEMBERS_MAX, "one change's READYs fit into a frame"
