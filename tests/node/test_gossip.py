"""Transactions between peers: batches, strictness, and nobody hears a thing twice."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import encode
from crypto.errors import DecodeError
from node.chain import Chain
from node.gossip import (
    BATCH_BYTES_MAX,
    BATCH_COUNT_MAX,
    TURN_COUNT,
    Gossip,
    decode_batch,
    encode_batches,
)
from node.p2p.frames import Channel
from node.storage.block_store import ChainStore
from tests.node.cluster import make_genesis, make_tx, wall_ms
from vm.machine import Machine

GENESIS = make_genesis()


class Links:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int | None, list[bytes]]] = []
        self.suspicions: list[tuple[int, str]] = []
        self.up = frozenset((1, 2, 3))

    def send(self, member, channel, payload):
        assert channel is Channel.TRANSACTIONS
        self.sent.append((member, decode_batch(payload)))
        return True

    def broadcast(self, channel, payload, except_=None):
        self.send(None, channel, payload)

    def suspect(self, member, reason, points=10):
        self.suspicions.append((member, reason))


class Peer:
    def __init__(self, path) -> None:
        self.chain = Chain(Machine(GENESIS, ()), ChainStore(path, GENESIS.hash), now_ms=wall_ms)
        self.links = Links()
        self.gossip = Gossip(self.chain, self.links)


@pytest.fixture
def peer(tmp_path):
    peer = Peer(tmp_path / "chain")
    yield peer
    peer.gossip.close()
    peer.chain.store.close()


def batch_of(*raws):
    return encode(list(raws))


@pytest.mark.e2e
def test_own_transactions_of_one_turn_leave_in_one_frame(peer):
    async def main():
        raws = [make_tx(GENESIS, 0, nonce) for nonce in range(5)]
        for raw in raws:
            peer.chain.submit(raw)
        await asyncio.sleep(0.01)
        assert peer.links.sent == [(None, raws)]

    asyncio.run(main())


@pytest.mark.e2e
def test_a_peers_transaction_is_admitted_and_not_repeated_at_once(peer):
    async def main():
        raw = make_tx(GENESIS, 0, 0)
        peer.gossip.on_frame(2, batch_of(raw))
        peer.gossip.on_frame(3, batch_of(raw))
        await asyncio.sleep(0.01)
        assert len(peer.chain.pool) == 1
        assert peer.links.sent == []
        assert peer.links.suspicions == []

    asyncio.run(main())


@pytest.mark.e2e
def test_what_still_waits_after_a_while_is_passed_on_once(peer, monkeypatch):
    monkeypatch.setattr("node.gossip.PASS_ON_MS", 20)

    async def main():
        raw = make_tx(GENESIS, 0, 0)
        peer.gossip.on_frame(2, batch_of(raw))
        await asyncio.sleep(0.15)
        assert peer.links.sent == [(None, [raw])]

    asyncio.run(main())


def test_whoever_comes_up_hears_all_that_waits(peer):
    async def main():
        raws = [make_tx(GENESIS, sender, 0) for sender in range(3)]
        peer.gossip.on_frame(2, batch_of(*raws))
        peer.gossip.on_up(3)
        assert peer.links.sent == [(3, raws)]

    asyncio.run(main())


def test_what_was_seen_is_not_looked_at_again(peer, monkeypatch):
    async def main():
        raw = make_tx(make_genesis(name="other"), 0, 0)  # Refused, and so not in the pool.
        asked = []
        submit = peer.chain.submit
        monkeypatch.setattr(
            peer.chain, "submit", lambda *a, **k: asked.append(a) or submit(*a, **k)
        )
        for member in (1, 2, 3):
            peer.gossip.on_frame(member, batch_of(raw))
        assert len(asked) == 1

    asyncio.run(main())


def test_what_was_only_early_is_looked_at_when_it_comes_again(peer):
    """Else a node that lags by a block would never hear of it, and stand there as primary."""

    async def main():
        early, before = make_tx(GENESIS, 0, 65), make_tx(GENESIS, 0, 0)
        peer.gossip.on_frame(1, batch_of(early))
        assert len(peer.chain.pool) == 0
        peer.gossip.on_frame(1, batch_of(before))
        peer.gossip.on_frame(2, batch_of(early))
        assert len(peer.chain.pool) == 2

    asyncio.run(main())


@pytest.mark.e2e
def test_a_large_batch_is_admitted_in_turns_and_nobody_waits_behind_anothers(peer):
    async def main():
        flood = [make_tx(GENESIS, 0, nonce) for nonce in range(60)]
        peer.gossip.on_frame(1, batch_of(*flood))
        assert len(peer.chain.pool) == TURN_COUNT
        peer.gossip.on_frame(2, batch_of(make_tx(GENESIS, 1, 0)))
        await asyncio.sleep(0)
        senders = {tx.sender() for tx in peer.chain.pool.transactions()}
        assert len(senders) == 2
        assert len(peer.chain.pool) == 2 * TURN_COUNT
        await asyncio.sleep(0.05)
        assert len(peer.chain.pool) == 61

    asyncio.run(main())


@pytest.mark.e2e
def test_what_waits_to_be_looked_at_is_bounded(peer, monkeypatch):
    async def main():
        raws = [make_tx(GENESIS, 0, nonce) for nonce in range(60)]
        size = sum(map(len, raws))
        monkeypatch.setattr("node.gossip.INCOMING_BYTES_MAX", size)
        peer.gossip.on_frame(1, batch_of(*raws))
        peer.gossip.on_frame(1, batch_of(*raws))
        await asyncio.sleep(0.05)
        assert len(peer.chain.pool) == 60
        more = make_tx(GENESIS, 0, 60)
        peer.gossip.on_frame(1, batch_of(more))
        assert len(peer.chain.pool) == 61

    asyncio.run(main())


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x90", encode([]), encode([1]), encode([b"x" * (128 * 1024 + 1)]), encode({"a": 1})],
)
def test_a_malformed_batch_costs_the_peer(peer, payload):
    peer.gossip.on_frame(2, payload)
    assert [member for member, _ in peer.links.suspicions] == [2]


def test_a_transaction_that_is_never_valid_costs_the_peer_and_others_pass(peer):
    async def main():
        wrong_chain = make_tx(make_genesis(name="other"), 0, 0)
        peer.gossip.on_frame(2, batch_of(b"junk", wrong_chain, make_tx(GENESIS, 0, 0)))
        assert len(peer.links.suspicions) == 2
        assert len(peer.chain.pool) == 1

    asyncio.run(main())


def test_a_transaction_that_is_late_or_early_is_nobodys_fault(peer):
    async def main():
        far = make_tx(GENESIS, 0, 99)
        stranger = make_tx(GENESIS, 100, 0)
        peer.gossip.on_frame(2, batch_of(far, stranger))
        assert peer.links.suspicions == []
        assert len(peer.chain.pool) == 0

    asyncio.run(main())


@given(st.lists(st.integers(1, 128 * 1024), max_size=30))
def test_batches_hold_everything_in_order_within_their_bounds(sizes):
    raws = [bytes([i]) * size for i, size in enumerate(sizes)]
    batches = [decode_batch(payload) for payload in encode_batches(raws)]
    assert [raw for batch in batches for raw in batch] == raws
    assert all(sum(map(len, batch)) <= BATCH_BYTES_MAX for batch in batches)


def test_batches_are_bounded_in_number():
    batches = [decode_batch(p) for p in encode_batches([b"x"] * (BATCH_COUNT_MAX + 1))]
    assert [len(batch) for batch in batches] == [BATCH_COUNT_MAX, 1]
    with pytest.raises(DecodeError, match="at most"):
        decode_batch(encode([b"x"] * (BATCH_COUNT_MAX + 1)))


@given(st.binary(max_size=100) | st.lists(st.binary(max_size=10), max_size=5).map(encode))
def test_a_batch_that_decodes_has_no_other_encoding(payload):
    try:
        batch = decode_batch(payload)
    except DecodeError:
        return
    assert encode(batch) == payload
