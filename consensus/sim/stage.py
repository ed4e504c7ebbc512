"""A cluster that a script directs: it says which message arrives, who fails, who lies.

For the histories that random schedules meet too seldom. A member without an instance is a
puppet: the script holds its keyring and sends in its name what it likes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import final

from consensus.certificates import Head, Kind, SigningDomain, Slot
from consensus.events import Event, PeerUp, Tick
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from consensus.messages import Commit, Message, NewView, Prepare, PrePrepare, ViewChange
from consensus.signer import Signer
from consensus.sim.app import GENESIS_DIGEST, GENESIS_MS, Block, digest_of
from consensus.sim.cluster import Cluster
from consensus.sim.community import Ready
from consensus.sim.faults import Crash, FaultPlan, LinkQuality
from consensus.sim.instance import Instance
from consensus.sim.trace import Said
from consensus.sim.violation import InvariantViolation
from consensus.wire import new_view_digest, view_change_digest

Allow = Callable[[int, int, Message], bool]
"""(source member, target member, message) -> whether it arrives; otherwise it is lost."""

ROUNDS_MAX = 1_000
"""Exchanges without a pause after which a cluster will never come to rest."""


def everything(_source: int, _target: int, _message: Message) -> bool:
    """Let every message arrive."""
    return True


def calm_plan(n: int, *, puppets: Sequence[int] = ()) -> FaultPlan:
    """A plan without faults: one instance for each member; `puppets` count as Byzantine."""
    return FaultPlan(
        n=n,
        identities=(*range(n), *puppets),
        liars=(),
        dice=0,
        links=LinkQuality(),
        skew_ms=(0,) * (n + len(puppets)),
        drift_permille=(0,) * (n + len(puppets)),
        faults=(),
        safety_ms=0,
        prefix=0,
        submissions=(),
        down_in_liveness=(),
        core=(),
        told=(),
    )


@final
class Stage:
    """A cluster of `n` whose script is the driver."""

    def __init__(self, n: int, *, puppets: Sequence[int] = ()) -> None:
        self.cluster = Cluster(calm_plan(n, puppets=puppets), self)
        self.now_ms = 0
        self.members = [MemberIndex(i) for i in range(n) if i not in puppets]
        self.sent: list[tuple[MemberIndex, Message]] = []
        """All that members have sent so far."""
        self._in_flight: list[tuple[MemberIndex, MemberIndex, Message]] = []
        self._answers: list[tuple[int, Event]] = []
        self._domain = SigningDomain(GENESIS_DIGEST, self.cluster.membership.hash())
        for i in self.members:
            self.start(i)
        self.settle()

    # What the cluster tells its driver.

    def send(self, source: int, key: int | None, message: Said) -> None:
        assert not isinstance(message, Ready), "the member set does not change"
        own = MemberIndex(source)
        self.sent.append((own, message))
        for target in self.members:
            if target != own and key in (None, target):
                self._in_flight.append((own, target, message))

    def request(self, instance: int, answer: Event) -> None:
        self._answers.append((instance, answer))

    def stopped(self, instance: int) -> None:
        self._answers = [(i, answer) for i, answer in self._answers if i != instance]

    def entered(self, instance: int) -> None:
        """The member set does not change."""

    # What a script does.

    def instance(self, member: int) -> Instance:
        return self.cluster.instances[member]

    def height(self, member: int) -> int:
        """Blocks that a member has made durable."""
        return len(self.instance(member).disk.blocks)

    def view(self, member: int) -> int:
        """The view that a member has entered."""
        replica = self.instance(member).replica
        return 0 if replica is None else replica.view

    def start(self, member: int) -> None:
        """Start an instance and open its links."""
        self.instance(member).start(self.now_ms)
        for other in self.members:
            if other != member:
                self.instance(member).step(PeerUp(other), self.now_ms)
                self.instance(other).step(PeerUp(MemberIndex(member)), self.now_ms)

    def stop(self, member: int) -> None:
        """Power off, between two steps."""
        self.instance(member).arm_stop(Crash(start_ms=0, end_ms=0, instance=member))

    def submit(self, nonce: int, members: Iterable[int] | None = None) -> None:
        """A client hands a transaction to members (all by default)."""
        self.cluster.checkers.validity.submitted.add(nonce)
        for member in self.members if members is None else members:
            self.instance(member).submit(nonce, self.now_ms)

    def deliver(self, source: int, target: int, message: Message) -> None:
        """Let one message of one's own making arrive."""
        self.instance(target).receive(source, message, self.now_ms)

    def settle(self, allow: Allow = everything) -> None:
        """Deliver, answer and repeat until nothing is under way; what is not allowed is lost."""
        rounds = 0
        while self._in_flight or self._answers:
            rounds += 1
            if rounds > ROUNDS_MAX:
                raise InvariantViolation("livelock", f"no rest after {ROUNDS_MAX} exchanges")
            messages, self._in_flight = self._in_flight, []
            for source, target, message in messages:
                if allow(source, target, message):
                    self.deliver(source, target, message)
            answers, self._answers = self._answers, []
            for i, answer in answers:
                self.instance(i).answer(answer, self.now_ms)

    def pass_time(self, ms: int, allow: Allow = everything) -> None:
        """Let time pass: timers go off, and what they send arrives if allowed."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            wakes = (self.instance(i).wake_ms() for i in self.members)
            soonest = min((at for at in wakes if at is not None), default=end_ms)
            self.now_ms = min(max(soonest, self.now_ms + 1), end_ms)
            for i in self.members:
                wake = self.instance(i).wake_ms()
                if wake is not None and wake <= self.now_ms:
                    self.instance(i).step(Tick(), self.now_ms)
            self.settle(allow)

    def drop_all(self) -> None:
        """Lose whatever is under way."""
        self._in_flight.clear()

    # What a puppet sends.

    def signer(self, member: int) -> Signer:
        """A signer of its own for a member, with an empty memory."""
        return Signer(self.cluster.keys.keyring(member), self._domain, MemberIndex(member))

    def slot(self, view: int, height: int) -> Slot:
        membership = self.cluster.membership
        return Slot(
            epoch=membership.epoch,
            term=Term(membership.term(height)),
            view=View(view),
            height=Height(height),
        )

    def body(self, height: int, nonce: int, *, salt: int = 0) -> bytes:
        """A valid body on the head of the first member; `salt` makes another one."""
        blocks = self.instance(self.members[0]).disk.blocks
        parent = blocks[height - 2].digest if height > 1 else GENESIS_DIGEST
        time_ms = GENESIS_MS + self.now_ms + salt
        return Block(height=height, parent=parent, time_ms=time_ms, nonces=(nonce,)).encode()

    def signature(self, member: int, kind: Kind, slot: Slot, digest: bytes) -> bytes:
        return self.cluster.keys.keyring(member).sign(self._domain.payload(kind, slot, digest))

    def pre_prepare(self, member: int, slot: Slot, body: bytes) -> PrePrepare:
        digest = digest_of(body)
        return PrePrepare(
            slot=slot,
            digest=digest,
            sender=MemberIndex(member),
            signature=self.signature(member, Kind.PRE_PREPARE, slot, digest),
            body=body,
        )

    def prepare(self, member: int, slot: Slot, body: bytes) -> Prepare:
        digest = digest_of(body)
        signature = self.signature(member, Kind.PREPARE, slot, digest)
        return Prepare(slot=slot, digest=digest, sender=MemberIndex(member), signature=signature)

    def commit(self, member: int, slot: Slot, body: bytes) -> Commit:
        digest = digest_of(body)
        signature = self.signature(member, Kind.COMMIT, slot, digest)
        return Commit(slot=slot, digest=digest, sender=MemberIndex(member), signature=signature)

    def view_change(self, member: int, view: int) -> ViewChange:
        """A VIEW-CHANGE on genesis with nothing prepared."""
        slot = Slot(epoch=Epoch(0), term=Term(0), view=View(view), height=Height(0))
        head = Head(height=Height(0), digest=GENESIS_DIGEST, seal=None)
        return ViewChange(
            slot=slot,
            head=head,
            prepared=None,
            sender=MemberIndex(member),
            signature=self.signature(
                member, Kind.VIEW_CHANGE, slot, view_change_digest(head, None)
            ),
        )

    def new_view(self, member: int, view: int, others: Iterable[int]) -> NewView:
        """A NEW-VIEW whose VIEW-CHANGEs by `others` only `member` has signed."""
        own = self.view_change(member, view)
        proof = tuple(replace(own, sender=MemberIndex(i)) for i in others)
        slot = replace(own.slot, height=Height(0))
        signature = self.signature(member, Kind.NEW_VIEW, slot, new_view_digest(proof))
        return NewView(
            slot=slot, view_changes=proof, sender=MemberIndex(member), signature=signature
        )


def without(*cut_off: int) -> Allow:
    """Members in `cut_off` neither hear nor are heard."""

    def allow(source: int, target: int, _message: Message) -> bool:
        return source not in cut_off and target not in cut_off

    return allow


def dropping(
    *kinds: type[Message], unless_to: int | None = None, cut_off: int | None = None
) -> Allow:
    """These kinds reach nobody, or one member only; one member may be cut off as well."""

    def allow(source: int, target: int, message: Message) -> bool:
        if cut_off in (source, target):
            return False
        return not isinstance(message, kinds) or target == unless_to

    return allow
