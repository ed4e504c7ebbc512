"""Native contracts: Python classes behind a Solidity ABI, executed by every replica.

A contract holds no state of its own; everything is in `ctx`. Its ABI is read from the
signatures of its methods, so the two cannot drift apart:

    class Counter(NativeContract):
        ADDRESS, NAME = bytes.fromhex("…"), "Counter"
        EVENTS = (Counted,)

        @external(gas=METHOD)
        def count_up(self, ctx: CallContext, step: U64) -> U64: ...   # countUp(uint64)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import (
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    ParamSpec,
    TypeVar,
    final,
    get_args,
    get_origin,
    get_type_hints,
)

from crypto import abi
from crypto.abi_event import Parameter, parse_event, parse_parameters
from crypto.errors import DecodeError
from vm import gas as prices
from vm.context import CallContext, Event, Run
from vm.errors import GenesisError, Revert
from vm.genesis import GenesisMember, Params
from vm.members import NextMembers

__all__ = [
    "SENTINEL_CODE",
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "U256",
    "Abi",
    "Address",
    "Bool",
    "Bytes",
    "Bytes4",
    "Bytes32",
    "CallContext",
    "Event",
    "Method",
    "NativeContract",
    "Params",
    "Str",
    "external",
    "view",
]

SENTINEL_CODE = bytes.fromhex("60006000fd")
"""What `eth_getCode` shows at a native address: Solidity refuses to call one without code."""

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="NativeContract")


@final
@dataclass(frozen=True, slots=True)
class Abi:
    """Annotation: the Solidity type of a parameter or result, "(uint64 id,address seller)[]"."""

    text: str


U8 = Annotated[int, Abi("uint8")]
U16 = Annotated[int, Abi("uint16")]
U32 = Annotated[int, Abi("uint32")]
U64 = Annotated[int, Abi("uint64")]
U128 = Annotated[int, Abi("uint128")]
U256 = Annotated[int, Abi("uint256")]
Address = Annotated[bytes, Abi("address")]
Bytes4 = Annotated[bytes, Abi("bytes4")]
Bytes32 = Annotated[bytes, Abi("bytes32")]
Bytes = Annotated[bytes, Abi("bytes")]
Str = Annotated[str, Abi("string")]
Bool = Annotated[bool, Abi("bool")]


@final
@dataclass(frozen=True, slots=True)
class _Mark:
    """What a decorator leaves on a method."""

    name: str | None
    gas: int
    is_view: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One entry of a contract's ABI."""

    name: str
    gas: int
    """Base price; storage, events, calldata and output come on top."""
    is_view: bool
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    input_types: tuple[str, ...]
    words_bytes: int
    """Of the calldata if all inputs are words, 0 if not."""
    read_words: Callable[[bytes], Sequence[Any]]
    """Decodes calldata of that many bytes: the fast path. Raises ValueError."""
    output_types: tuple[str, ...]
    output_words: tuple[Callable[[Any], bytes], ...] | None
    """One encoder for each output where all are words."""
    write_word: Callable[[Any], bytes] | None
    """The encoder of a single word: the fast path."""
    has_many_outputs: bool
    """The Python method returns a tuple with one item for each output."""
    function: Callable[..., Any]

    def decode_arguments(self, data: bytes) -> Sequence[Any]:
        """Return the arguments in `data`, whose first 4 bytes are the selector.

        Raises:
            DecodeError: as `abi.decode`.
            ValueError: a word is not of its type.
        """
        if len(data) == self.words_bytes:
            return self.read_words(data)
        return abi.decode(self.input_types, data[abi.SELECTOR_BYTES :])

    def encode_result(self, result: Any) -> bytes:
        """Return what the Python method returned as ABI-encoded return data."""
        if self.write_word is not None:
            return self.write_word(result)
        if not self.output_types:
            return b""
        values = result if self.has_many_outputs else (result,)
        if self.output_words is not None:
            pairs = zip(self.output_words, values, strict=True)
            return b"".join([write(value) for write, value in pairs])
        return abi.encode(self.output_types, values)

    @property
    def signature(self) -> str:
        """Canonical: "transfer(address,uint256)"."""
        return f"{self.name}({','.join(self.input_types)})"

    @property
    def selector(self) -> bytes:
        """First 4 bytes of the calldata."""
        return abi.selector(self.signature)

    def to_json(self) -> dict[str, Any]:
        """Return the method as an entry of a JSON ABI."""
        return {
            "type": "function",
            "name": self.name,
            "stateMutability": "view" if self.is_view else "nonpayable",
            "inputs": [parameter.to_json() for parameter in self.inputs],
            "outputs": [parameter.to_json() for parameter in self.outputs],
        }


def external(
    *, gas: int, name: str | None = None
) -> Callable[
    [Callable[Concatenate[C, CallContext, P], R]], Callable[Concatenate[C, CallContext, P], R]
]:
    """Make a method callable by transactions, as `name` or its own name in camelCase.

    Parameters after `ctx`, and the result, must have ABI annotations; a method with several
    results returns `tuple[U64, Address]`.
    """

    def mark(
        method: Callable[Concatenate[C, CallContext, P], R],
    ) -> Callable[Concatenate[C, CallContext, P], R]:
        method.__abi__ = _Mark(name, gas, is_view=False)  # type: ignore[attr-defined]
        return method

    return mark


def view(
    *, gas: int, name: str | None = None
) -> Callable[
    [Callable[Concatenate[C, CallContext, P], R]], Callable[Concatenate[C, CallContext, P], R]
]:
    """Make a method callable by anybody without a transaction; it must not write."""

    def mark(
        method: Callable[Concatenate[C, CallContext, P], R],
    ) -> Callable[Concatenate[C, CallContext, P], R]:
        method.__abi__ = _Mark(name, gas, is_view=True)  # type: ignore[attr-defined]
        return method

    return mark


class NativeContract:
    """Base of the native contracts: the ABI table and the two hooks of the host."""

    ADDRESS: ClassVar[bytes]
    """20 bytes."""
    NAME: ClassVar[str]
    """Key of its parameters in the genesis file."""
    PRIVILEGED: ClassVar[bool] = False
    """May it register accounts?"""
    GOVERNS_MEMBERS: ClassVar[bool] = False
    """Is it the one contract that decides on the member set?"""
    EVENTS: ClassVar[tuple[type[Event], ...]] = ()
    """Every event class that it emits."""
    abi: ClassVar[dict[bytes, Method]] = {}
    """Methods by selector, those of base classes included."""

    def __init_subclass__(cls) -> None:
        names = dict.fromkeys(name for base in reversed(cls.__mro__[:-1]) for name in vars(base))
        marked = [getattr(cls, name) for name in names if hasattr(getattr(cls, name), "__abi__")]
        methods = [_read_method(function) for function in marked]
        cls.abi = {method.selector: method for method in methods}
        if len(cls.abi) != len(methods):
            raise TypeError(f"{cls.__name__}: two methods share a selector")
        for event in cls.EVENTS:
            parse_event(event.SIGNATURE)

    def genesis(self, ctx: CallContext, params: Params) -> None:
        """Write the contract's first state; not metered, and events are dropped.

        Raises:
            GenesisError: a parameter is unknown, missing or out of range. By default there are
                no parameters and no state.
        """
        for name in params:
            raise GenesisError(f"contracts.{self.NAME}.{name}", "is not known")

    def on_deadline(self, ctx: CallContext, payload: bytes) -> None:
        """Act on a deadline that this contract scheduled. Called once for each."""
        raise AssertionError(f"{self.NAME} schedules no deadlines")

    def next_members(self, ctx: CallContext, proposal_id: int) -> NextMembers:
        """Return the member set that an accepted proposal would make now; changes nothing.

        Raises:
            Revert: there is no such proposal, or it cannot take effect.
        """
        raise AssertionError(f"{self.NAME} governs no members")

    def activate(self, ctx: CallContext, proposal_id: int) -> None:
        """Let the proposal take effect (`ctx.change_members`); `next_members` has accepted it."""
        raise AssertionError(f"{self.NAME} governs no members")

    def recover(self, ctx: CallContext, members: Sequence[GenesisMember]) -> None:
        """Make these the members: the chain has lost its quorum, and another follows.

        Raises:
            Revert: they cannot be.
        """
        raise AssertionError(f"{self.NAME} governs no members")

    def call(
        self, run: Run, data: bytes, *, caller: bytes, sponsor: bytes, is_static: bool = False
    ) -> bytes:
        """Decode `data`, run the method that it selects, and return the encoded result.

        Args:
            run: what the contexts of the transaction share.
            data: selector and arguments, from a stranger.
            caller: 20 bytes.
            sponsor: 20 bytes, or empty.
            is_static: the caller allows no changes (EIP-214), so only views can be called.

        Raises:
            Revert: NO_METHOD, NOT_A_VIEW, BAD_CALLDATA, OUT_OF_GAS, or the contract's own refusal.
        """
        method = self.abi.get(data[:4])
        if method is None:
            raise Revert("NO_METHOD", f"{self.NAME} has no method 0x{data[:4].hex()}")
        is_view = method.is_view
        if is_static and not is_view:
            raise Revert("NOT_A_VIEW", f"{method.signature} changes state, the call is static")
        ctx = CallContext(run, self.ADDRESS, caller, sponsor, is_view)
        size = len(data)
        run.charge(method.gas + prices.CALLDATA_WORD * (size // abi.WORD_BYTES))
        try:
            is_words = size == method.words_bytes
            arguments = method.read_words(data) if is_words else method.decode_arguments(data)
        except (DecodeError, ValueError):
            # Not the error's text: receipts are hashed, and its words are not protocol.
            raise Revert("BAD_CALLDATA", f"expected {method.signature}") from None
        result = method.function(self, ctx, *arguments)
        write = method.write_word
        output = method.encode_result(result) if write is None else write(result)
        run.charge(prices.OUTPUT_BYTE * len(output))
        return output

    @classmethod
    def json_abi(cls) -> list[dict[str, Any]]:
        """Return the Solidity JSON ABI: functions, then events."""
        functions = [method.to_json() for method in cls.abi.values()]
        return functions + [parse_event(event.SIGNATURE).to_json() for event in cls.EVENTS]


def _read_method(function: Callable[..., Any]) -> Method:
    mark: _Mark = function.__abi__  # type: ignore[attr-defined]
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return")
    hints.pop("ctx")
    inputs = tuple(_parameter(function, name, hint) for name, hint in hints.items())
    has_many_outputs = get_origin(result) is tuple
    results = get_args(result) if has_many_outputs else () if result is type(None) else (result,)
    outputs = tuple(_parameter(function, "", hint) for hint in results)
    kinds = [abi.parse_type(parameter.type) for parameter in outputs]
    words = tuple(kind.write for kind in kinds if isinstance(kind, abi.Word))
    input_kinds = [abi.parse_type(parameter.type) for parameter in inputs]
    reads = tuple(
        (kind.read, slice(at, at + abi.WORD_BYTES))
        for kind, at in zip(input_kinds, count(abi.SELECTOR_BYTES, abi.WORD_BYTES))
        if isinstance(kind, abi.Word)
    )
    words_bytes = abi.SELECTOR_BYTES + abi.WORD_BYTES * len(reads)
    return Method(
        name=mark.name or _camel_case(function.__name__),
        gas=mark.gas,
        is_view=mark.is_view,
        inputs=inputs,
        outputs=outputs,
        input_types=tuple(parameter.type for parameter in inputs),
        words_bytes=words_bytes if len(reads) == len(inputs) else 0,
        read_words=_words_reader(reads),
        output_types=tuple(parameter.type for parameter in outputs),
        output_words=words if len(words) == len(kinds) else None,
        write_word=words[0] if len(words) == len(kinds) == 1 and not has_many_outputs else None,
        has_many_outputs=has_many_outputs,
        function=function,
    )


def _words_reader(
    reads: tuple[tuple[Callable[[bytes], Any], slice], ...],
) -> Callable[[bytes], Sequence[Any]]:
    """Return what decodes words at fixed places; without a loop where they are one or two."""
    if len(reads) == 1:
        ((read, place),) = reads
        return lambda data: (read(data[place]),)
    if len(reads) == 2:
        (first, first_place), (second, second_place) = reads
        return lambda data: (first(data[first_place]), second(data[second_place]))
    return lambda data: [read(data[place]) for read, place in reads]


def _parameter(function: Callable[..., Any], name: str, hint: Any) -> Parameter:
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, Abi):
            (parsed,) = parse_parameters(note.text)
            return Parameter(
                _camel_case(name.rstrip("_")), parsed.type, components=parsed.components
            )
    raise TypeError(f"{function.__qualname__}: {name or 'the result'} has no ABI annotation")


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
