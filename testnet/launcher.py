"""Brings a testnet up: files, nodes, money from the bank file, then meters and agents."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

from node.rpc.client import RpcError, Unreachable
from testnet.bank import BankFile, attesters
from testnet.cluster import Cluster
from testnet.errors import BadOption, PortBusy, ProcessDied, TimedOut
from testnet.genesis import QUOTA_GAS, RECORD_MS, WINDOW_MS, GenesisOptions
from testnet.grid.community import DEMO_DAY, demo_community
from testnet.layout import (
    BASE_PORT,
    DEFAULT_NAME,
    HOST,
    ROOT,
    TestnetLayout,
    p2p_port,
    rpc_port,
)
from testnet.processes import node_label, seconds_since_start
from testnet.setup import write_testnet

Say: TypeAlias = Callable[[str], None]
"""Takes one line of progress for people."""

LEAD_MS_PER_HOUSEHOLD = 2_000
"""How much later window 0 begins for each household above four: starting up takes that long on
two cores, and who is not there in window 1 cannot sell the day's first hour."""
NODE_START_SECONDS = 30.0
MINTED_SECONDS = 60.0
PORT_MAX = 65_535
_POLL_SECONDS = 0.02


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What one may choose about a testnet."""

    households: int = 4
    day: str = DEMO_DAY
    seed: int = 0
    name: str = DEFAULT_NAME
    root: Path = ROOT
    base_port: int = BASE_PORT
    window_ms: int = WINDOW_MS
    record_ms: int = RECORD_MS
    quota_gas: int = QUOTA_GAS
    windows: int | None = None
    """How many windows the agents trade; None for ever."""
    has_agents: bool = True
    """Whether meters and agents run beside the nodes."""


async def up(options: UpOptions, say: Say) -> Cluster:
    """Make a testnet and start it; returns when all money of the bank file is minted.

    Raises:
        AlreadyExists: a testnet of this name is there.
        BadOption: households, day or ports that cannot be.
        PortBusy: a port is taken; names it.
        ProcessDied: a node ended while it started; holds the end of its log.
        TimedOut: no block in time.
    """
    layout = TestnetLayout.of(options.name, options.root)
    try:
        community = demo_community(options.households, options.day, options.seed)
    except ValueError as error:
        raise BadOption(str(error)) from None
    check_ports(options.households, options.base_port)
    genesis = GenesisOptions(
        time_ms=time.time_ns() // 1_000_000 + _lead_ms(options.households),
        name=f"testnet {options.name}",
        window_ms=options.window_ms,
        record_ms=options.record_ms,
        quota_gas=options.quota_gas,
        base_port=options.base_port,
    )
    write_testnet(layout, community, genesis, seed=options.seed, windows=options.windows)
    cluster = Cluster(layout)
    try:
        for name in cluster.names:
            cluster.start_node(name)
        say(f"{options.households} nodes started, logs in {layout.logs}")
        await _fund(cluster, say)
    except BaseException:
        await cluster.close()
        cluster.stop()  # Half a testnet would hold the ports; its files and logs stay.
        raise
    if options.has_agents:
        for name in cluster.names:
            cluster.start_household(name)
        cluster.start_services()
    return cluster


def _lead_ms(households: int) -> int:
    return LEAD_MS_PER_HOUSEHOLD * max(0, households - 4)


def check_ports(households: int, base_port: int) -> None:
    """Raise PortBusy if a port that the testnet needs is taken, BadOption if there is none."""
    wanted = [p2p_port(index, base_port) for index in range(households)]
    wanted += [rpc_port(index, base_port) for index in range(households)]
    if min(wanted) < 1 or max(wanted) > PORT_MAX:
        raise BadOption(f"base_port must leave all ports in 1..{PORT_MAX}, got {base_port}")
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise PortBusy(
                    f"port {port} is taken (another testnet? `hearth testnet stop`); "
                    "choose others with --base-port"
                ) from None


async def wait_until_answering(cluster: Cluster, names: Sequence[str]) -> None:
    """Return when the RPC of each node in `names` answers; raises ProcessDied or TimedOut."""
    for name in names:
        try:
            async with asyncio.timeout(NODE_START_SECONDS):
                await _wait_for_node(cluster, name)
        except TimeoutError:
            log = cluster.processes.log_tail(node_label(name))
            raise TimedOut(
                f"{name} does not answer after {NODE_START_SECONDS:.0f} s:\n{log}"
            ) from None


async def _wait_for_node(cluster: Cluster, name: str) -> None:
    while True:
        try:
            await cluster.client(name).call("eth_chainId")
        except (Unreachable, RpcError):
            label = node_label(name)
            if cluster.processes.pid(label) is None:
                log = cluster.processes.log_tail(label)
                raise ProcessDied(f"the node of {name} ended while it started:\n{log}") from None
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


async def _fund(cluster: Cluster, say: Say) -> None:
    """Have every member attest its share of the bank file, and wait until all is minted."""
    bank = BankFile.load(cluster.layout.bank)
    try:
        async with asyncio.timeout(MINTED_SECONDS), asyncio.TaskGroup() as group:
            first_block = group.create_task(_wait_for_height(cluster, 1))
            for index in range(len(cluster.names)):
                group.create_task(_attest_as(cluster, bank, index))
            await first_block
            say(f"block 1 sealed in {seconds_since_start():.1f} s")
            await _wait_until_minted(cluster, bank)
    except TimeoutError:
        raise TimedOut(
            f"the deposits are not minted after {MINTED_SECONDS:.0f} s; see {cluster.layout.logs}"
        ) from None
    except ExceptionGroup as failures:  # The first tells enough; the others follow from it.
        raise failures.exceptions[0] from None
    total = sum(deposit.cents for deposit in bank.deposits) / 100
    say(f"{len(bank.deposits)} deposits minted: {total:,.2f} EUR")


async def _attest_as(cluster: Cluster, bank: BankFile, index: int) -> None:
    """Submit the votes of one member through its own node, as soon as that answers."""
    name = cluster.names[index]
    keys = cluster.keys(name)
    votes = [
        deposit
        for place, deposit in enumerate(bank.deposits)
        if index in attesters(place, len(cluster.names))
    ]
    raws = [
        cluster.sign_call(
            keys, nonce, "Ramp", "attestDeposit", deposit.reference, deposit.account, deposit.amount
        )
        for nonce, deposit in enumerate(votes)
    ]
    await _wait_for_node(cluster, name)
    for raw in raws:
        await cluster.client(name).call("eth_sendRawTransaction", f"0x{raw.hex()}")


async def _wait_for_height(cluster: Cluster, height: int) -> None:
    """Return when some node has sealed `height`."""
    name = cluster.names[0]
    await _wait_for_node(cluster, name)
    while True:
        if int(await cluster.client(name).call("eth_blockNumber"), 16) >= height:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_until_minted(cluster: Cluster, bank: BankFile) -> None:
    waiting = list(bank.deposits)
    while waiting:
        state = await cluster.view(cluster.names[0], "Ramp", "deposit", waiting[-1].reference)
        if state[0]:
            waiting.pop()
        else:
            await asyncio.sleep(_POLL_SECONDS)
