"""The native contracts' published interfaces: JSON ABI, Solidity and Vyper, from one table.

The table is `market.abi`, which a test compares with the contracts; what stands above a function
is the docstring of the method that does the work. `hearth contract abi` prints these texts, and
those in docs/interfaces are the same.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from crypto import abi
from crypto.abi_event import Parameter, parse_event, parse_parameters
from crypto.community_box import BOX_BYTES, POINT_BYTES, PROOF_BYTES
from crypto.keys import checksum_address
from crypto.node_certificate import CERTIFICATE_BYTES
from market.abi import (
    ACCOUNT_SIGNATURE_BYTES,
    ADDRESSES,
    AGENTS_PER_HOUSEHOLD_MAX,
    CONDITIONS_BYTES_MAX,
    ENDPOINT_CHARS_MAX,
    EVENTS,
    EVIDENCE_BYTES_MAX,
    FUNCTIONS,
    MEMBER_NAME_CHARS_MAX,
    METER_ID_CHARS_MAX,
    RING_PROOF_BYTES,
    SEALED_HOUSEHOLD_BYTES_MAX,
    WALLET_BYTES,
    Function,
)
from node.natives import NATIVES
from vm.members import MEMBERS_MAX, NODE_KEY_BYTES

SOLIDITY_VERSION = "^0.8.0"
VYPER_VERSION = "^0.4.0"
ROWS_MAX = 256
"""Vyper's lists have a bound, and a call pays for the memory of the whole: a longer list that a
view returns makes the call fail there. Solidity's lists have none."""

_SOLIDITY_RESERVED = frozenset({"reference"})
_VYPER_RESERVED = frozenset({"from", "value"})
_BOUNDS = {
    "acceptance": ACCOUNT_SIGNATURE_BYTES,
    "accountSignature": ACCOUNT_SIGNATURE_BYTES,
    "agents": AGENTS_PER_HOUSEHOLD_MAX,
    "boxes": POINT_BYTES + MEMBERS_MAX * (NODE_KEY_BYTES + BOX_BYTES),
    "certificate": CERTIFICATE_BYTES,
    "conditions": CONDITIONS_BYTES_MAX,
    "consent": ACCOUNT_SIGNATURE_BYTES,
    "endpoint": ENDPOINT_CHARS_MAX,
    "evidence": EVIDENCE_BYTES_MAX,
    "extensions": 1,  # Always empty (EIP-5267).
    "keys": MEMBERS_MAX,
    "meterId": METER_ID_CHARS_MAX,
    "name": MEMBER_NAME_CHARS_MAX,
    "nodeSignature": 64,
    "proof": PROOF_BYTES,
    "ringProof": RING_PROOF_BYTES,
    "sealedHousehold": SEALED_HOUSEHOLD_BYTES_MAX,
    "value": 32,  # Of a token: its name or symbol.
    "version": 32,
    "wallet": WALLET_BYTES,
}
"""Parameter name to the most bytes, characters or items that it has, for Vyper."""

_NATIVES = {each.ADDRESS: each for each in NATIVES}


def inputs_of(function: Function) -> tuple[Parameter, ...]:
    """Return the arguments of a function with their names."""
    return parse_parameters(function.inputs)


def outputs_of(function: Function) -> tuple[Parameter, ...]:
    """Return what a function returns, with the names of values and of the fields of rows."""
    return parse_parameters(function.outputs)


# JSON ---------------------------------------------------------------------------------------------


def json_abi(contract: str) -> list[dict[str, Any]]:
    """Return the contract's ABI as every Ethereum tool reads it: functions, then events."""
    functions = [
        {
            "type": "function",
            "name": function.name,
            "stateMutability": _mutability(function),
            "inputs": [each.to_json() for each in inputs_of(function)],
            "outputs": [_row_to_json(contract, function, each) for each in outputs_of(function)],
        }
        for function in FUNCTIONS[contract].values()
    ]
    return functions + [parse_event(event.SIGNATURE).to_json() for event in EVENTS[contract]]


def _row_to_json(contract: str, function: Function, output: Parameter) -> dict[str, Any]:
    made = output.to_json()
    if function.row:  # Code generators name their types by it.
        made["internalType"] = f"struct I{contract}.{function.row}[]"
    return made


def json_text(contract: str) -> str:
    """Return `json_abi` as a file."""
    return json.dumps(json_abi(contract), indent=1) + "\n"


def _mutability(function: Function) -> str:
    return "view" if function.is_view else "nonpayable"


def _docstring(contract: str, function: Function) -> str:
    method = _NATIVES[ADDRESSES[contract]].abi[abi.selector(function.signature)]
    return inspect.getdoc(method.function) or ""


def _comment(text: str, mark: str, indent: str = "    ") -> Iterator[str]:
    for line in text.splitlines():
        yield f"{indent}{mark} {line}".rstrip()


def _rows(contract: str) -> dict[str, tuple[Parameter, ...]]:
    """Return the structs: name to fields, in the order of the functions that return them."""
    named = [each for each in FUNCTIONS[contract].values() if each.row]
    return {each.row: outputs_of(each)[0].components for each in named}


# Solidity -----------------------------------------------------------------------------------------


def solidity(contract: str) -> str:
    """Return `interface IContract` and a constant of its address, as a Solidity file."""
    lines = [
        "// SPDX-License-Identifier: UNLICENSED",
        f"pragma solidity {SOLIDITY_VERSION};",
        "",
        f"/// Native contract {contract} of every Hearth chain.",
        f"/// Made by `hearth contract abi {contract} --format sol`.",
        f"interface I{contract} {{",
    ]
    for name, fields in _rows(contract).items():
        lines += [f"    struct {name} {{"]
        lines += [f"        {each.type} {_sol_name(each.name)};" for each in fields]
        lines += ["    }", ""]
    for event in EVENTS[contract]:
        parsed = parse_event(event.SIGNATURE)
        inputs = (
            f"{each.type}{' indexed' if each.is_indexed else ''} {_sol_name(each.name)}"
            for each in parsed.inputs
        )
        lines += [*_comment(inspect.getdoc(event) or "", "///")]
        lines += [*_wrapped(f"    event {parsed.name}", inputs, ";"), ""]
    for function in FUNCTIONS[contract].values():
        lines += [*_comment(_docstring(contract, function), "///")]
        lines += [*_sol_function(function), ""]
    address = checksum_address(ADDRESSES[contract])
    constant = f"I{contract} constant {_constant(contract)} = I{contract}({address});"
    return "\n".join([*lines[:-1], "}", "", constant, ""])


def _sol_function(function: Function) -> Iterator[str]:
    inputs = [_sol_parameter(each, function.row, "calldata") for each in inputs_of(function)]
    taken = {each.name for each in inputs_of(function)}
    results = (
        replace(each, name=each.name + "_") if each.name in taken else each
        for each in outputs_of(function)
    )
    outputs = [_sol_parameter(each, function.row, "memory") for each in results]
    view = " view" if function.is_view else ""
    if not outputs:
        yield from _wrapped(f"    function {function.name}", iter(inputs), f" external{view};")
        return
    head = list(_wrapped(f"    function {function.name}", iter(inputs), f" external{view}"))
    yield from head[:-1]
    yield from _wrapped(f"{head[-1]} returns ", iter(outputs), ";")


def _sol_parameter(parameter: Parameter, row: str, place: str) -> str:
    kind = parameter.type
    if parameter.components:
        kind = row + "[]"
    is_reference = kind.endswith("]") or kind in ("bytes", "string")
    name = _sol_name(parameter.name)
    return " ".join(part for part in (kind, place if is_reference else "", name) if part)


def _sol_name(name: str) -> str:
    return name + "_" if name in _SOLIDITY_RESERVED else name


def _constant(contract: str) -> str:
    """Return "EnergyToken" as "ENERGY_TOKEN"."""
    return "".join("_" + c if c.isupper() and at else c for at, c in enumerate(contract)).upper()


def _wrapped(head: str, parts: Iterator[str], tail: str) -> Iterator[str]:
    """Yield `head(parts)tail` on one line where it fits, otherwise with a part a line."""
    items = list(parts)
    line = f"{head}({', '.join(items)}){tail}"
    if len(line) <= 100:
        yield line
        return
    yield f"{head}("
    for item in items[:-1]:
        yield f"        {item},"
    yield f"        {items[-1]}"
    yield f"    ){tail}"


# Vyper --------------------------------------------------------------------------------------------


def vyper(contract: str) -> str:
    """Return the interface as a .vyi file, which a contract imports as `IContract`."""
    lines = [
        f"# pragma version {VYPER_VERSION}",
        f"# Native contract {contract} of every Hearth chain, at",
        f"# {checksum_address(ADDRESSES[contract])}.",
        f"# Made by `hearth contract abi {contract} --format vyi`.",
        "",
    ]
    for name, fields in _rows(contract).items():
        lines += [f"struct {name}:"]
        lines += [f"    {_vy_name(each.name)}: {_vy_type(each, '')}" for each in fields]
        lines += ["", ""]
    for event in EVENTS[contract]:
        lines += [*_vy_event(event.SIGNATURE), "", ""]
    for function in FUNCTIONS[contract].values():
        lines += [*_comment(_docstring(contract, function), "#", "")]
        lines += [*_vy_function(function), "", ""]
    return "\n".join(lines[:-1])


def _vy_event(signature: str) -> Iterator[str]:
    parsed = parse_event(signature)
    yield f"event {parsed.name}:"
    for each in parsed.inputs:
        kind = _vy_type(each, "")
        yield f"    {_vy_name(each.name)}: {f'indexed({kind})' if each.is_indexed else kind}"


def _vy_function(function: Function) -> Iterator[str]:
    yield "@external"
    yield "@view" if function.is_view else "@nonpayable"
    inputs = ", ".join(
        f"{_vy_name(each.name)}: {_vy_type(each, function.row)}" for each in inputs_of(function)
    )
    outputs = [_vy_type(each, function.row) for each in outputs_of(function)]
    result = f" -> {outputs[0]}" if len(outputs) == 1 else f" -> ({', '.join(outputs)})"
    yield f"def {function.name}({inputs}){result if outputs else ''}: ..."


def _vy_type(parameter: Parameter, row: str) -> str:
    bound = _BOUNDS.get(parameter.name, ROWS_MAX)
    if parameter.components:
        return f"DynArray[{row}, {ROWS_MAX}]"
    if parameter.type.endswith("[]"):
        return f"DynArray[{parameter.type[:-2]}, {bound}]"
    if parameter.type in ("bytes", "string"):
        return f"{parameter.type.capitalize()}[{_BOUNDS[parameter.name]}]"
    return parameter.type


def _vy_name(name: str) -> str:
    return name + "_" if name in _VYPER_RESERVED else name


FORMATS: dict[str, Callable[[str], str]] = {"json": json_text, "sol": solidity, "vyi": vyper}
"""Suffix of a file to what makes its text from a contract's name."""


def files() -> dict[str, str]:
    """Return the published files: name ("IMarket.sol") to text, for every native contract."""
    return {
        f"I{contract}.{suffix}": render(contract)
        for contract in ADDRESSES
        for suffix, render in FORMATS.items()
    }
