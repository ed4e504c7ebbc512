"""What a transaction did: status, gas, logs and output, in one canonical encoding."""

from collections.abc import Iterable
from functools import lru_cache
from typing import final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import keccak256
from crypto.keys import ADDRESS_BYTES
from vm.value import value

RECEIPT_BYTES_MAX = 4 * 1024 * 1024
"""Above what half of `genesis.GAS_LIMIT_MAX` buys at 8 gas for each byte of a log."""
OUTPUT_BYTES_MAX = 4096
"""Longer outputs are not kept: `eth_call` gives them, a receipt need not."""
TOPICS_MAX = 4
BLOOM_BYTES = 256

_U63 = 2**63
_BLOOM_BITS = 8 * BLOOM_BYTES
_ONE = ord("1")


@final
@value()
class Log:
    """An Ethereum log: contract (20 bytes), at most 4 topics of 32 bytes, ABI-encoded data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@final
@value(kw_only=True)
class Receipt:
    """Result of one transaction in its block."""

    status: int
    """1: done; 0: reverted, without effect but for nonce and gas."""
    gas_used: int
    cumulative_gas: int
    """Gas used in the block up to and with this transaction."""
    logs: tuple[Log, ...]
    output: bytes
    """Return data, or revert data (Solidity's Error(string)); empty if above OUTPUT_BYTES_MAX."""

    def __post_init__(self) -> None:
        if self.status not in (0, 1):
            raise DecodeError("receipt.status", f"must be 0 or 1, got {self.status}")
        if not 0 <= self.gas_used <= self.cumulative_gas < _U63:
            message = f"must lie in 0..cumulative_gas, got {self.gas_used}, {self.cumulative_gas}"
            raise DecodeError("receipt.gas_used", message)
        if len(self.output) > OUTPUT_BYTES_MAX:
            message = f"must be at most {OUTPUT_BYTES_MAX} bytes, got {len(self.output)}"
            raise DecodeError("receipt.output", message)


def encode_receipt(receipt: Receipt) -> bytes:
    """Return canonical [status, gas_used, cumulative_gas, [[address, [topic…], data]…], output]."""
    logs: list[codec.Nested] = [[log.address, log.topics, log.data] for log in receipt.logs]
    return codec.encode_nested(
        [receipt.status, receipt.gas_used, receipt.cumulative_gas, logs, receipt.output]
    )


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt whose one encoding is `data`, or raise DecodeError naming the field."""
    value = codec.decode(data, field="receipt", max_bytes=RECEIPT_BYTES_MAX)
    status, gas_used, cumulative_gas, logs, output = codec.as_list(value, "receipt", length=5)
    return Receipt(
        status=codec.as_int(status, "receipt.status", 0, 1),
        gas_used=codec.as_int(gas_used, "receipt.gas_used"),
        cumulative_gas=codec.as_int(cumulative_gas, "receipt.cumulative_gas"),
        logs=tuple(_read_log(log) for log in codec.as_list(logs, "receipt.logs")),
        output=codec.as_bytes(output, "receipt.output", max_length=OUTPUT_BYTES_MAX),
    )


def _read_log(value: codec.Value) -> Log:
    address, topics, data = codec.as_list(value, "log", length=3)
    return Log(
        codec.as_bytes(address, "log.address", length=ADDRESS_BYTES),
        tuple(
            codec.as_bytes(topic, "log.topics", length=32)
            for topic in codec.as_list(topics, "log.topics", max_length=TOPICS_MAX)
        ),
        codec.as_bytes(data, "log.data"),
    )


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """Return Ethereum's 2048-bit filter over addresses and topics (Yellow Paper, section 4.3.1)."""
    digits = bytearray(b"0" * _BLOOM_BITS)  # Binary, highest first: no large int for each bit.
    for log in logs:
        for item in (log.address, *log.topics):
            first, second, third = _places(item)
            digits[first] = digits[second] = digits[third] = _ONE
    return int(digits, 2).to_bytes(BLOOM_BYTES, "big")


@lru_cache(maxsize=4096)
def _places(item: bytes) -> tuple[int, int, int]:
    """Return which digits stand for an item, counted from the end; most items come again."""
    digest = keccak256(item)
    return (
        ~((digest[0] << 8 | digest[1]) % _BLOOM_BITS),
        ~((digest[2] << 8 | digest[3]) % _BLOOM_BITS),
        ~((digest[4] << 8 | digest[5]) % _BLOOM_BITS),
    )
