"""Whole Monero transactions: the main chain's, our own in its form, and any of them tampered with.

"A tampered transaction, ring, key image, commitment or proof is rejected in every single-bit
position that a property test draws, on both backends, single and batched."
"""

import dataclasses
import json
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto.errors import CryptoError, DecodeError, MoneroError
from crypto.monero import (
    check_form,
    verify_balance,
    verify_range_proof,
    verify_transaction,
    verify_transactions,
    verify_without_rings,
)
from crypto.monero_transaction import parse_transaction
from testnet.bench.private_transaction import make_bin, make_transaction, rings_of
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip


@lru_cache
def case(members, inputs, outputs):
    """A valid transaction and its rings. The same on both backends, which a test below shows."""
    rng = SeededRng(bytes((members, inputs, outputs)))
    bins = [make_bin(rng, members) for _ in range(inputs)]
    transaction = make_transaction(rng, bins, outputs)
    return transaction, rings_of(transaction, bins)


def rings_in(entry):
    return [
        curve.prepare_ring(
            b"".join(bytes.fromhex(member["key"]) for member in ring),
            b"".join(bytes.fromhex(member["commitment"]) for member in ring),
        )
        for ring in entry["rings"]
    ]


def is_accepted(transaction, rings):
    """The verdict: one and the same alone, and in a batch among good ones."""
    try:
        verify_transaction(transaction, rings)
        alone = True
    except MoneroError:
        alone = False
    good = case(2, 1, 2)
    batched = verify_transactions([good, (transaction, rings), good])
    assert batched == [True, alone, True]
    return alone


def swap(transaction, **changes):
    return dataclasses.replace(transaction, **changes)


# Accepted.


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 1, 2), (3, 2, 3), (2, 3, 5), (16, 2, 2)])
def test_our_own_transactions_of_any_shape(backend, shape):
    transaction, rings = case(*shape)
    assert parse_transaction(transaction.to_bytes()) == transaction
    assert is_accepted(transaction, rings)


def test_sixteen_outputs(backend):
    assert is_accepted(*case(2, 1, 16))


def test_the_main_chains(backend, vectors):
    entries = json.loads((vectors / "monero" / "transactions.json").read_text())
    assert {entry["valid"] for entry in entries} == {True, False}
    for entry in entries:
        transaction = parse_transaction(bytes.fromhex(entry["tx"]))
        assert is_accepted(transaction, rings_in(entry)) is entry["valid"]


def test_a_block_of_none(backend):
    assert verify_transactions([]) == []


def test_both_backends_make_the_same_bytes():
    made = set()
    for name in BACKENDS:
        with curve.using(name):
            rng = SeededRng(b"same")
            bins = [make_bin(rng, 3), make_bin(rng, 3)]
            made.add(make_transaction(rng, bins).to_bytes())
    assert len(made) == 1


# One bit.


@settings(max_examples=40)
@given(part=st.sampled_from(("prefix", "rct_base", "prunable")), bit=st.integers(0, 2**20))
def test_no_bit_of_a_transaction_can_be_turned(backend, part, bit):
    transaction, rings = case(2, 2, 2)
    parts = {name: getattr(transaction, name)() for name in ("prefix", "rct_base", "prunable")}
    parts[part] = flip(parts[part], bit)
    raw = b"".join(parts.values())
    assert raw != transaction.to_bytes()
    try:
        tampered = parse_transaction(raw)
    except DecodeError:
        return
    assert not is_accepted(tampered, rings)


@settings(max_examples=25)
@given(
    field=st.sampled_from(("key_image", "pseudo_out", "commitment", "key")), bit=st.integers(0, 255)
)
def test_no_bit_of_a_point_can_be_turned(backend, field, bit):
    transaction, rings = case(2, 2, 2)
    first_in, *inputs = transaction.inputs
    first_out, *outputs = transaction.outputs
    tampered = {
        "key_image": lambda: swap(
            transaction,
            inputs=(swap(first_in, key_image=flip(first_in.key_image, bit)), *inputs),
        ),
        "pseudo_out": lambda: swap(
            transaction,
            pseudo_outs=(flip(transaction.pseudo_outs[0], bit), *transaction.pseudo_outs[1:]),
        ),
        "commitment": lambda: swap(
            transaction,
            outputs=(swap(first_out, commitment=flip(first_out.commitment, bit)), *outputs),
        ),
        "key": lambda: swap(
            transaction, outputs=(swap(first_out, key=flip(first_out.key, bit)), *outputs)
        ),
    }[field]()
    assert tampered != transaction
    assert not is_accepted(tampered, rings)


@settings(max_examples=25)
@given(
    name=st.sampled_from(("A", "A1", "B", "r1", "s1", "d1", "L", "R")),
    bit=st.integers(0, 7 * 256 - 1),
)
def test_no_bit_of_a_range_proof_can_be_turned(backend, name, bit):
    """Also where the ring signatures, which sign the proof, are not looked at."""
    transaction, rings = case(2, 1, 2)
    fields = transaction.range_proof
    tampered = swap(
        transaction, range_proof=swap(fields, **{name: flip(getattr(fields, name), bit)})
    )
    with pytest.raises(MoneroError):
        verify_range_proof(tampered)
    assert not is_accepted(tampered, rings)


@settings(max_examples=25)
@given(name=st.sampled_from(("s", "c1", "D")), place=st.integers(0, 1), bit=st.integers(0, 511))
def test_no_bit_of_a_ring_signature_can_be_turned(backend, name, place, bit):
    transaction, rings = case(2, 2, 2)
    signatures = list(transaction.signatures)
    fields = signatures[place]
    signatures[place] = swap(fields, **{name: flip(getattr(fields, name), bit)})
    assert not is_accepted(swap(transaction, signatures=tuple(signatures)), rings)


@settings(max_examples=25)
@given(what=st.sampled_from(("keys", "commitments")), bit=st.integers(0, 511))
def test_no_bit_of_a_ring_can_be_turned(backend, what, bit):
    transaction, rings = case(2, 2, 2)
    members = {"keys": rings[0].keys, "commitments": rings[0].commitments}
    members[what] = flip(members[what], bit)
    try:
        ring = curve.prepare_ring(**members)
    except CryptoError:
        return
    assert not is_accepted(transaction, [ring, rings[1]])


# What must be refused in whichever place it stands.


def bad_points(vectors):
    entries = json.loads((vectors / "monero" / "rejected_points_and_scalars.json").read_text())
    yield from (bytes.fromhex(entry["point"]) for entry in entries["torsion_points"])
    # The others differ from these in the lowest bits only.
    yield from map(bytes.fromhex, entries["non_canonical_encodings_must_reject"][::6])
    mixed = entries["mixed_order_points_must_reject_as_key_image_or_commitment"]
    yield from (bytes.fromhex(entry["point"]) for entry in mixed)


def test_bad_points_are_refused_everywhere(backend, vectors):
    transaction, rings = case(2, 1, 2)
    (spent,), (first, second) = transaction.inputs, transaction.outputs
    fields, (signature,) = transaction.range_proof, transaction.signatures
    for point in bad_points(vectors):
        for tampered in (
            swap(transaction, inputs=(swap(spent, key_image=point),)),
            swap(transaction, pseudo_outs=(point,)),
            swap(transaction, outputs=(swap(first, key=point), second)),
            swap(transaction, outputs=(swap(first, commitment=point), second)),
            swap(transaction, range_proof=swap(fields, A=point)),
            swap(transaction, range_proof=swap(fields, L=point + fields.L[32:])),
            swap(transaction, signatures=(swap(signature, D=point),)),
        ):
            assert verify_transactions([(tampered, rings)]) == [False]
            with pytest.raises(MoneroError):
                verify_transaction(tampered, rings)


def test_points_beside_the_subgroup_are_refused_by_themselves(backend):
    """Before balance and signatures, which the maker of such a transaction could make fit."""
    transaction, _ = case(2, 1, 2)
    verify_without_rings(transaction)
    order_2 = b"\xec" + b"\xff" * 30 + b"\x7f"
    (spent,), (first, second) = transaction.inputs, transaction.outputs
    tampered = {
        "key_image": swap(
            transaction, inputs=(swap(spent, key_image=curve.add(spent.key_image, order_2)),)
        ),
        "pseudo_out": swap(
            transaction, pseudo_outs=(curve.add(transaction.pseudo_outs[0], order_2),)
        ),
        "output.key": swap(
            transaction, outputs=(first, swap(second, key=curve.add(second.key, order_2)))
        ),
        "output.commitment": swap(
            transaction,
            outputs=(swap(first, commitment=curve.add(first.commitment, order_2)), second),
        ),
    }
    for field, each in tampered.items():
        with pytest.raises(MoneroError, match=f"{field}: must be of prime order"):
            verify_without_rings(each)


def test_bad_scalars_are_refused_everywhere(backend, vectors):
    transaction, rings = case(2, 1, 2)
    fields, (signature,) = transaction.range_proof, transaction.signatures
    entries = json.loads((vectors / "monero" / "rejected_points_and_scalars.json").read_text())
    for scalar in map(bytes.fromhex, entries["scalars_must_reject"]):
        for tampered in (
            *(
                swap(transaction, range_proof=swap(fields, **{name: scalar}))
                for name in ("r1", "s1", "d1")
            ),
            swap(transaction, signatures=(swap(signature, c1=scalar),)),
            swap(transaction, signatures=(swap(signature, s=signature.s[:32] + scalar),)),
        ):
            assert not is_accepted(tampered, rings)


# Rules of the form, each broken alone. None needs the curve.


def with_input(transaction, **changes):
    first, *others = transaction.inputs
    return swap(transaction, inputs=(swap(first, **changes), *others))


@pytest.mark.parametrize("offsets", [(7, 1, 0), (7, 0, 1)])
def test_a_member_twice_in_a_ring(offsets):
    transaction, _ = case(3, 2, 2)
    with pytest.raises(MoneroError, match="must not name a member twice"):
        check_form(with_input(transaction, key_offsets=offsets))
    check_form(with_input(transaction, key_offsets=(0, 1, 1)))


def test_a_member_beyond_all_indexes():
    transaction, _ = case(3, 2, 2)
    check_form(with_input(transaction, key_offsets=(2**64 - 3, 1, 1)))
    with pytest.raises(MoneroError, match="must not name a member beyond 2"):
        check_form(with_input(transaction, key_offsets=(2**64 - 2, 1, 1)))


def test_an_empty_ring():
    transaction, _ = case(3, 2, 2)
    with pytest.raises(MoneroError, match="at least one member"):
        check_form(with_input(transaction, key_offsets=()))


def test_inputs_in_the_wrong_order_or_twice():
    transaction, _ = case(3, 2, 2)
    first, second = transaction.inputs
    check_form(transaction)
    for inputs in ((second, first), (first, first)):
        with pytest.raises(MoneroError, match="ordered by key image"):
            check_form(swap(transaction, inputs=inputs))


def test_no_input():
    transaction, _ = case(3, 2, 2)
    with pytest.raises(MoneroError, match="must spend at least one output"):
        check_form(swap(transaction, inputs=()))


@pytest.mark.parametrize("count", [0, 1, 17])
def test_too_few_or_too_many_outputs(count):
    transaction, _ = case(3, 2, 2)
    with pytest.raises(MoneroError, match="must have 2 to 16 outputs"):
        check_form(swap(transaction, outputs=transaction.outputs[:1] * count))


@pytest.mark.parametrize("rounds", [(6, 6), (8, 8), (7, 6), (6, 7), (0, 0)])
def test_a_range_proof_of_another_number_of_outputs(rounds):
    transaction, _ = case(3, 2, 2)
    fields = transaction.range_proof
    proof = swap(fields, L=(fields.L * 2)[: 32 * rounds[0]], R=(fields.R * 2)[: 32 * rounds[1]])
    with pytest.raises(MoneroError, match="of 2 outputs must have 7 rounds"):
        check_form(swap(transaction, range_proof=proof))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_fee_that_does_not_balance(backend, change):
    transaction, rings = case(2, 1, 2)
    tampered = swap(transaction, fee=transaction.fee + change)
    with pytest.raises(MoneroError, match="do not balance"):
        verify_balance(tampered)
    assert not is_accepted(tampered, rings)


SIGNED_WRONG = {
    "do not balance": lambda tx: swap(tx, fee=tx.fee + 1),
    "range proof": lambda tx: swap(tx, range_proof=case(2, 2, 2)[0].range_proof),
    "prime order": lambda tx: swap(
        tx, outputs=(swap(tx.outputs[0], key=curve.IDENTITY), tx.outputs[1])
    ),
    "a member twice": lambda tx: with_input(tx, key_offsets=(7, 0)),
    "2 to 16 outputs": lambda tx: swap(tx, outputs=tx.outputs[:1]),
}


@pytest.mark.parametrize("why", SIGNED_WRONG)
def test_good_signatures_do_not_save_a_transaction(backend, why):
    """Its maker signs whatever breaks the rule; so only the rule's own check stands against it."""
    rng = SeededRng(why.encode())
    bins = [make_bin(rng, 2)]
    honest = make_transaction(rng, bins)
    assert is_accepted(honest, rings_of(honest, bins))
    wrong = make_transaction(rng, bins, change=SIGNED_WRONG[why])
    rings = rings_of(wrong, bins)
    with pytest.raises(MoneroError, match=why):
        verify_transaction(wrong, rings)
    assert not is_accepted(wrong, rings)


def test_rings_of_other_sizes_or_another_number(backend):
    transaction, rings = case(3, 2, 2)
    other = case(2, 1, 2)[1]
    for wrong in ([], rings[:1], rings * 2, [rings[0], *other]):
        with pytest.raises(MoneroError, match="rings must have"):
            verify_transaction(transaction, wrong)
        assert not is_accepted(transaction, wrong)


def test_rings_in_another_order(backend):
    transaction, rings = case(3, 2, 2)
    verify_without_rings(transaction)
    assert not is_accepted(transaction, rings[::-1])


def test_the_proof_of_another_transaction(backend):
    transaction, rings = case(2, 1, 2)
    other, _ = case(2, 2, 2)
    assert not is_accepted(swap(transaction, range_proof=other.range_proof), rings)
    assert not is_accepted(swap(transaction, signatures=other.signatures[:1]), rings)
