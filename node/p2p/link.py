"""One open link: reads frames within a byte rate and writes what the outbox holds."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias, final

import aiohttp
from aiohttp import web

from crypto.errors import DecodeError
from node.p2p.config import NetworkConfig
from node.p2p.frames import Channel, decode_frame
from node.p2p.outbox import Outbox, Push

Socket: TypeAlias = "aiohttp.ClientWebSocketResponse | web.WebSocketResponse"
"""Both ends of aiohttp's WebSocket have the methods used here."""

FrameHandler: TypeAlias = Callable[[Channel, bytes], None]


@final
class Link:
    """Owned by the network; `run` lives as long as the link does."""

    def __init__(self, socket: Socket, member: int, config: NetworkConfig) -> None:
        self.member = member
        self.outbox = Outbox(config)
        self.bytes_in = 0
        self.bytes_out = 0
        self.end_reason = ""
        """Why the link ended, once it has."""
        self.is_fault = False
        """Whether it ended because the peer broke the rules of frames."""
        self._socket = socket
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._last_in_s = self._loop.time()
        self._write_since_s: float | None = None
        self._credit = float(config.inbound_burst_bytes)
        self._credit_at_s = self._last_in_s

    @property
    def is_open(self) -> bool:
        return not self._ended.is_set()

    @property
    def silent_ms(self) -> int:
        """Milliseconds since anything came."""
        return int((self._loop.time() - self._last_in_s) * 1000)

    @property
    def stuck_ms(self) -> int:
        """Milliseconds that the frame which is being written has waited for the peer."""
        if self._write_since_s is None:
            return 0
        return int((self._loop.time() - self._write_since_s) * 1000)

    def send(self, channel: Channel, frame: bytes) -> bool:
        """Queue an encoded frame; False if it is not going to be sent."""
        if self._ended.is_set():
            return False
        match self.outbox.push(channel, frame):
            case Push.QUEUED:
                self._wake.set()
                return True
            case Push.REFUSED:
                return False
            case Push.STUCK:
                self.end("the peer does not take its votes")
                return False

    def end(self, reason: str) -> None:
        """Begin to close; `run` then returns. The first reason stands."""
        if not self._ended.is_set():
            self.end_reason = reason
            self._ended.set()

    async def run(self, on_frame: FrameHandler) -> None:
        """Serve the link until either side ends it; `close` is left to the caller.

        Raises:
            Exception: what `on_frame` raised, which is our bug: nothing is swallowed.
        """
        tasks = (
            asyncio.create_task(self._read(on_frame)),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._ended.wait()),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end("connection closed")
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def close(self) -> None:
        """Say goodbye if the peer still listens; never wait for it longer than a moment."""
        try:
            async with asyncio.timeout(1):
                await self._socket.close(message=self.end_reason.encode()[:100])
        except (TimeoutError, ConnectionError, RuntimeError):
            pass  # It is dead already, which is where this was to lead.

    async def _read(self, on_frame: FrameHandler) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            frame: bytes = message.data
            self._last_in_s = self._loop.time()
            self.bytes_in += len(frame)
            try:
                channel, payload = decode_frame(frame)
            except DecodeError as error:
                self._fault(str(error))
                return
            if channel is Channel.HELLO:
                self._fault("a hello after the hello")
                return
            on_frame(channel, payload)
            await self._pace(len(frame))
        if message.type is aiohttp.WSMsgType.TEXT:
            self._fault("text where only binary frames are allowed")
        else:
            self.end(_why_ended(message))

    def _fault(self, reason: str) -> None:
        if self.is_open:
            self.is_fault = True
            self.end(reason)

    async def _pace(self, size: int) -> None:
        """Spend `size` bytes of the peer's allowance; sleep while it is overdrawn."""
        rate = self._config.inbound_bytes_per_s
        now_s = self._last_in_s
        self._credit += (now_s - self._credit_at_s) * rate - size
        self._credit = min(self._credit, float(self._config.inbound_burst_bytes))
        self._credit_at_s = now_s
        if self._credit < 0:
            await asyncio.sleep(-self._credit / rate)
            self._last_in_s = self._loop.time()  # Silence of our own making does not count.

    async def _write(self) -> None:
        while True:
            frame = self.outbox.pop()
            if frame is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._write_since_s = self._loop.time()
            try:
                await self._socket.send_bytes(frame)
            except (ConnectionError, RuntimeError) as error:
                self.end(f"connection lost: {error}")
                return
            self._write_since_s = None
            self.bytes_out += len(frame)


def _why_ended(message: aiohttp.WSMessage) -> str:
    """Return the reason in words for the message that ended the link."""
    match message.type:
        case aiohttp.WSMsgType.CLOSE:
            return f"the peer closed it: {message.extra or 'no reason given'}"
        case aiohttp.WSMsgType.ERROR:
            return f"connection error: {message.data}"
        case _:
            return "connection closed"
