"""What a chain for developers serves beside a node's methods: `evm_`, `anvil_`, `hardhat_`.

Each has the name and the answer that tools know; `ALIASES` lists further names of the same.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Final, final

from crypto.hashing import keccak256
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.values import (
    Args,
    BadValue,
    Json,
    Out,
    read_address,
    read_bool,
    read_data,
    read_hash,
    read_object,
    to_data,
    to_quantity,
)
from testnet.dev.decrees import CODE_BYTES_MAX, impersonate, set_code, set_nonce, set_storage
from testnet.dev.dev_chain import MINE_MAX, SECOND, DevChain
from testnet.dev.errors import DevRefusal
from testnet.dev.readers import read_count, read_seconds, read_word
from testnet.dev.state_file import DumpedState
from testnet.dev.unsigned import SHOWS_SENDERS, corrected, send
from testnet.errors import TestnetError

INTERVAL_MAX_S: Final = 86_400
_STATE_BYTES_MAX: Final = 1 << 20
ALIASES: Final = (
    ("anvil_snapshot", "evm_snapshot"),
    ("anvil_revert", "evm_revert"),
    ("anvil_increaseTime", "evm_increaseTime"),
    ("anvil_setTime", "evm_setTime"),
    ("anvil_setNextBlockTimestamp", "evm_setNextBlockTimestamp"),
    ("hardhat_mine", "anvil_mine"),
    ("hardhat_getAutomine", "anvil_getAutomine"),
    ("hardhat_impersonateAccount", "anvil_impersonateAccount"),
    ("hardhat_stopImpersonatingAccount", "anvil_stopImpersonatingAccount"),
    ("hardhat_setCode", "anvil_setCode"),
    ("hardhat_setNonce", "anvil_setNonce"),
    ("hardhat_setStorageAt", "anvil_setStorageAt"),
    ("hardhat_setBalance", "anvil_setBalance"),
    ("hardhat_dropTransaction", "anvil_dropTransaction"),
    ("anvil_setAutomine", "evm_setAutomine"),
)


@final
class DevMethods:
    """Handlers over one chain."""

    def __init__(
        self, dev: DevChain, set_interval: Callable[[float], None], served: Mapping[str, Handler]
    ) -> None:
        """Add to what is `served` already.

        Args:
            dev: the chain.
            set_interval: takes the seconds between blocks; 0 for none by time.
            served: the node's handlers by name.
        """
        self._dev = dev
        self._set_interval = set_interval
        self._served = served

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name; some take the place of a node's."""
        handlers: dict[str, Handler] = {
            "evm_snapshot": lambda _: to_quantity(self._dev.snapshot()),
            "evm_revert": self.revert,
            "evm_increaseTime": self.increase_time,
            "evm_setTime": self.set_time,
            "evm_setNextBlockTimestamp": self.set_next_timestamp,
            "evm_mine": self.mine,
            "anvil_mine": self.mine_many,
            "evm_setAutomine": self.set_automine,
            "anvil_getAutomine": lambda _: self._dev.is_automine,
            "evm_setIntervalMining": lambda args: self.interval(args, 1 / SECOND),
            "anvil_setIntervalMining": lambda args: self.interval(args, 1),
            "anvil_impersonateAccount": self.impersonate,
            "anvil_stopImpersonatingAccount": self.stop_impersonating,
            "anvil_setCode": self.set_code,
            "anvil_setNonce": self.set_nonce,
            "anvil_setStorageAt": self.set_storage,
            "anvil_setBalance": self.set_balance,
            "anvil_dropTransaction": self.drop,
            "anvil_dumpState": lambda _: to_data(self._dev.dump().to_bytes()),
            "anvil_loadState": self.load,
            "eth_accounts": lambda _: [
                to_data(account.address) for account in self._dev.community.accounts
            ],
            "eth_sendTransaction": self.send,
            "eth_sign": self.sign,
        }
        handlers |= {alias: handlers[name] for alias, name in ALIASES}
        handlers["personal_sign"] = lambda args: self.sign(Args([args.get(1), args.get(0)]))
        handlers |= {name: corrected(self._dev, self._served[name]) for name in SHOWS_SENDERS}
        return {name: _readable(handler) for name, handler in handlers.items()}

    # Snapshots and time.

    def revert(self, args: Args) -> Out:
        return self._dev.revert(read_count(args.get(0), "snapshot", 0, 2**64))

    def increase_time(self, args: Args) -> Out:
        """Return how many seconds the clock has been moved in all, as anvil does."""
        self._dev.increase_time(read_seconds(args.get(0), "seconds"))
        return self._dev.clock.moved_ms // SECOND

    def set_time(self, args: Args) -> Out:
        """Return by how many seconds the clock jumps."""
        before = self._dev.clock.reading_ms
        time_ms = read_seconds(args.get(0), "timestamp") * SECOND
        self._dev.set_time(time_ms)
        return (time_ms - before) // SECOND

    def set_next_timestamp(self, args: Args) -> Out:
        self._dev.set_next_time(read_seconds(args.get(0), "timestamp") * SECOND)
        return None

    # Blocks.

    def mine(self, args: Args) -> Out:
        """One block, or `blocks` of them; the first at `timestamp`, if that is given."""
        given = args.get(0)
        options: dict[str, Json] = {"timestamp": given}
        if isinstance(given, dict):
            options = read_object(given, "options", ("timestamp", "blocks"))
        timestamp, blocks = options.get("timestamp"), options.get("blocks")
        count = 1 if blocks is None else read_count(blocks, "blocks", 1, MINE_MAX)
        time_ms = None if timestamp is None else read_seconds(timestamp, "timestamp") * SECOND
        self._dev.mine(time_ms)
        for _ in range(count - 1):
            self._dev.mine()
        return "0x0"

    def mine_many(self, args: Args) -> Out:
        """Blocks that lie an interval apart: a second, unless told otherwise."""
        blocks, interval = args.get(0), args.get(1)
        count = 1 if blocks is None else read_count(blocks, "blocks", 0, MINE_MAX)
        seconds = 1 if interval is None else read_seconds(interval, "interval")
        for place in range(count):
            apart_ms = seconds * SECOND if place else 0
            self._dev.mine(self._dev.chain.head.time_ms + apart_ms if apart_ms else None)
        return None

    def set_automine(self, args: Args) -> Out:
        self._dev.is_automine = read_bool(args.get(0), "enabled")
        self._dev.tick()
        return True

    def interval(self, args: Args, seconds: float) -> Out:
        """Seal a block, be it empty, each so often; 0 ends that."""
        limit = int(INTERVAL_MAX_S / seconds)
        self._set_interval(read_count(args.get(0), "interval", 0, limit) * seconds)
        return None

    def drop(self, args: Args) -> Out:
        digest = read_hash(args.get(0), "hash")
        is_there = digest in self._dev.chain.pool
        self._dev.chain.pool.remove(digest)
        return to_data(digest) if is_there else None

    # By decree.

    def impersonate(self, args: Args) -> Out:
        impersonate(self._dev, read_address(args.get(0), "address"))
        return True

    def stop_impersonating(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        was = address in self._dev.impersonated
        self._dev.impersonated.discard(address)
        return was

    def set_code(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        set_code(self._dev, address, read_data(args.get(1), "code", max_length=2 * CODE_BYTES_MAX))
        return True

    def set_nonce(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        set_nonce(self._dev, address, read_count(args.get(1), "nonce", 0, 2**64 - 1))
        return True

    def set_storage(self, args: Args) -> Out:
        address, slot = read_address(args.get(0), "address"), read_word(args.get(1), "slot")
        set_storage(self._dev, address, slot, read_word(args.get(2), "value"))
        return True

    def set_balance(self, args: Args) -> Out:
        read_address(args.get(0), "address")
        raise DevRefusal(
            "there is no coin on this chain: a balance is the gas quota that is left, which every "
            "account has anew in each window; money and energy come from the faucet"
        )

    # State.

    def load(self, args: Args) -> Out:
        data = read_data(args.get(0), "state", max_length=_STATE_BYTES_MAX)
        self._dev.load(DumpedState.from_bytes(data))
        return True

    # Accounts.

    async def send(self, args: Args) -> Out:
        return to_data(await send(self._dev, args.get(0), self._served["eth_estimateGas"]))

    def sign(self, args: Args) -> Out:
        """Sign a message under Ethereum's prefix (EIP-191, version 0x45)."""
        address, message = read_address(args.get(0), "address"), _message(args.get(1))
        key = next((k for k in self._dev.community.accounts if k.address == address), None)
        if key is None:
            raise DevRefusal(f"unknown account 0x{address.hex()}: not one of eth_accounts")
        prefix = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode()
        signature = key.sign65(keccak256(prefix + message))
        return to_data(signature[:64] + bytes((27 + signature[64],)))


def _message(value: Json) -> bytes:
    if isinstance(value, str) and not value.startswith("0x"):
        raise BadValue("message: must be 0x-hex bytes")
    return read_data(value, "message")


def _readable(handler: Handler) -> Handler:
    """Return the handler with this package's refusals in words for the caller."""

    async def answer(args: Args) -> Out:
        try:
            given = handler(args)
            return await given if isinstance(given, Coroutine) else given
        except TestnetError as error:
            raise RpcFault(Code.SERVER, str(error)) from None

    return answer
