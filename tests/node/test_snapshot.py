"""Joining by a snapshot: from several peers, past liars and losses, and what the node has after."""

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from crypto.hashing import tagged_hash
from crypto.merkle import SparseMerkleTree
from crypto.merkle_chunk import prove_chunk, verify_chunk
from node import snapshot_service
from node.errors import CorruptStore, HistoryUnavailable, StorageError
from node.hand_over import HandOver
from node.p2p.frames import Channel
from node.snapshot_download import Ask, Blame, SnapshotDownload, best_offer
from node.snapshot_server import SnapshotServer
from node.snapshot_service import SnapshotService
from node.snapshot_wire import (
    BODY,
    EPOCHS,
    ITEM_LIMIT,
    PART_BYTES,
    RECEIPTS,
    AskOffers,
    GetPart,
    Gone,
    Offer,
    Offers,
    Part,
    decode_chunk,
    decode_snapshot_message,
    encode_chunk,
    encode_epochs,
    encode_snapshot_message,
    part_of,
)
from node.storage.store_import import StoreImport, swap
from tests.node.cluster import account_key
from tests.node.light_rig import SealedChain
from tests.node.memory_network import MemoryNetwork
from tests.node.rpc.rig import SEAL
from tests.vm.chain import TOY
from vm.block import Header
from vm.context import storage_key

HASH = tagged_hash(b"test/snapshot")
BALANCE = storage_key(TOY, b"b" + account_key(1).address)
HEADER = Header(
    version=1,
    number=1,
    parent_hash=HASH,
    time_ms=1,
    transactions_root=HASH,
    state_root=HASH,
    receipts_root=HASH,
    next_members_hash=HASH,
    gas_used=0,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A chain of three epochs and forty blocks, from which each test copies."""
    sealed = SealedChain(tmp_path_factory.mktemp("original") / "chain")
    sealed.change_members(0, 1, 2, 3, 4)
    for i in range(20):
        sealed.transfer(sender=i % 4, to=(i + 1) % 4, value=i + 1)
    sealed.change_members(1, 2, 3, 4)
    for i in range(18):
        sealed.transfer(sender=i % 4, to=(i + 1) % 4, value=i + 1)
    yield sealed
    sealed.close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(snapshot_service, "JOIN_BLOCKS", 8)
    monkeypatch.setattr(snapshot_service, "GATHER_MS", 5)
    monkeypatch.setattr(snapshot_service, "TICK_S", 0.01)
    monkeypatch.setattr("node.snapshot_download.PATIENCE_MS", 100)


def copy_of(original, folder):
    shutil.copytree(original.store.path, folder)
    (folder / "LOCK").unlink()
    copy = SealedChain(folder)
    copy.now_ms = original.now_ms
    return copy


class Peer:
    """A service of a chain at one end of the network."""

    def __init__(self, network, number, chain, folder, **options):
        self.chain = chain
        self.number = number
        self.network = network
        self.reopens = self.rests = 0
        self.links = network.links(number)
        self.service = SnapshotService(
            chain=chain,
            links=self.links,
            folder=folder,
            rest=self.rest,
            reopen=self.reopen,
            **options,
        )
        self.links.on_frame = self.on_frame
        self.links.on_up = self.service.on_up
        self.links.on_down = self.service.on_down
        network.attach(number, self.links)

    def rest(self):
        self.rests += 1

    def reopen(self):
        self.reopens += 1

    def on_frame(self, member, channel, payload):
        assert channel is Channel.SNAPSHOT
        self.service.on_frame(member, payload)


@contextmanager
def street(original, tmp_path, servers=3):
    """Peers 1.. that serve copies, and a chain at genesis for peer 0 to begin with."""
    network = MemoryNetwork()
    chains = [copy_of(original, tmp_path / f"server-{i}") for i in range(servers)]
    newcomer = SealedChain(tmp_path / "newcomer" / "chain")
    try:
        yield network, chains, newcomer
    finally:
        for each in (*chains, newcomer):
            each.close()


async def until(condition, timeout_s=10):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  Nothing there tells a test.
            await asyncio.sleep(0.002)


async def joined(tmp_path, network, chains, newcomer, bend=lambda *_: None):
    peers = [Peer(network, i + 1, each.chain, tmp_path / f"x{i}") for i, each in enumerate(chains)]
    bend(peers)
    me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
    try:
        await until(lambda: me.reopens)
    finally:
        for each in (me, *peers):
            each.service.close()
    return me, peers


def adopt(tmp_path, newcomer, me):
    """What the node does when it is opened anew."""
    newcomer.close()
    assert me.reopens == 1
    swap(me.service.fresh, newcomer.store.path)
    fresh = SealedChain(tmp_path / "newcomer" / "chain")
    fresh.now_ms = newcomer.now_ms
    return fresh


# Joining -----------------------------------------------------------------------------------------


def test_a_newcomer_has_the_head_s_state_and_goes_on_from_there(original, tmp_path, quick):
    with street(original, tmp_path) as (network, chains, newcomer):
        me, peers = asyncio.run(joined(tmp_path, network, chains, newcomer))
        assert me.rests == 1
        assert all(peer.links.frames_out > 20 for peer in peers), "one of them did it all"
        fresh = adopt(tmp_path, newcomer, me)
        chain, other = fresh.chain, chains[0].chain
        assert chain.head == other.head
        assert chain.tree.root == other.tree.root
        assert chain.membership() == other.membership()
        assert chain.sealed_head() == other.sealed_head()
        assert fresh.store.hand_overs() == chains[0].store.hand_overs()
        for source in (chains[0], fresh):
            source.now_ms = original.now_ms
        chains[0].transfer(value=3)
        chain.apply(chains[0].store.sealed_block(chain.height + 1))
        assert chain.tree.root == other.tree.root
        fresh.close()


def test_the_block_that_changes_the_members_can_be_the_one(tmp_path):
    """The set that its header names is shown as well: it was held back, and no node could join."""
    sealed = SealedChain(tmp_path / "chain")
    sealed.change_members(0, 1, 2, 3, 4)
    server = SnapshotServer(sealed.chain)
    (offer,) = server.offers().offers
    part = server.part(GetPart(offer.digest, EPOCHS, 0))
    download = SnapshotDownload(offer, 0, HandOver.from_bytes(sealed.store.hand_overs()[0][1]))
    download.take(EPOCHS, part.data)
    assert download.is_proven
    server.close()
    sealed.close()


def test_what_a_chain_that_begins_late_answers(original, tmp_path, quick):
    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer))
        fresh = adopt(tmp_path, newcomer, me)
        chain, store, height = fresh.chain, fresh.store, original.chain.height
        assert store.first == height
        assert chain.record(0) == chains[0].chain.record(0)
        assert chain.record(height) == chains[0].chain.record(height)
        assert [chain.record(h) for h in range(1, height)] == [None] * (height - 1)
        assert chain.record(original.store.digest(5)) is None
        assert store.sealed_blocks(3, 10, 10**6) == ()
        assert [b.height for b in store.sealed_blocks(height, 10, 10**6)] == [height]
        for first, _ in store.hand_overs():
            assert store.digest(first - 1) == original.store.digest(first - 1)
        with pytest.raises(HistoryUnavailable):
            chain.state_at(height - 1)
        before = chain.state_at(height)
        chains[0].transfer(value=3)
        chain.apply(chains[0].store.sealed_block(height + 1))
        assert before.get(BALANCE) != store.get(BALANCE) == chains[0].store.get(BALANCE)
        assert len(chain.logs(0, height + 1, (), (), 100)) == 2
        # And after a restart.
        fresh.close()
        again = SealedChain(tmp_path / "newcomer" / "chain")
        assert again.chain.height == height + 1
        assert again.store.first == height
        again.close()


def test_a_liar_is_found_out_and_the_others_have_the_rest(original, tmp_path, quick):
    """One peer sends wrong chunks: each is noticed, and it is asked no more."""

    def bend(peers):
        honest = peers[0].service.server.part

        def part(asked):
            found = honest(asked)
            if asked.item >= 256:
                return found
            proof, entries = decode_chunk(found.data)
            bent = [(key, value + b"!") for key, value in entries] or [(b"new", b"value")]
            return part_of(encode_chunk(proof, bent), asked.snapshot, asked.item, 0)

        peers[0].service.server.part = part

    with street(original, tmp_path) as (network, chains, newcomer):
        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer, bend))
        assert not me.service.has_given_up
        assert {member for member, _ in me.links.suspicions} == {1}
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.tree.root == chains[0].chain.tree.root
        fresh.close()


def test_an_offer_that_nobody_sealed_leads_to_replay(original, tmp_path, quick):
    def bend(peers):
        for peer in peers:
            offers = peer.service.server.offers().offers
            forged = tuple(
                Offer(replace(each.header, state_root=HASH), each.seal) for each in offers
            )
            made = peer.service.server.part

            def part(asked, made=made, real=offers[0].digest):
                found = made(replace(asked, snapshot=real))
                return replace(found, snapshot=asked.snapshot)

            peer.service.server.part = part
            peer.service.server.offers = lambda forged=forged: Offers(forged)

    with street(original, tmp_path) as (network, chains, newcomer):
        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer, bend))
        assert me.service.fresh is None
        assert me.service.has_given_up
        assert any("signature" in reason for _, reason in me.links.suspicions)
        assert newcomer.chain.height == 0


def test_peers_that_leave_and_a_snapshot_that_is_gone(original, tmp_path, quick):
    """One link breaks, one peer lets its snapshot go, one falls silent; one is enough."""

    async def run(network, chains, newcomer):
        peers = [Peer(network, i + 1, c.chain, tmp_path / f"x{i}") for i, c in enumerate(chains)]
        peers[1].service.server.part = lambda asked: Gone(asked.snapshot)
        silent = peers[2].service.server.part
        peers[2].service.server.part = lambda asked: silent(asked) if asked.item % 9 == 0 else None
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service.download is not None and me.service.download.missing < 250)
        assert me.service.is_joining
        (why,) = me.service.why()
        assert "joins by the state at block 40: " in why
        network.cut(0, 1)
        await until(lambda: me.reopens, 30)
        for each in (me, *peers):
            each.service.close()
        return me

    with street(original, tmp_path, servers=4) as (network, chains, newcomer):
        me = asyncio.run(run(network, chains, newcomer))
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.tree.root == chains[3].chain.tree.root
        fresh.close()


@pytest.mark.parametrize("lie", ["silent", "gone", "endless"])
@pytest.mark.parametrize("is_real", [False, True])
def test_a_liar_that_is_first_does_not_hold_a_newcomer_up(
    original, tmp_path, quick, monkeypatch, lie, is_real
):
    """It offers a block, made up or real, before the others are there, and never delivers it."""
    monkeypatch.setattr(snapshot_service, "STALL_MS", 300)
    monkeypatch.setattr(snapshot_service, "UNPROVEN_MS", 300)

    def bend(peer):
        (real,) = peer.service.server.offers().offers
        offer = real if is_real else Offer(replace(real.header, state_root=HASH), real.seal)
        made = peer.service.server.part

        def part(asked):
            if is_real and asked.item == EPOCHS:
                return made(asked)
            if lie == "gone":
                return Gone(asked.snapshot)
            total = PART_BYTES + 1 + asked.offset // PART_BYTES
            size = min(total - asked.offset, PART_BYTES)
            endless = Part(asked.snapshot, asked.item, asked.offset, total, bytes(size))
            return None if lie == "silent" else endless

        peer.service.server.part = part
        peer.service.server.offers = lambda: Offers((offer,))

    async def run(network, chains, newcomer):
        peers = [Peer(network, i + 1, c.chain, tmp_path / f"x{i}") for i, c in enumerate(chains)]
        bend(peers[0])
        chains[1].transfer(value=1)  # So it is another block that the honest one offers.
        peers[1].service.server.pin_head()
        peers[1].service.server._drop_oldest()
        network._cut.add(frozenset((0, 2)))  # Comes up later.
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service.download is not None)
        network.heal(0, 2)
        await until(lambda: me.reopens, 5)
        for each in (me, *peers):
            each.service.close()
        return me

    with street(original, tmp_path, servers=2) as (network, chains, newcomer):
        me = asyncio.run(run(network, chains, newcomer))
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.head == chains[1].chain.head
        fresh.close()


def test_all_links_break_and_come_back(original, tmp_path, quick):
    async def run(network, chains, newcomer):
        peer = Peer(network, 1, chains[0].chain, tmp_path / "x")
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service.download is not None and me.service.download.missing < 200)
        network.cut(0, 1)
        await asyncio.sleep(0.1)
        assert me.service.download.peers == ()
        network.heal(0, 1)
        await until(lambda: me.reopens)
        for each in (me, peer):
            each.service.close()
        return me

    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        me = asyncio.run(run(network, chains, newcomer))
        assert (me.rests, me.service.has_given_up) == (1, False)
        adopt(tmp_path, newcomer, me).close()


def test_nobody_comes_back(original, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(snapshot_service, "PEERLESS_MS", 50)

    async def run(network, chains, newcomer):
        peer = Peer(network, 1, chains[0].chain, tmp_path / "x")
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service.download is not None and me.service.download.missing < 200)
        network.cut(0, 1)
        await until(lambda: me.reopens)
        for each in (me, peer):
            each.service.close()
        return me

    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        me = asyncio.run(run(network, chains, newcomer))
        assert me.service.has_given_up
        assert me.service.fresh is None


def test_a_download_goes_on_where_it_stopped(original, tmp_path, quick):
    async def half(network, chains, newcomer):
        peer = Peer(network, 1, chains[0].chain, tmp_path / "x")
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service.download is not None and me.service.download.missing < 100)
        me.service.close()
        peer.service.close()
        network.detach(0)
        network.detach(1)

    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        asyncio.run(half(network, chains, newcomer))
        asked = []

        def bend(peers):
            made = peers[0].service.server.part

            def part(question):
                asked.append(question.item)
                return made(question)

            peers[0].service.server.part = part

        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer, bend))
        assert len([item for item in asked if item < 256]) <= 100
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.tree.root == chains[0].chain.tree.root
        fresh.close()


def test_who_is_not_far_behind_replays(original, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(snapshot_service, "JOIN_BLOCKS", 42)

    async def run(network, chains, newcomer):
        peer = Peer(network, 1, chains[0].chain, tmp_path / "x")
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        await until(lambda: me.service._offers)
        await asyncio.sleep(0.05)
        assert me.service.download is None
        assert not me.rests
        for each in (me, peer):
            each.service.close()

    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        asyncio.run(run(network, chains, newcomer))


def test_a_short_chain_whose_members_nobody_knows_any_more(original, tmp_path, quick, monkeypatch):
    """No block comes to one that knows the founders alone, when all of them have other keys."""
    monkeypatch.setattr(snapshot_service, "JOIN_BLOCKS", 512)
    monkeypatch.setattr(snapshot_service, "STUCK_MS", 100)
    with street(original, tmp_path) as (network, chains, newcomer):
        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer))
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.head == chains[0].chain.head
        fresh.close()


def test_who_gets_blocks_takes_no_snapshot_of_a_short_chain(original, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(snapshot_service, "JOIN_BLOCKS", 512)
    monkeypatch.setattr(snapshot_service, "STUCK_MS", 60)

    async def run(network, chains, newcomer):
        peer = Peer(network, 1, chains[0].chain, tmp_path / "x")
        me = Peer(network, 0, newcomer.chain, tmp_path / "newcomer" / "chain.join")
        for height in range(1, original.chain.height + 1):
            newcomer.chain.apply(chains[0].store.sealed_block(height))
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not me.rests
        for each in (me, peer):
            each.service.close()

    with street(original, tmp_path, servers=1) as (network, chains, newcomer):
        asyncio.run(run(network, chains, newcomer))


# Serving -----------------------------------------------------------------------------------------


def test_the_same_heights_are_held_by_all_and_do_not_move(original, tmp_path):
    copy = copy_of(original, tmp_path / "copy")
    server = SnapshotServer(copy.chain, pin_blocks=4)
    first = copy.chain.head
    assert [offer.header for offer in server.offers().offers] == [first]
    chunks = [server.part(GetPart(first.hash, c, 0)).data for c in range(256)]
    while len(server.offers().offers) == 1:
        copy.transfer(value=1)
    second = server.offers().offers[1].header
    assert second.number % 4 == 0
    # What was made once may be kept; what is made now must be the same.
    server._cache.clear()
    assert [server.part(GetPart(first.hash, c, 0)).data for c in range(256)] == chunks
    for _ in range(4):
        copy.transfer(value=1)
    assert [offer.header.number for offer in server.offers().offers] == [
        second.number,
        second.number + 4,
    ]
    assert server.part(GetPart(first.hash, 0, 0)) == Gone(first.hash)
    server.close()
    assert server.offers().offers == ()
    copy.close()


def test_nothing_is_offered_at_genesis_and_the_head_as_soon_as_there_is_one(tmp_path):
    sealed = SealedChain(tmp_path / "chain")
    server = SnapshotServer(sealed.chain)
    assert server.offers().offers == ()
    sealed.transfer()
    assert [offer.header for offer in server.offers().offers] == [sealed.chain.head]
    server.close()
    assert server.offers().offers == ()
    sealed.close()


def test_who_asks_for_too_much_at_once_is_suspected(original, tmp_path, quick):
    async def run(copy):
        network = MemoryNetwork()
        peer = Peer(network, 1, copy.chain, tmp_path / "x")
        question = encode_snapshot_message(GetPart(copy.chain.head.hash, 0, 0))
        for _ in range(6):
            peer.service.on_frame(0, question)
        peer.service.on_frame(0, b"\xff")
        assert len(peer.links.suspicions) == 3
        peer.service.close()

    copy = copy_of(original, tmp_path / "copy")
    asyncio.run(run(copy))
    copy.close()


# The core ----------------------------------------------------------------------------------------


def offers_at(*heights):
    return tuple(Offer(replace(HEADER, number=height), SEAL) for height in heights)


def test_the_offer_of_most_peers_is_chosen_then_the_highest():
    assert best_offer({}, 1) is None
    assert best_offer({1: offers_at(5)}, 6) is None
    assert (
        best_offer({1: offers_at(5, 9), 2: offers_at(5), 3: offers_at(12)}, 5)[1] == offers_at(5)[0]
    )
    assert best_offer({1: offers_at(5, 9), 3: offers_at(12)}, 5) == (3, offers_at(12)[0])


def test_items_that_lie(original, tmp_path):
    """Each kind of item, bent in each way, costs the sender its place, and nothing is taken."""
    copy = copy_of(original, tmp_path / "copy")
    server = SnapshotServer(copy.chain)
    (offer,) = server.offers().offers
    genesis = snapshot_service.HandOver.from_bytes(copy.store.hand_overs()[0][1])
    epochs = server.part(GetPart(offer.digest, EPOCHS, 0)).data
    steps = [data for _, data in copy.store.hand_overs()]
    first, _ = decode_chunk(server.part(GetPart(offer.digest, 0, 0)).data)
    lies = {
        EPOCHS: [
            encode_epochs(steps[:2]),
            encode_epochs(steps[1:]),
            encode_epochs([*steps, steps[0]]),
            encode_epochs([steps[0], steps[2]]),
            encode_epochs([]),
            epochs[:-1],
        ],
        BODY: [copy.store.body(3), b"\x90"],
        RECEIPTS: [copy.store.receipts(1), b"\x90", b"\xc0"],
        0: [encode_chunk(first, [(b"new", b"value")]), b"\x90", b"\x92\x00\x90"],
    }
    for item, datas in lies.items():
        for data in datas:
            download = SnapshotDownload(offer, 7, genesis)
            if item != EPOCHS:
                download.tick(0)
                download.on_part(7, Part(offer.digest, EPOCHS, 0, len(epochs), epochs), 0)
                assert download.is_proven
            download.add_peer(8)
            assert any(isinstance(each, Ask) for each in download.tick(0))
            wanted = download.missing
            transfers = download._transfers
            if item not in transfers:
                transfers[item] = type(next(iter(transfers.values())))(7, 0)
            by = transfers[item].peer
            (blame,) = download.on_part(by, Part(offer.digest, item, 0, len(data), data), 0)
            assert isinstance(blame, Blame)
            assert blame.peer == by
            assert by not in download.peers
            assert download.missing == wanted
    server.close()
    copy.close()


def test_parts_that_do_not_fit_are_not_put_together(original):
    (genesis, *_) = original.chain.epochs()
    download = SnapshotDownload(Offer(original.chain.head, original.chain.seal(1)), 1, genesis)
    (ask,) = download.tick(0)
    assert ask.message.item == EPOCHS
    digest = download.offer.digest
    assert download.on_part(2, Part(digest, EPOCHS, 0, 5, b"hello"), 0) == []  # Not asked.
    assert download.on_part(1, Part(HASH, EPOCHS, 0, 5, b"hello"), 0) == []
    whole = bytes(PART_BYTES)
    (more,) = download.on_part(1, Part(digest, EPOCHS, 0, PART_BYTES + 5, whole), 1)
    assert more.message.offset == PART_BYTES
    assert download.on_part(1, Part(digest, EPOCHS, PART_BYTES, PART_BYTES + 6, b"123456"), 1) == []
    (again,) = download.tick(2)
    assert (again.message.item, again.message.offset) == (EPOCHS, 0)
    assert download.tick(3) == []
    (late,) = download.tick(10_000)
    assert late.peer == 1


def test_what_is_on_its_way_is_bounded(original, tmp_path):
    copy = copy_of(original, tmp_path / "copy")
    server = SnapshotServer(copy.chain)
    (offer,) = server.offers().offers
    genesis = snapshot_service.HandOver.from_bytes(copy.store.hand_overs()[0][1])
    download = SnapshotDownload(offer, 0, genesis)
    epochs = server.part(GetPart(offer.digest, EPOCHS, 0)).data
    download.tick(0)
    download.on_part(0, Part(offer.digest, EPOCHS, 0, len(epochs), epochs), 0)
    for peer in range(1, 100):
        download.add_peer(peer)
    asked = download.tick(0)
    assert len(asked) == 16
    assert len({ask.peer for ask in asked}) == 16
    assert download.tick(1) == []
    first = asked[0]
    data = server.part(first.message).data
    (fetched,) = download.on_part(
        first.peer, Part(offer.digest, first.message.item, 0, len(data), data), 2
    )
    assert fetched.number == first.message.item
    assert len(download.tick(3)) == 1
    server.close()
    copy.close()


# The database in the making ----------------------------------------------------------------------


def test_what_does_not_add_up_is_no_chain(original, tmp_path):
    into = StoreImport.open(tmp_path / "x", HASH)
    tree = SparseMerkleTree({})
    for chunk in range(256):
        into.put_chunk(chunk, [], verify_chunk(tree.root, chunk, [], prove_chunk(tree, chunk)))
    with pytest.raises(CorruptStore, match="does not add up"):
        into.finish(None, original.chain.head.state_root, original.genesis.hash)
    into.close()
    again = StoreImport.open(tmp_path / "x", HASH)
    assert len(again.tops) == 256
    again.close()
    other = StoreImport.open(tmp_path / "x", bytes(32))
    assert not other.tops
    other.close()


def test_a_chain_is_not_begun_twice(original, tmp_path):
    copy = copy_of(original, tmp_path / "copy")
    with pytest.raises(StorageError, match="holds a chain already"):
        copy.store.write_base(None, None, ())
    copy.close()


def test_swapping_twice(tmp_path):
    for content in ("one", "two"):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / content).touch()
        swap(tmp_path / "new", tmp_path / "chain")
        assert [path.name for path in (tmp_path / "chain").iterdir()] == [content]
    assert [path.name for path in tmp_path.iterdir()] == ["chain"]


# The wire ----------------------------------------------------------------------------------------

digests = st.binary(min_size=32, max_size=32)
items = st.integers(0, ITEM_LIMIT - 1)
messages = st.one_of(
    st.just(AskOffers()),
    st.builds(Gone, digests),
    st.builds(GetPart, digests, items, st.integers(0, 2**23)),
    st.builds(
        lambda snapshot, item, data: Part(snapshot, item, 0, len(data), data),
        digests,
        items,
        st.binary(min_size=1, max_size=50),
    ),
)


@given(messages)
def test_messages_round_trip(message):
    assert decode_snapshot_message(encode_snapshot_message(message)) == message


def test_offers_round_trip():
    for offers in ((), offers_at(3), offers_at(3, 9)):
        assert decode_snapshot_message(encode_snapshot_message(Offers(offers))) == Offers(offers)
    for wrong in (offers_at(9, 3), offers_at(3, 3), offers_at(0), offers_at(1, 2, 3, 4, 5)):
        with pytest.raises(DecodeError):
            decode_snapshot_message(encode_snapshot_message(Offers(wrong)))


@given(st.binary(max_size=80) | messages.map(encode_snapshot_message).map(lambda b: b[:-1] + b"\0"))
def test_what_is_read_is_written_the_same(data):
    try:
        message = decode_snapshot_message(data)
    except DecodeError:
        return
    assert encode_snapshot_message(message) == data


@given(st.binary(max_size=200))
def test_chunks_are_read_as_they_are_written(data):
    try:
        proof, entries = decode_chunk(data)
    except DecodeError:
        return
    assert encode_chunk(proof, entries) == data


def test_parts_of_an_item():
    data = bytes(PART_BYTES) + b"rest"
    assert part_of(data, HASH, 3, 0).data == bytes(PART_BYTES)
    assert part_of(data, HASH, 3, PART_BYTES).data == b"rest"
    assert part_of(data, HASH, 3, 2 * PART_BYTES) is None
    assert part_of(data, HASH, 3, 5) is None
