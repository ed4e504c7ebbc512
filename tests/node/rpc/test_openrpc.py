"""The OpenRPC document: complete, well-formed, and true of what the node answers."""

import asyncio
import json
import re

import pytest

from node.rpc.dispatch import Caller
from node.rpc.openrpc import SIGNATURES, document, socket_methods
from testnet.rpc_chain import ALICE, RoleChain
from tests.node.rpc.json_schema import KEYWORDS, TYPES, faults, resolve
from tests.node.rpc.rig import get, serving

SEMVER = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
WHOLE = document(SIGNATURES)


@pytest.fixture(scope="module")
def roles():
    with RoleChain() as chain:
        yield chain


def ask(roles, method, params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    caller = Caller(is_authorised=False, extra={})
    return json.loads(asyncio.run(roles.dispatcher.answer(body, caller)))


def hexed(data):
    return "0x" + data.hex()


# The document in itself.


def test_it_has_what_the_specification_demands():
    assert SEMVER.fullmatch(WHOLE["openrpc"])
    assert isinstance(WHOLE["info"]["title"], str)
    assert isinstance(WHOLE["info"]["version"], str)
    names = [method["name"] for method in WHOLE["methods"]]
    assert len(set(names)) == len(names)
    for method in WHOLE["methods"]:
        assert set(method) >= {"name", "params", "result"}, method["name"]
        assert {"name", "schema"} == set(method["result"])
        assert method["paramStructure"] in ("by-name", "by-position", "either")
        params = method["params"]
        assert all({"name", "required", "schema"} == set(param) for param in params)
        assert len({param["name"] for param in params}) == len(params), method["name"]
        flags = [param["required"] for param in params]
        assert flags == sorted(flags, reverse=True), "required ones come first"
        extensions = set(method) - {
            "name", "summary", "paramStructure", "params", "result", "errors",
        }  # fmt: skip
        assert all(name.startswith("x-") for name in extensions), extensions
    json.dumps(WHOLE)


def schemas(value):
    """Yield every schema in the document."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "schema":
                yield from parts(item)
            elif name == "schemas":
                for each in item.values():
                    yield from parts(each)
            else:
                yield from schemas(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas(item)


def parts(schema):
    yield schema
    for name in ("anyOf", "oneOf"):
        for each in schema.get(name, ()):
            yield from parts(each)
    for each in schema.get("properties", {}).values():
        yield from parts(each)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from parts(schema[name])


def test_schemas_use_known_keywords_and_references_lead_somewhere():
    used = set()
    for schema in schemas(WHOLE):
        assert set(schema) <= KEYWORDS, schema
        assert schema.get("type", "object") in TYPES
        assert set(schema.get("required", ())) <= set(schema.get("properties", {}))
        if "$ref" in schema:
            assert isinstance(resolve(WHOLE, schema["$ref"]), dict)
            used.add(schema["$ref"].rpartition("/")[2])
        if "pattern" in schema:
            re.compile(schema["pattern"])
    assert used == set(WHOLE["components"]["schemas"]), "a component that nobody uses"
    for method in WHOLE["methods"]:
        for error in method["errors"]:
            assert {"code", "message"} == set(resolve(WHOLE, error["$ref"]))


# The document and the node.


@pytest.mark.e2e
@pytest.mark.parametrize("is_testnet", [True, False])
def test_the_document_lists_what_the_node_serves_and_no_more(is_testnet):
    async def scenario():
        async with serving(is_testnet=is_testnet) as (rig, client):
            found = await client.call("rpc.discover")
            status, body = await get(rig, "/openrpc.json")
            assert status == 200
            assert json.loads(body) == found
            served = set(rig.server.methods)
            listed = {method["name"]: method for method in found["methods"]}
            assert set(listed) == served | set(socket_methods())
            assert "hearth_adminHeal" in listed if is_testnet else "hearth_adminHeal" not in listed
            for name, method in rig.server.methods.items():
                params = listed[name]["params"]
                required = sum(param["required"] for param in params)
                assert (method.required, method.optional) == (required, len(params) - required)
                assert method.needs_token == listed[name].get("x-needs-token", False)

    asyncio.run(scenario())


def examples(roles):
    """Return calls of every Ethereum method: several where the answer has several forms."""
    sent, block = roles.sent, hexed(roles.chain.store.digest(4))
    call = {"to": hexed(roles.emitting), "input": "0x05", "from": hexed(ALICE.address)}
    slot = "0x0"
    hashes = [[hexed(each)] for each in (sent.creation, sent.listed, sent.dynamic, sent.reverted)]
    unknown, nobody = ["0x" + "12" * 32], "0x" + "12" * 20
    filters = [ask(roles, "eth_newFilter", [{"fromBlock": "0x1"}])["result"]]
    raw = roles.sign(roles.emitting, nonce=roles.free_nonce())
    sealed_raw = hexed(roles.chain.transaction(sent.creation)[2])
    at_height, at_hash = [["0x4"], ["latest"], ["0xffff"]], [[block], unknown]
    nothing = {
        name: [[]]
        for name in (
            "web3_clientVersion", "net_version", "net_listening", "net_peerCount", "eth_chainId",
            "eth_syncing", "eth_blockNumber", "eth_accounts", "eth_gasPrice", "eth_baseFee",
            "eth_maxPriorityFeePerGas", "eth_capabilities", "eth_newBlockFilter",
            "eth_newPendingTransactionFilter", "txpool_status", "txpool_content",
            "txpool_inspect", "rpc.discover",
        )
    }  # fmt: skip
    return {
        **nothing,
        "web3_sha3": [["0x68656c6c6f"]],
        "eth_feeHistory": [["0x3", "latest", [10, 90]], ["0x0", "latest"]],
        "eth_getBalance": [[hexed(ALICE.address)], [hexed(ALICE.address), "0x2"]],
        "eth_getTransactionCount": [[hexed(ALICE.address), "pending"]],
        "eth_getCode": [[hexed(roles.emitting), block]],
        "eth_getStorageAt": [[hexed(roles.emitting), slot, {"blockNumber": "0x5"}]],
        "eth_getStorageValues": [[{hexed(roles.emitting): [slot]}]],
        "eth_call": [[call, {"blockHash": block}]],
        "eth_estimateGas": [[call]],
        "eth_createAccessList": [[call], [{"to": hexed(roles.failing)}]],
        "eth_sendRawTransaction": [[hexed(raw)]],
        "eth_getBlockByNumber": [["latest", True], ["0x0"], ["0xffff"]],
        "eth_getBlockByHash": [[block, True], [block], unknown],
        "eth_getBlockReceipts": [*at_height, *at_hash],
        "eth_getBlockTransactionCountByNumber": at_height,
        "eth_getBlockTransactionCountByHash": at_hash,
        "eth_getTransactionByBlockNumberAndIndex": [["0x4", "0x0"], ["0x4", "0xff"]],
        "eth_getTransactionByBlockHashAndIndex": [[block, "0x0"]],
        "eth_getUncleCountByBlockNumber": at_height,
        "eth_getUncleCountByBlockHash": at_hash,
        "eth_getTransactionByHash": [*hashes, unknown],
        "eth_getTransactionReceipt": [*hashes, unknown],
        "eth_getLogs": [[{"fromBlock": "0x1", "topics": [None, hexed(roles.topic)]}]],
        "eth_newFilter": [[{}]],
        "eth_getFilterChanges": [filters],
        "eth_getFilterLogs": [filters],
        "eth_uninstallFilter": [filters],
        "txpool_contentFrom": [[hexed(ALICE.address)]],
        "erigon_getHeaderByNumber": [["0x4"], [4], ["latest"], [99]],
        "ots_getApiLevel": [[]],
        "ots_hasCode": [[hexed(roles.emitting), "latest"], [hexed(roles.emitting), 0]],
        "ots_getBlockDetails": [[4], ["0xffff"]],
        "ots_getBlockDetailsByHash": at_hash,
        "ots_getBlockTransactions": [[1, 0, 3], [1, 1, 3], [1, 7, 3], [99, 0, 3]],
        "ots_getTransactionError": hashes,
        "ots_traceTransaction": hashes,
        "ots_getInternalOperations": hashes,
        "ots_getTransactionBySenderAndNonce": [[hexed(ALICE.address), 3], [nobody, 0]],
        "ots_getContractCreator": [[hexed(roles.emitting)], [nobody]],
        "ots_searchTransactionsBefore": [[hexed(ALICE.address), 0, 3], [nobody, 0, 3]],
        "ots_searchTransactionsAfter": [[hexed(roles.emitting), 2, 3], [nobody, 0, 3]],
        "debug_traceTransaction": hashes,
        "debug_traceCall": [[call, "latest"]],
        "debug_getRawTransaction": hashes,
        "eth_getRawTransactionByHash": [*hashes, unknown],
        "eth_sendRawTransactionSync": [[sealed_raw], [sealed_raw, 5_000]],
    }


def test_arguments_and_answers_fit_their_schemas(roles):
    calls = examples(roles)
    assert set(calls) >= roles.methods, "a method without an example"
    methods = {method["name"]: method for method in WHOLE["methods"]}
    for name in sorted(roles.methods, key=lambda each: each == "eth_uninstallFilter"):
        for params in calls[name]:
            for param, value in zip(methods[name]["params"], params, strict=False):
                assert not list(faults(WHOLE, param["schema"], value, param["name"])), name
            answer = ask(roles, name, params)
            assert "result" in answer, (name, params, answer)
            found = list(faults(WHOLE, methods[name]["result"]["schema"], answer["result"], name))
            assert not found, found


def test_the_judge_of_schemas_sees_what_is_wrong():
    block = {"$ref": "#/components/schemas/Log"}
    assert list(faults(WHOLE, block, {"address": "0x00"}))
    assert list(faults(WHOLE, {"$ref": "#/components/schemas/Quantity"}, "0x01"))
    assert not list(faults(WHOLE, {"$ref": "#/components/schemas/Quantity"}, "0x0"))
    assert list(faults(WHOLE, {"type": "integer"}, True))
    assert list(faults(WHOLE, {"oneOf": [{"type": "string"}, {"enum": ["a"]}]}, "a"))
