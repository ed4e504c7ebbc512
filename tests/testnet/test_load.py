"""Lanes and the search for what was lost, against a node that misbehaves."""

import asyncio
import random
from types import SimpleNamespace

import pytest

from crypto.hashing import keccak256
from crypto.keys import AccountKey
from node.rpc.client import RpcError, Unreachable
from testnet.bench.bed import percentile
from testnet.chaos import missing_on
from testnet.load import Acknowledged, LoadAccount, run_lane, sign_transfer
from vm.transaction import decode

KEY = AccountKey.from_secret(bytes(31) + b"\1")
TO = b"\2" * 20


class ScriptedNode:
    """Answers `hearth_submit` with one scripted thing after the other, then with receipts."""

    def __init__(self, script, stop):
        self.script = list(script)
        self.stop = stop
        self.raws = []

    async def call(self, method, raw, timeout_ms):
        assert method == "hearth_submit"
        self.raws.append(raw)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if not self.script:
            self.stop.set()
        block = hex(7 + len(self.raws))
        return {"blockNumber": block, "transactionIndex": "0x2", "status": "0x1"}


def cluster_of(node, names=("a", "b")):
    return SimpleNamespace(names=names, client=lambda _: node, genesis=SimpleNamespace(chain_id=99))


def lane(script):
    async def run():
        stop = asyncio.Event()
        node = ScriptedNode(script, stop)
        account = LoadAccount(KEY, "a")
        result = await run_lane(
            cluster_of(node), account, [TO], stop, rng=random.Random(0), pause_s=0.0
        )
        return node, account, result

    return asyncio.run(run())


def test_a_lost_answer_is_asked_for_again_with_the_same_bytes():
    """The node may have sealed it before it died: another nonce would be another transfer."""
    node, account, result = lane([Unreachable("gone"), RpcError(-32051, "not sealed"), None])
    assert len(set(node.raws)) == 1
    assert (result.submitted, result.retries, account.nonce) == (1, 2, 1)
    digest = keccak256(bytes.fromhex(node.raws[0][2:])).hex()
    assert result.acknowledged == [Acknowledged(f"0x{digest}", 10)]


def test_a_refusal_by_the_rules_is_not_repeated_and_not_hidden():
    node, _, result = lane([RpcError(-32000, "nonce too low"), None])
    assert result.refused == ["nonce too low"]
    assert len(result.acknowledged) == 1
    assert len(set(node.raws)) == 2


def test_transfers_of_an_account_have_nonces_in_order():
    account = LoadAccount(KEY, "a")
    raws = [sign_transfer(account, TO, 99) for _ in range(3)]
    assert [decode(raw).nonce for raw in raws] == [0, 1, 2]
    assert {decode(raw).sender() for raw in raws} == {KEY.address}


@pytest.mark.parametrize(
    ("receipt", "is_missing"),
    [
        ({"blockNumber": "0x5"}, False),
        ({"blockNumber": "0x6"}, True),
        (None, True),
        (RpcError(-32000, "broken"), True),
    ],
    ids=["there", "at another height", "not there", "not answered"],
)
def test_an_acknowledged_transfer_must_be_where_its_receipt_said(receipt, is_missing):
    class Node:
        async def batch(self, calls):
            return [receipt for _ in calls]

    ack = Acknowledged("0xab", 5)
    cluster = SimpleNamespace(client=lambda _: Node())
    missing = asyncio.run(missing_on(cluster, "a", [ack]))
    assert missing == (["0xab"] if is_missing else [])


def test_percentiles_are_values_that_occurred():
    """Nearest rank: of 20 kills the 99th percentile is the worst one."""
    values = list(range(1, 21))
    assert percentile(values, 99) == 20
    assert percentile(values, 50) == 10
    assert percentile([3.0], 50) == 3.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
