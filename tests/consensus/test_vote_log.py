"""The vote log: whole frames come back, a torn tail is cut off, damage stops us (rule 26)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import Head, PreparedCertificate
from consensus.errors import CorruptLog
from consensus.messages import NewView, ViewChange
from consensus.tally import prepared_certificate
from consensus.vote_log import (
    CommitRecord,
    NewViewRecord,
    ProposalRecord,
    Replay,
    ViewChangeRecord,
    compact,
    encode_frame,
    replay,
)
from crypto.codec import encode
from crypto.hashing import tagged_hash
from tests.consensus.net import GENESIS, Signatory, make_membership, slot
from tests.consensus.strategies import bodies, certificates, new_views, vote_fields
from tests.consensus.strategies import view_changes as some_view_changes

SIGNATORY = Signatory(make_membership(4))


def records_of(body=b"body", view=0, height=1, term=0):
    place = slot(view=view, height=height, term=term)
    proposal = SIGNATORY.pre_prepare(0, place, body)
    prepares = [SIGNATORY.prepare(i, place, proposal.digest) for i in (1, 2)]
    certificate = prepared_certificate(proposal, prepares, 3)
    commit = SIGNATORY.commit(1, place, proposal.digest)
    head = Head(height=0, digest=GENESIS, seal=None)
    signature = b"s" * 64
    at = slot(view=view + 1, height=0, term=term)
    change = ViewChange(slot=at, head=head, prepared=None, sender=1, signature=signature)
    new_view = NewView(slot=at, view_changes=(change,), sender=1, signature=signature)
    return (
        ProposalRecord(proposal, prepares[0]),
        ProposalRecord(proposal, None),
        CommitRecord(certificate, commit),
        ViewChangeRecord(change),
        NewViewRecord(new_view),
    )


def log_of(*frames):
    data = b""
    for records in frames:
        data += encode_frame(records, len(data))
    return data


def test_frames_come_back_in_order():
    records = records_of()
    data = log_of(records[:2], records[2:3], records[3:])
    assert replay(data) == Replay(records, len(data))
    assert replay(b"") == Replay((), 0)


def test_a_tail_torn_at_any_byte_is_cut_off():
    records = records_of()
    whole = log_of(records[:1])
    data = log_of(records[:1], records[1:])
    for length in range(len(whole), len(data)):
        assert replay(data[:length]) == Replay(records[:1], len(whole))


def test_a_tail_whose_bytes_never_reached_the_disk_is_cut_off():
    records = records_of()
    whole = log_of(records[:1])
    assert replay(whole + b"\0" * 300) == Replay(records[:1], len(whole))


def test_damage_before_a_whole_frame_stops_the_node():
    records = records_of()
    first = len(log_of(records[:1]))
    data = log_of(records[:1], records[1:2])
    for place in range(first):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(CorruptLog, match="damaged at byte 0, before a whole frame"):
            replay(bytes(damaged))


def test_damage_in_the_last_frame_cannot_be_told_from_a_torn_one():
    records = records_of()
    first = len(log_of(records[:1]))
    data = bytearray(log_of(records[:1], records[1:2]))
    data[-1] ^= 1
    assert replay(bytes(data)) == Replay(records[:1], first)


def test_a_body_cannot_pass_for_a_frame():
    inner = log_of(records_of())
    first = log_of(records_of()[:1])
    hostile = records_of(body=inner * 3)[:1]
    torn = log_of(records_of()[:1], hostile)[:-1]
    assert replay(torn) == Replay(records_of()[:1], len(first))


def test_a_frame_moved_to_another_place_is_refused():
    frame = log_of(records_of()[:1])
    assert replay(b"x" + frame).valid_bytes == 0


@pytest.mark.parametrize("value", [[[9, 1]], [[1, 2]], [[]], 7, [[3, [17, GENESIS]]]])
def test_a_whole_frame_of_nonsense_stops_the_node(value):
    payload = encode(value)
    length = len(payload).to_bytes(4, "big")
    at = (0).to_bytes(8, "big")
    header = tagged_hash(b"hearth/vote-log/header/1", at, length)[:8]
    check = tagged_hash(b"hearth/vote-log/1", at, payload)[:16]
    with pytest.raises(CorruptLog, match="frame at byte 0"):
        replay(length + header + check + payload)


def test_a_frame_too_large_is_refused_when_it_is_made():
    large = records_of(body=b"x" * (1 << 20))[:1] * 6
    with pytest.raises(ValueError, match="frame must be at most"):
        encode_frame(large, 0)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_torn_frame(data):
    assert replay(data) == Replay((), 0)


proposals = st.builds(SIGNATORY.pre_prepare, st.just(0), st.just(slot()), bodies)


@given(proposals, certificates, some_view_changes(), new_views(), st.data())
def test_every_record_survives_its_bytes(proposal, certificate, change, new_view, data):
    from consensus.messages import Commit

    records = (
        ProposalRecord(proposal, None),
        CommitRecord(certificate, data.draw(st.builds(Commit, **vote_fields))),
        ViewChangeRecord(change),
        NewViewRecord(new_view),
    )
    assert isinstance(certificate, PreparedCertificate)
    raw = encode_frame(records, 0)
    assert replay(raw) == Replay(records, len(raw))
    assert encode_frame(replay(raw).records, 0) == raw


def test_compaction_keeps_what_still_binds():
    low, high = records_of(height=3), records_of(height=4)[1:]
    kept = compact(low + high, epoch=0, term=0, height=3)
    assert kept == high
    assert compact(low + high, epoch=0, term=1, height=4) == ()
    assert compact(high, epoch=1, term=0, height=3) == ()


def test_compaction_keeps_the_highest_view_and_the_certified_proposal():
    first, second, third = (records_of(body=b"%d" % v, view=v) for v in range(3))
    log = (first[0], first[2], second[0], second[2], third[0], *first[3:], *third[3:])
    kept = compact(log, epoch=0, term=0, height=0)
    assert kept == (second[0], second[2], third[0], *third[3:])


def test_compaction_keeps_view_changes_of_terms_that_the_head_has_not_reached():
    """A block store that is older than the log: dropped, they would be forgotten for good."""
    now, later = records_of(), records_of(term=2, height=40)
    kept = compact(now + later, epoch=0, term=0, height=16)
    assert kept == (*now[3:], *later)
