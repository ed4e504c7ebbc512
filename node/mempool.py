"""Admitted transactions that wait for a block: a lane per sender, a fair share per member.

A pure core: time comes as an argument, the state through `Accounts`. Blocks are filled round robin
among sponsors (the members that registered the senders), and each sponsor's lanes in turn, so one
household's flood delays nobody else. Limits are per sponsor for the same reason.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, final

from node.errors import MempoolFull
from vm.errors import InvalidTransaction, TxReason
from vm.transaction import Transaction

RETRY_AFTER_MS = 1000
"""What a refused client is told to wait: many blocks at full load."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolConfig:
    """Limits of one node's pool."""

    sponsor_count_max: int = 8192
    sponsor_bytes_max: int = 8 << 20
    nonce_gap_max: int = 64
    """How far a nonce may lie above the sender's next free one: reordering, not a reservation."""
    time_to_live_ms: int = 600_000

    def __post_init__(self) -> None:
        for name in ("sponsor_count_max", "sponsor_bytes_max", "time_to_live_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.nonce_gap_max < 0:
            raise ValueError(f"nonce_gap_max must not be negative, got {self.nonce_gap_max}")


@final
@dataclass(frozen=True, slots=True)
class Account:
    """What the pool must know of a registered sender at the head."""

    nonce: int
    sponsor: bytes
    """20 bytes: whose quota its gas is charged to."""


class Accounts(Protocol):
    """The state at the head, as far as admission asks."""

    def account(self, address: bytes) -> Account | None:
        """Return the registered account, None for others."""

    def gas_left(self, sponsor: bytes, now_ms: int) -> int:
        """Return the sponsor's remaining quota in the window of `now_ms`."""


@final
@dataclass(slots=True)
class _Entry:
    tx: Transaction
    sender: bytes
    expires_ms: int
    is_own: bool
    """Came by our RPC rather than from a peer."""


@final
@dataclass(frozen=True, slots=True)
class MempoolState:
    """All that waits in a pool at one moment, in its order."""

    entries: tuple[_Entry, ...]
    """In order of admission."""
    shares: tuple[tuple[bytes, tuple[tuple[bytes, int, int], ...]], ...]
    """Sponsors in their turn; of each lane its sender, `start` and `free`."""


@final
class _Lane:
    """One sender's transactions by nonce; those in start..free-1 can run one after another."""

    __slots__ = ("entries", "free", "sponsor", "start")

    def __init__(self, account: Account) -> None:
        self.sponsor = account.sponsor
        self.start = account.nonce
        self.free = account.nonce
        self.entries: dict[int, _Entry] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the first transaction can run, as far as nonces go."""
        return self.start in self.entries

    def extend(self) -> None:
        """Move `free` on after an entry came."""
        while self.free in self.entries:
            self.free += 1

    def settle(self) -> None:
        """Recompute `free` after `start` moved."""
        self.free = max(self.free, self.start)
        self.extend()

    def ready(self) -> Iterator[Transaction]:
        """Yield the transactions that can run, in order of nonce."""
        nonce = self.start
        while (entry := self.entries.get(nonce)) is not None:
            yield entry.tx
            nonce += 1


@final
class _Share:
    """What one sponsor holds of the pool."""

    __slots__ = ("bytes", "count", "lanes")

    def __init__(self) -> None:
        self.bytes = 0
        self.count = 0
        self.lanes: dict[bytes, _Lane] = {}


@final
class Mempool:
    """The pool of one node. Admission raises; nothing else does on account of a stranger."""

    def __init__(self, *, config: MempoolConfig, accounts: Accounts) -> None:
        self._config = config
        self._accounts = accounts
        self._by_hash: dict[bytes, _Entry] = {}  # In order of admission, so of expiry.
        self._by_raw: dict[bytes, Transaction] = {}
        self._lanes: dict[bytes, _Lane] = {}
        self._shares: dict[bytes, _Share] = {}
        self.failed = 0
        """Transactions refused since the start."""

    def __len__(self) -> int:
        return len(self._by_hash)

    @property
    def size_bytes(self) -> int:
        """Bytes of all that waits, as encoded."""
        return sum(share.bytes for share in self._shares.values())

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._by_hash

    @property
    def known(self) -> Mapping[bytes, Transaction]:
        """What waits here by raw bytes, so that a block's check decodes and recovers nothing."""
        return self._by_raw

    def get(self, digest: bytes) -> Transaction | None:
        """Return the waiting transaction with this hash, or None."""
        entry = self._by_hash.get(digest)
        return None if entry is None else entry.tx

    # Admission.

    def add(self, tx: Transaction, now_ms: int, *, is_own: bool = False) -> None:
        """Admit a decoded transaction that is valid in itself (`vm.execute` says what that is).

        Raises:
            InvalidTransaction: ALREADY_KNOWN, INVALID_SENDER, UNREGISTERED, NONCE_TOO_LOW,
                NONCE_TOO_HIGH, REPLACEMENT_UNDERPRICED or QUOTA_EXCEEDED. Nothing has changed.
            MempoolFull: the sponsor's share is used up.
        """
        try:
            self._admit(tx, now_ms, is_own=is_own)
        except (InvalidTransaction, MempoolFull):
            self.failed += 1
            raise

    def _admit(self, tx: Transaction, now_ms: int, *, is_own: bool) -> None:
        if tx.hash in self._by_hash:
            raise InvalidTransaction(TxReason.ALREADY_KNOWN, "tx", f"0x{tx.hash.hex()}")
        sender = tx.sender()
        lane = self._lanes.get(sender) or self._new_lane(sender)
        self._check_nonce(tx, lane)
        share = self._shares.get(lane.sponsor) or _Share()
        self._check_room(tx, lane.sponsor, share, now_ms)
        entry = _Entry(tx, sender, now_ms + self._config.time_to_live_ms, is_own)
        self._by_hash[tx.hash] = entry
        self._by_raw[tx.raw] = tx
        lane.entries[tx.nonce] = entry
        lane.extend()
        self._lanes[sender] = share.lanes[sender] = lane
        self._shares[lane.sponsor] = share
        share.count += 1
        share.bytes += len(tx.raw)

    def _new_lane(self, sender: bytes) -> _Lane:
        account = self._accounts.account(sender)
        if account is None:
            message = f"0x{sender.hex()} must be registered by a member before it can send"
            raise InvalidTransaction(TxReason.UNREGISTERED, "tx.sender", message)
        return _Lane(account)

    def _check_nonce(self, tx: Transaction, lane: _Lane) -> None:
        if tx.nonce < lane.start:
            message = f"next nonce is {lane.start}, got {tx.nonce}"
            raise InvalidTransaction(TxReason.NONCE_TOO_LOW, "tx.nonce", message)
        if tx.nonce > lane.free + self._config.nonce_gap_max:
            message = f"next nonce is {lane.free}, got {tx.nonce}"
            raise InvalidTransaction(TxReason.NONCE_TOO_HIGH, "tx.nonce", message)
        if tx.nonce in lane.entries:
            # Gas has no price here, so no replacement can ever outbid what waits.
            message = f"nonce {tx.nonce} is taken by 0x{lane.entries[tx.nonce].tx.hash.hex()}"
            raise InvalidTransaction(TxReason.REPLACEMENT_UNDERPRICED, "tx.nonce", message)

    def _check_room(self, tx: Transaction, sponsor: bytes, share: _Share, now_ms: int) -> None:
        left = self._accounts.gas_left(sponsor, now_ms)
        if tx.gas_limit > left:
            message = f"must be at most {left} until the window ends, got {tx.gas_limit}"
            raise InvalidTransaction(TxReason.QUOTA_EXCEEDED, "tx.gas", message)
        if (
            share.count >= self._config.sponsor_count_max
            or share.bytes + len(tx.raw) > self._config.sponsor_bytes_max
        ):
            raise MempoolFull(
                f"{TxReason.POOL_FULL.text}: the sponsor has {share.count} transactions of "
                f"{share.bytes} bytes waiting",
                RETRY_AFTER_MS,
            )

    # Use.

    def candidates(self) -> Iterator[Transaction]:
        """Yield what can run, one for each sponsor in turn; do not change the pool meanwhile.

        Each call begins with the sponsor after the one that the last call began with.
        """
        if not self._shares:
            return
        first = next(iter(self._shares))
        self._shares[first] = self._shares.pop(first)
        yield from _in_turn(
            _in_turn(lane.ready() for lane in share.lanes.values())
            for share in self._shares.values()
        )

    def has_executable(self, now_ms: int) -> bool:
        """Whether a block at `now_ms` could hold something that waits here."""
        for sponsor, share in self._shares.items():
            left: int | None = None
            for lane in share.lanes.values():
                if lane.is_ready:
                    if left is None:
                        left = self._accounts.gas_left(sponsor, now_ms)
                    if lane.entries[lane.start].tx.gas_limit <= left:
                        return True
        return False

    def pending_nonce(self, address: bytes) -> int | None:
        """Return the nonce after those waiting in a row, None if nothing of the sender waits."""
        lane = self._lanes.get(address)
        return None if lane is None else lane.free

    def transactions(self) -> Iterator[Transaction]:
        """Yield all that waits, oldest first."""
        return (entry.tx for entry in self._by_hash.values())

    # Putting back.

    def snapshot(self) -> MempoolState:
        """Return what waits, for `restore`."""
        return MempoolState(
            tuple(self._by_hash.values()),
            tuple(
                (sponsor, tuple((who, lane.start, lane.free) for who, lane in share.lanes.items()))
                for sponsor, share in self._shares.items()
            ),
        )

    def restore(self, state: MempoolState) -> None:
        """Hold exactly what a snapshot holds; the head must be that of its moment."""
        for held in (self._by_hash, self._by_raw, self._lanes, self._shares):
            held.clear()
        for sponsor, lanes in state.shares:
            share = self._shares[sponsor] = _Share()
            for sender, start, free in lanes:
                lane = _Lane(Account(start, sponsor))
                lane.free = free
                self._lanes[sender] = share.lanes[sender] = lane
        for entry in state.entries:
            tx, lane = entry.tx, self._lanes[entry.sender]
            self._by_hash[tx.hash], self._by_raw[tx.raw] = entry, tx
            lane.entries[tx.nonce] = entry
            share = self._shares[lane.sponsor]
            share.count += 1
            share.bytes += len(tx.raw)

    # Removal.

    def on_block(self, senders: Iterable[bytes], now_ms: int) -> None:
        """Drop what the new head has made void, and what expired.

        `senders` are those whose accounts the block changed: nonce or registration.
        """
        for sender in senders:
            lane = self._lanes.get(sender)
            if lane is None:
                continue
            account = self._accounts.account(sender)
            if account is not None:
                lane.start = account.nonce
            for nonce, entry in list(lane.entries.items()):
                if account is None or account.sponsor != lane.sponsor or nonce < lane.start:
                    self._remove(entry)
            lane.settle()
        self.expire(now_ms)

    def expire(self, now_ms: int) -> None:
        """Drop what has waited longer than its time to live."""
        expired = []
        for entry in self._by_hash.values():
            if entry.expires_ms > now_ms:
                break
            expired.append(entry)
        for entry in expired:
            self._remove(entry)

    def remove(self, digest: bytes) -> None:
        """Drop a transaction that can never run, if it is here."""
        entry = self._by_hash.get(digest)
        if entry is not None:
            self._remove(entry)

    def _remove(self, entry: _Entry) -> None:
        tx = entry.tx
        lane = self._lanes[entry.sender]
        share = self._shares[lane.sponsor]
        del self._by_hash[tx.hash], self._by_raw[tx.raw], lane.entries[tx.nonce]
        share.count -= 1
        share.bytes -= len(tx.raw)
        if not lane.entries:
            del self._lanes[entry.sender], share.lanes[entry.sender]
        elif lane.start <= tx.nonce < lane.free:
            lane.free = tx.nonce
        if not share.lanes:
            del self._shares[lane.sponsor]


def _in_turn(sources: Iterable[Iterator[Transaction]]) -> Iterator[Transaction]:
    """Yield one of each source in turn until all are empty."""
    queue = deque(sources)
    while queue:
        source = queue.popleft()
        tx = next(source, None)
        if tx is not None:
            queue.append(source)
            yield tx
