"""`hearth contract` and `hearth chain` with contracts of one's own, on a testnet of processes."""

import json

import pytest

from cli.errors import ExitCode
from tests.cli.street import run, run_json
from tests.e2e.clients.conftest import EUR, HERE

pytestmark = pytest.mark.e2e

ME = 3
PRICE = 2 * EUR


@pytest.fixture(scope="module")
def home(net):
    return "--home", net.cluster.layout.household(net.cluster.names[ME]).home


def test_a_vyper_token_is_compiled_deployed_called_and_proven(net, home, tmp_path):
    artifact = tmp_path / "Coin.json"
    made = run_json("contract", "compile", HERE / "contracts" / "Coin.vy", "--out", artifact)
    assert "transfer(address,uint256)" in made["functions"]
    me, neighbour = net.cluster.names[ME], net.cluster.names[0]
    created = run_json("contract", "deploy", artifact, "Street", "STR", "1_000e18", *home)
    assert created["contract"] == "Coin"
    assert len(net.ask(0, "eth_getCode", created["address"], "latest")) > 1_000
    sent = run_json("contract", "call", "Coin", "transfer", neighbour, "5e18", "--send", *home)
    (event,) = sent["events"]
    assert (event["contract"], event["event"]) == ("Coin", "Transfer")
    held = run_json("contract", "call", "Coin", "balanceOf", neighbour, *home)
    assert int(held["result"]) == 5 * 10**18
    refused = run(
        "contract",
        "call",
        "Coin",
        "transfer",
        me,
        "2_000e18",
        "--send",
        *home,
        code=ExitCode.REFUSED,
    )
    assert "balance too low" in refused.stderr
    traced = run("chain", "trace", sent["transaction"], *home).stdout
    assert "Coin" in traced
    logs = run("chain", "logs", "--contract", "Coin", *home).stdout
    assert logs.count("Transfer") >= 2
    proof = tmp_path / "proof.json"
    run("chain", "proof", "--account", created["address"], "--out", proof, *home)
    genesis = net.cluster.layout.genesis
    run("chain", "verify-proof", proof, "--genesis", genesis)


def test_solcs_output_is_deployed_and_paid_in_the_chains_money(net, home, kiosk, tmp_path):
    artifact = tmp_path / "Kiosk.json"
    artifact.write_text(json.dumps(kiosk))
    run("contract", "deploy", artifact, str(PRICE), *home)
    refused = run(
        "contract", "call", "Kiosk", "buy", "1", "tea", "--send", *home, code=ExitCode.REFUSED
    )
    assert "INSUFFICIENT_ALLOWANCE" in refused.stderr
    run("contract", "call", "MoneyToken", "approve", "Kiosk", str(PRICE), "--send", *home)
    sent = run_json("contract", "call", "Kiosk", "buy", "1", "tea", "--send", *home)
    assert [(each["contract"], each["event"]) for each in sent["events"]] == [
        ("MoneyToken", "Transfer"),
        ("Kiosk", "Bought"),
    ]
    held = run_json("contract", "call", "MoneyToken", "balanceOf", "Kiosk", *home)
    assert int(held["result"]) == PRICE
    short = run(
        "contract",
        "call",
        "Kiosk",
        "refund",
        str(2 * PRICE),
        "--send",
        *home,
        code=ExitCode.REFUSED,
    )
    assert "TooLittle" in short.stderr
    offers = run_json("contract", "call", "Market", "getOffers", "1", *home)["result"]
    shown = run_json("contract", "call", "Kiosk", "offered", "1", *home)["result"]
    assert int(shown["count"]) == len(offers)
