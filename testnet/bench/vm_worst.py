"""`hearth bench vm --worst`: programs that are slow for their price, and a full block of them.

A block is full when either of its meters is: gas, or compute. Each program is run at the largest
limits that one transaction may have, and its time is scaled to a whole block at genesis's limits.
Code that no cache holds (`testnet.bench.vm_decode`) is measured beside endless loops.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import final

from testnet.bench import vm_decode
from testnet.bench.evm_programs import CONTRACT, SENDER, transfer_case
from testnet.bench.vm_decode import HashedState
from testnet.evm_fuzz.assembly import Assembler, Label
from testnet.evm_fuzz.case import Case
from testnet.evm_fuzz.ours import environment
from testnet.launcher import Say
from vm import gas
from vm.evm import interpreter, tiers
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.world import World

RUNS = 3
_UNROLLED = 400
"""Repetitions of a body between two jumps back."""
_BIG = 2**256 - 189
_JUMPS = 0x6003565B
"""Bytecode: jumps to its own JUMPDEST."""


@final
@dataclass(frozen=True, slots=True)
class Body:
    """What a program repeats.

    Attributes:
        before: executed once.
        text: mnemonics and numbers to push, by spaces; leaves the stack as it was.
        unrolled: repetitions between two jumps back.
    """

    text: str
    before: str = ""
    unrolled: int = _UNROLLED


def _binary(name: str, a: int = _BIG, b: int = 3) -> Body:
    return Body(f"{b} {a} {name} POP")


_CALL = "0 0 0 0 {to} GAS {name} POP"
PROGRAMS: dict[str, Body] = {
    "JUMPDEST": Body("JUMPDEST", unrolled=5_000),
    "PUSH0 POP": Body("PUSH0 POP"),
    "a jump each time": Body("", unrolled=1),
    "ADD": _binary("ADD", _BIG, _BIG),
    "MUL": _binary("MUL", _BIG, _BIG),
    "SDIV": _binary("SDIV", _BIG, 2**128 + 1),
    "SMOD": _binary("SMOD", _BIG, 2**128 + 1),
    "SAR": _binary("SAR", 255, _BIG),
    "SIGNEXTEND": _binary("SIGNEXTEND", 1, _BIG),
    "EXP, 1 byte": _binary("EXP", _BIG, 255),
    "EXP, 32 bytes": _binary("EXP", _BIG, _BIG),
    "MULMOD": Body(f"{_BIG} {2**256 - 5} {2**256 - 7} MULMOD POP"),
    "MLOAD": Body("3 MLOAD POP"),
    "MSTORE8": Body("1 3 MSTORE8"),
    "KECCAK256, 32 bytes": Body("32 0 KECCAK256 POP"),
    "KECCAK256, 4 kB": Body("4096 0 KECCAK256 POP"),
    "MCOPY, 4 kB": Body("4096 0 1 MCOPY"),
    "CALLDATACOPY, 0 bytes": Body("0 0 0 CALLDATACOPY"),
    "CALLDATACOPY, 4 kB": Body("4096 0 0 CALLDATACOPY"),
    "EXTCODECOPY, 4 kB": Body(f"4096 0 0 {int.from_bytes(CONTRACT, 'big')} EXTCODECOPY"),
    "EXTCODEHASH": Body("ADDRESS EXTCODEHASH POP"),
    "growing memory": Body("DUP1 32 MUL MLOAD POP"),
    "SLOAD, warm": Body("0 SLOAD POP"),
    "SLOAD, cold": Body("GAS SLOAD POP"),
    "SSTORE, warm": Body("GAS 0 SSTORE"),
    "SSTORE, new": Body("1 GAS SSTORE"),
    "TSTORE": Body("1 GAS TSTORE"),
    "TLOAD": Body("0 TLOAD POP"),
    "BALANCE, cold": Body("GAS BALANCE POP"),
    "LOG0": Body("0 0 LOG0"),
    "LOG4, 1 kB": Body("1 2 3 4 1024 0 LOG4"),
    "STATICCALL of nobody": Body(_CALL.format(to=2**100, name="STATICCALL")),
    "CALL, cold": Body("0 0 0 0 0 GAS GAS CALL POP"),
    "identity": Body("32 0 32 0 4 GAS STATICCALL POP"),
    "SHA-256": Body("32 0 32 0 2 GAS STATICCALL POP"),
    "RIPEMD-160": Body("32 0 32 0 3 GAS STATICCALL POP"),
    "RIPEMD-160, 4 kB": Body("32 0 4096 0 3 GAS STATICCALL POP"),
    "ECRECOVER, refused": Body("32 0 128 0 1 GAS STATICCALL POP"),
    "MODEXP, 32 bytes": Body(
        "32 0 192 0 5 GAS STATICCALL POP",
        before=f"32 0 MSTORE 32 32 MSTORE 32 64 MSTORE {_BIG} 96 MSTORE {_BIG} 128 MSTORE "
        f"{_BIG} 160 MSTORE",
    ),
    # The price of a bit of the exponent has a machine word in mind, which Python has not.
    "MODEXP, 8 bytes, long exponent": Body(
        "8 0 1112 0 5 GAS STATICCALL POP",
        before="8 0 MSTORE 1000 32 MSTORE 8 64 MSTORE "
        + " ".join(f"{_BIG} {at} MSTORE" for at in range(96, 1112, 32))
        + " 1 96 MSTORE8",
    ),
    "CREATE, 48 kB": Body(
        "49152 0 0 CREATE POP",
        before=f"{_JUMPS << 224} 0 MSTORE",  # A jump, so that all 48 kB are searched for targets.
        unrolled=4,
    ),
    "CREATE of nothing": Body("0 0 0 CREATE POP"),
    "calls itself": Body("0 0 0 0 ADDRESS GAS STATICCALL POP", unrolled=1),
}


def program(body: Body) -> bytes:
    """Return a program that repeats `body` for ever; a counter lies on its stack."""
    asm = Assembler()
    _append(asm, body.before)
    asm.push(0)
    start: Label = asm.label()
    asm.jumpdest(start)
    for _ in range(body.unrolled):
        _append(asm, body.text)
    asm.push(1)
    asm.op("ADD")
    asm.push_label(start)
    asm.op("JUMP")
    return asm.code()


def _append(asm: Assembler, text: str) -> None:
    for word in text.split():
        if word.isdecimal():
            asm.push(int(word))
        else:
            asm.op(word)


def cases() -> dict[str, Callable[[], Case]]:
    """Return what is measured, by name."""

    def looping(body: Body) -> Case:
        return transfer_case().with_code(CONTRACT, program(body))

    made: dict[str, Callable[[], Case]] = {
        name: partial(looping, body) for name, body in PROGRAMS.items()
    }
    for name, code in vm_decode.CODES.items():
        made[f"new code: {name}"] = partial(vm_decode.calls, code)
        made[f"new init code: {name}"] = partial(vm_decode.creations, code)
    return made


def run(say: Say) -> dict[str, object]:
    """Time every program in both tiers.

    Returns:
        `worst_block_ms`: of a full block of the worst program, for each tier; `programs`: for each,
        milliseconds of a full block and compute units a microsecond, for each tier.
    """
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, case in cases().items():
        say(name)
        figures[name] = {}
        for tier in tiers.TIERS:
            with tiers.using(tiers.compiler(tier)):
                figures[name][str(tier)] = _measure(case(), is_new=name not in PROGRAMS)
    worst = {
        str(tier): max(each[str(tier)]["block_ms"] for each in figures.values())
        for tier in tiers.TIERS
    }
    return {
        "block_gas_limit": gas.BLOCK_GAS_LIMIT,
        "block_compute_limit": gas.BLOCK_COMPUTE_LIMIT,
        "worst_block_ms": worst,
        "programs": figures,
    }


def _measure(case: Case, *, is_new: bool) -> dict[str, float]:
    state, env = HashedState(case), environment(case)
    limit = gas.tx_gas_limit(gas.BLOCK_GAS_LIMIT) - gas.TX_BASE
    message = Message(caller=SENDER, to=CONTRACT, value=0, data=b"", gas=limit)

    def once() -> tuple[float, int, int]:
        if is_new:
            interpreter.PROGRAMS.clear()
        world = World(state)
        start = time.process_time()
        result = execute(
            world,
            env,
            message,
            compute_limit=gas.tx_compute_limit(gas.BLOCK_COMPUTE_LIMIT),
        )
        world.changes()
        seconds = time.process_time() - start
        return seconds, limit - result.gas_left, result.compute

    used = min((once() for _ in range(RUNS)), key=itemgetter(0))
    seconds, gas_used, compute = used
    # Whichever meter is full first ends the block.
    room = min(gas.BLOCK_GAS_LIMIT / gas_used, gas.BLOCK_COMPUTE_LIMIT / max(compute, 1))
    return {
        "block_ms": round(seconds * room * 1000, 1),
        "compute_per_us": round(compute / seconds / 1e6, 1),
    }
