"""What a transaction costs one node's processor, part by part; in this process, without sockets.

Each part is measured alone, on blocks of transfers of the money token, in microseconds of processor
time a transaction. One transaction is decoded, recovered and admitted once at every node, comes to
one of them over RPC and to the others by gossip, is executed once by each, and stored. What is not
here is the transport: frames, TLS, HTTP, and the system's part of a write.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from crypto.merkle_list import list_root
from node.chain import Chain
from node.executor import Executed, digest_of
from node.gossip import decode_batch, encode_batches
from node.natives import NATIVES
from node.rpc.dispatch import Caller, Dispatcher, Method
from node.rpc.values import Args, Out, read_data
from node.storage.block_store import ChainStore
from testnet.bank import BankFile
from testnet.bench import virtual
from testnet.bench.chain_maker import Calls, ChainMaker
from testnet.setup import NewTestnet
from vm.machine import Machine
from vm.receipt import encode_receipt
from vm.transaction import TX_BYTES_MAX, decode

PARTS: Final = (
    "rpc",
    "gossip",
    "decode",
    "recover",
    "admit",
    "execute",
    "trie",
    "roots",
    "store",
    "consensus",
)
MEMBERS: Final = 4
BATCH: Final = 50
"""Calls in a body, as in `bench consensus --part load`."""
_CONSENSUS_BLOCKS: Final = 30


def measure(new: NewTestnet, path: Path, *, blocks: int, txs: int) -> dict[str, float]:
    """Return microseconds a transaction and node for each of PARTS, and their `sum`.

    Args:
        new: households that have their keys; nothing of it runs.
        path: a directory for a database.
        blocks: how many are made.
        txs: transfers in each.
    """
    spent = _Spent()
    store = ChainStore(path, new.genesis.hash)
    try:
        chain = Chain(Machine(new.genesis, NATIVES), store, now_ms=lambda: new.genesis.time_ms)
        maker, calls = ChainMaker(chain, new.keys.households), Calls(new)
        maker.block(calls.deposits(BankFile.load(new.layout.bank)))
        for _ in range(blocks):
            raws = [calls.transfer(turn) for turn in range(txs)]
            _arrive(spent, chain, raws)
            _decide(spent, chain, maker)
    finally:
        store.close()
    count = blocks * txs
    figures = {part: 1e6 * seconds / count for part, seconds in spent.seconds.items()}
    figures["admit"] = max(0.0, figures["admit"] - figures["decode"] - figures["recover"])
    figures["execute"] -= figures["trie"] + figures["roots"]
    figures["consensus"] += _consensus_us() / txs
    rounded = {part: round(figures[part], 1) for part in PARTS}
    return {**rounded, "sum": round(sum(rounded.values()), 1)}


@final
class _Spent:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, part: str, share: float = 1.0) -> Iterator[None]:
        """Charge what happens inside to `part`; `share` of it falls on each node."""
        begin = time.process_time()
        yield
        self.seconds[part] += share * (time.process_time() - begin)


def _arrive(spent: _Spent, chain: Chain, raws: list[bytes]) -> None:
    bodies = [_body(raws[at : at + BATCH]) for at in range(0, len(raws), BATCH)]
    dispatcher = Dispatcher({"eth_sendRawTransaction": Method(handler=_take)}, _ignore)
    caller = Caller(is_authorised=False, extra={})
    with spent.on("rpc", 1 / MEMBERS):
        for body in bodies:
            asyncio.run(dispatcher.answer(body, caller))
    with spent.on("gossip"):
        for payload in encode_batches(raws):
            decode_batch(payload)
    with spent.on("decode"):
        txs = [decode(raw) for raw in raws]
    with spent.on("recover"):
        for tx in txs:
            tx.sender()
    with spent.on("admit"):
        for raw in raws:
            chain.submit(raw)


def _decide(spent: _Spent, chain: Chain, maker: ChainMaker) -> None:
    tree = chain.tree
    with spent.on("execute"):
        executed = chain.build()
    assert executed is not None, "there is something to build"
    execution = executed.execution
    with spent.on("trie"):
        tree.update(execution.changes)
    with spent.on("roots"):
        list_root(executed.block.transactions)
        list_root([encode_receipt(receipt) for receipt in execution.receipts])
    with spent.on("consensus"):
        digest_of(executed.body)
    _store(spent, maker, executed)


def _store(spent: _Spent, maker: ChainMaker, executed: Executed) -> None:
    sealed = maker.sealed(executed)
    with spent.on("store"):
        maker.chain.apply(sealed)


def _consensus_us() -> float:
    """Return what the replica of one of four members works for a block, signatures included."""
    members = virtual.VirtualMembers(MEMBERS, virtual.signature_costs())
    members.start()
    begin_us = members.busy_us
    for _ in range(_CONSENSUS_BLOCKS):
        members.offer()
        members.settle()
    return (members.busy_us - begin_us) / MEMBERS / _CONSENSUS_BLOCKS


def _body(raws: list[bytes]) -> str:
    return json.dumps(
        [
            {
                "jsonrpc": "2.0",
                "id": place,
                "method": "eth_sendRawTransaction",
                "params": [f"0x{raw.hex()}"],
            }
            for place, raw in enumerate(raws)
        ]
    )


def _take(args: Args) -> Out:
    """Read the argument as the real handler does, and answer a hash of the same length."""
    read_data(args.get(0), "transaction", max_length=TX_BYTES_MAX)
    return "0x" + "00" * 32


def _ignore(_name: str, _is_ok: bool) -> None:  # noqa: FBT001  The dispatcher's callback.
    pass
