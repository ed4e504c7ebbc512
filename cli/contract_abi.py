"""A contract's JSON ABI, read strictly, and what it makes of calldata, results, logs and reverts.

The file comes from a compiler or from a stranger (Solidity ABI specification, "JSON"). What is
shown to people and programs is plain JSON: `node.rpc.abi_json` says how values look.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from crypto import abi
from crypto.abi_event import EventAbi, Parameter, decode_event, parse_parameters
from crypto.errors import DecodeError
from node.rpc.abi_json import results_to_json
from node.rpc.errors import revert_reason
from testnet.errors import BadFile

ENTRIES_MAX = 4_096
NESTING_MAX = 8
_NAME = re.compile(r"[A-Za-z0-9_$]{0,256}")
_LEFT_OUT = ("fallback", "receive")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A function, a custom error, or a constructor (whose name is empty)."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...] = ()
    is_view: bool = False

    @property
    def input_types(self) -> tuple[str, ...]:
        return tuple(each.type for each in self.inputs)

    @property
    def signature(self) -> str:
        """Canonical: "transfer(address,uint256)"."""
        return f"{self.name}({','.join(self.input_types)})"

    @classmethod
    def from_signature(cls, text: str) -> "Entry":
        """Return the function that "balanceOf(address owner)(uint256)" names; no ABI is needed.

        Raises:
            DecodeError: not a name, a list of inputs and perhaps a list of outputs.
        """
        name, bracket, rest = text.partition("(")
        depth, at = 1, 0
        for at, char in enumerate(rest):  # noqa: B007  Where it stopped is the result.
            depth += (char == "(") - (char == ")")
            if depth == 0:
                break
        outputs = rest[at + 1 :]
        is_list = outputs.startswith("(") and outputs.endswith(")")
        if not bracket or depth or (outputs and not is_list):
            raise DecodeError(
                "FUNCTION", f"must be name(types) or name(types)(types), got {text!r}"
            )
        entry = cls(
            name=name,
            inputs=parse_parameters(rest[:at]),
            outputs=parse_parameters(outputs[1:-1]),
        )
        abi.selector(entry.signature)
        return entry

    @property
    def selector(self) -> bytes:
        """First 4 bytes of the calldata, or of the revert data."""
        return abi.selector(self.signature)

    def encode(self, values: Sequence[Any]) -> bytes:
        """Return the calldata; of a constructor, what follows the init code."""
        arguments = abi.encode(self.input_types, values)
        return self.selector + arguments if self.name else arguments

    def decode_arguments(self, data: bytes) -> Any:
        """Return the arguments behind the selector by name; raises DecodeError."""
        return _named(self.inputs, abi.decode(self.input_types, data))

    def decode_results(self, output: bytes) -> Any:
        """Return what a call returned as JSON; raises DecodeError."""
        types = tuple(each.type for each in self.outputs)
        return results_to_json(self.outputs, abi.decode(types, output, field=self.signature))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAbi:
    """What one contract understands and says."""

    functions: tuple[Entry, ...]
    events: Mapping[bytes, EventAbi]
    """By first topic; anonymous ones are left out."""
    errors: Mapping[bytes, Entry]
    """By selector."""
    constructor: Entry

    @classmethod
    def parse(cls, value: object, field: str) -> "ContractAbi":
        """Read a JSON ABI.

        Raises:
            BadFile: not one; names the entry.
        """
        entries = _list(value, field, ENTRIES_MAX)
        functions, constructor = [], Entry(name="", inputs=())
        events, errors = {}, {}
        for i, entry in enumerate(entries):
            name = f"{field}[{i}]"
            item = _object(entry, name)
            kind = item.get("type", "function")
            if kind == "function":
                functions.append(_entry(item, name))
            elif kind == "error":
                error = _entry(item, name)
                errors[error.selector] = error
            elif kind == "event":
                event = EventAbi(_text(item, "name", name), _parameters(item, "inputs", name))
                if item.get("anonymous") is not True:
                    events[_checked_topic(event, name)] = event
            elif kind == "constructor":
                constructor = Entry(name="", inputs=_parameters(item, "inputs", name))
            elif kind not in _LEFT_OUT:
                raise BadFile(f"{name}.type", f"is not known: {str(kind)[:32]!r}")
        return cls(
            functions=tuple(functions), events=events, errors=errors, constructor=constructor
        )

    def function(self, name: str) -> Entry:
        """Return the function with this name or signature; raises LookupError that lists them."""
        found = [each for each in self.functions if name in (each.name, each.signature)]
        if len(found) == 1:
            return found[0]
        if found:
            choice = ", ".join(each.signature for each in found)
            raise LookupError(f"{name!r} is ambiguous: {choice}")
        raise LookupError(f"there is no function {name!r}; there are {self._names()}")

    def _names(self) -> str:
        return ", ".join(sorted({each.name for each in self.functions})) or "none"

    def describe_call(self, data: bytes) -> tuple[Entry, Any] | None:
        """Return (function, arguments by name) of calldata, or None."""
        for entry in self.functions:
            if entry.selector == data[:4]:
                try:
                    return entry, entry.decode_arguments(data[4:])
                except DecodeError:
                    return None
        return None

    def describe_log(self, topics: Sequence[bytes], data: bytes) -> tuple[str, Any] | None:
        """Return (event's name, values by name), or None."""
        event = self.events.get(topics[0]) if topics else None
        if event is None:
            return None
        try:
            values = decode_event(_event_text(event), topics, data)
        except DecodeError:
            return None
        shown = [
            # A topic holds only the hash of a string or of bytes.
            Parameter(each.name, "bytes32") if each.is_indexed and _is_hashed(each.type) else each
            for each in event.inputs
        ]
        return event.name, _named(shown, values)

    def reason(self, output: bytes) -> str:
        """Return why a call reverted, from its revert data, in words."""
        known = revert_reason(output)
        if known:
            return known
        error = self.errors.get(output[:4])
        if error is not None:
            try:
                values = error.decode_arguments(output[4:])
            except DecodeError:
                return "0x" + output.hex()
            words = ", ".join(f"{name} {value}" for name, value in values.items())
            return f"{error.name}({words})"
        return "0x" + output.hex() if output else "no reason was given"


NOTHING = ContractAbi(functions=(), events={}, errors={}, constructor=Entry(name="", inputs=()))
"""Of a contract about which nothing is known."""


def _named(parameters: Sequence[Parameter], values: Sequence[Any]) -> dict[str, Any]:
    """Return plain values by name, or by place where there is no name."""
    return {
        each.name or str(place): results_to_json((each,), (value,))
        for place, (each, value) in enumerate(zip(parameters, values, strict=True))
    }


def _event_text(event: EventAbi) -> str:
    inputs = (f"{each.type}{' indexed' if each.is_indexed else ''}" for each in event.inputs)
    return f"{event.name}({','.join(inputs)})"


def _is_hashed(kind: str) -> bool:
    return kind in ("bytes", "string")


# Reading ------------------------------------------------------------------------------------------


def _entry(item: Mapping[str, Any], field: str) -> Entry:
    mutability = item.get("stateMutability")
    entry = Entry(
        name=_text(item, "name", field),
        inputs=_parameters(item, "inputs", field),
        outputs=_parameters(item, "outputs", field),
        is_view=mutability in ("view", "pure") or item.get("constant") is True,
    )
    try:
        abi.selector(entry.signature)
    except DecodeError as error:
        raise BadFile(f"{field}.name", str(error)) from None
    return entry


def _checked_topic(event: EventAbi, field: str) -> bytes:
    try:
        return abi.event_topic(event.signature)
    except DecodeError as error:
        raise BadFile(f"{field}.name", str(error)) from None


def _parameters(item: Mapping[str, Any], key: str, field: str) -> tuple[Parameter, ...]:
    return _each(item.get(key, []), f"{field}.{key}", NESTING_MAX)


def _each(value: object, field: str, depth: int) -> tuple[Parameter, ...]:
    if depth == 0:
        raise BadFile(field, f"must nest at most {NESTING_MAX} deep")
    return tuple(
        _parameter(_object(entry, f"{field}[{i}]"), f"{field}[{i}]", depth)
        for i, entry in enumerate(_list(value, field, ENTRIES_MAX))
    )


def _parameter(item: Mapping[str, Any], field: str, depth: int) -> Parameter:
    name = item.get("name", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadFile(f"{field}.name", "must be an identifier, or empty")
    kind = _text(item, "type", field)
    components: tuple[Parameter, ...] = ()
    if kind.startswith("tuple"):
        components = _each(item.get("components"), f"{field}.components", depth - 1)
        kind = f"({','.join(each.type for each in components)}){kind.removeprefix('tuple')}"
    try:
        abi.parse_type(kind)
    except DecodeError as error:
        raise BadFile(f"{field}.type", str(error)) from None
    return Parameter(name, kind, item.get("indexed") is True, components)


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadFile(field, "must be an object")
    return value


def _list(value: object, field: str, length_max: int) -> list[Any]:
    if not isinstance(value, list):
        raise BadFile(field, "must be a list")
    if len(value) > length_max:
        raise BadFile(field, f"must have at most {length_max} items, got {len(value)}")
    return value


def _text(item: Mapping[str, Any], key: str, field: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise BadFile(f"{field}.{key}", "must be text")
    return value
