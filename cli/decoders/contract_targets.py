"""Targets: compiled contracts and their ABIs, arguments as typed, transactions of mainnet."""

import json
from collections.abc import Callable
from typing import Any, Final

from cli import contract_artifact, mainnet_transaction
from cli.contract_abi import ContractAbi, Entry
from cli.contract_values import read_arguments
from cli.decoders import material, scratch
from cli.decoders.target import Finding, Target
from cli.errors import Unusable
from crypto.abi_event import Parameter
from crypto.errors import DecodeError
from crypto.keys import parse_address
from testnet.errors import BadFile
from vm.errors import InvalidTransaction
from vm.transaction import sign_transaction

_ABI: Final = (
    {
        "type": "function",
        "name": "trade",
        "stateMutability": "nonpayable",
        "inputs": [
            {"name": "to", "type": "address"},
            {
                "name": "rows",
                "type": "tuple[]",
                "components": [{"name": "id", "type": "uint64"}, {"name": "x", "type": "bytes"}],
            },
        ],
        "outputs": [{"name": "", "type": "int256"}],
    },
    {
        "type": "event",
        "name": "Traded",
        "inputs": [{"name": "to", "type": "address", "indexed": True}],
    },
    {"type": "error", "name": "Refused", "inputs": [{"name": "why", "type": "string"}]},
    {"type": "constructor", "inputs": []},
    {"type": "fallback"},
)


# Contracts.


def _abis() -> list[bytes]:
    return [json.dumps(_ABI).encode()]


def _contract_abi(data: bytes) -> None:
    """An ABI, and what it then makes of any calldata, results, logs and reverts."""
    value = contract_artifact.read_json(scratch.file("some.json", data))
    parsed = ContractAbi.parse(value, "abi")
    for each in parsed.functions:
        for decode in (each.decode_arguments, each.decode_results):
            _unless_refused(decode, data[:96])
        parsed.describe_call(each.selector + data[:64])
    for topic in parsed.events:
        parsed.describe_log((topic, data[:32]), data[:64])
    for selector in parsed.errors:
        parsed.reason(selector + data[:64])


def _unless_refused(decode: Callable[[bytes], Any], data: bytes) -> None:
    try:
        decode(data)
    except DecodeError:
        return


def _artifacts() -> list[bytes]:
    one = {"contractName": "Trader", "abi": list(_ABI), "bytecode": "0x6001"}
    compiled = {"abi": list(_ABI), "evm": {"bytecode": {"object": "6001"}}}
    return [
        json.dumps(value).encode()
        for value in (
            one,
            {"contracts": {"trader.sol": {"Trader": compiled}}},
            {"contracts": {"trader.sol:Trader": {"abi": json.dumps(_ABI), "bin": "6001"}}},
        )
    ]


def _artifact(data: bytes) -> None:
    path = scratch.file("some.json", data)
    artifact = contract_artifact.load(path)
    again = scratch.file("some.json", json.dumps(artifact.to_json()).encode())
    if contract_artifact.load(again) != artifact:
        raise Finding("an artifact changes when it is written and read again")
    if contract_artifact.load_abi(path) != artifact.abi:
        raise Finding("an artifact has two ABIs")


def _function(data: bytes) -> None:
    entry = Entry.from_signature(data.decode("utf-8", "surrogateescape"))
    outputs = ",".join(each.type for each in entry.outputs)
    again = Entry.from_signature(f"{entry.signature}({outputs})")
    if (again.selector, len(again.outputs)) != (entry.selector, len(entry.outputs)):
        raise Finding("a function changes when it is written and read again")


def _arguments(data: bytes) -> None:
    """Lines, each an argument of a function that takes one of every kind."""
    texts = data.decode("utf-8", "surrogateescape").split("\n")
    parts = (Parameter("id", "uint64"), Parameter("x", "bytes"))
    parameters = (
        Parameter("to", "address"),
        Parameter("amount", "int128"),
        Parameter("flag", "bool"),
        Parameter("digest", "bytes32"),
        Parameter("words", "string[2]"),
        Parameter("rows", "(uint64,bytes)[]", components=parts),
    )
    read_arguments(parameters, texts, _resolve)


def _resolve(text: str, field: str) -> bytes:
    try:
        return parse_address(text, field)
    except DecodeError as error:
        raise Unusable(str(error)) from None


def _mainnet() -> list[bytes]:
    key = material.chain().community.accounts[0]
    return [
        sign_transaction(
            key, chain_id=1, nonce=1, to=material.RECEIVER, gas_limit=21_000, kind=kind
        )
        for kind in (0, 2)
    ]


def _mainnet_transaction(data: bytes) -> None:
    mainnet_transaction.read(data)


TARGETS: Final = (
    Target(
        name="contract-abi",
        covers=(ContractAbi.parse, Entry.decode_arguments, Entry.decode_results),
        run=_contract_abi,
        refuses=(BadFile,),
        seeds=_abis,
    ),
    Target(
        name="artifact",
        covers=(contract_artifact.load, contract_artifact.load_abi, contract_artifact.read_json),
        run=_artifact,
        refuses=(BadFile, Unusable),
        seeds=_artifacts,
    ),
    Target(
        name="function-text",
        covers=(Entry.from_signature,),
        run=_function,
        refuses=(DecodeError,),
        seeds=lambda: [b"balanceOf(address owner)(uint256)", b"f((uint64,bytes)[] rows)"],
        bytes_max=1024,
    ),
    Target(
        name="arguments",
        covers=(read_arguments,),
        run=_arguments,
        refuses=(Unusable,),
        seeds=lambda: [
            b"\n".join(
                (
                    b"0x" + b"ab" * 20,
                    b"-1_000e3",
                    b"True",
                    b"0x" + b"00" * 32,
                    b'["a", "b"]',
                    b'[[1, "0x"], {"id": "5e3", "x": "0xab"}]',
                )
            )
        ],
    ),
    Target(
        name="mainnet-transaction",
        covers=(mainnet_transaction.read,),
        run=_mainnet_transaction,
        refuses=(InvalidTransaction, mainnet_transaction.NotOnMainnet),
        seeds=_mainnet,
    ),
)
