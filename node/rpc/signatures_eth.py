"""Signatures of Ethereum's methods: `eth_`, `net_`, `web3_`, `txpool_` and subscriptions."""

from collections.abc import Mapping
from typing import Final

from node.rpc.schemas import (
    ACCESS_LIST,
    ADDRESS,
    BLOCK,
    BLOCK_ID,
    BOOL,
    CALL,
    DATA,
    HASH,
    INTEGER,
    LOG,
    LOG_FILTER,
    NUMBER,
    QUANTITY,
    RECEIPT,
    TEXT,
    TRANSACTION,
    Schema,
    array,
    dictionary,
    maybe,
    one_of,
    record,
    words,
)
from node.rpc.signature import Param, Signature, may, need

_ADDRESS = need("address", ADDRESS)
_AT = may("block", BLOCK_ID)
_BLOCK = need("block", BLOCK_ID)
_BLOCK_HASH = need("blockHash", HASH)
_HASH = need("transactionHash", HASH)
_INDEX = need("index", QUANTITY)
_FILTER = need("filterId", TEXT)
_SLOT: Final[Schema] = {
    "type": "string",
    "pattern": "^0x[0-9a-fA-F]{0,64}$",
    "description": "Number of a storage slot in hex, at most 32 bytes",
}
_KEPT: Final[Schema] = record({"disabled": BOOL, "oldestBlock": QUANTITY})
_POOL: Final[Schema] = dictionary(dictionary(TRANSACTION))


def _say(summary: str, *params: Param, result: Schema) -> Signature:
    return Signature(summary=summary, params=params, result=result)


NODE: Final[Mapping[str, Signature]] = {
    "web3_clientVersion": _say("Name and version of the node", result=TEXT),
    "web3_sha3": _say("Keccak-256 of some bytes", need("data", DATA), result=HASH),
    "net_version": _say("The chain id in decimal", result=TEXT),
    "net_listening": _say("Whether the node accepts links: always", result=BOOL),
    "net_peerCount": _say("Members that this node is linked with", result=QUANTITY),
    "eth_chainId": _say("The chain id, which the genesis determines", result=QUANTITY),
    "eth_syncing": _say(
        "False, or the height of a node that only follows",
        result=one_of(
            {"type": "boolean", "const": False},
            record({"startingBlock": QUANTITY, "currentBlock": QUANTITY, "highestBlock": QUANTITY}),
        ),
    ),
    "eth_blockNumber": _say("Height of the newest sealed block", result=QUANTITY),
    "eth_accounts": _say("No account: nodes hold no account's key", result=array(ADDRESS)),
    "eth_gasPrice": _say("Zero: gas has no price", result=QUANTITY),
    "eth_maxPriorityFeePerGas": _say("Zero: gas has no price", result=QUANTITY),
    "eth_baseFee": _say("Zero: gas has no price", result=QUANTITY),
    "eth_feeHistory": _say(
        "Zero fees, and how full the blocks were",
        need("blockCount", QUANTITY),
        need("newestBlock", BLOCK_ID),
        may("rewardPercentiles", maybe(array(NUMBER))),
        result=record(
            {
                "oldestBlock": QUANTITY,
                "baseFeePerGas": array(QUANTITY),
                "gasUsedRatio": array(NUMBER),
                "reward": array(array(QUANTITY)),
            },
            "reward",
        ),
    ),
    "eth_capabilities": _say(
        "From which block on the node answers what",
        result=record(
            {
                "head": record({"number": QUANTITY, "hash": HASH}),
                "state": _KEPT,
                "tx": _KEPT,
                "logs": _KEPT,
                "receipts": _KEPT,
                "blocks": _KEPT,
                "stateproofs": _KEPT,
            }
        ),
    ),
}

STATE: Final[Mapping[str, Signature]] = {
    "eth_getBalance": _say(
        "Gas that the account's sponsor may still use in the window: there is no coin",
        _ADDRESS,
        _AT,
        result=QUANTITY,
    ),
    "eth_getTransactionCount": _say(
        "Next nonce; with `pending` after those that wait", _ADDRESS, _AT, result=QUANTITY
    ),
    "eth_getCode": _say("Code of a contract", _ADDRESS, _AT, result=DATA),
    "eth_getStorageAt": _say(
        "A storage slot of a contract", _ADDRESS, need("slot", _SLOT), _AT, result=HASH
    ),
    "eth_getStorageValues": _say(
        "Storage slots of several contracts",
        need("slots", dictionary(array(_SLOT))),
        _AT,
        result=dictionary(array(HASH)),
    ),
    "eth_call": _say(
        "Executes a call, or a creation, without effect", need("call", CALL), _AT, result=DATA
    ),
    "eth_estimateGas": _say(
        "A gas limit with which a transaction would succeed",
        need("call", CALL),
        _AT,
        result=QUANTITY,
    ),
    "eth_createAccessList": _say(
        "Addresses and slots that a call touches, and its gas with them listed",
        need("call", CALL),
        _AT,
        result=record({"accessList": ACCESS_LIST, "gasUsed": QUANTITY, "error": TEXT}, "error"),
    ),
    "eth_sendRawTransaction": _say(
        "Admits a transaction; its hash is no promise, a receipt is",
        need("transaction", DATA),
        result=HASH,
    ),
    "eth_sendRawTransactionSync": _say(
        "Submits a transaction and waits for its seal: its receipt (EIP-7966)",
        need("transaction", DATA),
        may("timeoutMs", INTEGER),
        result=RECEIPT,
    ),
}

BLOCKS: Final[Mapping[str, Signature]] = {
    "eth_getBlockByNumber": _say("A block", _BLOCK, may("full", BOOL), result=maybe(BLOCK)),
    "eth_getBlockByHash": _say("A block", _BLOCK_HASH, may("full", BOOL), result=maybe(BLOCK)),
    "eth_getBlockReceipts": _say("A block's receipts", _BLOCK, result=maybe(array(RECEIPT))),
    "eth_getBlockTransactionCountByNumber": _say(
        "How many transactions a block has", _BLOCK, result=maybe(QUANTITY)
    ),
    "eth_getBlockTransactionCountByHash": _say(
        "How many transactions a block has", _BLOCK_HASH, result=maybe(QUANTITY)
    ),
    "eth_getTransactionByBlockNumberAndIndex": _say(
        "A block's transaction", _BLOCK, _INDEX, result=maybe(TRANSACTION)
    ),
    "eth_getTransactionByBlockHashAndIndex": _say(
        "A block's transaction", _BLOCK_HASH, _INDEX, result=maybe(TRANSACTION)
    ),
    "eth_getUncleCountByBlockNumber": _say("Zero", _BLOCK, result=maybe(QUANTITY)),
    "eth_getUncleCountByBlockHash": _say("Zero", _BLOCK_HASH, result=maybe(QUANTITY)),
    "eth_getTransactionByHash": _say(
        "A transaction, sealed or waiting", _HASH, result=maybe(TRANSACTION)
    ),
    "eth_getRawTransactionByHash": _say("A transaction's bytes", _HASH, result=DATA),
    "eth_getTransactionReceipt": _say(
        "What a sealed transaction did", _HASH, result=maybe(RECEIPT)
    ),
}

LOGS: Final[Mapping[str, Signature]] = {
    "eth_getLogs": _say("Logs by range, contract and topics", need("filter", LOG_FILTER),
                        result=array(LOG)),
    "eth_newFilter": _say("A log filter to poll", need("filter", LOG_FILTER), result=TEXT),
    "eth_newBlockFilter": _say("A filter of block hashes to poll", result=TEXT),
    "eth_newPendingTransactionFilter": _say(
        "A filter of admitted transactions to poll", may("full", BOOL), result=TEXT
    ),
    "eth_getFilterChanges": _say(
        "What is new since the last poll", _FILTER, result=array(one_of(HASH, LOG, TRANSACTION))
    ),
    "eth_getFilterLogs": _say("All logs of a log filter", _FILTER, result=array(LOG)),
    "eth_uninstallFilter": _say("Forgets a filter", _FILTER, result=BOOL),
}  # fmt: skip

TXPOOL: Final[Mapping[str, Signature]] = {
    "txpool_status": _say(
        "How many transactions wait, by whether they can run",
        result=record({"pending": QUANTITY, "queued": QUANTITY}),
    ),
    "txpool_content": _say(
        "What waits, by sender and nonce", result=record({"pending": _POOL, "queued": _POOL})
    ),
    "txpool_contentFrom": _say(
        "What waits of one sender, by nonce",
        _ADDRESS,
        result=record({"pending": dictionary(TRANSACTION), "queued": dictionary(TRANSACTION)}),
    ),
    "txpool_inspect": _say(
        "What waits, in words",
        result=record(
            {
                "pending": dictionary(dictionary(TEXT)),
                "queued": dictionary(dictionary(TEXT)),
            }
        ),
    ),
}

SUBSCRIPTIONS: Final[Mapping[str, Signature]] = {
    "eth_subscribe": Signature(
        summary="Pushes new heads, logs, or admitted transactions as eth_subscription",
        params=(
            need("kind", words("newHeads", "logs", "newPendingTransactions")),
            may("options", one_of(LOG_FILTER, BOOL)),
        ),
        result=TEXT,
        is_socket=True,
    ),
    "eth_unsubscribe": Signature(
        summary="Ends a subscription",
        params=(need("subscription", TEXT),),
        result=BOOL,
        is_socket=True,
    ),
}

ETHEREUM: Final[Mapping[str, Signature]] = {
    **NODE, **STATE, **BLOCKS, **LOGS, **TXPOOL, **SUBSCRIPTIONS,
}  # fmt: skip
