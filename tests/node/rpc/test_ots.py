"""What the Otterscan explorer reads: pages, searches and calls, against the chain itself."""

import pytest

from node.rpc.views import sender_of
from testnet.rpc_chain import ALICE, HEAD, RoleChain
from tests.node.rpc.test_state import ask, hexed, refusal
from vm.transaction import decode

ADDRESS = hexed(ALICE.address)


@pytest.fixture(scope="module")
def roles():
    with RoleChain() as chain:
        yield chain


def sealed(roles):
    """Return (height, hash, raw) of all sealed transactions in order."""
    return [
        (height, hexed(digest), raw)
        for height in range(HEAD + 1)
        for digest, raw in zip(
            roles.chain.record(height).transaction_hashes,
            roles.chain.record(height).transactions,
            strict=True,
        )
    ]


def test_the_header_and_details_of_a_block_are_those_of_the_block(roles):
    block = ask(roles, "eth_getBlockByNumber", "0x4", False)
    header = ask(roles, "erigon_getHeaderByNumber", 4)
    assert header == {key: block[key] for key in header}
    details = ask(roles, "ots_getBlockDetails", 4)
    assert ask(roles, "ots_getBlockDetailsByHash", block["hash"]) == details
    assert details["block"]["transactionCount"] == 1
    assert details["block"]["logsBloom"] is None
    assert "transactions" not in details["block"]
    assert details["totalFees"] == "0x0"


def test_pages_of_a_block_hold_every_transaction_once(roles):
    whole = ask(roles, "eth_getBlockByNumber", "0x1", True)["transactions"]
    for size in (1, 2, 3, 4, 9):
        shown = []
        for page in range(5):
            found = ask(roles, "ots_getBlockTransactions", 1, page, size)
            hashes = [tx["hash"] for tx in found["fullblock"]["transactions"]]
            assert [receipt["transactionHash"] for receipt in found["receipts"]] == hashes
            assert all(len(tx["input"]) <= 10 for tx in found["fullblock"]["transactions"])
            shown = hashes + shown
        assert shown == [tx["hash"] for tx in whole]


def test_code_and_creators(roles):
    assert ask(roles, "ots_hasCode", hexed(roles.emitting), "latest") is True
    assert ask(roles, "ots_hasCode", hexed(roles.emitting), 0) is False
    assert ask(roles, "ots_hasCode", ADDRESS, "latest") is False
    found = ask(roles, "ots_getContractCreator", hexed(roles.environment))
    assert found == {"hash": hexed(roles.sent.creation), "creator": ADDRESS}
    assert ask(roles, "ots_getContractCreator", ADDRESS) is None


def test_a_senders_transactions_by_nonce(roles):
    for _, digest, raw in sealed(roles):
        nonce = decode(raw).nonce
        assert ask(roles, "ots_getTransactionBySenderAndNonce", ADDRESS, nonce) == digest
    waiting = roles.chain.machine.next_nonce(roles.chain.state(), ALICE.address)
    assert ask(roles, "ots_getTransactionBySenderAndNonce", ADDRESS, waiting) is None


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("direction", ["Before", "After"])
def test_a_search_finds_each_transaction_once_in_order(roles, size, direction):
    expected = [digest for _, digest, raw in reversed(sealed(roles)) if sender_of(raw)]
    pages, at = [], 0
    while True:
        page = ask(roles, f"ots_searchTransactions{direction}", ADDRESS, at, size)
        pages.append([tx["hash"] for tx in page["txs"]])
        heights = [int(tx["blockNumber"], 16) for tx in page["txs"]]
        assert heights == sorted(heights, reverse=True)
        assert page["firstPage" if direction == "Before" else "lastPage"] == (at == 0)
        if page["lastPage" if direction == "Before" else "firstPage"]:
            break
        at = heights[-1] if direction == "Before" else heights[0]
    if direction == "After":
        pages.reverse()
    assert [digest for page in pages for digest in page] == expected


def test_a_contract_is_found_by_its_creation_its_calls_and_its_logs(roles):
    page = ask(roles, "ots_searchTransactionsBefore", hexed(roles.failing), 0, 100)
    assert page["txs"][0]["hash"] == hexed(roles.sent.reverted)
    assert len(page["txs"]) == 2
    assert all(type(receipt["timestamp"]) is int for receipt in page["receipts"])


def test_a_search_that_finds_nothing_near_says_so(roles, monkeypatch):
    monkeypatch.setattr("node.rpc.handlers_ots.SEARCH_BLOCKS_MAX", 3)
    nobody = "0x" + "12" * 20
    for method in ("ots_searchTransactionsBefore", "ots_searchTransactionsAfter"):
        code, message = refusal(roles, method, nobody, 0, 5)
        assert (code, message) == (-32005, "nothing was found in 3 blocks: search from nearer")
    assert refusal(roles, "ots_getTransactionBySenderAndNonce", ADDRESS, 0)[0] == -32005


def test_errors_and_calls_of_transactions(roles):
    reverted = hexed(roles.sent.reverted)
    assert ask(roles, "ots_getTransactionError", reverted).startswith("0x08c379a0")
    assert ask(roles, "ots_getTransactionError", hexed(roles.sent.listed)) == "0x"
    code, message = refusal(roles, "ots_getTransactionError", "0x" + "12" * 32)
    assert (code, message) == (-32000, "transaction not found")
    (call,) = ask(roles, "ots_traceTransaction", hexed(roles.sent.listed))
    assert (call["type"], call["depth"], call["to"]) == ("CALL", 0, hexed(roles.emitting))
    (made,) = ask(roles, "ots_traceTransaction", hexed(roles.sent.creation))
    assert (made["type"], made["from"]) == ("CREATE", ADDRESS)
    assert ask(roles, "ots_getInternalOperations", hexed(roles.sent.creation)) == []


def test_creations_within_a_transaction_are_internal_operations():
    with RoleChain() as fresh:
        code = bytes.fromhex("5f5f5ff05f5f5f5ff500")  # CREATE and CREATE2, of nothing.
        digest = ask(fresh, "eth_sendRawTransaction", hexed(fresh.sign(None, code)))
        fresh.seal()
        contract = ask(fresh, "eth_getTransactionReceipt", digest)["contractAddress"]
        found = ask(fresh, "ots_getInternalOperations", digest)
        assert [each["type"] for each in found] == [2, 3]
        assert {each["from"] for each in found} == {contract}
        assert len({each["to"] for each in found}) == 2


@pytest.mark.parametrize(
    "params",
    [[ADDRESS, -1, 5], [ADDRESS, 0, 101], [ADDRESS, "0x01", 5], ["0x12", 0, 5], [ADDRESS, 1.5, 5]],
)
def test_searches_are_read_strictly(roles, params):
    assert refusal(roles, "ots_searchTransactionsBefore", *params)[0] == -32602
