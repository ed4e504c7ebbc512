"""A lock-step network for examples: explicit delivery, virtual time, keyed-hash signatures.

Not the simulator (`consensus.sim`): no dice here. A test says what is delivered and dropped.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import final

from consensus.certificates import Head, Kind, SignedVote, SigningDomain, Slot
from consensus.config import ConsensusConfig
from consensus.events import (
    Applied,
    Apply,
    Broadcast,
    Build,
    Built,
    Effect,
    Event,
    Evidence,
    Halt,
    NothingToBuild,
    Pending,
    Persist,
    Receive,
    Send,
    ServeBlocks,
    Suspect,
    Tick,
    Validate,
    Validated,
)
from consensus.membership import Epoch, Height, MemberIndex, Membership, Term, View
from consensus.messages import (
    Blocks,
    Commit,
    Message,
    Prepare,
    PrePrepare,
    SealedBlock,
)
from consensus.replica import Replica
from consensus.vote_log import Record
from crypto.hashing import Digest, tagged_hash

GENESIS = tagged_hash(b"test/genesis")
CONFIG = ConsensusConfig()


def digest_of(body: bytes) -> Digest:
    return tagged_hash(b"test/body", body)


def public_key(name: int) -> bytes:
    return tagged_hash(b"test/public", name.to_bytes(2, "big"))


@final
class HashKeyring:
    """Signs with a hash of the public key: enough where nobody forges."""

    def __init__(self, public: bytes | None) -> None:
        self.public = public

    def sign(self, payload: bytes) -> bytes:
        assert self.public is not None
        return _mac(self.public, payload)

    def verify(self, public: bytes, payload: bytes, signature: bytes) -> bool:
        return signature == _mac(public, payload)


def _mac(public: bytes, payload: bytes) -> bytes:
    return tagged_hash(b"test/mac", public, payload) * 2


def make_membership(n: int, epoch: int = 0, first_height: int = 1, first_term: int = 0):
    return Membership(
        epoch=Epoch(epoch),
        members=tuple(sorted(public_key(i) for i in range(n))),
        first_height=Height(first_height),
        first_term=Term(first_term),
    )


def slot(view: int = 0, height: int = 1, term: int = 0, epoch: int = 0) -> Slot:
    return Slot(epoch=Epoch(epoch), term=Term(term), view=View(view), height=Height(height))


@final
class Signatory:
    """Makes signed votes of any member."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.domain = SigningDomain(GENESIS, membership.hash())

    def sign(self, member: int, kind: Kind, at: Slot, digest: bytes) -> bytes:
        key = self.membership.members[member]
        return _mac(key, self.domain.payload(kind, at, digest))

    def core(self, member: int, kind: Kind, at: Slot, digest: Digest) -> SignedVote:
        signature = self.sign(member, kind, at, digest)
        return SignedVote(
            kind=kind, slot=at, digest=digest, sender=MemberIndex(member), signature=signature
        )

    def pre_prepare(self, member: int, at: Slot, body: bytes) -> PrePrepare:
        digest = digest_of(body)
        return PrePrepare(
            slot=at,
            digest=digest,
            sender=MemberIndex(member),
            signature=self.sign(member, Kind.PRE_PREPARE, at, digest),
            body=body,
        )

    def prepare(self, member: int, at: Slot, digest: Digest) -> Prepare:
        return Prepare(
            slot=at,
            digest=digest,
            sender=MemberIndex(member),
            signature=self.sign(member, Kind.PREPARE, at, digest),
        )

    def commit(self, member: int, at: Slot, digest: Digest) -> Commit:
        return Commit(
            slot=at,
            digest=digest,
            sender=MemberIndex(member),
            signature=self.sign(member, Kind.COMMIT, at, digest),
        )


@final
class Node:
    """A replica with an application that approves of everything but `invalid` bodies."""

    def __init__(self, net: "Net", index: int) -> None:
        self.net, self.index = net, index
        self.records: list[Record] = []
        self.blocks: dict[int, SealedBlock] = {}
        self.pending: deque[bytes] = deque()
        self.invalid: set[Digest] = set()
        self.seen: list[Effect] = []
        self.is_up = True
        self.replica = self.boot()

    @property
    def public(self) -> bytes:
        return self.net.membership.members[self.index]

    def boot(self) -> Replica:
        last = self.blocks.get(len(self.blocks))
        genesis = Head(height=Height(0), digest=GENESIS, seal=None)
        self.replica = Replica(
            config=CONFIG,
            genesis_hash=GENESIS,
            membership=self.net.membership,
            head=genesis if last is None else last.head,
            keyring=HashKeyring(self.public),
            recovered=tuple(self.records),
            digest_of=digest_of,
        )
        return self.replica

    def step(self, event: Event) -> tuple[Effect, ...]:
        effects = self.replica.step(event, self.net.now)
        self.seen.extend(effects)
        for effect in effects:
            self._perform(effect)
        return effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Build() | Validate() | Apply():
                self._execute(effect)
            case Suspect() | Evidence() | Halt():
                self.net.faults.append((self.index, effect))
            case _:
                self._carry(effect)

    def _carry(self, effect: Effect) -> None:
        net = self.net
        match effect:
            case Persist(records):
                self.records.extend(records)
            case Send(to, message):
                net.queue.append((self.index, to, message))
            case Broadcast(message):
                for to in range(net.n):
                    if to != self.index:
                        net.queue.append((self.index, to, message))
            case ServeBlocks(to, start, limit):
                served = [self.blocks[h] for h in range(start, start + limit) if h in self.blocks]
                net.queue.append((self.index, to, Blocks(tuple(served))))

    def _execute(self, effect: Build | Validate | Apply) -> None:
        net = self.net
        match effect:
            case Build(height):
                if self.pending:
                    body = height.to_bytes(4, "big") + self.pending[0]
                    self.step(Built(height, digest_of(body), body))
                else:
                    self.step(NothingToBuild(height))
            case Validate(_, digest, body):
                self.step(Validated(digest, digest not in self.invalid))
            case Apply(block):
                assert block.height == len(self.blocks) + 1
                self.blocks[block.height] = block
                if self.pending and self.pending[0] == block.body[4:]:
                    self.pending.popleft()
                self.step(Applied(block.height, block.digest, net.membership))
                self.step(Pending(is_pending=bool(self.pending)))

    def submit(self, body: bytes) -> None:
        self.pending.append(body)
        self.step(Pending(is_pending=True))

    def restart(self) -> None:
        self.boot()
        self.step(Tick())
        self.step(Pending(is_pending=bool(self.pending)))


Deliverable = Callable[[int, int, Message], bool]


@final
class Net:
    """n nodes and the messages between them."""

    def __init__(self, n: int = 4) -> None:
        self.n = n
        self.now = 1000
        self.membership = make_membership(n)
        self.signatory = Signatory(self.membership)
        self.queue: deque[tuple[int, int, Message]] = deque()
        self.faults: list[tuple[int, Effect]] = []
        self.nodes = [Node(self, i) for i in range(n)]

    def start(self) -> "Net":
        for node in self.nodes:
            node.step(Tick())
        self.deliver()
        return self

    def deliver(self, when: Deliverable = lambda *_: True, *, hold: bool = False) -> None:
        """Deliver everything, and what follows from it; refused messages are lost, or held."""
        held: list[tuple[int, int, Message]] = []
        while self.queue:
            sender, to, message = self.queue.popleft()
            if not self.nodes[to].is_up or not self.nodes[sender].is_up:
                continue
            if when(sender, to, message):
                self.nodes[to].step(Receive(MemberIndex(sender), message))
            elif hold:
                held.append((sender, to, message))
        self.queue.extend(held)

    def submit(self, body: bytes, to: Iterable[int] | None = None) -> None:
        for index in range(self.n) if to is None else to:
            if self.nodes[index].is_up:
                self.nodes[index].submit(body)

    def run(self, ms: int, when: Deliverable = lambda *_: True) -> None:
        """Let time pass in steps of ten milliseconds, delivering at once."""
        for _ in range(0, ms, 10):
            self.now += 10
            for node in self.nodes:
                wake = node.replica.wake_at if node.is_up else None
                if wake is not None and wake <= self.now:
                    node.step(Tick())
            self.deliver(when)

    def heights(self) -> list[int]:
        return [node.replica.head.height for node in self.nodes]
