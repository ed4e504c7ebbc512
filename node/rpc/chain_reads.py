"""What several methods need of the chain: blocks by parameter, log queries, calls' arguments."""

import asyncio
from dataclasses import dataclass
from typing import final

from node.chain import Chain
from node.records import BlockRecord, LogEntry
from node.rpc.errors import Code, RpcFault
from node.rpc.values import (
    BadValue,
    BlockId,
    Json,
    Tag,
    read_address,
    read_block,
    read_data,
    read_hash,
    read_list,
    read_object,
    read_quantity,
)
from vm.gas import tx_gas_limit

LOGS_MAX = 10_000
"""Logs in one answer; as the public Ethereum services."""
LOG_SPAN = 512
"""Heights that are searched between two turns of the event loop."""
ADDRESSES_MAX = 256
TOPIC_CHOICES_MAX = 256
TOPICS_MAX = 4

_CALL_KEYS = frozenset(
    (
        "from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "nonce",
        "data", "input", "accessList", "chainId", "type",
    )
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallArgs:
    """A call without a signature, as `eth_call` and `eth_estimateGas` take it."""

    sender: bytes
    to: bytes
    data: bytes
    gas: int


@final
@dataclass(frozen=True, slots=True)
class LogRange:
    """A log query with its heights; `last` None follows the head."""

    addresses: frozenset[bytes]
    """Empty for any contract."""
    topics: tuple[frozenset[bytes], ...]
    """For each place the topics that are allowed; empty for any."""
    first: int
    last: int | None


def find_record(chain: Chain, block: BlockId) -> BlockRecord | None:
    """Return the block that a parameter names, None if there is none such."""
    match block:
        case Tag.EARLIEST:
            return chain.record(0)
        case Tag():
            return chain.record(chain.height)
        case _:
            return chain.record(block)


def require_head(chain: Chain, value: Json) -> Tag:
    """Return the tag if a block parameter means the head's state: older state is not kept.

    Raises:
        RpcFault: another block.
    """
    block = read_block(value)
    if isinstance(block, Tag) and block is not Tag.EARLIEST:
        return block
    record = find_record(chain, block)
    if record is None:
        raise RpcFault(Code.SERVER, "header not found")
    if record.height != chain.height:
        message = f"historical state is not available: block {record.height} is not the latest"
        raise RpcFault(Code.SERVER, message)
    return Tag.LATEST


def read_call(chain: Chain, value: Json) -> CallArgs:
    """Return the arguments of a call; fees and nonce are read for their form and ignored.

    Raises:
        RpcFault: a value (there is no coin) or a missing `to` (nothing can be created yet).
    """
    call = read_object(value, "call")
    for key in call:
        if key not in _CALL_KEYS:
            raise BadValue(f"call.{key[:64]}: is not known")
    limit = tx_gas_limit(chain.genesis.block_gas_limit)
    data, input_ = call.get("data"), call.get("input")
    if data is not None and input_ is not None and data != input_:
        raise BadValue("call.data: differs from call.input; give one of them")
    if call.get("value") is not None and read_quantity(call["value"], "call.value"):
        raise RpcFault(Code.SERVER, "insufficient funds for gas * price + value")
    if call.get("to") is None:
        raise RpcFault(Code.SERVER, "contract creation not supported")
    sender, gas = call.get("from"), call.get("gas")
    payload = data if data is not None else input_
    return CallArgs(
        sender=bytes(20) if sender is None else read_address(sender, "call.from"),
        to=read_address(call["to"], "call.to"),
        data=b"" if payload is None else read_data(payload, "call.data", max_length=128 << 10),
        gas=limit if gas is None else min(read_quantity(gas, "call.gas"), limit),
    )


def read_log_range(chain: Chain, value: Json) -> LogRange:
    """Return the query of `eth_getLogs`, `eth_newFilter` or a `logs` subscription."""
    keys = ("fromBlock", "toBlock", "blockHash", "address", "topics")
    given = read_object(value, "filter", keys)
    addresses = frozenset(_addresses(given.get("address")))
    topics = tuple(_topic(choice, i) for i, choice in enumerate(_topics(given.get("topics"))))
    if given.get("blockHash") is not None:
        if given.get("fromBlock") is not None or given.get("toBlock") is not None:
            raise BadValue("filter: cannot specify both BlockHash and FromBlock/ToBlock")
        height = chain.store.height_of(read_hash(given["blockHash"], "filter.blockHash"))
        if height is None:
            raise RpcFault(Code.SERVER, "unknown block")
        return LogRange(addresses, topics, height, height)
    first = _height(chain, given.get("fromBlock"), "filter.fromBlock")
    last = _height(chain, given.get("toBlock"), "filter.toBlock")
    if last is not None and (chain.height if first is None else first) > last:
        raise BadValue("invalid block range params: toBlock lies before fromBlock")
    return LogRange(addresses, topics, chain.height if first is None else first, last)


def _height(chain: Chain, value: Json, field: str) -> int | None:
    """Return a height; None for the head."""
    block = read_block(value, field)
    match block:
        case Tag.EARLIEST:
            return 0
        case Tag():
            return None
        case int():
            return block
        case bytes():
            height = chain.store.height_of(block)
            if height is None:
                raise RpcFault(Code.SERVER, "unknown block")
            return height


def _addresses(value: Json) -> list[bytes]:
    if value is None:
        return []
    many = _many(value, "filter.address", ADDRESSES_MAX)
    return [read_address(each, "filter.address") for each in many]


def _topics(value: Json) -> list[Json]:
    return [] if value is None else read_list(value, "filter.topics", TOPICS_MAX)


def _topic(choice: Json, index: int) -> frozenset[bytes]:
    """Return the topics allowed at one place: null is any, an array one of several."""
    if choice is None:
        return frozenset()
    field = f"filter.topics[{index}]"
    many = _many(choice, field, TOPIC_CHOICES_MAX)
    if None in many:
        return frozenset()
    return frozenset(read_hash(each, field) for each in many)


def _many(value: Json, field: str, max_length: int) -> list[Json]:
    """Return one value, or each of an array."""
    return read_list(value, field, max_length) if isinstance(value, list) else [value]


async def find_logs(chain: Chain, asked: LogRange, first: int, last: int) -> list[LogEntry]:
    """Return all logs of first..last that match; the event loop turns in between.

    Raises:
        RpcFault: more than LOGS_MAX.
    """
    found: list[LogEntry] = []
    for start in range(max(first, 0), min(last, chain.height) + 1, LOG_SPAN):
        stop = min(start + LOG_SPAN - 1, last)
        room = LOGS_MAX + 1 - len(found)
        found += chain.logs(start, stop, asked.addresses, asked.topics, room)
        if len(found) > LOGS_MAX:
            message = f"query returned more than {LOGS_MAX} results: ask for fewer blocks"
            raise RpcFault(Code.LIMIT_EXCEEDED, message)
        await asyncio.sleep(0)
    return found
