"""The host of native contracts: the ABI read from signatures, metering, and the limits."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from crypto import abi
from crypto.abi_event import decode_event
from crypto.errors import DecodeError
from tests.vm.chain import (
    MEMBERS,
    OTHER,
    STRANGER,
    TOY,
    Other,
    Toy,
    Transfer,
    call_data,
    chain,
    failure,
    genesis,
)
from vm import gas
from vm.context import BlockInfo, CallContext, Host, Run
from vm.errors import GenesisError, Revert
from vm.machine import Machine
from vm.native import U64, Abi, Address, NativeContract, external, view
from vm.state import Journal


def test_names_types_and_mutability_are_read_from_signatures():
    entries = {entry["name"]: entry for entry in Toy.json_abi()}
    assert entries["setAlarm"]["inputs"] == [
        {"name": "timeMs", "type": "uint64"},
        {"name": "payload", "type": "bytes"},
    ]
    assert entries["setAlarm"]["stateMutability"] == "nonpayable"
    assert entries["balanceOf"]["stateMutability"] == "view"
    assert entries["cheat"]["outputs"] == []
    assert entries["describe"]["outputs"][2] == {
        "name": "",
        "type": "tuple[]",
        "components": [{"name": "id", "type": "uint64"}, {"name": "who", "type": "address"}],
    }
    assert entries["Transfer"]["type"] == "event"
    assert Toy.abi[bytes.fromhex("a9059cbb")].signature == "transfer(address,uint256)"


def test_base_classes_hand_down_their_methods():
    class Base(NativeContract):
        @view(gas=1)
        def one(self, ctx: CallContext) -> U64:
            return 1

        @view(gas=1)
        def two(self, ctx: CallContext) -> U64:
            return 2

    class Derived(Base):
        @view(gas=9)
        def two(self, ctx: CallContext) -> U64:
            return 22

        @view(gas=1)
        def from_(self, ctx: CallContext, to_: Address) -> U64:
            return 3

    methods = {method.name: method for method in Derived.abi.values()}
    assert sorted(methods) == ["from_", "one", "two"]
    assert methods["two"].gas == 9
    assert methods["from_"].inputs[0].name == "to"
    assert len(Base.abi) == 2


def test_a_parameter_without_abi_type_is_a_mistake():
    with pytest.raises(TypeError, match="wrong has no ABI annotation"):

        class Bad(NativeContract):
            @external(gas=1)
            def method(self, ctx: CallContext, wrong: int) -> None: ...


def test_an_unknown_type_or_event_is_a_mistake():
    with pytest.raises(DecodeError):

        class BadType(NativeContract):
            @external(gas=1)
            def method(self, ctx: CallContext) -> __import__("typing").Annotated[int, Abi("u9")]:
                return 1

    @dataclass(frozen=True)
    class Wrong:
        SIGNATURE: ClassVar[str] = "no event"

    with pytest.raises(DecodeError):

        class BadEvent(NativeContract):
            EVENTS = (Wrong,)


def test_calls_return_abi_encoded_results():
    c = chain()
    result = c.read("describe()", ["uint64", "address", "(uint64,address)[]"], sender=MEMBERS[2])
    assert result == [0, MEMBERS[2].address, [(0, MEMBERS[2].address)]]
    assert c.read("balanceOf(address)", ["uint256"], MEMBERS[0].address) == [1_000_000]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "NO_METHOD"),
        (b"\x01\x02\x03", "NO_METHOD"),
        (b"\xff" * 4, "NO_METHOD"),
        (call_data("balanceOf(address)", bytes(20))[:-1], "BAD_CALLDATA"),
        (call_data("balanceOf(address)", bytes(20)) + b"\0", "BAD_CALLDATA"),
        (abi.selector("balanceOf(address)") + b"\xff" * 32, "BAD_CALLDATA"),
    ],
)
def test_bad_calldata_reverts(data, code):
    c = chain()
    result = c.machine.call(
        c.head, c.state, sender=STRANGER.address, to=TOY, data=data, gas=100_000
    )
    assert failure(result).startswith(code)


def test_a_view_must_not_write():
    c = chain()
    with pytest.raises(AssertionError, match="a view must not write"):
        c.read("cheat()", [])


def context(contract=None, gas_limit=1_000_000, **flags):
    """A bare context of Toy over an empty journal."""
    contracts = {TOY: contract or Toy(), OTHER: Other()}
    params = {TOY: {"supply": 1}, OTHER: {}}
    host = Host(genesis=genesis(), contracts=contracts, params=params)
    info = BlockInfo(height=7, time_ms=genesis().time_ms + 25_000, window=2, parent_hash=bytes(32))
    run = Run(host, Journal({}), info, gas_limit)
    return run, CallContext(run, TOY, caller=b"c" * 20, sponsor=b"s" * 20, **flags)


def cost(run, action):
    before = run.gas_left
    action()
    return before - run.gas_left


def test_storage_has_its_prices():
    run, ctx = context()
    assert cost(run, lambda: ctx.get(b"k")) == gas.READ
    assert cost(run, lambda: ctx.get(b"k")) == gas.AGAIN
    assert cost(run, lambda: ctx.put(b"k", b"12")) == gas.WRITE_NEW + 2 * gas.WRITE_BYTE
    assert cost(run, lambda: ctx.put(b"k", b"1234")) == gas.AGAIN + 4 * gas.WRITE_BYTE
    assert cost(run, lambda: ctx.get(b"k")) == gas.AGAIN
    run.journal.put(b"s" + TOY + b"old", b"xyz")
    assert cost(run, lambda: ctx.get(b"old")) == gas.READ + 3 * gas.READ_BYTE
    assert cost(run, lambda: ctx.put(b"old", b"")) == gas.WRITE
    assert ctx.get(b"old") == b""
    assert run.journal.get(b"s" + TOY + b"old") is None


def test_events_and_deadlines_have_their_prices():
    run, ctx = context()
    event = Transfer(b"a" * 20, b"b" * 20, 3)
    assert cost(run, lambda: ctx.emit(event)) == gas.LOG + 3 * gas.LOG_TOPIC + 32 * gas.LOG_BYTE
    assert decode_event(Transfer.SIGNATURE, run.logs[0].topics, run.logs[0].data) == [
        b"a" * 20,
        b"b" * 20,
        3,
    ]
    assert cost(run, lambda: ctx.schedule(5, b"x")) == gas.SCHEDULE
    assert cost(run, lambda: ctx.register_account(b"z" * 20, b"s" * 20)) == gas.REGISTER
    assert cost(run, lambda: ctx.sponsor_of(b"z" * 20)) == gas.READ
    assert ctx.sponsor_of(b"z" * 20) == b"s" * 20
    ctx.unregister_account(b"z" * 20)
    assert ctx.sponsor_of(b"z" * 20) == b""
    assert ctx.quota_used(b"s" * 20) == 0


def test_running_out_of_gas_takes_all_of_it():
    run, ctx = context(gas_limit=gas.READ)
    ctx.get(b"k")
    with pytest.raises(Revert, match=f"OUT_OF_GAS: {gas.AGAIN} more gas"):
        ctx.get(b"k")
    assert run.gas_left == 0


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda ctx: ctx.get(bytes(65)), "KEY_TOO_LONG"),
        (lambda ctx: ctx.put(bytes(65), b"1"), "KEY_TOO_LONG"),
        (lambda ctx: ctx.put(b"k", bytes(24 * 1024 + 1)), "VALUE_TOO_LONG"),
    ],
)
def test_keys_and_values_are_bounded(action, code):
    _, ctx = context()
    with pytest.raises(Revert, match=code):
        action(ctx)
    ctx.put(bytes(64), bytes(24 * 1024))
    assert ctx.get(bytes(64)) == bytes(24 * 1024)


def test_the_context_tells_block_and_chain():
    _, ctx = context()
    made = genesis()
    assert (ctx.height, ctx.time_ms, ctx.window) == (7, made.time_ms + 25_000, 2)
    assert (ctx.chain_id, ctx.genesis_hash) == (made.chain_id, made.hash)
    assert (ctx.caller, ctx.sponsor, ctx.self_address) == (b"c" * 20, b"s" * 20, TOY)
    assert ctx.params == {"supply": 1}
    assert ctx.gas_left == 1_000_000


def test_another_contract_sees_the_caller_contract_and_its_own_storage():
    run, ctx = context()
    Toy().pass_on(ctx, b"t" * 20, 9)
    assert run.journal.get(b"s" + OTHER + b"b" + b"t" * 20) == b"\x09"
    assert run.logs[0].address == OTHER
    assert decode_event(Transfer.SIGNATURE, run.logs[0].topics, run.logs[0].data)[0] == TOY


@pytest.mark.parametrize(
    "action",
    [
        lambda ctx: ctx.put(b"k", b"v"),
        lambda ctx: ctx.add_int(b"k", 1),
        lambda ctx: ctx.emit(Transfer(bytes(20), bytes(20), 1)),
        lambda ctx: ctx.schedule(1),
        lambda ctx: ctx.register_account(bytes(20), bytes(20)),
        lambda ctx: ctx.unregister_account(bytes(20)),
        lambda ctx: ctx.at(OTHER).put(b"k", b"v"),
    ],
)
def test_nothing_changes_in_a_view(action):
    run, ctx = context(is_view=True)
    with pytest.raises(AssertionError, match="a view must not"):
        action(ctx)
    assert run.journal.changes() == []


def test_only_privileged_contracts_register_and_only_declared_events_are_emitted():
    _, ctx = context()
    with pytest.raises(AssertionError, match="not PRIVILEGED"):
        ctx.at(OTHER).register_account(bytes(20), bytes(20))

    @dataclass(frozen=True)
    class Secret:
        SIGNATURE: ClassVar[str] = "Secret()"

    with pytest.raises(AssertionError, match="EVENTS lacks"):
        ctx.emit(Secret())


def test_an_account_has_one_sponsor():
    _, ctx = context()
    ctx.register_account(b"z" * 20, b"s" * 20)
    ctx.register_account(b"z" * 20, b"s" * 20)
    with pytest.raises(Revert, match="ACCOUNT_TAKEN"):
        ctx.register_account(b"z" * 20, b"t" * 20)
    ctx.unregister_account(b"z" * 20)
    ctx.register_account(b"z" * 20, b"t" * 20)
    assert ctx.sponsor_of(b"z" * 20) == b"t" * 20


def test_by_default_a_contract_has_no_parameters_and_no_deadlines():
    with pytest.raises(GenesisError, match=r"contracts\.Other\.x: is not known"):
        Machine(genesis(contracts={"Other": {"x": 1}}), [Other()]).genesis_execution()
    with pytest.raises(AssertionError, match="schedules no deadlines"):
        Other().on_deadline(context()[1], b"")


def test_parameters_need_their_contract():
    with pytest.raises(GenesisError, match=r"contracts\.Toy: is not known"):
        Machine(genesis(), [Other()])


def test_a_bug_in_a_contract_propagates():
    """A bug halts; it never becomes a receipt on some nodes and not on others."""
    c = chain()
    with pytest.raises(ZeroDivisionError):
        c.build([c.tx(MEMBERS[0], "crash()")])
