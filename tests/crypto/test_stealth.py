import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve, stealth
from crypto.errors import CryptoError, DecodeError, EncodeError, InvalidPoint, StealthError
from crypto.pedersen import MONEY, AssetId, Opening, commit
from crypto.stealth import Address, WalletKeys
from crypto.varint import write_varint
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip, scalar

pytestmark = pytest.mark.usefixtures("backend")

ENERGY = AssetId(b"e" * 32)


def wallet(name="alice"):
    return WalletKeys(spend_secret=scalar(f"spend {name}"), view_secret=scalar(f"view {name}"))


ALICE = wallet().address.to_bytes()


def paid(to, amount, *, index=0, sender="r", asset=MONEY):
    output, _ = stealth.make_output(
        to.address, tx_secret=scalar(sender), index=index, amount=amount, asset=asset
    )
    return output


def test_one_time_keys_are_moneros(vectors):
    entries = json.loads((vectors / "monero/key_derivations.json").read_text())
    for shared, index, base, ok, *out in entries["derive_public_key"]:
        args = (bytes.fromhex(shared), int(index), bytes.fromhex(base))
        if ok == "true":
            assert stealth.one_time_key(*args).hex() == out[0]
            assert stealth.spend_key_of(args[0], args[1], bytes.fromhex(out[0])) == args[2]
        else:
            with pytest.raises(InvalidPoint):
                stealth.one_time_key(*args)


@settings(max_examples=15)
@given(
    amount=st.integers(0, 2**64 - 1),
    index=st.integers(0, 2**32 - 1),
    asset=st.sampled_from([MONEY, ENERGY]),
)
def test_the_receiver_finds_what_the_sender_made(amount, index, asset):
    keys = wallet()
    output, opening = stealth.make_output(
        keys.address, tx_secret=scalar("r"), index=index, amount=amount, asset=asset
    )
    owned = stealth.receive(keys, output)
    assert owned.opening == opening == Opening(mask=opening.mask, amount=amount)
    assert commit(opening, asset) == output.commitment
    assert curve.base_mul(owned.secret) == output.key
    assert owned.key_image == curve.mul(owned.secret, curve.hash_to_point(output.key))
    stealth.check_key_image(owned.key_image)


def test_sender_and_receiver_derive_the_same():
    keys = wallet()
    r = scalar("r")
    R = curve.base_mul(r)
    assert stealth.derivation(r, keys.address.view) == stealth.derivation(keys.view_secret, R)


def test_torsion_in_the_senders_key_does_not_move_the_derivation():
    """8·(a·R) lies in the prime-order subgroup whatever R is, so a is not leaked mod 8."""
    keys = wallet()
    R = curve.base_mul(scalar("r"))
    two = bytes.fromhex("ec" + "ff" * 30 + "7f")
    assert stealth.derivation(keys.view_secret, R) == stealth.derivation(
        keys.view_secret, curve.add(R, two)
    )


def test_another_wallet_receives_nothing():
    output = paid(wallet(), 5)
    with pytest.raises(StealthError):
        stealth.receive(wallet("bob"), output)
    assert stealth.scan_block(wallet("bob"), [output]) == []


def test_the_key_is_checked_where_the_view_tag_fits_by_chance():
    alice, bob = wallet(), wallet("bob")
    output = paid(alice, 5)
    shared = stealth.derivation(bob.view_secret, output.tx_key)
    forged = replace(output, view_tag=stealth.view_tag(shared, output.index))
    with pytest.raises(StealthError, match="one-time key"):
        stealth.receive(bob, forged)
    assert stealth.scan_block(bob, [forged]) == []


def test_an_amount_is_credited_only_if_the_commitment_opens():
    """The receiver must check m·G + v·H = C: the encrypted field alone is a stranger's word."""
    keys = wallet()
    output = paid(keys, 5)
    lies = [
        replace(output, encrypted_amount=flip(output.encrypted_amount, 9)),
        replace(output, commitment=curve.add(output.commitment, curve.H)),
        replace(output, asset=ENERGY),
    ]
    for lie in lies:
        with pytest.raises(StealthError, match="commitment does not open"):
            stealth.receive(keys, lie)
    assert stealth.scan_block(keys, lies) == []


def test_a_block_is_scanned_as_its_outputs_one_by_one():
    alice, bob = wallet(), wallet("bob")
    outputs = [
        paid(alice if i % 3 else bob, i, index=i % 2, sender=f"tx {i // 2}") for i in range(12)
    ]
    for keys in (alice, bob):
        expected = []
        for output in outputs:
            try:
                expected.append(stealth.receive(keys, output))
            except StealthError:
                continue
        assert stealth.scan_block(keys, outputs) == expected
        assert expected
    assert stealth.scan_block(alice, []) == []


def test_a_block_with_encodings_that_are_no_points_is_scanned_to_the_end():
    keys = wallet()
    good = paid(keys, 5)
    block = [replace(good, tx_key=b"\xff" * 32), replace(good, key=b"\xff" * 32), good]
    assert [owned.output for owned in stealth.scan_block(keys, block)] == [good]


def test_a_senders_secret_depends_on_what_is_spent():
    """Rule 5: with a random source that repeats itself, r still differs between transactions."""
    keys = wallet()
    images = [curve.base_mul(scalar(f"image {i}")) for i in range(2)]
    secrets = {
        stealth.sender_secret(keys, spent, rng=SeededRng())
        for spent in ([], images[:1], images[1:], images)
    }
    assert len(secrets) == 4
    assert stealth.sender_secret(keys, []) != stealth.sender_secret(keys, [])


def test_key_images_of_small_order_are_refused(vectors):
    """Rule 1: eight spends of each output, Monero 2017."""
    data = json.loads((vectors / "monero/rejected_points_and_scalars.json").read_text())
    image = stealth.receive(wallet(), paid(wallet(), 5)).key_image
    stealth.check_key_image(image)
    for entry in data["torsion_points"]:
        torsion = bytes.fromhex(entry["point"])
        with pytest.raises(InvalidPoint, match="key_image"):
            stealth.check_key_image(torsion)
        if entry["order"] > 1:
            with pytest.raises(InvalidPoint, match="prime order"):
                stealth.check_key_image(curve.add(image, torsion))
    for encoding in data["non_canonical_encodings_must_reject"]:
        with pytest.raises(InvalidPoint):
            stealth.check_key_image(bytes.fromhex(encoding))


@settings(max_examples=30)
@given(data=st.binary(max_size=70) | st.integers(0, 511).map(lambda bit: flip(ALICE, bit)))
def test_addresses_that_decode_encode_to_the_same_bytes(data):
    try:
        address = Address.from_bytes(data)
    except CryptoError:
        return
    assert address.to_bytes() == data


def test_an_address_survives_the_round_trip():
    assert Address.from_bytes(ALICE) == wallet().address
    with pytest.raises(DecodeError, match="must be 64 bytes, got 63"):
        Address.from_bytes(ALICE[:-1])
    with pytest.raises(InvalidPoint, match=r"address\.view"):
        Address.from_bytes(ALICE[:32] + curve.IDENTITY)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b""])
def test_a_wallet_secret_is_a_scalar_that_is_not_zero(secret):
    with pytest.raises(CryptoError):
        WalletKeys(spend_secret=secret, view_secret=curve.ONE)
    with pytest.raises(CryptoError):
        WalletKeys(spend_secret=curve.ONE, view_secret=secret)


def test_outputs_of_a_wrong_shape_are_refused():
    output = paid(wallet(), 5)
    for change in (
        {"key": b""},
        {"tx_key": bytes(31)},
        {"commitment": bytes(33)},
        {"encrypted_amount": bytes(7)},
        {"view_tag": 256},
        {"view_tag": -1},
        {"index": 2**32},
    ):
        with pytest.raises(DecodeError):
            replace(output, **change)
    with pytest.raises(DecodeError, match="8 bytes"):
        stealth.decrypt_amount(curve.ONE, bytes(9))
    with pytest.raises(DecodeError, match="amount"):
        stealth.encrypt_amount(curve.ONE, 2**64)


def test_secrets_are_not_printed():
    keys = wallet()
    owned = stealth.receive(keys, paid(keys, 5))
    for secret in (keys.spend_secret, keys.view_secret, owned.secret, owned.opening.mask):
        assert repr(secret) not in repr((keys, owned))


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**64 - 1, "ff" * 9 + "01")],
)
def test_varints_are_the_shortest_groups_of_seven_bits(number, encoded):
    assert write_varint(number).hex() == encoded


def test_varints_have_64_bits():
    for number in (-1, 2**64):
        with pytest.raises(EncodeError):
            write_varint(number)


def test_both_backends_make_the_same_output():
    def made(name):
        with curve.using(name):
            secret = stealth.sender_secret(wallet(), [], rng=SeededRng())
            made_by = stealth.make_output(wallet().address, tx_secret=secret, index=1, amount=9)
            return made_by, stealth.receive(wallet(), made_by[0])

    results = [made(name) for name in BACKENDS]
    assert all(result == results[0] for result in results)
