from testnet.bench.sim import run


def test_the_simulators_figures_have_the_keys_of_the_design():
    figures = run(seeds=4)
    assert {"messages_per_s", "seeds_per_s", "n"} <= set(figures)
    assert figures["n"] == [4, 5, 6, 7]
    assert figures["violations"] == 0
    assert figures["messages"] > 1_000
