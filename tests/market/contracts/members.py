"""Changes of the member set on a `Chain`: candidates, READYs, activations, and who holds what."""

from crypto import codec
from crypto.hashing import tagged_hash
from crypto.merkle import SparseMerkleTree
from crypto.node_certificate import node_certificate
from market.abi import CANDIDATE_TAG, RING_PROOF_TAG, ROTATION_TAG
from tests.market.contracts.chain import Chain, account, ed25519, home
from vm.activation import ActivationTransaction, Ready, ready_digest
from vm.block import decode_block, encode_block
from vm.members import MemberSet, keys_hash, read_members


def node(index):
    return ed25519(f"node {index}")


def candidate(chain, who="new", **changes):
    """Return the arguments of `propose`; `changes` are made after signing."""
    key = changes.pop("key", account(who))
    node_key, ring = ed25519(f"{who} node"), ed25519(f"{who} ring")
    fields = {
        "nodeKey": node_key.public,
        "account": key.address,
        "ringKey": ring.public,
        "ringProof": ring.sign(tagged_hash(RING_PROOF_TAG, key.address)),
        "wallet": b"\3" * 64,
        "endpoint": "example.org:26600",
        "meter": account(f"{who} meter").address,
        "meterRingKey": b"\4" * 32,
        "meterId": "1HTH00099999",
        "certificate": node_certificate(node_key),
        "name": who,
    }
    signing = changes.pop("signed", {})
    fields |= signing
    signed = codec.encode([chain.machine.genesis.chain_id, *fields.values()])
    digest = tagged_hash(CANDIDATE_TAG, signed)
    fields |= {"nodeSignature": node_key.sign(digest), "accountSignature": key.sign65(digest)}
    return tuple((fields | changes).values())


def rotation(chain, member, new, endpoint="127.0.0.1:9"):
    """Return the arguments of `proposeRotation` to the node key `new`."""
    certificate = node_certificate(new)
    fields = [chain.machine.genesis.chain_id, member.address, new.public, certificate, endpoint]
    digest = tagged_hash(ROTATION_TAG, codec.encode(fields))
    return new.public, certificate, endpoint, new.sign(digest)


def members(chain) -> MemberSet:
    return read_members(chain.state)


def ready(chain, proposal_id, keys, signer, height=None):
    height = chain.head.number if height is None else height
    digest = ready_digest(chain.machine.genesis.hash, proposal_id, keys_hash(keys), height)
    return Ready(signer.public, height, signer.sign(digest))


def activation(chain, proposal_id, signers, *, keys=None, height=None):
    """Return an activation by these node keys, over the set that the chain names."""
    keys = keys or chain.one("Membership", "nextKeys", proposal_id)
    rows = [ready(chain, proposal_id, keys, signer, height) for signer in signers]
    return ActivationTransaction(proposal_id, tuple(sorted(rows, key=lambda row: row.node_key)))


def build(chain, *activations, calls=()):
    chain.now = max(chain.now, chain.head.time_ms + 1)
    tree = SparseMerkleTree(chain.nodes)
    return chain.machine.build_block(
        chain.head, chain.now, list(calls), chain.state, tree, activations=activations
    )


def execute(chain, block):
    """Execute as another replica does, from the bytes."""
    block = decode_block(encode_block(block))
    tree = SparseMerkleTree(chain.nodes)
    return chain.machine.execute_block(chain.head, block, chain.state, tree)


def apply(chain, built):
    assert built.execution == execute(chain, built.block), "built and executed alike"
    chain._write(built.execution)
    chain.receipts = list(built.execution.receipts)
    if chain.checked:
        chain.check()


def activate(chain: Chain, proposal_id, signers):
    """Put an activation into a block; return its receipt."""
    tx = activation(chain, proposal_id, signers)
    chain.machine.check_activation(tx, chain.head, chain.state, chain.now + 1)
    built = build(chain, tx)
    assert built is not None, "not valid here"
    assert built.void_activations == ()
    apply(chain, built)
    return chain.receipts[-1]


def accept(chain, proposal_id, voters):
    for voter in voters:
        chain.send(voter, "Membership", "vote", proposal_id, True)


def admit(chain, who, nodes, **fields):
    """Vote a newcomer in by the first homes and activate it, with `nodes` READY beside it."""
    args = candidate(chain, who, **fields)
    (proposal_id,) = chain.send(home(0), "Membership", "propose", *args)
    accept(chain, proposal_id, [home(i) for i in range(chain.one("Membership", "threshold"))])
    chain.accounts[args[1]] = None
    activate(chain, proposal_id, [*nodes, ed25519(f"{who} node")])
    return proposal_id
