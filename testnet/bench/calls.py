"""How many `eth_call`s a node answers over one connection, one after the other."""

import asyncio
import json
import socket
import tempfile
import time
from pathlib import Path
from typing import final

from market.agents.events import encode_call
from testnet.bench.bed import Bed, open_bed
from testnet.launcher import Say

NODES = 4
BASE_PORT = 28_700
CALLS = 4_000
_WARM_UP = 200
_READ_BYTES = 65_536


def eth_calls_per_s(say: Say) -> int:
    """Start a testnet, and return how many balances one of its nodes reads a second."""
    return asyncio.run(_measure(say))


async def _measure(say: Say) -> int:
    with tempfile.TemporaryDirectory() as root:
        async with open_bed(NODES, Path(root), BASE_PORT, say) as bed:
            return await asyncio.to_thread(_calls_per_s, bed)


def _calls_per_s(bed: Bed) -> int:
    url = bed.cluster.manifest.households[0].rpc_url
    to, data = encode_call("MoneyToken", "balanceOf", (bytes(19) + b"\1",))
    call = {"to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    connection = _Connection(url, json.dumps(body).encode())
    try:
        for _ in range(_WARM_UP):
            answer = json.loads(connection.ask())
            assert int(answer["result"], 16) == 0, f"the balance of nobody is 0, got {answer}"
        start = time.perf_counter()
        for _ in range(CALLS):
            connection.ask()
        return round(CALLS / (time.perf_counter() - start))
    finally:
        connection.close()


@final
class _Connection:
    """One HTTP connection that is kept alive, and one request over and over.

    A client of a few lines: what is measured is the node, not a client library.
    """

    def __init__(self, url: str, body: bytes) -> None:
        host, port = url.split("//")[1].rstrip("/").rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = (
            f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    def ask(self) -> bytes:
        """Send the request and return the body of the answer."""
        self._socket.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().splitlines()
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        part = self._socket.recv(_READ_BYTES)
        if not part:
            raise ConnectionError("the node closed the connection")
        return part

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
