"""Ethereum's own conformance transcripts (ethereum/execution-apis, rpc-compat) as tests of shape.

Their chain is not ours, so values differ; but our answers must have every field that theirs have,
in the same kind of encoding.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.node.rpc.rig import serving
from vm.transaction import TxKind, decode

pytestmark = pytest.mark.e2e

NOT_OURS = frozenset(
    (
        "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash", "blockTimestamp",
        "baseFeePerBlobGas", "blobGasUsedRatio", "slotNumber", "blockAccessListHash",
        "root",
    )
)  # fmt: skip
"""Fields of blobs, of the beacon chain, of receipts before Byzantium, and unsettled ones."""

NULLABLE = ("to", "contractAddress")
"""One of them is null: theirs create contracts now and then, ours never."""


def shape(value):
    """Return what kind of value it is: hashes, addresses and blooms are told by their length."""
    match value:
        case str() if value.startswith("0x"):
            return f"hex of {len(value)}" if len(value) in (18, 42, 66, 514) else "hex"
        case dict():
            return {key: shape(each) for key, each in value.items() if key not in NOT_OURS}
        case list():
            return [shape(each) for each in value]
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case _:
            return type(value).__name__


def lacks(ours, theirs, where="result"):
    """Yield what theirs has and ours has not; of lists the first items are compared."""
    match ours, theirs:
        case dict(), dict():
            for key in theirs:
                if key not in ours:
                    yield f"{where}.{key}"
                elif key not in NULLABLE:
                    yield from lacks(ours[key], theirs[key], f"{where}.{key}")
        case [ours_first, *_], [theirs_first, *_]:
            yield from lacks(ours_first, theirs_first, f"{where}[0]")
        case list(), list():
            pass
        case _ if ours != theirs and not {ours, theirs} <= {"hex", "hex of 18", "hex of 66"}:
            yield f"{where}: {ours}, not {theirs}"


def read_transcript(method, name):
    folder = os.environ.get("HEARTH_VECTORS")
    if folder is None:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    lines = (Path(folder) / "evm" / "rpc-compat" / method / f"{name}.io").read_text().splitlines()
    asked = next(json.loads(line[3:]) for line in lines if line.startswith(">> "))
    told = next(json.loads(line[3:]) for line in lines if line.startswith("<< "))
    return asked, told


@pytest.mark.parametrize(
    ("method", "name", "kind", "params"),
    [
        ("eth_chainId", "get-chain-id", 2, []),
        ("eth_blockNumber", "simple-test", 2, []),
        ("eth_syncing", "check-syncing", 2, []),
        ("eth_getBlockByNumber", "get-latest", 2, ["latest", True]),
        ("eth_getBlockByNumber", "get-genesis", 2, ["0x0", True]),
        ("eth_getBlockByNumber", "get-block-notfound", 2, ["0x3e8", True]),
        ("eth_getTransactionByHash", "get-legacy-tx", 0, ["HASH"]),
        ("eth_getTransactionByHash", "get-access-list", 1, ["HASH"]),
        ("eth_getTransactionByHash", "get-dynamic-fee", 2, ["HASH"]),
        ("eth_getTransactionByHash", "get-notfound-tx", 2, ["0x" + "12" * 32]),
        ("eth_getTransactionReceipt", "get-legacy-receipt", 0, ["HASH"]),
        ("eth_getTransactionReceipt", "get-access-list", 1, ["HASH"]),
        ("eth_getTransactionReceipt", "get-dynamic-fee", 2, ["HASH"]),
        ("eth_getTransactionReceipt", "get-notfound-tx", 2, ["0x" + "12" * 32]),
        ("eth_getBlockReceipts", "get-block-receipts-latest", 2, ["latest"]),
        ("eth_getLogs", "contract-addr", 2, [{"fromBlock": "0x1", "toBlock": "0x1"}]),
        ("eth_getLogs", "filter-error-reversed-block-range", 2, None),
        ("eth_getLogs", "filter-error-future-block-range", 2, None),
        ("eth_getLogs", "filter-error-invalid-blockHash-and-range", 2, None),
        ("eth_feeHistory", "fee-history", 2, ["0x1", "0x1", [95, 99]]),
        ("eth_getTransactionCount", "get-nonce", 2, ["SENDER", "latest"]),
        ("net_version", "get-network-id", 2, []),
    ],
)
def test_our_answers_have_the_shape_of_the_transcripts(method, name, kind, params):
    asked, told = read_transcript(method, name)

    async def scenario():
        async with serving() as (rig, client):
            raw = rig.transfer(0, 1, 5, kind=TxKind(kind))
            rig.chain.submit(raw)
            rig.seal()
            tx = decode(raw)
            known = {"HASH": "0x" + tx.hash.hex(), "SENDER": "0x" + tx.sender().hex()}
            call = asked["params"] if params is None else params
            filled = [known.get(p, p) if isinstance(p, str) else p for p in call]
            (answer,) = await client.batch([(method, filled)])
            if "error" in told:
                assert answer.code == told["error"]["code"], answer
            else:
                assert not list(lacks(shape(answer), shape(told["result"])))

    asyncio.run(scenario())
