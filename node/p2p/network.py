"""All links of a node: one for each other member, kept open, dialled by the lower index.

The network moves frames between members whose keys TLS has proved; what a frame means is its
handlers' business. It decides nothing: who is suspected is told to it.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import final

import aiohttp
import structlog
from aiohttp import web

from node.failure import report, spawn
from node.p2p.config import NetworkConfig
from node.p2p.errors import LinkRefused
from node.p2p.frames import (
    FRAME_BYTES_MAX,
    PATH,
    SUBPROTOCOL,
    Channel,
    encode_frame,
)
from node.p2p.handshake import Handshake
from node.p2p.identity import NodeIdentity, client_context, server_context
from node.p2p.link import Link, Socket
from node.p2p.member import MemberEndpoint, PeerStats
from node.p2p.reputation import Reputation

_REASON_HEADER = "X-Hearth-Reason"
_REASON_LENGTH_MAX = 200

_log = structlog.get_logger("p2p")


@final
@dataclass(slots=True)
class _Peer:
    """A member with its link, if there is one, and the sums of links that ended."""

    endpoint: MemberEndpoint
    link: Link | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    links: int = 0
    last_error: str = ""
    knock: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is known to be up, so that the next attempt to dial it need not wait."""


@final
class PeerNetwork:
    """Start it inside a running loop; callbacks come on that loop and must not block."""

    def __init__(
        self,
        *,
        identity: NodeIdentity,
        me: int,
        members: Sequence[MemberEndpoint],
        listen: tuple[str, int],
        genesis_hash: bytes,
        on_frame: Callable[[int, Channel, bytes], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int], None],
        config: NetworkConfig | None = None,
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            identity: this node's key and certificate.
            me: this node's index among `members`.
            members: all members of the epoch, this node included.
            listen: host and port to accept links at.
            genesis_hash: 32 bytes; a peer of another chain is refused.
            on_frame: called with (member, channel, payload) for each frame.
            on_up: called when a member's link is open, before its first frame.
            on_down: called when it has ended, after its last frame.
            config: limits and patience.
        """
        self._identity = identity
        self._me = me
        self._listen = listen
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._config = config or NetworkConfig()
        self._peers = {m.index: _Peer(m) for m in members if m.index != me}
        name = next(m.name for m in members if m.index == me)
        self._handshake = Handshake(genesis_hash=genesis_hash, name=name)
        self._by_certificate = {m.certificate: m.index for m in members}
        self._reputation = Reputation(self._config)
        self._partitioned: frozenset[int] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._session: aiohttp.ClientSession | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Listen, and begin to dial the members above. Raises OSError if the port is taken."""
        certificates = list(self._by_certificate)
        app = web.Application()
        app.router.add_get(PATH, self._accept)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        protocol = self._runner.server
        assert protocol is not None, "setup() makes it"
        loop = asyncio.get_running_loop()
        host, port = self._listen
        self._server = await loop.create_server(
            protocol,
            host,
            port,
            ssl=server_context(self._identity, certificates),
            ssl_handshake_timeout=self._config.handshake_ms / 1000,
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True)
        )
        self._tasks = [spawn(self._keep_house(), "the watch over links failed")]
        for peer in self._peers.values():
            if peer.endpoint.index > self._me:
                self._tasks.append(spawn(self._keep_dialling(peer), "dialling failed"))
            else:
                self._tasks.append(spawn(self._knock_at(peer), "knocking failed"))

    async def stop(self) -> None:
        """Close all links and stop listening. Callbacks end before it returns."""
        self._is_stopping = True
        for link in self._links():
            link.end("the node stops")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def send(self, member: int, channel: Channel, payload: bytes) -> bool:
        """Queue for one member; False if its link is down or the frame was dropped."""
        link = self._peers[member].link
        if link is None or member in self._partitioned:
            return False
        return link.send(channel, encode_frame(channel, payload))

    def broadcast(self, channel: Channel, payload: bytes, except_: int | None = None) -> None:
        """Queue for all members whose link is up, but for `except_`; encoded once."""
        frame = encode_frame(channel, payload)
        for member, peer in self._peers.items():
            if peer.link is not None and member != except_ and member not in self._partitioned:
                peer.link.send(channel, frame)

    def suspect(self, member: int, reason: str, points: int = 10) -> None:
        """Charge a member for bad input; at the limit its links are refused for a while."""
        _log.info("peer suspected", peer=self._peers[member].endpoint.name, reason=reason)
        if self._reputation.add(member, points, self._now_ms()):
            link = self._peers[member].link
            if link is not None:
                link.end(f"too many faults, the last: {reason}")

    def set_partition(self, members: frozenset[int]) -> None:
        """Drop all frames from and to `members`, both ways, until called again (testnets only).

        As in a real partition their links fall silent first and are closed for it later.
        """
        healed = self._partitioned - members
        self._partitioned = members - {self._me}
        for member in healed:
            self._peers[member].knock.set()

    @property
    def up(self) -> frozenset[int]:
        """The members whose links are open."""
        return frozenset(m for m, peer in self._peers.items() if peer.link is not None)

    def stats(self) -> tuple[PeerStats, ...]:
        """Return the figures of each other member, by index."""
        return tuple(self._stats_of(peer) for _, peer in sorted(self._peers.items()))

    def _stats_of(self, peer: _Peer) -> PeerStats:
        member, link, now_ms = peer.endpoint.index, peer.link, self._now_ms()
        return PeerStats(
            member=member,
            name=peer.endpoint.name,
            is_up=link is not None,
            is_partitioned=member in self._partitioned,
            bytes_in=peer.bytes_in + (link.bytes_in if link else 0),
            bytes_out=peer.bytes_out + (link.bytes_out if link else 0),
            queued_bytes=link.outbox.queued_bytes if link else 0,
            dropped_frames=peer.dropped + (link.outbox.dropped if link else 0),
            links=peer.links,
            score=self._reputation.score(member, now_ms),
            banned_ms=self._reputation.banned_ms(member, now_ms),
            last_error=peer.last_error,
        )

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        """Answer a link that a member below dials."""
        transport = request.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        member = self._by_certificate.get(certificate or b"")
        try:
            peer = self._check_caller(member)
        except LinkRefused as refusal:
            headers = {_REASON_HEADER: str(refusal)}
            return web.Response(status=403, text=str(refusal), headers=headers)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), compress=False, max_msg_size=FRAME_BYTES_MAX, timeout=1
        )
        await socket.prepare(request)
        try:
            async with asyncio.timeout(self._config.handshake_ms / 1000):
                await self._handshake.accept(socket)
            self._check_caller(member)  # Another link may have come during the handshake.
        except (LinkRefused, TimeoutError, ConnectionError) as error:
            self._note_failure(peer, error)
            await socket.close(message=str(error).encode()[:100])
        else:
            await self._serve(peer, socket)
        return socket

    def _check_caller(self, member: int | None) -> _Peer:
        """Return the peer whose link may be accepted now, or raise LinkRefused."""
        if member is None or member not in self._peers:
            raise LinkRefused("certificate is not another member's")
        if member > self._me:
            self._hear_knock(self._peers[member])
            raise LinkRefused("the member with the lower index dials")
        self._check_welcome(member)
        peer = self._peers[member]
        if peer.link is not None:
            if peer.link.silent_ms < self._config.replace_ms:
                raise LinkRefused("a link for this key is open: is a second node running on it?")
            peer.link.end("replaced: silent while the peer dialled anew")
            raise LinkRefused("a dead link is being closed: dial again")
        return peer

    def _check_welcome(self, member: int) -> None:
        if self._reputation.banned_ms(member, self._now_ms()):
            raise LinkRefused("too many faults lately")
        if member in self._partitioned or self._is_stopping:
            raise LinkRefused("not reachable")

    async def _keep_dialling(self, peer: _Peer) -> None:
        """Dial one member for ever; pauses double up to the cap and have jitter (0.5 to 1.5)."""
        # A root for each: another member that answers at this address fails in the handshake.
        context = client_context(self._identity, (peer.endpoint.certificate,))
        pause_ms = self._config.dial_base_ms
        while True:
            try:
                await self._dial(peer, context)
                pause_ms = self._config.dial_base_ms
            except (aiohttp.ClientError, OSError, TimeoutError, LinkRefused) as error:
                self._note_failure(peer, error)
                pause_ms = min(2 * pause_ms, self._config.dial_cap_ms)
            jitter = 0.5 + random.random()  # noqa: S311  Spreads dials; nothing to guess.
            await asyncio.sleep(self._config.dial_base_ms * jitter / 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout((pause_ms - self._config.dial_base_ms) * jitter / 1000):
                    await peer.knock.wait()
                    pause_ms = self._config.dial_base_ms
            peer.knock.clear()

    async def _knock_at(self, peer: _Peer) -> None:
        """Show a member that dials us that we are up: else it may pause for seconds first.

        It refuses the link, as it must: it dials itself.
        """
        context = client_context(self._identity, (peer.endpoint.certificate,))
        with suppress(aiohttp.ClientError, OSError, TimeoutError, LinkRefused):
            socket = await self._connect(peer, context)
            await socket.close()

    def _hear_knock(self, peer: _Peer) -> None:
        if peer.link is None:
            peer.knock.set()
        elif peer.link.silent_ms >= self._config.replace_ms:
            peer.link.end("replaced: silent while the peer knocked")

    async def _dial(self, peer: _Peer, context: ssl.SSLContext) -> None:
        """Open a link and serve it until it ends."""
        await self._serve(peer, await self._connect(peer, context))

    async def _connect(
        self, peer: _Peer, context: ssl.SSLContext
    ) -> aiohttp.ClientWebSocketResponse:
        endpoint = peer.endpoint
        self._check_welcome(endpoint.index)
        assert self._session is not None, "start() makes the session"
        async with asyncio.timeout(self._config.handshake_ms / 1000):
            socket = await self._session.ws_connect(
                f"wss://{endpoint.host}:{endpoint.port}{PATH}",
                ssl=context,
                protocols=(SUBPROTOCOL,),
                compress=0,
                max_msg_size=FRAME_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=1),
            )
            try:
                self._check_callee(endpoint, socket)
                await self._handshake.dial(socket)
            except BaseException as error:
                await socket.close(message=str(error).encode()[:100])
                raise
        return socket

    def _check_callee(
        self, endpoint: MemberEndpoint, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        tls = socket.get_extra_info("ssl_object")
        if tls is None or tls.getpeercert(binary_form=True) != endpoint.certificate:
            raise LinkRefused("the certificate at its address is another one's")

    async def _serve(self, peer: _Peer, socket: Socket) -> None:
        """Run an open link: up, its frames, down."""
        member = peer.endpoint.index
        link = Link(socket, member, self._config)
        peer.link = link
        peer.links += 1
        _log.info("peer up", peer=peer.endpoint.name)

        def on_frame(channel: Channel, payload: bytes) -> None:
            if member not in self._partitioned:
                self._on_frame(member, channel, payload)

        try:
            self._on_up(member)
            await link.run(on_frame)
        except Exception as error:  # noqa: BLE001  The edge of a task: the loop's handler decides.
            link.end(f"our own failure: {error!r}")
            report("a link's handler failed", error)
        finally:
            self._retire(peer, link)
            await link.close()

    def _retire(self, peer: _Peer, link: Link) -> None:
        """Keep the figures of a link that ended, and tell that the member is down."""
        peer.link = None
        peer.bytes_in += link.bytes_in
        peer.bytes_out += link.bytes_out
        peer.dropped += link.outbox.dropped
        peer.last_error = link.end_reason
        _log.info("peer down", peer=peer.endpoint.name, reason=link.end_reason)
        if link.is_fault:
            self.suspect(peer.endpoint.index, link.end_reason, points=25)
        try:
            self._on_down(peer.endpoint.index)
        except Exception as error:  # noqa: BLE001  The web server would only log it.
            report("a link's handler failed", error)

    async def _keep_house(self) -> None:
        """End links that are dead without having said so."""
        while True:
            await asyncio.sleep(self._config.housekeeping_ms / 1000)
            for link in self._links():
                if link.silent_ms > self._config.silence_ms:
                    link.end(f"nothing came for {link.silent_ms} ms")
                elif link.stuck_ms > self._config.stuck_ms:
                    link.end(f"the peer took nothing for {link.stuck_ms} ms")

    def _note_failure(self, peer: _Peer, error: BaseException) -> None:
        """Remember why no link was made; log it when the reason is a new one."""
        reason = _reason(error)
        if reason != peer.last_error:
            peer.last_error = reason
            _log.info("peer not linked", peer=peer.endpoint.name, reason=reason)

    def _links(self) -> list[Link]:
        return [peer.link for peer in self._peers.values() if peer.link is not None]

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


def _reason(error: BaseException) -> str:
    """Return in words why a link could not be made; a peer's own words are cut."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        told = error.headers.get(_REASON_HEADER) if error.headers is not None else None
        return f"refused by the peer: {(told or f'status {error.status}')[:_REASON_LENGTH_MAX]}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate at its address is another one's"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error}"[:_REASON_LENGTH_MAX]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error)[:_REASON_LENGTH_MAX] or type(error).__name__
