"""Signs light clients' nonces: this is my head, and I have sent no COMMIT above it."""

from collections.abc import Callable
from typing import final

from consensus.certificates import SigningDomain
from consensus.keyring import Keyring
from consensus.light import Attestation, attestation_payload
from consensus.membership import Height
from consensus.replica import Replica
from node.chain import Chain


@final
class Attester:
    """Called with a nonce of 32 bytes; None while it must not or cannot be signed."""

    def __init__(self, chain: Chain, replica: Callable[[], Replica], keyring: Keyring) -> None:
        """Sign for the member that `replica` votes for.

        Args:
            chain: at whose head the replica is, but for the moment in which a block is applied.
            replica: returns the present one.
            keyring: the replica's.
        """
        self._chain = chain
        self._replica = replica
        self._keyring = keyring

    def __call__(self, nonce: bytes) -> Attestation | None:
        replica, header = self._replica(), self._chain.head
        if not replica.may_attest or replica.head.height != header.number:
            return None
        me = replica.me
        assert me is not None, "may_attest says that it votes"
        domain = SigningDomain(self._chain.store.digest(0), replica.membership.hash())
        digest = replica.head.digest
        payload = attestation_payload(
            domain,
            height=header.number,
            digest=digest,
            state_root=header.state_root,
            nonce=nonce,
        )
        return Attestation(
            height=Height(header.number),
            digest=digest,
            state_root=header.state_root,
            nonce=nonce,
            member=me,
            signature=self._keyring.sign(payload),
        )
