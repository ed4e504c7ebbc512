"""The RPC server of a chain for developers: a node's, and the methods that only it serves."""

import asyncio
import secrets
import time
from typing import Final, final

from node.directory import Directory
from node.failure import spawn
from node.metrics import Metrics
from node.p2p.identity import NodeIdentity
from node.p2p.member import MemberEndpoint
from node.p2p.network import PeerNetwork
from node.relay import Relay, RelayConfig
from node.relay_service import RelayService
from node.rpc.openrpc import SIGNATURES, document, socket_methods
from node.rpc.server import RpcConfig, RpcServer
from node.rpc.signature import bind
from testnet.dev.dev_chain import DevChain
from testnet.dev.methods import DevMethods
from testnet.dev.signatures import DEV_SIGNATURES
from testnet.layout import HOST
from vm.genesis import Genesis

TICK_S: Final = 0.1
"""How often the clock is looked at for what is due."""


def monotonic_ms() -> int:
    """Return milliseconds of a clock that only goes forward."""
    return time.monotonic_ns() // 1_000_000


@final
class DevServer:
    """Serves one chain. `start` and `stop` once, inside one event loop."""

    def __init__(self, dev: DevChain, *, port: int, host: str = HOST) -> None:
        self.dev = dev
        self.token = secrets.token_hex(32)
        self._interval_s = 0.0
        self._turn: asyncio.Task[None] | None = None
        chain, community = dev.chain, dev.community
        members = _endpoints(community.genesis)
        me = next(m.index for m in members if m.node_key == community.nodes[0].public)
        metrics = Metrics()
        # Never started: there is nobody to link with.
        network = PeerNetwork(
            identity=NodeIdentity.from_key(community.nodes[0]),
            name=members[me].name,
            members=members,
            listen=(HOST, 0),
            genesis_hash=community.genesis.hash,
            on_frame=lambda _member, _channel, _payload: None,
            on_up=lambda _: None,
            on_down=lambda _: None,
        )
        relay = Relay(
            RelayConfig(window_ms=community.genesis.window_ms), me=me, members=range(len(members))
        )
        self.rpc = RpcServer(
            config=RpcConfig(
                host=host, port=port, token=self.token, is_open_to_pages=True, receipt_min_ms=0
            ),
            chain=chain,
            network=network,
            relay=RelayService(relay, network, dev.clock.now_ms),
            directory=Directory(chain, name=members[me].name, node_key=community.nodes[0].public),
            metrics=metrics,
        )
        metrics.watch(chain, network)
        served = {name: method.handler for name, method in self.rpc.methods.items()}
        own = DevMethods(dev, self.set_interval, served).table()
        signatures = {**SIGNATURES, **DEV_SIGNATURES}
        names = dict.fromkeys((*served, *own, *socket_methods()))
        description = document(names, signatures)
        own["rpc.discover"] = lambda _: description
        self.rpc.methods.update(bind(own, signatures))
        dev.serve(self.rpc.filters, self.rpc.feeds.blocks)

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        await self.rpc.start()
        self.start_sealing()

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._turn is not None:
            self._turn.cancel()
        await self.rpc.stop()

    def set_interval(self, seconds: float) -> None:
        """Seal a block each `seconds`, be it empty; 0 for none by time."""
        self._interval_s = seconds
        if self._turn is not None:
            self.start_sealing()

    def start_sealing(self) -> None:
        """Look at the clock from now on; `start` does."""
        if self._turn is not None:
            self._turn.cancel()
        self._turn = spawn(self._run(), "sealing blocks failed")

    async def _run(self) -> None:
        while True:
            if self._interval_s:
                await asyncio.sleep(self._interval_s)
                self.dev.mine()
            else:
                await asyncio.sleep(TICK_S)
                self.dev.tick()


def _endpoints(genesis: Genesis) -> tuple[MemberEndpoint, ...]:
    """Return the members as the RPC names them; their ports are names, too."""
    return tuple(
        MemberEndpoint(
            index=index,
            name=member.name,
            node_key=member.node_key,
            certificate=member.certificate,
            host=HOST,
            port=int(member.endpoint.rpartition(":")[2]),
        )
        for index, member in enumerate(sorted(genesis.members, key=lambda each: each.node_key))
    )
