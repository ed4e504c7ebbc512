"""The vote log on disk: what was synced survives, and damage is never guessed at."""

import os

import pytest

from consensus.certificates import Slot
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from consensus.messages import Prepare, PrePrepare
from consensus.vote_log import ProposalRecord
from crypto.hashing import tagged_hash
from node.errors import CorruptStore, StorageError
from node.storage import vote_log
from node.storage.vote_log import VoteLogFile, begin_log, distrust_log


def record(height: int, body: bytes = b"body", *, view: int = 0) -> ProposalRecord:
    slot = Slot(epoch=Epoch(0), term=Term(0), view=View(view), height=Height(height))
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


def read(path):
    log = VoteLogFile(path)
    log.close()
    return log.records


def write(log, *groups):
    for group in groups:
        log.append(group)
    log.sync()


def test_synced_records_are_replayed(tmp_path):
    log = VoteLogFile(tmp_path / "votes.log")
    write(log, (record(1), record(2)))
    write(log, (record(3),), (record(4),))
    log.close()
    again = VoteLogFile(tmp_path / "votes.log")
    assert again.records == tuple(map(record, (1, 2, 3, 4)))
    write(again, (record(5),))
    again.close()
    assert read(tmp_path / "votes.log")[-1] == record(5)


def test_what_was_not_synced_was_never_promised(tmp_path):
    log = VoteLogFile(tmp_path / "votes.log")
    write(log, (record(1),))
    log.append((record(2),))
    log.close()
    assert read(tmp_path / "votes.log") == (record(1),)


def test_what_is_synced_together_is_one_frame(tmp_path):
    """A crash may keep a later page and lose an earlier one, so two frames could not be told."""
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    write(log, (record(1),))
    whole = log.size
    write(log, (record(2),), (record(3),))
    log.close()
    data = bytearray(path.read_bytes())
    data[whole + 30] ^= 1
    path.write_bytes(data)
    assert read(path) == (record(1),)


def test_a_log_torn_at_any_byte_gives_the_frames_before(tmp_path):
    """The rest of the frame is zeros, as the file was filled ahead, or the file is shorter."""
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    write(log, (record(1),))
    whole = log.size
    write(log, (record(2),))
    end = log.size
    log.close()
    data = path.read_bytes()
    for cut in range(whole, end):
        for tail in (b"", bytes(end - cut + 100)):
            path.write_bytes(data[:cut] + tail)
            again = VoteLogFile(path)
            is_whole = not any(data[cut:end]) and tail
            assert again.records == ((record(1), record(2)) if is_whole else (record(1),))
            assert path.stat().st_size == again.size
            write(again, (record(3),))
            again.close()
            assert read(path)[-1] == record(3)


def test_damage_before_the_tail_stops_the_node(tmp_path):
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    write(log, (record(1),))
    write(log, (record(2),))
    log.close()
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptStore, match="must not vote"):
        VoteLogFile(path)


def test_records_that_end_in_zeros_are_read_whole(tmp_path):
    """The signatures here are all zeros; the file's own zeros follow at once."""
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    proposal = record(1).pre_prepare
    prepare = Prepare(
        slot=proposal.slot, digest=proposal.digest, sender=MemberIndex(2), signature=bytes(64)
    )
    write(log, (ProposalRecord(proposal, prepare),))
    log.close()
    assert read(path) == (ProposalRecord(proposal, prepare),)


def test_decided_records_are_dropped_and_the_file_shrinks(tmp_path, monkeypatch):
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 4000)
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    for height in range(1, 200):
        write(log, (record(height, bytes(100)),))
        log.advance(epoch=0, term=0, height=height - 1)
        assert log.records == (record(height, bytes(100)),)
        assert log.size < 5000
        assert path.stat().st_size < 5000 + vote_log.RESERVE_BYTES
    log.close()
    assert read(path)[-1] == record(199, bytes(100))
    assert sorted(tmp_path.iterdir()) == [path, path.with_name("votes.log.unproven")]


def test_a_group_that_exceeds_a_frame_is_written_in_parts(tmp_path):
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    groups = [(record(height, bytes([height]) * (1 << 20)),) for height in range(1, 8)]
    write(log, *groups)
    log.close()
    assert read(path) == tuple(each for (each,) in groups)


def test_a_failing_disk_is_an_error_that_says_stop(tmp_path, monkeypatch):
    log = VoteLogFile(tmp_path / "votes.log")

    def fail(*_):
        raise OSError(28, "No space left on device")

    for name in ("pwrite", "fdatasync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            log.append((record(1),))
            with pytest.raises(StorageError, match="must stop"):
                log.sync()
    log.close()


def test_views_that_fail_at_one_height_do_not_fill_the_disk(tmp_path, monkeypatch):
    """No block is decided, so nothing but the rewrite on `sync` ever drops a record."""
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 40_000)
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    log.advance(epoch=0, term=0, height=6)
    for view in range(100):
        write(log, (record(7, bytes(10_000), view=view),))
        assert log.size < 60_000
    log.close()
    last = read(path)[-1]
    assert last == record(7, bytes(10_000), view=99)


def test_what_binds_is_not_rewritten_for_each_record(tmp_path, monkeypatch):
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 1_000)
    log = VoteLogFile(tmp_path / "votes.log")
    log.advance(epoch=0, term=0, height=0)
    rewrites = []
    rewrite = log._rewrite
    monkeypatch.setattr(log, "_rewrite", lambda: rewrites.append(log.size) or rewrite())
    for height in range(1, 200):
        write(log, (record(height, bytes(1_000)),))
    assert len(log.records) == 199
    assert len(rewrites) < 12
    log.close()


def test_a_log_that_begins_with_its_key_is_whole(tmp_path):
    path = tmp_path / "data" / "votes.log"
    begin_log(path)
    log = VoteLogFile(path)
    assert not log.is_unproven
    write(log, (record(1),))
    log.close()
    begin_log(path)
    assert read(path) == (record(1),), "a log that is there stays what it is"
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    log = VoteLogFile(path)
    assert log.is_unproven, "it was lost, and this is another one"
    log.close()
    path.unlink()
    begin_log(path)
    log = VoteLogFile(path)
    assert log.is_unproven, "a mark outlives the log"
    log.close()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_key_that_comes_from_elsewhere_makes_a_log_unproven(tmp_path, is_there):
    path = tmp_path / "data" / "votes.log"
    if is_there:
        begin_log(path)
    distrust_log(path)
    log = VoteLogFile(path)
    assert log.is_unproven
    log.close()


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "data").touch()
    for call in (begin_log, distrust_log):
        with pytest.raises(StorageError, match=r"votes\.log cannot be made"):
            call(tmp_path / "data" / "votes.log")


def test_a_new_log_is_unproven_until_it_is_proven_and_across_restarts(tmp_path):
    """A log that was lost must not pass for a whole one because the node was started twice."""
    path = tmp_path / "votes.log"
    log = VoteLogFile(path)
    assert log.is_unproven
    log.close()
    log = VoteLogFile(path)
    assert log.is_unproven
    log.prove(is_proven=True)
    assert not log.is_unproven
    log.close()
    log = VoteLogFile(path)
    assert not log.is_unproven
    log.prove(is_proven=False)
    log.close()
    log = VoteLogFile(path)
    assert log.is_unproven
    log.close()
