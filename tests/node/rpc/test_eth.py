"""The Ethereum methods over HTTP: shapes and words that wallets and libraries rely on."""

import asyncio

import pytest

from crypto import abi
from node.rpc.client import RpcError
from node.rpc.filters import Filters
from node.rpc.handlers_eth import EthMethods
from node.rpc.values import Args
from tests.node.cluster import account_key
from tests.node.rpc.rig import serving
from tests.vm.chain import TOY, call_data
from vm.errors import TxReason
from vm.transaction import TxKind, decode

pytestmark = pytest.mark.e2e

ALICE, BOB = account_key(0), account_key(1)
STRANGER = account_key(77)


def hexed(data):
    return "0x" + data.hex()


def run(scenario, **options):
    async def whole():
        async with serving(**options) as (rig, client):
            await scenario(rig, client)

    asyncio.run(whole())


async def refusal(client, method, *params):
    with pytest.raises(RpcError) as error:
        await client.call(method, *params)
    return error.value


def test_the_constants_that_clients_ask_first():
    async def scenario(rig, client):
        chain_id = rig.genesis.chain_id
        assert int(await client.call("eth_chainId"), 16) == chain_id
        assert await client.call("net_version") == str(chain_id)
        assert await client.call("net_listening") is True
        assert await client.call("net_peerCount") == "0x3"
        assert await client.call("eth_syncing") is False
        assert await client.call("eth_accounts") == []
        assert await client.call("eth_gasPrice") == "0x0"
        assert await client.call("eth_maxPriorityFeePerGas") == "0x0"
        assert await client.call("eth_blockNumber") == "0x0"
        assert (await client.call("web3_clientVersion")).startswith("hearth/")
        assert await client.call("web3_sha3", "0x68656c6c6f20776f726c64") == (
            "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
        )

    run(scenario)


@pytest.mark.parametrize("kind", list(TxKind))
def test_a_transaction_from_submission_to_receipt(kind):
    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5, kind=kind)
        tx_hash = await client.call("eth_sendRawTransaction", hexed(raw))
        assert tx_hash == hexed(decode(raw).hash)
        waiting = await client.call("eth_getTransactionByHash", tx_hash)
        assert waiting["blockNumber"] is None
        assert await client.call("eth_getTransactionReceipt", tx_hash) is None
        assert await client.call("eth_getTransactionCount", hexed(ALICE.address), "latest") == "0x0"
        assert (
            await client.call("eth_getTransactionCount", hexed(ALICE.address), "pending") == "0x1"
        )
        block = rig.seal()
        sealed = await client.call("eth_getTransactionByHash", tx_hash)
        assert (sealed["blockNumber"], sealed["transactionIndex"]) == ("0x1", "0x0")
        assert sealed["blockHash"] == hexed(block.hash)
        assert sealed["from"] == hexed(ALICE.address)
        assert sealed["type"] == hex(kind)
        place = dict.fromkeys(("blockHash", "blockNumber", "blockTimestamp", "transactionIndex"))
        assert waiting == {**sealed, **place}
        receipt = await client.call("eth_getTransactionReceipt", tx_hash)
        assert (receipt["status"], receipt["effectiveGasPrice"]) == ("0x1", "0x0")
        assert receipt["gasUsed"] == receipt["cumulativeGasUsed"]
        assert (receipt["from"], receipt["to"]) == (hexed(ALICE.address), hexed(TOY))
        (log,) = receipt["logs"]
        assert log["topics"][0] == hexed(abi.event_topic("Transfer(address,address,uint256)"))
        assert int(log["data"], 16) == 5
        assert log["removed"] is False
        assert int(receipt["logsBloom"], 16)
        assert await client.call("eth_getBlockReceipts", "0x1") == [receipt]
        assert await client.call("eth_getTransactionCount", hexed(ALICE.address)) == "0x1"

    run(scenario)


def test_blocks_by_number_hash_and_tag():
    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5)
        rig.chain.submit(raw)
        record = rig.seal()
        block = await client.call("eth_getBlockByNumber", "latest", False)
        for tag in ("safe", "finalized", "pending", "0x1"):
            assert await client.call("eth_getBlockByNumber", tag, False) == block
        assert await client.call("eth_getBlockByHash", hexed(record.hash), False) == block
        assert block["number"] == "0x1"
        assert block["baseFeePerGas"] == "0x0"
        assert block["transactions"] == [hexed(decode(raw).hash)]
        assert len(bytes.fromhex(block["extraData"][2:])) <= 32
        assert len(block["logsBloom"]) == 2 + 512
        assert int(block["timestamp"], 16) == record.header.time_ms // 1000
        full = await client.call("eth_getBlockByNumber", "0x1", True)
        assert full["transactions"] == [
            await client.call("eth_getTransactionByHash", hexed(decode(raw).hash))
        ]
        genesis = await client.call("eth_getBlockByNumber", "earliest", False)
        assert genesis["hash"] == block["parentHash"]
        assert await client.call("eth_getBlockByNumber", "0x2", False) is None
        assert await client.call("eth_getBlockByHash", "0x" + "00" * 32, False) is None
        assert await client.call("eth_getBlockTransactionCountByNumber", "0x1") == "0x1"
        assert await client.call("eth_getUncleCountByBlockNumber", "0x1") == "0x0"
        first = await client.call("eth_getTransactionByBlockNumberAndIndex", "0x1", "0x0")
        assert first == full["transactions"][0]
        assert await client.call("eth_getTransactionByBlockNumberAndIndex", "0x1", "0x1") is None

    run(scenario)


def test_accounts_code_and_storage():
    async def scenario(rig, client):
        left = rig.chain.account(ALICE.address).quota_left
        assert int(await client.call("eth_getBalance", hexed(ALICE.address), "latest"), 16) == left
        assert left > 0
        assert await client.call("eth_getBalance", hexed(STRANGER.address)) == "0x0"
        assert await client.call("eth_getCode", hexed(TOY), "latest") == "0x60006000fd"
        assert await client.call("eth_getCode", hexed(STRANGER.address), "latest") == "0x"
        assert (
            await client.call("eth_getStorageAt", hexed(TOY), "0x0", "latest") == "0x" + "00" * 32
        )

    run(scenario)


def test_the_state_after_a_block_by_every_name_of_it():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        record = rig.seal()
        rig.chain.submit(rig.transfer(0, 1, 5))
        rig.seal()
        alice = hexed(ALICE.address)
        for name in (
            "0x1",
            hexed(record.hash),
            {"blockNumber": "0x1"},
            {"blockHash": hexed(record.hash)},
            {"blockHash": hexed(record.hash), "requireCanonical": True},
        ):
            assert await client.call("eth_getTransactionCount", alice, name) == "0x1", name
        assert await client.call("eth_getTransactionCount", alice, "earliest") == "0x0"
        assert await client.call("eth_getTransactionCount", alice, "latest") == "0x2"
        error = await refusal(client, "eth_getBalance", alice, "0x7")
        assert error.message == "header not found"
        error = await refusal(client, "eth_getBalance", alice, {"blockHash": "0x" + "12" * 32})
        assert error.message == "header not found"

    run(scenario)


def test_calls_and_their_reverts():
    async def scenario(rig, client):
        data = hexed(call_data("balanceOf(address)", BOB.address))
        call = {"to": hexed(TOY), "data": data}
        assert int(await client.call("eth_call", call, "latest"), 16) == 1_000_000
        assert (
            int(await client.call("eth_call", {"to": hexed(TOY), "input": data}), 16) == 1_000_000
        )
        assert await client.call("eth_call", {"to": hexed(STRANGER.address)}, "latest") == "0x"
        failing = {
            "from": hexed(STRANGER.address),
            "to": hexed(TOY),
            "data": hexed(call_data("transfer(address,uint256)", BOB.address, 9)),
        }
        for method in ("eth_call", "eth_estimateGas"):
            error = await refusal(client, method, failing)
            assert error.code == 3
            assert error.message.startswith("execution reverted: INSUFFICIENT_BALANCE")
            assert error.data.startswith("0x08c379a0")
        estimate = await client.call("eth_estimateGas", {**failing, "from": hexed(ALICE.address)})
        assert 21_000 < int(estimate, 16) < 300_000

    run(scenario)


def test_call_objects_are_read_strictly():
    async def scenario(rig, client):
        to = hexed(TOY)
        for call, code, words in (
            ({"to": to, "value": "0x1"}, -32000, "insufficient funds for gas * price + value"),
            ({"to": to, "blobVersionedHashes": []}, -32000, "transaction type not supported"),
            ({"to": to, "authorizationList": []}, -32000, "transaction type not supported"),
            ({"to": to, "gas": "0x5"}, -32000, "intrinsic gas too low: have 5, want 21000"),
            ({"to": to, "nonce": "0x01"}, -32602, "call.nonce"),
            ({"to": to, "accessList": {}}, -32602, "call.accessList"),
            ({"to": to, "accessList": [{"address": to, "slots": []}]}, -32602, "accessList.slots"),
            ({"to": to, "data": "0x00", "input": "0x01"}, -32602, "call.data"),
            ({"to": to, "colour": "red"}, -32602, "call.colour"),
            ({"to": "0x12"}, -32602, "call.to: must be 20 bytes, got 1"),
            ({"to": to, "data": "12"}, -32602, "call.data"),
            ({"to": to, "data": "0x123"}, -32602, "call.data"),
            ({"to": to, "gas": "0x01"}, -32602, "call.gas"),
            ({"to": to, "gas": 5}, -32602, "call.gas"),
            ("0x", -32602, "call: must be an object"),
        ):
            error = await refusal(client, "eth_call", call)
            assert (error.code, words in error.message) == (code, True), error

    run(scenario)


def test_refused_transactions_have_geths_words_and_a_stable_number():
    async def scenario(rig, client):
        other_chain = bytearray(rig.transfer(0, 1, 5, nonce=9_999))
        rig.chain.submit(rig.transfer(0, 1, 5))
        for raw, reason in (
            (rig.transfer(0, 1, 5, nonce=0), TxReason.ALREADY_KNOWN),
            (rig.transfer(0, 1, 6, nonce=0), TxReason.REPLACEMENT_UNDERPRICED),
            (bytes(other_chain), TxReason.NONCE_TOO_HIGH),
            (rig.transfer(0, 1, 5, gas_limit=21_000), TxReason.INTRINSIC_GAS),
            (b"\x05\x00", TxReason.TYPE_NOT_SUPPORTED),
            (b"\x02\xc0", TxReason.MALFORMED),
            (b"", TxReason.MALFORMED),
        ):
            error = await refusal(client, "eth_sendRawTransaction", hexed(raw))
            assert error.code == -32000
            assert error.message.startswith(reason.text), error
            assert error.data["reason"] == reason
        rig.seal()
        error = await refusal(
            client, "eth_sendRawTransaction", hexed(rig.transfer(0, 1, 6, nonce=0))
        )
        assert error.message.startswith("nonce too low")
        assert rig.chain.status().pending == 0

    run(scenario)


@pytest.mark.parametrize(
    "raw", ["", "0x1", "0xzz", "12", 5, None, {}, "0x 12", "0x" + "00" * 131_073]
)
def test_raw_transactions_that_are_no_hex_are_refused(raw):
    async def scenario(rig, client):
        error = await refusal(client, "eth_sendRawTransaction", raw)
        assert (error.code, error.message.startswith("transaction")) == (-32602, True)

    run(scenario)


def test_logs_by_range_address_topics_and_hash():
    async def scenario(rig, client):
        records = []
        for value in (1, 2, 3):
            rig.chain.submit(rig.transfer(0, 1, value))
            rig.chain.submit(rig.transfer(1, 2, value))
            records.append(rig.seal())
        topic = hexed(abi.event_topic("Transfer(address,address,uint256)"))
        alice = "0x" + ALICE.address.hex().rjust(64, "0")
        bob = "0x" + BOB.address.hex().rjust(64, "0")
        everything = {"fromBlock": "earliest", "toBlock": "latest"}

        async def count(**fields):
            return len(await client.call("eth_getLogs", {**everything, **fields}))

        assert await count() == 6
        assert await count(address=hexed(TOY)) == 6
        assert await count(address=[hexed(STRANGER.address)]) == 0
        assert await count(topics=[topic]) == 6
        assert await count(topics=[topic, alice]) == 3
        assert await count(topics=[None, None, bob]) == 3
        assert await count(topics=[topic, [alice, bob]]) == 6
        assert await count(topics=[alice]) == 0
        assert await count(fromBlock="0x2", toBlock="0x2") == 2
        assert len(await client.call("eth_getLogs", {})) == 2
        by_hash = await client.call("eth_getLogs", {"blockHash": hexed(records[0].hash)})
        assert [(log["logIndex"], log["transactionIndex"]) for log in by_hash] == [
            ("0x0", "0x0"),
            ("0x1", "0x1"),
        ]
        assert {log["blockNumber"] for log in by_hash} == {"0x1"}
        for query in (
            {"fromBlock": "0x3", "toBlock": "0x1"},
            {"blockHash": hexed(records[0].hash), "fromBlock": "0x1"},
            {"topics": [None] * 5},
            {"topics": ["0x12"]},
            {"adress": hexed(TOY)},
            [],
        ):
            assert (await refusal(client, "eth_getLogs", query)).code == -32602

    run(scenario)


def test_filters_report_what_is_new_once():
    async def scenario(rig, client):
        logs = await client.call("eth_newFilter", {"address": hexed(TOY)})
        blocks = await client.call("eth_newBlockFilter")
        pending = await client.call("eth_newPendingTransactionFilter")
        for name in (logs, blocks, pending):
            assert await client.call("eth_getFilterChanges", name) == []
        raw = rig.transfer(0, 1, 5)
        rig.chain.submit(raw)
        assert await client.call("eth_getFilterChanges", pending) == [hexed(decode(raw).hash)]
        record = rig.seal()
        assert await client.call("eth_getFilterChanges", blocks) == [hexed(record.hash)]
        (log,) = await client.call("eth_getFilterChanges", logs)
        assert log["transactionHash"] == hexed(decode(raw).hash)
        for name in (logs, blocks, pending):
            assert await client.call("eth_getFilterChanges", name) == []
        whole = await client.call("eth_newFilter", {"fromBlock": "earliest"})
        assert await client.call("eth_getFilterLogs", whole) == [log]
        assert await client.call("eth_getFilterChanges", whole) == []
        assert await client.call("eth_uninstallFilter", logs) is True
        assert await client.call("eth_uninstallFilter", logs) is False
        error = await refusal(client, "eth_getFilterChanges", logs)
        assert (error.code, error.message) == (-32000, "filter not found")

    run(scenario)


def test_a_long_fee_history_lets_others_in_between(monkeypatch):
    monkeypatch.setattr("node.rpc.handlers_eth.FEE_HISTORY_SLICE", 2)

    async def scenario(rig, client):
        for nonce in range(4):
            rig.chain.submit(rig.transfer(0, 1, 5 + nonce))
            rig.seal()
        methods = EthMethods(rig.chain, lambda: 0, Filters(rig.chain, lambda: 0))
        asked = methods.fee_history(Args(["0x5", "latest", []]))
        assert [asked.send(None) for _ in range(2)] == [None, None]
        with pytest.raises(StopIteration) as ended:
            asked.send(None)
        assert len(ended.value.value["gasUsedRatio"]) == 5

    run(scenario)


def test_fee_history_is_all_zero_fees_with_real_ratios():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        used = rig.seal().header.gas_used
        history = await client.call("eth_feeHistory", "0x5", "latest", [10, 90.5])
        assert history == {
            "oldestBlock": "0x0",
            "baseFeePerGas": ["0x0"] * 3,
            "gasUsedRatio": [0.0, used / rig.genesis.block_gas_limit],
            "reward": [["0x0", "0x0"]] * 2,
        }
        assert (await refusal(client, "eth_feeHistory", "0x1", "latest", [5, 1])).code == -32602
        assert (await refusal(client, "eth_feeHistory", "0x1", "0x9")).code == -32602

    run(scenario)


@pytest.mark.parametrize(
    "method", ["eth_fillTransaction", "eth_getProof", "eth_sign", "rpc_modules"]
)
def test_what_is_not_there_is_method_not_found(method):
    async def scenario(rig, client):
        assert (await refusal(client, method)).code == -32601

    run(scenario)


def test_the_chains_own_transaction_has_a_shape_that_clients_can_read():
    async def scenario(rig, client):
        rig.chain.submit(
            rig.raw(0, "setAlarm(uint64,bytes)", rig.now_ms + 5_000, b"ring", gas_limit=500_000)
        )
        rig.seal()
        rig.now_ms += 10_000
        record = rig.seal()
        assert record.transactions[0][0] == 0x7E
        block = await client.call("eth_getBlockByNumber", "latest", True)
        (tx,) = block["transactions"]
        assert (tx["from"], tx["type"], tx["blockNumber"]) == ("0x" + "00" * 20, "0x0", "0x2")
        assert await client.call("eth_getTransactionByHash", tx["hash"]) == tx
        receipt = await client.call("eth_getTransactionReceipt", tx["hash"])
        assert (receipt["status"], len(receipt["logs"])) == ("0x1", 1)
        async for notice in client.subscribe_blocks(2):
            assert notice["transactions"] == [
                {"hash": tx["hash"], "from": "0x" + "00" * 20, "status": 1}
            ]
            break

    run(scenario)
