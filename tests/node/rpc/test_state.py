"""Code, storage, calls and creations at any block, on the chain of all kinds of transactions."""

import asyncio
import json

import pytest

from node.chain import Chain
from node.rpc.chain_reads import oldest_state, read_fixed_state, read_state
from node.rpc.dispatch import Caller
from node.rpc.errors import Code, RpcFault
from node.storage.block_store import ChainStore
from testnet.rpc_chain import ALICE, HEAD, RoleChain
from tests.node.rpc.rig import ChainRig
from vm.contract_state import storage_at
from vm.transaction import decode


@pytest.fixture(scope="module")
def roles():
    with RoleChain() as chain:
        yield chain


@pytest.fixture
def fresh():
    """Return a chain that a test may change."""
    with RoleChain() as chain:
        yield chain


def hexed(data):
    return "0x" + data.hex()


def answer(roles, method, *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    caller = Caller(is_authorised=False, extra={})
    return json.loads(asyncio.run(roles.dispatcher.answer(body, caller)))


def ask(roles, method, *params):
    found = answer(roles, method, *params)
    assert "result" in found, found
    return found["result"]


def refusal(roles, method, *params):
    found = answer(roles, method, *params)
    assert "error" in found, found
    return found["error"]["code"], found["error"]["message"]


def sealed_calls(roles, height):
    """Return how often the counting contract was called up to a height, by the receipts."""
    return sum(
        log.address == roles.emitting
        for number in range(height + 1)
        for receipt in roles.chain.receipts(number)
        for log in receipt.logs
    )


@pytest.mark.parametrize("height", range(HEAD + 1))
def test_storage_is_that_of_the_block(roles, height):
    contract = hexed(roles.emitting)
    expected = "0x" + sealed_calls(roles, height).to_bytes(32, "big").hex()
    for slot in ("0x", "0x0", "0x00", "0x" + "00" * 32):
        assert ask(roles, "eth_getStorageAt", contract, slot, hex(height)) == expected
    assert ask(roles, "eth_getStorageValues", {contract: ["0x0"]}, hex(height)) == {
        contract: [expected]
    }


def test_code_is_there_from_its_creation_on(roles):
    for contract in (roles.environment, roles.answering, roles.failing, roles.emitting):
        assert ask(roles, "eth_getCode", hexed(contract), "earliest") == "0x"
        code = ask(roles, "eth_getCode", hexed(contract), "0x1")
        assert len(code) > 2
        assert ask(roles, "eth_getCode", hexed(contract)) == code


@pytest.mark.parametrize("height", range(1, HEAD + 1))
def test_a_call_sees_the_block_that_is_named(roles, height):
    seen = ask(roles, "eth_call", {"to": hexed(roles.environment)}, hex(height))[2:]
    words = [seen[i : i + 64] for i in range(0, 448, 64)]
    number, chain_id, _, base_fee, *_ = (int(word, 16) for word in words)
    assert number == height
    assert (chain_id, base_fee) == (roles.chain.chain_id, 0)
    block = ask(roles, "eth_getBlockByNumber", hex(height), False)
    assert block["miner"] == "0x" + words[2][24:]
    assert block["mixHash"] == "0x" + words[4]


def test_a_call_has_no_effect(roles):
    before = roles.chain.tree.root
    count = ask(roles, "eth_getStorageAt", hexed(roles.emitting), "0x0")
    ask(roles, "eth_call", {"to": hexed(roles.emitting), "data": "0x01"})
    assert ask(roles, "eth_getStorageAt", hexed(roles.emitting), "0x0") == count
    assert roles.chain.tree.root == before


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        ("0x" + "0" * 65, "storage key too long (want at most 32 bytes): "),
        ("0xzz", 'invalid hex in storage key: "0xzz"'),
        ("5", "slot: must be 0x-hex of at most 32 bytes"),
        (5, "slot: must be 0x-hex of at most 32 bytes"),
        (None, "slot: must be 0x-hex of at most 32 bytes"),
    ],
)
def test_slots_that_cannot_be_read(roles, slot, words):
    code, message = refusal(roles, "eth_getStorageAt", hexed(roles.emitting), slot)
    assert (code, message[: len(words)]) == (Code.INVALID_PARAMS, words)


def test_the_slots_in_one_question_are_bounded(roles):
    contract = hexed(roles.emitting)
    assert refusal(roles, "eth_getStorageValues", {}) == (-32602, "empty request")
    assert refusal(roles, "eth_getStorageValues", {contract: []}) == (-32602, "empty request")
    many = {contract: ["0x0"] * 1_024, hexed(ALICE.address): ["0x0"]}
    assert refusal(roles, "eth_getStorageValues", many) == (-32602, "too many slots (max 1024)")


# Failures in geth's words.


def test_reverts_carry_their_reason_and_data(roles):
    for data, words in (("0x01", "execution reverted: user error"), ("0x00", "assert(false)")):
        for method in ("eth_call", "eth_estimateGas"):
            call = {"to": hexed(roles.failing), "data": data}
            error = answer(roles, method, call)["error"]
            assert error["code"] == Code.REVERTED
            assert error["message"].endswith(words)
            assert error["data"].startswith(("0x08c379a0", "0x4e487b71"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("0xfe", "invalid opcode: INVALID"),
        ("0x50", "stack underflow"),
        ("0x5f56", "invalid jump destination"),
        ("0x5b5f56", "out of gas"),
    ],
)
def test_halts_carry_no_data(roles, code, words):
    error = answer(roles, "eth_call", {"data": code})["error"]
    assert (error["code"], error["message"][: len(words)]) == (Code.SERVER, words)
    assert "data" not in error


def test_an_estimate_stays_within_the_callers_own_limit(roles):
    call = {"to": hexed(roles.emitting), "from": hexed(ALICE.address)}
    free = int(ask(roles, "eth_estimateGas", call), 16)
    tight = free - 1  # Enough, since an estimate has a margin.
    assert ask(roles, "eth_estimateGas", {**call, "gas": hex(tight)}) == hex(tight)
    code, message = refusal(roles, "eth_estimateGas", {**call, "gas": hex(25_000)})
    assert (code, message) == (Code.SERVER, "gas required exceeds allowance (25000)")


# Creations.


def test_a_creation_from_estimate_to_code(fresh):
    init = "0x600380600c6000396000f3" + "00" + "5f5ff3"
    call = {"from": hexed(ALICE.address), "data": init}
    code = ask(fresh, "eth_call", call)
    gas = int(ask(fresh, "eth_estimateGas", call), 16)
    assert gas > 53_000
    nonce = fresh.chain.pending_nonce(ALICE.address)
    raw = fresh.sign(None, bytes.fromhex(init[2:]))
    digest = ask(fresh, "eth_sendRawTransaction", hexed(raw))
    waiting = ask(fresh, "eth_getTransactionByHash", digest)
    assert (waiting["to"], waiting["nonce"]) == (None, hex(nonce))
    fresh.seal()
    receipt = ask(fresh, "eth_getTransactionReceipt", digest)
    assert (receipt["status"], receipt["to"]) == ("0x1", None)
    assert int(receipt["gasUsed"], 16) <= gas
    assert code == "0x5f5ff3"
    assert ask(fresh, "eth_getCode", receipt["contractAddress"]) == code
    assert ask(fresh, "eth_getBlockReceipts", "latest")[-1] == receipt


def test_a_creation_that_fails_has_an_address_without_code(fresh):
    digest = ask(fresh, "eth_sendRawTransaction", hexed(fresh.sign(None, b"\xfe")))
    fresh.seal()
    receipt = ask(fresh, "eth_getTransactionReceipt", digest)
    assert receipt["status"] == "0x0"
    tx = decode(fresh.chain.transaction(bytes.fromhex(digest[2:]))[2])
    assert tx.sender() == ALICE.address
    assert ask(fresh, "eth_getCode", receipt["contractAddress"]) == "0x"


def test_an_estimate_takes_turns_with_everything_else(roles):
    """Its executions are up to half a block's compute each; votes go in between."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_estimateGas",
            "params": [{"from": hexed(ALICE.address), "to": hexed(roles.emitting), "data": "0x01"}],
        }
    )

    async def main():
        caller = Caller(is_authorised=False, extra={})
        asked, turns = asyncio.create_task(roles.dispatcher.answer(body, caller)), 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        return json.loads(asked.result()), turns

    found, turns = asyncio.run(main())
    assert int(found["result"], 16) > 21_000
    assert turns >= 4


def test_what_takes_turns_reads_one_state_though_the_head_goes_on(fresh):
    views = [read(fresh.chain, "latest") for read in (read_fixed_state, read_state)]
    before = storage_at(views[0].state, fresh.emitting, 0)
    fresh.chain.submit(fresh.sign(fresh.emitting, b"\x01"))
    fresh.seal()
    fixed, moving = (storage_at(view.state, fresh.emitting, 0) for view in views)
    assert fixed == before < moving


# Access lists.


def test_an_access_list_names_what_a_call_touches(roles):
    contract = hexed(roles.emitting)
    found = ask(roles, "eth_createAccessList", {"to": contract, "data": "0x01"})
    zero = "0x" + "00" * 32
    assert found["accessList"] == [{"address": contract, "storageKeys": [zero]}]
    again = ask(
        roles,
        "eth_createAccessList",
        {"to": contract, "data": "0x01", "accessList": found["accessList"]},
    )
    assert again == found
    assert "error" not in found


def test_an_access_list_of_a_call_that_fails_says_so(roles):
    contract = hexed(roles.failing)
    found = ask(roles, "eth_createAccessList", {"to": contract, "data": "0x01"})
    slot = "0x" + (0x42FF).to_bytes(32, "big").hex()
    assert found["accessList"] == [{"address": contract, "storageKeys": [slot]}]
    assert found["error"] == "execution reverted"


def test_an_access_list_names_other_contracts_but_no_precompile(roles):
    target = roles.answering
    code = bytes.fromhex("73") + target + bytes.fromhex("315073") + bytes(19) + b"\x02"
    code += bytes.fromhex("315000")  # BALANCE of the target and of a precompile.
    found = ask(roles, "eth_createAccessList", {"data": hexed(code)})
    assert found["accessList"] == [{"address": hexed(target), "storageKeys": []}]


# The past is kept for so long.


def test_state_beyond_what_is_kept_is_refused_and_blocks_are_not(tmp_path):
    rig = ChainRig(tmp_path)
    rig.store.close()
    store = ChainStore(tmp_path / "short", rig.genesis.hash, history_blocks=2)
    rig.chain = Chain(rig.chain.machine, store, now_ms=lambda: rig.now_ms)
    for value in range(1, 6):
        rig.chain.submit(rig.transfer(0, 1, value))
        rig.seal()
    assert oldest_state(rig.chain) == 3
    for height in (3, 4, 5):
        view = read_state(rig.chain, hex(height))
        assert view.header.number == height
        assert rig.chain.machine.next_nonce(view.state, decode_sender(rig)) == height
    with pytest.raises(RpcFault, match="historical state is not available: block 2") as error:
        read_state(rig.chain, "0x2")
    assert error.value.code == Code.SERVER
    assert rig.chain.record(2) is not None
    store.close()


def decode_sender(rig):
    return decode(rig.chain.record(1).transactions[0]).sender()


# What waits.


def test_the_pool_by_sender_and_nonce(fresh):
    free = fresh.free_nonce()
    ask(fresh, "eth_sendRawTransaction", hexed(fresh.sign(fresh.emitting, nonce=free + 3)))
    status = ask(fresh, "txpool_status")
    content = ask(fresh, "txpool_content")
    (sender,) = content["pending"]
    assert sender.lower() == hexed(ALICE.address)
    assert len(content["pending"][sender]) == int(status["pending"], 16) == 4
    assert list(content["queued"][sender]) == [str(free + 3)]
    assert status["queued"] == "0x1"
    assert all(tx["blockHash"] is None for tx in content["pending"][sender].values())
    of_sender = ask(fresh, "txpool_contentFrom", sender)
    assert of_sender == {kind: content[kind][sender] for kind in ("pending", "queued")}
    nobody = ask(fresh, "txpool_contentFrom", "0x" + "00" * 20)
    assert nobody == {"pending": {}, "queued": {}}
    told = ask(fresh, "txpool_inspect")["pending"][sender]
    assert list(told) == list(content["pending"][sender])
    assert any(text.startswith("contract creation: 0 wei + ") for text in told.values())


def test_the_pools_content_is_cut_where_an_answer_is_full(fresh, monkeypatch):
    (sent,) = ask(fresh, "txpool_content")["pending"].values()
    sizes = [len(tx.raw) for tx in fresh.chain.pool.transactions()]
    assert len(sent) == len(sizes) > 2
    monkeypatch.setattr("node.rpc.handlers_txpool.CONTENT_BYTES_MAX", sizes[0] + sizes[1])
    ((sender, cut),) = ask(fresh, "txpool_content")["pending"].items()
    assert list(cut) == list(sent)[:2]
    assert ask(fresh, "txpool_contentFrom", sender)["pending"] == cut
