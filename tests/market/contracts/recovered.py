"""A `Chain` whose community lost its quorum, and goes on as another one on the same state."""

from copy import copy

from crypto.hashing import Digest, tagged_hash
from crypto.merkle import SparseMerkleTree
from crypto.node_certificate import node_certificate
from market.abi import RING_PROOF_TAG
from node.natives import NATIVES
from tests.market.contracts.chain import Chain, account, ed25519
from vm.first_block import carry_over, succeed
from vm.genesis import GenesisMember, GenesisMeter
from vm.machine import Machine
from vm.members import read_members

FILE_HASH = Digest(b"\x0f" * 32)


def record(who: str) -> GenesisMember:
    """What a newcomer gives to the survivors."""
    node_key, ring = ed25519(f"{who} node"), ed25519(f"{who} ring")
    return GenesisMember(
        name=who,
        node_key=node_key.public,
        account=account(who).address,
        ring_key=ring.public,
        ring_proof=ring.sign(tagged_hash(RING_PROOF_TAG, account(who).address)),
        wallet=ed25519(f"{who} view").public + ed25519(f"{who} spend").public,
        endpoint=f"{who}.example.org:26600",
        certificate=node_certificate(node_key),
        meter=GenesisMeter(
            account=account(f"{who} meter").address,
            ring_key=ed25519(f"{who} meter").public,
            meter_id=f"M-{who}",
            valid_until_window=10**6,
        ),
    )


def staying(chain: Chain, *gone: int) -> list[GenesisMember]:
    """The founders but for those with these indexes."""
    founders = chain.machine.genesis.members
    return [each for index, each in enumerate(founders) if index not in gone]


def carried(chain: Chain, members: list[GenesisMember]):
    tree = SparseMerkleTree(chain.nodes)
    return carry_over(chain.machine.host, chain.head, chain.state, tree, members)


def successor(chain, members, found, file_hash=FILE_HASH):
    return succeed(
        chain.machine.genesis,
        chain.head,
        before=read_members(chain.state),
        members=members,
        protocol_version=found.protocol_version,
        state_root=found.tree_update.root,
        file_hash=file_hash,
    )


def recover(chain: Chain, members: list[GenesisMember]) -> Chain:
    """Return the chain that follows `chain`; that one stays as it is."""
    found = carried(chain, members)
    genesis = successor(chain, members, found)
    new = copy(chain)
    for name in ("state", "nodes", "windows", "accounts"):
        setattr(new, name, dict(getattr(chain, name)))
    new.machine = Machine(genesis, NATIVES)
    for target, changes in (
        (new.state, found.changes),
        (new.nodes, found.tree_update.nodes.items()),
    ):
        for key, value in changes:
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    new.head = new.machine.first_header
    assert SparseMerkleTree(new.nodes).root == new.head.state_root
    new.accounts |= {each.account: None for each in members}
    return new
