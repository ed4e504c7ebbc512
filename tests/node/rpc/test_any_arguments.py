"""Whatever a caller sends, the answer is a result or a refusal: never a failure of our own."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.dispatch import Caller
from node.rpc.errors import Code
from testnet.rpc_chain import ALICE, HEAD, RoleChain

NOBODY = Caller(is_authorised=False, extra={})
REFUSALS = {int(code) for code in Code} - {Code.INTERNAL, Code.PARSE_ERROR}


def hexed(data):
    return "0x" + data.hex()


@pytest.fixture(scope="module")
def roles():
    with RoleChain() as chain:
        yield chain


PLAUSIBLE = st.sampled_from(
    [
        *("latest", "earliest", "pending", "0x0", "0x1", hex(HEAD), hex(HEAD + 1), "0x", "0x01"),
        *(0, 1, -1, 2**64, 1.5, True, False, None, [], {}),
        *(hexed(ALICE.address), "0x" + "00" * 32),
    ]
)
QUANTITIES = st.integers(0, 2**256).map(hex)
BYTES = st.binary(max_size=40).map(hexed)
LEAVES = PLAUSIBLE | QUANTITIES | BYTES | st.text(max_size=8)
KEYS = st.sampled_from(
    (
        "from", "to", "data", "input", "gas", "value", "nonce", "accessList", "address", "topics",
        "fromBlock", "toBlock", "blockHash", "blockNumber", "storageKeys", "tracer",
        "tracerConfig", "type", "x",
    )
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)


@given(data=st.data(), params=st.lists(VALUES, max_size=4))
def test_any_arguments_get_a_result_or_a_refusal(roles, data, params):
    known = [hexed(roles.emitting), hexed(roles.failing), hexed(roles.sent.dynamic)]
    place = data.draw(st.integers(0, 4))
    params[place:place] = data.draw(st.lists(st.sampled_from(known), max_size=1))
    method = data.draw(st.sampled_from(sorted(roles.methods)))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = json.loads(asyncio.run(roles.dispatcher.answer(body, NOBODY)))
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] in REFUSALS, (method, params, answer)
        assert isinstance(answer["error"]["message"], str)


@given(code=st.binary(max_size=64), data=st.binary(max_size=8))
def test_any_code_is_answered(roles, code, data):
    """Programs of random bytes: what they do is bounded, and how they fail is the standard."""
    for method in ("eth_call", "eth_estimateGas", "eth_createAccessList"):
        params = [{"data": hexed(code + data), "gas": hex(200_000)}, "latest"]
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = json.loads(asyncio.run(roles.dispatcher.answer(body, NOBODY)))
        if "error" in answer:
            assert answer["error"]["code"] in (Code.SERVER, Code.REVERTED), answer
