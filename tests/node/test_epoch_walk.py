"""A chain of many epochs is followed in pieces: each bounded, each verified when it comes."""

import asyncio
from dataclasses import replace

import pytest

from consensus.certificates import Seal
from consensus.quorum import Quorum
from crypto.errors import InvalidProof
from crypto.hashing import tagged_hash
from node import epoch_walk, snapshot_server, snapshot_wire
from node.backup import ServerSource
from node.epoch_walk import EPOCHS_PER_PIECE, EpochWalk, UnsealedBlock
from node.hand_over import HandOver
from node.snapshot_download import Ask, Blame, SnapshotDownload
from node.snapshot_server import SnapshotServer
from node.snapshot_wire import EPOCHS, PART_BYTES, GetPart, Part, encode_epochs, epochs_item
from node.storage.store_import import StoreImport
from tests.node.light_rig import SealedChain
from tests.node.test_snapshot import HEADER, adopt, joined, quick, street
from vm.members import MEMBERS_MAX, MemberSet

__all__ = ["quick"]
SETS = ((0, 1, 2, 3), (0, 1, 2, 3, 4))


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A chain of 130 epochs with a block of each; two pieces and two hand-overs more."""
    sealed = SealedChain(tmp_path_factory.mktemp("long") / "chain")
    for i in range(2 * EPOCHS_PER_PIECE + 1):
        sealed.change_members(*SETS[(i + 1) % 2])
    sealed.transfer()
    yield sealed
    sealed.close()


@pytest.fixture
def small_pieces(monkeypatch):
    for module in (epoch_walk, snapshot_server, snapshot_wire):
        monkeypatch.setattr(module, "EPOCHS_PER_PIECE", 2)


def pieces_of(steps, size=EPOCHS_PER_PIECE):
    return [list(steps[at : at + size]) for at in range(0, len(steps), size)]


def walk_to(chain):
    head = chain.head
    return EpochWalk(chain.epochs()[0], head, chain.seal(head.number))


def test_a_newcomer_joins_a_chain_of_many_epochs_from_several_peers(long, tmp_path, quick):
    """One list of all of them did not fit into an item any more, and nobody could join."""
    with street(long, tmp_path) as (network, chains, newcomer):
        me, _ = asyncio.run(joined(tmp_path, network, chains, newcomer))
        fresh = adopt(tmp_path, newcomer, me)
        assert fresh.chain.head == long.chain.head
        assert fresh.store.hand_overs() == long.store.hand_overs()
        assert len(fresh.store.hand_overs()) == 2 * EPOCHS_PER_PIECE + 2
        assert fresh.chain.epochs() == long.chain.epochs()
        fresh.close()


@pytest.mark.parametrize("epochs", range(1, 8))
def test_whatever_their_number_the_pieces_lead_to_the_block(tmp_path, small_pieces, epochs):
    """Also to the block that itself changes the members, at the end of a piece or the begin."""
    sealed = SealedChain(tmp_path / "chain")
    for i in range(epochs):
        sealed.change_members(*SETS[(i + 1) % 2])
        if i % 2 and i + 1 < epochs:
            sealed.transfer()
    server = SnapshotServer(sealed.chain)
    source = ServerSource(server)
    (offer,) = server.offers().offers
    download = SnapshotDownload(offer, 0, sealed.chain.epochs()[0])
    into = StoreImport.open(tmp_path / "x", offer.digest)
    items = []
    for item in download.in_order():
        items.append(item)
        download.take(item, asyncio.run(source.item(offer, item)))
    pieces = (epochs + 1 + 1) // 2
    assert items[:pieces] == [epochs_item(i) for i in range(pieces)]
    assert download.is_complete
    assert download.taken == len(items) == len(set(items))
    assert [data for _, _, data in download.epochs.rows] == [
        data for _, data in sealed.store.hand_overs()
    ]
    assert server.part(GetPart(offer.digest, epochs_item(pieces), 0)) is None
    into.close()
    server.close()
    sealed.close()


def test_a_piece_that_does_not_lead_on_is_not_taken(long):
    chain = long.chain
    first, second, third = pieces_of(chain.epochs())
    other = replace(third[-1].seal, signatures=second[0].seal.signatures)
    forged = replace(third[-1], seal=other)
    walk = walk_to(chain)
    for lie in ([], second, first[1:], first[:-1], [*first, second[0]], [*first[:-1], first[0]]):
        with pytest.raises(InvalidProof):
            walk.take(lie)
    walk.take(first)
    for lie in ([], first, third, second[:-1], [*second[1:], third[0]]):
        with pytest.raises(InvalidProof):
            walk.take(lie)
    walk.take(second)
    for lie in (third[:1], [third[0], forged], second):
        with pytest.raises(InvalidProof):
            walk.take(lie)
    assert (walk.pieces, walk.is_complete) == (2, False)
    walk.take(third)
    assert walk.is_complete
    assert [data for _, _, data in walk.rows] == [data for _, data in long.store.hand_overs()]
    with pytest.raises(InvalidProof):
        walk.take(third)


def test_the_seal_of_the_block_is_verified_at_the_end_of_the_way(long):
    chain, head = long.chain, long.chain.head
    walk = EpochWalk(chain.epochs()[0], head, chain.seal(head.number - 1))
    first, second, third = pieces_of(chain.epochs())
    walk.take(first)
    walk.take(second)
    with pytest.raises(UnsealedBlock):
        walk.take(third)
    assert not walk.is_complete


def test_a_liar_in_the_middle_costs_itself_its_place_and_another_goes_on(long):
    server = SnapshotServer(long.chain)
    (offer,) = server.offers().offers
    download = SnapshotDownload(offer, 1, long.chain.epochs()[0])
    download.add_peer(2)
    now = 0

    def asked():
        (ask,) = download.tick(now)
        assert isinstance(ask, Ask)
        return ask

    def answer(ask, data):
        item = ask.message.item
        return download.on_part(ask.peer, Part(offer.digest, item, 0, len(data), data), now)

    ask = asked()
    assert ask.message.item == EPOCHS
    whole = server.part(ask.message).data
    assert answer(ask, whole) == []
    assert not download.is_proven
    liar = asked()
    assert liar.message.item == epochs_item(1)
    (blame,) = answer(liar, whole)
    assert isinstance(blame, Blame)
    assert download.peers == tuple({1, 2} - {liar.peer})
    for piece in (1, 2):
        ask = asked()
        assert ask.message.item == epochs_item(piece)
        assert download.taken == piece, "each counts as progress"
        assert answer(ask, server.part(ask.message).data) == []
    assert download.is_proven
    assert len(download.tick(now)) > 0
    server.close()


def test_a_piece_travels_as_one_part_in_the_largest_community():
    step = hand_over_of(MEMBERS_MAX)
    assert len(encode_epochs([step] * EPOCHS_PER_PIECE)) <= PART_BYTES
    assert len(hand_over_of(31)) < 2_800


def hand_over_of(n):
    """As many bytes as the hand-over of a community of n has at most."""
    keys = tuple(sorted(tagged_hash(b"test/key", bytes((i,))) for i in range(n)))
    members = MemberSet(2**40, 2**50, 2**50, 16, keys)
    signatures = tuple((i, bytes(64)) for i in range(Quorum(n).certificate))
    header = replace(HEADER, number=2**50 - 1, next_members_hash=members.hash())
    return HandOver(header, Seal(view=2**40, signatures=signatures), members).to_bytes()
