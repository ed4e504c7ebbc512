"""Failures 1 to 10 of other systems that concern the primitives, tried on ours, and refused.

The numbers are those of docs/spec/privacy.md, "Rules". Not here, because they are rules of the
chain or of the wallet: 7 (choice of decoys), 8 (locks in time), 9 (flooding), 20 (paths that
mint), and of 5 and 18 the parts that need a chain or a cache. Every test runs on both backends.
"""

import importlib.metadata
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import bulletproofs_plus, clsag, curve, member_ring, product_proof
from crypto.clsag import ClsagSignature
from crypto.errors import (
    ClsagError,
    DecodeError,
    InvalidPoint,
    InvalidProof,
    InvalidScalar,
    LinearProofError,
    RangeProofError,
    StealthError,
)
from crypto.pedersen import commit
from crypto.product_proof import ProductStatement, ProductWitness
from crypto.stealth import Address, WalletKeys, check_key_image, make_output, receive, sender_secret
from tests.crypto.privacy import SeededRng, clsag_case, flip, opening, scalar
from tests.crypto.rule_cases import call_case, change, range_case

ORDER_2 = bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
SCALARS = st.integers(1, curve.L - 1).map(lambda n: n.to_bytes(32, "little"))

pytestmark = pytest.mark.usefixtures("backend")


def small_order():
    """The eight points whose order divides 8, the identity first."""
    points = [curve.IDENTITY]
    while len(points) < 8:
        points.append(curve.add(points[-1], ORDER_8))
    assert len(set(points)) == 8
    return points


def wallet(name):
    return WalletKeys(spend_secret=scalar(f"spend {name}"), view_secret=scalar(f"view {name}"))


def sign_alone(statement, witness, alpha):
    """A CLSAG of a ring of one, made without any of the checks of `clsag.sign`.

    Returns the signature and the factor of the key image in its only equation.
    """
    ring = statement.ring
    base = curve.ring_images(ring)
    D = curve.mul(witness.mask_difference, base)
    D_sent = curve.inv8(D)
    mu_P, mu_C = clsag.aggregation(statement, D_sent)
    head = b"".join(
        (b"CLSAG_round".ljust(32, b"\0"), ring.keys, ring.commitments, statement.pseudo_out)
    )
    c = curve.hash_to_scalar(
        head + statement.message + curve.base_mul(alpha) + curve.mul(alpha, base)
    )
    secret = curve.sc_add(
        curve.sc_mul(mu_P, witness.secret), curve.sc_mul(mu_C, witness.mask_difference)
    )
    s = curve.sc_sub(alpha, curve.sc_mul(c, secret))
    factor = curve.sc_mul(c, mu_P)
    R = curve.msm_vartime(s + factor + curve.sc_mul(c, mu_C), base + statement.key_image + D)
    closes = curve.mul(alpha, base) == R
    return ClsagSignature(s=(s,), c1=c, D=D_sent), closes


def test_1_a_key_image_with_torsion_is_no_second_spend():
    """Its signature fulfils the equation: only the check of the order stands against it."""
    honest, witness = clsag_case(1, 0)
    signature, closes = sign_alone(honest, witness, scalar("alpha"))
    assert closes
    clsag.verify(honest, signature)
    for torsion in small_order()[1:]:
        again = change(honest, key_image=curve.add(honest.key_image, torsion))
        tries = (sign_alone(again, witness, scalar(f"alpha {i}")) for i in range(200))
        signature = next(signature for signature, closes in tries if closes)
        with pytest.raises(ClsagError):
            clsag.verify(again, signature)
        assert clsag.verify_many([(again, signature)]) == [False]
        with pytest.raises(InvalidPoint, match="prime order"):
            check_key_image(again.key_image)


def test_1_nor_is_the_identity_or_another_encoding():
    for image in (*small_order(), b"\xed" + b"\xff" * 30 + b"\x7f"):
        with pytest.raises(InvalidPoint):
            check_key_image(image)


@settings(max_examples=20)
@given(SCALARS)
def test_2_a_point_beside_the_subgroup_is_seen(n):
    """CVE-2025-69277: libsodium took (0, -1) + n·G for a point of prime order."""
    point = curve.add(curve.base_mul(n), ORDER_2)
    assert curve.is_point(point)
    assert not curve.is_torsion_free(point)
    with pytest.raises(InvalidPoint):
        curve.check_prime_order(point, "point")


def test_2_the_library_is_new_enough():
    version = tuple(int(part) for part in importlib.metadata.version("PyNaCl").split(".")[:3])
    assert version >= (1, 6, 2)


def test_3_second_encodings_are_refused_by_every_operation():
    p = 2**255 - 19
    for y in range(19):
        for sign in (0, 1 << 255):
            encoding = (p + y | sign).to_bytes(32, "little")
            assert not curve.is_point(encoding)
            for operation in (curve.add, curve.sub):
                with pytest.raises(InvalidPoint):
                    operation(encoding, curve.G)
                with pytest.raises(InvalidPoint):
                    operation(curve.G, encoding)


def test_3_zero_and_the_identity_are_ordinary():
    P = curve.base_mul(scalar("P"))
    assert curve.mul(curve.ZERO, P) == curve.base_mul(curve.ZERO) == curve.IDENTITY
    assert curve.sub(P, P) == curve.mul(scalar("s"), curve.IDENTITY) == curve.IDENTITY
    assert curve.commit(curve.ZERO, 0) == curve.IDENTITY


def test_3_no_bit_of_a_scalar_is_ignored():
    for operation in (curve.base_mul, lambda s: curve.mul(s, curve.G)):
        with pytest.raises(InvalidScalar):
            operation(flip(scalar("s"), 255))


def test_4_a_second_form_of_a_scalar_is_refused():
    """s + ℓ fulfils every equation that s fulfils, and would be another transaction."""
    statement, witness = clsag_case(2, 1)
    signature = clsag.sign(statement, witness)
    second = (int.from_bytes(signature.s[0], "little") + curve.L).to_bytes(32, "little")
    with pytest.raises(InvalidScalar):
        change(signature, s=(second, signature.s[1]))
    with pytest.raises(InvalidScalar):
        ClsagSignature.from_bytes(second + signature.to_bytes()[32:], ring_size=2)
    instance = curve.ClsagInstance(
        ring=statement.ring,
        pseudo_out=statement.pseudo_out,
        key_image=statement.key_image,
        message=statement.message,
        D=signature.D,
        c1=signature.c1,
        s=b"".join(signature.s),
    )
    assert curve.clsag_verify(instance)
    assert not curve.clsag_verify(instance._replace(s=second + signature.s[1]))


def test_5_no_two_transactions_share_their_secret():
    """Not even where the random source has died: a shared one would burn an output."""
    keys, dead = wallet("payer"), bytes
    images = [curve.base_mul(scalar(f"image {i}")) for i in range(3)]
    secrets = {sender_secret(keys, images[:n], rng=dead) for n in range(4)}
    assert len(secrets) == 4
    to = wallet("payee").address
    made = {make_output(to, tx_secret=r, index=0, amount=1)[0].key for r in secrets}
    assert len(made) == 4


def test_6_mixed_keys_of_two_accounts_pay_neither():
    """The Janus attack asks a wallet whether two addresses are one person's."""
    one, other = wallet("one"), wallet("other")
    mixed = Address(spend=one.address.spend, view=other.address.view)
    output, _ = make_output(mixed, tx_secret=scalar("r"), index=0, amount=5)
    for keys in (one, other):
        with pytest.raises(StealthError):
            receive(keys, output)


def bit_of(statement, name, bit):
    return change(statement, **{name: flip(getattr(statement, name), bit)})


@settings(max_examples=30)
@given(
    name=st.sampled_from(("pseudo_out", "key_image", "message", "keys")), bit=st.integers(0, 511)
)
def test_10_a_ring_signature_is_for_one_statement(name, bit):
    statement, witness = clsag_case(2, 0)
    signature = clsag.sign(statement, witness, rng=SeededRng(b"10"))
    clsag.verify(statement, signature)

    def verify_other():
        if name == "keys":
            ring = curve.prepare_ring(flip(statement.ring.keys, bit), statement.ring.commitments)
            clsag.verify(change(statement, ring=ring), signature)
        else:
            clsag.verify(bit_of(statement, name, bit), signature)

    with pytest.raises((ClsagError, InvalidPoint)):
        verify_other()


@settings(max_examples=30)
@given(name=st.sampled_from(("commitments", "asset", "context")), bit=st.integers(0, 255))
def test_10_a_range_proof_is_for_one_statement(name, bit):
    statement, proof = range_proof()
    bulletproofs_plus.verify(statement, proof)

    def verify_other():
        if name == "commitments":
            first, second = statement.commitments
            other = change(statement, commitments=(flip(first, bit), second))
        else:
            other = bit_of(statement, name, bit)
        bulletproofs_plus.verify(other, proof)

    with pytest.raises((RangeProofError, InvalidPoint)):
        verify_other()


@lru_cache
def range_proof():
    statement, openings = range_case()
    return statement, bulletproofs_plus.prove(statement, openings)


@settings(max_examples=30)
@given(name=st.sampled_from(("price", "quantity", "payment", "context")), bit=st.integers(0, 255))
def test_10_a_product_proof_is_for_one_statement(name, bit):
    x, y, z = (opening(f"of {amount}", amount) for amount in (6, 7, 42))
    statement = ProductStatement(
        price=commit(x), quantity=commit(y), payment=commit(z), context=bytes(32)
    )
    witness = ProductWitness(price=x, quantity=y, payment=z)
    proof = product_proof.prove(statement, witness)
    product_proof.verify(statement, proof)
    with pytest.raises((LinearProofError, InvalidPoint, DecodeError)):
        product_proof.verify(bit_of(statement, name, bit), proof)


@settings(max_examples=30)
@given(
    part=st.sampled_from(
        ("network", "root", "epoch", "keys", "contract", "purpose", "slot", "message")
    ),
    bit=st.integers(0, 255),
)
def test_10_a_members_call_is_for_one_statement(part, bit):
    statement, witness = call_case()
    signature = member_ring.sign(statement, witness, rng=SeededRng(b"10"))
    member_ring.verify(statement, signature)
    snapshot, scope = statement.snapshot, statement.scope
    other = {
        "network": lambda: change(statement, snapshot=bit_of(snapshot, "network", bit)),
        "root": lambda: change(statement, snapshot=bit_of(snapshot, "root", bit)),
        "epoch": lambda: change(statement, snapshot=change(snapshot, epoch=snapshot.epoch + 1)),
        "keys": lambda: change(statement, snapshot=change(snapshot, keys=snapshot.keys[::-1])),
        "contract": lambda: change(statement, scope=bit_of(scope, "contract", bit)),
        "purpose": lambda: change(statement, scope=bit_of(scope, "purpose", bit)),
        "slot": lambda: change(statement, scope=change(scope, slot=1)),
        "message": lambda: bit_of(statement, "message", bit),
    }[part]()
    with pytest.raises(InvalidProof):
        member_ring.verify(other, signature)
