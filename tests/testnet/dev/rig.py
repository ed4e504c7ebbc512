"""A chain for developers without sockets: its clock's source is a list that a test writes."""

from functools import cache

from market.agents.events import encode_call
from node.rpc.block_feed import BlockFeed
from node.rpc.filters import Filters
from node.rpc.views import created_address
from testnet.dev.clock import VirtualClock
from testnet.dev.community import make_community
from testnet.dev.dev_chain import DevChain
from testnet.dev.funding import fund
from vm.transaction import decode, sign_transaction

START_MS = 1_800_000_000_000
GAS = 3_000_000

# Without calldata slot 0 is counted up. With calldata its count and the time are returned.
RUNTIME = bytes.fromhex("36600e57600160005401600055005b6000546000524260205260406000f3")
INIT = bytes.fromhex("601e600c600039601e6000f3") + RUNTIME

community = cache(make_community)


class Rig:
    def __init__(self):
        self.wall = [0]
        self.clock = VirtualClock(START_MS, lambda: self.wall[0])
        self.dev = DevChain(community(), self.clock)
        fund(self.dev)
        self.filters, self.feed = Filters(self.chain, lambda: 0), BlockFeed(self.chain)
        self.dev.serve(self.filters, self.feed)

    @property
    def chain(self):
        return self.dev.chain

    @property
    def accounts(self):
        return self.dev.community.accounts

    def raw(self, sender=0, to=None, data=b"", nonce=None, gas=GAS):
        key = self.accounts[sender]
        if nonce is None:
            nonce = self.chain.pending_nonce(key.address)
        return sign_transaction(
            key, chain_id=self.chain.chain_id, nonce=nonce, to=to, gas_limit=gas, data=data
        )

    def send(self, **given):
        return self.chain.submit(self.raw(**given))

    def call_native(self, contract, function, *args, sender=0):
        to, data = encode_call(contract, function, args)
        return self.send(sender=sender, to=to, data=data)

    def receipt(self, digest):
        height, index, _ = self.chain.transaction(digest)
        return self.chain.receipts(height)[index]

    def deploy(self):
        """Return the address of a counter; account 0 creates it."""
        digest = self.send(data=INIT)
        self.dev.seal_pending()
        assert self.receipt(digest).status == 1
        return created_address(decode(self.chain.transaction(digest)[2]))

    def count(self, contract):
        """Return (count, the time that a call sees in seconds)."""
        result = self.chain.call(contract, b"?", sender=bytes(20), gas=GAS)
        assert result.status == 1
        return int.from_bytes(result.output[:32], "big"), int.from_bytes(result.output[32:], "big")


def observed(dev):
    """All that a snapshot must contain, as values."""
    pool = dev.chain.pool
    return {
        "rows": dict(dev.db.rows()),
        "head": dev.chain.head,
        "reading": dev.clock.reading_ms,
        "next": dev.clock.next_ms,
        "pool": pool.snapshot(),
        "waiting": [tx.hash for tx in pool.transactions()],
        "automine": dev.is_automine,
        "impersonated": set(dev.impersonated),
        "members": dev.chain.membership(),
        "records": [dev.chain.record(height) for height in range(dev.chain.height + 1)],
    }
