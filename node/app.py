"""The composition root: opens a home, joins the parts, runs until told to stop. Read this first.

Order of the start: configuration, keys, store, vote log, chain, links, replica; then the RPC, so
that whoever can ask gets true answers. Whatever fails before that is a ConfigError or StorageError
with a sentence for the household. After an error of ours the node stops: it never guesses.
"""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import structlog

from consensus.config import ConsensusConfig
from consensus.keyring import Ed25519Keyring
from crypto import curve
from crypto.keystore import HouseholdKeys
from node.attester import Attester
from node.chain import VERSION, Chain
from node.config import NodeConfig
from node.consensus_driver import ConsensusDriver
from node.errors import ConfigError
from node.failure import failure_in, spawn
from node.gossip import Gossip
from node.home import Home, endpoints, load_config, load_genesis, load_keys, load_token
from node.log import log_block, set_up
from node.metrics import Metrics
from node.p2p.frames import Channel
from node.p2p.identity import NodeIdentity
from node.p2p.network import PeerNetwork
from node.relay import Relay, RelayConfig
from node.relay_service import RelayService
from node.rpc.server import RpcConfig, RpcServer
from node.storage.block_store import ChainStore
from node.storage.vote_log import VoteLogFile
from node.why import explain
from vm.errors import GenesisError
from vm.evm import tiers
from vm.genesis import Genesis
from vm.machine import Machine
from vm.native import NativeContract

GC_ALLOCATIONS = 20_000
"""Allocations between two passes over the youngest objects; a full block makes about as many."""
TEND_S = 10
"""Interval of housekeeping: far below the mempool's time to live."""

_log = structlog.get_logger("app")


def wall_ms() -> int:
    """Return the clock's Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@final
class Node:
    """All parts of one node, joined. `start` and `stop` once, inside one event loop."""

    def __init__(
        self,
        home: Home,
        *,
        genesis: Genesis,
        config: NodeConfig,
        keys: HouseholdKeys,
        natives: Sequence[NativeContract],
        on_fatal: Callable[[Exception], None],
        consensus: ConsensusConfig | None = None,
    ) -> None:
        """Open the files; no socket is opened before `start`.

        Raises:
            StorageError: the chain or the vote log cannot be used; the text says what to do.
        """
        members = endpoints(genesis, config)
        self.config = config
        self.members = members
        self.token = load_token(home)
        self.metrics = Metrics()
        self.rpc: RpcServer | None = None
        self._tending: asyncio.Task[None] | None = None
        self.names = tuple(member.name for member in members)
        self.me = self.names.index(config.name)
        self.on_fatal = on_fatal
        self.store = ChainStore(home.chain, genesis.hash, history_blocks=config.history_blocks)
        self.vote_log = VoteLogFile(home.votes)
        self.chain = Chain(Machine(genesis, natives), self.store, now_ms=wall_ms)
        self.network = PeerNetwork(
            identity=NodeIdentity.from_key(keys.node),
            me=self.me,
            members=members,
            listen=(config.p2p_listen.host, config.p2p_listen.port),
            genesis_hash=genesis.hash,
            on_frame=self._on_frame,
            on_up=self._on_up,
            on_down=self._on_down,
        )
        self.gossip = Gossip(self.chain, self.network)
        indexes = range(len(members))
        relay = Relay(RelayConfig(window_ms=genesis.window_ms), me=self.me, members=indexes)
        self.relay = RelayService(relay, self.network, wall_ms)
        self.driver = ConsensusDriver(
            chain=self.chain,
            vote_log=self.vote_log,
            links=self.network,
            keyring=Ed25519Keyring(keys.node),
            metrics=self.metrics,
            on_fatal=on_fatal,
            config=consensus,
        )
        self.chain.attach(self.driver.status, self.why)
        keyring = Ed25519Keyring(keys.node)
        self.chain.attester = Attester(self.chain, lambda: self.driver.replica, keyring)
        self.chain.on_block(lambda record: log_block(record, self.names, wall_ms()))
        self.metrics.watch(self.chain, self.network, len(members))

    async def start(self) -> None:
        """Begin to accept and dial, and to take part. Raises OSError if a port is taken."""
        await self.network.start()
        self.driver.start()
        config = RpcConfig(
            host=self.config.rpc_listen.host,
            port=self.config.rpc_listen.port,
            token=self.token,
            is_testnet=self.config.testnet,
        )
        self.rpc = RpcServer(
            config=config,
            chain=self.chain,
            network=self.network,
            relay=self.relay,
            members=self.members,
            me=self.me,
            metrics=self.metrics,
        )
        await self.rpc.start()
        self._tending = spawn(self._tend(), "housekeeping failed")

    async def stop(self) -> None:
        """Leave in order: no promise is cut short, because each was synced before it was sent."""
        if self._tending is not None:
            self._tending.cancel()
        if self.rpc is not None:
            await self.rpc.stop()
        self.driver.stop()
        self.gossip.close()
        await self.network.stop()
        self.vote_log.close()
        self.store.close()

    def why(self) -> list[str]:
        """Return in words why nothing progresses; empty if nothing is awaited."""
        replica = self.driver.replica
        return explain(
            replica.waiting_for(),
            names=self.names,
            now_ms=int(asyncio.get_running_loop().time() * 1000),
            halted=replica.halted,
        )

    async def _tend(self) -> None:
        """Drop what has expired where no block and no message gives the occasion."""
        while True:
            await asyncio.sleep(TEND_S)
            self.relay.expire()
            self.chain.pool.expire(wall_ms())

    def _on_frame(self, member: int, channel: Channel, payload: bytes) -> None:
        match channel:
            case Channel.CONSENSUS | Channel.CATCH_UP:
                self.driver.on_frame(member, payload)
            case Channel.TRANSACTIONS:
                self.gossip.on_frame(member, payload)
            case Channel.RELAY:
                self.relay.on_frame(member, payload)
            case _:
                self.network.suspect(member, f"unexpected frame on {channel.name}")

    def _on_up(self, member: int) -> None:
        self.driver.on_up(member)
        self.gossip.on_up(member)
        self.relay.on_up(member)

    def _on_down(self, member: int) -> None:
        self.driver.on_down(member)
        self.relay.on_down(member)


def open_node(
    path: Path,
    natives: Sequence[NativeContract],
    on_fatal: Callable[[Exception], None],
    password: str | None = None,
) -> Node:
    """Return the node whose home is `path`.

    Args:
        path: the home directory.
        natives: the contracts of the chain.
        on_fatal: called once with the error after which the node must stop.
        password: of the keys; None reads the home's password file.

    Raises:
        ConfigError: a file of the home cannot be used, by name.
        StorageError: the chain or the vote log cannot be used.
    """
    home = Home(path)
    genesis = load_genesis(home.genesis)
    config = load_config(home, genesis)
    keys = load_keys(home, genesis, config.name, password)
    try:
        return Node(
            home, genesis=genesis, config=config, keys=keys, natives=natives, on_fatal=on_fatal
        )
    except GenesisError as error:
        raise ConfigError(f"{home.genesis.name}: {error.field}", error.message) from None


def run(path: Path, natives: Sequence[NativeContract], password: str | None = None) -> int:
    """Run the node of the home at `path` until SIGTERM, SIGINT or a fatal error.

    Returns:
        0 after a signal, 1 after an error of ours.

    Raises:
        ConfigError, StorageError: as `open_node`.
    """
    if not __debug__:
        sys.stderr.write("hearth does not run under python -O: its assertions are needed\n")
        return 1
    return asyncio.run(_run(path, natives, password))


def _settle_memory() -> None:
    """Keep the collector off what lives as long as the process: full passes cost milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


async def _run(path: Path, natives: Sequence[NativeContract], password: str | None) -> int:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[Exception | None] = loop.create_future()

    def end(error: Exception | None = None) -> None:
        if not stopped.done():
            stopped.set_result(error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)

    def on_stray_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What no task has caught: our own bugs and a failing disk stop the node."""
        error = context.get("exception")
        _log.error("stray error", message=context["message"], error=repr(error), exc_info=error)
        failure = failure_in(context)
        if failure is not None:
            end(failure)

    loop.set_exception_handler(on_stray_error)
    node = open_node(path, natives, end, password)
    set_up(Home(path).log, node.config.log_level)
    tiers.use(node.config.vm_tier)
    _log.info("start", version=VERSION, curve_backend=curve.BACKEND)
    try:
        await node.start()
    except OSError as refusal:
        await node.stop()
        raise ConfigError("listen", f"cannot listen: {refusal.strerror or refusal}") from None
    _settle_memory()
    sys.stdout.write(
        f"{node.config.name}: hearth {VERSION}, curve backend {curve.BACKEND}, "
        f"chain {node.chain.chain_id}, height {node.chain.height}, "
        f"peers at {node.config.p2p_listen}, RPC at {node.config.rpc_listen}\n"
    )
    sys.stdout.flush()
    error = await stopped
    if error is not None:
        _log.error("node stops", error=repr(error), exc_info=error)
        sys.stderr.write(f"{node.config.name} stops: {str(error) or repr(error)}\n")
    await node.stop()
    return 0 if error is None else 1
