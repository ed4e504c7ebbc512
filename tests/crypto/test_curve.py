"""The group and its scalars on each backend: laws, encodings, refusals."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto.errors import InvalidPoint, InvalidScalar
from crypto.hashing import keccak256

pytestmark = pytest.mark.usefixtures("backend")

INTS = st.integers(0, curve.L - 1)
TORSION_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
ORDER_2 = bytes.fromhex("ec" + "ff" * 30 + "7f")


def sc(n):
    return (n % curve.L).to_bytes(32, "little")


def vec(numbers):
    return b"".join(map(sc, numbers))


def number(s):
    return int.from_bytes(s, "little")


@given(INTS, INTS)
def test_scalars_are_integers_modulo_the_order(a, b):
    assert curve.sc_add(sc(a), sc(b)) == sc(a + b)
    assert curve.sc_sub(sc(a), sc(b)) == sc(a - b)
    assert curve.sc_mul(sc(a), sc(b)) == sc(a * b)
    assert curve.sc_neg(sc(a)) == sc(-a)
    if a:
        assert curve.sc_invert(sc(a)) == sc(pow(a, -1, curve.L))


@given(st.binary(min_size=64, max_size=64))
def test_reduction_is_little_endian_modulo_the_order(data):
    assert curve.reduce64(data) == sc(number(data))
    assert curve.reduce32(data[:32]) == sc(number(data[:32]))


@given(st.lists(st.tuples(INTS, INTS), max_size=9), INTS)
def test_vectors_are_scalars_one_by_one(pairs, s):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    assert curve.sv_add(vec(a), vec(b)) == vec(x + y for x, y in pairs)
    assert curve.sv_sub(vec(a), vec(b)) == vec(x - y for x, y in pairs)
    assert curve.sv_mul(vec(a), vec(b)) == vec(x * y for x, y in pairs)
    assert curve.sv_scale(vec(a), sc(s)) == vec(x * s for x in a)
    assert curve.sv_inner(vec(a), vec(b)) == sc(sum(x * y for x, y in pairs))
    assert curve.sv_powers(sc(s), len(a)) == vec(pow(s, i, curve.L) for i in range(len(a)))
    if 0 not in a:
        assert curve.sv_invert(vec(a)) == vec(pow(x, -1, curve.L) for x in a)


@pytest.mark.parametrize("bad", [sc(0)[:31], sc(0) + b"\0", curve.L.to_bytes(32, "little"),
                                 b"\xff" * 32, b"\0" * 31 + b"\x80"])  # fmt: skip
def test_a_scalar_out_of_form_is_refused_everywhere(bad):
    assert not curve.is_scalar(bad)
    one, G = curve.ONE, curve.G
    for call in (
        lambda: curve.check_scalar(bad, "s"),
        lambda: curve.sc_add(bad, one),
        lambda: curve.sc_sub(one, bad),
        lambda: curve.sc_mul(one, bad),
        lambda: curve.sc_neg(bad),
        lambda: curve.sc_invert(bad),
        lambda: curve.sv_add(one + one, one + bad),
        lambda: curve.sv_scale(one, bad),
        lambda: curve.sv_powers(bad, 3),
        lambda: curve.sv_invert(bad),
        lambda: curve.base_mul(bad),
        lambda: curve.mul(bad, G),
        lambda: curve.commit(bad, 1),
        lambda: curve.msm(bad, G),
        lambda: curve.msm_vartime(bad, G),
    ):
        with pytest.raises(InvalidScalar):
            call()


def test_lengths_that_do_not_fit_are_refused():
    one = curve.ONE
    for call in (
        lambda: curve.sv_mul(one, one + one),
        lambda: curve.sv_inner(one + one, one),
        lambda: curve.sv_powers(one, -1),
        lambda: curve.msm(one + one, curve.G),
        lambda: curve.msm_vartime(one, curve.G + curve.G),
        lambda: curve.reduce32(bytes(31)),
        lambda: curve.reduce64(bytes(63)),
        lambda: curve.sc_invert(curve.ZERO),
        lambda: curve.sv_invert(one + curve.ZERO),
        lambda: curve.commit(one, -1),
        lambda: curve.commit(one, 2**64),
    ):
        with pytest.raises(InvalidScalar):
            call()


def test_no_vector_at_all_is_the_neutral_element():
    assert curve.sv_inner(b"", b"") == curve.ZERO
    assert curve.sv_powers(curve.ONE, 0) == b""
    assert curve.msm(b"", b"") == curve.msm_vartime(b"", b"") == curve.IDENTITY
    assert curve.sum_points(b"") == curve.IDENTITY


@settings(max_examples=30)
@given(INTS, INTS, INTS)
def test_multiples_follow_the_laws_of_a_group(a, b, c):
    A, B = curve.base_mul(sc(a)), curve.base_mul(sc(b))
    assert curve.add(A, B) == curve.base_mul(sc(a + b))
    assert curve.sub(A, B) == curve.base_mul(sc(a - b))
    assert curve.neg(A) == curve.base_mul(sc(-a))
    assert curve.mul(sc(c), A) == curve.base_mul(sc(a * c))
    assert curve.mul8(A) == curve.base_mul(sc(8 * a))
    assert curve.inv8(curve.mul8(A)) == A
    expected = curve.base_mul(sc(c * a + a * b))
    assert curve.msm(vec([c, a]), A + B) == curve.msm_vartime(vec([c, a]), A + B) == expected
    assert curve.sum_points(A + B + A) == curve.base_mul(sc(2 * a + b))


@pytest.mark.parametrize("n", [0, 1, 2, 8, curve.L - 1])
def test_multiples_at_the_edges(n):
    for P in (curve.G, curve.H, curve.IDENTITY, ORDER_2, TORSION_8,
              curve.add(curve.G, TORSION_8)):  # fmt: skip
        expected = curve.IDENTITY
        for bit in bin(n)[2:]:
            expected = curve.add(expected, expected)
            if bit == "1":
                expected = curve.add(expected, P)
        assert curve.mul(sc(n), P) == expected
        assert curve.msm(sc(n), P) == expected
        assert curve.msm_vartime(sc(n), P) == expected


@given(INTS, st.integers(0, 2**64 - 1))
@settings(max_examples=20)
def test_a_commitment_is_mask_g_plus_amount_h(mask, amount):
    expected = curve.msm_vartime(sc(mask) + sc(amount), curve.G + curve.H)
    assert curve.commit(sc(mask), amount) == expected
    other = curve.hash_to_point_unbiased(b"test", b"asset")
    moved = curve.msm_vartime(sc(mask) + sc(amount), curve.G + other)
    assert curve.commit(sc(mask), amount, other) == moved


def test_handles_serve_where_packed_points_do():
    packed = curve.G + curve.H + curve.mul8(curve.H)
    points = curve.decode(packed)
    scalars = vec([3, 5, 7])
    assert len(points) == 3
    assert curve.msm(scalars, points) == curve.msm(scalars, packed)
    taken = curve.take(points, [2, 0])
    assert taken.packed == packed[64:] + packed[:32]
    assert curve.msm_vartime(vec([7, 3]), taken) == curve.msm(vec([3, 7]), curve.G + packed[64:])
    for bad in ([3], [-1]):
        with pytest.raises(IndexError):
            curve.take(points, bad)


def test_a_point_out_of_form_is_refused_and_named():
    bad = b"\x02" + bytes(31)  # y = 2 is on no point of the curve.
    assert not curve.is_point(bad)
    assert not curve.is_point(curve.G[:31])
    assert not curve.is_point(curve.G + b"\0")
    for call in (
        lambda: curve.check_point(bad, "P"),
        lambda: curve.add(curve.G, bad),
        lambda: curve.sub(bad, curve.G),
        lambda: curve.neg(bad),
        lambda: curve.mul8(bad),
        lambda: curve.mul(curve.ONE, bad),
        lambda: curve.mul(curve.ZERO, bad),
        lambda: curve.is_torsion_free(bad),
        lambda: curve.commit(curve.ONE, 1, bad),
        lambda: curve.prepare_ring(bad, curve.G),
        lambda: curve.prepare_ring(curve.G, bad),
        lambda: curve.prepare_ring(b"", b""),
        lambda: curve.prepare_ring(curve.G, curve.G + curve.G),
        lambda: curve.hash_to_point(bytes(31)),
        lambda: curve.map_to_point(bytes(33)),
        lambda: curve.decode(curve.G[:31]),
    ):
        with pytest.raises(InvalidPoint):
            call()
    with pytest.raises(InvalidPoint, match=r"^points\[1\]: "):
        curve.decode(curve.G + bad)


def test_prime_order_is_neither_the_identity_nor_torsion():
    curve.check_prime_order(curve.G, "P")
    for bad in (curve.IDENTITY, ORDER_2, TORSION_8, curve.add(curve.G, ORDER_2)):
        with pytest.raises(InvalidPoint, match=r"^ring: must be of prime order"):
            curve.check_prime_order(bad, "ring")
    assert curve.is_torsion_free(curve.IDENTITY)


def test_the_unbiased_hash_separates_its_uses_and_has_prime_order():
    one = curve.hash_to_point_unbiased(b"use one", b"data")
    assert one != curve.hash_to_point_unbiased(b"use two", b"data")
    assert one != curve.hash_to_point_unbiased(b"use one", b"date")
    curve.check_prime_order(one, "U")
    for person in (b"", b"x" * 17):
        with pytest.raises(ValueError, match="person must be 1 to 16 bytes"):
            curve.hash_to_point_unbiased(person, b"data")


def unbiased(data, **parameters):
    h = hashlib.blake2b(data, digest_size=64, **parameters).digest()
    return curve.mul8(curve.add(curve.map_to_point(h[:32]), curve.map_to_point(h[32:])))


def test_the_unbiased_hash_is_the_one_of_fcmp_under_a_person_of_our_own():
    """Monero's FCMP++ has no person; its generator T is published."""
    T = unbiased(keccak256(b"Monero Generator T"))
    assert T.hex() == "61b736ce93b62a3d3778ab204da85d3b4cdc07250f5da7e3df2629928134d526"
    ours = curve.hash_to_point_unbiased(b"hearth/test", b"data")
    assert ours == unbiased(b"data", person=b"hearth/test")


def test_the_map_of_zero_is_the_point_of_order_two():
    assert curve.map_to_point(bytes(32)) == ORDER_2
    p = 2**255 - 19
    for r in (p, 2 * p):  # All 256 bits count, modulo p.
        assert curve.map_to_point(r.to_bytes(32, "little")) == ORDER_2


def test_random_scalars_are_canonical_and_differ():
    drawn = {curve.sc_random() for _ in range(20)}
    assert len(drawn) == 20
    assert all(map(curve.is_scalar, drawn))


def run_python(code, **extra):
    env = {**os.environ, **extra}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True,
                          check=False)  # fmt: skip


def test_the_environment_forces_a_backend(backend):
    said = run_python("import crypto.curve as c; print(c.BACKEND)", HEARTH_CURVE=backend)
    assert said.stdout.strip() == backend
    refused = run_python("import crypto.curve", HEARTH_CURVE="openssl")
    assert "HEARTH_CURVE must be one of" in refused.stderr


def test_a_forced_backend_that_is_absent_says_how_to_build_it():
    hide = "import sys; sys.modules['crypto._curve'] = None; import crypto.curve as c; "
    refused = run_python(hide, HEARTH_CURVE="native")
    assert refused.returncode != 0
    assert "the native curve cannot be loaded" in refused.stderr
    env = {k: v for k, v in os.environ.items() if k != "HEARTH_CURVE"}
    said = subprocess.run([sys.executable, "-c", hide + "print(c.BACKEND)"], env=env,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert said.stdout.strip() == "sodium"


@pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo: the native curve is optional")
def test_with_cargo_the_native_backend_is_loaded():
    """An optional extension that failed to build is easy to miss; here it is not."""
    assert curve.is_available("native"), "run `make clean setup`: cargo is here, its build is not"
    if os.environ.get("HEARTH_CURVE", "native") == "native":
        said = run_python("import crypto.curve as c; print(c.BACKEND)")
        assert said.stdout.strip() == "native"
