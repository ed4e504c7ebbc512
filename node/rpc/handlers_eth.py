"""`eth_`, `net_` and `web3_`: what Ethereum's wallets and libraries call, on the sealed head."""

from typing import final

from crypto.hashing import keccak256
from node.chain import VERSION, Chain
from node.p2p.network import PeerNetwork
from node.rpc.chain_reads import find_logs, find_record, read_call, read_log_range, require_head
from node.rpc.dispatch import Method
from node.rpc.errors import reverted
from node.rpc.filters import Filters
from node.rpc.values import (
    U64_MAX,
    Args,
    BadValue,
    Json,
    Out,
    Tag,
    read_address,
    read_block,
    read_bool,
    read_data,
    read_hash,
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
from vm.errors import CallReverted
from vm.native import SENTINEL_CODE
from vm.transaction import TX_BYTES_MAX

FEE_HISTORY_MAX = 1_024
PERCENTILES_MAX = 100
_FILTER_ID_LENGTH = 34


@final
class EthMethods:
    """Handlers over one chain; each takes the positional arguments of a call."""

    def __init__(self, chain: Chain, network: PeerNetwork, filters: Filters) -> None:
        self._chain = chain
        self._network = network
        self._filters = filters
        self._gas_limit = chain.genesis.block_gas_limit

    def table(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "web3_clientVersion": Method(handler=self.client_version),
            "web3_sha3": Method(handler=self.sha3, required=1),
            "net_version": Method(handler=lambda _: str(self._chain.chain_id)),
            "net_listening": Method(handler=lambda _: True),
            "net_peerCount": Method(handler=lambda _: to_quantity(len(self._network.up))),
            "eth_chainId": Method(handler=lambda _: to_quantity(self._chain.chain_id)),
            "eth_syncing": Method(handler=self.syncing),
            "eth_blockNumber": Method(handler=lambda _: to_quantity(self._chain.height)),
            "eth_accounts": Method(handler=lambda _: []),
            "eth_gasPrice": Method(handler=lambda _: "0x0"),
            "eth_maxPriorityFeePerGas": Method(handler=lambda _: "0x0"),
            "eth_feeHistory": Method(handler=self.fee_history, required=2, optional=1),
            "eth_getBalance": Method(handler=self.balance, required=1, optional=1),
            "eth_getTransactionCount": Method(handler=self.nonce, required=1, optional=1),
            "eth_getCode": Method(handler=self.code, required=1, optional=1),
            "eth_getStorageAt": Method(handler=self.storage_at, required=2, optional=1),
            "eth_getBlockByNumber": Method(handler=self.block, required=1, optional=1),
            "eth_getBlockByHash": Method(handler=self.block, required=1, optional=1),
            "eth_getBlockReceipts": Method(handler=self.block_receipts, required=1),
            "eth_getBlockTransactionCountByNumber": Method(handler=self.block_count, required=1),
            "eth_getBlockTransactionCountByHash": Method(handler=self.block_count, required=1),
            "eth_getTransactionByBlockNumberAndIndex": Method(handler=self.at_index, required=2),
            "eth_getTransactionByBlockHashAndIndex": Method(handler=self.at_index, required=2),
            "eth_getUncleCountByBlockNumber": Method(handler=self.uncle_count, required=1),
            "eth_getUncleCountByBlockHash": Method(handler=self.uncle_count, required=1),
            "eth_getTransactionByHash": Method(handler=self.transaction, required=1),
            "eth_getTransactionReceipt": Method(handler=self.receipt, required=1),
            "eth_call": Method(handler=self.call, required=1, optional=1),
            "eth_estimateGas": Method(handler=self.estimate_gas, required=1, optional=1),
            "eth_sendRawTransaction": Method(handler=self.send_raw, required=1),
            "eth_getLogs": Method(handler=self.logs, required=1),
            "eth_newFilter": Method(handler=self.new_filter, required=1),
            "eth_newBlockFilter": Method(handler=lambda _: self._filters.add_blocks()),
            "eth_newPendingTransactionFilter": Method(
                handler=lambda _: self._filters.add_pending(), optional=1
            ),
            "eth_getFilterChanges": Method(handler=self.filter_changes, required=1),
            "eth_getFilterLogs": Method(handler=self.filter_logs, required=1),
            "eth_uninstallFilter": Method(handler=self.uninstall, required=1),
        }

    # The node.

    def client_version(self, _: Args) -> Out:
        return f"hearth/{VERSION}"

    def sha3(self, args: Args) -> Out:
        return to_data(keccak256(read_data(args.get(0), "data")))

    def syncing(self, _: Args) -> Out:
        """False, or the height while the node only follows (it cannot know how far is left)."""
        if not self._chain.status().is_learner:
            return False
        height = to_quantity(self._chain.height)
        return {"startingBlock": "0x0", "currentBlock": height, "highestBlock": height}

    def fee_history(self, args: Args) -> Out:
        """Zero fees over real gas ratios: wallets that ask so get an answer they can use."""
        asked = read_quantity(args.get(0), "blockCount", U64_MAX)
        record = find_record(self._chain, read_block(args.get(1), "newestBlock"))
        if record is None:
            raise BadValue("newestBlock: is above the head")
        percentiles = args.get(2)
        rewards = 0 if percentiles is None else _percentiles(percentiles)
        count = min(asked, FEE_HISTORY_MAX, record.height + 1)
        first = record.height + 1 - count
        ratios: list[Out] = []
        for height in range(first, record.height + 1):
            header = self._chain.header(height)
            assert header is not None, "every height up to the head has a header"
            ratios.append(header.gas_used / self._gas_limit)
        answer: dict[str, Out] = {
            "oldestBlock": to_quantity(first),
            "baseFeePerGas": ["0x0"] * (count + 1 if count else 0),
            "gasUsedRatio": ratios,
        }
        if rewards:
            answer["reward"] = [["0x0"] * rewards for _ in range(count)]
        return answer

    # Accounts.

    def balance(self, args: Args) -> Out:
        """The gas that the account's sponsor may still use in this window, as a native balance.

        There is no coin; wallets that would say "insufficient funds" see what really limits.
        """
        require_head(self._chain, args.get(1))
        address = read_address(args.get(0), "address")
        return to_quantity(self._chain.account(address).quota_left)

    def nonce(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        if require_head(self._chain, args.get(1)) is Tag.PENDING:
            return to_quantity(self._chain.pending_nonce(address))
        return to_quantity(self._chain.account(address).nonce)

    def code(self, args: Args) -> Out:
        require_head(self._chain, args.get(1))
        address = read_address(args.get(0), "address")
        return to_data(SENTINEL_CODE) if address in self._chain.machine.contracts else "0x"

    def storage_at(self, args: Args) -> Out:
        """Zero: native contracts keep no EVM storage; `hearth_getProof` reads their state."""
        read_address(args.get(0), "address")
        slot = args.get(1)
        if not isinstance(slot, str) or not slot.startswith("0x") or len(slot) > 66:
            raise BadValue("slot: must be 0x-hex of at most 32 bytes")
        require_head(self._chain, args.get(2))
        return to_data(bytes(32))

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

    def receipt(self, args: Args) -> Out:
        return self.receipt_of(read_hash(args.get(0), "hash"))

    def receipt_of(self, digest: bytes) -> dict[str, Out] | None:
        """Return the receipt of a sealed transaction, None if it is not sealed."""
        place = self._chain.transaction(digest)
        if place is None:
            return None
        record = self._chain.record(place[0])
        assert record is not None, "the index points at stored blocks"
        return receipt_json(record, place[1])

    # Calls and transactions.

    def call(self, args: Args) -> Out:
        require_head(self._chain, args.get(1))
        call = read_call(self._chain, args.get(0))
        result = self._chain.call(call.to, call.data, sender=call.sender, gas=call.gas)
        if result.status == 0:
            raise reverted(result.output)
        return to_data(result.output)

    def estimate_gas(self, args: Args) -> Out:
        require_head(self._chain, args.get(1))
        call = read_call(self._chain, args.get(0))
        try:
            gas = self._chain.estimate_gas(call.to, call.data, sender=call.sender)
        except CallReverted as error:
            raise reverted(error.output) from None
        return to_quantity(gas)

    def send_raw(self, args: Args) -> Out:
        """Admit a transaction. Its hash is no promise: a receipt is."""
        raw = read_data(args.get(0), "transaction", max_length=TX_BYTES_MAX)
        return to_data(self._chain.submit(raw))

    # Logs and filters.

    async def logs(self, args: Args) -> Out:
        range_ = read_log_range(self._chain, args.get(0))
        last = self._chain.height if range_.last is None else range_.last
        if last > self._chain.height:
            raise BadValue("block range extends beyond current head block")
        found = await find_logs(self._chain, range_, range_.first, last)
        return [log_json(entry) for entry in found]

    def new_filter(self, args: Args) -> Out:
        return self._filters.add_logs(read_log_range(self._chain, args.get(0)))

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
