"""`hearth bench`: one JSON object with design.md's keys on stdout, progress on stderr."""

import json
import sys
from dataclasses import replace

import pytest

from testnet import evm_fuzz
from testnet.bench import vm_decode, vm_worst
from testnet.bench.calls import eth_calls_per_s
from testnet.bench.evm_programs import CONTRACT, SENDER, transfer_case
from testnet.bench.peers import measure
from testnet.evm_fuzz import ours
from tests.cli.street import run
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.world import World


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # py-evm's own.
def test_vm(monkeypatch):
    for name, value in {
        "vm.RUNS": 1,
        "timing.RUNS": 1,
        "vm.TRANSFERS": 20,
        "peers.TRANSFERS": 5,
        "evm_programs.LOOP_ROUNDS": 100,
        "vm.eth_calls_per_s": lambda _: 2_000,
    }.items():
        monkeypatch.setattr(f"testnet.bench.{name}", value)
    figures = json.loads(run("bench", "vm", "--json").stdout)
    assert figures["native_transfer_us"] < figures["native_transfer_in_block_us"]
    for each in (figures, *figures["tiers"].values(), *figures["peers"].values()):
        assert each["loop_mgas_per_s"] > 0
        assert each["vyper_transfer_us"] > 0
    assert set(figures["times_as_fast"]) == {"py_evm", "pyrevm"}
    assert figures["limits"]["eth_call_per_s"] == {"min": 1_500, "met": True}


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    for name in ("pyevm", "revm"):
        monkeypatch.delattr(evm_fuzz, name, raising=False)
        monkeypatch.setitem(sys.modules, f"testnet.evm_fuzz.{name}", None)
    said = []
    assert measure(said.append) == {"py_evm": None, "pyrevm": None}
    assert "py_evm is not there" in said[0]


@pytest.mark.e2e
def test_eth_calls_of_a_real_node(monkeypatch):
    monkeypatch.setattr("testnet.bench.calls.CALLS", 50)
    assert eth_calls_per_s(lambda _: None) > 0


def test_vm_worst(monkeypatch):
    few = {name: vm_worst.PROGRAMS[name] for name in ("a jump each time", "EXP, 32 bytes")}
    monkeypatch.setattr("testnet.bench.vm_worst.PROGRAMS", few)
    code = {"JUMPDEST": vm_decode.CODES["JUMPDEST"]}
    monkeypatch.setattr("testnet.bench.vm_decode.CODES", code)
    monkeypatch.setattr("testnet.bench.vm_worst.RUNS", 1)
    figures = json.loads(run("bench", "vm", "--worst", "--json").stdout)
    new = {"new code: JUMPDEST", "new init code: JUMPDEST"}
    assert set(figures["programs"]) == set(few) | new
    for tier, worst in figures["worst_block_ms"].items():
        assert worst == max(each[tier]["block_ms"] for each in figures["programs"].values())


@pytest.mark.parametrize("name", vm_worst.PROGRAMS)
def test_the_worst_programs_run_into_a_limit(name):
    """None ends early, by a fault of its own: it would measure nothing."""
    body = vm_worst.PROGRAMS[name]
    case = replace(
        transfer_case().with_code(CONTRACT, vm_worst.program(body)), data=b"", gas_limit=400_000
    )
    seen = Errors()
    message = Message(caller=SENDER, to=CONTRACT, value=0, data=b"", gas=400_000)
    execute(World(ours.CaseState(case)), ours.environment(case), message, tracer=seen)
    assert seen.errors[-1].startswith("out of gas")
    assert set(seen.errors[:-1]) <= {"", "out of gas", "max call depth exceeded"}


@pytest.mark.parametrize("name", vm_decode.CODES)
def test_code_that_is_new_runs_until_compute_ends(name):
    """As far as its decoding is paid for, and without a fault of its own."""
    for case in (vm_decode.calls, vm_decode.creations):
        made, seen = case(vm_decode.CODES[name]), Errors()
        message = Message(caller=SENDER, to=CONTRACT, value=0, data=b"", gas=9_000_000)
        world = World(vm_decode.HashedState(made))
        result = execute(world, ours.environment(made), message, compute_limit=200_000, tracer=seen)
        assert result.compute == 200_000
        assert set(seen.errors[:-2]) <= {""}


class Errors(ours.Watch):
    """Notes how frames end."""

    def __init__(self):
        super().__init__()
        self.errors = []

    def exit(self, *, gas_left, output, error):
        self.errors.append(error)


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
