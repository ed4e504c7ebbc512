"""Ethereum's suite of raw transactions: which bytes are valid, who signed, at what cost."""

from functools import partial
from typing import Any

from cli.mainnet_transaction import NotOnMainnet, check_stateless, read
from cli.vector_outcome import Cases, Mismatch, expect, unhex
from vm.errors import InvalidTransaction

_FORKS = (
    "Cancun", "Shanghai", "Paris", "London", "Berlin", "Istanbul", "ConstantinopleFix",
    "Constantinople", "Byzantium", "EIP158", "EIP150", "Homestead", "Frontier",
)  # fmt: skip
"""Newest first: a file that ends before Cancun says what still holds there."""


def eth_transactions(content: dict[str, Any]) -> Cases:
    """`{name: {txbytes, result: {fork: {hash, sender, intrinsicGas} | {exception}}}}`."""
    for name, entry in content.items():
        yield name, partial(_says, entry)


def _says(entry: dict[str, Any]) -> bool:
    expected = next(entry["result"][fork] for fork in _FORKS if fork in entry["result"])
    refusal = expected.get("exception")
    try:
        found = read(unhex(entry["txbytes"]))
        gas = check_stateless(found.tx)
    except (InvalidTransaction, NotOnMainnet) as error:
        if refusal is None:
            raise Mismatch(f"expected a valid transaction, got: {error}") from None
        return True
    if refusal is not None:
        raise Mismatch(f"expected {refusal}, got a valid transaction")
    return expect(
        hash=(unhex(expected["hash"]), found.hash),
        sender=(unhex(expected["sender"]), found.sender),
        intrinsicGas=(int(expected["intrinsicGas"], 16), gas),
    )
