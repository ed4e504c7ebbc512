"""`eth_`, `net_` and `web3_` without the state: the node, blocks, transactions, logs, filters."""

import asyncio
from collections.abc import Callable
from typing import final

from crypto.hashing import keccak256
from node.chain import VERSION, Chain
from node.protocols import protocol_status
from node.rpc.chain_reads import (
    check_range,
    find_logs,
    find_record,
    oldest_state,
    read_log_range,
)
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.filters import Filters
from node.rpc.submissions import (
    RECEIPT_MIN_MS,
    SUBMIT_TIMEOUT_MAX_MS,
    SUBMIT_TIMEOUT_MS,
    Submissions,
)
from node.rpc.values import (
    U64_MAX,
    Args,
    BadValue,
    Json,
    Out,
    read_block,
    read_bool,
    read_data,
    read_hash,
    read_int,
    read_list,
    read_quantity,
    read_text,
    to_data,
    to_quantity,
)
from node.rpc.views import (
    block_json,
    log_json,
    pending_json,
    receipt_json,
    transaction_json,
)
from vm.transaction import TX_BYTES_MAX
from vm.versions import STORAGE_VERSION, WIRE_VERSION

FEE_HISTORY_MAX = 1_024
FEE_HISTORY_SLICE = 16
"""Blocks that are read between two turns of the event loop: full ones take a millisecond each."""
PERCENTILES_MAX = 100
_FILTER_ID_LENGTH = 34


@final
class EthMethods:
    """Handlers over one chain; each takes the positional arguments of a call.

    Attributes:
        submissions: the calls that wait for a seal.
    """

    def __init__(
        self,
        chain: Chain,
        peers: Callable[[], int],
        filters: Filters,
        receipt_min_ms: int = RECEIPT_MIN_MS,
    ) -> None:
        """Serve `chain`.

        Args:
            chain: that is asked.
            peers: says how many members this node is linked with.
            filters: that are polled.
            receipt_min_ms: how old a client's transaction is when its receipt is first answered.
        """
        self._chain = chain
        self._peers = peers
        self._filters = filters
        self._gas_limit = chain.genesis.block_gas_limit
        self.submissions = Submissions(chain, receipt_min_ms)

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "web3_clientVersion": self.client_version,
            "web3_sha3": self.sha3,
            "net_version": lambda _: str(self._chain.chain_id),
            "net_listening": lambda _: True,
            "net_peerCount": lambda _: to_quantity(self._peers()),
            "eth_chainId": lambda _: to_quantity(self._chain.chain_id),
            "eth_syncing": self.syncing,
            "eth_blockNumber": lambda _: to_quantity(self._chain.height),
            "eth_accounts": lambda _: [],
            "eth_gasPrice": lambda _: "0x0",
            "eth_maxPriorityFeePerGas": lambda _: "0x0",
            "eth_baseFee": lambda _: "0x0",
            "eth_feeHistory": self.fee_history,
            "eth_capabilities": self.capabilities,
            "eth_getBlockByNumber": self.block,
            "eth_getBlockByHash": self.block,
            "eth_getBlockReceipts": self.block_receipts,
            "eth_getBlockTransactionCountByNumber": self.block_count,
            "eth_getBlockTransactionCountByHash": self.block_count,
            "eth_getTransactionByBlockNumberAndIndex": self.at_index,
            "eth_getTransactionByBlockHashAndIndex": self.at_index,
            "eth_getUncleCountByBlockNumber": self.uncle_count,
            "eth_getUncleCountByBlockHash": self.uncle_count,
            "eth_getTransactionByHash": self.transaction,
            "eth_getTransactionReceipt": self.receipt,
            "eth_sendRawTransactionSync": self.send_sync,
            "eth_getLogs": self.logs,
            "eth_newFilter": self.new_filter,
            "eth_newBlockFilter": lambda _: self._filters.add_blocks(),
            "eth_newPendingTransactionFilter": self.new_pending_filter,
            "eth_getFilterChanges": self.filter_changes,
            "eth_getFilterLogs": self.filter_logs,
            "eth_uninstallFilter": self.uninstall,
        }

    # The node.

    def client_version(self, _: Args) -> Out:
        protocol = protocol_status(self._chain).in_force.version
        return f"hearth/{VERSION}/protocol-{protocol}/wire-{WIRE_VERSION}/storage-{STORAGE_VERSION}"

    def sha3(self, args: Args) -> Out:
        return to_data(keccak256(read_data(args.get(0), "data")))

    def syncing(self, _: Args) -> Out:
        """False, or the height while the node only follows (it cannot know how far is left)."""
        if not self._chain.status().is_learner:
            return False
        height = to_quantity(self._chain.height)
        return {"startingBlock": "0x0", "currentBlock": height, "highestBlock": height}

    async def fee_history(self, args: Args) -> Out:
        """Zero fees over real gas ratios: wallets that ask so get an answer they can use."""
        asked = read_quantity(args.get(0), "blockCount", U64_MAX)
        record = find_record(self._chain, read_block(args.get(1), "newestBlock"))
        if record is None:
            raise BadValue("newestBlock: is above the head")
        percentiles = args.get(2)
        rewards = 0 if percentiles is None else _percentiles(percentiles)
        kept = record.height + 1 - min(record.height, self._chain.oldest_block)
        count = min(asked, FEE_HISTORY_MAX, kept)
        first = record.height + 1 - count
        ratios: list[Out] = []
        for height in range(first, record.height + 1):
            header = self._chain.header(height)
            assert header is not None, "from the oldest block on every height has a header"
            ratios.append(header.gas_used / self._gas_limit)
            if len(ratios) % FEE_HISTORY_SLICE == 0:
                await asyncio.sleep(0)
        answer: dict[str, Out] = {
            "oldestBlock": to_quantity(first),
            "baseFeePerGas": ["0x0"] * (count + 1 if count else 0),
            "gasUsedRatio": ratios,
        }
        if rewards:
            answer["reward"] = [["0x0"] * rewards for _ in range(count)]
        return answer

    def capabilities(self, _: Args) -> Out:
        """From which block on what can be asked: where a snapshot began, what was before is not."""
        chain = self._chain
        height = to_quantity(chain.height)
        everything: Out = {"disabled": False, "oldestBlock": to_quantity(chain.oldest_block)}
        return {
            "head": {"number": height, "hash": to_data(chain.head.hash)},
            "state": {"disabled": False, "oldestBlock": to_quantity(oldest_state(chain))},
            "tx": everything,
            "logs": everything,
            "receipts": everything,
            "blocks": everything,
            # Of the head only, and not by eth_getProof: hearth_getProof is ours.
            "stateproofs": {"disabled": True, "oldestBlock": height},
        }

    # Blocks and transactions.

    def block(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(args.get(0)))
        is_full = read_bool(args.get(1), "full")
        return None if record is None else block_json(record, self._gas_limit, is_full=is_full)

    def block_receipts(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(args.get(0)))
        if record is None:
            return None
        return [receipt_json(record, index) for index in range(len(record.transactions))]

    def block_count(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(args.get(0)))
        return None if record is None else to_quantity(len(record.transactions))

    def at_index(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(args.get(0)))
        index = read_quantity(args.get(1), "index", U64_MAX)
        if record is None or index >= len(record.transactions):
            return None
        return transaction_json(record, index)

    def uncle_count(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(args.get(0)))
        return None if record is None else "0x0"

    def transaction(self, args: Args) -> Out:
        digest = read_hash(args.get(0), "hash")
        place = self._chain.transaction(digest)
        if place is None:
            waiting = self._chain.pending_transaction(digest)
            return None if waiting is None else pending_json(waiting)
        record = self._chain.record(place[0])
        assert record is not None, "the index points at stored blocks"
        return transaction_json(record, place[1])

    async def receipt(self, args: Args) -> Out:
        digest = read_hash(args.get(0), "hash")
        await self.submissions.linger(digest, args.client)
        return self.receipt_of(digest)

    def receipt_of(self, digest: bytes) -> dict[str, Out] | None:
        """Return the receipt of a sealed transaction, None if it is not sealed."""
        place = self._chain.transaction(digest)
        if place is None:
            return None
        record = self._chain.record(place[0])
        assert record is not None, "the index points at stored blocks"
        return receipt_json(record, place[1])

    async def send_sync(self, args: Args) -> Out:
        """Submit a raw transaction and return its receipt (EIP-7966).

        The timeout is a plain number of milliseconds, as viem and geth have it; 0 or none means
        our own, and more than our longest is that.
        """
        raw = read_data(args.get(0), "transaction", max_length=TX_BYTES_MAX)
        wanted = args.get(1)
        timeout_ms = 0 if wanted is None else read_int(wanted, "timeoutMs", 0, U64_MAX)
        timeout_ms = min(timeout_ms or SUBMIT_TIMEOUT_MS, SUBMIT_TIMEOUT_MAX_MS)
        try:
            digest = await self.submissions.submit(raw, timeout_ms, args.client)
        except RpcFault as fault:
            if fault.code != Code.NOT_SEALED:
                raise
            data = to_data(keccak256(raw))
            raise RpcFault(Code.SYNC_TIMEOUT, fault.message, data) from None
        return self.receipt_of(digest)

    # Logs and filters.

    async def logs(self, args: Args) -> Out:
        range_ = read_log_range(self._chain, args.get(0))
        last = self._chain.height if range_.last is None else range_.last
        if last > self._chain.height:
            raise BadValue("block range extends beyond current head block")
        check_range(range_.first, last)
        found = await find_logs(self._chain, range_, range_.first, last)
        return [log_json(entry) for entry in found]

    def new_filter(self, args: Args) -> Out:
        return self._filters.add_logs(read_log_range(self._chain, args.get(0)))

    def new_pending_filter(self, args: Args) -> Out:
        return self._filters.add_pending(is_full=read_bool(args.get(0), "full"))

    async def filter_changes(self, args: Args) -> Out:
        return await self._filters.changes(read_text(args.get(0), "filter", _FILTER_ID_LENGTH))

    async def filter_logs(self, args: Args) -> Out:
        return await self._filters.logs(read_text(args.get(0), "filter", _FILTER_ID_LENGTH))

    def uninstall(self, args: Args) -> Out:
        return self._filters.remove(read_text(args.get(0), "filter", _FILTER_ID_LENGTH))


def _percentiles(value: Json) -> int:
    """Return how many percentiles are asked for; they must ascend within 0..100."""
    numbers = read_list(value, "rewardPercentiles", PERCENTILES_MAX)
    before = 0.0
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise BadValue("rewardPercentiles: must be numbers")
        if not before <= number <= 100:
            raise BadValue("rewardPercentiles: must ascend within 0..100")
        before = float(number)
    return len(numbers)
