"""Who forked the chain: culprits from two conflicting seals and the NEW-VIEWs between them.

After Sheng, Wang, Nayak, Kannan and Viswanath, "BFT Protocol Forensics" (CCS 2021), for this
protocol. Let seal A be of view a, and let the other digest first be prepared or sealed in view
b >= a. If b = a, the two quorums share 2q - n >= f + 1 members, who committed twice, or prepared
one digest and committed to the other. If b > a, a correct supporter of the other digest in b
accepted a NEW-VIEW that let it: its q VIEW-CHANGEs and A's q COMMITs share f + 1 members, and each
of these either hid what it had committed to, or showed a certificate of view a for the other
digest, whose q signers share f + 1 members with A. So all that is needed is A, B, and what the
correct supporters of B keep; and what is found are pairs of signatures that convict each culprit
by themselves.

Nobody is accused for being in a wrong quorum: only by two own signatures (`consensus.evidence`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import final

from consensus.certificates import Head, Kind, PreparedCertificate, SignedVote, SigningDomain, Slot
from consensus.evidence import DoubleVote, HiddenCertificate, Proof, SplitVote, place_of, proof_from
from consensus.keyring import Keyring
from consensus.membership import MemberIndex, Membership, View
from consensus.messages import NewView, ViewChange
from consensus.wire import signed_core
from crypto.hashing import Digest

NEW_VIEWS_MAX = 4096
"""NEW-VIEWs that are looked at: views climb only as fast as their timers go off."""


@final
@dataclass(frozen=True, slots=True)
class Findings:
    """What the seals and NEW-VIEWs prove."""

    culprits: dict[MemberIndex, Proof]
    """One proof for each, ascending by member; the first that was found."""
    faulty: tuple[str, ...]
    """What does not hold of the seals themselves, in words; empty when both are valid."""
    views: tuple[View, View] | None
    """Lowest and highest view whose NEW-VIEWs can matter; None when the seals share a view."""
    unseen: tuple[View, ...]
    """Views between, for which no NEW-VIEW was given; at most 64 are listed."""
    need: int
    """f + 1: what two valid seals and the right NEW-VIEWs always give."""

    @property
    def is_complete(self) -> bool:
        """Whether at least f + 1 culprits are named."""
        return len(self.culprits) >= self.need


class NoConflict(ValueError):
    """The two seals do not contradict each other: there is nothing to look for."""


def investigate(
    one: Head,
    two: Head,
    new_views: Sequence[NewView],
    *,
    genesis_hash: Digest,
    membership: Membership,
    keyring: Keyring,
) -> Findings:
    """Name the culprits of a fork at one height.

    Args:
        one: a sealed block.
        two: another one of the same height.
        new_views: of the height's term, by whomever kept; others are passed over.
        genesis_hash: of the chain.
        membership: the set that seals this height, the same on both branches. Where the branches
            have different sets, they part at a lower height: look there.
        keyring: only its `verify` is used.

    Raises:
        NoConflict: the heights differ, the digests agree, or a seal is missing.
    """
    if one.height != two.height:
        raise NoConflict(f"the heights differ: {one.height} and {two.height}")
    if one.digest == two.digest:
        raise NoConflict("the two seals are for the same block")
    if one.seal is None or two.seal is None or one.height < membership.first_height:
        raise NoConflict("no seal by these members is at stake at this height")
    court = _Court(SigningDomain(genesis_hash, membership.hash()), membership, keyring)
    term = membership.term(one.height)
    relevant = [m for m in new_views if (m.slot.epoch, m.slot.term) == (membership.epoch, term)]
    court.hear_head(one)
    court.hear_head(two)
    for new_view in relevant[:NEW_VIEWS_MAX]:
        court.hear_new_view(new_view)
    low, high = sorted((one.seal.view, two.seal.view))
    seen = {m.slot.view for m in relevant}
    between = range(low + 1, high + 1)
    return Findings(
        culprits=dict(sorted(court.culprits.items())),
        faulty=tuple(chain(court.seal_faults(one), court.seal_faults(two))),
        views=(View(low + 1), high) if high > low else None,
        unseen=tuple(View(v) for v in between[:64] if v not in seen),
        need=membership.quorum.one_correct,
    )


@final
class _Court:
    """Collects votes whose signatures verify, and compares each with its sender's others."""

    def __init__(self, domain: SigningDomain, membership: Membership, keyring: Keyring) -> None:
        self._domain = domain
        self._membership = membership
        self._keyring = keyring
        self._votes: dict[tuple[MemberIndex, Kind, Slot], SignedVote] = {}
        """The first verified vote of a member and kind in a place."""
        self._commits: dict[MemberIndex, list[SignedVote]] = {}
        self._asked: dict[MemberIndex, list[ViewChange]] = {}
        self._checked: dict[SignedVote, bool] = {}
        self.culprits: dict[MemberIndex, Proof] = {}

    def hear_head(self, head: Head) -> None:
        """Take in the COMMITs of a seal."""
        for vote in self._commits_of(head):
            self._hear(vote)

    def hear_new_view(self, new_view: NewView) -> None:
        """Take in all that is signed in a NEW-VIEW, whoever composed it."""
        self._hear(signed_core(new_view))
        for asked in new_view.view_changes:
            if asked.head.height >= self._membership.first_height:
                self.hear_head(asked.head)
            if asked.prepared is not None:
                for vote in _votes_of(asked.prepared):
                    self._hear(vote)
            if self._hear(signed_core(asked)):
                self._hear_asked(asked)

    def seal_faults(self, head: Head) -> Iterator[str]:
        """Yield what makes a seal no proof of a decision."""
        name = f"the seal of {head.digest.hex()[:8]}"
        votes = list(self._commits_of(head))
        need = self._membership.quorum.certificate
        good = sum(self._is_signed(vote) for vote in votes)
        if len(votes) != need:
            yield f"{name} holds {len(votes)} signatures, {need} make a seal"
        if good < len(votes):
            yield f"{name}: {len(votes) - good} of its signatures do not verify"

    def _commits_of(self, head: Head) -> Iterator[SignedVote]:
        if head.seal is None:
            return
        slot = Slot(
            epoch=self._membership.epoch,
            term=self._membership.term(head.height),
            view=head.seal.view,
            height=head.height,
        )
        for member, signature in head.seal.signatures:
            yield SignedVote(
                kind=Kind.COMMIT,
                slot=slot,
                digest=head.digest,
                sender=member,
                signature=signature,
            )

    def _hear(self, vote: SignedVote) -> bool:
        """Note a vote and compare it; False if it is not its sender's."""
        if not self._is_signed(vote):
            return False
        key = (vote.sender, vote.kind, place_of(vote))
        known = self._votes.setdefault(key, vote)
        self._judge(known, vote)
        if vote.kind is Kind.COMMIT:
            if vote is known:
                self._commits.setdefault(vote.sender, []).append(vote)
            for kind in (Kind.PRE_PREPARE, Kind.PREPARE):
                self._judge(self._votes.get((vote.sender, kind, vote.slot)), vote)
            for asked in self._asked.get(vote.sender, ()):
                self._judge(vote, signed_core(asked), asked)
        elif vote.kind in (Kind.PRE_PREPARE, Kind.PREPARE):
            self._judge(self._votes.get((vote.sender, Kind.COMMIT, vote.slot)), vote)
        return True

    def _hear_asked(self, asked: ViewChange) -> None:
        core = signed_core(asked)
        self._asked.setdefault(asked.sender, []).append(asked)
        for commit in self._commits.get(asked.sender, ()):
            self._judge(commit, core, asked)

    def _judge(
        self, first: SignedVote | None, second: SignedVote, asked: ViewChange | None = None
    ) -> None:
        if first is None or first.sender in self.culprits:
            return
        proof = proof_from(first, second, asked)
        if proof is not None:
            self.culprits[first.sender] = proof

    def _is_signed(self, vote: SignedVote) -> bool:
        known = self._checked.get(vote)
        if known is None:
            known = self._verify(vote)
            self._checked[vote] = known
        return known

    def _verify(self, vote: SignedVote) -> bool:
        membership = self._membership
        if vote.slot.epoch != membership.epoch or vote.sender >= membership.n:
            return False
        payload = self._domain.payload(vote.kind, vote.slot, vote.digest)
        return self._keyring.verify(membership.members[vote.sender], payload, vote.signature)


def _votes_of(certificate: PreparedCertificate) -> Iterable[SignedVote]:
    yield certificate.pre_prepare
    for member, signature in certificate.prepares:
        yield SignedVote(
            kind=Kind.PREPARE,
            slot=certificate.slot,
            digest=certificate.digest,
            sender=member,
            signature=signature,
        )


def in_words(proof: Proof) -> str:
    """What a member did, for people."""
    slot = proof.votes[0].slot
    where = f"view {slot.view} of term {slot.term}"
    match proof:
        case DoubleVote(first=first) if first.kind is Kind.VIEW_CHANGE:
            return f"asked twice for {where}, with different words"
        case DoubleVote(first=first) if first.kind is Kind.NEW_VIEW:
            return f"began {where} twice, with different proofs"
        case DoubleVote(first=first):
            name = first.kind.name.replace("_", "-")
            return f"signed two {name}s for height {slot.height} in {where}"
        case SplitVote(vote=vote):
            name = vote.kind.name.replace("_", "-")
            return (
                f"signed a {name} for one block and a COMMIT to another at height {slot.height} "
                f"in {where}"
            )
        case HiddenCertificate(view_change=asked):
            return (
                f"committed to a block at height {slot.height} in {where}, and hid that when it "
                f"asked for view {asked.slot.view}"
            )
