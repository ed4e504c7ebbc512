"""A message goes in, a result comes out: the entry of the EVM."""

from typing import final

from vm.receipt import Log
from vm.value import value

STATUS_OK = 1
STATUS_REVERT = 2
STATUS_HALT = 0


@final
@value(kw_only=True)
class Message:
    """What a transaction, or `eth_call`, asks the EVM to do. Intrinsic gas is already paid."""

    caller: bytes
    to: bytes | None
    """None: create a contract, at the address that the caller's nonce gives."""
    value: int
    data: bytes
    """Calldata, or init code."""
    gas: int
    is_static: bool = False


@final
@value(kw_only=True)
class Result:
    """What the execution of a message did. Its changes and logs are in the world."""

    status: int
    """1: done; 2: REVERT, gas that is left is given back; 0: exceptional halt, all gas is gone."""
    output: bytes
    """Return data, revert data, or the code of the new contract."""
    gas_left: int
    refund: int
    """The refund counter, not yet capped; 0 unless done."""
    logs: tuple[Log, ...]
    """Empty unless done."""
    created: bytes | None
    """Address of the new contract, if one was created."""
    error: str
    """Empty if done, else geth's words: "execution reverted", "out of gas", …"""
    compute: int
    """Compute used, also by what was undone."""
