"""Batches: every place of a batch of any size has the verdict that the proof has alone.

A backend may verify several proofs in lock-step, side by side; so rings of different sizes, bad
ones among them, stand in every place here.
"""

from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import clsag, curve
from crypto.errors import CryptoError
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, clsag_case, flip

SIZES = (1, 2, 3, 5, 16)


@lru_cache
def signed(size):
    statement, witness = clsag_case(size, size // 2)
    signature = clsag.sign(statement, witness, rng=SeededRng(b"batches"))
    return statement, signature


def instance(size, field, bit):
    """A signature of a ring of that size as the curve takes it, with one bit turned."""
    statement, signature = signed(size)
    whole = curve.ClsagInstance(
        ring=statement.ring,
        pseudo_out=statement.pseudo_out,
        key_image=statement.key_image,
        message=statement.message,
        D=signature.D,
        c1=signature.c1,
        s=b"".join(signature.s),
    )
    if field is None:
        return whole
    if field == "ring":
        keys = flip(statement.ring.keys, bit)
        try:
            return whole._replace(ring=curve.prepare_ring(keys, statement.ring.commitments))
        except CryptoError:
            return whole._replace(s=b"")
    return whole._replace(**{field: flip(getattr(whole, field), bit)})


FIELDS = (None, None, None, "ring", "pseudo_out", "key_image", "message", "D", "c1", "s")
DRAWN = st.tuples(st.sampled_from(SIZES), st.sampled_from(FIELDS), st.integers(0, 2**13))


@settings(max_examples=40)
@given(st.lists(DRAWN, max_size=20))
def test_a_good_signature_holds_in_any_company_and_no_bad_one(drawn):
    batch = [instance(*each) for each in drawn]
    expected = [field is None for _, field, _ in drawn]
    for backend in BACKENDS:
        with curve.using(backend):
            # The slower backend answers for a part, which another draw moves.
            few = batch if backend == "native" else batch[:3]
            assert curve.clsag_verify_many(few) == expected[: len(few)]


@settings(max_examples=20)
@given(size=st.sampled_from(SIZES), count=st.integers(1, 24), place=st.integers(0, 23))
def test_one_bad_signature_is_found_in_every_place(size, count, place):
    batch = [instance(size, None, 0)] * count
    batch[place % count] = instance(size, "c1", place)
    expected = [i != place % count for i in range(count)]
    assert curve.clsag_verify_many(batch) == expected


def test_all_sizes_around_a_multiple_of_the_lanes():
    for count in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33):
        batch = [instance(SIZES[i % 3], None, 0) for i in range(count)]
        assert curve.clsag_verify_many(batch) == [True] * count
