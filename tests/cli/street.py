"""Four households in one process behind the command line: real files, chain, contracts and RPC
handlers. The test is the consensus (it signs seals with the members' keys) and the clock; no
socket is opened."""

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner

from cli.main import main
from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto import abi, codec
from crypto.hashing import tagged_hash
from market.abi import ACCEPTANCE_TAG
from market.agents.events import decode_result, encode_call
from node.chain import Chain
from node.directory import Directory
from node.natives import NATIVES
from node.p2p.member import PeerStats
from node.records import ConsensusStatus
from node.relay import Relay, RelayConfig
from node.relay_service import RelayService
from node.rpc.answers import Unreachable, parse_answer, result_of
from node.rpc.block_notices import BlockNotices
from node.rpc.dispatch import Caller, Dispatcher
from node.rpc.filters import Filters
from node.rpc.handlers_eth import EthMethods
from node.rpc.handlers_hearth import HearthMethods
from node.rpc.methods import method_table
from node.storage.block_store import ChainStore
from testnet.bank import attesters, opening_deposits
from testnet.genesis import GenesisOptions
from testnet.grid.community import demo_community
from testnet.layout import TestnetLayout
from testnet.setup import write_testnet
from vm.machine import Machine
from vm.transaction import sign_transaction

GENESIS_MS = 1_700_000_000_000
WINDOW_MS = 9_000
RECORD_MS = 2_500
EUR = 10**8


class Network:
    """Peers that are up, except one."""

    up = frozenset({1, 2})
    node_keys = ()

    def is_up(self, node_key):
        return self.node_keys.index(node_key) in self.up

    def stats(self):
        return tuple(
            PeerStats(
                member=i,
                name=f"peer {i}",
                node_key=bytes([i]) * 32,
                is_observer=False,
                is_up=i in self.up,
                is_partitioned=False,
                bytes_in=2_000 * i,
                bytes_out=3_000 * i,
                queued_bytes=0,
                dropped_frames=0,
                links=1,
                score=0,
                banned_ms=0,
                last_error="" if i in self.up else "connection refused",
                protocol=1,
            )
            for i in (1, 2, 3)
        )


class Street:
    """A testnet folder with one node in this process."""

    def __init__(self, folder: Path) -> None:
        self.layout = TestnetLayout.of("default", folder / ".hearth" / "testnet")
        options = GenesisOptions(
            time_ms=GENESIS_MS, window_ms=WINDOW_MS, record_ms=RECORD_MS, name="street"
        )
        new = write_testnet(self.layout, demo_community(4), options)
        self.keys, self.genesis, self.manifest = new.keys, new.genesis, new.manifest
        self.names = [member.name for member in self.genesis.members]
        self.now = GENESIS_MS + 1
        self.store = ChainStore(folder / "chain", self.genesis.hash)
        self.chain = Chain(Machine(self.genesis, NATIVES), self.store, now_ms=lambda: self.now)
        status = ConsensusStatus(epoch=0, term=0, view=0, primary=0, is_learner=False, peers_up=2)
        self.why = []
        self.chain.attach(lambda: status, lambda: self.why)
        self.notices = BlockNotices(self.chain)
        self.is_reachable = True
        self.script = []
        """What happens while a subscription is read: calls, each of which seals a block."""
        peers = len(Network.up)
        eth = EthMethods(self.chain, lambda: peers, Filters(self.chain, lambda: self.now))
        relay = Relay(RelayConfig(window_ms=WINDOW_MS), me=0, members=range(4))
        network = Network()
        own, *others = sorted(self.genesis.members, key=lambda member: member.node_key)
        network.node_keys = (own.node_key, *(member.node_key for member in others))
        hearth = HearthMethods(
            chain=self.chain,
            network=network,
            relay=RelayService(relay, Network(), lambda: self.now),
            directory=Directory(self.chain, name=own.name, node_key=own.node_key),
            is_testnet=True,
            eth=eth,
        )
        self.dispatcher = Dispatcher(method_table(self.chain, eth, hearth), lambda *_: None)

    def household(self, i):
        return self.keys.households[i].account

    def meter(self, i):
        return self.keys.meters[i].account

    def service(self, i):
        return self.keys.services[i].account

    # Time and blocks.

    def start(self, window):
        return GENESIS_MS + window * WINDOW_MS

    def advance(self, time_ms):
        """Move the clock; deadlines on the way get their blocks."""
        while (due := self.chain.machine.next_due(self.store)) is not None and due <= time_ms:
            self.now = max(self.now, due)
            self.seal()
        self.now = max(self.now, time_ms)

    def seal(self):
        """Seal what waits and what is due, with signatures of three members."""
        self.now = max(self.now, self.chain.head.time_ms + 1)
        executed = self.chain.build()
        assert executed is not None, "nothing to seal"
        height = Height(self.chain.height + 1)
        return self.chain.apply(
            SealedBlock(
                height=height,
                digest=executed.digest,
                body=executed.body,
                seal=self.make_seal(height, executed.digest),
            )
        )

    def make_seal(self, height, digest, view=0, signers=(0, 1, 2)):
        members = self.chain.membership()
        domain = SigningDomain(self.store.digest(0), members.hash())
        slot = Slot(epoch=0, term=members.term(height), view=View(view), height=height)
        payload = domain.payload(Kind.COMMIT, slot, digest)
        nodes = {keys.node.public: keys.node for keys in self.keys.households}
        signatures = tuple(
            (MemberIndex(i), nodes[members.members[i]].sign(payload)) for i in signers
        )
        return Seal(view=View(view), signatures=signatures)

    def submit(self, key, contract, function, *args):
        """Admit a transaction; returns its hash."""
        to, data = encode_call(contract, function, args)
        raw = sign_transaction(
            key,
            chain_id=self.genesis.chain_id,
            nonce=self.chain.pending_nonce(key.address),
            to=to,
            data=data,
            gas_limit=3_000_000,
        )
        return self.chain.submit(raw)

    def submit_data(self, key, to, signature, *args, gas_limit=3_000_000):
        """Admit a call of any contract without an estimate; returns its hash in hex."""
        types = signature[signature.index("(") + 1 : -1].split(",")
        raw = sign_transaction(
            key,
            chain_id=self.genesis.chain_id,
            nonce=self.chain.pending_nonce(key.address),
            to=bytes.fromhex(to[2:]),
            data=abi.selector(signature) + abi.encode(types, args),
            gas_limit=gas_limit,
        )
        return "0x" + self.chain.submit(raw).hex()

    def send(self, key, contract, function, *args):
        """Seal a transaction that must succeed; returns its results."""
        self.submit(key, contract, function, *args)
        record = self.seal()
        assert record.receipts[-1].status == 1, record.receipts[-1].output
        return decode_result(contract, function, record.receipts[-1].output)

    def pay_in(self):
        """Mint the deposits of the bank file."""
        for i, deposit in enumerate(opening_deposits(self.genesis).deposits):
            for member in attesters(i, 4):
                values = (deposit.reference, deposit.account, deposit.amount)
                self.send(self.household(member), "Ramp", "attestDeposit", *values)
        self.send(self.service(1), "Market", "depositReserve", 500 * EUR)

    # A window.

    def enrol(self, window):
        for i in range(4):
            self.submit(self.household(i), "Market", "enrol", window)
        self.seal()

    def allow(self, window, offer, seller, buyer, quantity, price):
        """Record an agreement that the buyer signed; returns its id."""
        sells, buys = self.household(seller), self.household(buyer)
        fields = [self.genesis.chain_id, window, offer, sells.address, buys.address]
        fields += [quantity, price, 0]
        acceptance = buys.sign65(tagged_hash(ACCEPTANCE_TAG, codec.encode(fields)))
        args = (window, offer, buys.address, quantity, price, 0, acceptance)
        (agreement,) = self.send(sells, "Market", "allowTransaction", *args)
        return agreement

    def attest(self, window, i, exp, imp):
        args = (window, self.household(i).address, exp, imp, 0, 0, 0, 1, b"\1" * 32)
        self.send(self.meter(i), "Market", "attest", *args)


class Client:
    """`RpcClient` whose node is a street's; what is submitted is sealed at once."""

    def __init__(self, street, url, token):
        self.street, self.url, self.token = street, url, token

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def call(self, method, *params):
        if not self.street.is_reachable:
            raise Unreachable(f"{self.url} does not answer: connection refused")
        if method == "hearth_submit":
            digest = await self._ask("eth_sendRawTransaction", *params[:1])
            self.street.seal()
            return await self._ask("eth_getTransactionReceipt", digest)
        return await self._ask(method, *params)

    async def _ask(self, method, *params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        caller = Caller(is_authorised=self.token is not None, extra={})
        answer = await self.street.dispatcher.answer(json.dumps(request), caller)
        return result_of(parse_answer(answer))

    async def subscribe_blocks(self, from_height):
        height = from_height
        script = list(self.street.script)
        while True:
            while height <= self.street.chain.height:
                yield json.loads(
                    json.dumps(self.street.notices.of(self.street.chain.record(height)))
                )
                height += 1
                for _ in range(8):  # The reader gets its turn before the next thing happens.
                    await asyncio.sleep(0)
            if not script:
                await asyncio.Event().wait()
            script.pop(0)()


def run(*args, code=0, **options):
    """Run `hearth ARGS`; returns the result, whose exit code must be `code`."""
    result = CliRunner().invoke(main, [str(arg) for arg in args], **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code is None or result.exit_code == code, result.output
    return result


def run_json(*args):
    """Run a reading command with --json; returns the object on stdout."""
    return json.loads(run(*args, "--json").stdout)
