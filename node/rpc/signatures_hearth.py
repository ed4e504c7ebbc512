"""Signatures of our own methods: `hearth_` and `rpc.discover`."""

from collections.abc import Mapping
from typing import Final

from node.rpc.schemas import (
    ADDRESS,
    ANY,
    BOOL,
    DATA,
    HASH,
    INTEGER,
    QUANTITY,
    RECEIPT,
    TEXT,
    Schema,
    array,
    maybe,
    one_of,
    record,
)
from node.rpc.signature import Signature, may, need

_OPEN: Final[Schema] = {"type": "object"}
_PLACE: Final[Schema] = one_of(INTEGER, QUANTITY, TEXT)
_HEADER: Final[Schema] = record(
    {
        "version": INTEGER,
        "number": INTEGER,
        "hash": HASH,
        "parentHash": HASH,
        "timeMs": INTEGER,
        "transactionsRoot": HASH,
        "stateRoot": HASH,
        "receiptsRoot": HASH,
        "nextMembersHash": HASH,
        "gasUsed": INTEGER,
        "bytes": DATA,
    }
)
_SEAL: Final[Schema] = record(
    {
        "view": INTEGER,
        "signatures": array(record({"member": INTEGER, "signature": DATA})),
    }
)

HEARTH: Final[Mapping[str, Signature]] = {
    "rpc.discover": Signature(summary="This document", result=_OPEN),
    "hearth_status": Signature(summary="The node at a glance", result=_OPEN),
    "hearth_peers": Signature(summary="The links to the other members", result=array(_OPEN)),
    "hearth_members": Signature(summary="The founding members", result=array(_OPEN)),
    "hearth_why": Signature(summary="Why nothing progresses, in words", result=array(TEXT)),
    "hearth_getHeader": Signature(
        summary="A header with its bytes, from which anybody computes its hash",
        params=(need("height", _PLACE),),
        result=maybe(_HEADER),
    ),
    "hearth_getSeal": Signature(
        summary="The signatures that seal a block",
        params=(need("height", _PLACE),),
        result=maybe(_SEAL),
    ),
    "hearth_getProof": Signature(
        summary="Value and Merkle proof of a state key at the head",
        params=(need("key", DATA),),
        result=record(
            {
                "key": DATA,
                "value": maybe(DATA),
                "proof": DATA,
                "header": _HEADER,
                "seal": maybe(_SEAL),
            }
        ),
    ),
    "hearth_getEpochs": Signature(
        summary="The steps into the epochs after one: header, seal and new member set of each",
        params=(need("afterEpoch", INTEGER),),
        result=array(
            record({"epoch": INTEGER, "members": DATA, "header": _HEADER, "seal": maybe(_SEAL)})
        ),
    ),
    "hearth_getSealedBlock": Signature(
        summary="A block with all that its header commits to, as it was hashed",
        params=(need("height", INTEGER),),
        result=maybe(
            record(
                {
                    "header": _HEADER,
                    "seal": maybe(_SEAL),
                    "transactions": array(DATA),
                    "receipts": array(DATA),
                }
            )
        ),
    ),
    "hearth_getReceiptProof": Signature(
        summary="A transaction and its receipt, with Merkle paths to the sealed header",
        params=(need("transaction", HASH),),
        result=maybe(
            record(
                {
                    "header": _HEADER,
                    "seal": maybe(_SEAL),
                    "index": INTEGER,
                    "count": INTEGER,
                    "transaction": DATA,
                    "transactionPath": array(HASH),
                    "receipt": DATA,
                    "receiptPath": array(HASH),
                }
            )
        ),
    ),
    "hearth_attest": Signature(
        summary="Signs a nonce: this is the head, and nothing above it was committed here",
        params=(need("nonce", HASH),),
        result=record(
            {
                "header": _HEADER,
                "seal": maybe(_SEAL),
                "height": INTEGER,
                "hash": HASH,
                "stateRoot": HASH,
                "nonce": HASH,
                "member": INTEGER,
                "signature": DATA,
            }
        ),
    ),
    "hearth_holdSnapshot": Signature(
        summary="Holds the state at the head for a backup, and returns its block",
        result=record({"header": _HEADER, "seal": maybe(_SEAL)}),
        needs_token=True,
    ),
    "hearth_getSnapshotPart": Signature(
        summary="A part of an item of the state that is held",
        params=(need("snapshot", HASH), need("item", INTEGER), need("offset", INTEGER)),
        result=record({"total": INTEGER, "data": DATA}),
        needs_token=True,
    ),
    "hearth_contracts": Signature(
        summary="The native contracts", result=array(record({"name": TEXT, "address": ADDRESS}))
    ),
    "hearth_abi": Signature(
        summary="A native contract's ABI", params=(need("contract", TEXT),), result=array(_OPEN)
    ),
    "hearth_call": Signature(
        summary="Calls a native contract by name, in plain JSON",
        params=(
            need(
                "call",
                record(
                    {"contract": TEXT, "method": TEXT, "args": ANY, "from": ADDRESS},
                    "args", "from",
                ),
            ),
        ),
        result=ANY,
    ),
    "hearth_pending": Signature(
        summary="How much waits; with an address, its next nonce",
        params=(may("address", ADDRESS),),
        result=record({"count": INTEGER, "nonce": INTEGER}, "nonce"),
    ),
    "hearth_submit": Signature(
        summary="Submits a transaction, waits for its seal and returns the receipt",
        params=(need("transaction", DATA), may("timeoutMs", INTEGER)),
        result=RECEIPT,
    ),
    "hearth_relaySend": Signature(
        summary="Sends a sealed envelope to a member",
        params=(need("envelope", _OPEN),),
        result=BOOL,
        needs_token=True,
    ),
    "hearth_adminPartition": Signature(
        summary="Testnets only: cuts this node off from members",
        params=(need("members", array(one_of(TEXT, INTEGER))),),
        result=array(TEXT),
        needs_token=True,
    ),
    "hearth_adminHeal": Signature(
        summary="Testnets only: ends a partition", result=BOOL, needs_token=True
    ),
    "hearth_subscribe": Signature(
        summary="Pushes every block with its logs from a height on, each once",
        params=(
            need("kind", {"type": "string", "const": "blocks"}),
            may("options", record({"fromHeight": INTEGER}, "fromHeight")),
        ),
        result=TEXT,
        is_socket=True,
    ),
    "hearth_unsubscribe": Signature(
        summary="Ends a subscription",
        params=(need("subscription", TEXT),),
        result=BOOL,
        is_socket=True,
    ),
    "hearth_relaySubscribe": Signature(
        summary="Pushes the envelopes to some keys",
        params=(need("keys", array(DATA)),),
        result=TEXT,
        needs_token=True,
        is_socket=True,
    ),
}  # fmt: skip
