"""What a caller may ask of a trace: geth's `TraceConfig`, strictly read; and its largest size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from node.rpc.errors import Code, RpcFault
from node.rpc.values import BadValue, Json, read_bool, read_int, read_object, read_text

TRACE_BYTES_MAX: Final = 8 << 20
"""Of a trace as JSON, about: to render more would keep the event loop from the members' votes."""
CALL_DEPTH_MAX: Final = 384
"""Of calls inside calls in an answer: each is two levels of JSON; readers stop at a thousand."""

_FLAGS = (
    "disableStack",
    "disableStorage",
    "enableMemory",
    "enableReturnData",
    "disableMemory",
    "disableReturnData",
    "debug",
)
_IGNORED = ("timeout", "reexec")
"""The compute limit takes their place: a trace ends, and old states are not executed anew."""
_OVERRIDES = ("stateOverrides", "blockOverrides", "txIndex")
_TRACERS: Final[Mapping[str, tuple[str, ...]]] = {
    "callTracer": ("onlyTopCall", "withLog"),
    "prestateTracer": ("diffMode", "disableCode", "disableStorage"),
    "4byteTracer": (),
    "noopTracer": (),
}
"""By name: the settings in `tracerConfig`, which are all flags."""
_TEXT_LENGTH_MAX = 64
_LIMIT_MAX = 2**31 - 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """What to record."""

    tracer: str
    """Empty for struct logs."""
    settings: frozenset[str]
    """The flags of `tracerConfig` that are set."""
    with_stack: bool
    with_storage: bool
    with_memory: bool
    with_return_data: bool
    limit: int
    """Struct logs to record; 0 for all."""


@final
class TraceBudget:
    """Counts what a trace will take as JSON, and ends one that is too large."""

    __slots__ = ("_left",)

    def __init__(self, bytes_max: int = TRACE_BYTES_MAX) -> None:
        self._left = bytes_max

    def spend(self, amount: int) -> None:
        """Take `amount` bytes.

        Raises:
            RpcFault: LIMIT_EXCEEDED; it passes through the execution, which is scratch.
        """
        self._left -= amount
        if self._left < 0:
            raise too_large(f"above {TRACE_BYTES_MAX} bytes")


def too_large(why: str) -> RpcFault:
    """Return the fault for a trace that is not given."""
    return RpcFault(
        Code.LIMIT_EXCEEDED,
        f"trace too large: {why}; ask for less (limit, disableStack, onlyTopCall)",
    )


def read_options(value: Json) -> TraceOptions:
    """Return the options that a caller gave; None gives struct logs with stack and storage.

    Raises:
        BadValue: an option that is not known or has another form.
        RpcFault: a tracer or an override that does not exist here.
    """
    field = "options"
    given = {} if value is None else read_object(value, field)
    for key in given:
        if key in _OVERRIDES:
            raise RpcFault(Code.SERVER, f"{field}.{key}: is not supported")
        if key not in (*_FLAGS, *_IGNORED, "tracer", "tracerConfig", "limit"):
            raise BadValue(f"{field}.{key[:64]}: is not known")
    flags = {flag: read_bool(given.get(flag), f"{field}.{flag}") for flag in _FLAGS}
    tracer = _tracer(given.get("tracer"), f"{field}.tracer")
    limit = given.get("limit")
    return TraceOptions(
        tracer=tracer,
        settings=_settings(tracer, given.get("tracerConfig"), f"{field}.tracerConfig"),
        with_stack=not flags["disableStack"],
        with_storage=not flags["disableStorage"],
        with_memory=flags["enableMemory"] and not flags["disableMemory"],
        with_return_data=flags["enableReturnData"] and not flags["disableReturnData"],
        limit=0 if limit is None else read_int(limit, f"{field}.limit", 0, _LIMIT_MAX),
    )


def _tracer(value: Json, field: str) -> str:
    name = "" if value is None else read_text(value, field, _TEXT_LENGTH_MAX)
    if name and name not in _TRACERS:
        known = ", ".join(_TRACERS)
        raise RpcFault(Code.SERVER, f"tracer not found: {name!r} is none of {known}")
    return name


def _settings(tracer: str, value: Json, field: str) -> frozenset[str]:
    if value is None or not tracer:
        return frozenset()
    given = read_object(value, field, _TRACERS[tracer])
    return frozenset(key for key in given if read_bool(given[key], f"{field}.{key}"))
