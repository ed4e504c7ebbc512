"""Failures 11 to 23 of other systems that concern the primitives, tried on ours, and refused.

As `test_privacy_rules`, which says what is left out.
"""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import (
    bulletproofs_plus,
    clsag,
    curve,
    linear_proof,
    member_ring,
    opening_proof,
    product_proof,
)
from crypto.bulletproofs_plus import RangeStatement
from crypto.bulletproofs_plus_prover import prove_values
from crypto.clsag import ClsagSignature
from crypto.errors import (
    ClsagError,
    DecodeError,
    InvalidPoint,
    InvalidProof,
    InvalidScalar,
    LinearProofError,
    MemberRingError,
    RangeProofError,
)
from crypto.hashing import keccak256
from crypto.opening_proof import OpeningStatement
from crypto.pedersen import MONEY, Opening, commit, is_balanced, value_generator
from crypto.product_proof import ProductStatement, ProductWitness
from crypto.transcript import challenge, encode_fields, hedged_scalars
from node.metrics import Metrics
from tests.crypto.privacy import SeededRng, clsag_case, opening, scalar
from tests.crypto.rule_cases import AUCTION, KWH, call_case, change, range_case

pytestmark = pytest.mark.usefixtures("backend")


def number(n):
    return (n % curve.L).to_bytes(32, "little")


def test_11_a_commitment_cannot_be_copied_into_another_auction():
    """Who copies another's commitment with its proofs fails wherever the context is its own."""
    other = keccak256(b"auction 2")
    statement, openings = range_case()
    proof = bulletproofs_plus.prove(statement, openings)
    with pytest.raises(RangeProofError):
        bulletproofs_plus.verify(change(statement, context=other), proof)
    with pytest.raises(RangeProofError):
        bulletproofs_plus.verify(change(statement, context=b""), proof)
    bid = OpeningStatement(commitment=statement.commitments[0], context=AUCTION, asset=KWH)
    knows = opening_proof.prove_opening(bid, openings[0])
    opening_proof.verify(bid, knows)
    with pytest.raises(LinearProofError):
        opening_proof.verify(change(bid, context=other), knows)


def test_12_a_proof_for_another_number_of_outputs_is_refused():
    statement, openings = range_case()
    proof = bulletproofs_plus.prove(statement, openings)
    extra = commit(opening("third", 1), KWH)
    for commitments in (statement.commitments[:1], (*statement.commitments, extra)):
        with pytest.raises(RangeProofError):
            bulletproofs_plus.verify(change(statement, commitments=commitments), proof)
    for count in (0, 17):
        with pytest.raises(DecodeError, match="must be 1 to 16"):
            RangeStatement(commitments=(extra,) * count)


@pytest.mark.parametrize("rounds", [0, 5, 6, 8, 11])
def test_12_the_number_of_rounds_is_exact(rounds):
    statement, openings = range_case()
    proof = bulletproofs_plus.prove(statement, openings)
    with pytest.raises((RangeProofError, DecodeError)):
        bulletproofs_plus.verify(
            statement, change(proof, L=(proof.L * 2)[:rounds], R=(proof.R * 2)[:rounds])
        )


def test_12_the_proof_carries_no_commitments_of_its_own():
    """V is computed from the outputs: there is no second copy that could differ from them."""
    assert {"V", "commitments"}.isdisjoint(bulletproofs_plus.RangeProof.__slots__)


@pytest.mark.parametrize("forged", [-1, 2**64, 2**255], ids=("-1", "2^64", "2^255"))
def test_13_an_amount_out_of_range_has_no_proof(forged):
    """The sums balance, and would mint; no prover gets it past the range proof."""
    masks = scalar("m1"), scalar("m2")
    balancing = curve.msm_vartime(masks[0] + number(10 - forged), curve.G + curve.H)
    minted = curve.msm_vartime(masks[1] + number(forged), curve.G + curve.H)
    source = commit(Opening(mask=curve.sc_add(*masks), amount=10))
    assert is_balanced([source], [balancing, minted])
    low = [Opening(mask=mask, amount=forged % 2**64) for mask in masks]
    statement = RangeStatement(commitments=(balancing, minted))
    with pytest.raises(RangeProofError):
        bulletproofs_plus.prove(statement, low)
    proof = prove_values(statement, low, rng=SeededRng(b"13"))
    with pytest.raises(RangeProofError):
        bulletproofs_plus.verify(statement, proof)


@pytest.mark.parametrize("amount", [-1, 2**64])
def test_13_nor_can_it_be_said(amount):
    with pytest.raises(DecodeError):
        Opening(mask=curve.ONE, amount=amount)
    with pytest.raises(InvalidScalar):
        curve.commit(curve.ONE, amount)
    with pytest.raises(DecodeError):
        is_balanced([], [], fee=amount)


def test_13_a_product_that_wraps_is_no_product():
    """-1 times -1 is 1 modulo the group's order; as a price of -1 it would be paid to the buyer."""
    masks = [scalar(name) for name in "xyz"]
    X, Y = (curve.sub(curve.base_mul(mask), curve.H) for mask in masks[:2])
    Z = commit(Opening(mask=masks[2], amount=1))
    statement = ProductStatement(price=X, quantity=Y, payment=Z, context=AUCTION)
    # The relation itself holds, so only the range proof can refuse it.
    minus = number(-1)
    w_4 = curve.sc_sub(masks[2], curve.sc_mul(masks[0], minus))
    product = linear_proof.prove(statement.relation, (minus, masks[0], minus, masks[1], w_4))
    product_proof.verify(statement, product)
    lies = [Opening(mask=mask, amount=1) for mask in masks]
    witness = ProductWitness(price=lies[0], quantity=lies[1], payment=lies[2])
    with pytest.raises(InvalidProof):
        product_proof.prove_payment(statement, witness)
    ranges = prove_values(statement.ranges, lies, rng=SeededRng(b"13"))
    proof = product_proof.PaymentProof(product=product, ranges=ranges)
    with pytest.raises(InvalidProof):
        product_proof.verify_payment(statement, proof)


def test_14_two_bad_proofs_do_not_cancel_out():
    """They do under weights that their maker foresaw: so weights come last, and at random."""
    statement, openings = range_case(MONEY, b"")
    proof = bulletproofs_plus.prove(statement, openings)
    up = change(proof, d1=curve.sc_add(proof.d1, curve.ONE))
    down = change(proof, d1=curve.sc_sub(proof.d1, curve.ONE))
    instances = [
        curve.BppInstance(
            commitments=b"".join(statement.commitments),
            A=bad.A,
            A1=bad.A1,
            B=bad.B,
            r1=bad.r1,
            s1=bad.s1,
            d1=bad.d1,
            L=b"".join(bad.L),
            R=b"".join(bad.R),
        )
        for bad in (up, down)
    ]
    assert curve.bpp_verify_batch(instances, curve.ONE * 2)
    assert not curve.bpp_verify_batch(instances, scalar("w1") + scalar("w2"))
    with pytest.raises(RangeProofError):
        bulletproofs_plus.verify_batch([(statement, up), (statement, down)])
    assert bulletproofs_plus.verify_many([(statement, up), (statement, proof)]) == [False, True]


def test_14_no_weight_is_zero():
    statement, openings = range_case()
    proof = bulletproofs_plus.prove(statement, openings)
    seen = []

    def zero_first(count):
        seen.append(count)
        return bytes(count) if len(seen) == 1 else SeededRng(b"14")(count)

    bulletproofs_plus.verify_batch([(statement, proof)], rng=zero_first)
    assert len(seen) == 2
    with pytest.raises(InvalidScalar):
        curve.bpp_verify_batch([], curve.ZERO)


def test_15_each_use_has_a_hash_of_its_own():
    data = keccak256(b"data")
    U = {curve.hash_to_point_unbiased(person, data) for person in (b"one", b"two", b"one ")}
    assert len(U | {curve.hash_to_point(data)}) == 4
    assert challenge(b"a", b"bc") != challenge(b"ab", b"c") != challenge(b"a", b"b", b"c")
    statement, _ = call_case()
    scope = member_ring.scope_base(statement.snapshot, statement.scope)
    assert scope not in {curve.G, curve.H, value_generator(KWH)}


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_15_no_two_lists_of_fields_share_their_bytes(left, right):
    assert (encode_fields(*left) == encode_fields(*right)) == (left == right)


def test_16_a_dead_random_source_repeats_no_nonce():
    """Two signatures with one nonce give the key away; predictable decoys tell who signed."""
    dead = bytes
    first, witness = clsag_case(3, 1)
    second = change(first, message=keccak256(b"another"))
    left, right = (clsag.sign(each, witness, rng=dead) for each in (first, second))
    assert all(a != b for a, b in zip(left.s, right.s, strict=True))
    statement = OpeningStatement(commitment=commit(opening("o", 1)), context=AUCTION)
    other = change(statement, context=keccak256(b"auction 2"))
    proofs = [
        opening_proof.prove_opening(each, opening("o", 1), rng=dead) for each in (statement, other)
    ]
    assert proofs[0].announcements != proofs[1].announcements
    call, member = call_case()
    again = change(call, message=keccak256(b"another"))
    calls = [member_ring.sign(each, member, rng=dead) for each in (call, again)]
    assert all(a != b for a, b in zip(calls[0].s, calls[1].s, strict=True))


def test_16_a_live_one_makes_each_proof_anew():
    statement, witness = clsag_case(3, 1)
    assert clsag.sign(statement, witness) != clsag.sign(statement, witness)


@pytest.mark.parametrize("given_bytes", [0, 32, 63, 65])
def test_16_too_little_randomness_is_an_error(given_bytes):
    with pytest.raises(ValueError, match="rng must give 64 bytes"):
        hedged_scalars(b"t", secrets=b"", message=b"", count=1, rng=lambda _: bytes(given_bytes))


def spy(monkeypatch):
    """Count each call of the curve, and keep what goes into what takes variable time."""
    calls, seen = [], []

    def watched(name, function):
        def call(*args, **named):
            calls.append(name)
            if name.endswith("_vartime"):
                seen.append(args[0])
            return function(*args, **named)

        return call

    for name, function in vars(curve).items():
        if isinstance(function, types.FunctionType) and not name.startswith("_"):
            monkeypatch.setattr(curve, name, watched(name, function))
    return calls, seen


def test_17_a_signature_takes_the_same_steps_wherever_the_signer_stands(monkeypatch):
    cases = [clsag_case(5, index) for index in range(5)]
    call, _ = call_case()
    members = [member_ring.MemberSecret(index=i, secret=scalar(f"member {i}")) for i in range(3)]
    calls, seen = spy(monkeypatch)
    walks, secrets = [], set()
    for statement, witness in cases:
        clsag.sign(statement, witness, rng=SeededRng(b"17"))
        walks.append(tuple(sorted(calls)))
        calls.clear()
        secrets |= {witness.secret, witness.mask_difference}
    assert len(set(walks)) == 1
    walks.clear()
    for member in members:
        member_ring.sign(call, member, rng=SeededRng(b"17"))
        walks.append(tuple(sorted(calls)))
        calls.clear()
        secrets.add(member.secret)
    assert len(set(walks)) == 1
    passed = {packed[at : at + 32] for packed in seen for at in range(0, len(packed), 32)}
    assert secrets.isdisjoint(passed)


def test_18_an_accepted_signature_is_judged_anew_with_another_ring():
    """A verdict that were kept by the transaction alone would hold for rings that it never saw."""
    statement, witness = clsag_case(3, 1)
    signature = clsag.sign(statement, witness)
    clsag.verify(statement, signature)
    ring = statement.ring
    swapped = curve.prepare_ring(ring.keys[32:] + ring.keys[:32], ring.commitments)
    with pytest.raises(ClsagError):
        clsag.verify(change(statement, ring=swapped), signature)
    clsag.verify(statement, signature)


def test_19_nothing_of_a_member_is_the_same_in_two_networks():
    networks = [keccak256(name) for name in (b"main", b"fork")]
    calls = [call_case(network) for network in networks]
    tags = {member_ring.tag_of(w.secret, s.snapshot, s.scope) for s, w in calls}
    assert len(tags) == 2
    secret = scalar("member 1")
    key = curve.base_mul(secret)
    proof = member_ring.prove_possession(secret, network=networks[0], member=b"m")
    member_ring.verify_possession(key, proof, network=networks[0], member=b"m")
    for network, member in ((networks[1], b"m"), (networks[0], b"n")):
        with pytest.raises(LinearProofError):
            member_ring.verify_possession(key, proof, network=network, member=member)


def test_21_a_member_stands_in_the_ring_once():
    """Doubled members would make the ring smaller than it looks. Of inputs, see test_monero."""
    statement, _ = call_case()
    keys = statement.snapshot.keys
    with pytest.raises(DecodeError, match="must be distinct"):
        change(statement.snapshot, keys=(*keys, keys[0]))


def test_22_zero_is_refused_wherever_it_opens_a_proof():
    statement, witness = clsag_case(2, 0)
    signature = clsag.sign(statement, witness)
    for name in ("secret", "mask_difference"):
        with pytest.raises(DecodeError, match="must not be zero"):
            change(witness, **{name: curve.ZERO})
    for tampered in (
        change(signature, c1=curve.ZERO),
        change(signature, D=curve.IDENTITY),
        change(signature, D=bytes(32)),  # Of order 4: eight times it is the identity.
    ):
        with pytest.raises(ClsagError):
            clsag.verify(statement, tampered)


def test_22_a_ring_of_known_openings_cannot_be_closed_with_zeros():
    """With c = 0, x = 0 and D = identity the equations say nothing; each is refused by itself."""
    statement, _ = clsag_case(1, 0)
    free = change(statement, key_image=curve.IDENTITY)
    nothing = ClsagSignature(s=(scalar("s"),), c1=curve.ZERO, D=curve.IDENTITY)
    with pytest.raises(ClsagError):
        clsag.verify(free, nothing)
    call, _ = call_case()
    with pytest.raises(InvalidPoint):
        member_ring.CallSignature(tag=curve.IDENTITY, c0=curve.ONE, s=(curve.ONE,) * 3)
    signature = member_ring.CallSignature(
        tag=curve.base_mul(scalar("tag")), c0=curve.ZERO, s=(curve.ONE,) * 3
    )
    with pytest.raises(MemberRingError):
        member_ring.verify(call, signature)
    with pytest.raises(LinearProofError):
        member_ring.prove_possession(curve.ZERO, network=bytes(32), member=b"m")


def test_22_the_map_has_a_zero_whose_multiple_is_the_identity():
    """r = 0 maps to (0, -1), of order 2: what hashes to it must not become a key image's base."""
    assert curve.mul8(curve.map_to_point(bytes(32))) == curve.IDENTITY


def test_23_the_node_says_which_backend_it_has(backend):
    assert f'curve_backend{{backend="{backend}"}} 1.0' in Metrics().render().decode()


def test_an_asset_cannot_become_another():
    """Haven, 2021: conversions that a forgotten check let through. Here the sums cannot balance."""
    coins, energy = opening("in", 5), opening("in", 5)
    paid = commit(coins, MONEY)
    assert is_balanced([paid], [commit(energy, MONEY)])
    assert not is_balanced([paid], [commit(energy, KWH)])
    assert not is_balanced([paid], [commit(energy, KWH)], asset=KWH)
    statement, openings = range_case(KWH)
    proof = bulletproofs_plus.prove(statement, openings)
    with pytest.raises(RangeProofError):
        bulletproofs_plus.verify(change(statement, asset=MONEY), proof)
