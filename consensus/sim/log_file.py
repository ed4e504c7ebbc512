"""The vote log of an instance as its shell reads and rewrites it, on the simulated disk."""

from consensus.errors import CorruptLog
from consensus.membership import Membership
from consensus.messages import SealedBlock
from consensus.sim.disk import Disk
from consensus.sim.violation import InvariantViolation
from consensus.vote_log import Record, compact, encode_frame, replay

LOG_RECORDS_MAX = 64
"""The log is rewritten without what no longer binds when it holds more records."""


def read_log(disk: Disk[SealedBlock], instance: int) -> list[Record] | None:
    """Return what the log holds and cut off a torn tail; None if it is damaged.

    Raises:
        InvariantViolation: a log with a hole in it was taken for whole.
    """
    try:
        found = replay(disk.log)
    except CorruptLog:
        if not disk.is_damaged:
            raise
        return None
    if disk.has_hole:
        raise InvariantViolation(
            "vote_log", f"instance {instance} took a log with a hole in it for whole"
        )
    disk.rewrite(disk.log[: found.valid_bytes])
    return list(found.records)


def rewrite_log(
    disk: Disk[SealedBlock], records: list[Record], membership: Membership, height: int
) -> list[Record]:
    """Drop what binds nobody once the block at `height` is durable, if the log is long.

    Returns:
        What the log holds then.
    """
    if len(records) <= LOG_RECORDS_MAX:
        return records
    term = membership.term(height + 1)
    kept = compact(records, epoch=membership.epoch, term=term, height=height)
    disk.rewrite(encode_frame(kept, 0))
    return list(kept)
