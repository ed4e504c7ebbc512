"""A client that sends more than its share is told when to come back, in HTTP's words and ours."""

import asyncio
import json
from asyncio import gather

import aiohttp

from node.errors import MempoolFull
from node.rpc.dispatch import Caller, Dispatcher, Method
from node.rpc.errors import Code
from tests.node.rpc.rig import serving, until


def full(_args):
    raise MempoolFull("txpool is full", 1500)


METHODS = {"send": Method(handler=full), "other": Method(handler=lambda _args: 1)}


def call(name, id_=1):
    return {"jsonrpc": "2.0", "id": id_, "method": name, "params": []}


def hexed(data):
    return "0x" + data.hex()


def answer(body):
    waits = []
    caller = Caller(is_authorised=False, extra={}, on_busy=waits.append)
    dispatcher = Dispatcher(METHODS, lambda _name, _ok: None)
    return json.loads(asyncio.run(dispatcher.answer(json.dumps(body), caller))), waits


def test_a_full_pool_names_the_time_in_its_data():
    reply, waits = answer(call("send"))
    assert reply["error"]["code"] == Code.LIMIT_EXCEEDED
    assert reply["error"]["data"] == {"retryAfterMs": 1500}
    assert waits == [1500]


def test_a_batch_tells_of_each_and_other_calls_of_none():
    replies, waits = answer([call("other"), call("send", 2), call("send", 3)])
    assert [reply.get("result") for reply in replies] == [1, None, None]
    assert waits == [1500, 1500]
    assert answer(call("other"))[1] == []


def test_over_http_it_is_status_429_with_retry_after():
    async def scenario():
        async with serving() as (rig, _), aiohttp.ClientSession() as session:

            async def post(body):
                async with session.post(rig.url + "/", json=body) as response:
                    return (
                        response.status,
                        response.headers.get("Retry-After"),
                        await response.json(),
                    )

            rig.server.methods["send"] = METHODS["send"]
            status, after, reply = await post(call("send"))
            assert (status, after) == (429, "2")
            assert reply["error"]["data"]["retryAfterMs"] == 1500
            status, after, replies = await post([call("send"), call("eth_chainId", 2)])
            assert (status, after, len(replies)) == (200, "2", 2)
            status, after, _ = await post(call("eth_chainId"))
            assert (status, after) == (200, None)

    asyncio.run(scenario())


def test_calls_of_one_client_that_wait_leave_the_others_room(monkeypatch):
    """One that submits without end, over however many connections, fills its own share alone."""
    monkeypatch.setattr("node.rpc.submissions.WAITERS_OF_CLIENT_MAX", 3)

    async def scenario():
        async with serving() as (rig, client), aiohttp.ClientSession() as greedy:
            raws = [hexed(rig.transfer(0, 1, 5, nonce=nonce)) for nonce in range(4)]

            async def submit(raw, connection):
                async with connection.ws_connect(rig.url + "/ws") as socket:
                    await socket.send_json(call("hearth_submit") | {"params": [raw]})
                    return json.loads((await socket.receive()).data)

            waiting = [asyncio.create_task(submit(raw, greedy)) for raw in raws[:3]]
            await until(lambda: rig.chain.status().pending == 3)
            reply = await submit(raws[3], greedy)
            assert reply["error"]["code"] == Code.LIMIT_EXCEEDED
            assert reply["error"]["message"].startswith("3 calls of this client wait")
            assert rig.chain.status().pending == 4
            # Nothing waits for the receipt, but whoever asks is answered.
            body = call("eth_getTransactionReceipt") | {"params": ["0x" + "ab" * 32]}
            async with greedy.post(rig.url + "/", json=body) as response:
                assert (await response.json())["result"] is None
            # With the token it is another client, and it is served.
            other = asyncio.create_task(client.call("hearth_submit", raws[3]))
            await until(lambda: sum(rig.server.waiting.values()) == 4)
            rig.seal()
            assert (await other)["status"] == "0x1"
            assert all(reply["result"]["status"] == "0x1" for reply in await gather(*waiting))
            assert not rig.server.waiting
            assert (await submit(raws[0], greedy))["result"]["status"] == "0x1"

    asyncio.run(scenario())


def test_the_places_of_calls_that_were_given_up_are_free_again(monkeypatch):
    """Else a client that hangs up would lock itself out."""
    monkeypatch.setattr("node.rpc.submissions.WAITERS_OF_CLIENT_MAX", 1)

    async def scenario():
        async with serving() as (rig, _), aiohttp.ClientSession() as session:
            for nonce in range(3):
                raw = hexed(rig.transfer(0, 1, 5, nonce=nonce))
                async with session.ws_connect(rig.url + "/ws") as socket:
                    await socket.send_json(call("hearth_submit") | {"params": [raw]})
                    await until(lambda: rig.server.waiting)
                await until(lambda: not rig.server.waiting)

    asyncio.run(scenario())
