"""Reads accounts at the nodes while chaos goes on, with the height that each read belongs to.

`latest` does not say which block it was. So a read asks for the height before and after it, in
one batch: if both are equal, no block came between.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from market.agents.events import decode_result, encode_call
from node.rpc.client import RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.errors import TimedOut
from testnet.history import Read

ACCOUNTS_PER_READ = 2
READ_SECONDS = 2.0
"""A node that is paused or dead does not answer; what it would have said is not missed."""
_RETRY_SECONDS = 0.05


async def run_reader(
    cluster: Cluster,
    name: str,
    accounts: Sequence[bytes],
    stop: asyncio.Event,
    *,
    rng: random.Random,
    pause_s: float,
) -> list[Read]:
    """Read some of `accounts` at one node, again and again, until `stop` is set."""
    reads: list[Read] = []
    while not stop.is_set():
        some = rng.sample(accounts, min(ACCOUNTS_PER_READ, len(accounts)))
        reads += await read_once(cluster, name, some)
        await asyncio.sleep(2 * pause_s * rng.random())
    return reads


async def read_all(
    cluster: Cluster, name: str, accounts: Sequence[bytes], seconds: float
) -> list[Read]:
    """Read `accounts` at a node of which nothing is wrong; raises TimedOut."""
    until = time.monotonic() + seconds
    while True:
        reads = await read_once(cluster, name, accounts)
        if reads:
            return reads
        if time.monotonic() > until:
            raise TimedOut(f"{name} answers no read of its accounts for {seconds:.0f} s")
        await asyncio.sleep(_RETRY_SECONDS)


async def read_once(cluster: Cluster, name: str, accounts: Sequence[bytes]) -> list[Read]:
    """Return one read for each account, all of one height; none if it cannot be told which."""
    invoked_ns = time.monotonic_ns()
    calls: list[tuple[str, list[object]]] = [("eth_blockNumber", [])]
    for account in accounts:
        to, data = encode_call("MoneyToken", "balanceOf", (account,))
        calls.append(("eth_getTransactionCount", [f"0x{account.hex()}", "latest"]))
        calls.append(("eth_call", [{"to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}, "latest"]))
    calls.append(("eth_blockNumber", []))
    try:
        answers = await asyncio.wait_for(cluster.client(name).batch(calls), READ_SECONDS)
    except (Unreachable, TimeoutError):
        return []
    at_ns = time.monotonic_ns()
    if any(isinstance(answer, RpcError) for answer in answers) or answers[0] != answers[-1]:
        return []
    return [
        Read(
            node=name,
            account=account,
            height=int(answers[0], 16),
            nonce=int(answers[1 + 2 * place], 16),
            balance=decode_result(
                "MoneyToken", "balanceOf", bytes.fromhex(answers[2 + 2 * place][2:])
            )[0],
            invoked_ns=invoked_ns,
            at_ns=at_ns,
        )
        for place, account in enumerate(accounts)
    ]
