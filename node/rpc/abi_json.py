"""Solidity values as plain JSON, by a contract's own ABI: for people and programs without one.

Integers are JSON numbers up to 2**53 - 1 and decimal text above (JavaScript would round them);
bytes and addresses are 0x-hex; tuples are objects where all their items have names.
"""

import re
from collections.abc import Sequence
from typing import Any

from crypto.abi_event import Parameter
from crypto.keys import checksum_address
from node.rpc.values import BadValue, Json, Out, read_data, read_list, to_data

SAFE_INTEGER = 2**53 - 1
ITEMS_MAX = 4_096
_TEXT_MAX = 64 << 10
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,77})")
_ARRAY = re.compile(r"(.+)\[([0-9]*)\]", re.DOTALL)


def arguments_from_json(inputs: Sequence[Parameter], values: Json) -> list[Any]:
    """Return a method's arguments: an array in order, or an object by name.

    Raises:
        BadValue: names the argument.
    """
    return _items_from_json(inputs, [] if values is None else values, "args")


def results_to_json(outputs: Sequence[Parameter], values: Sequence[Any]) -> Out:
    """Return a method's result: the value itself if it is one, otherwise an array or object."""
    if not outputs:
        return None
    if len(outputs) == 1:
        return _to_json(outputs[0].type, outputs[0].components, values[0])
    return _items_to_json(outputs, values)


def _items_from_json(parameters: Sequence[Parameter], values: Json, field: str) -> list[Any]:
    if isinstance(values, dict):
        names = [parameter.name for parameter in parameters]
        for name in values:
            if name not in names:
                raise BadValue(f"{field}.{name[:64]}: is not known")
        for name in names:
            if name not in values:
                raise BadValue(f"{field}.{name}: is missing")
        values = [values[name] for name in names]
    items = read_list(values, field, ITEMS_MAX)
    if len(items) != len(parameters):
        raise BadValue(f"{field}: must have {len(parameters)} items, got {len(items)}")
    return [
        _from_json(each.type, each.components, item, f"{field}.{each.name or place}")
        for place, (each, item) in enumerate(zip(parameters, items, strict=True))
    ]


def _from_json(kind: str, components: Sequence[Parameter], value: Json, field: str) -> Any:
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        items = read_list(value, field, ITEMS_MAX)
        if array[2] and len(items) != int(array[2]):
            raise BadValue(f"{field}: must have {array[2]} items, got {len(items)}")
        return [
            _from_json(array[1], components, item, f"{field}[{place}]")
            for place, item in enumerate(items)
        ]
    if components:
        return tuple(_items_from_json(components, value, field))
    if kind == "bool":
        if type(value) is not bool:
            raise BadValue(f"{field}: must be true or false")
        return value
    if kind == "string":
        return _text(value, field)
    if kind.startswith(("uint", "int")):
        return _integer(kind, value, field)
    length = 20 if kind == "address" else int(kind[5:]) if kind != "bytes" else None
    return read_data(value, field, length=length)


def _text(value: Json, field: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise BadValue(f"{field}: must be text of at most {_TEXT_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{field}: must be encodable as UTF-8") from None
    return value


def _integer(kind: str, value: Json, field: str) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    elif isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value):
        value = int(value, 16)
    if type(value) is not int:
        raise BadValue(f"{field}: must be an integer, or its decimal or 0x-hex text")
    signed = kind.startswith("int")
    bits = int(kind.removeprefix("u").removeprefix("int"))
    lo = -(1 << (bits - 1)) if signed else 0
    hi = (1 << (bits - signed)) - 1
    if not lo <= value <= hi:
        raise BadValue(f"{field}: must be a {kind}, got {str(value)[:80]}")
    return value


def _items_to_json(parameters: Sequence[Parameter], values: Sequence[Any]) -> Out:
    items = [
        _to_json(each.type, each.components, value)
        for each, value in zip(parameters, values, strict=True)
    ]
    names = [parameter.name for parameter in parameters]
    if all(names):
        return dict(zip(names, items, strict=True))
    return items


def _to_json(kind: str, components: Sequence[Parameter], value: Any) -> Out:
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        return [_to_json(array[1], components, item) for item in value]
    if components:
        return _items_to_json(components, value)
    if kind == "address":
        return checksum_address(value)
    if isinstance(value, bytes):
        return to_data(value)
    if type(value) is int and abs(value) > SAFE_INTEGER:
        return str(value)
    shown: Out = value
    return shown
