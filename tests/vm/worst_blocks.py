"""Measures the price list: the worst legal block of each kind, executed in full.

Not a test (a busy machine would fail it): `.venv/bin/python -m tests.vm.worst_blocks` prints the
table of docs/spec/gas.md. Senders are known beforehand, as in a node whose mempool has seen the
transactions; state and tree (100,000 keys) are dicts.
"""

import random
import sys
import time
from dataclasses import replace
from typing import Annotated

from crypto import abi
from tests.vm.chain import MEMBERS, START_MS, TOY, Chain, Other, Toy, Transfer, genesis, key
from vm import gas
from vm.machine import Machine
from vm.native import U64, Abi, CallContext, external
from vm.transaction import decode, sign_transaction

KEYS = 100_000
SENDER = MEMBERS[0]
BIG = 9_990_000  # Gas limit of a transaction that fills half a block.
ROOM = 9_000_000  # Gas that its loop may use.


class Worst(Toy):
    """Loops over one priced operation each."""

    @external(gas=gas.METHOD)
    def write(self, ctx: CallContext, start: U64, count: U64, size: U64) -> None:
        value = b"v" * size
        for number in range(start, start + count):
            ctx.put(b"k%d" % number, value)

    @external(gas=gas.METHOD)
    def read(self, ctx: CallContext, start: U64, count: U64) -> None:
        for number in range(start, start + count):
            ctx.get(b"k%d" % number)

    @external(gas=gas.METHOD)
    def read_again(self, ctx: CallContext, count: U64) -> None:
        for _ in range(count):
            ctx.get(b"k1")

    @external(gas=gas.METHOD)
    def write_again(self, ctx: CallContext, count: U64) -> None:
        for _ in range(count):
            ctx.put(b"k1", b"x")

    @external(gas=gas.METHOD)
    def log(self, ctx: CallContext, count: U64) -> None:
        for number in range(count):
            ctx.emit(Transfer(ctx.caller, ctx.caller, number))

    @external(gas=gas.METHOD)
    def set_alarms(self, ctx: CallContext, count: U64) -> None:
        for number in range(count):  # Each earlier than all before: the longest way in the heap.
            ctx.schedule(START_MS * 2 - number, b"ring" * 16)

    @external(gas=gas.METHOD)
    def numbers(self, ctx: CallContext, items: Annotated[list[int], Abi("uint64[]")]) -> None: ...

    @external(gas=gas.METHOD)
    def pairs(
        self, ctx: CallContext, items: Annotated[list[tuple[int, bytes]], Abi("(uint64,bytes)[]")]
    ) -> None: ...

    @external(gas=gas.METHOD)
    def answer(self, ctx: CallContext, count: U64) -> Annotated[list[int], Abi("uint64[]")]:
        return [1] * count


def big_chain():
    c = Chain(Machine(genesis(quota_gas=10**12), [Worst(), Other()]))
    rng = random.Random(0)
    changes = [(b"s" + TOY + b"k%d" % number, rng.randbytes(32)) for number in range(KEYS)]
    c.state.update(changes)
    c.nodes.update(c.tree.update(changes).nodes)
    c.head = replace(c.head, state_root=c.tree.root)
    return c


def measure(c, name, make, count):
    candidates = [make(nonce) for nonce in range(count)]
    known = {tx.raw: tx for tx in candidates}
    for tx in candidates:
        tx.sender()
    built = c.build(candidates)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        execution = c.machine.execute_block(c.head, built.block, c.state, c.tree, known)
        seconds.append(time.perf_counter() - start)
    used = execution.header.gas_used
    scaled = min(seconds) * 1000 * gas.BLOCK_GAS_LIMIT / used
    columns = (name, len(execution.receipts), len(execution.changes), round(scaled))
    sys.stdout.write(f"| {' | '.join(map(str, columns))} |\n")


def main():
    c = big_chain()
    sys.stdout.write("| block of | transactions | keys changed | ms for 20 Mgas |\n")
    sys.stdout.write("|---|---|---|---|\n")
    measure(c, "empty calls", lambda n: c.tx(SENDER, None, nonce=n, gas_limit=21_000), 950)
    transfer = "transfer(address,uint256)"
    measure(
        c,
        "token transfers",
        lambda n: c.tx(SENDER, transfer, key(4000 + n % 64).address, 1, nonce=n, gas_limit=50_000),
        440,
    )

    def loop(name, signature, price, *, start=None, size=None):
        count = ROOM // price

        def make(nonce):
            first = () if start is None else (start + nonce * count,)
            last = () if size is None else (size,)
            return c.tx(SENDER, signature, *first, count, *last, nonce=nonce, gas_limit=BIG)

        measure(c, name, make, 2)

    write = "write(uint64,uint64,uint64)"
    for size in (1, 1000, 24_000):
        extra = gas.WRITE_BYTE * size
        loop(f"new keys, {size} bytes", write, gas.WRITE_NEW + extra, start=KEYS, size=size)
        loop(f"changed keys, {size} bytes", write, gas.WRITE + extra, start=0, size=size)
    loop("reads", "read(uint64,uint64)", gas.READ + 32 * gas.READ_BYTE, start=0)
    loop("reads of one key", "readAgain(uint64)", gas.AGAIN)
    loop("writes of one key", "writeAgain(uint64)", gas.AGAIN + gas.WRITE_BYTE)
    loop("events", "log(uint64)", gas.LOG + 3 * gas.LOG_TOPIC + 32 * gas.LOG_BYTE)
    loop("deadlines", "setAlarms(uint64)", gas.SCHEDULE)
    loop("output words", "answer(uint64)", 32 * gas.OUTPUT_BYTE)

    def calldata(signature, kind, items):
        data = abi.selector(signature) + abi.encode([kind], [items])
        chain_id = c.machine.genesis.chain_id
        return lambda nonce: decode(
            sign_transaction(
                SENDER, chain_id=chain_id, nonce=nonce, to=TOY, data=data, gas_limit=4_000_000
            )
        )

    zeros = calldata("numbers(uint64[])", "uint64[]", [0] * 3800)
    measure(c, "calldata: zeros", zeros, 5)
    pairs = calldata("pairs((uint64,bytes)[])", "(uint64,bytes)[]", [(0, b"")] * 950)
    measure(c, "calldata: pairs", pairs, 5)


if __name__ == "__main__":
    main()
