"""The side that opens links: dials the peers above, and knocks at those below."""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import final

import aiohttp

from node.p2p.config import NetworkConfig
from node.p2p.errors import LinkRefused
from node.p2p.frames import FRAME_BYTES_MAX, PATH, SUBPROTOCOL
from node.p2p.handshake import Handshake
from node.p2p.link import Socket
from node.p2p.peer import Peer, check_callee
from node.p2p.refusal import KEY_IN_USE, reason_of


@final
class Dialler:
    """Of one network. Make it inside a running loop, and close it."""

    def __init__(
        self,
        config: NetworkConfig,
        handshake: Handshake,
        *,
        check_welcome: Callable[[int], None],
        is_kept: Callable[[Peer], bool],
        serve: Callable[[Peer, Socket], Awaitable[None]],
        on_failure: Callable[[Peer, BaseException], None],
    ) -> None:
        """Dial nobody yet.

        Args:
            config: patience.
            handshake: says which chain and version are ours.
            check_welcome: raises LinkRefused for the number of a peer that gets no link now.
            is_kept: whether a link with the peer is wanted still.
            serve: runs a link that is open, until it ends.
            on_failure: told of the peer and why no link was made.
        """
        self._config = config
        self._handshake = handshake
        self._check_welcome = check_welcome
        self._is_kept = is_kept
        self._serve = serve
        self._on_failure = on_failure
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True)
        )

    async def close(self) -> None:
        """Close all connections that are being opened."""
        await self._session.close()

    async def keep_dialling(self, peer: Peer, context: ssl.SSLContext) -> None:
        """Dial one member for ever; pauses double up to the cap and have jitter (0.5 to 1.5)."""
        pause_ms = self._config.dial_base_ms
        while self._is_kept(peer):
            try:
                await self._serve(peer, await self._connect(peer, context))
                pause_ms = self._config.dial_base_ms
            except (aiohttp.ClientError, OSError, TimeoutError, LinkRefused) as error:
                self._on_failure(peer, error)
                pause_ms = min(2 * pause_ms, self._config.dial_cap_ms)
            jitter = 0.5 + random.random()  # noqa: S311  Spreads dials; nothing to guess.
            await asyncio.sleep(self._config.dial_base_ms * jitter / 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout((pause_ms - self._config.dial_base_ms) * jitter / 1000):
                    await peer.knock.wait()
                    pause_ms = self._config.dial_base_ms
            peer.knock.clear()

    async def knock_at(self, peer: Peer, context: ssl.SSLContext) -> None:
        """Show a member that dials us that we are up: else it may pause for seconds first.

        It refuses the link, as it must: it dials itself.
        """
        try:
            socket = await self._connect(peer, context)
            await socket.close()
        except (aiohttp.ClientError, OSError, TimeoutError, LinkRefused) as error:
            if KEY_IN_USE in reason_of(error):
                self._on_failure(peer, error)

    async def _connect(
        self, peer: Peer, context: ssl.SSLContext
    ) -> aiohttp.ClientWebSocketResponse:
        endpoint = peer.endpoint
        self._check_welcome(peer.number)
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
                check_callee(endpoint, socket)
                peer.protocol = (await self._handshake.dial(socket)).protocol
            except BaseException as error:
                await socket.close(message=str(error).encode()[:100])
                raise
        return socket
