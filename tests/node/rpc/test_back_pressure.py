"""A client that sends more than its share is told when to come back, in HTTP's words and ours."""

import asyncio
import json

import aiohttp

from node.errors import MempoolFull
from node.rpc.dispatch import Caller, Dispatcher, Method
from node.rpc.errors import Code
from tests.node.rpc.rig import serving


def full(_args):
    raise MempoolFull("txpool is full", 1500)


METHODS = {"send": Method(handler=full), "other": Method(handler=lambda _args: 1)}


def call(name, id_=1):
    return {"jsonrpc": "2.0", "id": id_, "method": name, "params": []}


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
