"""Nodes on one loop with links in memory: they commit, survive crashes, and catch up."""

import asyncio

import pytest

from tests.node.cluster import Cluster, make_tx

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
