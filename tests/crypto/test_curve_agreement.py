"""Both backends give the same answer, or the same refusal, for anything that is thrown at them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto.errors import CryptoError

pytestmark = pytest.mark.skipif(not curve.is_available("native"), reason="one backend only")

P = 2**255 - 19
TORSION_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def near(edge, spread=40):
    """32-byte little-endian numbers about an edge, with and without the top bit."""
    low, high = max(0, edge - spread), min(2**255 - 1, edge + spread)
    number = st.tuples(st.integers(low, high), st.booleans())
    return number.map(lambda n: (n[0] | n[1] << 255).to_bytes(32, "little"))


def with_torsion(seed, times):
    point = curve.base_mul(curve.hash_to_scalar(seed))
    for _ in range(times):
        point = curve.add(point, TORSION_8)
    return point


ANY_32 = st.binary(min_size=32, max_size=32)
ENCODINGS = st.one_of(
    ANY_32,
    near(0),
    near(P),
    near(2**255 - 20),
    st.builds(with_torsion, st.binary(max_size=4), st.integers(0, 7)),
    st.builds(with_torsion, st.binary(max_size=4), st.just(0)),
    st.binary(max_size=40),
)
SCALARS = st.one_of(
    near(0),
    near(curve.L),
    ANY_32.map(curve.reduce32),
    ANY_32,
    st.binary(max_size=40),
)
AMOUNTS = st.sampled_from([-1, 0, 1, 2**64 - 1, 2**64]) | st.integers(0, 2**64 - 1)


def answer(call, *args):
    """What a call gives: a value, or the class of its refusal and the field at fault."""
    try:
        return call(*args)
    except CryptoError as error:
        return type(error).__name__, getattr(error, "field", None)


def agree(call, *args):
    answers = []
    for backend in ("native", "sodium"):
        with curve.using(backend):
            answers.append(answer(call, *args))
    assert answers[0] == answers[1], f"native {answers[0]!r}, sodium {answers[1]!r}"


@given(SCALARS, SCALARS)
def test_scalars(a, b):
    for call in (curve.is_scalar, curve.reduce32, curve.hash_to_scalar, curve.sc_neg,
                 curve.sc_invert):  # fmt: skip
        agree(call, a)
    agree(curve.reduce64, a + b)
    for call in (curve.sc_add, curve.sc_sub, curve.sc_mul):
        agree(call, a, b)


@given(st.lists(SCALARS, max_size=4).map(b"".join), st.lists(SCALARS, max_size=4).map(b"".join),
       SCALARS, st.integers(-1, 5))  # fmt: skip
def test_vectors(a, b, s, n):
    for call in (curve.sv_add, curve.sv_sub, curve.sv_mul, curve.sv_inner):
        agree(call, a, b)
    agree(curve.sv_scale, a, s)
    agree(curve.sv_powers, s, n)
    agree(curve.sv_invert, a)


@settings(max_examples=150)
@given(ENCODINGS, ENCODINGS)
def test_points(p, q):
    for call in (curve.is_point, curve.is_torsion_free, curve.neg, curve.mul8, curve.inv8,
                 curve.map_to_point, curve.hash_to_point):  # fmt: skip
        agree(call, p)
    agree(curve.check_prime_order, p, "P")
    agree(curve.add, p, q)
    agree(curve.sub, p, q)
    agree(curve.sum_points, p + q)


@given(SCALARS, ENCODINGS, AMOUNTS)
def test_multiples(s, p, amount):
    agree(curve.base_mul, s)
    agree(curve.mul, s, p)
    agree(curve.commit, s, amount)
    agree(curve.commit, s, amount, p)


@given(st.lists(st.tuples(SCALARS, ENCODINGS), max_size=4))
def test_sums_of_multiples(terms):
    scalars, points = b"".join(s for s, _ in terms), b"".join(p for _, p in terms)
    agree(curve.msm, scalars, points)
    agree(curve.msm_vartime, scalars, points)


@given(st.binary(min_size=1, max_size=16), st.binary(max_size=80))
@settings(max_examples=30)
def test_unbiased_hashes(person, data):
    agree(curve.hash_to_point_unbiased, person, data)


@given(st.lists(ENCODINGS, min_size=1, max_size=3), st.data())
@settings(max_examples=40)
def test_rings(keys, data):
    commitments = b"".join(data.draw(ENCODINGS) for _ in keys)

    def images(keys, commitments):
        return curve.ring_images(curve.prepare_ring(keys, commitments))

    agree(images, b"".join(keys), commitments)


@given(SCALARS, ENCODINGS, st.lists(st.tuples(ENCODINGS, ENCODINGS, st.integers(0, 2**32), ANY_32),
                                    max_size=3))  # fmt: skip
def test_scans(view_secret, spend_public, outputs):
    def scan():
        return curve.scan(
            view_secret,
            spend_public,
            tx_pubkeys=b"".join(R for R, _, _, _ in outputs),
            output_indexes=[index for _, _, index, _ in outputs],
            output_keys=b"".join(key for _, key, _, _ in outputs),
            view_tags=bytes(tag[0] for _, _, _, tag in outputs),
        )

    agree(scan)
