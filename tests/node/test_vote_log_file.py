"""The vote log on disk: what was synced survives, and damage is never guessed at."""

import os

import pytest

from consensus.certificates import Slot
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from consensus.messages import PrePrepare
from consensus.vote_log import ProposalRecord
from crypto.hashing import tagged_hash
from node.errors import CorruptStore, StorageError
from node.storage import vote_log
from node.storage.vote_log import VoteLogFile


def record(height: int, body: bytes = b"body") -> ProposalRecord:
    slot = Slot(epoch=Epoch(0), term=Term(0), view=View(0), height=Height(height))
    return ProposalRecord(
        PrePrepare(
            slot=slot,
            digest=tagged_hash(b"block", body),
            sender=MemberIndex(1),
            signature=bytes(64),
            body=body,
        ),
        None,
    )


def test_appended_records_are_replayed(tmp_path):
    log = VoteLogFile(tmp_path / "votes.log")
    log.append((record(1), record(2)))
    log.append((record(3),))
    log.sync()
    log.close()
    again = VoteLogFile(tmp_path / "votes.log")
    assert again.records == (record(1), record(2), record(3))
    again.append((record(4),))
    again.close()
    last = VoteLogFile(tmp_path / "votes.log")
    assert last.records[-1] == record(4)
    last.close()


def test_a_log_torn_at_any_byte_gives_the_frames_before(tmp_path):
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    log.append((record(1),))
    whole = log.size
    log.append((record(2),))
    log.close()
    data = path.read_bytes()
    for cut in range(whole, len(data)):
        path.write_bytes(data[:cut])
        again = VoteLogFile(path)
        assert again.records == (record(1),)
        assert path.stat().st_size == again.size == whole
        again.append((record(3),))
        again.close()
        once_more = VoteLogFile(path)
        assert once_more.records == (record(1), record(3))
        once_more.close()


def test_damage_before_the_tail_stops_the_node(tmp_path):
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    log.append((record(1),))
    log.append((record(2),))
    log.close()
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptStore, match="must not vote"):
        VoteLogFile(path)


def test_decided_records_are_dropped_and_the_file_shrinks(tmp_path, monkeypatch):
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 4000)
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    for height in range(1, 200):
        log.append((record(height, bytes(100)),))
        log.sync()
        log.advance(epoch=0, term=0, height=height - 1)
        assert log.records == (record(height, bytes(100)),)
        assert path.stat().st_size == log.size < 5000
    log.close()
    again = VoteLogFile(path)
    assert again.records[-1] == record(199, bytes(100))
    again.close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_disk_is_an_error_that_says_stop(tmp_path, monkeypatch):
    log = VoteLogFile(tmp_path / "votes.log")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(StorageError, match="must stop"):
        log.append((record(1),))
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StorageError, match="must stop"):
        log.sync()
    log.close()
