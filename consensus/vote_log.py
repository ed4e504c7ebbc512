"""The vote log: what this replica has promised, so that a power cut cannot unsay it (rule 23).

A pure format; the shell appends each frame and syncs it before anything that the records
promise leaves the node. One `Persist` is one frame, so at most the last frame can be torn:

    length: u32 big-endian | header check: 8 bytes | payload check: 16 bytes | payload

The payload is the canonical msgpack array of the records. Both checks cover the frame's
offset in the file; without it, a block body could carry bytes that pass for a frame. The
header has its own check so that a search for frames after damage stays cheap.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, assert_never, final

from consensus.certificates import PreparedCertificate, Slot
from consensus.config import MAX_BODY_BYTES, MAX_NEW_VIEW_BYTES
from consensus.errors import CorruptLog, MalformedMessage
from consensus.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from consensus.wire import certificate_to_value, from_value, read_certificate, to_value
from crypto.codec import Encodable, Value, as_int, as_list, decode, encode
from crypto.errors import DecodeError
from crypto.hashing import tagged_hash

_TAG = b"hearth/vote-log/1"
_HEADER_TAG = b"hearth/vote-log/header/1"
_LENGTH_BYTES = 4
_HEADER_CHECK_BYTES = 8
_PAYLOAD_CHECK_BYTES = 16
_HEADER_BYTES = _LENGTH_BYTES + _HEADER_CHECK_BYTES + _PAYLOAD_CHECK_BYTES
MAX_FRAME_BYTES = MAX_NEW_VIEW_BYTES + 2 * MAX_BODY_BYTES
"""Bound of one frame's payload: a step persists at most a new view and a proposal."""


@final
@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposal with its body, and the own vote for it: the PRE-PREPARE itself or a PREPARE."""

    TAG: ClassVar[int] = 1
    pre_prepare: PrePrepare
    prepare: Prepare | None
    """None when this replica is the primary that signed `pre_prepare`."""


@final
@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A prepared certificate and the own COMMIT that rests on it."""

    TAG: ClassVar[int] = 2
    certificate: PreparedCertificate
    commit: Commit


@final
@dataclass(frozen=True, slots=True)
class ViewChangeRecord:
    """The own VIEW-CHANGE: from here on no vote in a lower view of its term (rule 10)."""

    TAG: ClassVar[int] = 3
    view_change: ViewChange


@final
@dataclass(frozen=True, slots=True)
class NewViewRecord:
    """An entered view: the NEW-VIEW that this replica made or accepted."""

    TAG: ClassVar[int] = 4
    new_view: NewView


Record = ProposalRecord | CommitRecord | ViewChangeRecord | NewViewRecord


@final
@dataclass(frozen=True, slots=True)
class Replay:
    """What a log holds: the records in order, and how many bytes of it are whole frames."""

    records: tuple[Record, ...]
    valid_bytes: int
    """Truncate the file to this before appending: the rest is a torn frame."""


def encode_frame(records: tuple[Record, ...], offset: int) -> bytes:
    """Bytes to append for one `Persist` when the file is `offset` bytes long."""
    payload = encode([_to_value(record) for record in records])
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"frame must be at most {MAX_FRAME_BYTES} bytes, got {len(payload)}")
    length = len(payload).to_bytes(_LENGTH_BYTES, "big")
    return length + _header_check(offset, length) + _payload_check(offset, payload) + payload


def replay(data: bytes) -> Replay:
    """Read a whole log file.

    Raises:
        CorruptLog: a frame is damaged and a whole one follows it, or a whole frame holds
            what we never write. Nothing may be guessed then (rule 26). Damage that only
            reaches into the last frame is a write that never finished: it is cut off.
    """
    records: list[Record] = []
    offset = 0
    while offset < len(data):
        payload = _frame_at(data, offset)
        if payload is None:
            _require_torn_tail(data, offset)
            break
        records.extend(_read_records(payload, offset))
        offset += _HEADER_BYTES + len(payload)
    return Replay(tuple(records), offset)


def compact(records: Iterable[Record], *, epoch: int, term: int, height: int) -> tuple[Record, ...]:
    """The records that still bind a replica whose head is at `height`, durably.

    Votes at or below the head are void, because the head is decided; view changes and new
    views bind until their term is over, also those of terms that the head has not reached (a
    block store older than the log). Views only grow, so of each kind and height, or term, the
    record of the highest view suffices, and the proposal that the certificate is for. `epoch`
    and `term` are those of `height` + 1.
    """
    bound = [record for record in records if _is_bound(record, epoch, term, height)]
    newest: dict[tuple[int, int, int], Record] = {}
    for record in bound:
        slot = record_slot(record)
        is_vote = isinstance(record, ProposalRecord | CommitRecord)
        key = (record.TAG, slot.epoch, slot.height if is_vote else slot.term)
        known = newest.get(key)
        if known is None or record_slot(known).view <= slot.view:
            newest[key] = record
    kept = list(newest.values())
    certified = [record.certificate.slot for record in kept if isinstance(record, CommitRecord)]
    return tuple(
        record
        for record in bound
        if any(record is one for one in kept)
        or (isinstance(record, ProposalRecord) and record.pre_prepare.slot in certified)
    )


def _is_bound(record: Record, epoch: int, term: int, height: int) -> bool:
    slot = record_slot(record)
    if slot.epoch != epoch:
        return slot.epoch > epoch  # Of a later epoch: the block store is older than the log.
    if isinstance(record, ProposalRecord | CommitRecord):
        return slot.height > height
    return slot.term >= term


def record_slot(record: Record) -> Slot:
    """The slot that a record binds."""
    match record:
        case ProposalRecord(pre_prepare):
            return pre_prepare.slot
        case CommitRecord(certificate):
            return certificate.slot
        case ViewChangeRecord(view_change):
            return view_change.slot
        case NewViewRecord(new_view):
            return new_view.slot
        case _:
            assert_never(record)


def _header_check(offset: int, length: bytes) -> bytes:
    return tagged_hash(_HEADER_TAG, offset.to_bytes(8, "big"), length)[:_HEADER_CHECK_BYTES]


def _payload_check(offset: int, payload: bytes) -> bytes:
    return tagged_hash(_TAG, offset.to_bytes(8, "big"), payload)[:_PAYLOAD_CHECK_BYTES]


def _frame_at(data: bytes, offset: int) -> bytes | None:
    """The payload of the whole frame at `offset`, or None."""
    start = offset + _HEADER_BYTES
    if start > len(data):
        return None
    length = data[offset : offset + _LENGTH_BYTES]
    check = offset + _LENGTH_BYTES + _HEADER_CHECK_BYTES
    if data[offset + _LENGTH_BYTES : check] != _header_check(offset, length):
        return None
    payload = data[start : start + int.from_bytes(length, "big")]
    whole = len(payload) == int.from_bytes(length, "big")
    return payload if whole and data[check:start] == _payload_check(offset, payload) else None


def _require_torn_tail(data: bytes, damaged: int) -> None:
    # The length itself may be what is damaged, so look at every later offset.
    for offset in range(damaged + 1, len(data) - _HEADER_BYTES + 1):
        if _frame_at(data, offset) is not None:
            raise CorruptLog(
                f"vote log is damaged at byte {damaged}, before a whole frame at {offset}"
            )


def _to_value(record: Record) -> list[Encodable]:
    match record:
        case ProposalRecord(pre_prepare, prepare):
            vote = None if prepare is None else to_value(prepare)
            return [record.TAG, to_value(pre_prepare), vote]
        case CommitRecord(certificate, commit):
            return [record.TAG, certificate_to_value(certificate), to_value(commit)]
        case ViewChangeRecord(view_change):
            return [record.TAG, to_value(view_change)]
        case NewViewRecord(new_view):
            return [record.TAG, to_value(new_view)]
        case _:
            assert_never(record)


def _read_records(payload: bytes, offset: int) -> list[Record]:
    try:
        values = as_list(decode(payload, field="frame", max_bytes=MAX_FRAME_BYTES), "frame")
        return [_read_record(value) for value in values]
    except (DecodeError, MalformedMessage) as error:
        raise CorruptLog(f"vote log frame at byte {offset}: {error}") from error


def _read_record(value: Value) -> Record:
    fields = as_list(value, "record", max_length=3)
    tag = as_int(fields[0] if fields else None, "record.tag", 1, 4)
    if tag == ProposalRecord.TAG and len(fields) == 3:
        pre_prepare = from_value(fields[1])
        prepare = None if fields[2] is None else from_value(fields[2])
        if isinstance(pre_prepare, PrePrepare) and isinstance(prepare, Prepare | None):
            return ProposalRecord(pre_prepare, prepare)
    elif tag == CommitRecord.TAG and len(fields) == 3:
        commit = from_value(fields[2])
        if isinstance(commit, Commit):
            return CommitRecord(read_certificate(fields[1], "certificate"), commit)
    elif len(fields) == 2:
        message = from_value(fields[1])
        if tag == ViewChangeRecord.TAG and isinstance(message, ViewChange):
            return ViewChangeRecord(message)
        if tag == NewViewRecord.TAG and isinstance(message, NewView):
            return NewViewRecord(message)
    raise DecodeError("record", f"tag {tag} does not fit its fields")
