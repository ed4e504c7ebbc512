"""Blocks, transactions, receipts and logs in the shapes that Ethereum's clients read."""

from functools import lru_cache

from consensus.certificates import Seal
from crypto import rlp
from crypto.hashing import keccak256
from node.log_query import log_entries
from node.records import BlockRecord, LogEntry
from node.rpc.values import Out, to_data, to_quantity
from vm.activation import ACTIVATION_TYPE
from vm.block import Header
from vm.bytecode import COINBASE, prev_randao
from vm.context import BlockInfo
from vm.receipt import logs_bloom
from vm.transaction import DEADLINE_TYPE, Transaction, TxKind, decode

ZERO_ADDRESS = to_data(bytes(20))
EMPTY_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
"""Keccak-256 of an empty RLP list: what Ethereum's headers hold since there are no uncles."""
EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""Root of Ethereum's empty trie: of no withdrawals."""
TRANSACTIONS_CACHED = 4_096


@lru_cache(TRANSACTIONS_CACHED)
def decode_cached(raw: bytes) -> Transaction:
    """Return a stored transaction; its sender, once recovered, stays with it."""
    return decode(raw)


def is_unsigned(raw: bytes) -> bool:
    """Whether a raw transaction has no signer: due deadlines, or a change of the members."""
    return raw[0] in (DEADLINE_TYPE, ACTIVATION_TYPE)


def sender_of(raw: bytes) -> bytes:
    """Return the 20-byte sender of a stored transaction; zero for the chain's own."""
    return bytes(20) if is_unsigned(raw) else decode_cached(raw).sender()


def block_json(record: BlockRecord, gas_limit: int, *, is_full: bool) -> dict[str, Out]:
    """Return a block; `is_full` lists whole transactions in place of hashes.

    Fields that mean nothing here (difficulty, uncles, nonce) have the constants that
    Ethereum has since proof of stake, because clients insist on their presence.
    """
    header = record.header
    logs = [log for receipt in record.receipts for log in receipt.logs]
    transactions: list[Out] = (
        [transaction_json(record, index) for index in range(len(record.transactions))]
        if is_full
        else [to_data(each) for each in record.transaction_hashes]
    )
    return {
        **_header_json(header, record.hash, gas_limit),
        "logsBloom": to_data(logs_bloom(logs)),
        "size": to_quantity(sum(map(len, record.transactions)) + len(header.to_bytes())),
        "transactions": transactions,
        "uncles": [],
        "withdrawals": [],
    }


def _header_json(header: Header, block_hash: bytes, gas_limit: int) -> dict[str, Out]:
    return {
        "number": to_quantity(header.number),
        "hash": to_data(block_hash),
        "parentHash": to_data(header.parent_hash),
        "timestamp": to_quantity(header.time_ms // 1000),
        "timestampMs": to_quantity(header.time_ms),
        "transactionsRoot": to_data(header.transactions_root),
        "stateRoot": to_data(header.state_root),
        "receiptsRoot": to_data(header.receipts_root),
        "withdrawalsRoot": EMPTY_TRIE,
        "gasUsed": to_quantity(header.gas_used),
        "gasLimit": to_quantity(gas_limit),
        "baseFeePerGas": "0x0",
        "miner": to_data(COINBASE),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "mixHash": to_data(_prev_randao(header).to_bytes(32, "big")),
        "nonce": "0x0000000000000000",
        "sha3Uncles": EMPTY_UNCLES,
    }


def _prev_randao(header: Header) -> int:
    """Return what PREVRANDAO was in the block."""
    return prev_randao(
        BlockInfo(
            height=header.number, time_ms=header.time_ms, window=0, parent_hash=header.parent_hash
        )
    )


def head_json(record: BlockRecord, gas_limit: int) -> dict[str, Out]:
    """Return what a `newHeads` subscriber gets: the block without its transactions."""
    head = block_json(record, gas_limit, is_full=False)
    del head["transactions"], head["uncles"], head["withdrawals"], head["size"]
    return head


def transaction_json(record: BlockRecord, index: int) -> dict[str, Out]:
    """Return a sealed transaction."""
    place: dict[str, Out] = {
        "blockHash": to_data(record.hash),
        "blockNumber": to_quantity(record.height),
        "blockTimestamp": to_quantity(record.header.time_ms // 1000),
        "transactionIndex": to_quantity(index),
    }
    raw = record.transactions[index]
    if is_unsigned(raw):
        return {**_unsigned_json(record.transaction_hashes[index]), **place}
    return {**_signed_json(decode_cached(raw)), **place}


def pending_json(tx: Transaction) -> dict[str, Out]:
    """Return a transaction that waits: it has no place yet."""
    return {
        **_signed_json(tx),
        "blockHash": None,
        "blockNumber": None,
        "blockTimestamp": None,
        "transactionIndex": None,
    }


def _signed_json(tx: Transaction) -> dict[str, Out]:
    answer: dict[str, Out] = {
        "type": to_quantity(tx.kind),
        "hash": to_data(tx.hash),
        "from": to_data(tx.sender()),
        "to": None if tx.to is None else to_data(tx.to),
        "nonce": to_quantity(tx.nonce),
        "gas": to_quantity(tx.gas_limit),
        "gasPrice": to_quantity(tx.gas_price),
        "value": to_quantity(tx.value),
        "input": to_data(tx.data),
        "chainId": to_quantity(tx.chain_id),
        "r": to_quantity(tx.r),
        "s": to_quantity(tx.s),
    }
    if tx.kind is TxKind.LEGACY:
        answer["v"] = to_quantity(35 + 2 * tx.chain_id + tx.y_parity)
        return answer
    answer["v"] = answer["yParity"] = to_quantity(tx.y_parity)
    answer["accessList"] = [
        {"address": to_data(address), "storageKeys": [to_data(key) for key in keys]}
        for address, keys in tx.access_list
    ]
    if tx.kind is TxKind.DYNAMIC_FEE:
        answer["maxFeePerGas"] = to_quantity(tx.max_fee)
        answer["maxPriorityFeePerGas"] = to_quantity(tx.max_priority)
    return answer


def _unsigned_json(tx_hash: bytes) -> dict[str, Out]:
    """Return the chain's own transaction in a legacy one's shape, so that clients can parse it."""
    return {
        "type": "0x0",
        "hash": to_data(tx_hash),
        "from": ZERO_ADDRESS,
        "to": ZERO_ADDRESS,
        "nonce": "0x0",
        "gas": "0x0",
        "gasPrice": "0x0",
        "value": "0x0",
        "input": "0x",
        "v": "0x1b",
        "r": "0x0",
        "s": "0x0",
    }


def receipt_json(record: BlockRecord, index: int) -> dict[str, Out]:
    """Return the receipt of one transaction of a block."""
    receipt = record.receipts[index]
    raw = record.transactions[index]
    tx = None if is_unsigned(raw) else decode_cached(raw)
    to = None if tx is None or tx.to is None else to_data(tx.to)
    logs = [entry for entry in log_entries(record) if entry.transaction_index == index]
    created = None if tx is None or tx.to is not None else created_address(tx)
    return {
        "type": to_quantity(tx.kind if tx is not None else 0),
        "transactionHash": to_data(record.transaction_hashes[index]),
        "transactionIndex": to_quantity(index),
        "blockHash": to_data(record.hash),
        "blockNumber": to_quantity(record.height),
        "from": to_data(sender_of(raw)),
        "to": to,
        "contractAddress": None if created is None else to_data(created),
        "status": to_quantity(receipt.status),
        "gasUsed": to_quantity(receipt.gas_used),
        "cumulativeGasUsed": to_quantity(receipt.cumulative_gas),
        "effectiveGasPrice": "0x0",
        "logs": [log_json(entry) for entry in logs],
        "logsBloom": to_data(logs_bloom(receipt.logs)),
        "output": to_data(receipt.output),
    }


def created_address(tx: Transaction) -> bytes:
    """Return the address of the contract that a transaction without `to` creates.

    It is the last 20 bytes of Keccak-256 of RLP [sender, nonce] (Yellow Paper, equation 87).
    """
    return keccak256(rlp.encode([tx.sender(), rlp.encode_int(tx.nonce)]))[12:]


def log_json(entry: LogEntry) -> dict[str, Out]:
    """Return a log with its place."""
    return {
        "address": to_data(entry.log.address),
        "topics": [to_data(topic) for topic in entry.log.topics],
        "data": to_data(entry.log.data),
        "blockNumber": to_quantity(entry.height),
        "blockHash": to_data(entry.block_hash),
        "blockTimestamp": to_quantity(entry.time_ms // 1000),
        "transactionHash": to_data(entry.transaction_hash),
        "transactionIndex": to_quantity(entry.transaction_index),
        "logIndex": to_quantity(entry.log_index),
        "removed": False,
    }


def seal_json(seal: Seal | None) -> dict[str, Out] | None:
    """Return a seal in our own shape: the view and its members' signatures."""
    if seal is None:
        return None
    return {
        "view": seal.view,
        "signatures": [
            {"member": member, "signature": to_data(signature)}
            for member, signature in seal.signatures
        ],
    }


def header_json(header: Header) -> dict[str, Out]:
    """Return a header in our own shape: its bytes, from which anybody computes the hash."""
    return {
        "version": header.version,
        "number": header.number,
        "hash": to_data(header.hash),
        "parentHash": to_data(header.parent_hash),
        "timeMs": header.time_ms,
        "transactionsRoot": to_data(header.transactions_root),
        "stateRoot": to_data(header.state_root),
        "receiptsRoot": to_data(header.receipts_root),
        "nextMembersHash": to_data(header.next_members_hash),
        "gasUsed": header.gas_used,
        "bytes": to_data(header.to_bytes()),
    }
