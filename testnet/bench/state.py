"""`hearth bench state`: one block's changes in a large state, on disk as a node keeps it."""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import plyvel

from crypto.merkle import SparseMerkleTree
from testnet.launcher import Say

ROOT = Path(".hearth") / "bench"
"""Under the working directory, on a real disk: a temporary folder may be in memory."""
BATCH = 20_000
"""Keys written at a time while the state is filled."""
RUNS = 5
PROOFS = 100
KEY_BYTES = 41
"""A balance's key: prefix, contract, prefix, account."""
VALUE_BYTES = 8


def run(say: Say, *, keys: int, updates: int) -> dict[str, object]:
    """Fill a state with `keys` keys, then change `updates` of them at a time.

    Returns:
        `tree_ms` to compute the new root and nodes, `write_ms` for their synced batch (medians
        over runs), and `proof_bytes`, the mean length of a proof.
    """
    rng = random.Random(0)
    names = [rng.randbytes(KEY_BYTES) for _ in range(keys)]
    ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        db = plyvel.DB(folder, create_if_missing=True)
        try:
            tree = SparseMerkleTree(db.prefixed_db(b"n"))
            for start in range(0, keys, BATCH):
                _change(db, tree, names[start : start + BATCH], rng)
                say(f"{min(start + BATCH, keys):,} of {keys:,} keys")
            chosen = [rng.sample(names, min(updates, keys)) for _ in range(RUNS)]
            times = [_change(db, tree, each, rng) for each in chosen]
            proofs = [len(tree.prove(name).to_bytes()) for name in rng.choices(names, k=PROOFS)]
        finally:
            db.close()
    return {
        "updates": min(updates, keys),
        "keys": keys,
        "tree_ms": round(statistics.median(tree_ms for tree_ms, _ in times), 1),
        "write_ms": round(statistics.median(write_ms for _, write_ms in times), 1),
        "proof_bytes": round(statistics.mean(proofs)),
    }


def _change(
    db: plyvel.DB, tree: SparseMerkleTree, names: list[bytes], rng: random.Random
) -> tuple[float, float]:
    """Give each key a new value; returns milliseconds for the tree and for the synced write."""
    values = {name: rng.randbytes(VALUE_BYTES) for name in names}
    start = time.perf_counter()
    update = tree.update(values.items())
    middle = time.perf_counter()
    with db.write_batch(sync=True) as batch:
        for key, value in _entries(values, update.nodes):
            batch.delete(key) if value is None else batch.put(key, value)
    return (middle - start) * 1000, (time.perf_counter() - middle) * 1000


def _entries(
    values: Mapping[bytes, bytes], nodes: Mapping[bytes, bytes | None]
) -> Iterator[tuple[bytes, bytes | None]]:
    for key, value in values.items():
        yield b"v" + key, value
    for path, node in nodes.items():
        yield b"n" + path, node
