"""Native contracts as bytecode calls them."""

from dataclasses import dataclass, field

from tests.vm.evm.machine import CONTRACT, GAS, asm, calling, returning, run, state_with, word
from vm.evm.world import NativeResult, World
from vm.receipt import Log

NATIVE = b"\x01\x02" * 10
TRUE = (1).to_bytes(32, "big")


@dataclass
class Natives:
    """One native contract that counts its calls, and can be undone."""

    result: NativeResult
    calls: list[tuple[bytes, bytes, int, bool]] = field(default_factory=list)

    def is_native(self, address, /):
        return address == NATIVE

    def call(self, *, to, caller, data, gas, is_static):
        assert to == NATIVE
        self.calls.append((caller, data, gas, is_static))
        return self.result

    def snapshot(self):
        return len(self.calls)

    def revert(self, mark, /):
        del self.calls[mark:]


def done(gas_left: int = 60_000, logs: tuple[Log, ...] = ()) -> Natives:
    return Natives(NativeResult(status=1, output=TRUE, gas_left=gas_left, logs=logs))


def world_with(code: bytes, natives: Natives) -> World:
    return World(state_with(code).put(NATIVE, code=b"\x60\x00\x60\x00\xfd", nonce=1), natives)


def test_a_call_gives_output_gas_and_logs_back():
    log = Log(NATIVE, (), b"")
    code = asm(0xAB, "PUSH0 MSTORE8", calling(NATIVE, gas=100_000, size=1, output=32), "POP")
    code += returning("PUSH0 MLOAD")
    natives = done(logs=(log,))
    result = run(code, world=world_with(code, natives))
    assert word(result) == 1
    assert natives.calls == [(CONTRACT, b"\xab", 100_000, False)]
    assert result.logs == (log,)
    assert 40_000 < GAS - result.gas_left < 43_000


def test_a_native_counts_a_fortieth_of_its_gas_as_compute():
    """And something for being called at all."""
    code = calling(NATIVE, gas=100_000)
    used = [run(code, world=world_with(code, done(left))).compute for left in (100_000, 60_000)]
    assert used[1] - used[0] == 40_000 // 40


def test_a_native_gets_no_more_gas_than_its_compute_pays_for():
    """It would run first, and be found to have computed too much when it is over."""
    code = calling(NATIVE, gas=1_000_000)
    natives = done(gas_left=0)
    result = run(code, world=world_with(code, natives), compute_limit=10_000)
    assert (result.status, result.gas_left, result.error) == (0, 0, "out of gas")
    refused = Natives(NativeResult(status=0, output=b"", gas_left=0, logs=()))
    result = run(code, world=world_with(code, refused), compute_limit=10_000)
    assert (result.status, result.gas_left, result.compute) == (0, 0, 10_000)
    seen = []
    natives.call = lambda *, gas, **_: seen.append(gas) or natives.result
    run(code, world=world_with(code, natives), compute_limit=10_000)
    assert 350_000 < seen[0] < 40 * 10_000


def test_a_static_call_is_passed_on_as_one():
    code = returning(calling(NATIVE, kind="STATICCALL"))
    natives = done()
    assert word(run(code, world=world_with(code, natives))) == 1
    assert [is_static for *_, is_static in natives.calls] == [True]


def test_no_native_acts_on_another_contracts_behalf():
    for kind in ("DELEGATECALL", "CALLCODE"):
        code = returning(calling(NATIVE, kind=kind, gas=100_000))
        natives = done()
        result = run(code, world=world_with(code, natives))
        assert word(result) == 0
        assert natives.calls == []
        assert GAS - result.gas_left < 5_000


def test_a_refusal_is_a_revert_with_data():
    natives = Natives(NativeResult(status=0, output=b"no" * 16, gas_left=50_000, logs=()))
    code = returning(calling(NATIVE, gas=100_000, output=32), "POP PUSH0 MLOAD")
    result = run(code, world=world_with(code, natives))
    assert result.output == b"no" * 16
    assert GAS - result.gas_left < 53_000


def test_out_of_gas_takes_the_callees_gas():
    natives = Natives(NativeResult(status=0, output=b"", gas_left=0, logs=()))
    code = returning(calling(NATIVE, gas=100_000))
    result = run(code, world=world_with(code, natives))
    assert word(result) == 0
    assert GAS - result.gas_left > 100_000


def test_what_natives_did_goes_with_the_frame_that_called_them():
    code = calling(NATIVE) + asm("PUSH0 PUSH0 REVERT")
    natives = done()
    assert run(code, world=world_with(code, natives)).status == 2
    assert natives.calls == []


def test_solidity_finds_code_at_a_native():
    code = returning(int.from_bytes(NATIVE, "big"), "EXTCODESIZE")
    assert word(run(code, world=world_with(code, done()))) == 5
