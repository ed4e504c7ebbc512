"""A Byzantine member that hears everything and says anything it can sign.

It stands in the place of a replica. From what it hears it makes equivocating proposals, votes
for other digests and slots, VIEW-CHANGEs that forget or bring back old certificates, NEW-VIEWs
over chosen subsets, forged signatures, false replies, and the words of others as its own. A
flooder also sends one victim thousands of messages that nobody could keep.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar, final

from consensus.certificates import (
    Head,
    Kind,
    PreparedCertificate,
    Seal,
    Signatures,
    SignedVote,
    SigningDomain,
    Slot,
)
from consensus.events import Broadcast, Effect, Event, Receive, Send
from consensus.keyring import Keyring
from consensus.membership import Height, MemberIndex, Membership, Term, View
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Status,
    ViewChange,
)
from consensus.sim.app import decode_block, digest_of
from consensus.sim.disrupter import disrupt
from consensus.wire import new_view_digest, signed_core, view_change_digest
from crypto.hashing import Digest

T = TypeVar("T")

_FLOODED = (Kind.PREPARE, Kind.VIEW_CHANGE)
FLOOD_MESSAGES = 4_000
"""Far above what a replica may hold for n = 7 (`memory`)."""
FLOOD_BURST = 100

REMEMBERED = 48
"""Messages of each kind that it can draw upon."""
LIES_PERMILLE = 120
"""How often something heard provokes a lie: below one answer each, or lies would multiply."""


@final
class Liar:
    """Speaks for one member; the same dice give the same lies."""

    def __init__(
        self,
        rng: random.Random,
        *,
        me: MemberIndex,
        keyring: Keyring,
        domain: SigningDomain,
        membership: Membership,
        head: Head,
        fired: Counter[str],
        is_flooder: bool = False,
        is_disrupter: bool = False,
    ) -> None:
        self._random = rng
        self._fired = fired
        self._me = me
        self._keyring = keyring
        self._domain = domain
        self.membership = membership
        """Of the epoch that it speaks of: the newest in which it is a member."""
        self._heads = [head]
        self._certificates: list[PreparedCertificate] = []
        self._view_changes: list[ViewChange] = []
        self._votes: list[PrePrepare | Prepare | Commit] = []
        self._others: list[Message] = []
        others = [MemberIndex(i) for i in range(membership.n) if i != me]
        self._flood_left = FLOOD_MESSAGES if is_flooder else 0
        self._is_disrupter = is_disrupter
        self._victim = rng.choice(others)
        self._floods = rng.choice(((Kind.PREPARE,), (Kind.VIEW_CHANGE,), _FLOODED))
        self.wake_at: int | None = None
        self.view = View(0)
        self.is_doubtful = False

    def follow(self, membership: Membership, domain: SigningDomain) -> None:
        """Another epoch begins; who is evicted goes on in its last one."""
        me = membership.index_of(self._keyring.public)
        if me is None or membership == self.membership:
            return
        self._me, self.membership, self._domain = me, membership, domain
        others = [MemberIndex(i) for i in range(membership.n) if i != me]
        self._victim = self._random.choice(others)

    def _term(self, height: int) -> Term:
        """Of a height, or of the epoch's first if it lies below."""
        return self.membership.term(max(height, self.membership.first_height))

    def step(self, event: Event, _now_ms: int) -> tuple[Effect, ...]:
        """Remember what is heard, and sometimes lie."""
        if not isinstance(event, Receive):
            return ()
        self._remember(event.message)
        if isinstance(event.message, GetBlocks | GetHead) and self._random.randrange(2):
            return self._false_answer(event.sender, event.message)
        if self._flood_left and self._random.randrange(1000) < LIES_PERMILLE:
            return self._flood()
        if self._random.randrange(1000) >= LIES_PERMILLE:
            return ()
        if self._is_disrupter and self._random.randrange(4):
            return self._disrupt()
        lies: tuple[Callable[[], list[Message]], ...] = (
            self._false_votes,
            self._false_votes,
            self._false_proposals,
            self._false_proposals,
            self._false_view_change,
            self._false_new_view,
            self._false_signature,
            self._false_reply,
            self._words_of_others,
        )
        return tuple(self._spread(message) for message in self._random.choice(lies)())

    def _disrupt(self) -> tuple[Effect, ...]:
        """Something heard with one field changed, in its own name."""
        heard: list[Message] = [*self._votes, *self._view_changes, *self._others]
        if not heard:
            return ()
        found = disrupt(self._random, self._random.choice(heard), self._me, self._sign)
        if found is None:
            return ()
        self._fired["mutation"] += 1
        return (self._spread(found),)

    def _spread(self, message: Message) -> Effect:
        if self._random.randrange(3) == 0:
            return Broadcast(message)
        others = [MemberIndex(i) for i in range(self.membership.n) if i != self._me]
        return Send(self._random.choice(others), message)

    def _remember(self, message: Message) -> None:
        match message:
            case PrePrepare() | Prepare() | Commit():
                _keep(self._votes, message)
            case ViewChange():
                _keep(self._view_changes, message)
                _keep(self._heads, message.head)
                if message.prepared is not None:
                    _keep(self._certificates, message.prepared)
            case NewView():
                if self._is_disrupter:
                    _keep(self._others, message)
                for view_change in message.view_changes:
                    self._remember(view_change)
            case HeadReply():
                _keep(self._heads, message.head)
            case _:
                _keep(self._others, message)

    def _false_answer(self, asker: MemberIndex, request: GetBlocks | GetHead) -> tuple[Effect, ...]:
        """What was asked for, with a proof of noise."""
        self._fired["false_answer"] += 1
        answer: Message
        if isinstance(request, GetHead):
            answer = HeadReply(
                nonce=request.nonce,
                epoch=self.membership.epoch,
                head=self._forged_head(),
                yours=(),
            )
        else:
            bodies = [vote.body for vote in self._votes if isinstance(vote, PrePrepare)]
            body = self._random.choice(bodies) if bodies else self._random.randbytes(50)
            digest, height = digest_of(body), request.from_height
            answer = Blocks(
                (SealedBlock(height=height, digest=digest, body=body, seal=self._false_seal()),)
            )
        return (Send(asker, answer),)

    def _false_seal(self) -> Seal:
        """By q members, none of whom has signed."""
        members = range(self.membership.quorum.certificate)
        return Seal(view=View(self._random.randrange(3)), signatures=self._noise(members))

    def _flood(self) -> tuple[Effect, ...]:
        """Votes for the height after next and VIEW-CHANGEs, all signed, more than one can keep."""
        count = min(FLOOD_BURST, self._flood_left)
        view = FLOOD_MESSAGES - self._flood_left
        self._flood_left -= count
        self._fired["flood"] += count
        found: list[Effect] = []
        for k in range(count):
            kind = self._random.choice(self._floods)
            message = self._early_vote(view + k)
            if kind is Kind.VIEW_CHANGE:
                message = self._view_change(View(view + k + 1), self._heads[-1], None)
            found.append(Send(self._victim, message))
        return tuple(found)

    def _early_vote(self, view: int) -> Message:
        """For a height that the victim is not at yet, most likely."""
        heard = self._votes[-1].slot.height if self._votes else self._heads[-1].height + 1
        height = Height(heard + 1)
        slot = Slot(
            epoch=self.membership.epoch,
            term=self._term(height),
            view=View(view),
            height=height,
        )
        digest = Digest(self._random.randbytes(32))
        return self._vote(Kind.PREPARE, slot, digest)

    # Lies. Each returns what to send.

    def _false_votes(self) -> list[Message]:
        """PREPARE and COMMIT for some slot heard of, or one near it, and some digest."""
        if not self._votes:
            return []
        heard = self._random.choice(self._votes)
        slot = self._near(heard.slot)
        digest = self._random.choice(self._votes).digest
        if self._random.randrange(3) == 0:
            digest = Digest(self._random.randbytes(32))
        return [self._vote(kind, slot, digest) for kind in (Kind.PREPARE, Kind.COMMIT)]

    def _false_proposals(self) -> list[Message]:
        """Two proposals for a slot, made from a body heard of; perhaps it is even the primary."""
        bodies = [vote for vote in self._votes if isinstance(vote, PrePrepare)]
        if not bodies:
            return []
        heard = self._random.choice(bodies)
        slot = self._own_slot(heard.slot)
        content = decode_block(heard.body)
        if content is None:
            return []  # Another liar's.
        later = replace(content, time_ms=content.time_ms + self._random.choice((1, 5, 100_000)))
        return [self._propose(slot, body) for body in (heard.body, later.encode())]

    def _false_view_change(self) -> list[Message]:
        """For a view ahead, with a head and a certificate of its choice, forged ones too."""
        view = View(self._random.randint(1, 6))
        head = self._random.choice((*self._heads, self._forged_head()))
        certificate = self._random.choice((None, *self._certificates, None))
        if self._random.randrange(3) == 0:
            certificate = self._forged_certificate(head, view)
        return [self._view_change(view, head, certificate)]

    def _false_new_view(self) -> list[Message]:
        """Over VIEW-CHANGEs of its choice for a view, or such as nobody has signed."""
        if not self._view_changes:
            return []
        heard = self._random.choice(self._view_changes).slot
        wanted = self._led(heard) if self._random.randrange(2) else heard
        by_sender = {
            m.sender: m
            for m in self._random.sample(self._view_changes, len(self._view_changes))
            if (m.slot.term, m.slot.view) == (wanted.term, wanted.view)
        }
        if self._random.randrange(2):
            by_sender |= {m.sender: m for m in self._forged_view_changes(wanted.view)}
        chosen = sorted(by_sender.values(), key=lambda m: m.sender)
        count = self.membership.quorum.certificate - (self._random.randrange(4) == 0)
        proof = tuple(chosen[:count])
        slot = replace(wanted, height=Height(0))
        signature = self._sign(Kind.NEW_VIEW, slot, new_view_digest(proof))
        return [NewView(slot=slot, view_changes=proof, sender=self._me, signature=signature)]

    def _forged_view_changes(self, view: View) -> list[ViewChange]:
        """By everybody: nothing prepared, on some head."""
        head = self._random.choice(self._heads)
        return [
            ViewChange(
                slot=self._view_slot(head, view),
                head=head,
                prepared=None,
                sender=MemberIndex(i),
                signature=self._random.randbytes(64),
            )
            for i in range(self.membership.n)
        ]

    def _forged_head(self) -> Head:
        """A step above a true one, under a seal of noise."""
        below = self._random.choice(self._heads)
        signatures = self._noise(range(self.membership.quorum.certificate))
        return Head(
            height=Height(below.height + 1),
            digest=Digest(self._random.randbytes(32)),
            seal=Seal(view=View(0), signatures=signatures),
        )

    def _forged_certificate(self, head: Head, view: View) -> PreparedCertificate:
        """For a digest heard of, just above the head; only its PRE-PREPARE may be signed."""
        height = Height(head.height + 1)
        slot = replace(
            self._view_slot(head, view), view=View(self._random.randrange(view)), height=height
        )
        digest = Digest(self._random.randbytes(32))
        if self._votes and self._random.randrange(2):
            digest = self._random.choice(self._votes).digest
        primary = self.membership.primary(slot.term, slot.view)
        signature = self._sign(Kind.PRE_PREPARE, slot, digest)
        others = [i for i in range(self.membership.n) if i != primary]
        return PreparedCertificate(
            pre_prepare=SignedVote(
                kind=Kind.PRE_PREPARE,
                slot=slot,
                digest=digest,
                sender=primary,
                signature=signature,
            ),
            prepares=self._noise(others[: self.membership.quorum.certificate - 1]),
        )

    def _false_signature(self) -> list[Message]:
        """A vote or a VIEW-CHANGE of its own that nobody signed, or another's proposal."""
        heard = [*self._votes, *self._view_changes]
        if not heard:
            return []
        message = self._random.choice(heard)
        noise = self._random.randbytes(64)
        if isinstance(message, PrePrepare):
            return [
                Shown(replace(signed_core(message), digest=Digest(noise[:32]), signature=noise))
            ]
        return [replace(message, sender=self._me, signature=noise)]

    def _false_reply(self) -> list[Message]:
        """Answers that nobody asked for, claims without proof, requests for anything."""
        heard = self._random.choice(self._votes) if self._votes else None
        digest = heard.digest if heard is not None else digest_of(b"")
        head = self._random.choice(self._heads)
        height = Height(head.height + self._random.randint(1, 3))
        seal = Seal(view=View(0), signatures=((self._me, self._random.randbytes(64)),))
        replies: tuple[Message, ...] = (
            BodyReply(digest, self._random.randbytes(20)),
            GetBody(digest),
            GetBlocks(Height(1)),
            GetHead(digest),
            HeadReply(
                nonce=digest,
                epoch=self.membership.epoch,
                head=Head(height=height, digest=digest, seal=seal),
                yours=(),
            ),
        )
        statuses: list[Message] = [
            replace(m, slot=replace(m.slot, height=Height(m.slot.height + 5)))
            for m in self._others
            if isinstance(m, Status)
        ]
        blocks: list[Message] = [
            Blocks((replace(m.blocks[0], seal=seal),))
            for m in self._others
            if isinstance(m, Blocks)
        ]
        return [self._random.choice([*replies, *statuses, *blocks])]

    def _words_of_others(self) -> list[Message]:
        """What another member sent, unchanged, over its own link."""
        heard: list[Message] = [*self._votes, *self._view_changes, *self._others]
        return [self._random.choice(heard)] if heard else []

    # What lies are made of.

    def _sign(self, kind: Kind, slot: Slot, digest: bytes) -> bytes:
        return self._keyring.sign(self._domain.payload(kind, slot, digest))

    def _vote(self, kind: Kind, slot: Slot, digest: Digest) -> Prepare | Commit:
        signature = self._sign(kind, slot, digest)
        make = Prepare if kind is Kind.PREPARE else Commit
        return make(slot=slot, digest=digest, sender=self._me, signature=signature)

    def _view_change(
        self, view: View, head: Head, certificate: PreparedCertificate | None
    ) -> ViewChange:
        slot = self._view_slot(head, view)
        signature = self._sign(Kind.VIEW_CHANGE, slot, view_change_digest(head, certificate))
        return ViewChange(
            slot=slot, head=head, prepared=certificate, sender=self._me, signature=signature
        )

    def _noise(self, members: Iterable[int]) -> Signatures:
        return tuple((MemberIndex(i), self._random.randbytes(64)) for i in members)

    def _view_slot(self, head: Head, view: View) -> Slot:
        return Slot(
            epoch=self.membership.epoch,
            term=self._term(head.height + 1),
            view=view,
            height=head.height,
        )

    def _propose(self, slot: Slot, body: bytes) -> PrePrepare:
        digest = digest_of(body)
        return PrePrepare(
            slot=slot,
            digest=digest,
            sender=self._me,
            signature=self._sign(Kind.PRE_PREPARE, slot, digest),
            body=body,
        )

    def _near(self, slot: Slot) -> Slot:
        view = max(0, slot.view + self._random.choice((0, 0, 0, -1, 1)))
        height = max(1, slot.height + self._random.choice((0, 0, 0, 1)))
        return Slot(
            epoch=self.membership.epoch,
            term=self._term(height),
            view=View(view),
            height=Height(height),
        )

    def _own_slot(self, slot: Slot) -> Slot:
        """A slot near by in a view of which it is the primary, if it can be."""
        return self._led(self._near(slot))

    def _led(self, slot: Slot) -> Slot:
        """The slot in the next view of which it is the primary."""
        for view in range(slot.view, slot.view + self.membership.n):
            if self.membership.primary(slot.term, view) == self._me:
                return replace(slot, view=View(view))
        return slot


def _keep(items: list[T], item: T) -> None:
    items.append(item)
    if len(items) > REMEMBERED:
        del items[0]
