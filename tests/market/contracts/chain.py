"""A chain in one process with the real machine and contracts, whose invariants always hold.

Time moves only when a test says so; deadlines get their block when they are due, as in a node.
"""

from copy import copy
from functools import cache
from typing import Any

from crypto import abi, codec
from crypto.hashing import tagged_hash
from crypto.keys import AccountKey, NodeKey
from crypto.merkle import SparseMerkleTree
from market.abi import (
    ACCEPTANCE_TAG,
    ADDRESSES,
    AGENT_CONSENT_TAG,
    FUNCTIONS,
    RING_PROOF_TAG,
)
from market.contracts.invariants import check
from node.natives import NATIVES
from vm.genesis import Genesis, GenesisMember, GenesisMeter
from vm.machine import Machine
from vm.receipt import Receipt
from vm.transaction import Transaction, decode, sign_transaction

TIME_MS = 1_700_000_000_000
WINDOW_MS = 9_000
RECORD_MS = 2_500
GAS = 9_000_000
EUR = 10**8


class Reverted(Exception):
    """A transaction's receipt has status 0; `code` is the word before the colon."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.code = reason.split(":", maxsplit=1)[0]


@cache
def account(name: str) -> AccountKey:
    """A key for each name."""
    return AccountKey(tagged_hash(b"test/account", name.encode()))


@cache
def ed25519(name: str) -> NodeKey:
    return NodeKey(tagged_hash(b"test/ed25519", name.encode()))


@cache
def home(index: int) -> AccountKey:
    return account(f"home {index}")


@cache
def meter(index: int) -> AccountKey:
    return account(f"meter {index}")


OPERATOR = account("operator")
EXTERNAL = account("external_market")


def genesis(n: int = 4, **params: Any) -> Genesis:
    """`params`: a contract's name to its parameters; `valid_until`: last window of certificates."""
    valid_until = params.pop("valid_until", 10**6)
    block_gas_limit = params.pop("block_gas_limit", 20_000_000)
    members = tuple(
        GenesisMember(
            name=f"home {i}",
            node_key=ed25519(f"node {i}").public,
            account=home(i).address,
            ring_key=ed25519(f"ring {i}").public,
            ring_proof=ed25519(f"ring {i}").sign(tagged_hash(RING_PROOF_TAG, home(i).address)),
            wallet=ed25519(f"view {i}").public + ed25519(f"spend {i}").public,
            endpoint=f"127.0.0.1:{26600 + i}",
            meter=GenesisMeter(
                account=meter(i).address,
                ring_key=ed25519(f"meter {i}").public,
                meter_id=f"1HTH00{i:08}",
                valid_until_window=valid_until,
            ),
        )
        for i in range(n)
    )
    return Genesis(
        name="test",
        time_ms=TIME_MS,
        window_ms=WINDOW_MS,
        record_ms=RECORD_MS,
        quota_gas=10**12,
        block_gas_limit=block_gas_limit,
        members=members,
        services=(("operator", OPERATOR.address), ("external_market", EXTERNAL.address)),
        contracts=params,
    )


@cache
def _genesis_of(n: int, params: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]) -> Any:
    machine = Machine(genesis(n, **{name: dict(values) for name, values in params}), NATIVES)
    return machine, machine.genesis_execution()


class Chain:
    def __init__(self, n: int = 4, *, checked: bool = True, **params: dict[str, int]) -> None:
        if all(isinstance(values, dict) for values in params.values()):
            key = tuple((name, tuple(sorted(params[name].items()))) for name in sorted(params))
            self.machine, first = _genesis_of(n, key)
        else:
            self.machine = Machine(genesis(n, **params), NATIVES)
            first = self.machine.genesis_execution()
        self.n = n
        self.checked = checked
        self.state: dict[bytes, bytes] = {}
        self.nodes: dict[bytes, bytes] = {}
        self.windows: dict[int, None] = {}
        self.receipts: list[Receipt] = []
        self.accounts = {
            key.address: None
            for key in (*map(home, range(n)), *map(meter, range(n)), OPERATOR, EXTERNAL)
        }
        self._write(first)
        self.now = TIME_MS

    def copy(self) -> "Chain":
        """Return a chain that goes on from here, on its own."""
        twin = copy(self)
        for name in ("state", "nodes", "windows", "accounts"):
            setattr(twin, name, dict(getattr(self, name)))
        return twin

    def _write(self, execution: Any) -> None:
        for target, changes in (
            (self.state, execution.changes),
            (self.nodes, execution.tree_update.nodes.items()),
        ):
            for key, value in changes:
                if value is None:
                    target.pop(key, None)
                else:
                    target[key] = value
        self.head = execution.header

    # Time.

    def start(self, window: int) -> int:
        return TIME_MS + window * WINDOW_MS

    def advance(self, time_ms: int) -> None:
        """Move the clock; deadlines on the way get their blocks."""
        while (due := self.machine.next_due(self.state)) is not None and due <= time_ms:
            self.now = max(self.now, due)
            self.block([])
        self.now = max(self.now, time_ms)

    def negotiate(self, window: int) -> None:
        self.advance(self.start(window - 1))

    def record(self, window: int) -> None:
        self.advance(self.start(window) - RECORD_MS)

    def deliver(self, window: int) -> None:
        self.advance(self.start(window + 1))

    # Transactions.

    def transaction(
        self, key: AccountKey, contract: str, function: str, *args: Any, nonce: int | None = None
    ) -> Transaction:
        """Return a signed call; its nonce is the account's next one if none is given."""
        spec = FUNCTIONS[contract][function]
        raw = sign_transaction(
            key,
            chain_id=self.machine.genesis.chain_id,
            nonce=self.machine.next_nonce(self.state, key.address) if nonce is None else nonce,
            to=ADDRESSES[contract],
            data=abi.selector(spec.signature) + abi.encode(spec.input_types, args),
            gas_limit=GAS,
        )
        return decode(raw).with_sender(key.address)

    def block(self, calls: list[tuple[AccountKey, str, str, tuple[Any, ...]]]) -> list[Receipt]:
        """One block of `calls`; it is built, executed again, written and checked."""
        nonces: dict[bytes, int] = {}
        candidates = []
        for key, contract, function, args in calls:
            nonce = nonces.get(key.address)
            if nonce is None:
                nonce = self.machine.next_nonce(self.state, key.address)
            nonces[key.address] = nonce + 1
            candidates.append(self.transaction(key, contract, function, *args, nonce=nonce))
        self.now = max(self.now, self.head.time_ms + 1)
        tree = SparseMerkleTree(self.nodes)
        built = self.machine.build_block(self.head, self.now, candidates, self.state, tree)
        assert built is not None, "nothing was executable"
        assert not built.dropped, built.dropped
        assert len(built.execution.receipts) >= len(calls), "no room in the block"
        self._write(built.execution)
        self.receipts = list(built.execution.receipts)
        failed = self.receipts[0]
        if len(self.receipts) > len(calls):  # A deadline transaction stands first.
            assert failed.status == 1, f"a deadline reverted: {failed.output!r}"
        if self.checked:
            self.check()
        return self.receipts[len(self.receipts) - len(calls) :]

    def send(self, key: AccountKey, contract: str, function: str, *args: Any) -> list[Any]:
        """One transaction; returns its results.

        Raises:
            Reverted: the contract refuses.
        """
        if contract == "Market" and function == "enrol":
            self.windows[args[0]] = None
        (receipt,) = self.block([(key, contract, function, args)])
        if receipt.status == 0:
            raise Reverted(abi.decode(("string",), receipt.output[4:])[0])
        return abi.decode(FUNCTIONS[contract][function].output_types, receipt.output)

    def view(self, contract: str, function: str, /, *args: Any) -> list[Any]:
        spec = FUNCTIONS[contract][function]
        result = self.machine.call(
            self.head,
            self.state,
            sender=OPERATOR.address,
            to=ADDRESSES[contract],
            data=abi.selector(spec.signature) + abi.encode(spec.input_types, args),
            gas=10**12,
            time_ms=self.now,
        )
        if result.status == 0:
            raise Reverted(abi.decode(("string",), result.output[4:])[0])
        return abi.decode(spec.output_types, result.output)

    def one(self, contract: str, function: str, /, *args: Any) -> Any:
        (value,) = self.view(contract, function, *args)
        return value

    def check(self) -> None:
        violations = check(
            self.view,
            accounts=list(self.accounts),
            meters=[meter(i).address for i in range(self.n)],
            windows=list(self.windows),
        )
        assert not violations, violations

    # What tests need all the time.

    def money(self, key: AccountKey) -> int:
        return int(self.one("MoneyToken", "balanceOf", key.address))

    def energy(self, key: AccountKey) -> int:
        return int(self.one("EnergyToken", "balanceOf", key.address))

    def pay_in(self, key: AccountKey, amount: int) -> None:
        """Bring money in by the ramp, with just enough votes."""
        reference = tagged_hash(b"test/deposit", key.address, len(self.state).to_bytes(8, "big"))
        for i in range(self.n // 2 + 1):
            self.send(home(i), "Ramp", "attestDeposit", reference, key.address, amount)

    def fund_all(self, amount: int = 200 * EUR, reserve: int = 1000 * EUR) -> None:
        for i in range(self.n):
            self.pay_in(home(i), amount)
        if reserve:
            self.pay_in(EXTERNAL, reserve)
            self.send(EXTERNAL, "Market", "depositReserve", reserve)

    def agent(self, household: AccountKey, name: str) -> AccountKey:
        """Register an agent's account."""
        key = account(name)
        fields = [self.machine.genesis.chain_id, household.address, key.address]
        consent = key.sign65(tagged_hash(AGENT_CONSENT_TAG, codec.encode(fields)))
        self.send(household, "Registry", "registerAgent", key.address, consent)
        self.accounts[key.address] = None
        return key

    def acceptance(
        self,
        signer: AccountKey,
        window: int,
        offer_id: int,
        seller: AccountKey,
        buyer: AccountKey,
        quantity: int,
        price: int,
        nonce: int = 0,
    ) -> bytes:
        fields = [self.machine.genesis.chain_id, window, offer_id]
        fields += [seller.address, buyer.address, quantity, price, nonce]
        return signer.sign65(tagged_hash(ACCEPTANCE_TAG, codec.encode(fields)))

    def allow(
        self,
        window: int,
        offer_id: int,
        seller: AccountKey,
        buyer: AccountKey,
        quantity: int,
        price: int,
        nonce: int = 0,
    ) -> bytes:
        signature = self.acceptance(buyer, window, offer_id, seller, buyer, quantity, price, nonce)
        args = (window, offer_id, buyer.address, quantity, price, nonce, signature)
        (agreement_id,) = self.send(seller, "Market", "allowTransaction", *args)
        return bytes(agreement_id)

    def attest(
        self, i: int, window: int, exp: int, imp: int, *battery: int, w: AccountKey | None = None
    ) -> None:
        """Attest differences: registers and pagination follow from what was attested before."""
        row = self.view("Meters", "meter", meter(i).address)
        registers = row[4:9]
        for index, delta in enumerate((exp, imp, *battery)):
            registers[index] += delta
        name = (w or home(i)).address
        args = (window, name, *registers, row[9] + 1, b"\1" * 32)
        self.send(meter(i), "Market", "attest", *args)
