"""A member that signs two things for one slot is on record a few seconds later, on real nodes."""

import asyncio

import pytest

from consensus.certificates import Kind
from consensus.messages import Commit
from consensus.wire import encode_message
from node.p2p.frames import Channel, encode_frame
from testnet.ammunition import Ammunition
from testnet.bench.bed import height
from testnet.cluster import Cluster
from testnet.flooder import speak
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout
from testnet.processes import node_label

pytestmark = pytest.mark.e2e


@pytest.fixture
def options(tmp_path):
    yield UpOptions(name="t", root=tmp_path, base_port=32_600, window_ms=60_000, has_agents=False)
    layout = TestnetLayout.of("t", tmp_path)
    if layout.manifest.exists():
        Cluster(layout).reset()


def test_an_equivocation_is_put_on_the_chain_by_whoever_saw_it(options):
    async def run():
        async with await up(options, lambda _line: None) as cluster:
            keys = {member.name: member.node_key for member in cluster.genesis.members}
            liar = min(cluster.names, key=lambda name: keys[name])
            honest = [name for name in cluster.names if name != liar]
            cluster.processes.kill([node_label(liar)])
            await speak(cluster.layout, liar, lambda lies: two_commits(lies, cluster, honest[0]))
            async with asyncio.timeout(40):
                while True:
                    (count,) = await cluster.view(honest[0], "Accountability", "count")
                    if count:
                        break
                    await asyncio.sleep(0.2)
            (rows,) = await cluster.view(honest[0], "Accountability", "offences", 0)
            assert [row[0] for row in rows] == [keys[liar]]
            assert rows[0][2:4] == (1, Kind.COMMIT)
            await asyncio.sleep(1)
            (count,) = await cluster.view(honest[1], "Accountability", "offencesOf", keys[liar])
            assert count == 1, "the others found it on record"

    asyncio.run(asyncio.wait_for(run(), 120))


async def two_commits(lies: Ammunition, cluster: Cluster, name: str) -> list[bytes]:
    """Two COMMITs for the height under way: nobody can have both from a correct member."""
    above = await height(cluster, name) + 1
    frames = []
    for _ in range(2):
        vote = lies.vote(Commit, view=0, height=above)
        frames.append(encode_frame(Channel.CONSENSUS, encode_message(vote)))
    return frames
