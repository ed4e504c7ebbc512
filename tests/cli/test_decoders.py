"""The decoder fuzzer: every decoder is in its table, and withstands what follows from a seed."""

import ast
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from cli import fuzz_ledger
from cli.decoders import mutate
from cli.decoders.table import BY_NAME, TARGETS
from cli.decoders.target import Finding, Target, accepts, judge
from cli.main import main
from crypto.errors import DecodeError

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "consensus", "crypto", "market", "node", "testnet", "vm")
NAMES = re.compile(
    r"(decode|parse|load|read|from)(_|$)|restore_|replay$|open_(box|rows|shared|\w*keystore)"
)
"""How a function is called that makes values of what comes from outside."""
OUTSIDE = re.compile(r"\b(bytes|str|Path|Json|Value|Any|object|Mapping|WSMessage)\b")
"""In the type of a parameter: what may come from there."""

WITHIN = ("cli.decoders", "consensus.sim", "testnet.bench", "testnet.evm_fuzz", "testnet.sim")
"""Fuzzers, simulators and benchmarks: what they read they have made themselves."""
EXCEPTIONS = {
    # Not from outside.
    "market.contracts.parameters.read_parameters": "of a genesis file that was parsed",
    "market.contracts.market_store.load_agreement": "a place in our own state",
    "market.contracts.market_store.load_enrolment": "a place in our own state",
    "market.contracts.market_store.load_enrolment_of": "a place in our own state",
    "node.community.read_key_state": "asks the node's own chain",
    "node.home.load_home_keys": "loads by load_household",
    "node.home.load_keys": "loads by load_household",
    "vm.accounts.read_account": "asks our own state",
    "vm.contract_state.read_code": "asks our own state",
    "vm.state.Journal.read": "asks our own state",
    "vm.evm.world.World.load": "asks our own state",
    "vm.evm.world.World.load_both": "asks our own state",
    # Files that ship with the source.
    "testnet.grid.extract.load_extract": "ships with the source",
    # Files that whoever tests gives to his own command.
    "cli.vector_state.Account.parse": "of test vectors; `_BROKEN` catches what is of another shape",
}
"""Decoders that no target drives, and why."""


def found():
    """Dotted names of the public functions that look like decoders."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not name.startswith(WITHIN):
                yield from decoders_in(name, ast.parse(path.read_text("utf-8")))


def decoders_in(module, tree):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if is_decoder(inner):
                    yield f"{module}.{node.name}.{inner.name}"
        elif is_decoder(node):
            yield f"{module}.{node.name}"


def is_decoder(node):
    if not isinstance(node, ast.FunctionDef) or not NAMES.match(node.name):
        return False
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg]
    hints = [ast.unparse(each.annotation) for each in arguments if each and each.annotation]
    return any(OUTSIDE.search(hint) for hint in hints)


def covered(name):
    """Whether a target drives the decoder of this name: itself, its class or its module."""
    for target in TARGETS:
        for each in target.covers:
            if isinstance(each, ModuleType):
                place = each.__name__
            else:
                inner = inspect.unwrap(each)
                place = f"{inner.__module__}.{inner.__qualname__}"
            if name == place or name.startswith(f"{place}."):
                return True
    return False


def test_every_decoder_has_a_target():
    names = set(found())
    missing = sorted(name for name in names - EXCEPTIONS.keys() if not covered(name))
    assert not missing, "no target drives " + ", ".join(missing)
    stale = sorted(name for name in EXCEPTIONS if name not in names or covered(name))
    assert not stale, "no exceptions are needed for " + ", ".join(stale)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def decode_this(data: bytes) -> int: ...", ["m.decode_this"]),
        ("class A:\n  def from_json(cls, data: bytes): ...", ["m.A.from_json"]),
        ("def parse(text: str): ...", ["m.parse"]),
        ("async def load(client: Client, name: str): ...", []),
        ("def _decode(data: bytes): ...", []),
        ("def decode_many(count: int): ...", []),
        ("def fromage(text: str): ...", []),
    ],
)
def test_the_search_finds_decoders(source, names):
    assert list(decoders_in("m", ast.parse(source))) == names


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_are_accepted_and_mutations_are_refused_or_given_back(target):
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        assert len(seed) <= target.bytes_max
        assert judge(target, seed), f"the seed {seed[:64]!r} is refused"
    for place, data in enumerate(
        mutate.mutants(seeds, target.cases, seed=1, bytes_max=target.bytes_max)
    ):
        judge(target, data, is_traced=place % 8 == 0)


# The oracle --------------------------------------------------------------------------------------


def planted(run, **changes):
    fields = {"name": "planted", "covers": (), "run": run, "refuses": (DecodeError,)}
    return Target(**(fields | {"seeds": list} | changes))


def refuse(_):
    raise DecodeError("field", "is refused")


def test_a_typed_refusal_is_none_of_the_oracles_business():
    assert not judge(planted(refuse), b"x")
    assert judge(planted(lambda data: data), b"x")
    assert judge(planted(lambda _: None), b"x")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda data: data + b"\0", "writes 2 others"),
        (lambda data: data[5], "IndexError is not a typed refusal"),
        (int, "ValueError is not a typed refusal"),
        (lambda data: refuse_deep(0), "RecursionError is not a typed refusal"),
    ],
)
def test_the_oracle_sees_another_error_and_another_encoding(run, words):
    with pytest.raises(Finding, match=words):
        accepts(planted(run), b"x")


def refuse_deep(depth):
    return refuse_deep(depth + 1)


def test_the_oracle_sees_what_costs_too_much():
    def spin(_):
        for _ in range(20_000):
            pass

    with pytest.raises(Finding, match="s are allowed"):
        judge(planted(spin, seconds=1e-9), b"")
    with pytest.raises(Finding, match="bytes of memory for 1"):
        judge(planted(lambda _: bytes(3 << 20) and None, memory_bytes=1 << 20), b"x")


def test_mutations_follow_from_their_seed():
    seeds = [b"some bytes", b'{"and": "others"}']
    first = list(mutate.mutants(seeds, 200, seed=5, bytes_max=40))
    assert first == list(mutate.mutants(seeds, 200, seed=5, bytes_max=40))
    assert first != list(mutate.mutants(seeds, 200, seed=6, bytes_max=40))
    assert len(set(first)) > 150
    assert max(map(len, first)) == 40


# The command -------------------------------------------------------------------------------------


def hearth(*arguments):
    return CliRunner().invoke(main, ["fuzz", "--decoders", *map(str, arguments)])


def test_one_input_is_judged_again(tmp_path):
    file = tmp_path / "input"
    file.write_bytes(b"\x83abc")
    done = hearth("--target", "rlp", "--input", file, "--json")
    assert (done.exit_code, '"accepted": true' in done.output) == (0, True)
    file.write_bytes(b"\x83ab")
    done = hearth("--target", "rlp", "--input", file, "--json")
    assert (done.exit_code, '"accepted": false' in done.output) == (0, True)


def test_a_finding_ends_the_command_with_1(tmp_path, monkeypatch):
    def bent(name):
        return planted(lambda data: data * 2, name=name)

    monkeypatch.setitem(BY_NAME, "rlp", bent("rlp"))
    file = tmp_path / "input"
    file.write_bytes(b"x")
    done = hearth("--target", "rlp", "--input", file)
    assert (done.exit_code, "writes 2 others" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "no-such"), "--target must be one of"),
        (("--input", "file"), "--input needs the --target"),
        (("--target", "rlp", "--input", "/no/such/file"), "cannot be read"),
    ],
)
def test_wrong_options_are_refused(arguments, words):
    done = hearth(*arguments)
    assert (done.exit_code, words in done.output) == (2, True)


def test_the_ledger_keeps_decoders_apart(tmp_path):
    path = tmp_path / "ledger.md"
    campaign = {"runs": 1, "seconds": 2.0, "messages": 3, "failures": []}
    fuzz_ledger.add(path, campaign="one", **campaign)
    for inputs, failures in ((5_000, []), (6, ["rlp (rlp-crash-1)"])):
        fuzz_ledger.add_decoders(
            path, targets=9, seconds=10, hours=0.5, inputs=inputs, failures=failures
        )
    fuzz_ledger.add(path, campaign="two", **campaign)
    schedules, decoders = path.read_text().split(fuzz_ledger.DECODERS)
    assert [line.split(" | ")[2] for line in schedules.splitlines()[-3:-1]] == ["one", "two"]
    rows = [line.split(" | ")[2:] for line in decoders.splitlines()[-2:]]
    assert rows == [
        ["9", "10", "5,000", "0.50", "0 |"],
        ["9", "10", "6", "0.50", "rlp (rlp-crash-1) |"],
    ]


def test_without_atheris_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "atheris.py").write_text("raise ImportError")
    done = hearth("--target", "rlp", "--seconds", "1", "--corpus", tmp_path / "corpus")
    assert (done.exit_code, "make fuzz" in done.output) == (2, True)


ATHERIS = '''
"""Stands for atheris where a test drives the command: it runs the corpus once."""
import contextlib, os, pathlib, sys

@contextlib.contextmanager
def instrument_imports(include, exclude):
    yield

def Setup(arguments, one):
    global options, run
    options, run = arguments, one

def Fuzz():
    files = sorted(pathlib.Path(options[-1]).iterdir())
    for file in files:
        run(file.read_bytes())
    (files[0].parent / "new").write_bytes(files[0].read_bytes())
    print(f"#3 cov: 41 ft: 9\\nDone {len(files)} runs in 1 second(s)", file=sys.stderr, flush=True)
    prefix = next(each.partition("=")[2] for each in options if "artifact_prefix" in each)
    if os.environ["STANDS_FOR"] == "crash" and "rlp-" in prefix:
        pathlib.Path(prefix + "crash-1").write_bytes(b"\\x83ab")
        print(f"Test unit written to {prefix}crash-1", file=sys.stderr, flush=True)
        os._exit(77)
    if os.environ["STANDS_FOR"] == "death":
        os._exit(9)
    os._exit(0)
'''


def guided(tmp_path, monkeypatch, what, *arguments):
    """Run the command on two targets, with a stand-in for atheris that ends in that way."""
    (tmp_path / "atheris.py").write_text(ATHERIS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.setenv("STANDS_FOR", what)
    monkeypatch.setattr("cli.decoders.table.TARGETS", (BY_NAME["rlp"], BY_NAME["deadline"]))
    corpus = tmp_path / "corpus"
    done = hearth("--seconds", 1, "--workers", 1, "--corpus", corpus, "--json", *arguments)
    report = done.stdout[done.stdout.index("{") :].partition("\n}")[0] + "\n}"
    return done, json.loads(report), corpus


def test_all_targets_run_and_their_corpus_stays(tmp_path, monkeypatch):
    ledger = tmp_path / "ledger.md"
    done, report, corpus = guided(tmp_path, monkeypatch, "calm", "--ledger", ledger)
    assert done.exit_code == 0, done.output
    assert [row["target"] for row in report["targets"]] == ["rlp", "deadline"]
    assert [row["executions"] for row in report["targets"]] == [2, 2]
    assert {row["coverage"] for row in report["targets"]} == {41}
    assert (report["executions"], report["findings"]) == (4, 0)
    assert (corpus / "corpus" / "rlp" / "new").exists()
    assert "| 2 | 1 | 4 |" in ledger.read_text()


def test_a_crash_is_named_with_the_command_that_repeats_it(tmp_path, monkeypatch):
    done, report, corpus = guided(tmp_path, monkeypatch, "crash")
    assert done.exit_code == 1
    crash = corpus / "found" / "rlp-crash-1"
    assert report["targets"][0]["found"][0]["file"] == str(crash)
    assert not report["targets"][1]["found"]
    assert f"--target rlp --input {crash}" in done.stderr


def test_a_fork_that_dies_is_a_finding(tmp_path, monkeypatch):
    done, report, _ = guided(tmp_path, monkeypatch, "death")
    assert done.exit_code == 1
    assert "the process ended" in report["targets"][1]["found"][0]["message"]


def test_what_is_slow_in_the_corpus_is_a_finding(tmp_path, monkeypatch):
    slow = replace(BY_NAME["rlp"], seconds=-1.0)
    monkeypatch.setitem(BY_NAME, "rlp", slow)
    done, report, corpus = guided(tmp_path, monkeypatch, "calm")
    assert done.exit_code == 1
    (found,) = report["targets"][0]["found"]
    assert "are allowed" in found["message"]
    assert found["file"].startswith(str(corpus / "found" / "rlp-slow-"))
