"""Solidity events: their text, topics and data (Solidity ABI specification, "Events").

An event is declared as in Solidity: "Transfer(address indexed from,address indexed to,uint256
value)". Also here: parameter lists with names, from which JSON ABIs are made.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias, final

from crypto import abi
from crypto.errors import DecodeError, EncodeError
from crypto.hashing import DIGEST_BYTES, keccak256

INDEXED_MAX = 3
"""Four topics in all; the first is the event's own."""

_ADDRESS_BYTES = 20
_ADDRESS_PADDING = bytes(abi.WORD_BYTES - _ADDRESS_BYTES)
_UINT256_MAX = 2**256 - 1
_NAME = r"[A-Za-z_$][A-Za-z0-9_$]*"
_EVENT = re.compile(rf"({_NAME})\((.*)\)", re.DOTALL)
_PARAMETER = re.compile(
    rf"(\(.*\)|[a-z0-9]+)((?:\[[0-9]*\])*)( indexed)?(?: ({_NAME}))?", re.DOTALL
)


@final
@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function or event."""

    name: str
    """Empty where the text gives none."""
    type: str
    """Canonical, without names: "(uint64,address)[]"."""
    is_indexed: bool = False
    components: tuple["Parameter", ...] = ()
    """The items, where the type is a tuple or an array of tuples."""

    def to_json(self) -> dict[str, Any]:
        """Return the parameter as an entry of a JSON ABI (without "indexed")."""
        if not self.components:
            return {"name": self.name, "type": self.type}
        suffix = self.type[self.type.rindex(")") + 1 :]
        items = [component.to_json() for component in self.components]
        return {"name": self.name, "type": "tuple" + suffix, "components": items}


@final
@dataclass(frozen=True, slots=True)
class EventAbi:
    """An event's name and parameters, in the order of its declaration."""

    name: str
    inputs: tuple[Parameter, ...]

    @property
    def signature(self) -> str:
        """The canonical signature, whose Keccak-256 is the first topic."""
        return f"{self.name}({','.join(parameter.type for parameter in self.inputs)})"

    def to_json(self) -> dict[str, Any]:
        """Return the event as an entry of a JSON ABI."""
        inputs = [{**each.to_json(), "indexed": each.is_indexed} for each in self.inputs]
        return {"type": "event", "name": self.name, "anonymous": False, "inputs": inputs}


@lru_cache(maxsize=1024)
def parse_parameters(text: str) -> tuple[Parameter, ...]:
    """Return the parameters that `text` lists: "address indexed from,(uint64 id,bytes32 h)[] b".

    Raises:
        DecodeError: not a list of types with optional names.
    """
    return tuple(_parse_parameter(part) for part in _split(text)) if text else ()


def _split(text: str) -> list[str]:
    """Return the parts of `text` between the commas that stand in no parenthesis."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _parse_parameter(text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text.strip())
    if match is None:
        raise DecodeError("parameter", f"must be a type and a name, got {text[:64]!r}")
    base, suffix, indexed, name = match.groups()
    components: tuple[Parameter, ...] = ()
    if base.startswith("("):
        components = parse_parameters(base[1:-1])
        base = f"({','.join(component.type for component in components)})"
    kind = abi.parse_type(base + suffix).name
    return Parameter(name or "", kind, indexed is not None, components)


@lru_cache(maxsize=1024)
def parse_event(signature: str) -> EventAbi:
    """Return the event that `signature` declares.

    Raises:
        DecodeError: not an event's text, more than 3 indexed parameters, or an indexed array or
            tuple, of which a topic would hold only a hash of an encoding of its own.
    """
    match = _EVENT.fullmatch(signature)
    if match is None:
        raise DecodeError("event", f'must be "Name(type name,…)", got {signature[:64]!r}')
    inputs = parse_parameters(match[2])
    indexed = [parameter for parameter in inputs if parameter.is_indexed]
    if len(indexed) > INDEXED_MAX:
        raise DecodeError("event", f"at most {INDEXED_MAX} indexed parameters, got {len(indexed)}")
    for parameter in indexed:
        if not isinstance(abi.parse_type(parameter.type), abi.Word | abi.Blob):
            raise DecodeError("event", f"{parameter.type} must not be indexed")
    return EventAbi(match[1], inputs)


@final
@dataclass(frozen=True, slots=True)
class _Plan:
    """How to encode an event, worked out once for each signature."""

    topic: bytes
    count: int
    indexed: tuple[tuple[int, Callable[[Any], bytes]], ...]
    """Position among the values, and value to topic."""
    data: tuple[int, ...]
    data_types: tuple[str, ...]
    words: tuple[Callable[[Any], bytes], ...] | None
    """One writer for each value in the data, where all are words: the fast path."""


@lru_cache(maxsize=1024)
def _plan(signature: str) -> _Plan:
    event = parse_event(signature)
    writers = []
    for position, parameter in enumerate(event.inputs):
        if parameter.is_indexed:
            kind = abi.parse_type(parameter.type)
            writers.append((position, kind.write if isinstance(kind, abi.Word) else _hash_blob))
    data = [at for at, parameter in enumerate(event.inputs) if not parameter.is_indexed]
    kinds = [abi.parse_type(event.inputs[at].type) for at in data]
    words = [kind.write for kind in kinds if isinstance(kind, abi.Word)]
    return _Plan(
        topic=abi.event_topic(event.signature),
        count=len(event.inputs),
        indexed=tuple(writers),
        data=tuple(data),
        data_types=tuple(kind.name for kind in kinds),
        words=tuple(words) if len(words) == len(kinds) else None,
    )


def _hash_blob(value: Any) -> bytes:
    """Return the topic of an indexed `bytes` or `string`: the hash of its content."""
    if not isinstance(value, bytes | str):
        raise EncodeError(f"expected bytes or text, got {type(value).__name__}")
    return keccak256(value.encode() if isinstance(value, str) else value)


def encode_event(signature: str, values: Sequence[Any]) -> tuple[tuple[bytes, ...], bytes]:
    """Return (topics, data) of an event with `values` in the order of its declaration.

    Raises:
        EncodeError: a value does not fit its type, or there are too few or too many.
    """
    return event_encoder(signature)(values)


EncodedEvent: TypeAlias = tuple[tuple[bytes, ...], bytes]
"""(topics, data)."""


@lru_cache(maxsize=1024)
def event_encoder(signature: str) -> Callable[[Sequence[Any]], EncodedEvent]:
    """Return `encode_event` for one event: contracts emit the same few over and over."""
    plan = _plan(signature)
    general = partial(_encode, plan, signature)
    inputs = [(parameter.type, parameter.is_indexed) for parameter in parse_event(signature).inputs]
    if inputs != [("address", True), ("address", True), ("uint256", False)]:
        return general
    topic = plan.topic

    def usual(values: Sequence[Any]) -> EncodedEvent:
        # Two parties and an amount, as the events of tokens: the same in one step.
        if len(values) == 3:
            first, second, amount = values
            if (
                type(first) is type(second) is bytes
                and len(first) == len(second) == _ADDRESS_BYTES
                and type(amount) is int
                and 0 <= amount <= _UINT256_MAX
            ):
                topics = (topic, _ADDRESS_PADDING + first, _ADDRESS_PADDING + second)
                return topics, amount.to_bytes(abi.WORD_BYTES, "big")
        return general(values)

    return usual


def _encode(plan: _Plan, signature: str, values: Sequence[Any]) -> EncodedEvent:
    if len(values) != plan.count:
        raise EncodeError(f"{signature} takes {plan.count} values, got {len(values)}")
    topics = (plan.topic, *[write(values[at]) for at, write in plan.indexed])
    if plan.words is not None:
        pairs = zip(plan.words, plan.data, strict=True)
        return topics, b"".join([write(values[at]) for write, at in pairs])
    return topics, abi.encode(plan.data_types, [values[at] for at in plan.data])


def decode_event(signature: str, topics: Sequence[bytes], data: bytes) -> list[Any]:
    """Return the values of an event in the order of its declaration.

    An indexed `bytes` or `string` comes back as the hash that its topic holds.

    Raises:
        DecodeError: another event's topics, or bytes that `encode_event` does not give.
    """
    plan, inputs = _plan(signature), parse_event(signature).inputs
    if len(topics) != 1 + len(plan.indexed) or topics[0] != plan.topic:
        raise DecodeError("event.topics", f"are not those of {signature}")
    values: list[Any] = [None] * plan.count
    for (at, write), topic in zip(plan.indexed, topics[1:], strict=True):
        name = f"event.{inputs[at].name}"
        if write is not _hash_blob:
            values[at] = abi.decode((inputs[at].type,), topic, field=name)[0]
        elif len(topic) == DIGEST_BYTES:
            values[at] = topic
        else:
            raise DecodeError(name, f"must be {DIGEST_BYTES} bytes, got {len(topic)}")
    decoded = abi.decode(plan.data_types, data, field="event.data")
    for at, value in zip(plan.data, decoded, strict=True):
        values[at] = value
    return values
