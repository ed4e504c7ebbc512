"""What a faulty member can say at any time: all that needs nobody else's fresh signature.

A liar's words follow from all that it has heard, so in a shortened run it would say something
else. What it could have said there is a matter of signatures only.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import final

from consensus.certificates import (
    Head,
    Kind,
    PreparedCertificate,
    SignedVote,
)
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Shown,
    ViewChange,
)
from consensus.sim.checkers import SignOnce
from consensus.sim.epochs import Epochs
from consensus.wire import signed_core


@final
class Forger:
    """Tells what the faulty members of a cluster could say, given what others have signed."""

    def __init__(self, epochs: Epochs, signed: SignOnce) -> None:
        self._epochs = epochs
        self._signed = signed

    def could_say(self, key: bytes, message: Message) -> bool:
        """Whether each vote of another in `message` has been signed, or is not signed by it.

        False for bodies: they hold clients' transactions, which nobody can make up either.
        """
        if isinstance(message, PrePrepare | BodyReply | Blocks):
            return False
        return all(
            self._is_own(vote, key)
            or self._signed.has_noted(vote)
            or not self._epochs.is_vote_signed(vote)
            for vote in votes_in(message, self._epochs)
        )

    def _is_own(self, vote: SignedVote, key: bytes) -> bool:
        membership = self._epochs.of(vote.slot.epoch)
        return membership is not None and membership.index_of(key) == vote.sender


def votes_in(message: Message, epochs: Epochs) -> Iterator[SignedVote]:
    """All signed votes in a message, those in its proofs included."""
    match message:
        case Prepare() | Commit():
            yield signed_core(message)
        case ViewChange(head=head, prepared=prepared):
            yield signed_core(message)
            yield from _of_seal(head, epochs)
            if prepared is not None:
                yield from prepare_votes(prepared)
        case NewView(view_changes=view_changes):
            yield signed_core(message)
            for view_change in view_changes:
                yield from votes_in(view_change, epochs)
        case HeadReply(head=head, yours=yours):
            yield from _of_seal(head, epochs)
            yield from yours
        case Shown(vote):
            yield vote
        case _:
            pass


def prepare_votes(certificate: PreparedCertificate) -> Iterator[SignedVote]:
    """The PRE-PREPARE of a certificate and its PREPAREs, each as a vote."""
    first = certificate.pre_prepare
    yield first
    for sender, signature in certificate.prepares:
        yield replace(first, kind=Kind.PREPARE, sender=sender, signature=signature)


def _of_seal(head: Head, epochs: Epochs) -> Iterator[SignedVote]:
    if head.seal is None:
        return
    slot = epochs.commit_slot(head.height, head.seal.view)
    for sender, signature in head.seal.signatures:
        yield SignedVote(
            kind=Kind.COMMIT, slot=slot, digest=head.digest, sender=sender, signature=signature
        )
