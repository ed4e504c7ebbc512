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
    SigningDomain,
    Slot,
)
from consensus.keyring import Keyring
from consensus.membership import MemberIndex, Membership
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
from consensus.wire import signed_core


@final
class Forger:
    """Tells what the faulty members of a cluster could say, given what others have signed."""

    def __init__(
        self, keyring: Keyring, domain: SigningDomain, membership: Membership, signed: SignOnce
    ) -> None:
        self._keyring = keyring
        self._domain = domain
        self._membership = membership
        self._signed = signed

    def could_say(self, member: MemberIndex, message: Message) -> bool:
        """Whether each vote of another in `message` has been signed, or is not signed by it.

        False for bodies: they hold clients' transactions, which nobody can make up either.
        """
        if isinstance(message, PrePrepare | BodyReply | Blocks):
            return False
        return all(
            vote.sender == member or self._signed.has_noted(vote) or not self._is_signed(vote)
            for vote in votes_in(message, self._membership)
        )

    def _is_signed(self, vote: SignedVote) -> bool:
        if vote.sender >= self._membership.n:
            return False
        payload = self._domain.payload(vote.kind, vote.slot, vote.digest)
        return self._keyring.verify(self._membership.members[vote.sender], payload, vote.signature)


def votes_in(message: Message, membership: Membership) -> Iterator[SignedVote]:
    """All signed votes in a message, those in its proofs included."""
    match message:
        case Prepare() | Commit():
            yield signed_core(message)
        case ViewChange(head=head, prepared=prepared):
            yield signed_core(message)
            yield from _of_seal(head, membership)
            if prepared is not None:
                yield from prepare_votes(prepared)
        case NewView(view_changes=view_changes):
            yield signed_core(message)
            for view_change in view_changes:
                yield from votes_in(view_change, membership)
        case HeadReply(head=head, yours=yours):
            yield from _of_seal(head, membership)
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


def _of_seal(head: Head, membership: Membership) -> Iterator[SignedVote]:
    if head.seal is None:
        return
    slot = Slot(
        epoch=membership.epoch,
        term=membership.term(head.height),
        view=head.seal.view,
        height=head.height,
    )
    for sender, signature in head.seal.signatures:
        yield SignedVote(
            kind=Kind.COMMIT, slot=slot, digest=head.digest, sender=sender, signature=signature
        )
