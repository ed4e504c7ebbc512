"""A case of the fuzzer, and what an EVM makes of it: plain values that every engine is given.

A case has no fees (gas price and base fee 0), as on this chain; Ethereum's fee rules are judged by
the official state tests. The sender has no code and a nonce that fits.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import final

from crypto.hashing import keccak256

CHAIN_ID = 1
"""The one that the oracles assume."""
BLOCK_GAS_LIMIT = 30_000_000
EMPTY_CODE_HASH = keccak256(b"")


class Status(IntEnum):
    """How a transaction ended."""

    HALTED = 0
    """Exceptionally: all its gas is gone."""
    SUCCEEDED = 1
    REVERTED = 2
    INVALID = 3
    """Never executed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account before the transaction."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)
    """Without zeros."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The block around the transaction. BLOCKHASH(n) is Keccak-256 of n in decimal digits."""

    number: int
    time_s: int
    coinbase: bytes
    prev_randao: bytes
    """32 bytes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One transaction on one state."""

    seed: int
    accounts: dict[bytes, Account]
    """By address, 20 bytes; none is empty in the sense of EIP-161."""
    block: Block
    sender: bytes
    to: bytes | None
    """None creates a contract."""
    value: int
    data: bytes
    gas_limit: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()

    def with_code(self, address: bytes, code: bytes) -> "Case":
        """Return the same case with other code at `address`."""
        accounts = dict(self.accounts)
        accounts[address] = replace(accounts[address], code=code)
        return replace(self, accounts=accounts)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAfter:
    """One account after the transaction, as far as engines can be compared."""

    nonce: int
    balance: int
    code_hash: bytes
    storage: dict[int, int]
    """Without zeros."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one engine made of a case."""

    status: Status
    gas_used: int = 0
    output: bytes = b""
    """Return or revert data; for a creation that succeeded, the new address."""
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...] = ()
    """(address, topics, data), in order."""
    accounts: dict[bytes, AccountAfter] = field(default_factory=dict)
    """All that exist; empty accounts (EIP-161) are left out."""


def block_hash(number: int) -> int:
    """Return the hash of block `number`, as revm's empty database has it."""
    return int.from_bytes(keccak256(b"%d" % number), "big")


def account_after(
    nonce: int, balance: int, code_hash: bytes, storage: dict[int, int]
) -> "AccountAfter | None":
    """Return what is to be compared of an account; None if it is empty (EIP-161)."""
    if not nonce and not balance and code_hash == EMPTY_CODE_HASH:
        return None
    kept = {slot: value for slot, value in sorted(storage.items()) if value}
    return AccountAfter(nonce=nonce, balance=balance, code_hash=code_hash, storage=kept)


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Return in words where two outcomes differ; empty if they agree."""
    found = []
    for name in ("status", "gas_used", "output", "logs"):
        left, right = getattr(ours, name), getattr(theirs, name)
        if left != right:
            found.append(f"{name}: ours {_show(left)}, theirs {_show(right)}")
    for address in sorted(ours.accounts.keys() | theirs.accounts.keys()):
        left, right = ours.accounts.get(address), theirs.accounts.get(address)
        if left != right:
            found.append(f"0x{address.hex()}: {_account_difference(left, right)}")
    return found


def _account_difference(left: AccountAfter | None, right: AccountAfter | None) -> str:
    if left is None or right is None:
        where = "theirs" if left is None else "ours"
        return f"exists only in {where}: {left or right}"
    parts = []
    for name in ("nonce", "balance", "code_hash"):
        mine, other = getattr(left, name), getattr(right, name)
        if mine != other:
            parts.append(f"{name} ours {_show(mine)}, theirs {_show(other)}")
    for slot in sorted(left.storage.keys() | right.storage.keys()):
        mine, other = left.storage.get(slot, 0), right.storage.get(slot, 0)
        if mine != other:
            parts.append(f"slot {slot:#x} ours {mine:#x}, theirs {other:#x}")
    return "; ".join(parts)


def _show(value: object) -> str:
    if isinstance(value, Status):
        return value.name
    return f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)
