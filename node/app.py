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
from crypto.keys import AccountKey, NodeKey
from node.attester import Attester
from node.chain import VERSION, Chain
from node.config import NodeConfig
from node.consensus_driver import ConsensusDriver
from node.directory import Directory
from node.errors import ConfigError, StorageError
from node.failure import failure_in, spawn
from node.gossip import Gossip
from node.home import Home, HomeKeys, load_config, load_genesis, load_home_keys, load_token
from node.join import fetch_genesis, inviting_nodes
from node.last_words import LastWords, stop_reason
from node.log import log_block, set_up
from node.lookout import Lookout
from node.members import TICK_S, Members, OwnKeys
from node.metrics import Metrics
from node.p2p.config import NetworkConfig
from node.p2p.frames import Channel
from node.p2p.identity import NodeIdentity
from node.p2p.network import PeerNetwork
from node.p2p.refusal import KEY_IN_USE
from node.p2p.roster import Roster
from node.records import BlockRecord
from node.relay import Relay, RelayConfig
from node.relay_service import RelayService
from node.rpc.server import RpcConfig, RpcServer
from node.snapshot_service import SnapshotService
from node.storage.block_store import ChainStore
from node.storage.store_import import swap
from node.storage.vote_log import VoteLogFile
from node.why import explain, explain_key_in_use
from vm.errors import GenesisError
from vm.evm import tiers
from vm.genesis import Genesis
from vm.machine import Machine
from vm.native import NativeContract
from vm.versions import SUPPORTED_PROTOCOLS

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
        keys: HomeKeys,
        natives: Sequence[NativeContract],
        on_fatal: Callable[[Exception], None],
        on_rotated: Callable[[], None] = lambda: None,
        consensus: ConsensusConfig | None = None,
        may_join: bool = True,
        protocols: Sequence[int] = SUPPORTED_PROTOCOLS,
    ) -> None:
        """Open the files; no socket is opened before `start`.

        Raises:
            StorageError: the chain or the vote log cannot be used; the text says what to do.
        """
        self.config = config
        self.token = load_token(home)
        self.metrics = Metrics()
        self.rpc: RpcServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.on_fatal = on_fatal
        self.store = ChainStore(home.chain, genesis.hash, history_blocks=config.history_blocks)
        self.vote_log = VoteLogFile(home.votes)
        self.chain = Chain(
            Machine(genesis, natives, protocols=protocols), self.store, now_ms=wall_ms
        )
        membership = self.chain.membership()
        key = keys.present(membership.members)
        self.directory = Directory(self.chain, name=config.name, node_key=key.public)
        roster = Roster((*membership.members, key.public))
        self.network = self._make_network(key, roster)
        self.gossip = Gossip(self.chain, self.network)
        self.relay = self._make_relay(roster.number(key.public), membership.n)
        keyring = Ed25519Keyring(key)
        self.driver = ConsensusDriver(
            chain=self.chain,
            vote_log=self.vote_log,
            links=self.network,
            keyring=keyring,
            metrics=self.metrics,
            on_fatal=on_fatal,
            roster=roster,
            config=consensus,
        )
        self.members = Members(
            chain=self.chain,
            directory=self.directory,
            network=self.network,
            relay=self.relay,
            replica=lambda: self.driver.replica,
            keys=OwnKeys(node=key, account=keys.household.account, load_next=keys.load_next),
            elsewhere=config.peers,
            invited_by=inviting_nodes(home),
            on_rotated=on_rotated,
            on_work=self.driver.work_may_wait,
        )
        self.driver.has_awaited = self.members.has_awaited
        self.chain.attach(self.driver.status, self.why)
        self.chain.attester = Attester(self.chain, lambda: self.driver.replica, keyring)
        self.chain.on_block(self._log_block)
        self.lookout = self._make_lookout(keys.household.account, home.chain.parent)
        self.metrics.watch(self.chain, self.network)
        self.metrics.watch_consensus(self.driver, self.lookout)
        self.snapshots = SnapshotService(
            chain=self.chain,
            links=self.network,
            folder=home.chain.with_name("chain.join"),
            rest=self.driver.stop,
            reopen=on_rotated,
            may_join=may_join and not config.all_blocks,
        )

    def _make_lookout(self, account: AccountKey, data: Path) -> Lookout:
        return Lookout(
            chain=self.chain,
            driver=self.driver,
            network=self.network,
            directory=self.directory,
            account=account,
            data=data,
        )

    def _make_network(self, key: NodeKey, roster: Roster) -> PeerNetwork:
        """Return the network without peers: `Members` gives it those of the state."""
        listen = self.config.p2p_listen
        return PeerNetwork(
            identity=NodeIdentity.from_key(key),
            name=self.config.name,
            members=(),
            listen=(listen.host, listen.port),
            genesis_hash=self.chain.genesis.hash,
            on_frame=self._on_frame,
            on_up=self._on_up,
            on_down=self._on_down,
            roster=roster,
            genesis=self.chain.genesis.to_json(),
            config=NetworkConfig(protocol=max(self.chain.machine.protocols)),
        )

    def _make_relay(self, me: int, n: int) -> RelayService:
        config = RelayConfig(window_ms=self.chain.genesis.window_ms)
        return RelayService(Relay(config, me=me, members=range(n)), self.network, wall_ms)

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
            directory=self.directory,
            metrics=self.metrics,
            snapshots=self.snapshots.server,
        )
        await self.rpc.start()
        self._tasks = [
            spawn(self._tend(), "housekeeping failed"),
            spawn(self._tick(), "the watch over membership failed"),
        ]

    async def stop(self) -> None:
        """Leave in order: no promise is cut short, because each was synced before it was sent."""
        for task in self._tasks:
            task.cancel()
        if self.rpc is not None:
            await self.rpc.stop()
        self.driver.stop()
        self.gossip.close()
        await self.network.stop()
        self.snapshots.close()
        self.vote_log.close()
        self.store.close()
        if self.snapshots.fresh is not None:
            swap(self.snapshots.fresh, self.store.path)

    def why(self) -> list[str]:
        """Return in words why nothing progresses; empty if nothing is awaited."""
        replica = self.driver.replica
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        in_use = [
            p.name for p in self.network.stats() if KEY_IN_USE in p.last_error and not p.is_up
        ]
        return [
            *explain_key_in_use(in_use),
            *self.snapshots.why(),
            *self.members.why(),
            *self.lookout.why(),
            *explain(
                replica.waiting_for(),
                names=self.directory.names,
                now_ms=now_ms,
                halted=replica.halted,
            ),
        ]

    def _log_block(self, record: BlockRecord) -> None:
        log_block(record, self.directory.names_at(record.height), wall_ms())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.members.tick()
            self.lookout.tick()

    async def _tend(self) -> None:
        """Drop what has expired where no block and no message gives the occasion."""
        while True:
            await asyncio.sleep(TEND_S)
            self.relay.expire()
            self.chain.pool.expire(wall_ms())

    def _on_frame(self, peer: int, channel: Channel, payload: bytes) -> None:
        match channel:
            case Channel.CONSENSUS | Channel.CATCH_UP:
                if not self.snapshots.is_joining:  # The replica rests: it would only pile up.
                    self.driver.on_frame(peer, payload)
            case Channel.READY:
                self.members.on_frame(peer, payload)
            case Channel.SNAPSHOT:
                self.snapshots.on_frame(peer, payload)
            case _ if self.network.is_observer(peer):
                self.network.suspect(peer, f"{channel.name} from an observer", points=1)
            case Channel.TRANSACTIONS:
                self.gossip.on_frame(peer, payload)
            case Channel.RELAY:
                self.relay.on_frame(peer, payload)
            case _:
                self.network.suspect(peer, f"unexpected frame on {channel.name}")

    def _on_up(self, peer: int) -> None:
        self.driver.on_up(peer)
        self.members.on_up(peer)
        self.snapshots.on_up(peer)
        if not self.network.is_observer(peer):
            self.gossip.on_up(peer)
            self.relay.on_up(peer)

    def _on_down(self, peer: int) -> None:
        self.driver.on_down(peer)
        self.relay.on_down(peer)
        self.snapshots.on_down(peer)


def open_node(
    path: Path,
    natives: Sequence[NativeContract],
    on_fatal: Callable[[Exception], None],
    password: str | None = None,
    on_rotated: Callable[[], None] = lambda: None,
    *,
    may_join: bool = True,
    protocols: Sequence[int] = SUPPORTED_PROTOCOLS,
) -> Node:
    """Return the node whose home is `path`.

    Args:
        path: the home directory.
        natives: the contracts of the chain.
        on_fatal: called once with the error after which the node must stop.
        password: of the keys; None reads the home's password file.
        on_rotated: called when the node has to be opened anew: another key of it has become the
            member's, or a snapshot is to take the place of its database.
        may_join: whether it may fetch a snapshot, rather than replay blocks.
        protocols: versions of the rules of blocks that it supports, ascending.

    Raises:
        ConfigError: a file of the home cannot be used, by name.
        StorageError: the chain or the vote log cannot be used.
    """
    home = Home(path)
    if home.departure.exists():
        raise ConfigError(
            home.departure.name,
            "this household has signed that another chain follows this one, and it may not seal "
            "here any more: run the home that `hearth recover apply` makes",
        )
    genesis = load_genesis(home.genesis)
    config = load_config(home, genesis)
    keys = load_home_keys(home, genesis, config.name, password)
    try:
        return Node(
            home,
            genesis=genesis,
            config=config,
            keys=keys,
            natives=natives,
            on_fatal=on_fatal,
            on_rotated=on_rotated,
            may_join=may_join,
            protocols=protocols,
        )
    except GenesisError as error:
        raise ConfigError(f"{home.genesis.name}: {error.field}", error.message) from None


def run(
    path: Path,
    natives: Sequence[NativeContract],
    password: str | None = None,
    *,
    protocols: Sequence[int] = SUPPORTED_PROTOCOLS,
) -> int:
    """Run the node of the home at `path` until SIGTERM, SIGINT or a fatal error.

    The arguments are those of `open_node`.

    Returns:
        0 after a signal, 1 after an error of ours.

    Raises:
        ConfigError, StorageError: as `open_node`.
    """
    if not __debug__:
        sys.stderr.write("hearth does not run under python -O: its assertions are needed\n")
        return 1
    return asyncio.run(_run(path, natives, password, protocols))


def _settle_memory() -> None:
    """Keep the collector off what lives as long as the process: full passes cost milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


async def _run(
    path: Path,
    natives: Sequence[NativeContract],
    password: str | None,
    protocols: Sequence[int],
) -> int:
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
    home = Home(path)
    await fetch_genesis(home, password, stopped)
    last_words = LastWords(home.last_words)
    last_words.reserve()
    may_join = True
    while not stopped.done():
        rotated = asyncio.Event()
        try:
            node = open_node(
                path, natives, end, password, rotated.set, may_join=may_join, protocols=protocols
            )
        except StorageError as refusal:
            last_words.say(stop_reason(refusal))
            raise
        set_up(home.log, node.config.log_level)
        tiers.use(node.config.vm_tier)
        _log.info("start", version=VERSION, curve_backend=curve.BACKEND)
        await _serve(node, stopped, rotated)
        may_join = may_join and not node.snapshots.has_given_up
    error = stopped.result()
    if error is not None:
        last_words.say(stop_reason(error))
        _log.error("node stops", error=repr(error), exc_info=error)
        sys.stderr.write(f"{path.name} stops: {str(error) or repr(error)}\n")
    return 0 if error is None else 1


async def _serve(
    node: Node, stopped: asyncio.Future[Exception | None], rotated: asyncio.Event
) -> None:
    """Run one life of the node: until it is told to stop, or has to take up its new key."""
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
    rotation = asyncio.ensure_future(rotated.wait())
    await asyncio.wait((stopped, rotation), return_when=asyncio.FIRST_COMPLETED)
    rotation.cancel()
    await node.stop()
