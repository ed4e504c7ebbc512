"""Nodes' networks on loopback with a record of what they saw, and a peer that breaks the rules."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from crypto.keys import NodeKey
from node.p2p.config import NetworkConfig
from node.p2p.frames import PATH, SUBPROTOCOL
from node.p2p.handshake import Handshake
from node.p2p.identity import NodeIdentity, client_context
from node.p2p.member import MemberEndpoint
from node.p2p.network import PeerNetwork

GENESIS = b"g" * 32
FAST = NetworkConfig(
    dial_base_ms=10,
    dial_cap_ms=50,
    silence_ms=400,
    replace_ms=100,
    stuck_ms=400,
    housekeeping_ms=50,
    ban_ms=1_000,
)
PATIENT = NetworkConfig(dial_base_ms=10, dial_cap_ms=50)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


_LOWEST, *_KEYS = sorted(
    (NodeKey.from_seed(bytes([seed]) * 32) for seed in range(1, 10)), key=lambda key: key.public
)
"""In the order of the members' indexes."""
STRANGER = NodeIdentity.from_key(_LOWEST)
"""Below all members, so it is the one that dials."""


def identity_of(index):
    return NodeIdentity.from_key(_KEYS[index])


def endpoints(n):
    return [
        MemberEndpoint(
            index=i,
            name=f"home-{i}",
            node_key=identity_of(i).key.public,
            certificate=identity_of(i).certificate,
            host="127.0.0.1",
            port=free_port(),
        )
        for i in range(n)
    ]


class Host:
    """One node's network with a record of what its handlers saw."""

    def __init__(self, me, members, *, config=PATIENT, genesis_hash=GENESIS, identity=None, **more):
        self.frames = []
        self.changes = []
        self._news = asyncio.Event()
        self.network = PeerNetwork(
            identity=identity or identity_of(me),
            name=members[me].name,
            members=members,
            listen=("127.0.0.1", members[me].port),
            genesis_hash=genesis_hash,
            on_frame=self._on_frame,
            on_up=lambda member: self._note(("up", member)),
            on_down=lambda member: self._note(("down", member)),
            config=config,
            **more,
        )

    def _note(self, change):
        self.changes.append(change)
        self._news.set()

    def _on_frame(self, member, channel, payload):
        self.frames.append((member, channel, payload))
        self._news.set()

    async def until(self, condition):
        """Wait for news until the condition holds."""
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(*hosts):
    async with AsyncExitStack() as stack:
        for host in hosts:
            await host.network.start()
            stack.push_async_callback(host.network.stop)
        yield


async def stats_show(host, member, condition):
    """Wait until the statistics of a member satisfy the condition."""
    async with asyncio.timeout(10):
        while True:
            found = next(s for s in host.network.stats() if s.member == member)
            if condition(found):
                return found
            await asyncio.sleep(0.01)


class RawPeer:
    """Member 0 by hand, to break rules that PeerNetwork keeps."""

    def __init__(self, members):
        self._members = members
        self._links = []
        context = client_context(identity_of(0), [m.certificate for m in members])
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def dial(self, protocols=(SUBPROTOCOL,)):
        url = f"wss://127.0.0.1:{self._members[1].port}{PATH}"
        link = await self._session.ws_connect(url, protocols=protocols, compress=0)
        self._links.append(link)
        return link

    async def greet(self):
        link = await self.dial()
        await Handshake(GENESIS, "home-0", 1).dial(link)
        return link

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for link in self._links:
            await link.close()
        await self._session.close()
