"""Bench part: how fast a node starts, replays blocks, and joins by certified state.

The chain is made in this process, by the machine that the nodes run and sealed with their keys, and
laid into the homes of three nodes; the fourth is then wiped and fetches it over real links. The
large state is made of rows that nothing reads, under a block that the members sealed.
"""

import asyncio
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from crypto.merkle import key_hash
from crypto.merkle_chunk import CHUNKS, build_chunk, join_chunks
from crypto.merkle_list import list_root
from node.backup import genesis_of
from node.chain import Chain
from node.config import load, render
from node.executor import encode_receipts
from node.hand_over import HandOver
from node.natives import NATIVES
from node.rpc.client import RpcError, Unreachable
from node.storage.block_store import ChainStore
from node.storage.block_write import BlockWrite
from node.storage.store_import import BaseBlock, StoreImport, swap
from testnet.bank import BankFile
from testnet.bench.bed import QUOTA_GAS, RECORD_MS, WINDOW_MS
from testnet.bench.chain_maker import Calls, ChainMaker
from testnet.cluster import Cluster
from testnet.errors import TimedOut
from testnet.genesis import GenesisOptions
from testnet.grid.community import demo_community
from testnet.launcher import Say, check_ports, wait_until_answering
from testnet.layout import TestnetLayout
from testnet.processes import cpu_seconds, node_label, rss_mb
from testnet.setup import NewTestnet, write_testnet
from vm.block import Block, encode_block
from vm.machine import Machine

NAME = "bench-node"
NODES = 4
SETTLE_S = 3.0
LIMIT_S = 600.0
_POLL_S = 0.02
_KEY_BYTES = 41
_VALUE_BYTES = 8
_LATER_BLOCKS = 10_000
"""How far above the real head the block with the large state lies."""


async def join(
    say: Say, root: Path, *, blocks: int, txs: int, keys: int, base_port: int
) -> dict[str, Any]:
    """Replay `blocks` of `txs` transfers; join by their state, then by one of `keys` more keys."""
    check_ports(NODES, base_port)
    new = make_testnet(root, base_port)
    layout = new.layout
    names = [member.name for member in new.genesis.members]
    first = layout.household(names[0]).home / "data" / "chain"
    height = _make_chain(new, first, blocks, txs, say)
    for name in names[1:-1]:
        _lay(first, layout.household(name).home)
    cluster = Cluster(layout)
    try:
        figures = await _start(cluster, names[:-1], say)
        replay_s, replay_cpu_s = await _join(cluster, names[-1], height, all_blocks=True)
        say(f"replay of {height} blocks: {replay_s:.1f} s, {replay_cpu_s:.1f} s of a core")
        certified_s, _ = await _join(cluster, names[-1], height, all_blocks=False)
        say(f"certified state at block {height}: {certified_s:.1f} s")
        cluster.stop()
        height = _grow(new, first, keys, say)
        for name in names[1:-1]:
            _lay(first, layout.household(name).home)
        await _start(cluster, names[:-1], say)
        join_s, join_cpu_s = await _join(cluster, names[-1], height, all_blocks=False)
        say(f"state of {keys:,} keys: {join_s:.1f} s, {join_cpu_s:.1f} s of a core")
    finally:
        await cluster.close()
        cluster.stop()
    return {
        **figures,
        "catchup_blocks_per_s": round(blocks / replay_s, 1),
        "certified_blocks_per_s": round(blocks / certified_s, 1),
        "snapshot_join_s": round(join_s, 1),
        "catchup_cpu_ms_per_block": round(1000 * replay_cpu_s / blocks, 1),
        "snapshot_join_cpu_s": round(join_cpu_s, 1),
        "blocks": blocks,
        "txs_per_block": txs,
        "keys": keys,
    }


def make_testnet(root: Path, base_port: int) -> NewTestnet:
    """Write a testnet whose genesis is old enough for blocks to be made."""
    options = GenesisOptions(
        time_ms=time.time_ns() // 1_000_000 - 2 * WINDOW_MS,
        name=NAME,
        window_ms=WINDOW_MS,
        record_ms=RECORD_MS,
        quota_gas=QUOTA_GAS,
        base_port=base_port,
    )
    return write_testnet(TestnetLayout.of(NAME, root), demo_community(NODES), options)


async def _start(cluster: Cluster, names: list[str], say: Say) -> dict[str, Any]:
    """Start nodes, one after another; returns the slowest start and the largest memory."""
    starts = []
    for name in names:
        begin = time.perf_counter()
        cluster.start_node(name)
        await wait_until_answering(cluster, [name])
        starts.append(1000 * (time.perf_counter() - begin))
    await asyncio.sleep(SETTLE_S)
    pids = [cluster.processes.pid(node_label(name)) for name in names]
    memory = max(rss_mb(pid) for pid in pids if pid is not None)
    say(f"{len(names)} nodes started, the slowest in {max(starts):.0f} ms")
    return {"start_ms": round(max(starts)), "rss_mb": round(memory, 1)}


async def _join(
    cluster: Cluster, name: str, height: int, *, all_blocks: bool
) -> tuple[float, float]:
    """Wipe a node, start it, and return the seconds from its first answer to the head.

    And what it used of a core meanwhile: that does not depend on what else the machine does.
    """
    cluster.stop([node_label(name)])
    home = cluster.layout.household(name)
    shutil.rmtree(home.home / "data", ignore_errors=True)
    config = replace(load(home.node_toml), all_blocks=all_blocks)
    home.node_toml.write_text(render(config))
    cluster.start_node(name)
    await wait_until_answering(cluster, [name])
    pid = cluster.processes.pid(node_label(name))
    assert pid is not None, "it has answered"
    begin, cpu = time.perf_counter(), _cpu_seconds(pid)
    while time.perf_counter() - begin < LIMIT_S:
        try:
            found = int(await cluster.client(name).call("eth_blockNumber"), 16)
        except (Unreachable, RpcError):  # It is opened anew on its fresh database.
            found = -1
        if found >= height:
            return time.perf_counter() - begin, _cpu_seconds(pid) - cpu
        await asyncio.sleep(_POLL_S)
    raise TimedOut(f"{name} is not at block {height} after {LIMIT_S:.0f} s")


def _cpu_seconds(pid: int) -> float:
    """Return what a node has used of a core, with the process that recovers senders for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(cpu_seconds(each) for each in (pid, *map(int, children)))


def _lay(source: Path, home: Path) -> None:
    """Copy a database into another home, whose node is stopped."""
    target = home / "data" / "chain"
    shutil.rmtree(target.parent, ignore_errors=True)
    shutil.copytree(source, target)


def _make_chain(new: NewTestnet, path: Path, blocks: int, txs: int, say: Say) -> int:
    store = ChainStore(path, new.genesis.hash)
    try:
        machine = Machine(new.genesis, NATIVES)
        chain = Chain(machine, store, now_ms=lambda: new.genesis.time_ms)
        maker = ChainMaker(chain, new.keys.households)
        calls = Calls(new)
        maker.block(calls.deposits(BankFile.load(new.layout.bank)))
        for number in range(blocks - 1):
            maker.block([calls.transfer(i) for i in range(txs)])
            if number % 100 == 99:
                say(f"{number + 1} of {blocks} blocks made")
        return chain.height
    finally:
        store.close()


def _grow(new: NewTestnet, path: Path, keys: int, say: Say) -> int:
    """Replace a chain by one that begins later, with `keys` more keys in its state."""
    store = ChainStore(path, new.genesis.hash)
    machine = Machine(new.genesis, NATIVES)
    chain = Chain(machine, store, now_ms=lambda: new.genesis.time_ms)
    pinned = store.pin()
    fresh = path.with_name("chain.join")
    into = StoreImport.open(fresh, new.genesis.hash)
    try:
        for number, more in enumerate(_rows(keys)):
            entries = sorted([*pinned.entries(number), *more], key=lambda row: key_hash(row[0]))
            into.put_chunk(number, entries, build_chunk(number, entries))
        root, _ = join_chunks([into.tops[number] for number in range(CHUNKS)])
        say(f"a state of {sum(top.count for top in into.tops.values()):,} keys is made")
        nothing = list_root([])
        header = replace(
            chain.head,
            number=chain.height + _LATER_BLOCKS,
            parent_hash=chain.head.hash,
            time_ms=chain.head.time_ms + 1,
            transactions_root=nothing,
            receipts_root=nothing,
            state_root=root,
            gas_used=0,
        )
        steps = [HandOver.from_bytes(data) for _, data in store.hand_overs()]
        write = BlockWrite(
            height=header.number,
            digest=header.hash,
            body=encode_block(Block(header, ())),
            seal=ChainMaker(chain, new.keys.households).sign(header.number, header),
            receipts=encode_receipts(()),
            transaction_hashes=(),
            bloom=None,
            changes=(),
            nodes={},
        )
        base = BaseBlock(
            write=write,
            genesis=genesis_of(machine)[1],
            hand_overs=[(s.header.number, s.header.hash, s.to_bytes()) for s in steps],
        )
        into.finish(base, root, new.genesis.hash)
    finally:
        pinned.close()
        store.close()
    swap(fresh, path)
    return header.number


def _rows(keys: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield random rows for each chunk in turn."""
    rng = random.Random(0)
    chunks: list[list[tuple[bytes, bytes]]] = [[] for _ in range(CHUNKS)]
    for _ in range(keys):
        key = rng.randbytes(_KEY_BYTES)
        chunks[key_hash(key)[0]].append((key, rng.randbytes(_VALUE_BYTES)))
    yield from chunks
