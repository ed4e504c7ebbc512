"""What a JSON-RPC caller is told when a call fails: JSON-RPC 2.0's codes, then Ethereum's."""

from enum import IntEnum
from typing import final

from crypto import abi
from crypto.errors import DecodeError
from node.errors import MempoolFull
from node.rpc.values import Out, to_data
from vm.errors import InvalidTransaction

_ERROR_SELECTOR = abi.selector("Error(string)")


class Code(IntEnum):
    """Error codes on the wire; those below -32050 are ours."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL = -32603
    SERVER = -32000
    """geth's code for a transaction or call that is refused."""
    LIMIT_EXCEEDED = -32005
    UNAUTHORISED = -32050
    NOT_SEALED = -32051
    """The wait for a seal ended; the transaction may still be sealed."""
    RELAY_REFUSED = -32052
    REVERTED = 3
    """geth's code for a revert; `data` is the revert data."""


@final
class RpcFault(Exception):
    """Ends a call with an error answer."""

    def __init__(self, code: int, message: str, data: Out = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Out]:
        """Return the `error` member of a response."""
        answer: dict[str, Out] = {"code": int(self.code), "message": self.message}
        if self.data is not None:
            answer["data"] = self.data
        return answer


def invalid_params(field: str, expected: str) -> RpcFault:
    """Return the fault for an argument that is not as it must be."""
    return RpcFault(Code.INVALID_PARAMS, f"{field}: {expected}")


def refused_transaction(error: InvalidTransaction) -> RpcFault:
    """Return the fault for a transaction that is not admitted.

    The message begins with geth's words, which clients match on; the number is stable.
    """
    return RpcFault(Code.SERVER, str(error), {"reason": int(error.reason), "field": error.field})


def full_pool(error: MempoolFull) -> RpcFault:
    """Return the fault for a pool without room, with the time after which to try again."""
    return RpcFault(Code.LIMIT_EXCEEDED, str(error), {"retryAfterMs": error.retry_after_ms})


def reverted(output: bytes) -> RpcFault:
    """Return geth's answer to a call that reverts."""
    reason = revert_reason(output)
    message = f"execution reverted: {reason}" if reason else "execution reverted"
    return RpcFault(Code.REVERTED, message, to_data(output))


def revert_reason(output: bytes) -> str:
    """Return the text in Solidity's Error(string); empty if `output` is something else."""
    if output[:4] != _ERROR_SELECTOR:
        return ""
    try:
        (reason,) = abi.decode(("string",), output[4:])
    except DecodeError:
        return ""
    return str(reason)
