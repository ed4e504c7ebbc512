"""Ethereum's own rules around a message: what the chain itself does not have.

Only official tests and oracles need them: a base fee that is burnt, a sender who pays, refunds,
the coinbase's share. The chain's own rules are in `vm.execute`.
"""

from dataclasses import dataclass
from typing import final

from vm.receipt import Log


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EthTransaction:
    """An Ethereum transaction of type 0, 1 or 2 with its sender recovered."""

    sender: bytes
    nonce: int
    to: bytes | None
    """None: create a contract."""
    value: int
    data: bytes
    gas_limit: int
    gas_price: int | None = None
    """Types 0 and 1. Exactly one of this and `max_fee` is set."""
    max_fee: int | None = None
    """Type 2, with `max_priority`."""
    max_priority: int | None = None
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    """(address, slots) pairs."""


@final
class Invalid(Exception):
    """The transaction is not valid here; the world is unchanged."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a valid transaction did."""

    status: int
    """As in `message.Result`."""
    gas_used: int
    """After refunds."""
    output: bytes
    logs: tuple[Log, ...]
    created: bytes | None
