"""The idempotent signer: one signature for a slot, for ever (rules 23, 24).

After a crash a replica may be asked to sign again what it signed before; it must give the
stored signature and never a second, different one. What it remembers comes from the vote
log; what it signs must be in the log before it leaves (the caller emits `Persist` first).
"""

from typing import final

from consensus.certificates import Kind, SignedVote, SigningDomain, Slot
from consensus.errors import DoubleSign
from consensus.keyring import Keyring
from consensus.membership import MemberIndex
from crypto.hashing import Digest

_Key = tuple[Kind, int, int, int, int]


def _key(kind: Kind, slot: Slot) -> _Key:
    # A view change or new view is unique in its view, whatever head it speaks of.
    height = 0 if kind in (Kind.VIEW_CHANGE, Kind.NEW_VIEW) else slot.height
    return (kind, slot.epoch, slot.term, slot.view, height)


@final
class Signer:
    """Signs for `me` and refuses to contradict itself."""

    __slots__ = ("_domain", "_keyring", "_me", "_signed")

    def __init__(self, keyring: Keyring, domain: SigningDomain, me: MemberIndex) -> None:
        self._keyring = keyring
        self._domain = domain
        self._me = me
        self._signed: dict[_Key, SignedVote] = {}

    def sign(self, kind: Kind, slot: Slot, digest: Digest) -> bytes:
        """Return the signature for `digest` in `slot`, the stored one if there is one.

        Raises:
            DoubleSign: another digest was signed for this slot before.
        """
        known = self._signed.get(_key(kind, slot))
        if known is not None:
            self._require_same(known, slot, digest)
            return known.signature
        signature = self._keyring.sign(self._domain.payload(kind, slot, digest))
        vote = SignedVote(kind=kind, slot=slot, digest=digest, sender=self._me, signature=signature)
        self._signed[_key(kind, slot)] = vote
        return signature

    def remember(self, vote: SignedVote) -> None:
        """Take over a signature from the vote log.

        Raises:
            DoubleSign: the log contradicts itself.
        """
        known = self._signed.setdefault(_key(vote.kind, vote.slot), vote)
        self._require_same(known, vote.slot, vote.digest)

    def knows(self, vote: SignedVote) -> bool:
        """Whether something was signed, or remembered, for the slot of `vote`."""
        return _key(vote.kind, vote.slot) in self._signed

    def has_committed(self, height: int, view: int) -> bool:
        """Whether a COMMIT at `height` is remembered, in `view` or above.

        Of one height the vote log keeps the COMMIT of the highest view alone.
        """
        return any(
            key[0] is Kind.COMMIT and key[4] == height and key[3] >= view for key in self._signed
        )

    def forget_decided(self, height: int, term: int) -> None:
        """Drop what can never be asked for again: votes up to `height`, views before `term`."""
        self._signed = {
            key: vote
            for key, vote in self._signed.items()
            if (key[4] > height if key[4] else key[2] >= term)
        }

    def __len__(self) -> int:
        return len(self._signed)

    @staticmethod
    def _require_same(known: SignedVote, slot: Slot, digest: Digest) -> None:
        if known.digest != digest or known.slot != slot:
            raise DoubleSign(
                f"{known.kind.name} for {known.slot}: signed {known.digest.hex()[:16]}, "
                f"now asked for {digest.hex()[:16]}"
            )
