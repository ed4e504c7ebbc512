"""`hearth bench sim`: how fast the simulator runs the real consensus core."""

from consensus.sim.fuzz import NS, run_seeds

SEEDS = 200
"""About ten seconds; the sizes of the member set are drawn as in `hearth fuzz`."""


def run(seeds: int = SEEDS) -> dict[str, object]:
    """Run seeds in one process with the keyed-hash stand-in for signatures.

    Returns:
        `messages_per_s` delivered and `seeds_per_s`, both for a second of processor time, and
        the sizes `n`.
    """
    report = run_seeds(range(seeds), NS, workers=1)
    return {
        "messages_per_s": report.messages_per_s,
        "seeds_per_s": round(report.seeds / report.cpu_seconds, 1),
        "n": list(NS),
        "seeds": report.seeds,
        "messages": report.messages,
        "violations": len(report.violations),
    }
