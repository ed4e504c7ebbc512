"""What several methods need of the chain: blocks by parameter, log queries, calls' arguments."""

import asyncio
from dataclasses import dataclass, replace
from typing import final

from node.chain import LOG_BYTES_MAX, Chain
from node.errors import HistoryUnavailable
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
from vm.block import Header
from vm.errors import TxReason
from vm.gas import tx_gas_limit
from vm.state import StateReader

LOGS_MAX = 10_000
"""Logs in one answer; as the public Ethereum services."""
RANGE_MAX = 1_000_000
"""Heights in one log query: half a second of reading blooms, in slices."""
LOG_SPAN = 512
"""Heights that are searched between two turns of the event loop."""
ADDRESSES_MAX = 256
TOPIC_CHOICES_MAX = 256
TOPICS_MAX = 4

ACCESS_LIST_MAX = 1_024
"""Addresses of a call's access list, and slots of each."""
_OTHER_KINDS = frozenset(("blobs", "blobVersionedHashes", "maxFeePerBlobGas", "authorizationList"))
"""Of blob and set-code transactions (EIP-4844, EIP-7702), which do not exist here."""
_IGNORED_QUANTITIES = (
    "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce", "chainId", "type",
)  # fmt: skip
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
    to: bytes | None
    """None: create a contract."""
    data: bytes
    gas: int
    """Limit as a transaction has it: what the payload costs is in it."""
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...]


@final
@dataclass(frozen=True, slots=True)
class StateView:
    """The state after a block, for questions."""

    header: Header
    state: StateReader
    time_ms: int
    """What a contract takes for now: the clock at the head, the block's own time before it."""
    is_pending: bool
    """Whether what waits was asked for as well."""


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


def read_state(chain: Chain, value: Json) -> StateView:
    """Return the state that a block parameter means.

    Raises:
        RpcFault: there is no such block, or its state is not kept any more.
    """
    block = read_block(value)
    if isinstance(block, Tag) and block is not Tag.EARLIEST:
        return _head_state(chain, is_pending=block is Tag.PENDING)
    header = chain.header(0 if isinstance(block, Tag) else block)
    if header is None:
        raise RpcFault(Code.SERVER, "header not found")
    if header.number == chain.height:
        return _head_state(chain, is_pending=False)
    try:
        state = chain.state_at(header.number)
    except HistoryUnavailable as error:
        raise RpcFault(Code.SERVER, str(error)) from None
    return StateView(header, state, header.time_ms, is_pending=False)


def read_fixed_state(chain: Chain, value: Json) -> StateView:
    """Return the same as it is now: it does not move with the head while an answer takes turns.

    A read of it raises HistoryUnavailable once the head has gone on further than history is kept.
    """
    view = read_state(chain, value)
    if view.header.number < chain.height:
        return view
    return replace(view, state=chain.state_at(view.header.number))


def require_blocks(chain: Chain, first: int) -> None:
    """Raise RpcFault unless all blocks from `first` on are kept: a gap must not look empty."""
    if first < chain.oldest_block:
        raise RpcFault(
            Code.SERVER,
            f"pruned history unavailable: blocks below {chain.oldest_block} are not kept here",
        )


def oldest_state(chain: Chain) -> int:
    """Return the height of the oldest block whose state can be asked for."""
    try:
        chain.state_at(0)
    except HistoryUnavailable as error:
        return error.oldest
    return 0


def _head_state(chain: Chain, *, is_pending: bool) -> StateView:
    now_ms = max(chain.now_ms(), chain.head.time_ms)
    return StateView(chain.head, chain.state(), now_ms, is_pending)


def read_call(chain: Chain, value: Json) -> CallArgs:
    """Return the arguments of a call; fees and nonce are read for their form and ignored.

    Raises:
        RpcFault: a value (there is no coin), or a kind of transaction that does not exist here.
    """
    call = read_object(value, "call")
    for key in call:
        if key in _OTHER_KINDS:
            raise RpcFault(Code.SERVER, f"{TxReason.TYPE_NOT_SUPPORTED.text}: call.{key}")
        if key not in _CALL_KEYS:
            raise BadValue(f"call.{key[:64]}: is not known")
    for key in _IGNORED_QUANTITIES:
        if call.get(key) is not None:
            read_quantity(call[key], f"call.{key}")
    limit = tx_gas_limit(chain.genesis.block_gas_limit)
    data, input_ = call.get("data"), call.get("input")
    if data is not None and input_ is not None and data != input_:
        raise BadValue("call.data: differs from call.input; give one of them")
    if call.get("value") is not None and read_quantity(call["value"], "call.value"):
        raise RpcFault(Code.SERVER, "insufficient funds for gas * price + value")
    sender, to, gas = call.get("from"), call.get("to"), call.get("gas")
    payload = data if data is not None else input_
    return CallArgs(
        sender=bytes(20) if sender is None else read_address(sender, "call.from"),
        to=None if to is None else read_address(to, "call.to"),
        data=b"" if payload is None else read_data(payload, "call.data", max_length=128 << 10),
        gas=limit if gas is None else min(read_quantity(gas, "call.gas"), limit),
        access_list=_access_list(call.get("accessList")),
    )


def _access_list(value: Json) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    field = "call.accessList"
    entries = []
    for item in [] if value is None else read_list(value, field, ACCESS_LIST_MAX):
        entry = read_object(item, field, ("address", "storageKeys"))
        keys = entry.get("storageKeys")
        slots = [] if keys is None else read_list(keys, f"{field}.storageKeys", ACCESS_LIST_MAX)
        entries.append(
            (
                read_address(entry.get("address"), f"{field}.address"),
                tuple(read_hash(slot, f"{field}.storageKeys") for slot in slots),
            )
        )
    return tuple(entries)


def read_log_range(chain: Chain, value: Json) -> LogRange:
    """Return the query of `eth_getLogs`, `eth_newFilter` or a `logs` subscription."""
    keys = ("fromBlock", "toBlock", "blockHash", "address", "topics")
    given = read_object(value, "filter", keys)
    addresses = frozenset(_addresses(given.get("address")))
    topics = tuple(_topic(choice, i) for i, choice in enumerate(_topics(given.get("topics"))))
    if given.get("blockHash") is not None:
        if given.get("fromBlock") is not None or given.get("toBlock") is not None:
            raise BadValue(
                "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, "
                "choose one or the other"
            )
        height = chain.store.height_of(read_hash(given["blockHash"], "filter.blockHash"))
        if height is None:
            raise RpcFault(Code.SERVER, "unknown block")
        return LogRange(addresses, topics, height, height)
    first = _height(chain, given.get("fromBlock"), "filter.fromBlock")
    last = _height(chain, given.get("toBlock"), "filter.toBlock")
    if last is not None and (chain.height if first is None else first) > last:
        raise BadValue("invalid block range params")
    first = chain.height if first is None else first
    require_blocks(chain, first)
    return LogRange(addresses, topics, first, last)


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


def check_range(first: int, last: int) -> None:
    """Refuse a log query over too many blocks; the words are geth's. Raises BadValue."""
    if last - first >= RANGE_MAX:
        raise BadValue(f"exceed maximum block range: {RANGE_MAX}")


async def find_logs(chain: Chain, asked: LogRange, first: int, last: int) -> list[LogEntry]:
    """Return all logs of first..last that match; the event loop turns in between.

    Raises:
        RpcFault: more than LOGS_MAX, or more than LOG_BYTES_MAX of data.
    """
    found: list[LogEntry] = []
    size = 0
    for start in range(max(first, 0), min(last, chain.height) + 1, LOG_SPAN):
        stop = min(start + LOG_SPAN - 1, last)
        room = LOGS_MAX + 1 - len(found)
        entries = chain.logs(
            start, stop, asked.addresses, asked.topics, room, bytes_max=LOG_BYTES_MAX - size
        )
        found += entries
        size += sum(len(entry.log.data) for entry in entries)
        if len(found) > LOGS_MAX:
            message = f"query returned more than {LOGS_MAX} results: ask for fewer blocks"
            raise RpcFault(Code.LIMIT_EXCEEDED, message)
        if size > LOG_BYTES_MAX:
            message = f"query returned more than {LOG_BYTES_MAX} bytes: ask for fewer blocks"
            raise RpcFault(Code.LIMIT_EXCEEDED, message)
        await asyncio.sleep(0)
    return found
