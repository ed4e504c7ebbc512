"""Whole blocks in both tiers, each in a process with its own hash seed: one head, one state root.

The programs: a Vyper token whose transfers and refusals recur, a Vyper loop, and contracts that
call natives, each other and themselves, create, log, and fail. What tier 2 has compiled differs
from process to process; nothing that a block holds may.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENARIO = """
import json, sys
from crypto import abi
from testnet.bench import evm_programs
from tests.vm import programs
from tests.vm.chain import MEMBERS, chain
from tests.vm.programs import call, count, create, created_by, deploy, init_code, program
from tests.vm.programs import store, transfer
from vm.evm import tiers
from vm.evm.compiled import PRICE, Compiler

runs = int(sys.argv[1])
watch = Compiler(runs, price=0 if runs < 400 else PRICE) if runs else None
roots = []
with tiers.using(watch):
    c = chain()
    ALICE, BOB = MEMBERS[:2]
    inner = deploy(c, count, transfer(BOB.address, 3), store(5, 6), programs.revert)
    outer = deploy(c, count, call(inner), transfer(BOB.address, 2), store(9, 1), store(7, 2),
                   create(program(count)), create(program(store(1, 1))), call(None, gas=200_000))
    for code in (evm_programs.token_init_code(1_000), init_code(evm_programs.code("loop"))):
        (receipt,) = c.seal(c.send(ALICE, code, gas_limit=5_000_000))
        assert receipt.status == 1
    token, loop = (created_by(ALICE.address, n) for n in (2, 3))
    for address in (inner, outer):
        c.seal(c.tx(ALICE, "transfer(address,uint256)", address, 50))
    rounds = abi.selector("run(uint256)") + abi.encode(("uint256",), (40,))
    statuses = set()
    for n in range(5):
        sends = []
        for place, signer in enumerate(MEMBERS):
            nonce = c.machine.next_nonce(c.state, signer.address)
            to = MEMBERS[(place + n) % 4].address
            data = evm_programs.transfer_data(to, 7 * place + 60 * n)
            sends += [
                c.send(signer, data, to=token, nonce=nonce, gas_limit=200_000),
                c.send(signer, rounds, to=loop, nonce=nonce + 1, gas_limit=200_000 - 9_000 * n),
                c.send(signer, to=(outer, inner)[place % 2], nonce=nonce + 2),
            ]
        receipts = c.seal(*sends)
        statuses.update(receipt.status for receipt in receipts)
        roots.append((c.head.hash.hex(), c.head.state_root.hex()))
assert statuses == {0, 1}, statuses
print(json.dumps({"roots": roots, "compiled": watch.compiled if watch else 0}))
"""


def run(runs, hash_seed):
    """Return the chain's heads with blocks compiled after `runs` executions; 0: never."""
    done = subprocess.run(
        [sys.executable, "-c", SCENARIO, str(runs)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_state_roots_are_equal_across_tiers_and_hash_seeds():
    first = run(0, "1")
    assert len(first["roots"]) == 5
    for runs, hash_seed in ((1, "2"), (7, "3"), (400, "4"), (0, "5")):
        other = run(runs, hash_seed)
        assert other["roots"] == first["roots"], f"compiled after {runs}, hash seed {hash_seed}"
        assert bool(other["compiled"]) == bool(runs), f"compiled after {runs}"
