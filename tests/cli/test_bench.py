"""`hearth bench`: one JSON object with design.md's keys on stdout, progress on stderr."""

import json

from tests.cli.street import run


def test_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("bench", "state", "--keys", "500", "--updates", "50", "--json")
    figures = json.loads(result.stdout)
    assert set(figures) == {"updates", "keys", "tree_ms", "write_ms", "proof_bytes"}
    assert (figures["updates"], figures["keys"]) == (50, 500)
    assert figures["tree_ms"] > 0
    assert 500 < figures["proof_bytes"] < 2500
    assert "500 of 500 keys" in result.stderr
    assert not list((tmp_path / ".hearth" / "bench").iterdir())
    assert "proof_bytes" in run("bench", "state", "--keys", "9", "--updates", "99").stdout


def test_vm(monkeypatch):
    monkeypatch.setattr("testnet.bench.vm.RUNS", 1)
    monkeypatch.setattr("testnet.bench.vm.TRANSFERS", 20)
    monkeypatch.setattr("testnet.bench.vm.CALLS", 20)
    figures = json.loads(run("bench", "vm", "--json").stdout)
    assert figures["native_transfer_us"] > 0
    assert figures["eth_call_per_s"] > 0


def test_sim(monkeypatch):
    monkeypatch.setattr("testnet.bench.sim.SEEDS", 1)
    figures = json.loads(run("bench", "sim", "--json").stdout)
    assert {"messages_per_s", "seeds_per_s", "n"} <= set(figures)


def test_consensus_runs_what_is_asked(monkeypatch):
    asked = {}

    def fake(say, **options):
        asked.update(options)
        say("working")
        return {"n": options["nodes"], "light": {"p50_ms": 5.0}}

    monkeypatch.setattr("testnet.bench.consensus.run", fake)
    result = run("bench", "consensus", "--part", "light", "-n", "5", "--seconds", "2", "--json")
    assert json.loads(result.stdout) == {"n": 5, "light": {"p50_ms": 5.0}}
    assert result.stderr == "working\n"
    assert (asked["parts"], asked["nodes"], asked["seconds"]) == (("light",), 5, 2.0)
    assert "light.p50_ms  5.0" in run("bench", "consensus").stdout
    assert set(asked["parts"]) == {"light", "load", "failover", "restart", "idle"}
    assert "--part must be one of" in run("bench", "consensus", "--part", "x", code=2).stderr
