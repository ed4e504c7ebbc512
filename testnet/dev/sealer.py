"""Seals by keys that are all in this process: what the members of a community agree on."""

from collections.abc import Sequence
from typing import final

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.membership import Height, MemberIndex, Membership, View
from consensus.messages import SealedBlock
from crypto.hashing import Digest
from crypto.keys import NodeKey
from testnet.dev.errors import DevRefusal


@final
class Sealer:
    """Gives each block the COMMITs of a quorum, in view 0: a light client accepts them."""

    def __init__(self, keys: Sequence[NodeKey], genesis_hash: Digest) -> None:
        """Seal by `keys`; `genesis_hash` is that of block 0, to which consensus binds a seal."""
        self._keys = {key.public: key for key in keys}
        self._genesis_hash = genesis_hash

    def seal(self, body: bytes, height: int, digest: Digest, members: Membership) -> SealedBlock:
        """Return the block with its seal.

        Raises:
            DevRefusal: members were admitted whose keys are elsewhere, so that no quorum is here.
        """
        domain = SigningDomain(self._genesis_hash, members.hash())
        slot = Slot(
            epoch=members.epoch,
            term=members.term(height),
            view=View(0),
            height=Height(height),
        )
        payload = domain.payload(Kind.COMMIT, slot, digest)
        quorum = members.quorum.certificate
        signers = [public for public in members.members if public in self._keys][:quorum]
        if len(signers) < quorum:
            raise DevRefusal(f"{quorum} members must seal, and {len(signers)} have keys here")
        signatures = tuple(
            (MemberIndex(place), self._keys[public].sign(payload))
            for place, public in enumerate(members.members)
            if public in signers
        )
        seal = Seal(view=View(0), signatures=signatures)
        return SealedBlock(height=Height(height), digest=digest, body=body, seal=seal)
