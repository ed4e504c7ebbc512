"""JSON Schemas of what the RPC takes and gives; the OpenRPC document is made of them.

A schema that several methods share stands in `COMPONENTS` and is referred to by name.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from node.rpc.values import Out

Schema: TypeAlias = Mapping[str, Out]

BOOL: Final[Schema] = {"type": "boolean"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
TEXT: Final[Schema] = {"type": "string"}
NULL: Final[Schema] = {"type": "null"}
ANY: Final[Schema] = {}


def ref(name: str) -> Schema:
    """Return a reference to one of the `COMPONENTS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"oneOf": [schema, NULL]}


def one_of(*schemas: Schema) -> Schema:
    """Return the schema of a value that fits at least one of `schemas`."""
    return {"anyOf": list(schemas)}


def words(*choices: str) -> Schema:
    """Return the schema of one of some words."""
    return {"type": "string", "enum": list(choices)}


def record(properties: Mapping[str, Schema], *optional: str, is_open: bool = False) -> Schema:
    """Return the schema of an object whose properties are required but for the `optional` ones."""
    required: Sequence[str] = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": is_open,
    }


def dictionary(values: Schema) -> Schema:
    """Return the schema of an object with any keys."""
    return {"type": "object", "additionalProperties": values}


def _hex(length: int) -> Schema:
    return {"type": "string", "pattern": f"^0x[0-9a-fA-F]{{{2 * length}}}$"}


QUANTITY: Final = ref("Quantity")
DATA: Final = ref("Data")
HASH: Final = ref("Hash")
ADDRESS: Final = ref("Address")
BLOOM: Final = ref("Bloom")
BLOCK_ID: Final = ref("BlockId")
BLOCK: Final = ref("Block")
TRANSACTION: Final = ref("Transaction")
RECEIPT: Final = ref("Receipt")
LOG: Final = ref("Log")
LOG_FILTER: Final = ref("LogFilter")
CALL: Final = ref("Call")
ACCESS_LIST: Final = ref("AccessList")

_HEADER: Final[dict[str, Schema]] = {
    "number": QUANTITY,
    "hash": HASH,
    "parentHash": HASH,
    "timestamp": QUANTITY,
    "timestampMs": QUANTITY,
    "transactionsRoot": HASH,
    "stateRoot": HASH,
    "receiptsRoot": HASH,
    "withdrawalsRoot": HASH,
    "gasUsed": QUANTITY,
    "gasLimit": QUANTITY,
    "baseFeePerGas": QUANTITY,
    "miner": ADDRESS,
    "difficulty": QUANTITY,
    "totalDifficulty": QUANTITY,
    "extraData": DATA,
    "mixHash": HASH,
    "nonce": _hex(8),
    "sha3Uncles": HASH,
    "logsBloom": BLOOM,
}

_TRANSACTION: Final[dict[str, Schema]] = {
    "blockHash": maybe(HASH),
    "blockNumber": maybe(QUANTITY),
    "blockTimestamp": maybe(QUANTITY),
    "transactionIndex": maybe(QUANTITY),
    "type": QUANTITY,
    "hash": HASH,
    "from": ADDRESS,
    "to": maybe(ADDRESS),
    "nonce": QUANTITY,
    "gas": QUANTITY,
    "gasPrice": QUANTITY,
    "value": QUANTITY,
    "input": DATA,
    "v": QUANTITY,
    "r": QUANTITY,
    "s": QUANTITY,
    "chainId": QUANTITY,
    "yParity": QUANTITY,
    "accessList": ACCESS_LIST,
    "maxFeePerGas": QUANTITY,
    "maxPriorityFeePerGas": QUANTITY,
}

_TOPIC: Final[Schema] = one_of(NULL, HASH, array(maybe(HASH)))

COMPONENTS: Final[Mapping[str, Schema]] = {
    "Quantity": {
        "type": "string",
        "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$",
        "description": "An integer in hex, without leading zeros",
    },
    "Data": {
        "type": "string",
        "pattern": "^0x([0-9a-fA-F]{2})*$",
        "description": "Bytes in hex",
    },
    "Hash": {**_hex(32), "description": "32 bytes in hex"},
    "Address": {**_hex(20), "description": "20 bytes in hex"},
    "Bloom": {**_hex(256), "description": "Bloom filter of logs, 256 bytes in hex"},
    "BlockId": {
        **one_of(
            words("latest", "safe", "finalized", "pending", "earliest"),
            QUANTITY,
            HASH,
            record({"blockNumber": QUANTITY}),
            record({"blockHash": HASH, "requireCanonical": BOOL}, "requireCanonical"),
        ),
        "description": "A tag, a height, a hash, or EIP-1898's object; every block is canonical",
    },
    "Block": record(
        {
            **_HEADER,
            "size": QUANTITY,
            "transactions": array(one_of(HASH, TRANSACTION)),
            "uncles": array(HASH),
            "withdrawals": array(ANY),
        }
    ),
    "Transaction": record(
        _TRANSACTION, "chainId", "yParity", "accessList", "maxFeePerGas", "maxPriorityFeePerGas"
    ),
    "Receipt": record(
        {
            "type": QUANTITY,
            "transactionHash": HASH,
            "transactionIndex": QUANTITY,
            "blockHash": HASH,
            "blockNumber": QUANTITY,
            "from": ADDRESS,
            "to": maybe(ADDRESS),
            "contractAddress": maybe(ADDRESS),
            "status": QUANTITY,
            "gasUsed": QUANTITY,
            "cumulativeGasUsed": QUANTITY,
            "effectiveGasPrice": QUANTITY,
            "logs": array(LOG),
            "logsBloom": BLOOM,
            "output": DATA,
        }
    ),
    "Log": record(
        {
            "address": ADDRESS,
            "topics": array(HASH),
            "data": DATA,
            "blockNumber": QUANTITY,
            "blockHash": HASH,
            "blockTimestamp": QUANTITY,
            "transactionHash": HASH,
            "transactionIndex": QUANTITY,
            "logIndex": QUANTITY,
            "removed": BOOL,
        }
    ),
    "LogFilter": record(
        {
            "fromBlock": BLOCK_ID,
            "toBlock": BLOCK_ID,
            "blockHash": HASH,
            "address": one_of(ADDRESS, array(ADDRESS)),
            "topics": array(_TOPIC),
        },
        "fromBlock", "toBlock", "blockHash", "address", "topics",
    ),
    "AccessList": array(record({"address": ADDRESS, "storageKeys": array(HASH)})),
    "Call": record(
        {
            "from": ADDRESS,
            "to": maybe(ADDRESS),
            "gas": QUANTITY,
            "gasPrice": QUANTITY,
            "maxFeePerGas": QUANTITY,
            "maxPriorityFeePerGas": QUANTITY,
            "value": QUANTITY,
            "nonce": QUANTITY,
            "data": DATA,
            "input": DATA,
            "accessList": ACCESS_LIST,
            "chainId": QUANTITY,
            "type": QUANTITY,
        },
        "from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "nonce",
        "data", "input", "accessList", "chainId", "type",
    ),
}  # fmt: skip
