"""A chain for developers as bytes: to go on later where it stopped.

Canonical msgpack; the tree's nodes are left out and made anew, so a state that does not belong to
its head block is found out. Whoever loads a file trusts who wrote it, as with any database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.merkle import SparseMerkleTree
from node.errors import NodeError
from node.executor import Executor
from node.storage.block_store import ChainStore
from node.storage.rows import read_state_row, state_row
from testnet.dev.clock import MILLISECOND_MAX
from testnet.dev.community import NATIVE_CONTRACTS
from testnet.dev.errors import BadState
from testnet.dev.memory_db import MemoryDb
from vm.genesis import Genesis
from vm.machine import Machine

VERSION: Final = 1
STATE_BYTES_MAX: Final = 512 << 20
_VALUE_BYTES_MAX: Final = 64 << 20
_STATE_ROW: Final = b"s"
_NODE_ROW: Final = b"n"
"""As docs/spec/storage.md names them."""
_KEYS: Final = ("version", "genesis", "time_ms", "rows", "pool", "senders")

Pairs = tuple[tuple[bytes, bytes], ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DumpedState:
    """What a file holds."""

    genesis_hash: bytes
    time_ms: int
    rows: Pairs
    """Of the database, ascending by key, without the tree's nodes."""
    pool: Pairs
    """What waits: raw transaction and sender, in order of admission."""
    senders: Pairs
    """Hash and sender of each transaction without a signature, ascending."""

    def to_bytes(self) -> bytes:
        """Return the one encoding."""
        return codec.encode(
            {
                "version": VERSION,
                "genesis": self.genesis_hash,
                "time_ms": self.time_ms,
                "rows": self.rows,
                "pool": self.pool,
                "senders": self.senders,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `data` holds; whether it is a chain is for `open_rows`.

        Raises:
            BadState: malformed, naming the field.
        """
        try:
            value = codec.decode(data, field="state", max_bytes=STATE_BYTES_MAX)
            parts = codec.as_map(value, "state", _KEYS)
            codec.as_int(parts["version"], "state.version", lo=VERSION, hi=VERSION)
            dumped = cls(
                genesis_hash=codec.as_bytes(parts["genesis"], "state.genesis", 32),
                time_ms=codec.as_int(parts["time_ms"], "state.time_ms", hi=MILLISECOND_MAX - 1),
                rows=_pairs(parts["rows"], "state.rows"),
                pool=_pairs(parts["pool"], "state.pool", second=20),
                senders=_pairs(parts["senders"], "state.senders", first=32, second=20),
            )
        except DecodeError as error:
            raise BadState(error.field, error.reason) from None
        _check_ascending(dumped.rows, "state.rows")
        _check_ascending(dumped.senders, "state.senders")
        if any(not key or key[:1] == _NODE_ROW for key, _ in dumped.rows):
            raise BadState("state.rows", "must hold keys of the database, and no node of the tree")
        return dumped


def rows_to_dump(db: MemoryDb) -> Pairs:
    """Return the rows of a database that a file holds."""
    return tuple(row for row in db.rows() if row[0][:1] != _NODE_ROW)


def open_rows(dumped: DumpedState, genesis: Genesis) -> dict[bytes, bytes]:
    """Return all rows of the database, after trying whether they are a chain.

    Raises:
        BadState: of another genesis, or head and state do not belong together.
    """
    if dumped.genesis_hash != genesis.hash:
        raise BadState(
            "state.genesis",
            "is of another chain: start with the mnemonic and the window of the one that wrote it",
        )
    rows = dict(dumped.rows)
    state = [_state_entry(row) for row in dumped.rows if row[0][:1] == _STATE_ROW]
    update = SparseMerkleTree({}).update(state)
    rows |= {_NODE_ROW + path: node for path, node in update.nodes.items() if node is not None}
    try:
        db = MemoryDb(rows)
        store = ChainStore(Path("state"), genesis.hash, db=db)
        if store.head is None:
            raise BadState("state.rows", "must hold a chain")
        Executor(Machine(genesis, NATIVE_CONTRACTS), store, {})
    except NodeError as error:
        raise BadState("state.rows", str(error)) from None
    return rows


def _state_entry(row: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return key and value of a row of the state; it must stand where it is looked for."""
    key, value = read_state_row(row[1])
    if state_row(key, value) != row:
        raise BadState("state.rows", "must have each value of the state under its key's hash")
    return key, value


def _pairs(
    value: codec.Value, field: str, *, first: int | None = None, second: int | None = None
) -> Pairs:
    pairs = []
    for place, item in enumerate(codec.as_list(value, field)):
        name = f"{field}[{place}]"
        row = codec.as_list(item, name, length=2)
        pairs.append(
            (
                codec.as_bytes(row[0], name, first, max_length=_VALUE_BYTES_MAX),
                codec.as_bytes(row[1], name, second, max_length=_VALUE_BYTES_MAX),
            )
        )
    return tuple(pairs)


def _check_ascending(pairs: Iterable[tuple[bytes, bytes]], field: str) -> None:
    before = None
    for key, _ in pairs:
        if before is not None and key <= before:
            raise BadState(field, "must ascend by key, each once")
        before = key
