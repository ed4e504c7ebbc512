"""JSON-RPC 2.0: bodies and batches in, answers out. Methods are a table; the rest is -32601."""

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import structlog

from crypto.errors import DecodeError
from node.errors import HistoryUnavailable, MempoolFull, NodeError, StorageError
from node.failure import report
from node.rpc.errors import Code, RpcFault, full_pool, invalid_params, refused_transaction
from node.rpc.values import Args, BadValue, Json, Out
from vm.errors import InvalidTransaction

BATCH_MAX = 100
BODY_BYTES_MAX = 1 << 20
ANSWER_BYTES_MAX = 32 << 20
"""Of a body's answer, a batch's calls taken together: geth cuts a batch in the same way."""
DEPTH_MAX = 32
"""Of objects and arrays inside each other in a body; calls need ten or so. Deep values overrun the
stack of whatever walks them: a comparison, or a message that shows them."""
SLICE_S = 0.004
"""Time for a batch's calls between two turns of the event loop: votes must not wait for a batch."""

Handler: TypeAlias = Callable[[Args], "Out | Coroutine[Any, Any, Out]"]

_log = structlog.get_logger("rpc")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method's handler and what is checked before it runs."""

    handler: Handler
    required: int = 0
    """Arguments that must be there."""
    optional: int = 0
    needs_token: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks; extra methods are those of one WebSocket connection."""

    is_authorised: bool
    """Showed the node's token."""
    extra: Mapping[str, Method]
    on_busy: Callable[[int], None] | None = None
    """Called with the milliseconds after which a call that found no room is worth repeating."""
    client: str = ""
    """Whose share of what the node keeps for waiting calls its own come from."""


@final
class Dispatcher:
    """Answers parsed or raw bodies from one table of methods."""

    def __init__(self, methods: Mapping[str, Method], on_call: Callable[[str, bool], None]) -> None:
        """Serve `methods`; `on_call(method, is_ok)` is told of every call to a known one."""
        self._methods = methods
        self._on_call = on_call

    async def answer(self, body: bytes | str, caller: Caller) -> str | None:
        """Return the response to a body; None if it holds notifications only."""
        try:
            request: Json = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            fault = RpcFault(Code.PARSE_ERROR, f"parse error: {error}"[:200])
            return _render(_failure(None, fault))
        if _is_deeper(request, DEPTH_MAX):
            message = f"values are nested deeper than {DEPTH_MAX} levels"
            return _render(_failure(None, RpcFault(Code.INVALID_REQUEST, message)))
        if not isinstance(request, list):
            response = await self._one(request, caller, ANSWER_BYTES_MAX)
            return response or None
        if not 0 < len(request) <= BATCH_MAX:
            message = f"a batch must have 1 to {BATCH_MAX} calls, got {len(request)}"
            return _render(_failure(None, RpcFault(Code.INVALID_REQUEST, message)))
        responses, room = [], ANSWER_BYTES_MAX
        clock = asyncio.get_running_loop().time
        slice_end_s = clock() + SLICE_S
        for item in request:
            response = await self._one(item, caller, room)
            if response:
                responses.append(response)
                room -= len(response)
            if clock() > slice_end_s:
                await asyncio.sleep(0)
                slice_end_s = clock() + SLICE_S
        return f"[{','.join(responses)}]" if responses else None

    async def _one(self, request: Json, caller: Caller, room: int) -> str:
        """Return the answer to one call, of about `room` bytes at most; "" to one without an id.

        A call of a batch for whose answer there is no room is not carried out.
        """
        if not isinstance(request, dict):
            fault = RpcFault(Code.INVALID_REQUEST, "a call must be an object")
            return _render(_failure(None, fault))
        name, id_ = request.get("method"), request.get("id")
        if request.get("jsonrpc") != "2.0" or not isinstance(name, str) or not _is_id(id_):
            message = 'jsonrpc must be "2.0", method text, id text or a number'
            return _render(_failure(None, RpcFault(Code.INVALID_REQUEST, message)))
        try:
            if room <= 0:
                raise _too_large()
            result = await self._call(name, request.get("params"), caller)
            if "id" not in request:
                return ""
            answer = _render({"jsonrpc": "2.0", "id": id_, "result": result})
            if len(answer) > room:
                raise _too_large()
        except RpcFault as fault:
            if fault.retry_after_ms is not None and caller.on_busy is not None:
                caller.on_busy(fault.retry_after_ms)
            return "" if "id" not in request else _render(_failure(id_, fault))
        return answer

    async def _call(self, name: str, params: Json, caller: Caller) -> Out:
        method = self._methods.get(name) or caller.extra.get(name)
        if method is None:
            message = f"the method {name[:64]} does not exist/is not available"
            raise RpcFault(Code.METHOD_NOT_FOUND, message)
        if method.needs_token and not caller.is_authorised:
            raise RpcFault(Code.UNAUTHORISED, f"{name} needs the token in rpc.token")
        args = _args(params, method, caller.client)
        try:
            given = method.handler(args)
            result = await given if isinstance(given, Coroutine) else given
        except Exception as error:
            self._on_call(name, False)  # noqa: FBT003
            raise _fault(name, error) from error
        self._on_call(name, True)  # noqa: FBT003
        return result


def _is_deeper(value: Json, depth: int) -> bool:
    """Whether a value has more than `depth` levels; looked at level by level, without recursion."""
    level: list[dict[str, Json] | list[Json]] = [value] if isinstance(value, dict | list) else []
    while level and depth:
        depth -= 1
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _is_id(value: Json) -> bool:
    """Whether a call's id can be given back as it came: 1e999 would come out as no JSON."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | None) and not isinstance(value, bool)


def _too_large() -> RpcFault:
    return RpcFault(Code.RESPONSE_TOO_LARGE, "response too large")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _args(params: Json, method: Method, client: str) -> Args:
    """Check the number of arguments; the words are geth's."""
    if params is None:
        params = []
    if not isinstance(params, list):
        raise RpcFault(Code.INVALID_PARAMS, "params must be an array: non-array args")
    if len(params) < method.required:
        raise invalid_params("params", f"missing value for required argument {len(params)}")
    most = method.required + method.optional
    if len(params) > most:
        raise invalid_params("params", f"too many arguments, want at most {most}")
    return Args(params, client)


def _fault(name: str, error: Exception) -> RpcFault:
    """Return what the caller is told; what we did not expect is logged with its trace."""
    match error:
        case RpcFault():
            return error
        case InvalidTransaction():
            return refused_transaction(error)
        case MempoolFull():
            return full_pool(error)
        case BadValue() | DecodeError():
            return RpcFault(Code.INVALID_PARAMS, str(error))
        case HistoryUnavailable():
            return RpcFault(Code.SERVER, str(error))
        case StorageError():
            report(f"{name} cannot read the store", error)  # It stops the node.
            return RpcFault(Code.INTERNAL, str(error))
        case NodeError():
            return RpcFault(Code.INTERNAL, str(error))
        case _:
            _log.exception("rpc call failed", method=name)
            return RpcFault(Code.INTERNAL, "internal error: see the node's log")


def _failure(id_: Json, fault: RpcFault) -> dict[str, Out]:
    return {"jsonrpc": "2.0", "id": id_, "error": fault.to_json()}


def _render(value: Out) -> str:
    return json.dumps(value, separators=(",", ":"))
