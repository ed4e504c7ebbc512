"""What a method takes and gives: its arity is checked by it, and its documentation made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from node.rpc.dispatch import Handler, Method
from node.rpc.schemas import Schema


@final
@dataclass(frozen=True, slots=True)
class Param:
    """A positional argument."""

    name: str
    schema: Schema
    is_required: bool = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A method as a caller sees it."""

    summary: str
    params: Sequence[Param] = ()
    result: Schema
    needs_token: bool = False
    is_socket: bool = False
    """Only over WebSocket: it belongs to a connection."""

    def __post_init__(self) -> None:
        flags = [param.is_required for param in self.params]
        assert flags == sorted(flags, reverse=True), "required arguments come first"

    @property
    def required(self) -> int:
        """How many arguments must be there."""
        return sum(param.is_required for param in self.params)

    @property
    def optional(self) -> int:
        """How many more there may be."""
        return len(self.params) - self.required


def need(name: str, schema: Schema) -> Param:
    """Return an argument that must be there."""
    return Param(name, schema)


def may(name: str, schema: Schema) -> Param:
    """Return an argument that may be left out."""
    return Param(name, schema, is_required=False)


def bind(handlers: Mapping[str, Handler], signatures: Mapping[str, Signature]) -> dict[str, Method]:
    """Return the methods by name; every handler has a signature, or this is a bug."""
    methods = {}
    for name, handler in handlers.items():
        signature = signatures[name]
        methods[name] = Method(
            handler=handler,
            required=signature.required,
            optional=signature.optional,
            needs_token=signature.needs_token,
        )
    return methods
