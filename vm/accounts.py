"""Registered accounts, their nonces, and the gas quota of those who sponsor them.

An account is a member's, a service's, or one that a member registered (its sponsor then); only
these may send transactions. Gas is bounded, not bought: all accounts of a sponsor share one equal
quota per window. It is a rule of block validity, so a proposer cannot favour anybody.
"""

from dataclasses import dataclass
from typing import final

from vm.errors import Revert
from vm.state import Changes, Journal, StateReader

_ACCOUNT = b"a"
_QUOTA = b"q"


@final
@dataclass(frozen=True, slots=True)
class Account:
    """What the state knows about an address."""

    nonce: int
    """Of the next transaction."""
    sponsor: bytes
    """20 bytes: id of the member or service whose quota it uses; empty if not registered."""


_UNKNOWN = Account(0, b"")


def read_account(state: StateReader | Journal, address: bytes) -> Account:
    """Return the account at `address` (20 bytes); nonce 0 and no sponsor if there is none."""
    value = state.get(_ACCOUNT + address)
    if value is None:
        return _UNKNOWN
    return Account(int.from_bytes(value[:8], "big"), value[8:])


def write_account(journal: Journal, address: bytes, nonce: int, sponsor: bytes) -> None:
    """Store an account: nonce as u64, then the sponsor. Nothing is stored for an unused one."""
    value = nonce.to_bytes(8, "big") + sponsor if nonce or sponsor else None
    journal.put(_ACCOUNT + address, value)


def register(journal: Journal, address: bytes, sponsor: bytes) -> None:
    """Let `address` send at the cost of `sponsor`; nothing changes if it already does.

    Raises:
        Revert: ACCOUNT_TAKEN, another sponsor has registered it.
    """
    assert len(address) == len(sponsor) == 20, "addresses and sponsors have 20 bytes"
    account = read_account(journal, address)
    if account.sponsor not in (b"", sponsor):
        raise Revert("ACCOUNT_TAKEN", f"0x{address.hex()} is registered by somebody else")
    write_account(journal, address, account.nonce, sponsor)


def unregister(journal: Journal, address: bytes) -> None:
    """Let `address` send no more. The nonce stays: old transactions must not become valid."""
    write_account(journal, address, read_account(journal, address).nonce, b"")


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
    """Return the addresses whose accounts a block changed: senders, and (un)registered ones."""
    return [key[1:] for key, _ in changes if key[:1] == _ACCOUNT]
