"""Nodes on one loop with links in memory: they commit, survive crashes, and catch up."""

import asyncio
import shutil

import pytest

from node.why import explain
from tests.node.cluster import Cluster, account_key, make_tx

pytestmark = pytest.mark.e2e


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_four_nodes_commit_a_transaction(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        digest = cluster.nodes[2].chain.submit(make_tx(cluster.genesis, 2, 0))
        await cluster.sealed(digest)
        cluster.assert_heads_equal()
        assert cluster.nodes[0].chain.height == 1
        cluster.kill()

    run(main())


def test_many_transactions_of_many_senders_end_in_equal_heads(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        digests = [
            cluster.nodes[sender].chain.submit(make_tx(cluster.genesis, sender, nonce))
            for nonce in range(60)
            for sender in range(4)
        ]
        for digest in digests:
            await cluster.sealed(digest)
        cluster.assert_heads_equal()
        for node in cluster.nodes.values():
            assert len(node.chain.pool) == 0
            assert node.links.suspicions == []
            assert node.chain.tree.root == node.chain.head.state_root
        cluster.kill()

    run(main())


def test_an_idle_cluster_makes_no_block_and_no_sync(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        digest = cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 0))
        await cluster.sealed(digest)
        await asyncio.sleep(0.3)
        before = [(n.chain.height, n.syncs) for n in cluster.nodes.values()]
        await asyncio.sleep(1.2)
        after = [(n.chain.height, n.syncs) for n in cluster.nodes.values()]
        assert before == after
        assert all(syncs > 0 for _, syncs in before)
        assert all(n.driver.replica.view == 0 for n in cluster.nodes.values())
        cluster.kill()

    run(main())


def test_the_chain_goes_on_without_its_primary_and_the_primary_catches_up(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        await cluster.sealed(cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 0)))
        lost = cluster.primary()
        cluster.kill(lost)
        sender = next(iter(cluster.nodes))
        nonces = {key: cluster.nodes[sender].chain.pending_nonce(_address(key)) for key in range(4)}
        for _ in range(20):
            tx = make_tx(cluster.genesis, sender, nonces[sender])
            nonces[sender] += 1
            await cluster.sealed(cluster.nodes[sender].chain.submit(tx))
        assert next(iter(cluster.nodes.values())).chain.height > 20
        cluster.start(lost)
        height = cluster.nodes[sender].chain.height
        await cluster.until(lambda: cluster.nodes[lost].chain.height == height)
        cluster.assert_heads_equal()
        tx = make_tx(cluster.genesis, sender, nonces[sender])
        await cluster.sealed(cluster.nodes[lost].chain.submit(tx))
        cluster.kill()

    run(main())


def test_all_nodes_are_killed_in_the_middle_of_work_and_go_on(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        digests = []
        for nonce in range(3):
            for sender in range(4):
                tx = make_tx(cluster.genesis, sender, nonce)
                digests.append(cluster.nodes[sender].chain.submit(tx))
            for _ in range(nonce * 3):
                await asyncio.sleep(0)
        acknowledged = {
            d for d in digests for n in cluster.nodes.values() if n.chain.transaction(d)
        }
        cluster.kill()
        cluster.start()
        for node in cluster.nodes.values():
            for sender in range(4):
                nonce = node.chain.pending_nonce(_address(sender))
                if nonce < 5 and node is cluster.nodes[sender]:
                    node.chain.submit(make_tx(cluster.genesis, sender, nonce, data=b"again"))
        for digest in acknowledged:
            await cluster.sealed(digest)
        await cluster.until(lambda: all(len(n.chain.pool) == 0 for n in cluster.nodes.values()))
        await cluster.until(lambda: len({n.chain.height for n in cluster.nodes.values()}) == 1)
        cluster.assert_heads_equal()
        cluster.kill()

    run(main())


def test_a_cut_link_loses_no_transaction(tmp_path):
    """A member that its sender cannot reach hears of the transaction from others."""

    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        primary = cluster.primary()
        sender = next(k for k in cluster.nodes if k != primary)
        a, b = cluster.nodes[sender].index, cluster.nodes[primary].index
        cluster.network.cut(a, b)
        await cluster.sealed(
            cluster.nodes[sender].chain.submit(make_tx(cluster.genesis, sender, 0))
        )
        cluster.network.heal(a, b)
        cluster.assert_heads_equal()
        cluster.kill()

    run(main())


def test_without_a_quorum_the_node_says_who_is_missing(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        await cluster.sealed(cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 0)))
        cluster.kill(2, 3)
        cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 1))
        await asyncio.sleep(0.1)
        lines = _why(cluster.nodes[0])
        assert lines[0].startswith("Only 2 members can be reached, and 3 are needed")
        cluster.start(2)
        digest = cluster.nodes[1].chain.submit(make_tx(cluster.genesis, 1, 0))
        await cluster.sealed(digest)
        await cluster.until(lambda: _why(cluster.nodes[0]) == [])
        cluster.kill()

    run(main())


def _address(key: int) -> bytes:
    return account_key(key).address


def _why(node) -> list[str]:
    replica = node.driver.replica
    names = [f"house-{i}" for i in range(4)]
    return explain(replica.waiting_for(), names=names, now_ms=0, halted=replica.halted)


@pytest.mark.parametrize("lost", [("chain",), ("votes.log",), ("chain", "votes.log")])
def test_a_node_whose_files_are_gone_fetches_the_chain_and_stays_safe(tmp_path, lost):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        for nonce in range(5):
            for sender in range(4):
                raw = make_tx(cluster.genesis, sender, nonce)
                await cluster.sealed(cluster.nodes[sender].chain.submit(raw))
        cluster.kill(1)
        for name in lost:
            path = tmp_path / "n1" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for nonce in range(5, 30):
            raw = make_tx(cluster.genesis, 0, nonce)
            await cluster.sealed(cluster.nodes[0].chain.submit(raw))
        cluster.start(1)
        height = cluster.nodes[0].chain.height
        await cluster.until(lambda: cluster.nodes[1].chain.height >= height)
        # By now a new term has begun, so what it may have signed before binds it no more.
        cluster.kill(2)
        for nonce in range(30, 33):
            raw = make_tx(cluster.genesis, 0, nonce)
            await cluster.sealed(cluster.nodes[0].chain.submit(raw))
        cluster.assert_heads_equal()
        assert not cluster.nodes[1].driver.replica.is_learner
        cluster.kill()

    run(main())
