"""A node restored from a backup, on real processes: it follows, and votes when that is safe."""

import asyncio
import shutil

import pytest

from testnet.cluster import Cluster
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout
from testnet.processes import node_label
from tests.cli.street import run
from tests.e2e.community import Community, Traffic
from tests.e2e.test_membership import make_it_sign_in_this_term, quiet, votes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BASE_PORT = 30_300


@pytest.fixture
def options(tmp_path):
    yield UpOptions(
        name="b", root=tmp_path, base_port=BASE_PORT, window_ms=60_000, has_agents=False
    )
    layout = TestnetLayout.of("b", tmp_path)
    if layout.manifest.exists():
        Cluster(layout).reset()


def test_a_restored_node_does_not_vote_where_it_may_have_voted(options, tmp_path):
    async def scenario():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            name, file = cluster.names[1], tmp_path / "house.backup"
            home, client = cluster.layout.household(name).home, cluster.client(name)
            async with Traffic(community, cluster.keys(cluster.names[3]), cluster.names[3]) as load:
                await load.reach(10)
                await asyncio.to_thread(run, "backup", file, "--home", home)
            await make_it_sign_in_this_term(community, name)  # After the backup was made.
            cluster.processes.kill([node_label(name)])
            await asyncio.to_thread(run, "restore", file, "--home", tmp_path / "restored")
            shutil.rmtree(home / "data")
            shutil.copytree(tmp_path / "restored" / "data", home / "data")
            cluster.start_node(name)
            await community.says(client, "its vote log does not know")
            # Its incarnation makes void what it may have promised.
            await community.until(client, lambda s: s["epoch"] == 1, "no incarnation")
            await community.until(client, votes, "does not vote")
            await community.equal_heads([cluster.client(each) for each in cluster.names])
            await community.close()

    asyncio.run(scenario())
