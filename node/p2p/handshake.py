"""The first words on a link: each side says hello, or refuses with a reason that the other sees."""

from typing import final

import aiohttp

from crypto.errors import DecodeError
from node.p2p.errors import LinkRefused, OtherWireVersion
from node.p2p.frames import Channel, Hello, decode_frame, encode_frame, hello_version
from node.p2p.link import Socket
from vm.versions import WIRE_VERSION


@final
class Handshake:
    """What this node says and what it demands."""

    def __init__(self, genesis_hash: bytes, name: str, protocol: int) -> None:
        """`protocol`: newest version of the rules of blocks that this node supports."""
        self._genesis_hash = genesis_hash
        hello = Hello(version=WIRE_VERSION, genesis_hash=genesis_hash, name=name, protocol=protocol)
        self._frame = encode_frame(Channel.HELLO, hello.encode())

    async def dial(self, socket: Socket) -> Hello:
        """Say hello, then hear it. Raises LinkRefused."""
        await socket.send_bytes(self._frame)
        return self._check(await socket.receive())

    async def accept(self, socket: Socket) -> Hello:
        """Hear hello, then say it: who is refused learns nothing. Raises LinkRefused."""
        hello = self._check(await socket.receive())
        await socket.send_bytes(self._frame)
        return hello

    def _check(self, message: aiohttp.WSMessage) -> Hello:
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                hello = _parse(message.data)
            case aiohttp.WSMsgType.CLOSE:
                raise LinkRefused(f"refused by the peer: {message.extra or 'no reason given'}")
            case _:
                raise LinkRefused(f"expected a hello, got {message.type.name}")
        if hello.genesis_hash != self._genesis_hash:
            raise LinkRefused(
                f"hello.genesis_hash must be {self._genesis_hash.hex()[:16]}…, "
                f"got {hello.genesis_hash.hex()[:16]}…: another chain"
            )
        return hello


def _parse(frame: bytes) -> Hello:
    try:
        channel, payload = decode_frame(frame)
        if channel is not Channel.HELLO:
            raise LinkRefused(f"expected a hello, got channel {channel.name}")
        version = hello_version(payload)
        if version != WIRE_VERSION:
            raise OtherWireVersion(WIRE_VERSION, version)
        return Hello.decode(payload)
    except DecodeError as error:
        raise LinkRefused(str(error)) from None
