"""Signed, chained records of a certified meter, in the form of OCMF (SAFE e.V., version 1.4).

The signed bytes are the OCMF payload itself: JSON in one fixed form, with the registers in whole
Wh. The signature is ECDSA over secp256k1 of its SHA-256, as OCMF allows. Registers only rise, the
pagination counter rises by one, and each record names the hash of the one before (field "HP", an
extension), so a gap, a repetition or a rewritten past is seen by whoever holds the chain.
OBIS: 1-0:1.8.0 import, 1-0:2.8.0 export; 128 to 130 (for manufacturers) charged, discharged, lost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self, final

from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import Digest, tagged_hash
from crypto.keys import AccountKey, recover_address, verify_account
from market.agents.errors import RecordRefused

PAYLOAD_BYTES_MAX = 2048
OCMF_CHARS_MAX = PAYLOAD_BYTES_MAX + 512
METER_ID_CHARS_MAX = 64
GENESIS_HASH = bytes(32)
"""What the first record of a meter names as its predecessor."""

_REGISTERS = (
    ("import_wh", "1-0:1.8.0"),
    ("export_wh", "1-0:2.8.0"),
    ("charged_wh", "1-0:128.8.0"),
    ("discharged_wh", "1-0:129.8.0"),
    ("loss_wh", "1-0:130.8.0"),
)
_FORMAT_VERSION = "1.4"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
_ALGORITHM = "ECDSA-secp256k1-SHA256"
_U63 = 2**63 - 1


class MeterStatus(StrEnum):
    """OCMF's ST: what the reading is worth."""

    GOOD = "G"
    MANIPULATED = "M"
    ERROR = "E"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Cumulative Wh since the meter was installed; none ever decreases."""

    import_wh: int = 0
    export_wh: int = 0
    charged_wh: int = 0
    discharged_wh: int = 0
    loss_wh: int = 0

    def __post_init__(self) -> None:
        for name, _ in _REGISTERS:
            if not 0 <= getattr(self, name) <= _U63:
                raise DecodeError(name, f"must lie in 0..{_U63}, got {getattr(self, name)}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRecord:
    """One reading of all registers, signed by the meter."""

    meter_id: str
    pagination: int
    """Counts the meter's records from 1, without gaps."""
    time_ms: int
    """End of the quarter-hour, Unix ms."""
    registers: Registers
    status: MeterStatus
    previous: bytes
    """32 bytes: `hash` of the record before; zeros in the first."""
    signature: bytes
    """65 bytes, r | s | y parity, over the SHA-256 of `payload`."""

    def __post_init__(self) -> None:
        if not 0 < len(self.meter_id) <= METER_ID_CHARS_MAX or not self.meter_id.isascii():
            raise DecodeError("GS", f"must be 1 to {METER_ID_CHARS_MAX} ASCII characters")
        if not 1 <= self.pagination <= _U63:
            raise DecodeError("PG", f"must lie in 1..{_U63}, got {self.pagination}")
        if not 0 <= self.time_ms < 253_402_300_800_000:
            raise DecodeError("TM", "must lie in the years 1970 to 9999")
        if len(self.previous) != 32:
            raise DecodeError("HP", f"must be 32 bytes, got {len(self.previous)}")
        if len(self.signature) != 65:
            raise DecodeError("signature", f"must be 65 bytes, got {len(self.signature)}")

    @property
    def payload(self) -> bytes:
        """The exact bytes that are signed: OCMF's first section."""
        return _render(self)

    @property
    def hash(self) -> Digest:
        """Names this record in the next one, and on the chain."""
        return tagged_hash(b"hearth/meter/record", self.payload)

    @classmethod
    def sign(
        cls,
        key: AccountKey,
        *,
        meter_id: str,
        pagination: int,
        time_ms: int,
        registers: Registers,
        previous: bytes,
        status: MeterStatus = MeterStatus.GOOD,
    ) -> Self:
        """Return the record of these values, signed with the meter's key."""

        def build(signature: bytes) -> Self:
            return cls(
                meter_id=meter_id,
                pagination=pagination,
                time_ms=time_ms,
                registers=registers,
                status=status,
                previous=previous,
                signature=signature,
            )

        return build(key.sign65(sha256(build(bytes(65)).payload).digest()))


def _render(record: MeterRecord) -> bytes:
    moment = datetime.fromtimestamp(record.time_ms // 1000, UTC).strftime(_TIME_FORMAT)
    time = f"{moment},{record.time_ms % 1000:03d}+0000 S"
    readings = [
        {
            "TM": time,
            "RV": getattr(record.registers, name),
            "RI": obis,
            "RU": "Wh",
            "ST": record.status.value,
        }
        for name, obis in _REGISTERS
    ]
    payload = {
        "FV": _FORMAT_VERSION,
        "GI": "hearth",
        "GS": record.meter_id,
        "PG": f"T{record.pagination}",
        "RD": readings,
        "HP": record.previous.hex(),
    }
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def parse_record(payload: bytes, signature: bytes) -> MeterRecord:
    """Return the record whose exact payload is `payload`; the signature is not verified here.

    Raises:
        DecodeError: naming the field; any other form of the same values too.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        message = f"must be at most {PAYLOAD_BYTES_MAX} bytes, got {len(payload)}"
        raise DecodeError("payload", message)
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        raise DecodeError("payload", "is not JSON") from None
    readings = _get(fields, "RD", list)
    if len(readings) != len(_REGISTERS):
        raise DecodeError("RD", f"must have {len(_REGISTERS)} readings, got {len(readings)}")
    record = MeterRecord(
        meter_id=_get(fields, "GS", str),
        pagination=_read_pagination(_get(fields, "PG", str)),
        time_ms=_read_time(_get(readings[0], "TM", str)),
        registers=Registers(
            **{
                name: _get(reading, "RV", int)
                for (name, _), reading in zip(_REGISTERS, readings, strict=True)
            }
        ),
        status=_read_status(_get(readings[0], "ST", str)),
        previous=_read_hash(_get(fields, "HP", str)),
        signature=signature,
    )
    if record.payload != payload:
        raise DecodeError("payload", "is not in its one form")
    return record


def _get(fields: Any, name: str, kind: type) -> Any:
    if not isinstance(fields, dict) or name not in fields:
        raise DecodeError(name, "is missing")
    if type(fields[name]) is not kind:
        raise DecodeError(name, f"must be {kind.__name__}, got {type(fields[name]).__name__}")
    return fields[name]


def _read_pagination(text: str) -> int:
    if not text.startswith("T") or not text[1:].isascii() or not text[1:].isdigit():
        raise DecodeError("PG", 'must be "T" and a number')
    if len(text) > 20:
        raise DecodeError("PG", "must have at most 19 digits")
    return int(text[1:])


def _read_time(text: str) -> int:
    head, _, rest = text.partition(",")
    try:
        moment = datetime.strptime(head, _TIME_FORMAT).replace(tzinfo=UTC)
        seconds = int(moment.timestamp())
        milliseconds = int(rest[:3])
    except ValueError:
        raise DecodeError("TM", "must be a UTC time with milliseconds") from None
    return seconds * 1000 + milliseconds


def _read_status(text: str) -> MeterStatus:
    if text not in set(MeterStatus):
        raise DecodeError("ST", f"unknown status {text[:8]!r}")
    return MeterStatus(text)


def _read_hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DecodeError("HP", "must be hexadecimal") from None


# Chains ------------------------------------------------------------------------------------------


def verify_next(previous: MeterRecord | None, record: MeterRecord, account: bytes) -> None:
    """Accept `record` as the meter's next after `previous` (None: its first), or raise.

    Raises:
        RecordRefused: another meter or key, a gap, a repetition, a decrease, time that does not
            rise, or another predecessor.
    """
    try:
        verify_account(account, sha256(record.payload).digest(), record.signature)
    except InvalidSignature as error:
        raise RecordRefused("signature", str(error)) from None
    expected = previous.pagination + 1 if previous else 1
    if record.pagination != expected:
        raise RecordRefused("pagination", f"must be {expected}, got {record.pagination}")
    if record.previous != (previous.hash if previous else GENESIS_HASH):
        raise RecordRefused("previous", "is not the hash of the record before")
    if previous is None:
        return
    if record.meter_id != previous.meter_id:
        raise RecordRefused("meter_id", f"must be {previous.meter_id}, got {record.meter_id}")
    if record.time_ms <= previous.time_ms:
        raise RecordRefused("time_ms", f"must be above {previous.time_ms}, got {record.time_ms}")
    for name, _ in _REGISTERS:
        before, now = getattr(previous.registers, name), getattr(record.registers, name)
        if now < before:
            raise RecordRefused(name, f"must not decrease: {before} before, {now} now")


def verify_chain(records: Sequence[MeterRecord], account: bytes) -> None:
    """Accept a meter's records from its first on, or raise as `verify_next` does."""
    previous = None
    for record in records:
        verify_next(previous, record, account)
        previous = record


# OCMF --------------------------------------------------------------------------------------------


def to_ocmf(record: MeterRecord) -> str:
    """Return "OCMF|payload|signature" for any tool that reads OCMF."""
    signature = {"SA": _ALGORITHM, "SD": _der(record.signature).hex()}
    tail = json.dumps(signature, separators=(",", ":"))
    return f"OCMF|{record.payload.decode('ascii')}|{tail}"


def _der(signature: bytes) -> bytes:
    """Return r and s as ASN.1 DER, in which OCMF carries signatures."""
    body = b""
    for number in (signature[:32], signature[32:64]):
        content = number.lstrip(b"\0")
        if not content or content[0] & 0x80:
            content = b"\0" + content
        body += bytes((0x02, len(content))) + content
    return bytes((0x30, len(body))) + body


def from_ocmf(text: str, account: bytes) -> MeterRecord:
    """Return the record that `to_ocmf` wrote, its signature by the meter's `account` verified.

    Raises:
        DecodeError: naming the part; any other form of the same values too.
        RecordRefused: another key signed.
    """
    if len(text) > OCMF_CHARS_MAX or not text.isascii():
        raise DecodeError("ocmf", f"must be at most {OCMF_CHARS_MAX} ASCII characters")
    parts = text.split("|")
    if len(parts) != 3 or parts[0] != "OCMF":
        raise DecodeError("ocmf", 'must be "OCMF|payload|signature"')
    payload = parts[1].encode("ascii")
    r, s = _read_signature(parts[2])
    digest = sha256(payload).digest()
    for y_parity in (0, 1):  # DER has no room for it; only one of the two recovers the account.
        try:
            signer = recover_address(digest, r, s, y_parity)
        except InvalidSignature:
            continue
        if signer == account:
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
            record = parse_record(payload, signature)
            if to_ocmf(record) != text:
                raise DecodeError("ocmf", "is not in its one form")
            return record
    raise RecordRefused("signature", f"is not by 0x{account.hex()}")


def _read_signature(text: str) -> tuple[int, int]:
    """Return (r, s) of the signature section; its exact form is checked by writing it again."""
    try:
        fields = json.loads(text)
        body = bytes.fromhex(_get(fields, "SD", str))
    except (ValueError, RecursionError) as error:
        raise DecodeError("signature", f"is not OCMF's: {error}") from None
    if len(body) < 8 or body[0] != 0x30 or body[2] != 0x02 or body[3] > 33:
        raise DecodeError("SD", "must be a DER sequence of two integers")
    r, rest = body[4 : 4 + body[3]], body[4 + body[3] :]
    if len(rest) < 2 or rest[0] != 0x02 or not 0 < rest[1] <= 33 or len(rest) != 2 + rest[1]:
        raise DecodeError("SD", "must be a DER sequence of two integers")
    numbers = int.from_bytes(r, "big"), int.from_bytes(rest[2:], "big")
    if max(numbers) >= 2**256:
        raise DecodeError("SD", "r and s must be below 2**256")
    return numbers
