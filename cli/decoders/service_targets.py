"""Targets: JSON-RPC from both ends, what a light client is answered, and backups."""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, final

import plyvel

from cli.decoders import loop, material, scratch
from cli.decoders.rpc_service import call, service
from cli.decoders.target import Finding, Target
from crypto.errors import DecodeError, InvalidProof
from crypto.keys import checksum_address
from node import light_answers
from node.backup import ServerSource, restore_backup, write_backup
from node.chain import Chain
from node.errors import ConfigError, NodeError, StorageError
from node.home import Home
from node.light_client import (
    Freshness,
    LightClient,
    ProvenBlock,
    ProvenReceipt,
    ProvenValue,
    SealedHeader,
    TrustedBlock,
)
from node.rpc import answers, chain_reads, trace_options, values
from node.rpc.dispatch import Caller, Dispatcher
from node.rpc.errors import Code
from node.rpc.values import Args
from node.snapshot_server import SnapshotServer
from node.storage.block_store import ChainStore
from testnet.dev import readers
from testnet.dev.community import NATIVE_CONTRACTS
from vm.accounts import account_key
from vm.transaction import sign_transaction

_ADDRESS: Final = "0x" + "ab" * 20


# JSON-RPC: the server's end.


def _rpc(data: bytes) -> None:
    """Any body is answered in JSON, and never by an error of our own; then all is put back."""
    number = service().dev.snapshot()
    try:
        text = loop.run(service().dispatcher.answer(data, Caller(is_authorised=True, extra={})))
    finally:
        service().dev.revert(number)
    if text is None:
        return
    text.encode()
    given = json.loads(text)
    for answer in given if isinstance(given, list) else [given]:
        error = answer.get("error")
        if error is not None and error["code"] == Code.INTERNAL:
            raise Finding(f"the method failed: {error['message']}")


def _rpc_seeds() -> list[bytes]:
    dev = material.chain()
    owner = checksum_address(dev.community.accounts[0].address)
    sent = "0x" + material.block(2).transaction_hashes[0].hex()
    asked = {"from": owner, "to": _ADDRESS, "data": "0x", "gas": "0x30d40"}
    logs: dict[str, Any] = {
        "fromBlock": "0x0",
        "toBlock": "latest",
        "address": [_ADDRESS],
        "topics": [None, []],
    }
    bodies: list[Any] = [
        call("eth_getBalance", owner, "latest"),
        call("eth_getBlockByNumber", "0x2", *[True]),
        call("eth_call", {**asked, "data": "0x" + material.INIT_CODE.hex()}, "pending"),
        call("eth_estimateGas", {**asked, "to": None, "data": "0x6001"}),
        call("eth_getLogs", logs),
        call("eth_newFilter", logs),
        call("eth_sendRawTransaction", "0x" + _fresh().hex()),
        call("eth_feeHistory", "0x4", "latest", [25, 75]),
        call("hearth_getProof", "0x" + account_key(bytes(20)).hex()),
        call("eth_createAccessList", asked),
        call("debug_traceTransaction", sent, {"tracer": "callTracer"}),
        call("debug_traceCall", asked, "latest", {"tracer": "prestateTracer"}),
        call("eth_getTransactionReceipt", sent),
        call("hearth_getEpochs", 0),
        call("hearth_getReceiptProof", sent),
        call("hardhat_setNonce", _ADDRESS, "0x10"),
        call("hardhat_setStorageAt", _ADDRESS, "0x0", "0x" + "00" * 32),
        call("evm_increaseTime", 5),
        [call("eth_chainId"), call("net_version"), {"jsonrpc": "2.0", "method": "eth_chainId"}],
    ]
    return [json.dumps(body).encode() for body in bodies]


def _fresh() -> bytes:
    """Return a transaction that the chain still takes."""
    dev = material.chain()
    key = dev.community.accounts[1]
    return sign_transaction(
        key, chain_id=dev.chain.chain_id, nonce=0, to=material.RECEIVER, gas_limit=90_000
    )


def _every_method() -> list[bytes]:
    return [json.dumps(call(name, "0x1")).encode() for name in sorted(service().names)]


# JSON-RPC: the client's end.


def _answer(data: bytes) -> None:
    """What a stranger's node sends: a result, or one of two errors."""
    answer = answers.parse_answer(data)
    if isinstance(answer, list):
        answers.results_of(answer, [1, 2])
    elif answers.notification_of(answer) is None:
        answers.result_of(answer)


# Light clients.


@final
class _Recorder:
    """A server that is honest, and writes down what it says."""

    def __init__(self) -> None:
        self.said: dict[str, list[Any]] = defaultdict(list)

    async def call(self, method: str, *params: Any) -> Any:
        body = json.dumps(call(method, *params)).encode()
        dispatcher = service().dispatcher
        text = await dispatcher.answer(body, Caller(is_authorised=False, extra={}))
        answer = answers.result_of(answers.parse_answer(text or ""))
        self.said[method].append(answer)
        return answer


@final
class _Script:
    """A server that says what the fuzzer wrote, in its order; at its end, the last word again."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = {
            method: list(answers) if isinstance(answers, list) else [answers]
            for method, answers in said.items()
        }

    async def call(self, method: str, *params: Any) -> Any:
        del params
        left = self._said.get(method)
        if not left:
            raise answers.RpcError(Code.METHOD_NOT_FOUND, "is not there")
        return left.pop(0) if len(left) > 1 else left[0]


@final
@dataclass(frozen=True, slots=True)
class _Questions:
    """What the client is made to ask, and the truth about it."""

    key: bytes
    transaction: bytes
    height: int


@cache
def _questions() -> _Questions:
    owner = material.chain().community.accounts[0].address
    return _Questions(account_key(owner), material.block(2).transaction_hashes[0], 2)


def _client() -> LightClient:
    first = material.hand_overs()[0]
    header = first.header
    return LightClient(TrustedBlock(header.hash, header, first.members))


async def _ask(client: LightClient, server: Any) -> list[Any]:
    """Ask everything; a refusal stands in the place of an answer."""
    asked = _questions()
    steps = (
        lambda: client.follow(server),
        lambda: client.header(server, asked.height),
        lambda: client.value(server, asked.key),
        lambda: client.receipt(server, asked.transaction),
        lambda: client.block(server, asked.height),
        lambda: client.attest([server]),
    )
    found: list[Any] = []
    for step in steps:
        try:
            found.append(await step())
        except (DecodeError, InvalidProof, NodeError) as refusal:
            found.append(refusal)
    return found


@cache
def _light_seeds() -> tuple[bytes, ...]:
    service()  # Here, where no loop runs yet: it is made in one.
    recorder = _Recorder()
    found = loop.run(_ask(_client(), recorder))
    wrong = [each for each in found[:5] if isinstance(each, Exception)]
    if wrong:
        raise Finding(f"an honest server is not believed: {wrong[0]}")
    return (json.dumps(recorder.said).encode(),)


def _light(data: bytes) -> None:
    """Whatever a server says, what the client believes is true of the chain."""
    said = answers.parse_answer(data)
    if not isinstance(said, dict):
        raise DecodeError("script", "must be an object")
    followed, header, value, receipt, block, fresh = loop.run(_ask(_client(), _Script(said)))
    chain, asked = material.chain().chain, _questions()
    for each in (followed, header):
        if isinstance(each, SealedHeader):
            _must(chain.header(each.header.number) == each.header, "a header")
    if isinstance(value, ProvenValue):
        state = chain.state_at(value.header.number)
        _must(state.get(asked.key) == value.value, "a value")
    if isinstance(receipt, ProvenReceipt):
        receipts = material.block(receipt.header.number).receipts
        _must(receipts[receipt.index] == receipt.receipt, "a receipt")
    if isinstance(block, ProvenBlock):
        record = material.block(asked.height)
        told = (block.transactions, block.receipts)
        _must(told == (record.transactions, record.receipts), "a block")
    if isinstance(fresh, Freshness):
        _must(not fresh.is_fresh, "freshness, which nobody has signed,")


def _must(is_true: bool, what: str) -> None:  # noqa: FBT001  A check's subject.
    if not is_true:
        raise Finding(f"{what} is believed that is not the chain's")


def _pieces(data: bytes) -> None:
    """The readers of one answer each, apart from the proofs around them."""
    value = answers.parse_answer(data)
    for read in (
        light_answers.read_header,
        light_answers.read_seal,
        light_answers.read_hand_over,
        lambda v: light_answers.read_items(v, "items"),
        lambda v: light_answers.read_path(v, "path"),
    ):
        try:
            read(value)
        except DecodeError:
            continue


def _piece_seeds() -> list[bytes]:
    said = json.loads(_light_seeds()[0])
    found = [
        said["hearth_getHeader"][0],
        said["hearth_getSeal"][0],
        *said["hearth_getEpochs"][0],
        ["0x" + "00" * 32, "0x"],
    ]
    return [json.dumps(each).encode() for each in found]


# Backups.


@cache
def _backup() -> bytes:
    """Return the backup of a node that holds the chain."""
    dev, folder = material.chain(), scratch.folder()
    home = Home(folder / "backed-up")
    home.chain.mkdir(parents=True)
    home.genesis.write_bytes(dev.chain.genesis.to_json())
    with plyvel.DB(str(home.chain), create_if_missing=True) as db:
        for key, value in dev.db.rows():
            db.put(key, value)
    store = ChainStore(home.chain, dev.chain.genesis.hash)
    server = SnapshotServer(Chain(dev.chain.machine, store, now_ms=lambda: 0))
    path = folder / "a.backup"
    work = write_backup(path, home, "cli", dev.chain.machine, ServerSource(server))
    loop.run(work)
    server.close()
    store.close()
    return path.read_bytes()


def _restore(data: bytes) -> None:
    """Whatever a backup holds: a home whose chain is the one that was saved, or nothing."""
    home = Home(scratch.folder() / "restored")
    path = scratch.file("some.backup", data)
    try:
        restored = restore_backup(path, home, NATIVE_CONTRACTS)
    except (StorageError, ConfigError):
        if home.path.exists():
            raise Finding("what was refused has left a home behind") from None
        raise
    _empty(home.path)
    if restored.height != material.chain().chain.height:
        raise Finding("another chain was restored than was saved")


def _empty(path: Path) -> None:
    shutil.rmtree(path)


TARGETS: Final = (
    Target(
        name="json-rpc",
        covers=(Dispatcher, values, chain_reads, trace_options, readers, Args),
        run=_rpc,
        refuses=(),
        seeds=lambda: [*_rpc_seeds(), *_every_method()],
        seconds=5.0,
        memory_bytes=64 << 20,
    ),
    Target(
        name="rpc-answer",
        covers=(answers,),
        run=_answer,
        refuses=(answers.RpcError, answers.Unreachable),
        seeds=lambda: [
            b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}',
            b'[{"id": 1, "result": null}, {"id": 2, "error": {"code": 3, "message": "no"}}]',
            b'{"method": "eth_subscription", "params": {"subscription": "0x1", "result": {}}}',
        ],
    ),
    Target(
        name="light-client",
        covers=(LightClient, light_answers.read_attestation),
        run=_light,
        refuses=(DecodeError, answers.Unreachable),
        seeds=_light_seeds,
        cases=100,
        bytes_max=64 << 10,
    ),
    Target(
        name="light-answer",
        covers=(light_answers,),
        run=_pieces,
        refuses=(answers.Unreachable,),
        seeds=_piece_seeds,
    ),
    Target(
        name="backup",
        covers=(restore_backup,),
        run=_restore,
        refuses=(StorageError, ConfigError),
        seeds=lambda: [_backup()],
        bytes_max=1 << 20,
        seconds=3.0,
        cases=12,
        memory_bytes=64 << 20,
    ),
)
