"""What a JSON-RPC caller is told when a call fails: JSON-RPC 2.0's codes, then Ethereum's."""

from enum import IntEnum
from typing import final

from crypto import abi
from crypto.errors import DecodeError
from node.errors import MempoolFull
from node.rpc.values import Out, to_data
from vm.errors import InvalidTransaction

_ERROR_SELECTOR = abi.selector("Error(string)")
_PANIC_SELECTOR = abi.selector("Panic(uint256)")
_REVERTED = "execution reverted"
_PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""Solidity's panic codes in geth's words."""


class Code(IntEnum):
    """Error codes on the wire; those below -32050 are ours."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL = -32603
    SERVER = -32000
    """geth's code for a transaction or call that is refused."""
    RESPONSE_TOO_LARGE = -32003
    """geth's code for an answer above the limit of bytes."""
    LIMIT_EXCEEDED = -32005
    UNAUTHORISED = -32050
    NOT_SEALED = -32051
    """The wait for a seal ended; the transaction may still be sealed."""
    RELAY_REFUSED = -32052
    REVERTED = 3
    """geth's code for a revert; `data` is the revert data."""
    SYNC_TIMEOUT = 4
    """EIP-7966's code for what NOT_SEALED says elsewhere; `data` is the transaction's hash."""


@final
class RpcFault(Exception):
    """Ends a call with an error answer."""

    def __init__(self, code: int, message: str, data: Out = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.retry_after_ms: int | None = None
        """When it is worth while to call again, where that is known."""

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
    fault = RpcFault(Code.LIMIT_EXCEEDED, str(error), {"retryAfterMs": error.retry_after_ms})
    fault.retry_after_ms = error.retry_after_ms
    return fault


def reverted(output: bytes) -> RpcFault:
    """Return geth's answer to a call that reverts."""
    reason = revert_reason(output)
    message = f"{_REVERTED}: {reason}" if reason else _REVERTED
    return RpcFault(Code.REVERTED, message, to_data(output))


def call_failed(output: bytes, error: str) -> RpcFault:
    """Return geth's answer to a call that fails: a revert has its data, a halt only its reason."""
    if error in ("", _REVERTED):
        return reverted(output)
    return RpcFault(Code.SERVER, error)


def revert_reason(output: bytes) -> str:
    """Return the text in Solidity's Error(string) or the meaning of its Panic(uint256).

    Empty if `output` is something else.
    """
    selector, payload = output[:4], output[4:]
    try:
        if selector == _ERROR_SELECTOR:
            return str(abi.decode(("string",), payload)[0])
        if selector == _PANIC_SELECTOR:
            (code,) = abi.decode(("uint256",), payload)
            return _PANICS.get(code, f"unknown panic code: {code:#x}")
    except DecodeError:
        return ""
    return ""
