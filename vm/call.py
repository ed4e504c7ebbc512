"""A call and its outcome: what `vm.execute` hands to a native contract or to the EVM."""

from typing import final

from crypto import abi
from vm.errors import Revert
from vm.receipt import Log
from vm.transaction import AccessList
from vm.value import value

ERROR_SELECTOR = abi.selector("Error(string)")
"""Solidity's revert data: wallets show the text that follows."""
REVERTED = "execution reverted"
"""What geth says of a call that was refused, rather than one that broke down."""
_DETAIL_CHARS_MAX = 512
_ERROR_HEAD = ERROR_SELECTOR + (32).to_bytes(32, "big")  # One argument, which begins behind this.


@final
@value(kw_only=True)
class Call:
    """What a transaction, or a question about one, asks for; intrinsic gas is already paid."""

    sender: bytes
    """20 bytes."""
    sponsor: bytes
    """20 bytes: who is behind the sender; or empty."""
    nonce: int
    """The sender's, on which the address of a new contract depends."""
    to: bytes | None
    """20 bytes; None creates a contract."""
    data: bytes
    """Calldata, or init code."""
    gas: int
    access_list: AccessList = ()


@final
@value(kw_only=True)
class Outcome:
    """What a call did; its changes are in the journal if its status is 1, and undone if not."""

    status: int
    """1: done; 0: reverted or halted."""
    output: bytes
    """Return data, revert data, or the code of the new contract."""
    gas_left: int
    logs: tuple[Log, ...]
    compute: int
    """What it cost on the second meter, also where it was undone."""
    error: str = ""
    """Empty if done, else geth's words."""
    refund: int = 0
    """For storage that was cleared, not capped yet."""
    created: bytes | None = None
    """Address of the new contract, 20 bytes."""
    is_cut: bool = False
    """The compute limit ended it."""


def revert_data(revert: Revert) -> bytes:
    """Return Solidity's Error(string) with "CODE: detail"."""
    text = str(revert)[:_DETAIL_CHARS_MAX].encode()
    # By hand, not by `abi.encode`: bytecode can be refused a thousand times in a transaction.
    return _ERROR_HEAD + len(text).to_bytes(32, "big") + text + bytes(-len(text) % 32)
