"""Measures full blocks of bytecode around what `hearth bench vm --worst` sees inside the EVM.

Not a test (a busy machine would fail it): `.venv/bin/python -m tests.vm.worst_bytecode` prints the
table of docs/spec/gas.md. Each block holds two transactions that loop, or call new code, until
their gas or their compute ends; no code is decoded beforehand. Execution, receipts, Merkle tree
over 100,000 keys and roots are in the time.
"""

import sys
import time

from testnet.bench.vm_decode import CODES
from tests.vm.chain import MEMBERS, TOY, call_data
from tests.vm.programs import (
    GAS,
    JUMP,
    JUMPDEST,
    JUMPI,
    SSTORE,
    STATICCALL,
    STOP,
    call,
    created_by,
    init_code,
    mstore,
    push,
)
from tests.vm.worst_blocks import BIG, SENDER, big_chain
from vm.evm.gas import CODE_BYTES_MAX
from vm.evm.interpreter import PROGRAMS

RESERVE = 100_000
"""Gas at which a loop that is to succeed stops."""
GT, SLOAD, LOG4, CREATE, POP, ZERO = 0x11, 0x54, 0xA4, 0xF0, 0x50, 0x5F
BALANCE = call_data("balanceOf(address)", SENDER.address)
TRANSFER = call_data("transfer(address,uint256)", MEMBERS[1].address, 0)


def endless(body):
    return bytes((JUMPDEST,)) + body + push(0, 2) + bytes((JUMP,))


def ending(body):
    return (
        bytes((JUMPDEST,)) + body + push(RESERVE, 3) + bytes((GAS, GT)) + push(0, 2)
        + bytes((JUMPI, STOP))
    )  # fmt: skip


def deployed(c, code):
    nonce = c.machine.next_nonce(c.state, SENDER.address)
    (receipt,) = c.seal(c.send(SENDER, init_code(code), gas_limit=9_000_000))
    assert receipt.status == 1
    return created_by(SENDER.address, nonce)


def measure(c, name, code):
    measure_calls(c, name, [deployed(c, code)] * 2)


def measure_new(c, name):
    """Two transactions that call large contracts that no cache holds, each with its own code."""
    body = CODES[name](CODE_BYTES_MAX - 3) + bytes((STOP,))
    callees = [deployed(c, body + n.to_bytes(2, "big")) for n in range(40)]
    callers = [
        deployed(c, b"".join(call(to, kind=STATICCALL)(0) for to in half))
        for half in (callees[:20], callees[20:])
    ]
    measure_calls(c, f"new code: {name}", callers)


def measure_calls(c, name, targets):
    nonce = c.machine.next_nonce(c.state, SENDER.address)
    candidates = [
        c.send(SENDER, to=to, gas_limit=BIG, nonce=nonce + n) for n, to in enumerate(targets)
    ]
    known = {tx.raw: tx for tx in candidates}
    built = c.build(candidates)
    seconds = []
    for _ in range(3):
        PROGRAMS.clear()
        start = time.process_time()
        execution = c.machine.execute_block(c.head, built.block, c.state, c.tree, known)
        seconds.append(time.process_time() - start)
    statuses = "/".join(str(receipt.status) for receipt in execution.receipts)
    columns = (name, statuses, len(execution.changes), round(min(seconds) * 1000))
    sys.stdout.write(f"| {' | '.join(map(str, columns))} |\n")


def main():
    c = big_chain()
    sys.stdout.write("| block of | status | keys changed | ms |\n|---|---|---|---|\n")
    measure(c, "jumps", endless(b""))
    for name, data in (("no method", b""), ("bad calldata", BALANCE[:20]), ("transfers", TRANSFER)):
        measure(c, f"native calls: {name}", endless(call(TOY, data)(0)))
    measure(c, "native calls: views", endless(call(TOY, BALANCE, kind=STATICCALL)(0)))
    measure(c, "native calls without gas", endless(call(TOY, BALANCE, gas=10)(0)))
    measure(c, "calls of nobody", endless(call(MEMBERS[1].address)(0)))
    measure(c, "calls of itself", endless(call(None)(0)))
    measure(c, "cold reads", endless(bytes((GAS, SLOAD, POP))))
    measure(c, "writes of one slot", endless(bytes((GAS, ZERO, SSTORE))))
    measure(c, "new slots", ending(push(1) + bytes((GAS, SSTORE))))
    measure(c, "logs", ending(bytes((GAS, GAS, GAS, GAS, ZERO, ZERO, LOG4))))
    measure(c, "empty creations", ending(bytes((ZERO, ZERO, ZERO, CREATE, POP))))
    one_byte = mstore(bytes.fromhex("60015ff3")) + push(4) + bytes((ZERO, ZERO, CREATE, POP))
    measure(c, "creations", ending(one_byte))
    for name in CODES:
        measure_new(c, name)


if __name__ == "__main__":
    main()
