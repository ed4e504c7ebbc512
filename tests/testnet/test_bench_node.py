"""`hearth bench node`: all figures are there and judged; on real processes, small."""

import pytest

from testnet.bench import cpu_parts, node
from testnet.bench.joining import make_testnet


@pytest.mark.e2e
@pytest.mark.slow
def test_a_node_catches_up_by_blocks_and_joins_by_certified_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    figures = node.run(said.append, blocks=520, txs=2, keys=3000, base_port=29_400, parts=("join",))
    assert set(figures) >= {"start_ms", "rss_mb", "catchup_blocks_per_s", "snapshot_join_s"}
    assert figures["certified_blocks_per_s"] > figures["catchup_blocks_per_s"] > 0
    assert any(line.startswith("a state of 3,") for line in said)
    names = {row["name"] for row in figures["figures"]}
    assert names == {"catchup_blocks_per_s", "certified_blocks_per_s", "snapshot_join_s"}


@pytest.mark.e2e
@pytest.mark.slow
def test_a_primary_that_is_killed_or_frozen_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figures = node.run(
        lambda _: None, blocks=1, txs=1, keys=1, base_port=29_450, parts=("failover",), kills=2
    )
    assert 0 < figures["failover_n4_killed_p50_ms"] <= figures["failover_n4_killed_p99_ms"]
    # Silence alone tells: no sooner than the timer of a view.
    assert figures["failover_n4_frozen_p50_ms"] > 100
    assert len(figures["figures"]) == 2


def test_each_part_of_a_transaction_s_cost_is_measured(tmp_path):
    new = make_testnet(tmp_path, 29_470)
    found = cpu_parts.measure(new, tmp_path / "chain", blocks=2, txs=10)
    assert list(found) == [*cpu_parts.PARTS, "sum"]
    assert all(found[part] > 0 for part in ("rpc", "decode", "recover", "execute", "store"))
    assert found["recover"] > found["gossip"]
    assert found["sum"] == pytest.approx(sum(found[part] for part in cpu_parts.PARTS), abs=0.1)


def test_bounds_are_judged_from_both_sides_and_only_what_was_measured():
    rows = node.judge({"catchup_blocks_per_s": 39.9, "snapshot_join_s": 30, "other": 1})
    assert [(row["name"], row["held"]) for row in rows] == [
        ("catchup_blocks_per_s", False),
        ("snapshot_join_s", True),
    ]
    assert node.lines(rows) == [
        "catchup_blocks_per_s: 39.9 (must be at least 40) MISSED",
        "snapshot_join_s: 30 (must be at most 30) held",
    ]


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="parts must be among"):
        node.run(lambda _: None, blocks=1, txs=1, keys=1, parts=("nonsense",))
