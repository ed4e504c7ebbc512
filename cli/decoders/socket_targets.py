"""Targets: what a WebSocket of the RPC hears, subscriptions included."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final, cast, final

import aiohttp
from aiohttp import web

from cli.decoders import loop, material
from cli.decoders.rpc_service import call, service
from cli.decoders.target import Finding, Target
from node.rpc.errors import Code
from node.rpc.session import Session

_TURNS: Final = 6
"""Of the event loop between two messages: as many as an answer and what it pushes take."""


@final
class _Socket:
    """A reader that sends these messages, takes all that comes, and then goes."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages
        self.heard: list[str] = []
        self.close_code: int | None = None

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        for message in self._messages:
            if self.close_code is not None:
                return
            yield aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, message, None)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def send_str(self, text: str) -> None:
        text.encode()
        self.heard.append(text)

    async def close(self, *, code: int, message: bytes) -> None:
        del message
        self.close_code = code


def _session(data: bytes) -> None:
    """Messages, one a line: all are answered in JSON, and no error of our own ends the session."""
    serving = service()
    number = serving.dev.snapshot()
    socket = _Socket(data.split(b"\n"))
    session = Session(
        cast("web.WebSocketResponse", socket),
        serving.dispatcher,
        serving.feeds,
        is_authorised=True,
    )
    try:
        loop.run(session.run())
    finally:
        serving.dev.revert(number)
    if socket.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR:
        raise Finding("an error of our own has ended the session")
    for text in socket.heard:
        given = json.loads(text)
        for answer in given if isinstance(given, list) else [given]:
            error = answer.get("error")
            if error is not None and error["code"] == Code.INTERNAL:
                raise Finding(f"the method failed: {error['message']}")


def _seeds() -> list[bytes]:
    address = "0x" + material.RECEIVER.hex()
    subscribed = [
        call("eth_subscribe", "newHeads"),
        call(
            "eth_subscribe", "logs", {"address": address, "topics": [None, [address + "00" * 12]]}
        ),
        call("eth_subscribe", "newPendingTransactions", *[True]),
        call("hearth_subscribe", "blocks", {"fromHeight": 1}),
        call("hearth_relaySubscribe", ["0x" + "00" * 32]),
        call("eth_unsubscribe", "0x1"),
    ]
    lines = [json.dumps(each).encode() for each in subscribed]
    return [*lines, b"\n".join(lines), json.dumps(subscribed).encode()]


TARGETS: Final = (
    Target(
        name="websocket",
        covers=(Session,),
        run=_session,
        refuses=(),
        seeds=_seeds,
        seconds=5.0,
        cases=60,
        memory_bytes=64 << 20,
    ),
)
