"""`ots_`: what the Otterscan explorer asks beside Ethereum's methods (its API level 8).

There is no index of addresses: a search reads blocks, in slices, and only so many.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, final

from node.chain import Chain
from node.records import BlockRecord
from node.rpc.chain_reads import read_state
from node.rpc.debug import DebugMethods
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.values import (
    U64_MAX,
    Args,
    Json,
    Out,
    read_address,
    read_hash,
    read_int,
    read_quantity,
    to_data,
)
from node.rpc.views import (
    block_json,
    created_address,
    decode_cached,
    head_json,
    is_unsigned,
    receipt_json,
    sender_of,
    transaction_json,
)
from vm.contract_state import code_at

API_LEVEL = 8
PAGE_MAX = 100
"""Transactions in one page."""
SEARCH_BLOCKS_MAX = 10_000
"""Blocks that one search reads."""
_YIELD_EVERY = 32
"""Blocks between two turns of the event loop."""
_SELECTOR_TEXT = 2 + 8
_OPERATIONS = {"SELFDESTRUCT": 1, "CREATE": 2, "CREATE2": 3}
"""Otterscan's numbers of internal operations; 0, a transfer of coin, cannot happen here."""


@final
class OtterscanMethods:
    """Handlers over one chain; traces are those of `debug_traceTransaction`."""

    def __init__(self, chain: Chain, debug: DebugMethods) -> None:
        self._chain = chain
        self._debug = debug
        self._gas_limit = chain.genesis.block_gas_limit

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "erigon_getHeaderByNumber": self.header,
            "ots_getApiLevel": lambda _: API_LEVEL,
            "ots_hasCode": self.has_code,
            "ots_getBlockDetails": self.block_details,
            "ots_getBlockDetailsByHash": self.block_details,
            "ots_getBlockTransactions": self.block_transactions,
            "ots_getTransactionError": self.transaction_error,
            "ots_traceTransaction": self.trace,
            "ots_getInternalOperations": self.internal_operations,
            "ots_getTransactionBySenderAndNonce": self.by_sender_and_nonce,
            "ots_getContractCreator": self.contract_creator,
            "ots_searchTransactionsBefore": self.search_before,
            "ots_searchTransactionsAfter": self.search_after,
        }

    # Blocks.

    def header(self, args: Args) -> Out:
        record = self._record(args.get(0))
        return None if record is None else head_json(record, self._gas_limit)

    def has_code(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        block = args.get(1)
        view = read_state(self._chain, hex(block) if type(block) is int else block)
        return address in self._chain.machine.contracts or bool(code_at(view.state, address))

    def block_details(self, args: Args) -> Out:
        record = self._record(args.get(0))
        if record is None:
            return None
        return {
            "block": self._block(record, None),
            "issuance": {"blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0"},
            "totalFees": "0x0",
        }

    def block_transactions(self, args: Args) -> Out:
        """A page of a block, counted from its last transactions, in their order."""
        record = self._record(args.get(0))
        page = _number(args.get(1), "page", U64_MAX)
        size = _number(args.get(2), "pageSize", PAGE_MAX)
        if record is None:
            return None
        last = max(len(record.transactions) - page * size, 0)
        places = range(max(last - size, 0), last)
        shown = [transaction_json(record, place) for place in places]
        for tx in shown:
            tx["input"] = str(tx["input"])[:_SELECTOR_TEXT]
        receipts = [
            {**receipt_json(record, place), "logs": None, "logsBloom": None} for place in places
        ]
        return {"fullblock": self._block(record, shown), "receipts": receipts}

    def _block(self, record: BlockRecord, transactions: Out) -> dict[str, Out]:
        block = block_json(record, self._gas_limit, is_full=False)
        block["transactionCount"] = len(record.transactions)
        block["logsBloom"] = None
        if transactions is None:
            del block["transactions"]
        else:
            block["transactions"] = transactions
        return block

    def _record(self, value: Json) -> BlockRecord | None:
        if isinstance(value, str) and len(value) == 66:
            return self._chain.record(read_hash(value, "block"))
        if value == "latest":
            return self._chain.record(self._chain.height)
        return self._chain.record(_number(value, "block", U64_MAX))

    # Transactions.

    def transaction_error(self, args: Args) -> Out:
        """The revert data of a transaction, as far as its receipt keeps it; 0x if it succeeded."""
        place = self._chain.transaction(read_hash(args.get(0), "transactionHash"))
        if place is None:
            raise RpcFault(Code.SERVER, "transaction not found")
        receipts = self._chain.receipts(place[0])
        assert receipts is not None, "the index points at stored blocks"
        receipt = receipts[place[1]]
        return "0x" if receipt.status else to_data(receipt.output)

    async def trace(self, args: Args) -> Out:
        """The calls of a transaction in order, each with its depth."""
        return [
            {
                "type": frame["type"],
                "depth": depth,
                "from": frame["from"],
                "to": frame.get("to"),
                "value": frame.get("value", "0x0"),
                "input": frame["input"],
                "output": frame.get("output", "0x"),
            }
            for depth, frame in await self._frames(args)
        ]

    async def internal_operations(self, args: Args) -> Out:
        """The creations and self-destructs within a transaction, in order."""
        return [
            {
                "type": _OPERATIONS[frame["type"]],
                "from": frame["from"],
                "to": frame.get("to"),
                "value": frame.get("value", "0x0"),
            }
            for depth, frame in await self._frames(args)
            if depth and frame["type"] in _OPERATIONS and not frame.get("error")
        ]

    async def _frames(self, args: Args) -> list[tuple[int, dict[str, Any]]]:
        found = await self._debug.trace_transaction(Args([args.get(0), {"tracer": "callTracer"}]))
        return list(_flatten(found, 0))

    # Searches.

    async def by_sender_and_nonce(self, args: Args) -> Out:
        sender = read_address(args.get(0), "sender")
        nonce = _number(args.get(1), "nonce", U64_MAX)
        chain = self._chain
        if nonce >= chain.machine.next_nonce(chain.state(), sender):
            return None
        for turn, height in enumerate(self._down(chain.height)):
            await _turn(turn)
            record = self._read(height)
            for digest, raw in zip(record.transaction_hashes, record.transactions, strict=True):
                if _has_nonce(raw, nonce) and sender_of(raw) == sender:
                    return to_data(digest)
        raise _too_far()

    async def contract_creator(self, args: Args) -> Out:
        """Who created a contract by a transaction; null for one that a contract created."""
        address = read_address(args.get(0), "address")
        if not code_at(self._chain.state(), address):
            return None
        for turn, height in enumerate(self._down(self._chain.height)):
            await _turn(turn)
            record = self._read(height)
            for digest, raw in zip(record.transaction_hashes, record.transactions, strict=True):
                if _is_creation_of(raw, address):
                    return {"hash": to_data(digest), "creator": to_data(sender_of(raw))}
        return None

    async def search_before(self, args: Args) -> Out:
        """Transactions of an address below a height (0: from the head on), newest first."""
        address, start, size = _search(args)
        chain = self._chain
        found: list[tuple[BlockRecord, int]] = []
        first = chain.height if start == 0 else min(start - 1, chain.height)
        height = first + 1
        for turn, height in enumerate(self._down(first)):
            await _turn(turn)
            record = self._read(height)
            found += [(record, place) for place in reversed(_places(record, address))]
            if len(found) >= size:
                break
        if not found and height > 0:
            raise _too_far()
        return _page(found, is_first=start == 0, is_last=height == 0)

    async def search_after(self, args: Args) -> Out:
        """Transactions of an address above a height (0: from genesis on), newest first."""
        address, start, size = _search(args)
        chain = self._chain
        found: list[tuple[BlockRecord, int]] = []
        first = max(chain.oldest_block, 0 if start == 0 else start + 1)
        height = first - 1
        heights = range(first, min(chain.height + 1, first + SEARCH_BLOCKS_MAX))
        for turn, height in enumerate(heights):
            await _turn(turn)
            record = self._read(height)
            found += [(record, place) for place in _places(record, address)]
            if len(found) >= size:
                break
        if not found and height < chain.height:
            raise _too_far()
        found.reverse()
        return _page(found, is_first=height >= chain.height, is_last=start == 0)

    def _down(self, first: int) -> range:
        """Return the heights that one search reads, downwards."""
        return range(first, max(first - SEARCH_BLOCKS_MAX, self._chain.oldest_block - 1), -1)

    def _read(self, height: int) -> BlockRecord:
        record = self._chain.record(height)
        assert record is not None, "from the oldest block on every height has a block"
        return record


def _has_nonce(raw: bytes, nonce: int) -> bool:
    """Whether a raw transaction has a nonce, and it is this one: cheaper than its sender."""
    return not is_unsigned(raw) and decode_cached(raw).nonce == nonce


def _is_creation_of(raw: bytes, address: bytes) -> bool:
    """Whether a raw transaction creates the contract at `address`."""
    if is_unsigned(raw):
        return False
    tx = decode_cached(raw)
    return tx.to is None and created_address(tx) == address


def _places(record: BlockRecord, address: bytes) -> list[int]:
    """Return which transactions of a block name an address: sender, target, contract or log."""
    word = address.rjust(32, b"\0")
    found = []
    for place, (raw, receipt) in enumerate(zip(record.transactions, record.receipts, strict=True)):
        logs = receipt.logs
        if (
            (not is_unsigned(raw) and address in (sender_of(raw), decode_cached(raw).to))
            or _is_creation_of(raw, address)
            or any(log.address == address or word in log.topics for log in logs)
        ):
            found.append(place)
    return found


def _page(found: list[tuple[BlockRecord, int]], *, is_first: bool, is_last: bool) -> Out:
    return {
        "txs": [transaction_json(record, place) for record, place in found],
        "receipts": [
            {**receipt_json(record, place), "timestamp": record.header.time_ms // 1000}
            for record, place in found
        ],
        "firstPage": is_first,
        "lastPage": is_last,
    }


def _search(args: Args) -> tuple[bytes, int, int]:
    return (
        read_address(args.get(0), "address"),
        _number(args.get(1), "blockNumber", U64_MAX),
        max(_number(args.get(2), "pageSize", PAGE_MAX), 1),
    )


def _number(value: Json, field: str, hi: int) -> int:
    """Return a plain number, which Otterscan sends, or a quantity."""
    if isinstance(value, str):
        return read_quantity(value, field, hi)
    return read_int(value, field, 0, hi)


def _flatten(frame: Any, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, frame
    for call in frame.get("calls", ()):
        yield from _flatten(call, depth + 1)


async def _turn(count: int) -> None:
    if count % _YIELD_EVERY == _YIELD_EVERY - 1:
        await asyncio.sleep(0)


def _too_far() -> RpcFault:
    message = f"nothing was found in {SEARCH_BLOCKS_MAX} blocks: search from nearer"
    return RpcFault(Code.LIMIT_EXCEEDED, message)
