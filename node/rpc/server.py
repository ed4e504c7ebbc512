"""The node's HTTP side: JSON-RPC, WebSocket, health, metrics and the reasons for standing still.

Loopback unless configured otherwise. A Host (and a browser's Origin) that is not this node's own
is refused, so that a web page cannot reach it under a name of its own (DNS rebinding).
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import final
from urllib.parse import urlsplit

from aiohttp import web

from node.chain import Chain
from node.directory import Directory
from node.metrics import CONTENT_TYPE, Metrics
from node.p2p.network import PeerNetwork
from node.protocols import protocol_status, too_old
from node.relay_service import RelayService
from node.rpc.block_feed import BlockFeed
from node.rpc.block_notices import BlockNotices
from node.rpc.dispatch import BODY_BYTES_MAX, Caller, Dispatcher
from node.rpc.filters import Filters
from node.rpc.handlers_eth import EthMethods
from node.rpc.handlers_hearth import HearthMethods
from node.rpc.methods import method_table
from node.rpc.session import Feeds, PendingFeed, Session
from node.rpc.submissions import RECEIPT_MIN_MS
from node.rpc.values import Args
from node.snapshot_server import SnapshotServer

SESSIONS_MAX = 64
"""WebSocket connections at the same time."""
CONNECTIONS_MAX = 512
"""Of all kinds at the same time. More are closed at once: a process has about a thousand files to
open, and the members' links need theirs."""
PING_S = 30
"""A WebSocket client that does not answer a ping for half as long is dropped."""
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_EXTENSIONS = frozenset(("chrome-extension", "moz-extension", "safari-web-extension"))
"""Origins of wallets that live in a browser; pages cannot take them on."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """Where the RPC listens and whom it answers."""

    host: str
    port: int
    token: str
    """Hex text of the file rpc.token; calls that act for the household need it."""
    is_testnet: bool = False
    is_open_to_pages: bool = False
    """Whether web pages of this machine may call (CORS): on chains for developers."""
    receipt_min_ms: int = RECEIPT_MIN_MS
    """How old a client's transaction is when its receipt is first answered; 0 for developers, whose
    tests would wait for it a hundred times."""


@final
class RpcServer:
    """Start it inside a running loop, once the chain has a replica attached.

    Attributes:
        methods: what it serves, by name, but for those of a WebSocket; a chain for developers adds
            its own.
        filters: that are polled.
        feeds: what subscriptions read from.
    """

    def __init__(
        self,
        *,
        config: RpcConfig,
        chain: Chain,
        network: PeerNetwork,
        relay: RelayService,
        directory: Directory,
        metrics: Metrics,
        snapshots: SnapshotServer | None = None,
    ) -> None:
        self._config = config
        self._chain = chain
        self._metrics = metrics
        clock = asyncio.get_running_loop().time
        self.filters = Filters(chain, lambda: int(clock() * 1000))
        eth = EthMethods(chain, lambda: len(network.up), self.filters, config.receipt_min_ms)
        hearth = HearthMethods(
            chain=chain,
            network=network,
            relay=relay,
            directory=directory,
            is_testnet=config.is_testnet,
            eth=eth,
        )
        self._submissions = eth.submissions
        self.methods = method_table(chain, eth, hearth, snapshots)
        self._dispatcher = Dispatcher(self.methods, metrics.call)
        self.feeds = Feeds(
            chain=chain,
            blocks=BlockFeed(chain),
            notices=BlockNotices(chain),
            relay=relay,
            pending=PendingFeed(chain),
        )
        self._hosts = _LOOPBACK_NAMES | {config.host}
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def waiting(self) -> dict[str, int]:
        """How many calls of each client wait for a seal."""
        return self._submissions.waiting

    @property
    def connections(self) -> int:
        """How many WebSocket connections are open."""
        return len(self._sockets)

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""

        @web.middleware
        async def guard(
            request: web.Request,
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ) -> web.StreamResponse:
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
            if not self._config.is_open_to_pages:
                return await handler(request)
            return await _answer_page(request, handler)

        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
        app.router.add_post("/", self._post)
        app.router.add_get("/", self._websocket)  # Where most tools look for it.
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/openrpc.json", self._openrpc)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/why", self._why)
        app.router.add_get("/metrics", self._serve_metrics)
        app.on_shutdown.append(self._close_sockets)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        serve = self._runner.server
        assert serve is not None, "it is made by setup"

        def accept() -> asyncio.Protocol:
            return serve() if len(serve.connections) < CONNECTIONS_MAX else _Refused()

        host, port = self._config.host, self._config.port
        self._listener = await asyncio.get_running_loop().create_server(accept, host, port)

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _refusal(self, request: web.Request) -> web.Response | None:
        """Refuse hosts and origins that are not this node's own."""
        if _host_of(f"//{request.headers.get('Host', '')}") not in self._hosts:
            return web.Response(status=403, text="this host name is not allowed\n")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(origin):
            return web.Response(status=403, text="this origin is not allowed\n")
        return None

    def _is_own(self, origin: str) -> bool:
        return origin.partition(":")[0] in _EXTENSIONS or _host_of(origin) in self._hosts

    def _is_authorised(self, request: web.Request) -> bool:
        """Whether the request shows the token; the comparison takes constant time."""
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(given, f"Bearer {self._config.token}".encode())

    def _client(self, request: web.Request) -> str:
        """Return who asks: a host, whatever number of connections it opens.

        Who shows the token is somebody else, so that the household's own programs have a share
        that no other program of the same host can take.
        """
        return f"{'with' if self._is_authorised(request) else 'without'} token, {request.remote}"

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        waits_ms: list[int] = []
        caller = Caller(
            is_authorised=self._is_authorised(request),
            extra={},
            on_busy=waits_ms.append,
            client=self._client(request),
        )
        answer = await self._dispatcher.answer(body, caller)
        if answer is None:
            return web.Response(status=204)
        response = web.Response(text=answer, content_type="application/json")
        if waits_ms:
            response.headers["Retry-After"] = str(-(-max(waits_ms) // 1000))
            if not answer.startswith("["):  # The other calls of a batch may have succeeded.
                response.set_status(429)
        return response

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= SESSIONS_MAX:
            return web.Response(status=503, text="too many connections\n")
        socket = web.WebSocketResponse(
            max_msg_size=BODY_BYTES_MAX, heartbeat=PING_S, compress=False, timeout=1
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            session = Session(
                socket,
                self._dispatcher,
                self.feeds,
                is_authorised=self._is_authorised(request),
                client=self._client(request),
            )
            await session.run()
        finally:
            self._sockets.discard(socket)
        return socket

    async def _close_sockets(self, _: web.Application) -> None:
        closing = [socket.close(code=1001, message=b"the node stops") for socket in self._sockets]
        await asyncio.gather(*closing, return_exceptions=True)

    async def _openrpc(self, _: web.Request) -> web.Response:
        """The methods with what they take and give, for tools that make clients."""
        return web.json_response(self.methods["rpc.discover"].handler(Args([])))

    async def _health(self, _: web.Request) -> web.Response:
        """Live: the event loop turns."""
        reason = too_old(protocol_status(self._chain))
        if reason is not None:  # No failure: to start it again would help nobody.
            return web.json_response({"status": "too old", "reason": reason})
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        """Ready: the node votes and a quorum can be reached; otherwise 503 with the reason."""
        reason = self._reason_not_ready()
        return web.json_response(
            {"ready": reason is None, "reason": reason}, status=200 if reason is None else 503
        )

    def _reason_not_ready(self) -> str | None:
        reason = too_old(protocol_status(self._chain))
        if reason is not None:
            return reason
        status = self._chain.status()
        reachable, needed = status.peers_up + 1, self._chain.membership().quorum.certificate
        if reachable < needed:
            return f"only {reachable} members are reachable, {needed} are needed to seal a block"
        if status.is_learner:
            return "the node follows without voting until it is sure to be up to date"
        return None

    async def _why(self, request: web.Request) -> web.Response:
        """Why nothing progresses, as text for people or JSON for programs."""
        sentences = self._chain.why()
        if "application/json" in request.headers.get("Accept", ""):
            return web.Response(text=json.dumps(sentences), content_type="application/json")
        text = "\n".join(sentences) or "Nothing stands in the way."
        return web.Response(text=text + "\n")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


@final
class _Refused(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it: the caller sees that at once, and may try again."""
        transport.close()


async def _answer_page(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer with what a browser needs to hand it to a page, whose origin is allowed already."""
    is_question = request.method == "OPTIONS"
    response = web.Response(status=204) if is_question else await handler(request)
    origin = request.headers.get("Origin")
    if origin is not None and not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "content-type"
        response.headers["Vary"] = "Origin"
    return response


def _host_of(url: str) -> str | None:
    """Return the host name in a URL from a header; None if there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
