"""Which logs a reader asks for: by contract and topics, through each block's bloom filter first."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

from node.records import BlockRecord, LogEntry
from vm.receipt import Log, logs_bloom


@final
@dataclass(frozen=True)
class LogQuery:
    """`eth_getLogs` without its heights."""

    addresses: frozenset[bytes]
    """Empty for any contract."""
    topics: tuple[frozenset[bytes], ...]
    """For each place the topics that are allowed; empty for any. A log may have more topics."""

    def matches(self, log: Log) -> bool:
        """Whether the log is asked for."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(log.topics) < len(self.topics):
            return False
        pairs = zip(self.topics, log.topics, strict=False)
        return all(not allowed or topic in allowed for allowed, topic in pairs)

    def may_match(self, bloom: bytes) -> bool:
        """Whether a block with this bloom (256 bytes) can hold a log that is asked for."""
        bits = int.from_bytes(bloom, "big")
        return all(any(bits & mask == mask for mask in masks) for masks in self._masks)

    @cached_property
    def _masks(self) -> tuple[tuple[int, ...], ...]:
        """Bits that one of the items of each condition must have set."""
        conditions = (self.addresses, *self.topics)
        return tuple(tuple(_mask(item) for item in sorted(items)) for items in conditions if items)


def _mask(item: bytes) -> int:
    return int.from_bytes(logs_bloom((Log(item, (), b""),)), "big")


def log_entries(record: BlockRecord) -> Iterator[LogEntry]:
    """Yield the logs of a block with their places."""
    log_index = 0
    for index, receipt in enumerate(record.receipts):
        for log in receipt.logs:
            yield LogEntry(
                height=record.height,
                block_hash=record.hash,
                time_ms=record.header.time_ms,
                transaction_hash=record.transaction_hashes[index],
                transaction_index=index,
                log_index=log_index,
                log=log,
            )
            log_index += 1
