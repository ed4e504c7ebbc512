"""A small chain for the tests: keys, genesis, one token-like contract, and a chain in dicts."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from crypto import abi
from crypto.keys import AccountKey
from crypto.merkle import SparseMerkleTree
from vm import gas
from vm.errors import GenesisError, Revert
from vm.genesis import Genesis, GenesisMember, GenesisMeter
from vm.machine import Machine
from vm.native import (
    U64,
    U256,
    Abi,
    Address,
    Bool,
    Bytes,
    CallContext,
    NativeContract,
    external,
    view,
)
from vm.transaction import decode, sign_transaction

TOY = bytes.fromhex("0000000000000000000000000000000000000999")
OTHER = bytes.fromhex("0000000000000000000000000000000000000998")
START_MS = 1_700_000_000_000
WINDOW_MS = 10_000


def key(number):
    return AccountKey.from_secret((number + 1).to_bytes(32, "big"))


MEMBERS = [key(i) for i in range(4)]
METERS = [key(50 + i) for i in range(4)]
OPERATOR = key(90)
STRANGER = key(1000)


def genesis(**changes):
    members = tuple(
        GenesisMember(
            name=f"house {i}",
            node_key=bytes([1, i]) * 16,
            account=MEMBERS[i].address,
            ring_key=bytes([2, i]) * 16,
            ring_proof=bytes([3, i]) * 32,
            wallet=bytes([4, i]) * 32,
            certificate=bytes([6, i]) * 100,
            endpoint=f"127.0.0.1:{26600 + i}",
            meter=GenesisMeter(
                account=METERS[i].address,
                ring_key=bytes([5, i]) * 16,
                meter_id=f"1 HTH {i}",
                valid_until_window=1000,
            ),
        )
        for i in range(4)
    )
    fields = {
        "name": "test",
        "time_ms": START_MS,
        "window_ms": WINDOW_MS,
        "record_ms": 2_000,
        "quota_gas": 200_000_000,
        "block_gas_limit": gas.BLOCK_GAS_LIMIT,
        "members": members,
        "services": (("operator", OPERATOR.address),),
        "contracts": {"Toy": {"supply": 1_000_000}},
    }
    return Genesis(**{**fields, **changes})


@dataclass(frozen=True, slots=True)
class Transfer:
    SIGNATURE: ClassVar[str] = "Transfer(address indexed from,address indexed to,uint256 value)"
    sender: bytes
    to: bytes
    value: int


@dataclass(frozen=True, slots=True)
class Rang:
    SIGNATURE: ClassVar[str] = "Rang(uint64 timeMs,bytes payload)"
    time_ms: int
    payload: bytes


class Toy(NativeContract):
    """Balances, alarms, and every way to fail."""

    ADDRESS = TOY
    NAME = "Toy"
    PRIVILEGED = True
    EVENTS = (Transfer, Rang)

    def genesis(self, ctx, params):
        if set(params) != {"supply"}:
            raise GenesisError("contracts.Toy", "must have supply")
        for member in ctx.genesis.members:
            ctx.put_int(b"b" + member.account, params["supply"])

    def on_deadline(self, ctx, payload):
        ctx.put_int(b"rung", ctx.get_int(b"rung") + 1)
        ctx.emit(Rang(ctx.time_ms, payload))
        if payload == b"fail":
            raise Revert("ALARM_BROKEN", "as asked")
        if payload == b"burst":
            ctx.charge(10**9)
        if payload == b"again":
            ctx.schedule(ctx.time_ms, b"again")
        if payload == b"waste":
            ctx.charge(2_000_000)

    @external(gas=gas.METHOD)
    def transfer(self, ctx: CallContext, to: Address, value: U256) -> Bool:
        source, target = b"b" + ctx.caller, b"b" + to
        balance = ctx.get_int(source)
        if balance < value:
            raise Revert("INSUFFICIENT_BALANCE", f"has {balance}, needs {value}")
        ctx.put_int(source, balance - value)
        ctx.put_int(target, ctx.get_int(target) + value)
        ctx.emit(Transfer(ctx.caller, to, value))
        return True

    @view(gas=gas.METHOD)
    def balance_of(self, ctx: CallContext, owner: Address) -> U256:
        return ctx.get_int(b"b" + owner)

    @external(gas=gas.METHOD)
    def set_alarm(self, ctx: CallContext, time_ms: U64, payload: Bytes) -> None:
        ctx.schedule(time_ms, payload)

    @external(gas=gas.METHOD)
    def store(self, ctx: CallContext, key: Bytes, value: Bytes) -> None:
        ctx.put(key, value)

    @external(gas=gas.METHOD)
    def write_then_fail(self, ctx: CallContext) -> None:
        ctx.put(b"scratch", b"gone")
        ctx.emit(Transfer(ctx.caller, ctx.caller, 1))
        raise Revert("ASKED_FOR")

    @external(gas=gas.METHOD)
    def burn_gas(self, ctx: CallContext, amount: U256) -> None:
        ctx.charge(amount)

    @external(gas=gas.METHOD)
    def crash(self, ctx: CallContext) -> None:
        raise ZeroDivisionError

    @external(gas=gas.METHOD)
    def register(self, ctx: CallContext, account: Address) -> None:
        ctx.register_account(account, ctx.sponsor)

    @external(gas=gas.METHOD)
    def unregister(self, ctx: CallContext, account: Address) -> None:
        ctx.unregister_account(account)

    @view(gas=gas.METHOD)
    def describe(
        self, ctx: CallContext
    ) -> tuple[U64, Address, Annotated[list[tuple[int, bytes]], Abi("(uint64 id,address who)[]")]]:
        return ctx.height, ctx.sponsor or bytes(20), [(ctx.window, ctx.caller)]

    @view(gas=gas.METHOD, name="cheat")
    def write_in_a_view(self, ctx: CallContext) -> None:
        ctx.put(b"x", b"y")

    @external(gas=gas.METHOD)
    def pass_on(self, ctx: CallContext, to: Address, value: U256) -> None:
        Other.receive(ctx.at(OTHER), to, value)


class Other(NativeContract):
    """Called by another contract only."""

    ADDRESS = OTHER
    NAME = "Other"
    EVENTS = (Transfer,)

    @staticmethod
    def receive(ctx, to, value):
        if value == 13:
            raise Revert("UNLUCKY")
        ctx.put_int(b"b" + to, value)
        ctx.emit(Transfer(ctx.caller, to, value))


def call_data(signature, *values):
    types = [part for part in signature[signature.index("(") + 1 : -1].split(",") if part]
    return abi.selector(signature) + abi.encode(types, values)


class Chain:
    """One replica: state and tree in dicts, blocks applied as they come."""

    def __init__(self, machine):
        self.machine = machine
        self.state = {}
        self.nodes = {}
        self.tree = SparseMerkleTree(self.nodes)
        self.head = None
        self.apply(machine.genesis_execution())

    def apply(self, execution):
        for store, changes in (
            (self.state, execution.changes),
            (self.nodes, execution.tree_update.nodes.items()),
        ):
            for name, value in changes:
                if value is None:
                    store.pop(name, None)
                else:
                    store[name] = value
        assert self.tree.root == execution.header.state_root
        self.head = execution.header

    def build(self, candidates, time_ms=None):
        time_ms = time_ms or self.head.time_ms + 1
        return self.machine.build_block(self.head, time_ms, candidates, self.state, self.tree)

    def execute(self, block):
        return self.machine.execute_block(self.head, block, self.state, self.tree)

    def seal(self, *candidates, time_ms=None):
        """Build from all candidates, demand that all fit, apply; return the receipts."""
        built = self.build(candidates, time_ms)
        assert built.dropped == ()
        self.apply(built.execution)
        return built.execution.receipts

    def tx(self, signer, signature, *values, nonce=None, gas_limit=300_000, to=TOY, **fields):
        nonce = self.machine.next_nonce(self.state, signer.address) if nonce is None else nonce
        raw = sign_transaction(
            signer,
            chain_id=fields.pop("chain_id", self.machine.genesis.chain_id),
            nonce=nonce,
            to=to,
            data=call_data(signature, *values) if signature else b"",
            gas_limit=gas_limit,
            **fields,
        )
        return decode(raw)

    def send(self, signer, data=b"", *, to=None, gas_limit=1_000_000, nonce=None, **fields):
        """Return a transaction with raw calldata; without `to` it creates a contract."""
        nonce = self.machine.next_nonce(self.state, signer.address) if nonce is None else nonce
        chain_id = self.machine.genesis.chain_id
        raw = sign_transaction(
            signer, chain_id=chain_id, nonce=nonce, to=to, data=data, gas_limit=gas_limit, **fields
        )
        return decode(raw)

    def call(self, to, data=b"", *, sender=STRANGER, gas_limit=1_000_000, **fields):
        """Return what a call without effect gives."""
        return self.machine.call(
            self.head, self.state, sender=sender.address, to=to, data=data, gas=gas_limit, **fields
        )

    def read(self, signature, outputs, *values, sender=STRANGER):
        result = self.machine.call(
            self.head,
            self.state,
            sender=sender.address,
            to=TOY,
            data=call_data(signature, *values),
            gas=1_000_000,
        )
        assert result.status == 1, result
        return abi.decode(outputs, result.output)


def chain(**changes):
    return Chain(Machine(genesis(**changes), [Toy(), Other()]))


def failure(receipt_or_result):
    """Return the text of a revert."""
    assert receipt_or_result.status == 0
    return abi.decode(("string",), receipt_or_result.output[4:])[0]
