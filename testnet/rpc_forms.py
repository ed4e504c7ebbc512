"""The hex forms in Ethereum's JSON-RPC, and which of them each key of an answer has."""

import re
from collections.abc import Mapping
from typing import Final

_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "quantity": re.compile(r"0x(0|[1-9a-f][0-9a-f]*)"),
    "data": re.compile(r"0x([0-9a-f]{2})*"),
    "hash": re.compile(r"0x[0-9a-f]{64}"),
    "address": re.compile(r"0x[0-9a-fA-F]{40}"),
    "bloom": re.compile(r"0x[0-9a-f]{512}"),
    "8 bytes": re.compile(r"0x[0-9a-f]{16}"),
    "text": re.compile(r"(?!0x).*", re.DOTALL),
    "decimal": re.compile(r"0|[1-9][0-9]*"),
}
_KEYS: Final[Mapping[str, str]] = {
    "quantity": (
        "number timestamp gasUsed gasLimit baseFeePerGas difficulty totalDifficulty size "
        "blockNumber transactionIndex blockTimestamp type gas gasPrice value v r s chainId yParity "
        "maxFeePerGas maxPriorityFeePerGas cumulativeGasUsed effectiveGasPrice status logIndex "
        "oldestBlock pending queued reward timestampMs stack"
    ),
    "data": "extraData input output data returnValue",
    "hash": (
        "hash parentHash mixHash receiptsRoot stateRoot transactionsRoot sha3Uncles "
        "withdrawalsRoot blockHash transactionHash topics storageKeys transactions uncles storage"
    ),
    "address": "from to miner address contractAddress",
    "bloom": "logsBloom",
    "text": "error op",
}
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    **{key: (form,) for form, keys in _KEYS.items() for key in keys.split()},
    "nonce": ("8 bytes", "quantity"),  # Of a block, of a transaction.
    "quantity": ("quantity",),
    "decimal": ("decimal",),
}
"""For each key the forms that its text may have; the first that fits theirs must fit ours."""

RESULT_FORMS: Final[Mapping[str, str]] = {
    "eth_call": "data",
    "eth_getCode": "data",
    "eth_getStorageAt": "hash",
    "eth_getStorageValues": "hash",
    "eth_sendRawTransaction": "hash",
    "debug_getRawTransaction": "data",
    "net_version": "decimal",
    "eth_chainId": "quantity",
    "eth_blockNumber": "quantity",
    "eth_estimateGas": "quantity",
    "eth_baseFee": "quantity",
    "eth_getBalance": "quantity",
    "eth_getTransactionCount": "quantity",
    "eth_getBlockTransactionCountByHash": "quantity",
    "eth_getBlockTransactionCountByNumber": "quantity",
}
"""The key under which a method's whole result would stand, where it is text."""


def has_form(form: str, text: str) -> bool:
    """Whether a text has a form."""
    return _PATTERNS[form].fullmatch(text) is not None
