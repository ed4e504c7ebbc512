"""Arguments from the command line: texts to ABI values, with errors that name the argument."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cli.errors import Unusable
from crypto.abi_event import Parameter
from node.rpc.abi_json import arguments_from_json
from node.rpc.values import BadValue

TEXT_CHARS_MAX = 256 << 10
"""Of one argument: twice the hex digits that a transaction's data can hold."""
_NUMBER = re.compile(r"(-?[0-9]{1,40}(?:_[0-9]{1,40}){0,40})(?:e([0-9]{1,2}))?")

Resolve = Callable[[str, str], bytes]
"""(text, field) to the address that is meant; raises Unusable."""


def read_arguments(
    parameters: Sequence[Parameter], texts: Sequence[str], resolve: Resolve
) -> list[Any]:
    """Return one ABI value for each parameter.

    Integers are decimal ("1_000", "5e8") or 0x-hex, bytes 0x-hex, bool "true" or "false", an
    address 0x-hex or a name; arrays and tuples are JSON, tuples also by name.

    Args:
        parameters: of the function.
        texts: as typed, one for each.
        resolve: knows the names of addresses.

    Raises:
        Unusable: names the argument that is missing, too much or not of its type.
    """
    if len(texts) != len(parameters):
        wanted = ", ".join(f"{each.type} {each.name}".strip() for each in parameters) or "none"
        raise Unusable(f"ARGS: got {len(texts)}, the function takes {len(parameters)}: {wanted}")
    values = []
    for place, (parameter, text) in enumerate(zip(parameters, texts, strict=True), 1):
        named = replace(parameter, name=parameter.name or f"argument {place}")
        if len(text) > TEXT_CHARS_MAX:
            raise Unusable(f"{named.name}: must be at most {TEXT_CHARS_MAX} characters")
        value = _structure(named, text, resolve)
        try:
            values += arguments_from_json((named,), [value])
        except BadValue as error:
            message = str(error).removeprefix("args.")
            raise Unusable(f"{message} ({parameter.type})") from None
    return values


def _structure(parameter: Parameter, text: str, resolve: Resolve) -> Any:
    """Return what `arguments_from_json` takes."""
    if not parameter.type.endswith("]") and not parameter.components:
        return _word(parameter.type, text, parameter.name, resolve)
    try:
        value = json.loads(text, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{parameter.name}: must be JSON for {parameter.type}: {error}") from None
    return _inside(parameter, parameter.type, value, resolve)


def _inside(parameter: Parameter, kind: str, value: Any, resolve: Resolve) -> Any:
    """Put addresses and integers in the place of their names and short forms, at any depth."""
    if kind.endswith("]") and isinstance(value, list):
        item = kind[: kind.rindex("[")]
        return [_inside(parameter, item, each, resolve) for each in value]
    components = parameter.components
    if components and isinstance(value, dict):
        kinds = {each.name: each for each in components}
        return {
            name: _inside(kinds[name], kinds[name].type, each, resolve) if name in kinds else each
            for name, each in value.items()
        }
    if components and isinstance(value, list) and len(value) == len(components):
        pairs = zip(components, value, strict=True)
        return [_inside(each, each.type, item, resolve) for each, item in pairs]
    if isinstance(value, str) and kind != "bool":
        return _word(kind, value, parameter.name, resolve)
    return value


def _word(kind: str, text: str, name: str, resolve: Resolve) -> Any:
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise Unusable(f"{name}: must be true or false, got {text[:64]!r}")
        return text.lower() == "true"
    if kind == "address":
        return "0x" + resolve(text, name).hex()
    if kind.startswith(("uint", "int")):
        return _integer(text)
    return text


def _integer(text: str) -> str:
    """Return the plain decimal text of "1_000" and "5e8"; other texts are judged later."""
    match = _NUMBER.fullmatch(text)
    return str(int(match[1]) * 10 ** int(match[2] or 0)) if match else text
