"""Meter records: signed bytes, an unbroken chain, OCMF; strict in every part."""

import json
from dataclasses import replace
from hashlib import sha256

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.devices.meter_record import (
    GENESIS_HASH,
    MeterRecord,
    MeterStatus,
    Registers,
    from_ocmf,
    parse_record,
    to_ocmf,
    verify_chain,
    verify_next,
)
from market.agents.errors import RecordRefused

KEY = AccountKey(tagged_hash(b"test/meter", b"1"))
OTHER = AccountKey(tagged_hash(b"test/meter", b"2"))
REGISTER = st.integers(0, 2**63 - 1)

records = st.builds(
    lambda **values: MeterRecord.sign(KEY, **values),
    meter_id=st.text(st.characters(codec="ascii"), min_size=1, max_size=64).filter(
        lambda text: "|" not in text
    ),
    pagination=st.integers(1, 2**63 - 1),
    time_ms=st.integers(0, 253_402_300_799_999),
    registers=st.builds(
        Registers,
        import_wh=REGISTER,
        export_wh=REGISTER,
        charged_wh=REGISTER,
        discharged_wh=REGISTER,
        loss_wh=REGISTER,
    ),
    previous=st.binary(min_size=32, max_size=32),
    status=st.sampled_from(MeterStatus),
)


def chain(length: int) -> list[MeterRecord]:
    made: list[MeterRecord] = []
    for i in range(length):
        made.append(
            MeterRecord.sign(
                KEY,
                meter_id="H-1",
                pagination=i + 1,
                time_ms=1_700_000_000_000 + i * 900_000,
                registers=Registers(import_wh=10 * i, export_wh=3 * i, charged_wh=i),
                previous=made[-1].hash if made else GENESIS_HASH,
            )
        )
    return made


def resigned(record: MeterRecord, key: AccountKey = KEY, **changes) -> MeterRecord:
    """The same record with changed values, signed by `key`: what a dishonest meter would write."""
    changed = replace(record, **changes)
    return replace(changed, signature=key.sign65(sha256(changed.payload).digest()))


@given(records)
def test_payload_and_ocmf_parse_to_the_same_record(record) -> None:
    assert parse_record(record.payload, record.signature) == record
    assert from_ocmf(to_ocmf(record), KEY.address) == record


@given(records, st.data())
def test_what_parses_renders_to_the_same_bytes(record, data) -> None:
    payload = bytearray(record.payload)
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(32, 126))
    try:
        parsed = parse_record(bytes(payload), record.signature)
    except DecodeError:
        return
    assert parsed.payload == bytes(payload)


@given(st.binary(max_size=300))
def test_garbage_is_refused(payload) -> None:
    with pytest.raises(DecodeError):
        parse_record(payload, bytes(65))


@given(st.text(max_size=200))
def test_garbage_is_no_ocmf(text) -> None:
    with pytest.raises(DecodeError):
        from_ocmf(text, KEY.address)


def test_a_whole_chain_is_accepted() -> None:
    verify_chain(chain(5), KEY.address)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pagination": 2}, "pagination"),
        ({"pagination": 4}, "pagination"),
        ({"previous": bytes(32)}, "previous"),
        ({"meter_id": "H-2"}, "meter_id"),
        ({"time_ms": 1_700_000_900_000}, "time_ms"),
        ({"registers": Registers(import_wh=9, export_wh=6, charged_wh=2)}, "import_wh"),
        ({"registers": Registers(import_wh=20, export_wh=2, charged_wh=2)}, "export_wh"),
        ({"registers": Registers(import_wh=20, export_wh=6, charged_wh=0)}, "charged_wh"),
    ],
)
def test_a_broken_chain_names_the_field(changes, field) -> None:
    first, second, third = chain(3)
    with pytest.raises(RecordRefused) as caught:
        verify_chain([first, second, resigned(third, **changes)], KEY.address)
    assert caught.value.field == field


def test_a_gap_is_refused() -> None:
    first, _, third = chain(3)
    with pytest.raises(RecordRefused, match="pagination: must be 2, got 3"):
        verify_chain([first, third], KEY.address)


def test_a_chain_begins_with_its_first_record() -> None:
    with pytest.raises(RecordRefused, match="pagination: must be 1, got 2"):
        verify_next(None, chain(2)[1], KEY.address)


def test_another_key_is_refused() -> None:
    (record,) = chain(1)
    with pytest.raises(RecordRefused, match="signature"):
        verify_next(None, resigned(record, OTHER), KEY.address)
    with pytest.raises(RecordRefused, match="signature"):
        from_ocmf(to_ocmf(record), OTHER.address)


def test_changed_bytes_do_not_verify() -> None:
    (record,) = chain(1)
    with pytest.raises(RecordRefused, match="signature"):
        verify_next(None, replace(record, registers=Registers(export_wh=1)), KEY.address)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda p: p.update(GS=1), "GS"),
        (lambda p: p.update(GS=""), "GS"),
        (lambda p: p.update(PG="F1"), "PG"),
        (lambda p: p.update(PG="T0"), "PG"),
        (lambda p: p.update(PG="T01"), "payload"),
        (lambda p: p.update(HP="00"), "HP"),
        (lambda p: p.update(HP="zz"), "HP"),
        (lambda p: p.pop("RD"), "RD"),
        (lambda p: p["RD"].pop(), "RD"),
        (lambda p: p["RD"][0].update(RV=-1), "import_wh"),
        (lambda p: p["RD"][0].update(RV=1.0), "RV"),
        (lambda p: p["RD"][0].update(TM="yesterday"), "TM"),
        (lambda p: p["RD"][0].update(ST="X"), "ST"),
        (lambda p: p["RD"][1].update(RI="1-0:1.8.0"), "payload"),
        (lambda p: p.update(FV="1.0"), "payload"),
        (lambda p: p.update(XX=1), "payload"),
    ],
)
def test_a_bad_field_is_named(change, field) -> None:
    fields = json.loads(chain(1)[0].payload)
    change(fields)
    with pytest.raises(DecodeError) as caught:
        parse_record(json.dumps(fields, separators=(",", ":")).encode(), bytes(65))
    assert caught.value.field == field


def test_an_independent_verifier_accepts_the_ocmf_signature() -> None:
    """OCMF: the signature is over the original bytes of the payload, DER in hex."""
    header, payload, signature = to_ocmf(chain(2)[1]).split("|")
    fields = json.loads(signature)
    assert (header, fields["SA"]) == ("OCMF", "ECDSA-secp256k1-SHA256")
    public = coincurve.PublicKey(b"\x04" + KEY.public)
    assert public.verify(bytes.fromhex(fields["SD"]), payload.encode())
    assert [reading["RI"] for reading in json.loads(payload)["RD"]][:2] == [
        "1-0:1.8.0",
        "1-0:2.8.0",
    ]
