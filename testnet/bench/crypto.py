"""`hearth bench crypto`: the private market's primitives on one core, on each backend."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

from crypto import bulletproofs_plus, clsag, curve
from crypto.clsag import ClsagStatement, ClsagWitness
from crypto.keys import NodeKey, verify_ed25519
from crypto.monero import verify_transactions
from crypto.monero_transaction import parse_transaction
from crypto.pedersen import Opening, commit
from crypto.range_proof import RangeStatement
from crypto.stealth import Address, WalletKeys, key_image, make_output, scan_block
from crypto.transcript import Rng
from testnet.bench.private_transaction import make_bin, make_transaction, rings_of, scalar
from testnet.launcher import Say

BACKENDS: Final = ("native", "sodium")
RING = 16
BATCH = 100
SCANNED = 1_000
DISTINCT = 5
"""Of a batch; the others are the same again, which no verification notices."""
RUNS = 5
"""The least of as many runs counts: what disturbs a run only makes it longer."""
RUN_S = 0.1
"""A run repeats what is quicker than this."""
SLOW_S = 1.0
"""What takes longer is run once."""
SEED = 2020_735

MUST_MS: Final = {
    "clsag16_verify_ms": 1.3,
    "clsag16_sign_ms": 2.0,
    "bpp2_prove_ms": 25.0,
    "bpp2_verify_batch100_ms": 0.35,
    "private_tx_block100_ms": 3.0,
    "scan1000_ms": 60.0,
}
"""What the native backend must reach."""
MONERO_PRIVATE_TX_MS = 7.7
"""A 2-in/2-out transaction, ring 16, verified by Monero's C++ (docs/performance.md)."""
DALEK_PRIVATE_TX_MS = 3.0
"""The same by curve25519-dalek without vector instructions."""


def run(say: Say) -> dict[str, object]:
    """Measure every backend that is installed; None stands for one that is not.

    Returns:
        `native` and `sodium`, each with: one ring signature of 16 members, verified with its ring
        decoded before (`clsag16_verify_ms`, and `clsag16_verify_many_ms` for each of 100) and
        signed; a range proof of 2 outputs proved, verified alone, and for each of a batch of 100;
        a 2-in/2-out transaction, from its bytes, for each of a block of 100, rings decoded before;
        1,000 outputs of strangers scanned; an Ed25519 signature verified, as a yardstick. Beside
        them `must_ms`, whether native reaches it, and how many times Monero's C++ and plain dalek
        need of native's time for the transaction.
    """
    figures: dict[str, object] = {}
    native: dict[str, float] | None = None
    for backend in BACKENDS:
        if not curve.is_available(backend):
            say(f"{backend}: not installed")
            figures[backend] = None
            continue
        with curve.using(backend), _one_core():
            say(backend)
            measured = _measure()
        figures[backend] = measured
        native = measured if backend == "native" else native
    figures["must_ms"] = dict(MUST_MS)
    if native is not None:
        time_ms = native["private_tx_block100_ms"]
        figures["must_holds"] = all(native[name] <= must for name, must in MUST_MS.items())
        figures["monero_cpp_times"] = round(MONERO_PRIVATE_TX_MS / time_ms, 2)
        figures["plain_dalek_times"] = round(DALEK_PRIVATE_TX_MS / time_ms, 2)
    return figures


def _measure() -> dict[str, float]:
    rng = random.Random(SEED).randbytes
    figures = {
        **_ring_signatures(rng),
        **_range_proofs(rng),
        "private_tx_block100_ms": _transactions(rng),
        "scan1000_ms": _scan(rng),
        "ed25519_verify_ms": _ed25519(),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _ring_signatures(rng: Rng) -> dict[str, float]:
    source = make_bin(rng, RING)
    place = RING // 3
    mask = scalar(rng)
    key = source.ring.keys[32 * place : 32 * place + 32]
    opening = source.openings[place]
    statement = ClsagStatement(
        ring=source.ring,
        pseudo_out=commit(Opening(mask=mask, amount=opening.amount)),
        key_image=key_image(source.secrets[place], key),
        message=rng(32),
    )
    witness = ClsagWitness(
        index=place,
        secret=source.secrets[place],
        mask_difference=curve.sc_sub(opening.mask, mask),
    )
    signature = clsag.sign(statement, witness, rng=rng)
    many = [(statement, signature)] * BATCH
    assert all(clsag.verify_many(many)), "the signatures hold"
    return {
        "clsag16_verify_ms": _time_ms(lambda: clsag.verify(statement, signature)),
        "clsag16_verify_many_ms": _time_ms(lambda: clsag.verify_many(many)) / BATCH,
        "clsag16_sign_ms": _time_ms(lambda: clsag.sign(statement, witness, rng=rng)),
    }


def _range_proofs(rng: Rng) -> dict[str, float]:
    openings = [Opening(mask=scalar(rng), amount=amount) for amount in (5, 2**63)]
    statement = RangeStatement(commitments=tuple(map(commit, openings)))
    proofs = [bulletproofs_plus.prove(statement, openings, rng=rng) for _ in range(DISTINCT)]
    batch = [(statement, proofs[i % DISTINCT]) for i in range(BATCH)]
    return {
        "bpp2_prove_ms": _time_ms(lambda: bulletproofs_plus.prove(statement, openings, rng=rng)),
        "bpp2_verify_ms": _time_ms(lambda: bulletproofs_plus.verify(*batch[0])),
        "bpp2_verify_batch100_ms": _time_ms(lambda: bulletproofs_plus.verify_batch(batch)) / BATCH,
    }


def _transactions(rng: Rng) -> float:
    """Time for each transaction of a block: parse, then check all rules and proofs."""
    bins = [make_bin(rng, RING) for _ in range(DISTINCT)]
    made = []
    for pair in pairwise((*bins, bins[0])):
        transaction = make_transaction(rng, pair)
        made.append((transaction.to_bytes(), rings_of(transaction, pair)))
    block = [made[i % DISTINCT] for i in range(BATCH)]

    def verify() -> None:
        verdicts = verify_transactions([(parse_transaction(raw), rings) for raw, rings in block])
        assert all(verdicts), "the transactions are valid"

    return _time_ms(verify) / BATCH


def _scan(rng: Rng) -> float:
    """Time for outputs of which none is the wallet's, each of another transaction."""
    keys = WalletKeys(spend_secret=scalar(rng), view_secret=scalar(rng))
    stranger = Address(spend=curve.base_mul(scalar(rng)), view=curve.base_mul(scalar(rng)))
    outputs = [
        make_output(stranger, tx_secret=scalar(rng), index=0, amount=1)[0] for _ in range(SCANNED)
    ]
    return _time_ms(lambda: scan_block(keys, outputs))


def _ed25519() -> float:
    """Time to verify one signature with libsodium, whichever backend the curve has."""
    key = NodeKey.from_seed(bytes(range(32)))
    message = bytes(32)
    signature = key.sign(message)
    return _time_ms(lambda: verify_ed25519(key.public, message, signature))


def _time_ms(work: Callable[[], object]) -> float:
    """Return how much of a core's time `work` takes at its best, all threads together.

    Time of the processor, not of the clock: it is the same on a machine that does other work.
    """
    times = []
    for _ in range(RUNS):
        count = 0
        start = time.process_time()
        while True:
            work()
            count += 1
            took = time.process_time() - start
            if took >= RUN_S:
                break
        times.append(1000 * took / count)
        if took >= SLOW_S:
            break
    return min(times)


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep all threads on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
