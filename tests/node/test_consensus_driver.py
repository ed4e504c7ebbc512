"""The driver: promises are on disk before they leave; trouble stops the node or costs a peer."""

import asyncio

import pytest

from consensus.certificates import Slot
from consensus.config import MAX_MESSAGE_BYTES
from consensus.events import Apply, Broadcast, Offered, Persist, Receive
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from consensus.messages import (
    Blocks,
    Commit,
    GetBlocks,
    Prepare,
    PrePrepare,
    SealedBlock,
    ViewChange,
)
from consensus.vote_log import ProposalRecord
from consensus.wire import decode_message, encode_message
from node import block_server, inbox
from node.errors import StorageError
from node.p2p.frames import Channel
from tests.node.cluster import Cluster, Node, make_tx

pytestmark = pytest.mark.e2e

SIGNED = (PrePrepare, Prepare, Commit, ViewChange)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


class Recorder:
    """What a node does to its vote log and its links, in order."""

    def __init__(self, node: Node) -> None:
        self.trace: list[str] = []
        self.signed: list[object] = []
        self._is_synced = True
        append, sync, send = node.log.append, node.log.sync, node.links.send
        apply = node.chain.apply

        def traced_apply(block, senders):
            assert self._is_synced, "a block was written before the promises that sealed it"
            self.trace.append("apply")
            return apply(block, senders)

        node.chain.apply = traced_apply

        def traced_append(records):
            self._is_synced = False
            self.trace.append("append")
            append(records)

        def traced_sync():
            sync()
            self._is_synced = True
            self.trace.append("sync")

        def traced_send(member, channel, payload):
            if channel in (Channel.CONSENSUS, Channel.CATCH_UP):
                message = decode_message(payload)
                if isinstance(message, SIGNED):
                    assert self._is_synced, f"{type(message).__name__} left before the sync"
                    self.trace.append(type(message).__name__)
                    self.signed.append(message)
            return send(member, channel, payload)

        node.log.append, node.log.sync, node.links.send = traced_append, traced_sync, traced_send


def test_no_vote_leaves_before_its_record_is_synced(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        recorders = {key: Recorder(node) for key, node in cluster.nodes.items()}
        for sender in range(4):
            for nonce in range(3):
                raw = make_tx(cluster.genesis, sender, nonce)
                await cluster.sealed(cluster.nodes[sender].chain.submit(raw))
        primary = cluster.primary()
        cluster.kill(primary)
        left = next(iter(cluster.nodes))
        await cluster.sealed(cluster.nodes[left].chain.submit(make_tx(cluster.genesis, left, 3)))
        kinds = {type(m) for r in recorders.values() for m in r.signed}
        assert kinds == set(SIGNED)
        for recorder in recorders.values():
            assert recorder.trace.index("sync") > recorder.trace.index("append")
            assert "apply" in recorder.trace
        cluster.kill()

    run(main())


@pytest.mark.parametrize(
    "payload", [b"", b"\xc0", b"\x93\x01\x02\x03", bytes(MAX_MESSAGE_BYTES + 1)]
)
def test_garbage_costs_the_peer_and_changes_nothing(tmp_path, payload):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        node = cluster.nodes[0]
        other = (node.index + 1) % 4
        await asyncio.sleep(0.02)
        before = node.driver.replica.table_sizes
        node.driver.on_frame(other, payload)
        await asyncio.sleep(0.02)
        assert [member for member, _ in node.links.suspicions] == [other]
        assert node.driver.replica.table_sizes == before
        assert node.fatal == []
        cluster.kill()

    run(main())


@pytest.mark.parametrize("method", ["append", "sync"])
def test_a_failing_disk_stops_the_node_before_it_promises(tmp_path, method):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        node = cluster.nodes[cluster.primary()]
        await asyncio.sleep(0.05)
        recorder = Recorder(node)

        def fail(*_):
            raise StorageError("no space left")

        setattr(node.log, method, fail)
        key = next(k for k, n in cluster.nodes.items() if n is node)
        node.chain.submit(make_tx(cluster.genesis, key, 0))
        await asyncio.sleep(0.05)
        assert [str(error) for error in node.fatal] == ["no space left"]
        assert recorder.signed == []
        node.driver.on_frame((node.index + 1) % 4, b"")  # Nothing wakes it any more.
        await asyncio.sleep(0.02)
        assert len(node.fatal) == 1
        cluster.kill()

    run(main())


def test_the_others_go_on_when_one_disk_fails(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        await asyncio.sleep(0.05)
        broken = cluster.primary()

        def fail(*_):
            raise StorageError("no space left")

        ended = asyncio.Event()
        cluster.nodes[broken].driver._on_fatal = lambda _: ended.set()
        cluster.nodes[broken].log.append = fail
        well = next(k for k in cluster.nodes if k != broken)
        digest = cluster.nodes[well].chain.submit(make_tx(cluster.genesis, well, 0))
        await asyncio.wait_for(ended.wait(), 5)
        cluster.kill(broken)
        await cluster.sealed(digest)
        cluster.kill()

    run(main())


def test_blocks_are_served_on_the_bulk_channel(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        for nonce in range(3):
            raw = make_tx(cluster.genesis, 0, nonce)
            await cluster.sealed(cluster.nodes[0].chain.submit(raw))
        node = cluster.nodes[0]
        sent = []
        node.links.send = lambda member, channel, payload: sent.append((member, channel, payload))
        asker = (node.index + 1) % 4
        node.driver.on_frame(asker, encode_message(GetBlocks(2)))
        await asyncio.sleep(0.05)
        replies = [(m, decode_message(p)) for m, c, p in sent if c is Channel.CATCH_UP]
        assert [(m, [b.height for b in reply.blocks]) for m, reply in replies] == [(asker, [2, 3])]
        cluster.kill()

    run(main())


def test_the_status_is_the_replicas(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        assert cluster.nodes[0].driver.status().peers_up == 3
        await cluster.sealed(cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 0)))
        status = cluster.nodes[1].driver.status()
        assert (status.epoch, status.term, status.view, status.is_learner) == (0, 0, 0, False)
        assert status.primary == cluster.nodes[1].driver.replica.primary
        cluster.kill()

    run(main())


class ScriptedReplica:
    """Stands in for the replica: one step with given effects, then silence."""

    term = asked = 0
    wake_at = None
    is_doubtful = False

    def __init__(self, membership, *effects) -> None:
        self.membership = membership
        self._effects = effects

    def fetched_above(self, height):
        return ()

    def step(self, _event, _now_ms):
        effects, self._effects = self._effects, ()
        return effects


def test_in_one_step_the_sync_and_the_vote_come_before_the_block_is_written(tmp_path):
    """A member whose COMMIT completes the seal promises and decides in one step."""

    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        node = cluster.nodes[0]
        raw = make_tx(cluster.genesis, 0, 0)
        await cluster.sealed(node.chain.submit(raw))
        recorder = Recorder(node)
        node.chain.submit(make_tx(cluster.genesis, 0, 1))
        executed = node.chain.build()
        slot = Slot(epoch=Epoch(0), term=Term(0), view=View(0), height=Height(2))
        vote = Prepare(
            slot=slot,
            digest=executed.digest,
            sender=MemberIndex(node.index),
            signature=bytes(64),
        )
        proposal = PrePrepare(
            slot=slot,
            digest=executed.digest,
            sender=MemberIndex((node.index + 1) % 4),
            signature=bytes(64),
            body=executed.body,
        )
        block = SealedBlock(
            height=Height(2), digest=executed.digest, body=executed.body, seal=node.store.seal(1)
        )
        node.driver.replica = ScriptedReplica(
            node.chain.membership(),
            Persist((ProposalRecord(proposal, vote),)),
            Broadcast(vote),
            Apply(block, executed=True),
        )
        node.driver.on_up((node.index + 1) % 4)
        await asyncio.sleep(0.05)
        assert recorder.trace == ["append", "sync", "Prepare", "Prepare", "Prepare", "apply"]
        assert node.fatal == []
        cluster.kill()

    run(main())


def test_a_flood_is_bounded_and_does_not_displace_anothers_votes(tmp_path, monkeypatch):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        node = cluster.nodes[0]
        await asyncio.sleep(0.05)
        stepped = []
        step = node.driver.replica.step
        monkeypatch.setattr(
            node.driver.replica, "step", lambda e, now: stepped.append(e) or step(e, now)
        )
        monkeypatch.setattr(inbox, "MEMBER_BYTES_MAX", 10_000)
        flooder, other = ((node.index + i) % 4 for i in (1, 2))
        payload = encode_message(GetBlocks(1))
        for _ in range(1000):  # In one turn of the loop: none is stepped meanwhile.
            node.driver.on_frame(flooder, payload)
        node.driver.on_frame(other, payload)
        await asyncio.sleep(0.05)
        senders = [event.sender for event in stepped if isinstance(event, Receive)]
        assert 0 < senders.count(flooder) <= 10_000 // inbox.MESSAGE_COST_BYTES
        assert other in senders
        node.driver.on_frame(flooder, payload)  # Room again, once they are done.
        await asyncio.sleep(0.05)
        assert len([e for e in stepped if isinstance(e, Receive)]) > len(senders)
        cluster.kill()

    run(main())


def test_blocks_are_not_served_faster_than_the_limit(tmp_path, monkeypatch):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        await cluster.sealed(cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, 0)))
        node = cluster.nodes[0]
        reads = []
        read = node.store.sealed_blocks
        monkeypatch.setattr(
            node.store, "sealed_blocks", lambda *args: reads.append(args) or read(*args)
        )
        monkeypatch.setattr(block_server, "SERVE_BYTES_PER_S", 1_000)
        for member in (1, 2):
            for _ in range(3):
                node.driver.on_frame((node.index + member) % 4, encode_message(GetBlocks(1)))
                await asyncio.sleep(0.02)
        assert len(reads) == 2
        cluster.kill()

    run(main())


def test_blocks_of_one_that_is_no_member_are_offered_to_the_replica(tmp_path):
    """Its key may have become a member's by the block that this node lacks."""

    async def main():
        cluster = Cluster(tmp_path)
        cluster.start()
        node = cluster.nodes[0]
        await cluster.sealed(node.chain.submit(make_tx(cluster.genesis, 0, 0)))
        blocks = Blocks(tuple(node.store.sealed_blocks(1, 1, 1 << 20)))
        seen = []

        class Listening(ScriptedReplica):
            def step(self, event, _now_ms):
                seen.append(event)
                return ()

        node.driver.replica = Listening(node.chain.membership())
        stranger = node.driver._roster.number(bytes(32))
        node.driver.on_frame(stranger, encode_message(blocks))
        await asyncio.sleep(0.05)
        assert Offered(blocks.blocks) in seen
        cluster.kill()

    run(main())
