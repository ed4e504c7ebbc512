"""Bench part: as many signed transfers a second as the nodes seal, for minutes.

Transfers are signed and packed into RPC bodies before the clock starts, so that the driver, which
shares the machine with the nodes, does little but send.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import aiohttp

from testnet.bench.bed import Bed, add_accounts, height, wait_until_quiet
from testnet.errors import TestnetError
from testnet.launcher import Say
from testnet.load import LoadAccount, sign_transfer

BATCH = 50
RATE_MAX = 2_400
"""Transfers a second for which there are signed ones; more would not be sent."""
PENDING_MAX = 1_500
"""Above it a sender waits: a full pool would refuse, and the queue proves nothing."""
_SETTLED_FROM_S, _SETTLED_TO_S, _LAST_S = 30, 60, 30
_MONITOR_S = 0.2
_CHECKED_BLOCKS = 10


async def load(bed: Bed, seconds: float) -> dict[str, Any]:
    """Send batches to all nodes at once for `seconds`; count what is sealed meanwhile."""
    await add_accounts(bed)
    names = bed.cluster.names
    bed.say(f"signing {round(RATE_MAX * seconds):,} transfers")
    bodies = {name: _bodies(bed, name, seconds) for name in names}
    await wait_until_quiet(bed.cluster)
    first = await height(bed.cluster, names[0])
    cpu, begin = bed.cpu_seconds(), time.monotonic()
    pending = dict.fromkeys(names, 0)
    memory: list[tuple[float, float]] = []
    monitor = asyncio.create_task(_monitor(bed, pending, memory, begin))
    bed.say(f"sending for {seconds:.0f} s")
    async with aiohttp.ClientSession() as session:
        senders = [
            _Sender(
                name=name,
                url=bed.cluster.manifest.household(name).rpc_url,
                bodies=bodies[name],
                pending=pending,
                until=begin + seconds,
            )
            for name in names
        ]
        refused = sum(await asyncio.gather(*(each.run(session, bed.say) for each in senders)))
    last = await height(bed.cluster, names[0])
    took = time.monotonic() - begin
    used = sum(now - before for now, before in zip(bed.cpu_seconds(), cpu, strict=True))
    monitor.cancel()
    await wait_until_quiet(bed.cluster)
    sealed = await _count(bed, first, last)
    await _check_receipts(bed, first, last)
    return {
        "tps": round(sealed / took, 1),
        "seconds": round(took, 1),
        "sealed": sealed,
        "refused_at_first": refused,
        "blocks": last - first,
        "accounts": len(bed.accounts),
        "batch": BATCH,
        "cpu_us_per_tx_per_node": round(1e6 * used / len(names) / max(1, sealed)),
        "rss_mb_start": _mean(memory, _SETTLED_FROM_S, _SETTLED_TO_S),
        "rss_mb_end": _mean(memory, took - _LAST_S, took),
    }


def _bodies(bed: Bed, name: str, seconds: float) -> list[bytes]:
    """Return the batches for one node: its household's accounts by turns, nonces in order."""
    mine = [account for account in bed.accounts if account.household == name]
    count = round(RATE_MAX * seconds / len(bed.cluster.names))
    raws = _transfers(bed, mine, count)
    return [
        json.dumps(
            [
                {"jsonrpc": "2.0", "id": place, "method": "eth_sendRawTransaction", "params": [raw]}
                for place, raw in enumerate(raws[start : start + BATCH])
            ],
            separators=(",", ":"),
        ).encode()
        for start in range(0, count, BATCH)
    ]


def _transfers(bed: Bed, mine: Sequence[LoadAccount], count: int) -> list[str]:
    to, chain_id = bed.accounts[0].key.address, bed.cluster.genesis.chain_id

    def turns() -> Iterator[str]:
        for place in range(count):
            yield f"0x{sign_transfer(mine[place % len(mine)], to, chain_id).hex()}"

    return list(turns())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    """Feeds one node its batches, in order."""

    name: str
    url: str
    bodies: Sequence[bytes]
    pending: dict[str, int]
    until: float
    """By the monotonic clock."""

    async def run(self, session: aiohttp.ClientSession, say: Say) -> int:
        """Send until the time is over; returns how many transfers were refused at first."""
        refused = 0
        for body in self.bodies:
            while self._is_full() and not self._is_over():  # noqa: ASYNC110  Polled from afar.
                await asyncio.sleep(_MONITOR_S / 4)
            while not self._is_over():
                failures = await self._post(session, body)
                if failures == 0:
                    break
                # No room, or the nonce before it had none: the whole batch again, in a moment.
                refused += failures
                await asyncio.sleep(_MONITOR_S)
            if self._is_over():
                return refused
        say(f"{self.name} has taken all that was signed; RATE_MAX is too low")
        return refused

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> int:
        """Send one batch; returns how many of it were refused, but for those it knows."""
        headers = {"Content-Type": "application/json"}
        async with session.post(self.url, data=body, headers=headers) as response:
            answer = await response.read()
        known = answer.count(b"already known") + answer.count(b"nonce too low")
        return max(0, answer.count(b'"error"') - known)

    def _is_full(self) -> bool:
        return self.pending[self.name] > PENDING_MAX

    def _is_over(self) -> bool:
        return time.monotonic() >= self.until


async def _monitor(
    bed: Bed, pending: dict[str, int], memory: list[tuple[float, float]], begin: float
) -> None:
    """Follow how much waits at each node, and how large the largest node is."""
    while True:
        for name in bed.cluster.names:
            status = await bed.cluster.client(name).call("hearth_status")
            pending[name] = status["pending"]
        memory.append((time.monotonic() - begin, bed.rss_mb()))
        await asyncio.sleep(_MONITOR_S)


async def _count(bed: Bed, first: int, last: int) -> int:
    """Return how many transactions lie in the blocks above `first`, up to `last`."""
    calls = [
        ("eth_getBlockTransactionCountByNumber", [hex(number)])
        for number in range(first + 1, last + 1)
    ]
    counts = await bed.cluster.client(bed.cluster.names[0]).batch(calls)
    return sum(int(count, 16) for count in counts)


async def _check_receipts(bed: Bed, first: int, last: int) -> None:
    """Look into some blocks: a transfer that failed would be cheap, and no transfer."""
    step = max(1, (last - first) // _CHECKED_BLOCKS)
    client = bed.cluster.client(bed.cluster.names[-1])
    for number in range(first + 1, last + 1, step):
        for receipt in await client.call("eth_getBlockReceipts", hex(number)):
            if receipt["status"] != "0x1":
                raise TestnetError(f"block {number}: transfer {receipt['transactionHash']} failed")


def _mean(memory: Sequence[tuple[float, float]], start: float, end: float) -> float | None:
    """Return the mean of the samples between two times; None if the run was too short."""
    samples = [mb for at, mb in memory if start <= at <= end]
    return round(statistics.fmean(samples), 1) if samples else None
