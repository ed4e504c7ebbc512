"""One node's RPC over a real chain and store; the test is the consensus, the peers are absent."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from consensus.certificates import Seal
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from node.chain import Chain
from node.directory import Directory
from node.metrics import Metrics
from node.p2p.identity import make_certificate
from node.p2p.member import PeerStats
from node.records import ConsensusStatus
from node.relay import Relay, RelayConfig
from node.relay_service import RelayService
from node.rpc.client import RpcClient
from node.rpc.server import RpcConfig, RpcServer
from node.storage.block_store import ChainStore
from tests.node.cluster import account_key, make_genesis, make_member, node_key
from tests.node.homes import free_ports
from tests.vm.chain import TOY, Other, Toy, call_data
from vm.machine import Machine
from vm.transaction import sign_transaction

TOKEN = "ab" * 32
SEAL = Seal(
    view=View(0),
    signatures=tuple((MemberIndex(i), bytes([i + 1]) * 64) for i in range(3)),
)


class FakeNetwork:
    """What the RPC asks of `PeerNetwork`, and what it told it."""

    def __init__(self):
        self.up = frozenset({0, 1, 2})
        self.partition = frozenset()
        self.sent = []
        self.suspicions = []

    def send(self, member, channel, payload):
        self.sent.append((member, channel, payload))
        return True

    def suspect(self, member, reason, points=10):
        self.suspicions.append((member, reason))

    def is_up(self, node_key):
        members = self.directory.community.nodes
        ordered = sorted(member.node_key for member in members)
        return ordered.index(node_key) in self.up

    def number_of(self, node_key):
        return sorted(m.node_key for m in self.directory.community.nodes).index(node_key)

    def set_partition(self, members):
        self.partition = members

    def stats(self):
        return (
            PeerStats(
                member=0,
                name="house-0",
                node_key=node_key(0).public,
                is_observer=False,
                is_up=True,
                is_partitioned=False,
                bytes_in=1,
                bytes_out=2,
                queued_bytes=0,
                dropped_frames=0,
                links=1,
                score=0,
                banned_ms=0,
                protocol=1,
                last_error="",
            ),
        )


class ChainRig:
    """A chain; `seal` makes the next block out of what waits."""

    def __init__(self, folder):
        members = tuple(make_member(i, certificate=make_certificate(node_key(i))) for i in range(4))
        self.genesis = replace(
            make_genesis(), members=members, contracts={"Toy": {"supply": 1_000_000}}
        )
        self.store = ChainStore(folder / "chain", self.genesis.hash)
        self.now_ms = self.genesis.time_ms + 1_000
        machine = Machine(self.genesis, (Toy(), Other()))
        self.chain = Chain(machine, self.store, now_ms=lambda: self.now_ms)

    def raw(self, sender, signature, *values, nonce=None, to=TOY, kind=2, gas_limit=300_000):
        key = account_key(sender)
        return sign_transaction(
            key,
            chain_id=self.genesis.chain_id,
            nonce=self.chain.pending_nonce(key.address) if nonce is None else nonce,
            to=to,
            data=call_data(signature, *values),
            gas_limit=gas_limit,
            kind=kind,
        )

    def transfer(self, sender, to, value, **fields):
        return self.raw(
            sender, "transfer(address,uint256)", account_key(to).address, value, **fields
        )

    def seal(self):
        """Seal what waits as the next block, and return its record."""
        self.now_ms += 1_000
        executed = self.chain.build()
        assert executed is not None, "nothing to seal"
        return self.chain.apply(
            SealedBlock(
                height=Height(self.chain.height + 1),
                digest=executed.digest,
                body=executed.body,
                seal=SEAL,
            )
        )


class Rig(ChainRig):
    """The chain with a server, and what the server asks of the rest of a node."""

    def __init__(self, folder, *, is_testnet=True):
        super().__init__(folder)
        self.consensus = ConsensusStatus(
            epoch=0, term=0, view=0, primary=1, is_learner=False, peers_up=3
        )
        self.why = []
        self.chain.attach(lambda: self.consensus, lambda: self.why)
        self.network = FakeNetwork()
        relay = Relay(RelayConfig(window_ms=self.genesis.window_ms), me=3, members=range(4))
        self.relay = RelayService(relay, self.network, lambda: self.now_ms)
        for member in range(3):
            self.relay.on_up(member)
        ordered = sorted(self.genesis.members, key=lambda member: member.node_key)
        self.directory = Directory(self.chain, name=ordered[3].name, node_key=ordered[3].node_key)
        self.members = sorted(self.directory.community.nodes, key=lambda node: node.node_key)
        self.network.directory = self.directory
        self.metrics = Metrics()
        self.metrics.watch(self.chain, self.network)
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = self.make_server(is_testnet=is_testnet)

    def make_server(self, *, is_testnet=True):
        return RpcServer(
            config=RpcConfig(host="127.0.0.1", port=self.port, token=TOKEN, is_testnet=is_testnet),
            chain=self.chain,
            network=self.network,
            relay=self.relay,
            directory=self.directory,
            metrics=self.metrics,
        )


@asynccontextmanager
async def serving(**options):
    """Yield (rig, client with the token) while the server runs."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), **options)
        await rig.server.start()
        try:
            async with RpcClient(rig.url, TOKEN) as client:
                yield rig, client
        finally:
            await rig.server.stop()
            rig.store.close()


async def post(rig, body, **options):
    """Return (status, text) of a raw POST."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(rig.url + "/", data=body, **options) as response,
    ):
        return response.status, await response.text()


async def get(rig, path, **options):
    async with (
        aiohttp.ClientSession() as session,
        session.get(rig.url + path, **options) as response,
    ):
        return response.status, await response.text()


async def until(condition):
    """Let the event loop turn until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  Nothing there tells a test.
            await asyncio.sleep(0.001)
