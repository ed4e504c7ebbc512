"""One WebSocket connection: calls as over HTTP, and subscriptions that push."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, final

import aiohttp
import structlog
from aiohttp import web

from node.chain import Chain
from node.errors import StorageError
from node.failure import report
from node.log_query import LogQuery, log_entries
from node.relay import Envelope
from node.relay_service import RelayService
from node.rpc.block_feed import BlockFeed
from node.rpc.block_notices import BlockNotices
from node.rpc.chain_reads import read_log_range, require_blocks
from node.rpc.dispatch import Caller, Dispatcher, Method
from node.rpc.errors import Code, RpcFault
from node.rpc.openrpc import SIGNATURES
from node.rpc.signature import bind
from node.rpc.values import (
    U64_MAX,
    Args,
    BadValue,
    Out,
    read_bool,
    read_data,
    read_int,
    read_list,
    read_object,
    read_text,
    to_data,
)
from node.rpc.views import head_json, log_json, pending_json
from vm.transaction import Transaction

SUBSCRIPTIONS_MAX = 32
"""Of one connection."""
CALLS_MAX = 64
"""Calls of one connection that are being answered."""
QUEUE_MAX = 10_000
"""Pushed items that wait for a slow reader; above it the connection is closed."""
QUEUE_BYTES_MAX = 8 << 20
"""Of these items, as they came: transactions and envelopes."""
UNSENT_BYTES_MAX = 64 << 20
"""Answers that wait for a slow reader, about two of the largest; above it the connection is closed,
as calls that were begun at the same time may all end while nothing can be sent."""
RELAY_KEYS_MAX = 1_024
_NAME_MAX = 64

_log = structlog.get_logger("rpc")

_Item = TypeVar("_Item")

Source: TypeAlias = AsyncGenerator[Out, None]
"""What a subscription pushes; closed when it ends."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """What subscriptions read from; shared by all connections of a node."""

    chain: Chain
    blocks: BlockFeed
    notices: BlockNotices
    relay: RelayService
    pending: "PendingFeed"


@final
class PendingFeed:
    """Tells listeners of each admitted transaction."""

    def __init__(self, chain: Chain) -> None:
        self.listeners: set[Callable[[Transaction], None]] = set()
        chain.on_transaction(self._on_transaction)

    def _on_transaction(self, tx: Transaction, is_own: bool) -> None:  # noqa: FBT001
        """Pass it on; where the transaction came from is nobody's business here."""
        del is_own
        for listener in tuple(self.listeners):
            listener(tx)


@final
class _Pushed(Generic[_Item]):
    """A bounded queue between a callback and a subscription; ends the source when it is full."""

    def __init__(self, size_of: Callable[[_Item], int]) -> None:
        """Hold at most QUEUE_MAX items, and QUEUE_BYTES_MAX by `size_of`."""
        self._size_of = size_of
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._is_full = False

    def put(self, item: _Item) -> None:
        self._bytes += self._size_of(item)
        if len(self._items) >= QUEUE_MAX or self._bytes > QUEUE_BYTES_MAX:
            self._is_full = True
            self._items.clear()
        else:
            self._items.append(item)
        self._news.set()

    async def __aiter__(self) -> AsyncGenerator[_Item, None]:
        while True:
            self._news.clear()
            while self._items and not self._is_full:
                item = self._items.popleft()
                self._bytes -= self._size_of(item)
                yield item
            if self._is_full:
                return
            await self._news.wait()


@final
class Session:
    """Serves one connection until it closes."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        dispatcher: Dispatcher,
        feeds: Feeds,
        *,
        is_authorised: bool,
        client: str = "",
    ) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._is_authorised = is_authorised
        self._client = client
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._unsent = 0

    async def run(self) -> None:
        """Answer until the peer closes."""
        try:
            async for message in self._socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                await self._room.acquire()
                call = asyncio.create_task(self._answer(message.data))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        finally:
            tasks = [*self._subscriptions.values(), *self._calls]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, body: str | bytes) -> None:
        """Answer one body; subscriptions that it makes begin after the answer is out."""
        made: list[tuple[str, str, Source]] = []
        try:
            caller = Caller(
                is_authorised=self._is_authorised, extra=self._methods(made), client=self._client
            )
            response = await self._dispatcher.answer(body, caller)
            if response is not None:
                await self._send(response)
            for name, prefix, source in made:
                self._subscriptions[name] = asyncio.create_task(self._push(name, prefix, source))
        except ConnectionError:
            pass  # Nobody is there to be answered; `run` ends by itself.
        except Exception as error:  # noqa: BLE001  The edge of a task.
            await self._fail(error)
        finally:
            self._room.release()

    async def _send(self, response: str) -> None:
        """Send an answer; close the connection to a reader that leaves too many of them."""
        self._unsent += len(response)
        try:
            if self._unsent > UNSENT_BYTES_MAX:
                await self._close_slow()
            else:
                await self._socket.send_str(response)
        finally:
            self._unsent -= len(response)

    async def _close_slow(self) -> None:
        await self._socket.close(
            code=aiohttp.WSCloseCode.TRY_AGAIN_LATER, message=b"the reader is too slow"
        )

    def _methods(self, made: list[tuple[str, str, Source]]) -> dict[str, Method]:
        """Return the methods that only a connection has, for one body."""

        def subscribe(prefix: str, source: Source) -> Out:
            if len(self._subscriptions) + len(made) >= SUBSCRIPTIONS_MAX:
                message = f"at most {SUBSCRIPTIONS_MAX} subscriptions a connection"
                raise RpcFault(Code.LIMIT_EXCEEDED, message)
            name = hex(secrets.randbits(63) | 1 << 63)
            made.append((name, prefix, source))
            return name

        return bind(
            {
                "eth_subscribe": lambda args: subscribe("eth", self._eth_source(args)),
                "eth_unsubscribe": self._unsubscribe,
                "hearth_subscribe": lambda args: subscribe("hearth", self._hearth_source(args)),
                "hearth_unsubscribe": self._unsubscribe,
                "hearth_relaySubscribe": lambda args: subscribe("hearth", self._relay_source(args)),
            },
            SIGNATURES,
        )

    def _unsubscribe(self, args: Args) -> Out:
        task = self._subscriptions.pop(read_text(args.get(0), "subscription", _NAME_MAX), None)
        if task is None:
            return False
        task.cancel()
        return True

    async def _push(self, name: str, prefix: str, source: Source) -> None:
        """Send what the source gives; a source that ends could not keep up: close."""
        try:
            async with aclosing(source):
                async for item in source:
                    notice = {
                        "jsonrpc": "2.0",
                        "method": f"{prefix}_subscription",
                        "params": {"subscription": name, "result": item},
                    }
                    await self._socket.send_str(json.dumps(notice, separators=(",", ":")))
            await self._close_slow()
        except ConnectionError:
            pass  # The reader has gone; `run` ends by itself.
        except Exception as error:  # noqa: BLE001  The edge of a task.
            await self._fail(error)
        finally:
            self._subscriptions.pop(name, None)

    async def _fail(self, error: Exception) -> None:
        """Close the connection: a reader must never wait for what will not come."""
        _log.error("rpc session failed", error=repr(error), exc_info=error)
        if isinstance(error, StorageError):
            report("a subscription cannot read the store", error)
        await self._socket.close(
            code=aiohttp.WSCloseCode.INTERNAL_ERROR, message=b"internal error: see the node's log"
        )

    def _eth_source(self, args: Args) -> Source:
        first = self._feeds.chain.height + 1
        match args.get(0):
            case "newHeads":
                return self._heads(first)
            case "logs":
                asked = read_log_range(self._feeds.chain, args.get(1) or {})
                return self._logs(first, LogQuery(asked.addresses, asked.topics))
            case "newPendingTransactions":
                return self._pending(is_full=read_bool(args.get(1), "full"))
            case _:
                raise BadValue("subscription: must be newHeads, logs or newPendingTransactions")

    def _hearth_source(self, args: Args) -> Source:
        if args.get(0) != "blocks":
            raise BadValue('subscription: must be "blocks"')
        options = read_object(args.get(1) or {}, "options", ("fromHeight",))
        first = options.get("fromHeight")
        if first is None:
            return self._blocks(self._feeds.chain.height + 1)
        height = read_int(first, "options.fromHeight", 0, U64_MAX)
        require_blocks(self._feeds.chain, height)
        return self._blocks(height)

    def _relay_source(self, args: Args) -> Source:
        keys = read_list(args.get(0), "keys", RELAY_KEYS_MAX)
        return self._envelopes([read_data(key, "keys", length=32) for key in keys])

    async def _heads(self, first: int) -> Source:
        gas_limit = self._feeds.chain.genesis.block_gas_limit
        with self._feeds.blocks.open(first) as cursor:
            while True:
                yield head_json(await cursor.next(), gas_limit)

    async def _blocks(self, first: int) -> Source:
        with self._feeds.blocks.open(first) as cursor:
            while True:
                yield self._feeds.notices.of(await cursor.next())

    async def _logs(self, first: int, query: LogQuery) -> Source:
        with self._feeds.blocks.open(first) as cursor:
            while True:
                for entry in log_entries(await cursor.next()):
                    if query.matches(entry.log):
                        yield log_json(entry)

    async def _pending(self, *, is_full: bool) -> Source:
        pushed = _Pushed[Transaction](lambda tx: len(tx.raw))
        self._feeds.pending.listeners.add(pushed.put)
        try:
            async for tx in pushed:
                yield pending_json(tx) if is_full else to_data(tx.hash)
        finally:
            self._feeds.pending.listeners.discard(pushed.put)

    async def _envelopes(self, keys: list[bytes]) -> Source:
        pushed = _Pushed[Envelope](lambda envelope: len(envelope.payload))
        subscriber = self._feeds.relay.open(pushed.put)
        try:
            self._feeds.relay.listen(subscriber, keys)
            async for envelope in pushed:
                yield {
                    "to": to_data(envelope.to_key),
                    "window": envelope.window,
                    "expiresMs": envelope.expires_ms,
                    "payload": to_data(envelope.payload),
                }
        finally:
            self._feeds.relay.close(subscriber)
