"""The command line as a whole: help of every command, import time, exit codes, whose home."""

import json
import os
import subprocess
import sys

import click
import pytest

from cli.errors import ExitCode
from cli.main import main
from crypto import curve
from tests.cli.street import run, run_json
from vm.versions import STORAGE_VERSION, SUPPORTED_PROTOCOLS, WIRE_VERSION

NO_JSON = {
    # They act, or run until they are stopped; what they print is not data.
    "agent run", "genesis new", "keys member", "keys new", "keys restore", "keys words",
    "chain seal", "meters audit", "meters certify", "meters revoke", "meters run",
    "members candidate", "members evict", "members invite", "members propose", "members rekey",
    "members rotate", "members upgrade", "members vote", "node init", "node join", "node run",
    "ramp attest-file", "ramp confirm", "recover genesis", "recover propose", "recover seed",
    "recover sign", "testnet logs", "testnet reset", "testnet stop", "testnet up",
}  # fmt: skip


def leaves(command=main, path=()):
    """Yield (path, command) of every command that is not a group."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(click.Context(command)):
        yield from leaves(command.get_command(click.Context(command), name), (*path, name))


LEAVES = dict(leaves())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_command_has_help_with_an_example(path):
    text = run(*path, "--help").stdout
    if path != ("fuzz",):
        assert "Example" in text
        assert f"hearth {' '.join(path)}".replace("chain events", "chain logs") in text
    assert "\\b" not in text


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_what_reads_has_json(path):
    has_json = any("--json" in option.opts for option in LEAVES[path].params)
    assert has_json != (" ".join(path) in NO_JSON)


def test_the_first_help_names_all_groups():
    text = run("--help").stdout
    for name in main.list_commands(click.Context(main)):
        assert f"\n  {name} " in text


def test_help_imports_nothing_that_is_slow():
    """So that it comes at once: each of these alone takes longer than click."""
    heavy = ("aiohttp", "numpy", "rich", "cryptography", "nacl", "node", "testnet", "market", "vm")
    code = f"import sys, cli.main; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version():
    text = run("--version").stdout
    assert text.startswith("hearth, version ")
    protocols = ", ".join(map(str, SUPPORTED_PROTOCOLS))
    known = f", protocol {protocols}, wire {WIRE_VERSION}, storage {STORAGE_VERSION}, "
    assert known in text
    assert text.endswith(f", curve backend {curve.BACKEND}\n")


def test_a_backend_that_is_not_there_is_said():
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "--version"],
        env={**os.environ, "HEARTH_CURVE": "abacus"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert "HEARTH_CURVE must be one of" in done.stderr


def test_unknown_command_is_a_usage_error():
    assert "No such command" in run("wallte", code=ExitCode.USAGE).stderr


def test_without_a_testnet_one_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEARTH_HOME", raising=False)
    text = run("wallet", "balance", code=ExitCode.USAGE).stderr
    assert "no testnet in this folder" in text
    assert "hearth testnet up" in text


def test_a_folder_that_is_no_home(tmp_path):
    text = run("wallet", "balance", "--home", tmp_path, code=ExitCode.USAGE).stderr
    assert "is not the home of a node" in text


def test_a_node_that_does_not_answer(here):
    here.is_reachable = False
    text = run("wallet", "balance", code=ExitCode.UNREACHABLE).stderr
    assert "does not answer" in text
    assert "is the node running?" in text


def test_what_the_chain_refuses(here):
    text = run("wallet", "send", here.names[1], "999999", code=ExitCode.REFUSED).stderr
    assert "INSUFFICIENT_FUNDS" in text


def test_a_household_by_name_by_index_and_by_home(here, monkeypatch):
    name = here.names[2]
    address = run_json("keys", "show", "--node", "2")["account"]
    assert run_json("keys", "show", "--node", name)["account"] == address
    home = here.layout.household(name).home
    assert run_json("keys", "show", "--home", home)["account"] == address
    monkeypatch.setenv("HEARTH_HOME", str(home))
    assert run_json("keys", "show")["account"] == address
    assert run_json("wallet", "balance")["accounts"][0]["name"] == name
    assert "no household 'h999'" in run("node", "status", "--node", "h999", code=1).stderr


def test_bad_settings_are_named(here, tmp_path):
    home = here.layout.household(here.names[0]).home
    for file in ("genesis.json", "node.toml"):
        (tmp_path / file).write_bytes((home / file).read_bytes())
    toml = (tmp_path / "node.toml").read_text()
    (tmp_path / "node.toml").write_text(toml.replace("log_level", "log_levl"))
    text = run("node", "status", "--home", tmp_path, code=ExitCode.USAGE).stderr
    assert "did you mean 'log_level'" in text
    genesis = json.loads((home / "genesis.json").read_bytes())
    genesis["window_ms"] = -1
    (tmp_path / "genesis.json").write_text(json.dumps(genesis))
    text = run("node", "status", "--home", tmp_path, code=ExitCode.USAGE).stderr
    assert "window_ms" in text
