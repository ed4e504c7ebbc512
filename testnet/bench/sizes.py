"""Commit latency and traffic by the number of members, in virtual time with measured costs."""

import statistics
from dataclasses import dataclass
from typing import final

from consensus.events import Pending
from testnet.bench.virtual import VirtualMembers

SIZES = (4, 7, 13, 31, 64, 100)
BLOCKS = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SizeResult:
    """What `n` members took for a block."""

    n: int
    commit_p50_ms: float
    """From a transaction that reaches the primary to the block in its store."""
    commit_max_ms: float
    messages_per_block: int
    bytes_per_block: int

    def to_json(self) -> dict[str, object]:
        return {
            "n": self.n,
            "commit_p50_ms": round(self.commit_p50_ms, 1),
            "commit_max_ms": round(self.commit_max_ms, 1),
            "messages_per_block": self.messages_per_block,
            "bytes_per_block": self.bytes_per_block,
        }


def measure(n: int, costs: tuple[float, float], blocks: int = BLOCKS) -> SizeResult:
    """Let `n` members decide some blocks, one after another, from an idle start each."""
    members = VirtualMembers(n, costs)
    members.start()
    latencies: list[float] = []
    messages, size = members.messages, members.bytes
    for height in range(1, blocks + 1):
        at_us = members.quiet_us() + 1
        for i in range(n):
            members.push(at_us, i, Pending(is_pending=True))
        members.settle()
        primary = members.replicas[0].primary
        latencies.append((members.stored_us[primary, height] - at_us) / 1000)
    return SizeResult(
        n=n,
        commit_p50_ms=statistics.median(latencies),
        commit_max_ms=max(latencies),
        messages_per_block=(members.messages - messages) // blocks,
        bytes_per_block=(members.bytes - size) // blocks,
    )
