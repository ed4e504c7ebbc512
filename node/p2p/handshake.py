"""The first words on a link: each side says hello, or refuses with a reason that the other sees."""

from typing import final

import aiohttp

from crypto.errors import DecodeError
from node.p2p.errors import LinkRefused
from node.p2p.frames import PROTOCOL_VERSION, Channel, Hello, decode_frame, encode_frame
from node.p2p.link import Socket


@final
class Handshake:
    """What this node says and what it demands."""

    def __init__(self, *, genesis_hash: bytes, name: str) -> None:
        self._genesis_hash = genesis_hash
        self._frame = encode_frame(
            Channel.HELLO,
            Hello(version=PROTOCOL_VERSION, genesis_hash=genesis_hash, name=name).encode(),
        )

    async def dial(self, socket: Socket) -> None:
        """Say hello, then hear it. Raises LinkRefused."""
        await socket.send_bytes(self._frame)
        self._check(await socket.receive())

    async def accept(self, socket: Socket) -> None:
        """Hear hello, then say it: who is refused learns nothing. Raises LinkRefused."""
        self._check(await socket.receive())
        await socket.send_bytes(self._frame)

    def _check(self, message: aiohttp.WSMessage) -> None:
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                hello = _parse(message.data)
            case aiohttp.WSMsgType.CLOSE:
                raise LinkRefused(f"refused by the peer: {message.extra or 'no reason given'}")
            case _:
                raise LinkRefused(f"expected a hello, got {message.type.name}")
        if hello.version != PROTOCOL_VERSION:
            raise LinkRefused(
                f"hello.version must be {PROTOCOL_VERSION}, got {hello.version}: "
                "one of the two nodes needs an update"
            )
        if hello.genesis_hash != self._genesis_hash:
            raise LinkRefused(
                f"hello.genesis_hash must be {self._genesis_hash.hex()[:16]}…, "
                f"got {hello.genesis_hash.hex()[:16]}…: another chain"
            )


def _parse(frame: bytes) -> Hello:
    try:
        channel, payload = decode_frame(frame)
        if channel is not Channel.HELLO:
            raise LinkRefused(f"expected a hello, got channel {channel.name}")
        return Hello.decode(payload)
    except DecodeError as error:
        raise LinkRefused(str(error)) from None
