"""`hearth bench sim`: how fast the simulator runs the real consensus core."""

from collections.abc import Sequence

from consensus.sim.fuzz import NS, run_seeds
from testnet.bench import sizes, virtual

SEEDS = 200
"""About ten seconds; the sizes of the member set are drawn as in `hearth fuzz`."""


def run(
    seeds: int = SEEDS, members: Sequence[int] = sizes.SIZES, blocks: int = sizes.BLOCKS
) -> dict[str, object]:
    """Run seeds in one process with the keyed-hash stand-in for signatures.

    Returns:
        `messages_per_s` delivered and `seeds_per_s`, both for a second of processor time, and
        the sizes `n`; and for each number of `members` what a block takes, in virtual time with
        the costs that stand beside.
    """
    sign_us, verify_us = virtual.signature_costs()
    report = run_seeds(range(seeds), NS, workers=1)
    return {
        "messages_per_s": report.messages_per_s,
        "seeds_per_s": round(report.seeds / report.cpu_seconds, 1),
        "n": list(NS),
        "seeds": report.seeds,
        "messages": report.messages,
        "violations": len(report.violations),
        "costs_us": {
            "sign": round(sign_us, 1),
            "verify": round(verify_us, 1),
            "link": virtual.LINK_US,
            "sync": virtual.SYNC_US,
            "execute": virtual.EXECUTE_US,
            "frame": virtual.FRAME_US,
        },
        "members": [sizes.measure(n, (sign_us, verify_us), blocks).to_json() for n in members],
    }
