"""Accounts: who may send, at whose cost, and what code stands there.

An account is a member's, a service's, or one that a member registered (its sponsor then); only
these may send transactions. Gas is bounded, not bought: all accounts of a sponsor share one equal
quota per window. It is a rule of block validity, so a proposer cannot favour anybody. A contract
that somebody created is an account, too: it has code, and sends nothing.
"""

from typing import final

from vm.errors import Revert
from vm.state import Changes, Journal, StateReader
from vm.value import value

_ACCOUNT = b"a"
_QUOTA = b"q"

_NONCE_BYTES = 8
_SPONSOR_BYTES = 20
_CODE_HASH_BYTES = 32


@final
@value()
class Account:
    """What the state knows about an address."""

    nonce: int
    """Of the next transaction, or of the next contract that a contract creates."""
    sponsor: bytes
    """20 bytes: id of the member or service whose quota it uses; empty if not registered."""
    code_hash: bytes = b""
    """Keccak-256 of the code, 32 bytes; empty if there is none."""


_UNKNOWN = Account(0, b"")


def account_key(address: bytes) -> bytes:
    """Return the state key of the account at `address` (20 bytes)."""
    return _ACCOUNT + address


def read_account(state: StateReader | Journal, address: bytes) -> Account:
    """Return the account at `address` (20 bytes); nonce 0 and no sponsor if there is none."""
    value = state.get(_ACCOUNT + address)
    if value is None:
        return _UNKNOWN
    nonce, rest = int.from_bytes(value[:_NONCE_BYTES], "big"), value[_NONCE_BYTES:]
    if len(rest) < _CODE_HASH_BYTES:
        return Account(nonce, rest)
    return Account(nonce, rest[:-_CODE_HASH_BYTES], rest[-_CODE_HASH_BYTES:])


def write_account(journal: Journal, address: bytes, account: Account) -> None:
    """Store an account: nonce as u64, sponsor, code hash; nothing is stored for an unused one.

    Sponsor and code hash are there or not, so the value has 8, 28, 40 or 60 bytes.
    """
    nonce, sponsor, code_hash = account.nonce, account.sponsor, account.code_hash
    assert len(sponsor) in (0, _SPONSOR_BYTES), f"sponsor of {len(sponsor)} bytes"
    assert len(code_hash) in (0, _CODE_HASH_BYTES), f"code hash of {len(code_hash)} bytes"
    is_used = nonce or sponsor or code_hash
    value = nonce.to_bytes(_NONCE_BYTES, "big") + sponsor + code_hash if is_used else None
    journal.put(_ACCOUNT + address, value)


def register(journal: Journal, address: bytes, sponsor: bytes) -> None:
    """Let `address` send at the cost of `sponsor`; nothing changes if it already does.

    Raises:
        Revert: ACCOUNT_TAKEN, another sponsor has registered it.
    """
    assert len(address) == len(sponsor) == _SPONSOR_BYTES, "addresses and sponsors have 20 bytes"
    account = read_account(journal, address)
    if account.sponsor not in (b"", sponsor):
        raise Revert("ACCOUNT_TAKEN", f"0x{address.hex()} is registered by somebody else")
    write_account(journal, address, Account(account.nonce, sponsor, account.code_hash))


def unregister(journal: Journal, address: bytes) -> None:
    """Let `address` send no more. The nonce stays: old transactions must not become valid."""
    account = read_account(journal, address)
    write_account(journal, address, Account(account.nonce, b"", account.code_hash))


def quota_used(state: StateReader | Journal, sponsor: bytes, window: int) -> int:
    """Return the gas that the accounts of `sponsor` have used in `window`."""
    value = state.get(_QUOTA + sponsor)
    if value is None or int.from_bytes(value[:8], "big") != window:
        return 0
    return int.from_bytes(value[8:], "big")


def use_quota(journal: Journal, sponsor: bytes, window: int, gas: int) -> None:
    """Add `gas` to what `sponsor` has used in `window`; what was of another window is forgotten."""
    used = quota_used(journal, sponsor, window) + gas
    journal.put(_QUOTA + sponsor, window.to_bytes(8, "big") + used.to_bytes(8, "big"))


def changed_addresses(changes: Changes) -> list[bytes]:
    """Return the addresses whose accounts a block changed: senders, (un)registered, contracts."""
    return [key[1:] for key, _ in changes if key[:1] == _ACCOUNT]
