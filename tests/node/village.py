"""A community of six on disk: one chain with the real contracts, and each survivor's home."""

import asyncio
import shutil
from dataclasses import replace

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto.keystore import HouseholdKeys
from crypto.node_certificate import node_certificate
from market.agents.events import encode_call
from node import recovery
from node.backup import ServerSource, write_backup
from node.chain import Chain
from node.config import Address, NodeConfig, render
from node.hand_over import membership_of
from node.home import Home
from node.natives import NATIVES
from node.snapshot_server import SnapshotServer
from node.storage.block_store import ChainStore
from tests.market.contracts.chain import ed25519, genesis, home
from tests.market.contracts.recovered import record
from vm.activation import ActivationTransaction, Ready, ready_digest
from vm.machine import Machine
from vm.members import keys_hash, read_members
from vm.transaction import sign_transaction

N = 6
NEW = record("late")
KEYS = {
    ed25519(name).public: ed25519(name) for name in (*(f"node {i}" for i in range(N)), "late node")
}


def make_genesis(n=N):
    plain = genesis(n)
    members = [
        replace(each, certificate=node_certificate(ed25519(f"node {i}")))
        for i, each in enumerate(plain.members)
    ]
    return replace(plain, members=tuple(members))


def make_seal(chain, digest, signers=None, view=0):
    """COMMITs of q members, or of those with these indexes, for the block above the head."""
    members = membership_of(read_members(chain.store))
    height = Height(chain.height + 1)
    slot = Slot(epoch=members.epoch, term=members.term(height), view=View(view), height=height)
    payload = SigningDomain(chain.store.digest(0), members.hash()).payload(
        Kind.COMMIT, slot, digest
    )
    signers = range(members.quorum.certificate) if signers is None else signers
    rows = [(MemberIndex(i), KEYS[members.members[i]].sign(payload)) for i in signers]
    return Seal(view=View(view), signatures=tuple(rows))


def seal(chain):
    """Seal what waits."""
    executed = chain.build()
    assert executed is not None, "nothing to seal"
    chain.apply(
        SealedBlock(
            height=Height(chain.height + 1),
            digest=executed.digest,
            body=executed.body,
            seal=make_seal(chain, executed.digest),
        )
    )


def send(chain, key, contract, function, *args):
    to, data = encode_call(contract, function, args)
    raw = sign_transaction(
        key,
        chain_id=chain.genesis.chain_id,
        nonce=chain.pending_nonce(key.address),
        to=to,
        data=data,
        gas_limit=5_000_000,
    )
    chain.submit(raw)
    seal(chain)
    assert chain.receipts(chain.height)[-1].status == 1


class Village:
    """The chain is `self.path`; `settle(i)` copies it into the home of member i."""

    def __init__(self, folder):
        self.folder = folder
        self.genesis = make_genesis()
        self.path = folder / "chain"

    def chain(self, path=None, of=None):
        of = of or self.genesis
        machine = Machine(of, NATIVES)
        store = ChainStore(path or self.path, of.hash)
        # The clock stands; blocks are a millisecond apart.
        return Chain(machine, store, now_ms=lambda: of.first_time_ms)

    def work(self, blocks=3):
        """Some history: an approval a block."""
        chain = self.chain()
        for i in range(blocks):
            send(chain, home(0), "MoneyToken", "approve", home(1).address, i + 1)
        chain.store.close()

    def evict(self, gone, voters):
        """Have the members vote one out: the set of today is not the founders'."""
        chain = self.chain()
        send(chain, home(0), "Membership", "proposeEviction", home(gone).address)
        for voter in voters:
            send(chain, home(voter), "Membership", "vote", 1, True)
        keys = tuple(
            k for k in read_members(chain.store).keys if k != ed25519(f"node {gone}").public
        )
        signers = [KEYS[key] for key in keys]
        rows = [self._ready(chain, keys, signer) for signer in signers]
        tx = ActivationTransaction(1, tuple(sorted(rows, key=lambda row: row.node_key)))
        chain.activations = lambda: (tx,)
        seal(chain)
        assert len(read_members(chain.store).keys) == len(keys)
        chain.store.close()

    @staticmethod
    def _ready(chain, keys, signer):
        digest = ready_digest(chain.genesis.hash, 1, keys_hash(keys), chain.height)
        return Ready(signer.public, chain.height, signer.sign(digest))

    def settle(self, i):
        """Return the home of member i, whose chain is the village's as it is now."""
        made = self.bare(f"home {i}")
        made.chain.parent.mkdir()
        shutil.copytree(self.path, made.chain)
        return made

    def bare(self, name):
        made = Home(self.folder / name.replace(" ", "-"))
        made.path.mkdir()
        made.genesis.write_bytes(self.genesis.to_json())
        made.config.write_text(render(self.config(name)))
        return made

    @staticmethod
    def config(name):
        there = Address("127.0.0.1", 9)
        return NodeConfig(
            name=name, p2p_listen=there, rpc_listen=there, peers={"home 1": there, "home 5": there}
        )

    def staying(self, *gone):
        return [each for i, each in enumerate(self.genesis.members) if i not in gone]

    def propose(self, made, *gone, new=(NEW,), **options):
        with recovery.opened(made, NATIVES) as chain:
            return recovery.propose(chain, [*self.staying(*gone), *new], **options)

    def signed(self, file, *signers):
        for i in signers:
            file = file.signed(ed25519(f"node {i}"))
        return file

    def apply(self, made, file, name, backup=None):
        new = self.folder / f"{made.path.name}-anew"
        with recovery.opened(made, NATIVES, backup) as chain:
            recovery.apply(chain, file, new, NATIVES, home=made, config=self.config(name))
        return Home(new)

    def backup(self, made):
        file = self.folder / f"{made.path.name}.backup"
        file.unlink(missing_ok=True)
        with recovery.opened(made, NATIVES) as chain:
            server = SnapshotServer(chain)
            source = ServerSource(server)
            asyncio.run(write_backup(file, made, "x", chain.machine, source))
            server.close()
        return file


def keys_file(made):
    """Give a home keys; returns those of its node."""
    keys = HouseholdKeys.generate()
    keys.save(made.keys, "pw", cost="min")
    return keys.node
