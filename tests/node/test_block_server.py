"""What observers are served, and how fast; and that nothing else that they say is heard."""

import asyncio

import pytest

from consensus.certificates import Slot
from consensus.messages import Blocks, BodyReply, GetBlocks, GetBody, GetHead, Status
from consensus.wire import decode_message, encode_message
from node.block_server import ASK_INTERVAL_S, SERVE_BYTES_PER_S, BlockServer
from node.p2p.frames import Channel
from tests.node.cluster import Cluster, make_tx, node_key

STRANGER = 17
NONCE = bytes(32)


def chain_of_three(cluster):
    async def seal():
        node = cluster.nodes[0]
        for nonce in range(3):
            await cluster.sealed(node.chain.submit(make_tx(cluster.genesis, 0, nonce)))
        return node

    return seal()


def run(tmp_path, scenario):
    async def whole():
        cluster = Cluster(tmp_path)
        cluster.start()
        try:
            await scenario(cluster, await chain_of_three(cluster))
        finally:
            cluster.kill()

    asyncio.run(whole())


def test_an_observer_gets_stored_blocks_and_bodies(tmp_path):
    async def scenario(_cluster, node):
        server = BlockServer(node.store)
        ((peer, channel, payload),) = server.answer(STRANGER, GetBlocks(2), 0.0)
        assert (peer, channel) == (STRANGER, Channel.CATCH_UP)
        reply = decode_message(payload)
        assert isinstance(reply, Blocks)
        assert [block.height for block in reply.blocks] == [2, 3]
        digest = node.store.digest(3)
        ((_, _, payload),) = server.answer(STRANGER, GetBody(digest), 1.0)
        assert decode_message(payload) == BodyReply(digest, node.store.body(3))

    run(tmp_path, scenario)


def status(height):
    return Status(
        slot=Slot(epoch=1, term=1, view=0, height=height),
        head_digest=bytes(32),
        asked=0,
        proposal=None,
        prepares=0,
        commits=0,
        view_changes=(),
        is_learner=False,
    )


def test_an_observer_that_is_ahead_is_asked_for_blocks_now_and_then(tmp_path):
    """It may be a member by the very block that nobody else has."""

    async def scenario(_cluster, node):
        server = BlockServer(node.store)
        assert server.answer(STRANGER, status(3), 0.0) == []
        ((peer, channel, payload),) = server.answer(STRANGER, status(4), 0.0)
        assert (peer, channel) == (STRANGER, Channel.CONSENSUS)
        assert decode_message(payload) == GetBlocks(4)
        assert server.answer(STRANGER, status(9), ASK_INTERVAL_S / 2) == []
        assert len(server.answer(STRANGER, status(9), ASK_INTERVAL_S)) == 1

    run(tmp_path, scenario)


@pytest.mark.parametrize("message", [GetBlocks(4), GetBody(bytes(32)), GetHead(NONCE)])
def test_what_is_not_there_or_not_an_observers_is_not_answered(tmp_path, message):
    async def scenario(_cluster, node):
        assert BlockServer(node.store).answer(STRANGER, message, 0.0) == []

    run(tmp_path, scenario)


def test_each_peer_has_a_rate_of_its_own(tmp_path):
    async def scenario(_cluster, node):
        server = BlockServer(node.store)
        ((_, _, payload),) = server.answer(STRANGER, GetBlocks(1), 0.0)
        wait_s = len(payload) / SERVE_BYTES_PER_S
        assert server.answer(STRANGER, GetBlocks(1), 0.9 * wait_s) == []
        assert len(server.answer(STRANGER + 1, GetBlocks(1), 0.9 * wait_s)) == 1
        assert len(server.answer(STRANGER, GetBlocks(1), wait_s)) == 1

    run(tmp_path, scenario)


def test_a_driver_answers_an_observer_and_steps_no_replica_with_its_words(tmp_path):
    """Its index would be somebody else's: the number of a link is not a place in the epoch."""

    async def scenario(_cluster, node):
        stranger = node.driver._roster.number(node_key(9).public)
        assert stranger == 4
        sent, stepped = [], []
        node.links.send = lambda *frame: sent.append(frame)
        step = node.driver.replica.step

        def watched(event, now_ms):
            stepped.append(event)
            return step(event, now_ms)

        node.driver.replica.step = watched
        node.driver.on_up(stranger)
        node.driver.on_frame(stranger, encode_message(GetHead(NONCE)))
        node.driver.on_frame(stranger, encode_message(GetBlocks(1)))
        node.driver.on_down(stranger)
        await asyncio.sleep(0.05)
        assert [frame[:2] for frame in sent if frame[0] == stranger] == [
            (stranger, Channel.CATCH_UP)
        ]
        assert not any(getattr(event, "sender", None) == stranger for event in stepped)

    run(tmp_path, scenario)
