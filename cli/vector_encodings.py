"""Ethereum's small suites: RLP, ABI arguments, and Web3 Secret Storage."""

import json
from functools import partial
from typing import Any, assert_never

from cli.vector_outcome import Cases, Mismatch, expect, shown, unhex
from crypto import abi, rlp
from crypto.errors import DecodeError
from crypto.web3_keystore import open_web3_keystore

_RLP_BYTES_MAX = 1 << 24
_BIG_INTEGER = "#"
"""Before the decimal digits of an integer that JSON readers would round."""


def rlp_tests(content: dict[str, Any]) -> Cases:
    """`{name: {in, out}}`: a value and its encoding, or the word VALID or INVALID and bytes."""
    for name, entry in content.items():
        yield name, partial(_rlp_says, entry["in"], unhex(entry["out"]))


def _rlp_says(value: Any, encoded: bytes) -> bool:
    if value == "INVALID":
        try:
            item = _rlp_decode(encoded)
        except DecodeError:
            return True
        raise Mismatch(f"expected a refusal, got {shown(item)}")
    if value == "VALID":
        return expect(encoded_again=(encoded, rlp.encode(_rlp_decode(encoded))))
    item = _rlp_item(value)
    return expect(encoded=(encoded, rlp.encode(item)), decoded=(item, _rlp_decode(encoded)))


def _rlp_decode(encoded: bytes) -> rlp.Item:
    return rlp.decode(encoded, field="out", max_bytes=_RLP_BYTES_MAX)


def _rlp_item(value: Any) -> rlp.Item:
    match value:
        case bool():
            raise TypeError("RLP has no booleans")
        case int():
            return rlp.encode_int(value)
        case str() if value.startswith(_BIG_INTEGER):
            return rlp.encode_int(int(value.removeprefix(_BIG_INTEGER)))
        case str():
            return value.encode("utf-8")
        case list():
            return [_rlp_item(inner) for inner in value]
        case _:
            raise TypeError(f"RLP has no {type(value).__name__}")


def abi_tests(content: dict[str, Any]) -> Cases:
    """`{name: {types, args, result}}`: arguments of a function and their encoding."""
    for name, entry in content.items():
        yield name, partial(_abi_says, entry["types"], entry["args"], unhex(entry["result"]))


def _abi_says(types: list[str], args: list[Any], encoded: bytes) -> bool:
    values = [_abi_value(abi.parse_type(text), arg) for text, arg in zip(types, args, strict=True)]
    return expect(
        encoded=(encoded, abi.encode(types, values)),
        decoded=(values, abi.decode(types, encoded)),
    )


def _abi_value(kind: abi.AbiType, arg: Any) -> Any:
    """Return what JSON says in place of bytes: hex digits after 0x, else the letters themselves."""
    match kind:
        case abi.Word():
            takes_bytes = kind.name == "address" or kind.name.startswith("bytes")
            return _abi_bytes(arg) if takes_bytes else arg
        case abi.Blob():
            return arg if kind.is_text else _abi_bytes(arg)
        case abi.Array():
            return [_abi_value(kind.item, inner) for inner in arg]
        case abi.Tuple():
            return tuple(_abi_value(i, inner) for i, inner in zip(kind.items, arg, strict=True))
    assert_never(kind)


def _abi_bytes(text: str) -> bytes:
    return unhex(text) if text.startswith("0x") else text.encode("utf-8")


def keystore_tests(content: dict[str, Any]) -> Cases:
    """`{name: {json, password, priv}}`: a wallet's key file, what opens it, and what is in it."""
    for name, entry in content.items():
        yield name, partial(_keystore_says, entry)


def _keystore_says(entry: dict[str, Any]) -> bool:
    key = open_web3_keystore(json.dumps(entry["json"]).encode(), entry["password"])
    return expect(private_key=(unhex(entry["priv"]), key.secret))
