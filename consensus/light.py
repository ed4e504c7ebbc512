"""Following a chain without running a replica: seals, epochs, and who has not gone further.

A light client starts from a member set that it trusts: that of genesis, or the one below a block
whose hash somebody vouched for. From there on it believes nobody. A seal shows that a block is
decided; the last block of an epoch names the hash of the set that follows, so one header and
one seal lead from each epoch into the next (research rules 28, 29). An attestation shows that
its signer had not gone beyond a height when it saw the client's nonce, which tells a chain that
is idle from a client that is cut off.

Like the rest of the package this knows digests, not blocks: that a digest commits to the hash
of a member set is the caller's to check (`node.light_client`).
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import final

from consensus.certificates import (
    COUNTER_MAX,
    SIGNATURE_BYTES,
    Kind,
    Seal,
    SigningDomain,
    Slot,
    check_digest,
)
from consensus.config import MAX_MEMBERS
from consensus.errors import MalformedMessage
from consensus.membership import Height, MemberIndex, Membership
from crypto.errors import InvalidProof, InvalidSignature
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash
from crypto.keys import verify_ed25519

NONCE_BYTES = 32
_ATTEST_TAG = b"hearth/attest/1"


def verify_seal(
    genesis_digest: Digest, members: Membership, height: int, digest: Digest, seal: Seal
) -> None:
    """Accept `seal` as the decision of `digest` at `height` by `members`, or raise.

    Args:
        genesis_digest: of block 0, which every signature is bound to.
        members: the set that seals the block at `height`.
        height: above 0.
        digest: the block's hash.
        seal: exactly q COMMITs of one view, by indexes of `members`.

    Raises:
        InvalidProof: a height before the epoch, too few or too many signatures, a stranger's, or
            a wrong one.
    """
    if not members.first_height <= height <= COUNTER_MAX:
        raise InvalidProof(f"block {height} is not of epoch {members.epoch}")
    needed = members.quorum.certificate
    if len(seal.signatures) != needed:
        raise InvalidProof(f"its seal must have {needed} signatures, got {len(seal.signatures)}")
    slot = Slot(
        epoch=members.epoch, term=members.term(height), view=seal.view, height=Height(height)
    )
    domain = SigningDomain(genesis_digest, members.hash())
    payload = domain.payload(Kind.COMMIT, slot, digest)
    for member, signature in seal.signatures:
        if member >= members.n:
            raise InvalidProof(f"its seal names member {member}; there are {members.n}")
        try:
            verify_ed25519(members.members[member], payload, signature)
        except InvalidSignature:
            raise InvalidProof(f"its seal's signature by member {member} is wrong") from None


@final
class EpochChain:
    """The member sets from a trusted one on, each handed over by the seal of the one before."""

    def __init__(self, genesis_digest: Digest, trusted: Membership) -> None:
        """Start.

        Args:
            genesis_digest: of block 0.
            trusted: a set that needs no proof.
        """
        self.genesis_digest = genesis_digest
        self._sets = [trusted]

    @property
    def newest(self) -> Membership:
        """The last set that is known."""
        return self._sets[-1]

    @property
    def sets(self) -> tuple[Membership, ...]:
        """All of them, ascending by epoch, without gaps."""
        return tuple(self._sets)

    def at(self, height: int) -> Membership:
        """Return the set that seals the block at `height`, as far as sets are known.

        Raises:
            InvalidProof: it lies before the trusted set's first block.
        """
        place = bisect_right(self._sets, height, key=lambda each: each.first_height)
        if place == 0:
            raise InvalidProof(f"block {height} lies before what is trusted")
        return self._sets[place - 1]

    def verify(self, height: int, digest: Digest, seal: Seal) -> None:
        """Accept that `digest` is decided at `height`, or raise InvalidProof."""
        verify_seal(self.genesis_digest, self.at(height), height, digest, seal)

    def hand_over(self, height: int, digest: Digest, seal: Seal, following: Membership) -> None:
        """Take the set that follows the newest one.

        The caller has checked that what `digest` is the hash of names `following.hash()`.

        Args:
            height: of the newest set's last block.
            digest: of that block.
            seal: its seal.
            following: seals from `height` + 1 on.

        Raises:
            InvalidProof: the seal, or a number that does not follow.
        """
        newest = self.newest
        if (following.epoch, following.first_height) != (newest.epoch + 1, height + 1):
            raise InvalidProof(
                f"epoch {following.epoch} from block {following.first_height} does not follow "
                f"epoch {newest.epoch} and its last block {height}"
            )
        verify_seal(self.genesis_digest, newest, height, digest, seal)
        if following.first_term != newest.term(height) + 1:
            raise InvalidProof(f"epoch {following.epoch} begins at another term than follows")
        self._sets.append(following)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A member's word: at `height` is my head, and I have sent no COMMIT above it.

    q of these for one nonce show that, when the first of them was signed, nothing above the
    highest of their heights was decided: two quorums share a correct member.
    """

    height: Height
    digest: Digest
    """Hash of the block at `height`."""
    state_root: Digest
    """Of the state after it."""
    nonce: bytes
    """NONCE_BYTES, the client's, fresh: so this cannot be an old word repeated."""
    member: MemberIndex
    """In the set that seals the block above `height`."""
    signature: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.height < COUNTER_MAX:
            raise MalformedMessage(f"attestation.height must be in 0..2**62, got {self.height}")
        check_digest(self.digest)
        check_digest(self.state_root)
        if len(self.nonce) != NONCE_BYTES:
            raise MalformedMessage(f"attestation.nonce must be {NONCE_BYTES} bytes")
        if not 0 <= self.member < MAX_MEMBERS:
            raise MalformedMessage(f"attestation.member must be in 0..{MAX_MEMBERS - 1}")
        if len(self.signature) != SIGNATURE_BYTES:
            raise MalformedMessage(f"attestation.signature must be {SIGNATURE_BYTES} bytes")


def attestation_payload(
    domain: SigningDomain, *, height: int, digest: bytes, state_root: bytes, nonce: bytes
) -> Digest:
    """Return the 32 bytes that an attestation signs; no vote has the same (own tag).

    Args:
        domain: chain and member set of the block above `height`.
        height: of the signer's head.
        digest: its hash.
        state_root: of the state after it.
        nonce: NONCE_BYTES of the asker's.
    """
    if len(nonce) != NONCE_BYTES or len(state_root) != DIGEST_BYTES:
        raise ValueError(f"nonce must be {NONCE_BYTES} bytes and state_root {DIGEST_BYTES}")
    return tagged_hash(
        _ATTEST_TAG,
        domain.genesis_hash,
        domain.membership_hash,
        height.to_bytes(8, "big"),
        digest,
        state_root,
        nonce,
    )


def verify_attestation(genesis_digest: Digest, members: Membership, a: Attestation) -> None:
    """Accept that the member `a.member` of `members` signed `a`, or raise InvalidProof."""
    if a.height + 1 < members.first_height:
        raise InvalidProof(f"attestation at {a.height} is not of epoch {members.epoch}")
    if a.member >= members.n:
        raise InvalidProof(f"attestation names member {a.member}; there are {members.n}")
    payload = attestation_payload(
        SigningDomain(genesis_digest, members.hash()),
        height=a.height,
        digest=a.digest,
        state_root=a.state_root,
        nonce=a.nonce,
    )
    try:
        verify_ed25519(members.members[a.member], payload, a.signature)
    except InvalidSignature:
        raise InvalidProof(f"attestation's signature by member {a.member} is wrong") from None
