"""Four households found a chain by hand, with the commands that the documents name, and use it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.street import run, run_json
from tests.node.homes import free_ports

pytestmark = pytest.mark.e2e

NAMES = ("north", "south", "east", "west")
PASSWORD = "only for tests"
TWICE = f"{PASSWORD}\n" * 2


@pytest.fixture
def homes(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.keys.COST", "min")
    monkeypatch.chdir(tmp_path)
    ports = free_ports(8)
    for i, name in enumerate(NAMES):
        run("keys", "new", "--home", name, input=TWICE * 2)
        endpoint = ("--endpoint", f"127.0.0.1:{ports[i]}", "--meter-id", f"M-{name}")
        args = ("keys", "member", "--home", name, "--name", name)
        run(*args, *endpoint, input=TWICE)
    services = []
    for service in ("operator", "external_market"):
        run("keys", "new", "--home", service, "--only", "household", input=TWICE)
        shown = run("keys", "show", "--home", service, "--json", input=f"{PASSWORD}\n")
        services += ["--service", f"{service}={json.loads(shown.stdout)['account']}"]
    records = [f"{name}.member.json" for name in NAMES]
    run("genesis", "new", *records, "--name", "crossroads", *services)
    for i, name in enumerate(NAMES):
        rpc = ("--rpc", f"127.0.0.1:{ports[4 + i]}", "--p2p", f"127.0.0.1:{ports[i]}")
        run("node", "init", "--home", name, "--genesis", "genesis.json", "--name", name, *rpc)
        password = Path(name) / "password"
        password.write_text(f"{PASSWORD}\n")
        password.chmod(0o600)
    return [tmp_path / name for name in NAMES]


def test_a_community_founds_a_chain(homes):
    log = (homes[0].parent / "nodes.log").open("wb")
    repository = str(Path(__file__).parents[2])
    code = "from cli.main import main; main()"
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", code, "node", "run", "--home", str(home)],
            env={**os.environ, "PYTHONPATH": repository},
            stdout=log,
            stderr=log,
        )
        for home in homes
    ]
    try:
        wait_for_peers(homes[0], log.name)
        for home in homes[:3]:
            said = run_json("ramp", "attest", "first euros", "north", "50", "--home", home)
        assert said["minted"]
        run("wallet", "send", "west", "12.5", "--home", homes[0])
        rows = run_json("wallet", "balance", "--all", "--home", homes[0])["accounts"]
        assert {row["name"]: row["money_eur"] for row in rows} == {
            "north": "37.5000",
            "south": "0.0000",
            "east": "0.0000",
            "west": "12.5000",
            "operator": "0.0000",
            "external_market": "0.0000",
        }
        run("chain", "proof", "--balance", "west", "--home", homes[0], "--out", "west.json")
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait(20)
        log.close()
    proven = run_json("chain", "verify-proof", "west.json", "--genesis", "genesis.json")
    assert (proven["account"], proven["balance"]) == ("west", "12.5000 EUR")


def wait_for_peers(home, log):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        result = run("node", "status", "--home", home, "--json", code=None)
        if result.exit_code == 0 and json.loads(result.stdout)["peersUp"] == 3:
            return
        time.sleep(0.1)
    raise AssertionError(Path(log).read_text("utf-8", "replace"))
