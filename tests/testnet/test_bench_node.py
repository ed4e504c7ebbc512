"""`hearth bench node` on real processes, small: all figures are there, all heights reached."""

import pytest

from testnet.bench import node


@pytest.mark.e2e
@pytest.mark.slow
def test_a_node_catches_up_by_blocks_and_joins_by_certified_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    figures = node.run(said.append, blocks=520, txs=2, keys=3000, base_port=29_400)
    assert set(figures) >= {"start_ms", "rss_mb", "catchup_blocks_per_s", "snapshot_join_s"}
    assert figures["certified_blocks_per_s"] > figures["catchup_blocks_per_s"] > 0
    assert any(line.startswith("a state of 3,") for line in said)
