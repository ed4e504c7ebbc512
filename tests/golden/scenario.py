"""What the golden chain holds: each kind of transaction, each function, each way a block ends.

Keys and time are fixed, so recording twice gives the same bytes.
"""

from dataclasses import replace

from crypto.merkle import SparseMerkleTree
from market.abi import OfferKind
from node.natives import NATIVES
from tests.market.contracts.chain import (
    EUR,
    EXTERNAL,
    OPERATOR,
    Chain,
    account,
    ed25519,
    home,
    meter,
)
from tests.market.contracts.members import accept, activate, admit, candidate, node, rotation
from tests.market.contracts.test_accountability import double
from tests.market.contracts.test_community_key import deal, dispute
from tests.market.contracts.test_permit import signed as permit
from tests.vm.programs import count, created_by, init_code, invalid, program, revert, store
from vm.block import Block
from vm.machine import Machine
from vm.transaction import TxKind, decode, sign_transaction
from vm.versions import SUPPORTED_PROTOCOLS

M = "Membership"
KEY = b"\7" * 32
W = 3
"""Window with agreements."""
LATE = 6
"""Window in which nobody but the first household does anything, so that deadlines do."""


class _Recording:
    """A machine that remembers the blocks that it has built, by hash."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.built: dict[bytes, Block] = {}

    def __getattr__(self, name):
        return getattr(self._machine, name)

    def build_block(self, *args, **more):
        built = self._machine.build_block(*args, **more)
        if built is not None:
            self.built[built.block.header.hash] = built.block
        return built


class Recorder(Chain):
    """A chain that keeps (block, receipts) of each block above genesis."""

    def __init__(self, **params):
        self.recorded = []
        super().__init__(checked=False, **params)
        genesis = replace(self.machine.genesis, protocol_version=SUPPORTED_PROTOCOLS[-1])
        self.machine = _Recording(Machine(genesis, NATIVES))
        self.state, self.nodes = {}, {}
        self._write(self.machine.genesis_execution())

    def _write(self, execution):
        super()._write(execution)
        if execution.header.number > 0:
            block = self.machine.built[execution.header.hash]
            self.recorded.append((block, execution.receipts))

    def raw(self, key, kind, *, to=None, data=b"", gas_limit=1_000_000, access_list=(), ahead=0):
        nonce = self.machine.next_nonce(self.state, key.address) + ahead
        return decode(
            sign_transaction(
                key,
                chain_id=self.machine.genesis.chain_id,
                nonce=nonce,
                to=to,
                gas_limit=gas_limit,
                data=data,
                kind=kind,
                access_list=access_list,
            )
        )

    def block_of(self, *transactions):
        self.now = max(self.now, self.head.time_ms + 1)
        built = self.machine.build_block(
            self.head, self.now, list(transactions), self.state, self.tree()
        )
        assert built is not None
        assert not built.dropped, built.dropped
        self._write(built.execution)
        return built.execution.receipts[-len(transactions) :]

    def tree(self):
        return SparseMerkleTree(self.nodes)


def play() -> Recorder:
    """Return a chain on which everything has happened."""
    chain = Recorder(membership={"proposal_windows": 40, "activation_windows": 40})
    chain.fund_all()
    _services(chain)
    _bytecode(chain)
    _window(chain)
    _governance(chain)
    _late_window(chain)
    return chain


def _services(chain):
    agent = chain.agent(home(0), "agent")
    chain.send(agent, "Registry", "publishInfo", b"\6" * 32, b"sealed", "")
    spare = chain.agent(home(0), "spare")
    chain.send(home(0), "Registry", "revokeAgent", spare.address)
    chain.send(home(0), "Ramp", "requestWithdrawal", 2 * EUR, b"\1" * 32)
    for i in range(3):
        chain.send(home(i), "Ramp", "confirmPayout", 1, b"\2" * 32)
    chain.advance(chain.start(1))
    chain.send(meter(0), "Meters", "anchor", 0, b"\2" * 32)
    for token in ("MoneyToken", "EnergyToken"):
        chain.send(home(1), token, "permit", *permit(chain, token=token))
        chain.send(home(0), token, "approve", home(1).address, 700)
    chain.send(home(1), "MoneyToken", "transferFrom", home(0).address, home(2).address, 600)
    chain.send(home(2), "MoneyToken", "transfer", home(0).address, 600)
    # A refusal is a receipt, too.
    calls = [(home(2), "MoneyToken", "transfer", (home(0).address, 10**30))]
    assert chain.block(calls)[0].status == 0


def _bytecode(chain):
    """Deploy by each kind of Ethereum's transactions, call, log, revert, and run out of gas."""
    key = home(2)
    runtime = program(count, store(7, 8))
    first = chain.machine.next_nonce(chain.state, key.address)
    made = created_by(key.address, first)
    deployments = (
        (TxKind.LEGACY, init_code(runtime)),
        (TxKind.ACCESS_LIST, init_code(program(count, revert))),
        (TxKind.DYNAMIC_FEE, init_code(program(invalid))),
    )
    receipts = chain.block_of(
        *(chain.raw(key, kind, data=code, ahead=i) for i, (kind, code) in enumerate(deployments))
    )
    assert [receipt.status for receipt in receipts] == [1, 1, 1]
    slots = ((made, ((0).to_bytes(32, "big"), (7).to_bytes(32, "big"))),)
    receipts = chain.block_of(
        chain.raw(key, TxKind.LEGACY, to=made),
        chain.raw(key, TxKind.ACCESS_LIST, to=made, access_list=slots, ahead=1),
        chain.raw(key, TxKind.DYNAMIC_FEE, to=made, access_list=slots, ahead=2),
        chain.raw(key, TxKind.DYNAMIC_FEE, to=created_by(key.address, first + 1), ahead=3),
        chain.raw(key, TxKind.DYNAMIC_FEE, to=created_by(key.address, first + 2), ahead=4),
        chain.raw(key, TxKind.LEGACY, to=home(3).address, ahead=5),
    )
    assert [receipt.status for receipt in receipts] == [1, 1, 1, 0, 0, 1]


def _window(chain):
    """One window with every call of the market; energy is charged, given and burnt."""
    chain.send(OPERATOR, "Market", "setCap", W, 9_000)
    chain.negotiate(W)
    for i in range(4):
        chain.send(home(i), "Market", "enrol", W)
    chain.send(home(0), "Market", "makeOffer", W, OfferKind.FORECAST, 1_000, KEY, b"")
    chain.send(home(1), "Market", "makeCall", W, 300, KEY)
    chain.record(W)
    agreement = chain.allow(W, 1, home(0), home(1), 1_000, 20_000)
    chain.send(home(1), "Market", "confirm", agreement)
    chain.deliver(W)
    for i, readings in enumerate([(900, 0, 5_000, 0, 250), (0, 1_000), (50, 0), (0, 9)]):
        chain.attest(i, W, *readings)
    chain.send(home(0), "EnergyToken", "transfer", home(1).address, 900)
    chain.send(home(0), "EnergyToken", "approve", home(1).address, 100)
    chain.send(home(1), "EnergyToken", "transferFrom", home(0).address, home(1).address, 100)
    for i, deviation in enumerate([(0, 0, 0, 100), (0,) * 4, (50, 0, 0, 0), (0, 0, 9, 0)]):
        chain.send(home(i), "Market", "close", W, *deviation)
    chain.send(OPERATOR, "Market", "settle", W)
    for i in range(4):
        chain.send(home(i), "Market", "makeTransaction", W, home(i).address)


def _governance(chain):
    """Members come, change and go; a key is dealt, disputed and renewed; an offence is shown."""
    _, dealt = deal(chain, spoil=2)
    chain.send(home(0), M, "rekey", *dealt)
    chain.send(home(2), M, "disputeBox", *dispute(chain, 0, 2))
    chain.send(home(0), "Accountability", "reportEvidence", double(chain))
    new = account("new meter")
    chain.send(OPERATOR, "Meters", "revoke", meter(3).address)
    certificate = (new.address, home(3).address, b"\1" * 32, "1HTH00012345", 10**6)
    chain.send(OPERATOR, "Meters", "certify", *certificate)
    chain.send(OPERATOR, "Meters", "audit", new.address, 2 * 10**6)
    nodes = [node(i) for i in range(4)]
    admit(chain, "new", nodes)
    _, dealt = deal(chain, by=1)
    chain.send(home(1), M, "rekey", *dealt)
    (rotated,) = chain.send(
        home(1), M, "proposeRotation", *rotation(chain, home(1), ed25519("fresh"))
    )
    activate(chain, rotated, [nodes[0], nodes[2], nodes[3], ed25519("fresh")])
    (risen,) = chain.send(home(2), M, "proposeReincarnation")
    activate(chain, risen, [nodes[0], nodes[2], nodes[3], ed25519("fresh")])
    (refused,) = chain.send(home(0), M, "propose", *candidate(chain, "unwelcome"))
    for i in range(3):
        chain.send(home(i), M, "vote", refused, False)
    (evicted,) = chain.send(home(0), M, "proposeEviction", account("new").address)
    accept(chain, evicted, [home(i) for i in range(3)])
    activate(chain, evicted, [nodes[0], nodes[2], nodes[3]])
    following = SUPPORTED_PROTOCOLS[-1] + 1
    (upgrade,) = chain.send(home(0), M, "proposeUpgrade", following, 10**9)
    for i in range(3):
        chain.send(home(i), M, "supportUpgrade", upgrade, following)
    chain.send(home(0), M, "proposeEviction", home(3).address)  # Nobody votes: it expires.


def _late_window(chain):
    """Deadlines settle, pay, forfeit and expire; then what is left is taken out."""
    window = LATE + chain.machine.genesis.window_at(chain.now)
    chain.negotiate(window)
    for i in range(2):
        chain.send(home(i), "Market", "enrol", window)
    chain.send(home(0), "Market", "makeOffer", window, OfferKind.FORECAST, 100, KEY, b"")
    chain.record(window)
    chain.allow(window, 1, home(0), home(1), 100, 9_000)
    chain.deliver(window)
    chain.attest(0, window, 100, 0, 0, 4_000)  # More than it has kept: a debt.
    chain.advance(chain.start(window + 4 + 72) + 9_000)
    fund, free, _, _ = chain.view("Market", "fund")
    chain.send(EXTERNAL, "Market", "withdrawReserve", free)
    chain.send(OPERATOR, "Market", "withdrawFund", fund)
    empty = chain.machine.genesis.window_at(chain.now) + 2
    chain.negotiate(empty)
    chain.send(home(0), "Market", "enrol", empty)  # Nothing secures its surplus.
