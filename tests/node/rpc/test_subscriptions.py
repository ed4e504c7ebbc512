"""What a WebSocket connection has above HTTP: pushes in order, each once, from a cursor."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest

from node.errors import CorruptStore
from node.rpc.client import RpcClient, RpcError, Unreachable
from node.rpc.dispatch import Dispatcher, Method
from node.rpc.session import Session
from tests.node.cluster import account_key
from tests.node.rpc.rig import TOKEN, serving, until
from tests.vm.chain import TOY
from vm.transaction import decode

pytestmark = pytest.mark.e2e


def hexed(data):
    return "0x" + data.hex()


def run(scenario):
    async def whole():
        async with asyncio.timeout(30), serving() as (rig, client):
            await scenario(rig, client)

    asyncio.run(whole())


class Wire:
    """A WebSocket client by hand."""

    def __init__(self, socket):
        self.socket = socket
        self._id = 0

    async def call(self, method, *params):
        self._id += 1
        body = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        await self.socket.send_str(json.dumps(body))
        answer = await self.socket.receive_json()
        assert answer["id"] == self._id
        return answer.get("result", answer.get("error"))

    async def pushed(self):
        notice = await self.socket.receive_json()
        return notice["method"], notice["params"]


@asynccontextmanager
async def wire(rig, token=None, path="/ws"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(rig.url + path, headers=headers) as socket,
    ):
        yield Wire(socket)


def grow(rig, blocks=1):
    """Seal blocks of one transfer each; return their records."""
    records = []
    for _ in range(blocks):
        rig.chain.submit(rig.transfer(0, 1, 1))
        records.append(rig.seal())
    return records


@pytest.mark.parametrize("path", ["/ws", "/"])
def test_calls_and_batches_work_as_over_http(path):
    async def scenario(rig, client):
        async with wire(rig, path=path) as ws:
            assert await ws.call("eth_chainId") == hex(rig.genesis.chain_id)
            assert (await ws.call("nope"))["code"] == -32601
            await ws.socket.send_str("[{")
            assert (await ws.socket.receive_json())["error"]["code"] == -32700

    run(scenario)


def test_new_heads_and_logs():
    async def scenario(rig, client):
        grow(rig)
        async with wire(rig) as ws:
            heads = await ws.call("eth_subscribe", "newHeads")
            (record,) = grow(rig)
            method, params = await ws.pushed()
            assert (method, params["subscription"]) == ("eth_subscription", heads)
            assert params["result"]["hash"] == hexed(record.hash)
            assert params["result"]["baseFeePerGas"] == "0x0"
            assert await ws.call("eth_unsubscribe", heads) is True
            assert await ws.call("eth_unsubscribe", heads) is False
            logs = await ws.call("eth_subscribe", "logs", {"address": hexed(TOY)})
            (record,) = grow(rig)
            _, params = await ws.pushed()
            assert params["subscription"] == logs
            assert params["result"]["blockHash"] == hexed(record.hash)

    run(scenario)


def test_pending_transactions():
    async def scenario(rig, client):
        async with wire(rig) as ws:
            name = await ws.call("eth_subscribe", "newPendingTransactions")
            await ws.call("eth_chainId")  # The push begins after the answer.
            raw = rig.transfer(0, 1, 1)
            rig.chain.submit(raw)
            assert await ws.pushed() == (
                "eth_subscription",
                {"subscription": name, "result": hexed(decode(raw).hash)},
            )

    run(scenario)


def test_pending_transactions_in_full():
    async def scenario(rig, client):
        async with wire(rig) as ws:
            await ws.call("eth_subscribe", "newPendingTransactions", True)
            await ws.call("eth_chainId")  # The push begins after the answer.
            raw = rig.transfer(0, 1, 1)
            rig.chain.submit(raw)
            _, params = await ws.pushed()
            digest = hexed(decode(raw).hash)
            assert params["result"] == await client.call("eth_getTransactionByHash", digest)
            error = await ws.call("eth_subscribe", "newPendingTransactions", "yes")
            assert error["code"] == -32602

    run(scenario)


@pytest.mark.parametrize(("bound", "value"), [("QUEUE_MAX", 2), ("QUEUE_BYTES_MAX", 300)])
def test_a_reader_of_pending_transactions_that_lags_too_far_is_cut_off(monkeypatch, bound, value):
    monkeypatch.setattr(f"node.rpc.session.{bound}", value)

    async def scenario(rig, client):
        async with wire(rig) as ws:
            await ws.call("eth_subscribe", "newPendingTransactions")
            await ws.call("eth_chainId")
            for value in range(8):  # In one turn of the loop: nothing is sent in between.
                rig.chain.submit(rig.transfer(0, 1, value))
            messages = [await ws.socket.receive() for _ in range(3)]
            closing = next(each for each in messages if each.type is aiohttp.WSMsgType.CLOSE)
            assert (closing.data, closing.extra) == (1013, "the reader is too slow")

    run(scenario)


def test_answers_that_nobody_reads_are_bounded(monkeypatch):
    """Calls that were begun at the same time all end; what cannot be sent must not pile up."""

    class Stuck:
        def __init__(self):
            self.held, self.closed = 0, []
            self.go_on = asyncio.Event()

        async def send_str(self, text):
            self.held += len(text)
            await self.go_on.wait()

        async def close(self, *, code, message):
            self.closed.append((code, message))

    async def scenario(rig, _client):
        socket = Stuck()
        dispatcher = Dispatcher({"long": Method(handler=lambda _: "x" * 400)}, lambda *_: None)
        session = Session(socket, dispatcher, rig.server.feeds, is_authorised=False)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "long"})
        calls = []
        for _ in range(10):
            await session._room.acquire()
            calls.append(asyncio.create_task(session._answer(body)))
        await asyncio.sleep(0.01)
        assert 800 < socket.held <= 1_000
        assert set(socket.closed) == {(1013, b"the reader is too slow")}
        socket.go_on.set()
        await asyncio.gather(*calls)
        before = socket.held
        await session._answer(body)  # All is sent: there is room again.
        assert socket.held > before

    monkeypatch.setattr("node.rpc.session.UNSENT_BYTES_MAX", 1_000)
    run(scenario)


def test_a_subscriber_that_reads_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr("node.rpc.server.PING_S", 0.2)

    async def scenario(rig, client):
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port, limit=1)
        upgrade = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{rig.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        writer.write(upgrade.encode())
        await until(lambda: rig.server.connections == 1)
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
        writer.write(bytes((0x81, 0x80 | len(body), 0, 0, 0, 0)) + body)  # Masked by zeros.
        grow(rig, 3)
        await until(lambda: rig.server.connections == 0)  # It answers no ping.
        assert await client.call("eth_blockNumber") == "0x3"
        writer.close()

    run(scenario)


def test_blocks_from_a_height_on_come_in_order_and_once():
    async def scenario(rig, client):
        records = grow(rig, 20)
        async with wire(rig) as ws:
            await ws.call("hearth_subscribe", "blocks", {"fromHeight": 3})
            records += grow(rig, 5)
            seen = [(await ws.pushed())[1]["result"] for _ in range(23)]
            assert [block["height"] for block in seen] == list(range(3, 26))
            assert [block["hash"] for block in seen] == [hexed(r.hash) for r in records[2:]]
            last, block = records[-1], seen[-1]
            assert block["timeMs"] == last.header.time_ms
            assert block["stateRoot"] == hexed(last.header.state_root)
            tx_hash = hexed(last.transaction_hashes[0])
            sender = hexed(account_key(0).address)
            assert block["transactions"] == [{"hash": tx_hash, "from": sender, "status": 1}]
            (log,) = block["logs"]
            assert (log["address"], log["logIndex"], log["transactionHash"]) == (
                hexed(TOY), 0, tx_hash,
            )  # fmt: skip

    run(scenario)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_subscribe", ["syncing"], -32602),
        ("eth_subscribe", [], -32602),
        ("eth_subscribe", ["logs", {"topics": 5}], -32602),
        ("hearth_subscribe", ["block"], -32602),
        ("hearth_subscribe", ["blocks", {"from": 1}], -32602),
        ("hearth_subscribe", ["blocks", {"fromHeight": "0x1"}], -32602),
        ("hearth_relaySubscribe", [["0x12"]], -32602),
        ("hearth_relaySubscribe", ["0x" + "00" * 32], -32602),
    ],
)
def test_wrong_subscriptions_are_refused(method, params, code):
    async def scenario(rig, client):
        async with wire(rig, TOKEN) as ws:
            assert (await ws.call(method, *params))["code"] == code

    run(scenario)


def test_a_connection_has_a_bounded_number_of_subscriptions():
    async def scenario(rig, client):
        async with wire(rig) as ws:
            for _ in range(32):
                assert isinstance(await ws.call("eth_subscribe", "newHeads"), str)
            assert (await ws.call("eth_subscribe", "newHeads"))["code"] == -32005

    run(scenario)


def test_the_relay_over_a_subscription_needs_the_token():
    async def scenario(rig, client):
        key = "0x" + "aa" * 32
        async with wire(rig) as nobody:
            assert (await nobody.call("hearth_relaySubscribe", [key]))["code"] == -32050
        envelope = {"to": key, "window": 1, "payload": "0x01"}
        await client.call("hearth_relaySend", envelope)
        async with wire(rig, TOKEN) as ws:
            await ws.call("hearth_relaySubscribe", [key])
            assert (await ws.pushed())[1]["result"]["payload"] == "0x01"
            await client.call("hearth_relaySend", {**envelope, "payload": "0x02"})
            _, params = await ws.pushed()
            assert params["result"] == {
                "to": key,
                "window": 1,
                "expiresMs": rig.genesis.time_ms + 2 * rig.genesis.window_ms,
                "payload": "0x02",
            }

    run(scenario)


def test_the_client_resumes_blocks_after_the_server_was_away():
    async def scenario(rig, client):
        grow(rig, 2)
        seen = []

        async def read():
            async for block in client.subscribe_blocks(1):
                seen.append(block["height"])  # noqa: PERF401  It never ends.

        reader = asyncio.create_task(read())
        await until(lambda: seen == [1, 2])
        await rig.server.stop()
        grow(rig, 2)
        rig.server = rig.make_server()
        await rig.server.start()
        grow(rig, 1)
        await until(lambda: len(seen) == 5)
        assert seen == [1, 2, 3, 4, 5]
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    run(scenario)


def test_the_client_gets_relayed_messages_as_bytes():
    async def scenario(rig, client):
        key = b"\xaa" * 32
        await client.relay_send(key, 1, b"sealed")
        async for envelope in client.relay_subscribe([key]):
            assert (envelope["to"], envelope["payload"]) == (key, b"sealed")
            break

    run(scenario)


def test_the_clients_errors_are_typed():
    async def scenario(rig, client):
        with pytest.raises(RpcError) as refused:
            await client.call("nope")
        assert refused.value.code == -32601
        chain_id, error = await client.batch([("eth_chainId", ()), ("nope", ())])
        assert (chain_id, error.code) == (hex(rig.genesis.chain_id), -32601)
        await rig.server.stop()
        with pytest.raises(Unreachable):
            await client.call("eth_chainId")
        async with RpcClient(rig.url) as other:
            with pytest.raises(Unreachable):
                async for _ in other.subscribe_blocks():
                    pass

    run(scenario)


def test_a_batch_of_the_client_may_be_longer_than_the_servers_limit():
    async def scenario(rig, client):
        results = await client.batch([("eth_chainId", ())] * 250)
        assert results == [hex(rig.genesis.chain_id)] * 250

    run(scenario)


@pytest.mark.parametrize("error", [KeyError("a bug"), CorruptStore("block 1 is missing")])
def test_a_subscription_that_fails_closes_the_connection(error):
    """Its reader would wait for ever for what does not come; a broken store stops the node."""

    async def scenario(rig, _client):
        reported = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )

        def fail(_record):
            raise error

        rig.server.feeds.notices.of = fail
        async with wire(rig) as ws:
            await ws.call("hearth_subscribe", "blocks")
            grow(rig)
            closed = await ws.socket.receive()
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert closed.data == aiohttp.WSCloseCode.INTERNAL_ERROR
        assert reported == ([error] if isinstance(error, CorruptStore) else [])

    run(scenario)


def test_a_call_that_finds_the_store_broken_stops_the_node():
    async def scenario(rig, client):
        reported = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )
        error = CorruptStore("block 1 is missing")

        def fail(_height):
            raise error

        rig.chain.store.seal = fail
        with pytest.raises(RpcError) as refused:
            await client.call("hearth_getSeal", 0)
        assert refused.value.code == -32603
        assert reported == [error]

    run(scenario)
