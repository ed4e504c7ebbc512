"""Signatures of what the Otterscan explorer asks: `ots_`, and a header by number."""

from collections.abc import Mapping
from typing import Final

from node.rpc.schemas import (
    ADDRESS,
    BLOCK_ID,
    BOOL,
    DATA,
    HASH,
    INTEGER,
    QUANTITY,
    TRANSACTION,
    Schema,
    array,
    maybe,
    one_of,
    record,
    words,
)
from node.rpc.signature import Param, Signature, need

_NUMBER: Final[Schema] = one_of(INTEGER, QUANTITY)
_OPEN: Final[Schema] = {"type": "object"}
_HASH = need("transactionHash", HASH)
_BLOCK = need("block", one_of(INTEGER, QUANTITY, words("latest")))
_SEARCH = (need("address", ADDRESS), need("blockNumber", _NUMBER), need("pageSize", _NUMBER))
_DETAILS: Final[Schema] = maybe(record({"block": _OPEN, "issuance": _OPEN, "totalFees": QUANTITY}))
_PAGE: Final[Schema] = record(
    {"txs": array(TRANSACTION), "receipts": array(_OPEN), "firstPage": BOOL, "lastPage": BOOL}
)


def _say(summary: str, *params: Param, result: Schema) -> Signature:
    return Signature(summary=summary, params=params, result=result)


OTTERSCAN: Final[Mapping[str, Signature]] = {
    "erigon_getHeaderByNumber": _say("A block's header", _BLOCK, result=maybe(_OPEN)),
    "ots_getApiLevel": _say("Version of these methods", result=INTEGER),
    "ots_hasCode": _say(
        "Whether code stands at an address",
        need("address", ADDRESS),
        need("block", one_of(INTEGER, BLOCK_ID)),
        result=BOOL,
    ),
    "ots_getBlockDetails": _say("A block without its transactions", _BLOCK, result=_DETAILS),
    "ots_getBlockDetailsByHash": _say(
        "A block without its transactions", need("blockHash", HASH), result=_DETAILS
    ),
    "ots_getBlockTransactions": _say(
        "A page of a block's transactions, from its end",
        _BLOCK,
        need("page", _NUMBER),
        need("pageSize", _NUMBER),
        result=maybe(record({"fullblock": _OPEN, "receipts": array(_OPEN)})),
    ),
    "ots_getTransactionError": _say("A transaction's revert data", _HASH, result=DATA),
    "ots_traceTransaction": _say(
        "A transaction's calls, in order",
        _HASH,
        result=array(
            record(
                {
                    "type": {"type": "string"},
                    "depth": INTEGER,
                    "from": ADDRESS,
                    "to": maybe(ADDRESS),
                    "value": maybe(QUANTITY),
                    "input": DATA,
                    "output": DATA,
                }
            )
        ),
    ),
    "ots_getInternalOperations": _say(
        "Creations and self-destructs within a transaction",
        _HASH,
        result=array(
            record({"type": INTEGER, "from": ADDRESS, "to": maybe(ADDRESS), "value": QUANTITY})
        ),
    ),
    "ots_getTransactionBySenderAndNonce": _say(
        "The hash of a sender's transaction",
        need("sender", ADDRESS),
        need("nonce", _NUMBER),
        result=maybe(HASH),
    ),
    "ots_getContractCreator": _say(
        "Which transaction created a contract",
        need("address", ADDRESS),
        result=maybe(record({"hash": HASH, "creator": ADDRESS})),
    ),
    "ots_searchTransactionsBefore": _say(
        "An address's transactions below a height, newest first", *_SEARCH, result=_PAGE
    ),
    "ots_searchTransactionsAfter": _say(
        "An address's transactions above a height, newest first", *_SEARCH, result=_PAGE
    ),
}
