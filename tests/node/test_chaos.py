"""Kills, restarts and cut links at random under load: nothing that was acknowledged is lost."""

import asyncio
import contextlib
import random

import pytest

from node.errors import MempoolFull
from tests.node.cluster import Cluster, account_key, make_tx
from vm.errors import InvalidTransaction

pytestmark = pytest.mark.e2e

STEPS = 60


class Chaos:
    """One run; the seed draws what happens, the machine's scheduling does the rest."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.acknowledged: dict[bytes, bytes] = {}
        self.cut: set[tuple[int, int]] = set()

    def watch(self, key: int) -> None:
        self.cluster.nodes[key].chain.on_block(self._on_block)

    def _on_block(self, record) -> None:
        for digest in record.transaction_hashes:
            assert self.acknowledged.setdefault(digest, record.hash) == record.hash

    def submit(self) -> None:
        key = self.rng.choice(sorted(self.cluster.nodes))
        sender = self.rng.randrange(4)
        chain = self.cluster.nodes[key].chain
        nonce = chain.pending_nonce(account_key(sender).address)
        raw = make_tx(self.cluster.genesis, sender, nonce, data=self.rng.randbytes(4))
        # Another node may have admitted this nonce meanwhile.
        with contextlib.suppress(InvalidTransaction, MempoolFull):
            chain.submit(raw)

    def disturb(self) -> None:
        cluster = self.cluster
        match self.rng.randrange(6):
            case 0 if len(cluster.nodes) == 4:
                cluster.kill(self.rng.choice(sorted(cluster.nodes)))
            case 1 if len(cluster.nodes) < 4:
                key = next(k for k in range(4) if k not in cluster.nodes)
                cluster.start(key)
                self.watch(key)
            case 2 if not self.cut:
                a, b = self.rng.sample(range(4), 2)
                self.cut.add((a, b))
                cluster.network.cut(a, b)
            case 3:
                self.heal()

    def heal(self) -> None:
        while self.cut:
            self.cluster.network.heal(*self.cut.pop())


@pytest.mark.parametrize("seed", range(4))
def test_nothing_acknowledged_is_lost(tmp_path, seed):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        chaos = Chaos(cluster, seed)
        for key in range(4):
            chaos.watch(key)
        for _ in range(STEPS):
            for _ in range(chaos.rng.randrange(4)):
                chaos.submit()
            chaos.disturb()
            await asyncio.sleep(chaos.rng.choice([0, 0.002, 0.03]))
        chaos.heal()
        for key in set(range(4)) - set(cluster.nodes):
            cluster.start(key)
            chaos.watch(key)
        await cluster.until(lambda: all(not n.chain.has_work() for n in cluster.nodes.values()))
        await cluster.until(lambda: len({n.chain.height for n in cluster.nodes.values()}) == 1)
        cluster.assert_heads_equal()
        assert len(chaos.acknowledged) > 10
        for node in cluster.nodes.values():
            assert node.fatal == []
            assert node.links.suspicions == []
            assert node.chain.tree.root == node.chain.head.state_root
            for digest, block in chaos.acknowledged.items():
                height, _, _ = node.chain.transaction(digest)
                assert node.store.digest(height) == block
        cluster.kill()

    asyncio.run(asyncio.wait_for(main(), 60))
