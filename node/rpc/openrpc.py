"""The OpenRPC document of a node, made of the method table's signatures.

Source: OpenRPC Specification 1.3.2 (spec.open-rpc.org). Extensions are `x-` fields, as it allows.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from node.chain import VERSION
from node.rpc.errors import Code
from node.rpc.schemas import COMPONENTS
from node.rpc.signature import Param, Signature
from node.rpc.signatures_debug import DEBUG
from node.rpc.signatures_eth import ETHEREUM
from node.rpc.signatures_hearth import HEARTH
from node.rpc.signatures_ots import OTTERSCAN
from node.rpc.values import Out

SPECIFICATION: Final = "1.3.2"
SIGNATURES: Final[Mapping[str, Signature]] = {
    **ETHEREUM,
    **DEBUG,
    **OTTERSCAN,
    **HEARTH,
}
"""Of every method that any node may serve."""

_ERRORS: Final[Mapping[Code, str]] = {
    Code.INVALID_PARAMS: "An argument cannot be read; the message names it",
    Code.INTERNAL: "The node's own failure",
    Code.SERVER: "A transaction, call or block that is refused",
    Code.RESPONSE_TOO_LARGE: "The answer is above the limit of bytes",
    Code.LIMIT_EXCEEDED: "A limit of the node",
    Code.UNAUTHORISED: "The method needs the node's token",
    Code.NOT_SEALED: "The wait for a seal ended",
    Code.RELAY_REFUSED: "The relay refuses an envelope",
    Code.REVERTED: "The call reverts; data is the revert data",
    Code.SYNC_TIMEOUT: "The wait for a seal ended; data is the transaction's hash",
}


def document(
    names: Iterable[str], signatures: Mapping[str, Signature] = SIGNATURES
) -> dict[str, Out]:
    """Return the OpenRPC document of the methods with these names, in their order.

    Raises:
        KeyError: a method without a signature.
    """
    return {
        "openrpc": SPECIFICATION,
        "info": {
            "title": "Hearth node",
            "version": VERSION,
            "description": "Ethereum's JSON-RPC, and what Ethereum has not",
        },
        "methods": [_method(name, signatures[name]) for name in names],
        "components": {
            "schemas": COMPONENTS,
            "errors": {
                code.name: {"code": int(code), "message": text} for code, text in _ERRORS.items()
            },
        },
    }


def socket_methods() -> tuple[str, ...]:
    """Return the names of the methods that a WebSocket connection adds."""
    return tuple(name for name, signature in SIGNATURES.items() if signature.is_socket)


def _method(name: str, signature: Signature) -> dict[str, Out]:
    method: dict[str, Out] = {
        "name": name,
        "summary": signature.summary,
        "paramStructure": "by-position",
        "params": [_param(param) for param in signature.params],
        "result": {"name": "result", "schema": signature.result},
        "errors": [{"$ref": f"#/components/errors/{code.name}"} for code in _ERRORS],
    }
    if signature.needs_token:
        method["x-needs-token"] = True
    if signature.is_socket:
        method["x-transport"] = "websocket"
    return method


def _param(param: Param) -> dict[str, Out]:
    return {"name": param.name, "required": param.is_required, "schema": param.schema}
