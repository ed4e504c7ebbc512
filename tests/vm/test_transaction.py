"""Transactions: eth_account as the oracle, published vectors, strictness."""

import json
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from crypto import rlp
from crypto.errors import DecodeError, InvalidSignature
from crypto.keys import SECP256K1_ORDER, AccountKey, checksum_address, recover_address
from tests.vm.oracles import Account
from vm.errors import InvalidTransaction, TxReason
from vm.transaction import (
    TX_BYTES_MAX,
    DeadlineTransaction,
    TxKind,
    decode,
    decode_deadline,
    sign_transaction,
    signing_hash,
)

KEY = AccountKey.from_secret(b"\x46" * 32)
WORDS = st.integers(0, 2**256 - 1)
ACCESS_LISTS = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=2),
    ),
    max_size=2,
)


@st.composite
def ethereum_transactions(draw):
    """Fields as eth_account takes them."""
    kind = draw(st.sampled_from(list(TxKind)))
    fields = {
        "nonce": draw(st.integers(0, 2**64 - 2)),
        "gas": draw(st.integers(0, 2**64 - 1)),
        "value": draw(WORDS),
        "data": draw(st.binary(max_size=80)),
        "chainId": draw(st.integers(1, 2**52)),
    }
    to = draw(st.none() | st.binary(min_size=20, max_size=20))
    if to is not None:
        fields["to"] = checksum_address(to)
    if kind is TxKind.DYNAMIC_FEE:
        tip = draw(st.integers(0, 2**64))
        fields["maxPriorityFeePerGas"] = tip
        fields["maxFeePerGas"] = tip + draw(st.integers(0, 2**64))
    else:
        fields["gasPrice"] = draw(st.integers(0, 2**64))
    if kind is not TxKind.LEGACY:
        fields["type"] = int(kind)
        fields["accessList"] = [
            {
                "address": checksum_address(address),
                "storageKeys": ["0x" + key.hex() for key in keys],
            }
            for address, keys in draw(ACCESS_LISTS)
        ]
    return kind, fields


def eth_sign(fields):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Account.sign_transaction(fields, KEY.secret)


@given(ethereum_transactions())
def test_what_eth_account_signs_is_read_as_meant(drawn):
    kind, fields = drawn
    signed = eth_sign(fields)
    tx = decode(bytes(signed.raw_transaction))
    assert tx.hash == bytes(signed.hash)
    assert tx.sender() == KEY.address
    assert (tx.kind, tx.chain_id, tx.nonce) == (kind, fields["chainId"], fields["nonce"])
    assert (tx.gas_limit, tx.value, tx.data) == (fields["gas"], fields["value"], fields["data"])
    assert (checksum_address(tx.to) if tx.to else None) == fields.get("to")
    assert tx.max_fee == fields.get("maxFeePerGas", fields.get("gasPrice"))
    assert tx.max_priority == fields.get("maxPriorityFeePerGas", fields.get("gasPrice"))
    assert [
        (checksum_address(who), ["0x" + key.hex() for key in keys]) for who, keys in tx.access_list
    ] == [(entry["address"], entry["storageKeys"]) for entry in fields.get("accessList", [])]


@given(ethereum_transactions(), st.integers(1, 2**255), st.integers(1, 2**255))
def test_what_is_signed_is_cut_out_of_the_bytes_whatever_the_length_of_r_and_s(drawn, r, s):
    """Whatever r and s are, somebody signed so: it is the one whom the fields name."""
    raw = bytes(eth_sign(drawn[1]).raw_transaction)
    start = 0 if drawn[0] is TxKind.LEGACY else 1
    items = rlp.decode(raw[start:], field="tx", max_bytes=TX_BYTES_MAX)
    r, s = r >> r % 250, min(s >> s % 250, SECP256K1_ORDER // 2)
    items[-2:] = [rlp.encode_int(r or 1), rlp.encode_int(s or 1)]
    tx = decode(raw[:start] + rlp.encode(items))
    try:
        expected = recover_address(signing_hash(tx), tx.r, tx.s, tx.y_parity)
    except InvalidSignature:
        with pytest.raises(InvalidTransaction):
            tx.sender()
    else:
        assert tx.sender() == expected


@given(
    st.sampled_from(list(TxKind)),
    st.integers(0, 2**64 - 2),
    st.none() | st.just(b"\x09" * 20),
    st.binary(max_size=60),
)
def test_what_we_sign_eth_account_reads_as_meant(kind, nonce, to, data):
    raw = sign_transaction(
        KEY, chain_id=2**52 - 1, nonce=nonce, to=to, gas_limit=7, data=data, kind=kind
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Account.recover_transaction(raw) == checksum_address(KEY.address)
    tx = decode(raw)
    assert (tx.kind, tx.nonce, tx.data, tx.to, tx.value) == (kind, nonce, data, to, 0)


def example_raw(kind=TxKind.DYNAMIC_FEE, **fields):
    defaults = {"chain_id": 77, "nonce": 3, "to": b"\x09" * 20, "gas_limit": 50_000, "data": b"hi"}
    return sign_transaction(KEY, **{**defaults, **fields}, kind=kind)


def rebuild(tx):
    """Encode a decoded transaction again, from its fields alone."""
    number = rlp.encode_int
    tail = [number(tx.gas_limit), tx.to or b"", number(tx.value), tx.data]
    if tx.kind is TxKind.LEGACY:
        v = 35 + 2 * tx.chain_id + tx.y_parity
        signature = [number(v), number(tx.r), number(tx.s)]
        return rlp.encode([number(tx.nonce), number(tx.gas_price), *tail, *signature])
    fees = [number(tx.max_priority), number(tx.max_fee)]
    if tx.kind is TxKind.ACCESS_LIST:
        fees = [number(tx.gas_price)]
    signature = [number(tx.y_parity), number(tx.r), number(tx.s)]
    head = [number(tx.chain_id), number(tx.nonce), *fees]
    return bytes([tx.kind]) + rlp.encode([*head, *tail, tx.access_list, *signature])


@given(st.sampled_from(list(TxKind)), st.data())
def test_what_decodes_has_no_second_encoding(kind, data):
    """Any byte changed, cut or inserted is refused, or is the one encoding of what it says."""
    raw = bytearray(example_raw(kind))
    at = data.draw(st.integers(0, len(raw) - 1))
    match data.draw(st.sampled_from(["change", "cut", "insert"])):
        case "change":
            raw[at] = data.draw(st.integers(0, 255))
        case "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        case "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=3))
    try:
        tx = decode(bytes(raw))
    except InvalidTransaction:
        return
    assert rebuild(tx) == bytes(raw)


@given(st.binary(max_size=200))
@example(b"\x02\xc0")
@example(b"\xc0")
def test_noise_is_refused_by_type(noise):
    with pytest.raises(InvalidTransaction):
        decode(noise)


def refusal(raw):
    with pytest.raises(InvalidTransaction) as caught:
        decode(raw)
    return caught.value.reason, caught.value.field


def with_item(kind, index, item):
    """The example with one RLP item replaced; its signature no longer matters."""
    raw = example_raw(kind)
    prefix, payload = (b"", raw) if kind == TxKind.LEGACY else (raw[:1], raw[1:])
    items = rlp.decode(payload, field="test", max_bytes=TX_BYTES_MAX)
    items[index] = item
    return prefix + rlp.encode(items)


N = SECP256K1_ORDER
HIGH_S = (N // 2 + 1).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (b"", TxReason.MALFORMED, "tx"),
        (bytes(TX_BYTES_MAX + 1), TxReason.OVERSIZED, "tx"),
        (b"\x00" + b"\xc0", TxReason.TYPE_NOT_SUPPORTED, "tx.type"),
        (b"\x03" + example_raw()[1:], TxReason.TYPE_NOT_SUPPORTED, "tx.type"),
        (DeadlineTransaction(1).raw, TxReason.TYPE_NOT_SUPPORTED, "tx.type"),
        (example_raw() + b"\0", TxReason.MALFORMED, "tx"),
        (example_raw()[:-1], TxReason.MALFORMED, "tx"),
        (with_item(0, 6, b"\x1b"), TxReason.UNPROTECTED, "tx.v"),
        (with_item(0, 6, b"\x1c"), TxReason.UNPROTECTED, "tx.v"),
        (with_item(0, 6, b"\x22"), TxReason.INVALID_SENDER, "tx.v"),
        (with_item(0, 8, HIGH_S), TxReason.INVALID_SENDER, "tx.s"),
        (with_item(2, 11, HIGH_S), TxReason.INVALID_SENDER, "tx.s"),
        (with_item(2, 11, b""), TxReason.INVALID_SENDER, "tx.s"),
        (with_item(1, 9, N.to_bytes(32, "big")), TxReason.INVALID_SENDER, "tx.r"),
        (with_item(2, 9, b"\x02"), TxReason.INVALID_SENDER, "tx.y_parity"),
        (with_item(2, 2, b"\x01"), TxReason.TIP_ABOVE_FEE_CAP, "tx.max_priority"),
        (with_item(2, 1, b"\xff" * 8), TxReason.MALFORMED, "tx.nonce"),
        (with_item(2, 1, b"\x00\x01"), TxReason.MALFORMED, "tx.nonce"),
        (with_item(2, 4, b"\x01" + bytes(8)), TxReason.MALFORMED, "tx.gas_limit"),
        (with_item(2, 5, bytes(19)), TxReason.MALFORMED, "tx.to"),
        (with_item(2, 6, b"\x01" + bytes(32)), TxReason.MALFORMED, "tx.value"),
        (with_item(2, 7, []), TxReason.MALFORMED, "tx.data"),
        (with_item(2, 8, b""), TxReason.MALFORMED, "tx.access_list"),
        (with_item(2, 8, [[bytes(20)]]), TxReason.MALFORMED, "tx.access_list"),
        (with_item(1, 7, [[bytes(19), []]]), TxReason.MALFORMED, "tx.access_list.address"),
        (with_item(1, 7, [[bytes(20), [b"1"]]]), TxReason.MALFORMED, "tx.access_list.storage_key"),
        (b"\x02" + rlp.encode([b""] * 11), TxReason.MALFORMED, "tx"),
        (b"\x02" + rlp.encode(b"x" * 12), TxReason.MALFORMED, "tx"),
    ],
)
def test_refusals_name_the_field(raw, reason, field):
    assert refusal(raw) == (reason, field)


def test_another_signature_is_another_sender_and_the_cache_keeps_the_first():
    tx = decode(example_raw())
    assert tx.sender() is tx.sender()
    preset = tx.with_sender(b"\x01" * 20)
    assert preset.sender() == b"\x01" * 20
    assert preset == tx


def test_no_point_for_r_is_an_invalid_sender():
    """About half of all r are no abscissa of the curve."""
    reasons = set()
    for r in range(1, 40):
        try:
            decode(with_item(2, 10, bytes([r]))).sender()
        except InvalidTransaction as error:
            reasons.add(error.reason)
    assert reasons == {TxReason.INVALID_SENDER}


@given(st.integers(1, 2**64 - 1))
def test_deadline_transactions_round_trip(height):
    tx = DeadlineTransaction(height)
    assert decode_deadline(tx.raw) == tx
    assert len(tx.hash) == 32


@given(st.binary(max_size=20))
@example(b"\x91\x00")
@example(b"\x91\xcc\x01")
@example(b"\x91\x01\x01")
def test_deadline_transactions_are_strict(payload):
    raw = b"\x7e" + payload
    try:
        tx = decode_deadline(raw)
    except DecodeError:
        return
    assert tx.raw == raw
    assume(payload)


def test_a_deadline_transaction_has_its_own_type():
    with pytest.raises(DecodeError, match=r"deadline\.type"):
        decode_deadline(b"\x7d\x91\x01")
    with pytest.raises(DecodeError, match=r"deadline\.height"):
        DeadlineTransaction(0)


def vector_cases():
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    for path in sorted((Path(folder) / "evm/other/TransactionTests").rglob("*.json")):
        for name, case in json.loads(path.read_text("utf-8")).items():
            yield f"{path.parent.name}/{name}", bytes.fromhex(case["txbytes"][2:]), case["result"]


def is_unprotected(raw):
    if raw[0] < 0xC0:
        return False
    items = rlp.decode(raw, field="vector", max_bytes=TX_BYTES_MAX)
    return items[6] in (b"\x1b", b"\x1c")


def judge(raw):
    """Return (sender, hash, None), or (None, None, reason); the vectors' chain id is 1."""
    try:
        tx = decode(raw)
        sender = tx.sender()
    except InvalidTransaction as error:
        return None, None, error.reason
    if tx.chain_id != 1:
        return None, None, TxReason.WRONG_CHAIN
    return sender.hex(), tx.hash.hex(), None


def test_published_transactions():
    """ethereum/tests TransactionTests, judged as Cancun does.

    Departures: unprotected legacy transactions are refused; intrinsic gas and the product of
    gas limit and price are not the decoder's (the machine checks gas; there are no prices).
    """
    accepted, unprotected, refused = 0, 0, 0
    elsewhere = ("INTRINSIC_GAS_TOO_LOW", "GASLIMIT_PRICE_PRODUCT_OVERFLOW")
    for name, raw, results in vector_cases():
        result = results.get("Cancun") or results["London"]
        exception = result.get("exception", "")
        if any(reason in exception for reason in elsewhere):
            continue
        sender, tx_hash, reason = judge(raw)
        if exception:
            assert reason is not None, f"{name} must be refused: {exception}"
            refused += 1
        elif is_unprotected(raw):
            assert reason is TxReason.UNPROTECTED, name
            unprotected += 1
        else:
            assert (sender, tx_hash) == (result["sender"][2:], result["hash"][2:]), name
            accepted += 1
    assert (accepted > 15, unprotected > 15, refused > 100) == (True, True, True)


def test_the_signing_hash_covers_every_field():
    tx = decode(example_raw())
    others = {"chain_id": 78, "nonce": 4, "to": b"\x08" * 20, "gas_limit": 1, "data": b""}
    hashes = {signing_hash(decode(example_raw(**{k: v}))) for k, v in others.items()}
    assert len(hashes | {signing_hash(tx)}) == 6
