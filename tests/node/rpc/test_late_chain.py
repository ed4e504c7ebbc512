"""What the RPC answers where a snapshot began: blocks below are not there, and it says so."""

import asyncio

import pytest

from node.rpc.client import RpcError
from tests.node.cluster import account_key
from tests.node.rpc.rig import serving
from vm.members import MEMBERS_KEY


def late(test):
    """Run `test(rig, client)` on a chain of eight blocks that is kept from the fifth on."""

    async def run():
        async with serving() as (rig, client):
            for _ in range(8):
                rig.chain.submit(rig.transfer(0, 1, 1))
                rig.seal()
            rig.store._first = 5
            rig.chain._record.cache_clear()
            await test(rig, client)

    asyncio.run(run())


async def refused(client, method, *params):
    with pytest.raises(RpcError) as caught:
        await client.call(method, *params)
    return caught.value.message


def test_blocks():
    async def test(rig, client):
        assert await client.call("eth_getBlockByNumber", "0x3", True) is None
        assert (await client.call("eth_getBlockByNumber", "0x0", True))["number"] == "0x0"
        assert (await client.call("eth_getBlockByNumber", "earliest", True))["number"] == "0x0"
        assert (await client.call("eth_getBlockByNumber", "0x5", True))["number"] == "0x5"
        assert (await client.call("eth_getBlockByNumber", "latest", True))["number"] == "0x8"
        assert await client.call("eth_getBlockReceipts", "0x3") is None
        assert await client.call("hearth_getHeader", 3) is None
        assert await client.call("hearth_getSealedBlock", 4) is None
        assert (await client.call("hearth_getSealedBlock", 5))["header"]["number"] == 5
        assert len(await client.call("hearth_getEpochs", 0)) == 0
        assert (await client.call("hearth_getProof", "0x" + MEMBERS_KEY.hex()))["value"]

    late(test)


def test_a_gap_does_not_look_empty():
    async def test(rig, client):
        words = "pruned history unavailable: blocks below 5 are not kept here"
        assert await refused(client, "eth_getLogs", {"fromBlock": "0x0"}) == words
        assert await refused(client, "eth_getLogs", {"fromBlock": "0x4", "toBlock": "0x6"}) == words
        assert len(await client.call("eth_getLogs", {"fromBlock": "0x5"})) == 4
        with pytest.raises(RpcError, match="blocks below 5"):
            await anext(client.subscribe_blocks(3))
        assert (await anext(client.subscribe_blocks(5)))["height"] == 5

    late(test)


def test_what_counts_backwards_stops_there():
    async def test(rig, client):
        history = await client.call("eth_feeHistory", "0x8", "latest", [])
        assert (history["oldestBlock"], len(history["gasUsedRatio"])) == ("0x5", 4)
        address = "0x" + account_key(0).address.hex()
        assert len((await client.call("ots_searchTransactionsAfter", address, 0, 25))["txs"]) == 4
        assert len((await client.call("ots_searchTransactionsBefore", address, 0, 25))["txs"]) == 4
        capabilities = await client.call("eth_capabilities")
        assert {capabilities[k]["oldestBlock"] for k in ("tx", "logs", "receipts", "blocks")} == {
            "0x5"
        }

    late(test)


def test_the_first_block_cannot_be_traced():
    async def test(rig, client):
        rig.store._history._first = 6
        digest = rig.chain.record(5).transaction_hashes[0]
        said = await refused(client, "debug_traceTransaction", "0x" + digest.hex())
        assert "not available" in said
        digest = rig.chain.record(6).transaction_hashes[0]
        assert await client.call("debug_traceTransaction", "0x" + digest.hex())

    late(test)
