"""The chain that is there when a run begins, so that a term may end soon."""

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.membership import Height, MemberIndex, Membership, View
from consensus.messages import SealedBlock
from consensus.sim.app import GENESIS_DIGEST, GENESIS_MS, Block, digest_of
from consensus.sim.faults import PREFIX_MAX
from consensus.sim.keys import ClusterKeys
from consensus.sim.violation import certificate_size
from crypto.hashing import Digest

PREFIX_NONCES_FIRST = 2_000_000


def sealed_prefix(
    length: int, membership: Membership, domain: SigningDomain, keys: ClusterKeys
) -> tuple[SealedBlock, ...]:
    """Blocks 1 to `length`, each sealed in view 0 by the first q members."""
    blocks: list[SealedBlock] = []
    parent = GENESIS_DIGEST
    for height in range(1, length + 1):
        time_ms = GENESIS_MS - PREFIX_MAX + height
        nonces = (PREFIX_NONCES_FIRST + height,)
        body = Block(height=height, parent=parent, time_ms=time_ms, nonces=nonces).encode()
        parent = digest_of(body)
        seal = _seal(Height(height), parent, membership, domain, keys)
        blocks.append(SealedBlock(height=Height(height), digest=parent, body=body, seal=seal))
    return tuple(blocks)


def _seal(
    height: Height,
    digest: Digest,
    membership: Membership,
    domain: SigningDomain,
    keys: ClusterKeys,
) -> Seal:
    slot = Slot(epoch=membership.epoch, term=membership.term(height), view=View(0), height=height)
    payload = domain.payload(Kind.COMMIT, slot, digest)
    members = map(MemberIndex, range(certificate_size(membership.n)))
    signatures = tuple((member, keys.keyring(member).sign(payload)) for member in members)
    return Seal(view=View(0), signatures=signatures)
