"""The methods as tools call them: names, forms of numbers, answers, refusals."""

import asyncio
import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from crypto.keys import checksum_address
from node.rpc.dispatch import Caller, Dispatcher
from testnet.dev.methods import ALIASES
from testnet.dev.server import DevServer
from testnet.dev.signatures import DEV_SIGNATURES
from tests.testnet.dev.rig import INIT, RUNTIME, START_MS, Rig

STRANGER = "0x" + "5a" * 20
CONTRACT = "0x" + "33" * 20
WORD = "0x" + "00" * 31


class Node:
    """A chain behind its methods, without a socket."""

    def __init__(self):
        self.rig = Rig()
        self.dev = self.rig.dev
        self.server = DevServer(self.dev, port=1)
        self.dispatcher = Dispatcher(self.server.rpc.methods, lambda _name, _is_ok: None)
        self.me = "0x" + self.rig.accounts[0].address.hex()

    async def answer(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        said = await self.dispatcher.answer(body, Caller(is_authorised=False, extra={}))
        return json.loads(said)

    async def call(self, method, *params):
        said = await self.answer(method, *params)
        assert "error" not in said, (method, said)
        return said["result"]

    async def refused(self, method, *params):
        said = await self.answer(method, *params)
        assert "error" in said, (method, said)
        return said["error"]

    async def now(self):
        return int((await self.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

    async def height(self):
        return int(await self.call("eth_blockNumber"), 16)


def on_a_node(test):
    """Run a test's coroutine with a node of its own."""

    def run():
        async def inside():
            await test(Node())

        asyncio.run(inside())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_node
async def test_snapshots_are_numbered_and_used_up(node):
    assert [await node.call("evm_snapshot") for _ in range(3)] == ["0x1", "0x2", "0x3"]
    assert await node.call("evm_revert", "0x2") is True
    assert await node.call("evm_revert", "0x3") is False
    assert await node.call("evm_snapshot") == "0x4"
    assert await node.call("anvil_revert", 1) is True
    assert await node.call("evm_revert", "7") is False


@pytest.mark.parametrize("written", [3600, "3600", "0xe10", 3600.0])
def test_numbers_are_read_in_every_form_that_tools_use(written):
    async def run():
        node = Node()
        assert await node.call("evm_increaseTime", written) == 3600
        assert await node.call("evm_increaseTime", 1) == 3601, "the answer is the sum"
        await node.call("evm_mine")
        assert await node.now() == START_MS // 1000 + 3601

    asyncio.run(run())


@pytest.mark.parametrize("wrong", [True, None, "x", "", "-1", -1, 1.5, [], {}, 2**60, "9" * 80])
def test_other_forms_of_numbers_are_refused_by_name(wrong):
    async def run():
        node = Node()
        for method in ("evm_increaseTime", "evm_setNextBlockTimestamp", "evm_setTime"):
            error = await node.refused(method, wrong)
            assert error["code"] == -32602, error
            assert error["message"].startswith(("seconds:", "timestamp:")), error
        assert await node.height() == 1

    asyncio.run(run())


@on_a_node
async def test_mining(node):
    at = START_MS // 1000 + 100
    assert await node.call("evm_mine", at) == "0x0"
    assert await node.now() == at
    assert await node.call("evm_mine", {"timestamp": hex(at + 5), "blocks": 3}) == "0x0"
    assert (await node.height(), await node.now()) == (5, at + 5)
    await node.call("hardhat_mine", "0xa", "0x3c")
    assert (await node.height(), await node.now()) == (15, at + 5 + 9 * 60)
    await node.call("anvil_mine", 2)
    assert (await node.height(), await node.now()) == (17, at + 5 + 9 * 60 + 1)
    error = await node.refused("evm_mine", at)
    assert error == {
        "code": -32000,
        "message": f"timestamp must be above the newest block's {at + 546}, got {at}",
    }
    assert "blocks" in (await node.refused("anvil_mine", 10_001))["message"]
    assert "is not known" in (await node.refused("evm_mine", {"block": 1}))["message"]


@on_a_node
async def test_the_next_block_has_the_chosen_time(node):
    at = START_MS // 1000 + 1_000
    assert await node.call("evm_setNextBlockTimestamp", at) is None
    digest = await node.call("eth_sendTransaction", {"from": node.me, "to": STRANGER})
    receipt = await node.call("eth_getTransactionReceipt", digest)
    assert await node.now() == at
    assert receipt["status"] == "0x1"
    assert await node.call("evm_setTime", at + 50) == 50
    await node.call("evm_mine")
    assert await node.now() == at + 50


@on_a_node
async def test_automine_and_interval(node):
    assert await node.call("anvil_getAutomine") is True
    assert await node.call("evm_setAutomine", False) is True
    digest = await node.call("eth_sendTransaction", {"from": node.me, "to": STRANGER})
    assert await node.call("eth_getTransactionReceipt", digest) is None
    dropped = await node.call("eth_sendTransaction", {"from": node.me, "to": STRANGER})
    assert await node.call("anvil_dropTransaction", dropped) == dropped
    assert await node.call("anvil_dropTransaction", dropped) is None
    assert await node.call("evm_setAutomine", True) is True
    assert (await node.call("eth_getTransactionReceipt", digest))["status"] == "0x1"
    await node.call("evm_setIntervalMining", 20)
    node.server.start_sealing()
    before = await node.height()
    await asyncio.sleep(0.2)
    assert await node.height() > before
    await node.call("anvil_setIntervalMining", 0)
    before = await node.height()
    await asyncio.sleep(0.1)
    assert await node.height() == before
    await node.server.stop()


@on_a_node
async def test_decrees_are_blocks_of_their_own(node):
    assert await node.call("hardhat_setCode", CONTRACT, "0x" + RUNTIME.hex())
    assert await node.call("anvil_setStorageAt", CONTRACT, "0x0", WORD + "29")
    assert await node.call("anvil_setNonce", STRANGER, "0x7")
    assert await node.height() == 4
    assert await node.call("eth_getCode", CONTRACT, "latest") == "0x" + RUNTIME.hex()
    assert await node.call("eth_getStorageAt", CONTRACT, "0x0", "latest") == WORD + "29"
    assert await node.call("eth_getTransactionCount", STRANGER, "latest") == "0x7"
    await node.call("eth_sendTransaction", {"from": node.me, "to": CONTRACT})
    assert await node.call("eth_getStorageAt", CONTRACT, "0x0", "latest") == WORD + "2a"
    assert await node.call("eth_getStorageAt", CONTRACT, "0x0", "0x4") == WORD + "29"
    for wrong in ("0x", "29", "0x" + "0" * 65, "0x0_1", None):
        assert (await node.refused("anvil_setStorageAt", CONTRACT, "0x0", wrong))["code"] == -32602


@on_a_node
async def test_there_is_no_coin_to_set(node):
    error = await node.refused("hardhat_setBalance", STRANGER, "0x1")
    assert error["code"] == -32000
    assert "there is no coin" in error["message"]


@on_a_node
async def test_an_impersonated_sender_is_shown_everywhere(node):
    error = await node.refused("eth_sendTransaction", {"from": STRANGER, "to": CONTRACT})
    assert "unknown account" in error["message"]
    assert await node.call("hardhat_impersonateAccount", STRANGER) is True
    asked = {"from": STRANGER, "data": "0x" + INIT.hex(), "gas": "0x100000"}
    digest = await node.call("eth_sendTransaction", asked)
    receipt = await node.call("eth_getTransactionReceipt", digest)
    block = await node.call("eth_getBlockByNumber", receipt["blockNumber"], True)
    shown = [
        receipt,
        await node.call("eth_getTransactionByHash", digest),
        block["transactions"][0],
        (await node.call("eth_getBlockReceipts", receipt["blockNumber"]))[0],
        await node.call("eth_getTransactionByBlockNumberAndIndex", receipt["blockNumber"], "0x0"),
    ]
    assert {each["from"] for each in shown} == {STRANGER}
    code = await node.call("eth_getCode", receipt["contractAddress"], "latest")
    assert code == "0x" + RUNTIME.hex()
    assert await node.call("anvil_stopImpersonatingAccount", STRANGER) is True
    assert "unknown" in (await node.refused("eth_sendTransaction", asked))["message"]


@on_a_node
async def test_the_accounts_send_and_sign(node):
    accounts = await node.call("eth_accounts")
    assert accounts == ["0x" + key.address.hex() for key in node.rig.accounts]
    message = "0x" + b"hello".hex()
    signature = await node.call("eth_sign", node.me, message)
    assert await node.call("personal_sign", message, node.me) == signature
    signer = Account.recover_message(encode_defunct(b"hello"), signature=signature)
    assert signer == checksum_address(node.rig.accounts[0].address)
    assert "unknown account" in (await node.refused("eth_sign", STRANGER, message))["message"]
    missing = await node.refused("eth_sendTransaction", {"to": STRANGER})
    assert "transaction.from: is missing" in missing["message"]
    failing = {"from": node.me, "data": "0xfe"}
    assert (await node.refused("eth_sendTransaction", failing))["code"] == -32000


@on_a_node
async def test_a_dumped_state_is_loaded(node):
    dumped = await node.call("anvil_dumpState")
    await node.call("eth_sendTransaction", {"from": node.me, "to": STRANGER})
    assert await node.height() == 2
    assert await node.call("anvil_loadState", dumped) is True
    assert await node.height() == 1
    error = await node.refused("anvil_loadState", dumped[:-2])
    assert error["code"] == -32000
    assert error["message"].startswith("state: ")


@on_a_node
async def test_every_method_is_described(node):
    described = {each["name"] for each in (await node.call("rpc.discover"))["methods"]}
    assert set(node.server.rpc.methods) <= described
    assert set(DEV_SIGNATURES) <= set(node.server.rpc.methods)
    for alias, name in ALIASES:
        assert alias.partition("_")[2] == name.partition("_")[2], "an alias means the same"


@on_a_node
async def test_the_node_says_that_it_is_ready_and_who_seals(node):
    status = await node.call("hearth_status")
    assert (status["members"], status["peersUp"], status["isLearner"]) == (11, 10, False)
    assert status["name"] == "dev0"
    assert await node.call("eth_syncing") is False
