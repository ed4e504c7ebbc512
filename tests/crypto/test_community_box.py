"""A dealt key: every holder opens its box, a bad box is proved, a good dealer is never blamed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import community_box as boxes
from crypto import curve
from crypto.errors import DecodeError, InvalidPoint, InvalidScalar, LinearProofError
from crypto.keys import NodeKey

SEEDS = st.integers(0, 2**32)
DEALER = b"d" * 20
ORDER_2 = (2**255 - 20).to_bytes(32, "little")
"""(0, -1): the point of order 2."""


def setup(seed, n=4, epoch=3):
    rng = random.Random(seed)
    context = boxes.deal_context(rng.randbytes(32), epoch)
    holders = [NodeKey(rng.randbytes(32)) for _ in range(n)]
    key = rng.randbytes(32)
    publics = [each.public for each in holders]
    dealt = boxes.deal(context, DEALER, key, publics, rng=rng.randbytes)
    return (
        rng,
        context,
        holders,
        key,
        dealt[:32],
        [dealt[at : at + 32] for at in range(32, 32 * (n + 1), 32)],
    )


@given(SEEDS, st.integers(1, 6))
def test_every_holder_opens_its_box_and_no_other(seed, n):
    rng, context, holders, key, ephemeral, dealt = setup(seed, n)
    for holder, box in zip(holders, dealt, strict=True):
        assert boxes.open_box(context, holder, ephemeral, box) == key
        stranger = NodeKey(rng.randbytes(32))
        assert boxes.open_box(context, stranger, ephemeral, box) != key


@given(SEEDS)
def test_what_a_holder_shows_opens_its_box_for_all(seed):
    rng, context, holders, key, ephemeral, dealt = setup(seed)
    shared, proof = boxes.prove_shared(context, holders[1], ephemeral, rng=rng.randbytes)
    boxes.verify_shared(context, holders[1].public, ephemeral, shared, proof)
    public = holders[1].public
    assert boxes.open_shared(context, public, ephemeral, dealt[1], shared) == key
    assert len(proof) == boxes.PROOF_BYTES


@given(SEEDS, st.data())
def test_nothing_else_than_the_holders_own_point_is_proved(seed, data):
    rng, context, holders, _, ephemeral, _ = setup(seed)
    shared, proof = boxes.prove_shared(context, holders[1], ephemeral, rng=rng.randbytes)
    other, _ = boxes.prove_shared(context, holders[2], ephemeral, rng=rng.randbytes)
    elsewhere = boxes.deal_context(bytes(32), 4)
    flipped = bytearray(proof)
    flipped[data.draw(st.integers(0, 95))] ^= data.draw(st.integers(1, 255))
    for arguments in (
        (context, holders[2].public, ephemeral, shared, proof),
        (context, holders[1].public, ephemeral, other, proof),
        (context, holders[1].public, curve.G, shared, proof),
        (elsewhere, holders[1].public, ephemeral, shared, proof),
        (context, holders[1].public, ephemeral, shared, bytes(flipped)),
        (context, holders[1].public, ephemeral, shared, proof[:-1]),
    ):
        with pytest.raises((LinearProofError, DecodeError, InvalidPoint, InvalidScalar)):
            boxes.verify_shared(*arguments)


@given(SEEDS, st.data())
def test_only_who_made_the_ephemeral_key_deals_with_it(seed, data):
    rng = random.Random(seed)
    context = boxes.deal_context(rng.randbytes(32), 3)
    dealt = boxes.deal(context, DEALER, rng.randbytes(32), [], rng=rng.randbytes)
    ephemeral, proof = dealt[:32], dealt[32:]
    assert len(proof) == boxes.DEALER_PROOF_BYTES
    boxes.verify_dealer(context, DEALER, ephemeral, proof)
    other = boxes.deal(context, DEALER, rng.randbytes(32), [], rng=rng.randbytes)
    flipped = bytearray(proof)
    flipped[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(1, 255))
    for arguments in (
        (context, b"e" * 20, ephemeral, proof),
        (boxes.deal_context(bytes(32), 3), DEALER, ephemeral, proof),
        (context, DEALER, other[:32], proof),
        (context, DEALER, curve.IDENTITY, proof),
        (context, DEALER, curve.add(ephemeral, ORDER_2), proof),
        (context, DEALER, ephemeral, bytes(flipped)),
        (context, DEALER, ephemeral, proof[:-1]),
        (context, DEALER, ephemeral, proof + b"\0"),
    ):
        with pytest.raises((LinearProofError, DecodeError, InvalidPoint, InvalidScalar)):
            boxes.verify_dealer(*arguments)


@pytest.mark.parametrize("small", [curve.IDENTITY, ORDER_2])
def test_points_of_small_order_prove_nothing(small):
    rng, context, holders, _, ephemeral, _ = setup(1)
    public = holders[1].public
    shared, proof = boxes.prove_shared(context, holders[1], ephemeral, rng=rng.randbytes)
    mixed = curve.add(shared, ORDER_2)
    for arguments in (
        (small, ephemeral, shared),
        (public, small, shared),
        (public, ephemeral, small),
        (public, ephemeral, mixed),
        (curve.add(public, ORDER_2), ephemeral, shared),
    ):
        with pytest.raises(InvalidPoint):
            boxes.verify_shared(context, *arguments, proof)


def test_a_key_with_a_part_of_small_order_gets_the_same_box():
    """Else its holder could show a point of prime order under which an honest box fails."""
    rng, context, holders, key, _, _ = setup(2)
    public = curve.add(holders[0].public, ORDER_2)
    dealt = boxes.deal(context, DEALER, key, [public], rng=rng.randbytes)
    shared, _ = boxes.prove_shared(context, holders[0], dealt[:32], rng=rng.randbytes)
    assert boxes.open_shared(context, public, dealt[:32], dealt[32:64], shared) == key


def test_the_hash_binds_key_chain_and_epoch():
    context = boxes.deal_context(b"\1" * 32, 1)
    hashes = {
        boxes.key_hash(context, bytes(32)),
        boxes.key_hash(context, b"\1" * 32),
        boxes.key_hash(boxes.deal_context(b"\1" * 32, 2), bytes(32)),
        boxes.key_hash(boxes.deal_context(b"\2" * 32, 1), bytes(32)),
    }
    assert len(hashes) == 4
    with pytest.raises(DecodeError):
        boxes.deal(context, DEALER, bytes(31), [])


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_box_of_another_length_is_refused_by_name(size):
    context = boxes.deal_context(bytes(32), 1)
    holder = NodeKey.from_seed(bytes(32))
    with pytest.raises(DecodeError, match="box: must be 32 bytes"):
        boxes.open_box(context, holder, curve.G, bytes(size))
