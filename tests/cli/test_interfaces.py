"""Published interfaces: what is in docs/interfaces, and that compilers and clients can use it."""

import json
from pathlib import Path

import pytest
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector

from cli import interfaces
from cli.errors import ExitCode
from crypto import abi
from crypto.abi_event import parse_event
from crypto.keys import checksum_address
from market.abi import ADDRESSES, EVENTS, FUNCTIONS
from node.natives import NATIVES
from tests.cli.street import run, run_json

PUBLISHED = Path(__file__).parents[2] / "docs" / "interfaces"
NATIVE = {type(each).__name__: each for each in NATIVES}


def test_the_published_files_are_what_the_table_gives():
    """If this fails: `hearth contract abi --all --out docs/interfaces`."""
    files = {path.name: path.read_text("utf-8") for path in PUBLISHED.iterdir()}
    readme = files.pop("README.md")
    assert files == interfaces.files()
    for name, address in ADDRESSES.items():
        assert f"| {name} | `{checksum_address(address)}` |" in readme


def without_names(entries):
    """An ABI without names of results and types of compilers; names of fields stay."""
    left_out = ("name", "internalType")
    return [
        entry
        | {
            "outputs": [
                {key: value for key, value in each.items() if key not in left_out}
                for each in entry.get("outputs", ())
            ]
        }
        for entry in entries
    ]


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_json_abi_is_the_contracts_own_with_names(name):
    """A node's `hearth_abi` answers from the methods themselves, which do not name results."""
    assert without_names(interfaces.json_abi(name)) == without_names(NATIVE[name].json_abi())


def selectors(entries):
    """Selectors and topics as eth_utils computes them from a JSON ABI."""
    functions = {function_abi_to_4byte_selector(e) for e in entries if e["type"] == "function"}
    return functions, {event_abi_to_log_topic(e) for e in entries if e["type"] == "event"}


def ours(name):
    functions = {abi.selector(each.signature) for each in FUNCTIONS[name].values()}
    events = (parse_event(each.SIGNATURE).signature for each in EVENTS[name])
    return functions, {abi.event_topic(each) for each in events}


@pytest.mark.parametrize("name", ADDRESSES)
def test_clients_find_our_selectors_and_topics(name):
    assert selectors(interfaces.json_abi(name)) == ours(name)


@pytest.mark.parametrize("name", ADDRESSES)
def test_vypers_compiler_reads_the_same_functions_and_events(name, tmp_path):
    """The .vyi as the compiler understands it, types and all."""
    vyper_compile = pytest.importorskip("vyper.cli.vyper_compile")
    file = tmp_path / f"I{name}.vyi"
    file.write_text(interfaces.vyper(name), "utf-8")
    (made,) = vyper_compile.compile_files([str(file)], ["abi"]).values()
    assert selectors(made["abi"]) == ours(name)
    kinds = {e["name"]: e["stateMutability"] for e in made["abi"] if e["type"] == "function"}
    assert kinds == {
        each.name: "view" if each.is_view else "nonpayable" for each in FUNCTIONS[name].values()
    }
    for entry in (each for each in made["abi"] if each["type"] == "function"):
        types = tuple(_canonical(output) for output in entry["outputs"])
        assert types == FUNCTIONS[name][entry["name"]].output_types


def _canonical(output):
    if not output["type"].startswith("tuple"):
        return output["type"]
    items = ",".join(_canonical(item) for item in output["components"])
    return f"({items}){output['type'].removeprefix('tuple')}"


def test_indexed_parameters_are_the_same_in_vyper(tmp_path):
    vyper_compile = pytest.importorskip("vyper.cli.vyper_compile")
    for name in ADDRESSES:
        file = tmp_path / f"I{name}.vyi"
        file.write_text(interfaces.vyper(name), "utf-8")
        (made,) = vyper_compile.compile_files([str(file)], ["abi"]).values()
        indexed = {
            entry["name"]: [each["indexed"] for each in entry["inputs"]]
            for entry in made["abi"]
            if entry["type"] == "event"
        }
        for event in EVENTS[name]:
            parsed = parse_event(event.SIGNATURE)
            assert indexed[parsed.name] == [each.is_indexed for each in parsed.inputs]


def test_the_command_prints_each_form():
    assert json.loads(run("contract", "abi", "Market").stdout) == interfaces.json_abi("Market")
    assert run_json("contract", "abi", "--all").keys() == ADDRESSES.keys()
    text = run("contract", "abi", "MoneyToken", "--format", "sol").stdout
    assert text == interfaces.solidity("MoneyToken")
    both = run("contract", "abi", "--all", "--format", "vyi").stdout
    assert "# Native contract Ramp " in both


def test_the_command_writes_files(tmp_path):
    run("contract", "abi", "--all", "--out", tmp_path / "made")
    files = {path.name: path.read_text("utf-8") for path in (tmp_path / "made").iterdir()}
    assert files == interfaces.files()


def test_a_name_that_is_not_there():
    text = run("contract", "abi", "Tokens", code=ExitCode.USAGE).stderr
    assert "must be one of Membership," in text
    assert "either NAME or --all" in run("contract", "abi", code=ExitCode.USAGE).stderr
    assert "either NAME or" in run("contract", "abi", "Ramp", "--all", code=2).stderr
