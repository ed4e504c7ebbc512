"""What a flooder can send in the name of one member: valid, nearly valid, and noise.

Well-formed and malformed frames on all channels: votes for slots far and near, VIEW-CHANGEs without
end, proposals of the largest size, requests for all that nodes serve, blocks with forged seals,
valid transactions and envelopes by the thousand, bytes without meaning.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Final, final

from consensus.certificates import Head, Kind, Seal, SignedVote, SigningDomain, Slot
from consensus.config import MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from consensus.membership import Height, MemberIndex, Membership, View
from consensus.messages import (
    Blocks,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Status,
    ViewChange,
)
from consensus.wire import (
    encode_message,
    new_view_digest,
    view_change_digest,
)
from crypto import codec
from crypto.hashing import Digest
from crypto.keystore import HouseholdKeys
from node.gossip import encode_batches
from node.p2p.frames import FRAME_LIMITS, Channel, encode_frame
from node.relay import PAYLOAD_BYTES_MAX, Envelope
from vm.genesis import Genesis
from vm.transaction import sign_transaction

_TARGET: Final = bytes(19) + b"\x99"
_LARGE_DATA: Final = 64 << 10
_BURST = 64
"""Frames of one kind in a row: queues see runs, not a mixture."""


@final
class Ammunition:
    """Makes frames in the name of one member; the same dice make the same frames."""

    def __init__(
        self, keys: HouseholdKeys, genesis: Genesis, first_hash: Digest, *, seed: int
    ) -> None:
        """`first_hash`: of block 0, which the members' signatures are bound to."""
        members = tuple(sorted(member.node_key for member in genesis.members))
        self._keys = keys
        self._genesis = genesis
        self._random = random.Random(seed)
        self.membership = Membership(epoch=0, members=members)  # type: ignore[arg-type]
        me = self.membership.index_of(keys.node.public)
        assert me is not None, "a flooder is a member"
        self._me: MemberIndex = me
        self._domain = SigningDomain(first_hash, self.membership.hash())
        self._head = Head(height=Height(0), digest=first_hash, seal=None)
        self._view = 0
        self.nonce = 0
        """Of the household's account, as the chain has it."""
        self._noise = self._random.randbytes(MAX_MESSAGE_BYTES)
        self._time_ms = 0

    def hear(self, message: Message) -> None:
        """Learn where the chain is."""
        if isinstance(message, Status) and message.slot.height > self._head.height:
            seal = Seal(view=View(0), signatures=())
            self._head = Head(height=message.slot.height, digest=message.head_digest, seal=seal)

    def kinds(self, *, is_polite: bool) -> dict[str, Callable[[], Iterator[bytes]]]:
        """Return what can be sent, by name; each yields frames without end or runs out."""
        polite: dict[str, Callable[[], Iterator[bytes]]] = {
            "votes": self._votes,
            "early votes": self._early_votes,
            "status": self._status,
            "requests": self._requests,
            "transactions": self._transactions,
            "large transactions": self._large_transactions,
            "envelopes": self._envelopes,
        }
        if is_polite:
            return polite
        return polite | {
            "proposals": self._proposals,
            "view changes": self._view_changes,
            "new views": self._new_views,
            "forged blocks": self._forged_blocks,
            "double votes": self._double_votes,
            "shown": self._shown,
            "strange transactions": self._strange_transactions,
            "noise": self._noises,
        }

    # Each generator yields whole frames.

    def _votes(self) -> Iterator[bytes]:
        for _ in range(_BURST):
            self._view += 1  # Two digests in one slot would be evidence.
            for kind in (Prepare, Commit):
                height = Height(self._head.height + 1)
                yield self._consensus(self._vote(kind, View(self._view), height))

    def _early_votes(self) -> Iterator[bytes]:
        for ahead in range(_BURST):
            height = Height(self._head.height + 1 + ahead % 3)
            self._view += 1
            yield self._consensus(self._vote(Commit, View(self._view), height))

    def _status(self) -> Iterator[bytes]:
        for _ in range(_BURST):
            slot = self._slot(View(0), Height(self._head.height + self._random.randrange(2)))
            yield self._consensus(
                Status(
                    slot=slot,
                    head_digest=self._digest(),
                    asked=View(0),
                    proposal=None,
                    prepares=0,
                    commits=0,
                    view_changes=(),
                    is_learner=False,
                )
            )

    def _requests(self) -> Iterator[bytes]:
        for _ in range(_BURST):
            yield self._catch_up(GetBlocks(Height(1)))
            yield self._consensus(GetHead(self._digest()))
            yield self._consensus(GetBody(self._head.digest))

    def _transactions(self) -> Iterator[bytes]:
        raws = [self._transaction(ahead, self._random.randbytes(8)) for ahead in range(_BURST)]
        for payload in encode_batches(raws):
            yield encode_frame(Channel.TRANSACTIONS, payload)

    def _large_transactions(self) -> Iterator[bytes]:
        salted = [self._random.randbytes(8) + self._noise[:_LARGE_DATA] for _ in range(8)]
        raws = [self._transaction(ahead, data) for ahead, data in enumerate(salted)]
        for payload in encode_batches(raws):
            yield encode_frame(Channel.TRANSACTIONS, payload)

    def _envelopes(self) -> Iterator[bytes]:
        for _ in range(_BURST):
            envelope = Envelope(
                to_key=self._digest(),
                window=0,
                expires_ms=int(time.time() * 1000) + 60_000,
                payload=self._random.randbytes(PAYLOAD_BYTES_MAX),
            )
            yield encode_frame(Channel.RELAY, b"\0" + envelope.encode())

    def _proposals(self) -> Iterator[bytes]:
        for view in range(4):
            body = self._noise[view : view + MAX_BODY_BYTES]
            slot, digest = self._slot(View(view), Height(self._head.height + 1)), self._digest()
            yield self._consensus(
                PrePrepare(
                    slot=slot,
                    digest=digest,
                    sender=self._me,
                    signature=self._sign(Kind.PRE_PREPARE, slot, digest),
                    body=body,
                )
            )

    def _view_changes(self) -> Iterator[bytes]:
        for _ in range(_BURST):
            yield self._consensus(self._view_change())

    def _new_views(self) -> Iterator[bytes]:
        for _ in range(4):
            inner = (self._view_change(),)
            slot = Slot(
                epoch=self.membership.epoch,
                term=inner[0].slot.term,
                view=inner[0].slot.view,
                height=Height(0),
            )
            signature = self._sign(Kind.NEW_VIEW, slot, new_view_digest(inner))
            yield self._consensus(
                NewView(slot=slot, view_changes=inner, sender=self._me, signature=signature)
            )

    def _forged_blocks(self) -> Iterator[bytes]:
        body = self._noise[:MAX_BODY_BYTES]
        signatures = tuple((MemberIndex(i), bytes(64)) for i in range(3))
        first = self._head.height + 1
        yield self._catch_up(
            Blocks(
                tuple(
                    SealedBlock(
                        height=Height(first + i),
                        digest=self._digest(),
                        body=body,
                        seal=Seal(view=View(0), signatures=signatures),
                    )
                    for i in range(3)
                )
            )
        )

    def _double_votes(self) -> Iterator[bytes]:
        for _ in range(4):
            yield self._consensus(self._vote(Commit, View(0), Height(self._head.height + 1)))

    def _shown(self) -> Iterator[bytes]:
        slot = self._slot(View(0), Height(self._head.height + 1))
        for member in range(self.membership.n):
            vote = SignedVote(
                kind=Kind.PRE_PREPARE,
                slot=slot,
                digest=self._digest(),
                sender=MemberIndex(member),
                signature=bytes(64),
            )
            yield self._consensus(Shown(vote))

    def _strange_transactions(self) -> Iterator[bytes]:
        raws = [self._random.randbytes(self._random.randrange(1, 512)) for _ in range(_BURST)]
        yield encode_frame(Channel.TRANSACTIONS, codec.encode(raws))

    def _noises(self) -> Iterator[bytes]:
        """On every channel; last on one that there is not, after which the link is closed."""
        for channel in sorted(FRAME_LIMITS, reverse=True):
            size = self._random.randrange(1, FRAME_LIMITS[channel])
            yield bytes((channel,)) + self._noise[: size - 1]
        yield b"\xff" + self._noise[:100]

    # Parts.

    def vote(self, kind: type[Prepare] | type[Commit], *, view: int, height: int) -> Message:
        """Return a signed vote for a block that nobody has seen."""
        return self._vote(kind, View(view), Height(height))

    def _vote(
        self, kind: type[Prepare] | type[Commit], view: View, height: Height
    ) -> Prepare | Commit:
        slot, digest = self._slot(view, height), self._digest()
        signature = self._sign(Kind(kind.TAG), slot, digest)
        return kind(slot=slot, digest=digest, sender=self._me, signature=signature)

    def _view_change(self) -> ViewChange:
        self._view += 1
        head = self._head
        slot = Slot(
            epoch=self.membership.epoch,
            term=self.membership.term(head.height + 1),
            view=View(self._view),
            height=head.height,
        )
        signature = self._sign(Kind.VIEW_CHANGE, slot, view_change_digest(head, None))
        return ViewChange(slot=slot, head=head, prepared=None, sender=self._me, signature=signature)

    def _transaction(self, ahead: int, data: bytes) -> bytes:
        return sign_transaction(
            self._keys.account,
            chain_id=self._genesis.chain_id,
            nonce=self.nonce + ahead,
            to=_TARGET,
            data=data,
            gas_limit=30_000 + 40 * len(data),
        )

    def _slot(self, view: View, height: Height) -> Slot:
        term = self.membership.term(max(height, 1))
        return Slot(epoch=self.membership.epoch, term=term, view=view, height=height)

    def _digest(self) -> Digest:
        return Digest(self._random.randbytes(32))

    def _sign(self, kind: Kind, slot: Slot, digest: bytes) -> bytes:
        return self._keys.node.sign(self._domain.payload(kind, slot, digest))

    def _consensus(self, message: Message) -> bytes:
        return encode_frame(Channel.CONSENSUS, encode_message(message))

    def _catch_up(self, message: Message) -> bytes:
        return encode_frame(Channel.CATCH_UP, encode_message(message))
