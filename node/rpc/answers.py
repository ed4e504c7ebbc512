"""What a node says to a client, read strictly: any bytes become values or one of two errors.

The node may be a stranger's: whoever verifies a chain asks nodes that others run.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from node.errors import NodeError

ANSWER_BYTES_MAX: Final = 64 << 20
"""Of an answer or a notification: a block's with all its logs."""
_SHOWN: Final = 100
"""Characters of an answer that an error shows."""
_INT_MAX: Final = 2**63


@final
class RpcError(NodeError):
    """The node answered with an error.

    Attributes:
        code: JSON-RPC's or Ethereum's number.
        message: the node's words.
        data: what came with it; revert data for code 3.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


@final
class Unreachable(NodeError):
    """The node does not answer, or answers something that is no JSON-RPC."""


def parse_answer(data: bytes | str) -> Any:
    """Return the JSON value in an answer; raises Unreachable."""
    if len(data) > ANSWER_BYTES_MAX:
        raise Unreachable(f"an answer must be at most {ANSWER_BYTES_MAX} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Unreachable("the node answers, but not in JSON") from None


def result_of(answer: Any) -> Any:
    """Return the result in a response, or raise its error: RpcError or Unreachable."""
    if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
        raise _not_ours(answer)
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    if not isinstance(error, dict):
        raise _not_ours(answer)
    code, message = error.get("code"), error.get("message")
    if type(code) is not int or abs(code) > _INT_MAX or not isinstance(message, str):
        raise _not_ours(answer)
    raise RpcError(code, message, error.get("data"))


def results_of(answers: Any, ids: Sequence[int]) -> list[Any]:
    """Return the results of a batch in the order of `ids`, an RpcError in the place of a failure.

    Raises:
        Unreachable: not the answers to these calls.
        RpcError: one answer to all of them, an error.
    """
    if not isinstance(answers, list):
        result_of(answers)
        raise Unreachable("a batch was answered with one answer")
    by_id = {
        answer["id"]: answer
        for answer in answers
        if isinstance(answer, dict) and type(answer.get("id")) is int
    }
    results: list[Any] = []
    for each in ids:
        try:
            results.append(result_of(by_id.get(each)))
        except RpcError as error:
            results.append(error)
    return results


def notification_of(answer: Any) -> Mapping[str, Any] | None:
    """Return the `params` of a notification; None if it is a response, which is no error.

    Raises:
        RpcError, Unreachable: as `result_of`, or a notification without a result.
    """
    if not isinstance(answer, dict) or "method" not in answer:
        result_of(answer)
        return None
    params = answer.get("params")
    if not isinstance(params, dict) or "result" not in params:
        raise _not_ours(answer)
    return params


def _not_ours(answer: Any) -> Unreachable:
    try:
        shown = str(answer)[:_SHOWN]
    except (ValueError, RecursionError):  # Too long a number, or too deep.
        shown = type(answer).__name__
    return Unreachable(f"not a JSON-RPC response: {shown}")
