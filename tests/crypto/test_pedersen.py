import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto.errors import DecodeError, InvalidPoint, InvalidScalar
from crypto.pedersen import (
    MONEY,
    AssetId,
    Opening,
    commit,
    is_balanced,
    is_opened_by,
    value_generator,
    zero_commitment,
)
from tests.crypto.privacy import opening, scalar

pytestmark = pytest.mark.usefixtures("backend")

ENERGY = AssetId(b"e" * 32)
AMOUNTS = st.integers(0, 2**62)


def test_zero_commitments_are_moneros(vectors):
    entries = json.loads((vectors / "monero/zero_commitments.json").read_text())
    for entry in entries:
        assert zero_commitment(int(entry["amount"])).hex() == entry["commitment"]


def test_money_is_moneros_h_and_every_asset_has_a_generator_of_its_own():
    assets = [MONEY, ENERGY, AssetId(b"\1" * 32), AssetId(bytes(31) + b"\1")]
    generators = [value_generator(asset) for asset in assets]
    assert generators[0] == curve.H
    assert len({*generators, curve.G}) == len(assets) + 1
    for generator in generators:
        curve.check_prime_order(generator, "generator")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_asset_id_is_32_bytes(length):
    with pytest.raises(DecodeError, match=f"must be 32 bytes, got {length}"):
        value_generator(AssetId(bytes(length)))


@settings(max_examples=20)
@given(amount=st.integers(0, 2**64 - 1), asset=st.sampled_from([MONEY, ENERGY]))
def test_a_commitment_opens_to_its_amount_alone(amount, asset):
    known = opening("a", amount)
    C = commit(known, asset)
    expected = curve.add(
        curve.base_mul(known.mask),
        curve.mul(amount.to_bytes(32, "little"), value_generator(asset))
        if amount
        else curve.IDENTITY,
    )
    assert expected == C
    assert is_opened_by(C, known, asset)
    assert not is_opened_by(C, Opening(mask=known.mask, amount=amount ^ 1), asset)
    assert not is_opened_by(C, Opening(mask=scalar("other"), amount=amount), asset)


@settings(max_examples=20)
@given(left=AMOUNTS, right=AMOUNTS, fee=st.integers(0, 1000))
def test_what_goes_in_comes_out_or_is_the_fee(left, right, fee):
    source = opening("in", left + right + fee)
    first = opening("out 0", left)
    second = Opening(mask=curve.sc_sub(source.mask, first.mask), amount=right)
    outputs = [commit(first), commit(second)]
    assert is_balanced([commit(source)], outputs, fee=fee)
    assert not is_balanced([commit(source)], outputs, fee=fee + 1)
    assert not is_balanced([commit(source)], outputs[:1], fee=fee)


def test_sums_of_different_assets_do_not_balance():
    """Equal amounts and masks; nothing compares the assets' ids, the points differ."""
    known = opening("same", 5)
    assert is_balanced([commit(known, ENERGY)], [commit(known, ENERGY)], asset=ENERGY)
    assert not is_balanced([commit(known, ENERGY)], [commit(known)], asset=ENERGY)


def test_what_is_no_opening_is_refused():
    with pytest.raises(InvalidScalar, match=r"opening\.mask"):
        Opening(mask=curve.L.to_bytes(32, "little"), amount=1)
    with pytest.raises(DecodeError, match="fee"):
        is_balanced([curve.G], [curve.G], fee=-1)
    with pytest.raises(InvalidPoint):
        is_balanced([b"\xff" * 32], [curve.G])


def test_an_opening_does_not_print_its_secrets():
    assert repr(Opening(mask=scalar("secret"), amount=77)) == "Opening()"
