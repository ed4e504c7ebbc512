"""HTTP, JSON-RPC's own rules, who is let in, health and metrics."""

import asyncio
import io
import json
from dataclasses import replace

import aiohttp
import pytest

from tests.node.rpc.rig import get, post, serving

pytestmark = pytest.mark.e2e

CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


def run(scenario, **options):
    async def whole():
        async with serving(**options) as (rig, _):
            await scenario(rig)

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b'{"id":' + b"9" * 5_000 + b"}", -32700),
        (b'{"id":NaN}', -32700),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"eth_chainId"}', -32600),
        (b"5", -32600),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":[],"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}', -32601),
    ],
)
def test_bodies_that_are_no_calls_get_the_right_code(body, code):
    async def scenario(rig):
        status, text = await post(rig, body)
        assert status == 200
        answer = json.loads(text)
        assert answer["error"]["code"] == code
        assert answer["error"]["message"]

    run(scenario)


def test_batches_keep_their_ids_and_notifications_are_silent():
    async def scenario(rig):
        batch = [
            {**CHAIN_ID, "id": "a"},
            {"jsonrpc": "2.0", "method": "eth_chainId"},
            {"jsonrpc": "2.0", "id": 2, "method": "nope"},
            7,
            {**CHAIN_ID, "id": None},
        ]
        _, text = await post(rig, json.dumps(batch))
        answers = json.loads(text)
        assert [answer["id"] for answer in answers] == ["a", 2, None, None]
        assert answers[0]["result"] == answers[3]["result"] == hex(rig.genesis.chain_id)
        assert [a["error"]["code"] for a in answers if "error" in a] == [-32601, -32600]
        silent = json.dumps({"jsonrpc": "2.0", "method": "eth_chainId"})
        assert await post(rig, silent) == (204, "")
        assert (await post(rig, f"[{silent}]"))[0] == 204
        _, text = await post(rig, json.dumps([CHAIN_ID] * 101))
        assert json.loads(text)["error"]["code"] == -32600

    run(scenario)


def test_a_body_above_the_limit_is_refused():
    async def scenario(rig):
        status, _ = await post(rig, io.BytesIO(b" " * ((1 << 20) + 1)))
        assert status == 413

    run(scenario)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "["])
def test_other_host_names_are_refused(host):
    async def scenario(rig):
        status, _ = await post(rig, json.dumps(CHAIN_ID), headers={"Host": host})
        assert status == 403

    run(scenario)


def test_pages_are_refused_and_wallets_in_the_browser_are_not():
    async def scenario(rig):
        for origin, expected in (
            ("https://evil.example", 403),
            ("null", 403),
            ("http://localhost:3000", 200),
            ("chrome-extension://abcdef", 200),
        ):
            status, _ = await post(rig, json.dumps(CHAIN_ID), headers={"Origin": origin})
            assert (origin, status) == (origin, expected)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(
                    f"{rig.url}/ws", headers={"Origin": "https://evil.example"}
                )

    run(scenario)


def test_our_own_failure_is_an_internal_error_without_details():
    async def scenario(rig):
        def broken():
            raise ZeroDivisionError("secret")

        rig.chain.attach(broken, list)
        body = {"jsonrpc": "2.0", "id": 1, "method": "hearth_status"}
        _, text = await post(rig, json.dumps(body))
        assert json.loads(text)["error"] == {
            "code": -32603,
            "message": "internal error: see the node's log",
        }

    run(scenario)


def test_health_ready_and_why():
    async def scenario(rig):
        assert (await get(rig, "/health"))[0] == 200
        status, text = await get(rig, "/ready")
        assert (status, json.loads(text)) == (200, {"ready": True, "reason": None})
        assert await get(rig, "/why") == (200, "Nothing stands in the way.\n")
        rig.why = ["house-2 is away.", "Switch it on."]
        assert (await get(rig, "/why"))[1] == "house-2 is away.\nSwitch it on.\n"
        json_text = await get(rig, "/why", headers={"Accept": "application/json"})
        assert json.loads(json_text[1]) == rig.why
        rig.consensus = replace(rig.consensus, peers_up=1)
        status, text = await get(rig, "/ready")
        assert (status, json.loads(text)["reason"]) == (
            503,
            "only 2 members are reachable, 3 are needed to seal a block",
        )
        rig.consensus = replace(rig.consensus, peers_up=2, is_learner=True)
        status, text = await get(rig, "/ready")
        assert (status, "without voting" in text) == (503, True)

    run(scenario)


def test_metrics_have_cometbfts_names():
    async def scenario(rig):
        rig.chain.submit(rig.transfer(0, 1, 5))
        rig.seal()
        rig.metrics.view_change("timeout")
        rig.metrics.sync("votes", 0.004)
        rig.metrics.suspect("relay")
        rig.metrics.processing("build", 0.01)
        await post(rig, json.dumps(CHAIN_ID))
        _, text = await get(rig, "/metrics")
        lines = text.splitlines()
        for line in (
            "consensus_height 1.0",
            "consensus_validators 4.0",
            "consensus_missing_validators 0.0",
            "consensus_num_txs 1.0",
            "consensus_total_txs_total 1.0",
            "consensus_block_interval_seconds_count 1.0",
            "mempool_size 0.0",
            "p2p_peers 3.0",
            'p2p_message_send_bytes_total{peer="house-0"} 2.0',
            'consensus_view_changes_total{reason="timeout"} 1.0',
            'storage_sync_seconds_count{file="votes"} 1.0',
            'rpc_requests_total{method="eth_chainId",ok="true"} 1.0',
        ):
            assert line in lines, line

    run(scenario)


def test_connections_are_bounded_and_those_that_end_make_room(monkeypatch):
    monkeypatch.setattr("node.rpc.server.CONNECTIONS_MAX", 3)

    async def opened(rig):
        """Return a connection that says nothing, and whether it is kept."""
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        try:
            async with asyncio.timeout(0.2):
                return writer, await reader.read(1) != b""
        except TimeoutError:
            return writer, True

    async def scenario(rig):
        found = [await opened(rig) for _ in range(5)]
        assert [is_kept for _, is_kept in found] == [True] * 3 + [False] * 2
        found[0][0].close()
        await asyncio.sleep(0.1)
        found += [await opened(rig) for _ in range(2)]
        assert [is_kept for _, is_kept in found[5:]] == [True, False]
        for writer, _ in found:
            writer.close()
        await asyncio.sleep(0)  # A closed writer says so in the next turn.

    run(scenario)
