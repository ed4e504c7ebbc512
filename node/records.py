"""Values that the chain hands out: blocks with all that belongs to them, logs, the status."""

from dataclasses import dataclass
from typing import final

from consensus.certificates import Seal
from crypto.hashing import Digest
from vm.block import Header
from vm.receipt import Log, Receipt


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """A sealed block as it is stored."""

    height: int
    hash: Digest
    header: Header
    seal: Seal | None
    """None for genesis alone."""
    receipts: tuple[Receipt, ...]
    transactions: tuple[bytes, ...]
    """Raw, in order; the first may be a deadline transaction (type 0x7e)."""
    transaction_hashes: tuple[bytes, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A log with its place in the chain."""

    height: int
    block_hash: Digest
    time_ms: int
    """Of the block."""
    transaction_hash: bytes
    transaction_index: int
    log_index: int
    """Place among all logs of the block."""
    log: Log


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusStatus:
    """What the replica says of itself."""

    epoch: int
    term: int
    view: int
    primary: int
    is_learner: bool
    peers_up: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """The node at a glance."""

    height: int
    hash: Digest
    state_root: Digest
    epoch: int
    term: int
    view: int
    primary: int
    """Index of the member that proposes in this view."""
    is_learner: bool
    """Whether the node follows without voting, because it may be behind."""
    peers_up: int
    pending: int
    """Transactions in the mempool."""
    time_ms: int
    """Of the head."""
    version: str
