"""A client of the node's RPC, for the command line, the household's agents, tests and benches.

Block subscriptions reconnect and resume by themselves, so that a reader sees each block once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, final

import aiohttp

from node.rpc.answers import (
    ANSWER_BYTES_MAX,
    RpcError,
    Unreachable,
    notification_of,
    parse_answer,
    result_of,
    results_of,
)
from node.rpc.dispatch import BATCH_MAX

__all__ = ["RpcClient", "RpcError", "Unreachable"]

TIMEOUT_S = 70
"""Above the longest wait that the node allows."""
RECONNECT_BASE_S = 0.1
RECONNECT_CAP_S = 2.0
PING_S = 30


@final
class RpcClient:
    """Use it in `async with`. One connection pool; any number of calls at the same time."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Connect lazily.

        Args:
            url: "http://127.0.0.1:8545".
            token: text of the node's rpc.token, for calls that act for the household.
        """
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call.

        Raises:
            RpcError: the node refuses.
            Unreachable: no answer.
        """
        return result_of(await self._post(self._request(method, params)))

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of many calls, in order, with an RpcError in the place of a failure.

        Raises:
            Unreachable: no answer.
        """
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_MAX):
            requests = [self._request(name, args) for name, args in calls[start:][:BATCH_MAX]]
            answers = await self._post(requests)
            results += results_of(answers, [request["id"] for request in requests])
        return results

    async def subscribe_blocks(
        self, from_height: int | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield each block from `from_height` (default: the next) on, in order, once, for ever.

        A connection that breaks is made anew, and goes on where it stopped.

        Raises:
            RpcError: the node refuses the subscription.
        """
        pause_s = RECONNECT_BASE_S
        while True:
            options = {} if from_height is None else {"fromHeight": from_height}
            try:
                source = self._notifications("hearth_subscribe", "blocks", options)
                async with aclosing(source):
                    async for block in source:
                        pause_s = RECONNECT_BASE_S
                        from_height = block["height"] + 1
                        yield block
            except Unreachable:
                if from_height is None:
                    raise  # Nothing was seen yet, so there is no place to resume at.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_CAP_S)

    async def relay_send(
        self, to: bytes, window: int, payload: bytes, expires_ms: int | None = None
    ) -> None:
        """Send a sealed envelope to the holder of the 32-byte key `to`. Raises as `call`."""
        envelope: dict[str, Any] = {
            "to": "0x" + to.hex(),
            "window": window,
            "payload": "0x" + payload.hex(),
        }
        if expires_ms is not None:
            envelope["expiresMs"] = expires_ms
        await self.call("hearth_relaySend", envelope)

    async def relay_subscribe(self, keys: Sequence[bytes]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield envelopes for these keys, held ones first, with `to` and `payload` as bytes.

        After a broken connection held envelopes come again: the reader must refuse replays.

        Raises:
            RpcError: the node refuses the subscription.
        """
        pause_s = RECONNECT_BASE_S
        texts = ["0x" + key.hex() for key in keys]
        while True:
            try:
                source = self._notifications("hearth_relaySubscribe", texts)
                async with aclosing(source):
                    async for envelope in source:
                        pause_s = RECONNECT_BASE_S
                        yield {
                            **envelope,
                            "to": bytes.fromhex(envelope["to"][2:]),
                            "payload": bytes.fromhex(envelope["payload"][2:]),
                        }
            except Unreachable:
                pass  # The node restarts, perhaps; the envelopes are held.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_CAP_S)

    async def _notifications(self, method: str, *params: Any) -> AsyncGenerator[Any, None]:
        """Yield the items of one subscription on a connection of its own, until it ends."""
        try:
            async with self._open().ws_connect(
                f"{self._url}/ws",
                headers=self._headers,
                heartbeat=PING_S,
                max_msg_size=ANSWER_BYTES_MAX,
                compress=0,
            ) as socket:
                await socket.send_str(json.dumps(self._request(method, params)))
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        raise Unreachable(f"{self._url} sent something that is not text")
                    said = notification_of(parse_answer(message.data))
                    if said is not None:
                        yield said["result"]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{self._url} does not answer: {error}") from error

    async def _post(self, body: Any) -> Any:
        try:
            async with self._open().post(
                self._url + "/",
                data=json.dumps(body, separators=(",", ":")).encode(),
                headers={**self._headers, "Content-Type": "application/json"},
            ) as response:
                return parse_answer(await self._read(response))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{self._url} does not answer: {error}") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > ANSWER_BYTES_MAX:
                raise Unreachable(f"{self._url} sends more than {ANSWER_BYTES_MAX} bytes")
        return bytes(data)

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self._session
