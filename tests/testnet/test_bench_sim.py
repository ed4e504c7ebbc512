from testnet.bench.sim import run
from testnet.bench.sizes import measure


def test_the_simulators_figures_have_the_keys_of_the_design():
    figures = run(seeds=4, members=(4, 13), blocks=2)
    assert {"messages_per_s", "seeds_per_s", "n"} <= set(figures)
    assert figures["n"] == [4, 5, 6, 7]
    assert figures["violations"] == 0
    assert figures["messages"] > 1_000
    small, large = figures["members"]
    assert (small["n"], large["n"]) == (4, 13)
    # PRE-PREPARE to n - 1, PREPAREs of n - 1 and COMMITs of n members to n - 1 each.
    assert small["messages_per_block"] == 3 + 9 + 12
    assert large["messages_per_block"] == 12 + 12 * 12 + 13 * 12
    assert 0 < small["commit_p50_ms"] < large["commit_p50_ms"]
    assert small["bytes_per_block"] > 3 * 2_000
    assert figures["costs_us"]["verify"] > figures["costs_us"]["sign"] > 0


def test_signatures_are_charged():
    cheap, dear = (measure(4, (us, us), blocks=2) for us in (0.0, 5_000.0))
    assert dear.commit_p50_ms > cheap.commit_p50_ms + 15
    assert dear.messages_per_block == cheap.messages_per_block
