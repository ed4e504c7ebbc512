"""Ethereum's own rules around a message: what the chain itself does not have.

Only official tests and oracles need them: a base fee that is burnt, a sender who pays, refunds,
the coinbase's share. The chain's own rules are in `vm.execute`.
"""

from dataclasses import dataclass, replace
from typing import final

from vm.evm import gas as prices
from vm.evm.environment import Environment
from vm.evm.interpreter import execute
from vm.evm.message import STATUS_OK, Message
from vm.evm.world import EMPTY_CODE_HASH, World
from vm.receipt import Log

_TX_BASE = 21_000
_TX_CREATE = 32_000
_DATA_ZERO_BYTE, _DATA_BYTE = 4, 16
_ACCESS_ADDRESS, _ACCESS_SLOT = 2_400, 1_900
_REFUND_QUOTIENT = 5  # EIP-3529.


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


def apply(world: World, env: Environment, tx: EthTransaction) -> Outcome:
    """Apply a transaction as Ethereum does (Yellow Paper, section 6; EIP-1559, 2930, 3529).

    Args:
        world: changed, unless the transaction is invalid.
        env: the block; its gas price and origin are taken from `tx`.
        tx: with its sender.

    Raises:
        Invalid: it has no place in the block.
    """
    price = _gas_price(tx, env.base_fee)
    intrinsic = intrinsic_gas(tx)
    _check(world, env, tx, intrinsic)
    world.add_balance(tx.sender, -tx.gas_limit * price)
    world.set_nonce(tx.sender, tx.nonce + 1)
    for address, slots in tx.access_list:
        world.warm_address(address)
        for slot in slots:
            world.warm_slot(address, slot)
    result = execute(
        world,
        replace(env, gas_price=price, origin=tx.sender),
        Message(
            caller=tx.sender,
            to=tx.to,
            value=tx.value,
            data=tx.data,
            gas=tx.gas_limit - intrinsic,
        ),
    )
    gas_used = tx.gas_limit - result.gas_left
    gas_used -= min(gas_used // _REFUND_QUOTIENT, result.refund)
    world.add_balance(tx.sender, (tx.gas_limit - gas_used) * price)
    world.add_balance(env.coinbase, gas_used * (price - env.base_fee))
    return Outcome(
        status=result.status,
        gas_used=gas_used,
        output=result.output,
        logs=result.logs,
        created=result.created if result.status == STATUS_OK else None,
    )


def intrinsic_gas(tx: EthTransaction) -> int:
    """Return what a transaction costs before anything is executed (Yellow Paper, section 6.2)."""
    zeros = tx.data.count(0)
    gas = _TX_BASE + _DATA_ZERO_BYTE * zeros + _DATA_BYTE * (len(tx.data) - zeros)
    if tx.to is None:
        gas += _TX_CREATE + prices.INITCODE_WORD * prices.words(len(tx.data))
    return gas + sum(_ACCESS_ADDRESS + _ACCESS_SLOT * len(slots) for _, slots in tx.access_list)


def _gas_price(tx: EthTransaction, base_fee: int) -> int:
    """Return what a unit of gas costs the sender (EIP-1559)."""
    if tx.gas_price is not None:
        if tx.gas_price < base_fee:
            raise Invalid(f"gas price {tx.gas_price} is below the base fee {base_fee}")
        return tx.gas_price
    if tx.max_fee is None or tx.max_priority is None:
        raise Invalid("must have a gas price, or both fee caps")
    if tx.max_fee < max(base_fee, tx.max_priority):
        raise Invalid(f"fee cap {tx.max_fee} is below the base fee or the tip")
    return min(tx.max_fee, base_fee + tx.max_priority)


def _check(world: World, env: Environment, tx: EthTransaction, intrinsic: int) -> None:
    """Check what depends on the state and the block."""
    if tx.gas_limit > env.gas_limit:
        raise Invalid(f"asks for {tx.gas_limit} gas, the block has {env.gas_limit}")
    if tx.gas_limit < intrinsic:
        raise Invalid(f"needs {intrinsic} gas, has {tx.gas_limit}")
    if tx.to is None and len(tx.data) > prices.INITCODE_BYTES_MAX:
        raise Invalid(f"init code has {len(tx.data)} bytes")
    nonce = world.nonce(tx.sender)
    if tx.nonce != nonce or nonce >= prices.NONCE_MAX:
        raise Invalid(f"nonce is {tx.nonce}, the account's is {nonce}")
    if world.code_hash(tx.sender) != EMPTY_CODE_HASH:
        raise Invalid("the sender has code (EIP-3607)")
    fee_cap = tx.gas_price if tx.gas_price is not None else tx.max_fee
    assert fee_cap is not None, "checked with the price"
    if world.balance(tx.sender) < tx.gas_limit * fee_cap + tx.value:
        raise Invalid("the sender cannot pay for gas and value")
