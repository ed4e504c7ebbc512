"""Signatures of the methods that trace and show raw data: `debug_`."""

from collections.abc import Mapping
from typing import Final

from node.rpc.schemas import ANY, BLOCK_ID, CALL, DATA, HASH, Schema
from node.rpc.signature import Signature, may, need

_OPTIONS: Final[Schema] = {
    "type": "object",
    "description": "geth's: tracer, tracerConfig, disableStack, disableStorage, enableMemory, "
    "enableReturnData, limit",
}

DEBUG: Final[Mapping[str, Signature]] = {
    "debug_traceTransaction": Signature(
        summary="What a sealed transaction did, step by step or call by call",
        params=(need("transactionHash", HASH), may("options", _OPTIONS)),
        result=ANY,
    ),
    "debug_traceCall": Signature(
        summary="What a call would do, step by step or call by call",
        params=(need("call", CALL), may("block", BLOCK_ID), may("options", _OPTIONS)),
        result=ANY,
    ),
    "debug_getRawTransaction": Signature(
        summary="A transaction's bytes",
        params=(need("transactionHash", HASH),),
        result=DATA,
    ),
}
