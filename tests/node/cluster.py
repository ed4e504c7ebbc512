"""A genesis with keys, and nodes on one loop: real stores, logs, drivers; links in memory."""

import asyncio
import time
from pathlib import Path

from consensus.keyring import Ed25519Keyring
from crypto.keys import AccountKey, NodeKey
from node.chain import Chain
from node.consensus_driver import ConsensusDriver
from node.gossip import Gossip
from node.metrics import Metrics
from node.p2p.frames import Channel
from node.storage.block_store import ChainStore
from node.storage.vote_log import VoteLogFile
from tests.node.memory_network import MemoryNetwork
from vm.genesis import Genesis, GenesisMember, GenesisMeter
from vm.machine import Machine
from vm.transaction import sign_transaction


def node_key(i: int) -> NodeKey:
    return NodeKey.from_seed(b"node".ljust(31, b"\0") + bytes([i]))


def account_key(i: int) -> AccountKey:
    return AccountKey.from_secret(b"account".ljust(31, b"\0") + bytes([i + 1]))


def make_member(i: int, **changes) -> GenesisMember:
    filler = bytes([i + 1])
    values = {
        "name": f"house-{i}",
        "node_key": node_key(i).public,
        "account": account_key(i).address,
        "ring_key": b"r" * 31 + filler,
        "ring_proof": bytes(64),
        "wallet": b"w" * 63 + filler,
        "endpoint": f"127.0.0.1:{20000 + i}",
        "meter": GenesisMeter(
            account=b"m" * 19 + filler,
            ring_key=b"q" * 31 + filler,
            meter_id=f"meter-{i}",
            valid_until_window=10**9,
        ),
    }
    return GenesisMember(**(values | changes))


def make_genesis(n: int = 4, **changes) -> Genesis:
    values = {
        "name": "test",
        "time_ms": 1_700_000_000_000,
        "window_ms": 3_600_000,
        "record_ms": 300_000,
        "quota_gas": 10**12,
        "block_gas_limit": 20_000_000,
        "members": tuple(make_member(i) for i in range(n)),
        "services": (),
        "contracts": {},
    }
    return Genesis(**(values | changes))


def make_tx(genesis: Genesis, sender: int, nonce: int, *, data: bytes = b"", gas: int = 30_000):
    return sign_transaction(
        account_key(sender),
        chain_id=genesis.chain_id,
        nonce=nonce,
        to=bytes(19) + b"\x99",
        gas_limit=gas,
        data=data,
    )


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


_VOTES = {"file": "votes"}


class Node:
    """One node; `kill` leaves on disk what a crash would (all was synced before it mattered)."""

    def __init__(self, genesis: Genesis, key: int, network: MemoryNetwork, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.network = network
        self.metrics = Metrics()
        self.fatal: list[Exception] = []
        self.store = ChainStore(home / "chain", genesis.hash)
        self.log = VoteLogFile(home / "votes.log")
        self.chain = Chain(Machine(genesis, ()), self.store, now_ms=wall_ms)
        index = self.chain.membership().index_of(node_key(key).public)
        assert index is not None
        self.index = index
        self.links = network.links(index)
        self.gossip = Gossip(self.chain, self.links)
        self.driver = ConsensusDriver(
            chain=self.chain,
            vote_log=self.log,
            links=self.links,
            keyring=Ed25519Keyring(node_key(key)),
            metrics=self.metrics,
            on_fatal=self.fatal.append,
        )
        self.links.on_frame = self._on_frame
        self.links.on_up = self._on_up
        self.links.on_down = self.driver.on_down

    def _on_frame(self, member: int, channel: Channel, payload: bytes) -> None:
        if channel is Channel.TRANSACTIONS:
            self.gossip.on_frame(member, payload)
        else:
            self.driver.on_frame(member, payload)

    def _on_up(self, member: int) -> None:
        self.driver.on_up(member)
        self.gossip.on_up(member)

    @property
    def syncs(self) -> int:
        """How often the vote log was synced."""
        found = self.metrics.registry.get_sample_value("storage_sync_seconds_count", _VOTES)
        return int(found or 0)

    def start(self) -> None:
        self.driver.start()
        self.network.attach(self.index, self.links)

    def kill(self) -> None:
        self.network.detach(self.index)
        self.driver.stop()
        self.gossip.close()
        self.log.close()
        self.store.close()


class Cluster:
    """Nodes 0..n-1 by the order of their keys in `make_genesis`."""

    def __init__(self, home: Path, n: int = 4, **changes) -> None:
        self.home = home
        self.genesis = make_genesis(n, **changes)
        self.network = MemoryNetwork()
        self.nodes: dict[int, Node] = {}

    def start(self, *keys: int) -> None:
        for key in keys or range(len(self.genesis.members)):
            self.nodes[key] = Node(self.genesis, key, self.network, self.home / f"n{key}")
            self.nodes[key].start()

    def kill(self, *keys: int) -> None:
        for key in keys or list(self.nodes):
            self.nodes.pop(key).kill()

    def primary(self) -> int:
        """Key of the node that proposes now, as the first node sees it."""
        index = next(iter(self.nodes.values())).driver.replica.primary
        return next(k for k, node in self.nodes.items() if node.index == index)

    async def until(self, condition, timeout_s: float = 10.0) -> None:
        """Wait in turns of the loop for a condition on all nodes' states."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                for node in self.nodes.values():
                    if node.fatal:
                        raise node.fatal[0]
                await asyncio.sleep(0.001)

    async def sealed(self, digest: bytes, timeout_s: float = 10.0) -> None:
        """Wait until every running node has the transaction in a block."""
        await self.until(
            lambda: all(n.chain.transaction(digest) for n in self.nodes.values()), timeout_s
        )

    def assert_heads_equal(self) -> None:
        heads = {(n.chain.height, n.chain.sealed_head().digest) for n in self.nodes.values()}
        assert len(heads) == 1, heads
