"""`hearth contract` with contracts of one's own: compiled, deployed, called and remembered."""

import json

import pytest

from cli.errors import ExitCode
from tests.cli.street import run, run_json

EUR = 10**8

COUPON = """# pragma version ^0.4.0
import IMoneyToken

MONEY: constant(IMoneyToken) = IMoneyToken(0x0000000000000000000000000000000000000103)

event Spent:
    by: indexed(address)
    amount: uint256

name: public(String[32])
left: public(HashMap[address, uint256])

@deploy
def __init__(name: String[32], owner: address, supply: uint256):
    self.name = name
    self.left[owner] = supply

@external
def spend(amount: uint256) -> uint256:
    assert self.left[msg.sender] >= amount, "too few coupons"
    self.left[msg.sender] -= amount
    log Spent(by=msg.sender, amount=amount)
    return self.left[msg.sender]

@external
def pay(to: address, amount: uint256):
    assert extcall MONEY.transfer(to, amount)

@external
@view
def euros() -> uint256:
    return staticcall MONEY.balanceOf(self)
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    pytest.importorskip("vyper")
    folder = tmp_path_factory.mktemp("contract")
    (folder / "Coupon.vy").write_text(COUPON)
    made = run_json("contract", "compile", folder / "Coupon.vy", "--out", folder / "Coupon.json")
    assert made["contract"] == "Coupon"
    assert "spend(uint256)" in made["functions"]
    return folder / "Coupon.json"


def test_the_artifact_is_what_other_tools_read(artifact):
    value = json.loads(artifact.read_text())
    assert value["contractName"] == "Coupon"
    assert value["bytecode"].startswith("0x")
    assert {entry["type"] for entry in value["abi"]} == {"constructor", "function", "event"}
    text = run("contract", "compile", artifact, "--out", artifact).stdout
    assert "is written" in text
    assert "spend(uint256)" in text


def test_a_contract_is_deployed_called_and_remembered(here, artifact):
    made = run_json("contract", "deploy", artifact, "Kiosk", here.names[0], "1_000")
    assert made["contract"] == "Coupon"
    assert made["gas_used"] > 53_000
    address = made["address"]
    assert run("contract", "call", "Coupon", "name").stdout == "Kiosk\n"
    assert run("contract", "call", address, "left", here.names[0]).stdout == "1000\n"
    sent = run_json("contract", "call", "Coupon", "spend", "400", "--send")
    (event,) = sent["events"]
    assert (event["contract"], event["event"]) == ("Coupon", "Spent")
    assert event["values"]["amount"] == 400
    assert run("contract", "call", "Coupon", "left", here.names[0]).stdout == "600\n"
    newer = run_json("contract", "deploy", artifact, "Newer", here.names[0], "1")["address"]
    assert run_json("contract", "call", "Coupon", "name")["address"] == newer
    text = run("contract", "call", "Coupon", "spend", "601", code=ExitCode.REFUSED).stderr
    assert "reverts: too few coupons" in text


def test_a_contract_holds_and_pays_native_tokens(here, artifact):
    address = run_json("contract", "deploy", artifact, "Till", here.names[0], "0")["address"]
    run("contract", "call", "MoneyToken", "transfer", address, "7e8", "--send")
    assert run("contract", "call", address, "euros").stdout == "700000000\n"
    before = run_json("contract", "call", "MoneyToken", "balanceOf", here.names[3])["result"]
    sent = run_json("contract", "call", address, "pay", here.names[3], "2e8", "--send")
    (event,) = sent["events"]
    assert (event["contract"], event["event"]) == ("MoneyToken", "Transfer")
    after = run_json("contract", "call", "MoneyToken", "balanceOf", here.names[3])["result"]
    assert after - before == 2 * EUR
    args = ("contract", "call", address, "pay", here.names[3], "6e8", "--send")
    assert "INSUFFICIENT_FUNDS" in run(*args, code=ExitCode.REFUSED).stderr


def test_a_deployment_is_shown_in_words(here, artifact):
    text = run(
        "contract", "deploy", artifact, "Words", here.names[1], "1", "--from", "operator"
    ).stdout
    assert "Coupon is created" in text
    assert "gas_used" in text


def test_a_constructor_that_reverts_says_why(here, artifact, tmp_path):
    source = tmp_path / "No.vy"
    source.write_text('@deploy\ndef __init__():\n    assert False, "not today"\n')
    text = run("contract", "deploy", source, code=ExitCode.REFUSED).stderr
    assert "reverts: not today" in text
    text = run("contract", "deploy", artifact, "Name", code=ExitCode.USAGE).stderr
    assert "takes 3: string name, address owner, uint256 supply" in text
    interface = tmp_path / "I.json"
    interface.write_text(json.dumps({"abi": [], "bytecode": "0x"}))
    text = run("contract", "deploy", interface, code=ExitCode.USAGE).stderr
    assert "has no code" in text


def test_a_contract_cannot_take_a_neighbours_name(here, artifact, tmp_path):
    """Names of contracts come from files; what is sent to a household goes to the household."""
    for name in (here.names[1], "Market", "operator"):
        value = {**json.loads(artifact.read_text()), "contractName": name}
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(value))
        args = ("contract", "deploy", file, "Thief", here.names[0], "0")
        assert "is the name of another account" in run(*args, code=ExitCode.USAGE).stderr
        made = run_json(*args, "--name", "Thief")
        assert made["contract"] == "Thief"
        # Even if the home's file says so.
        kept = here.layout.household(here.names[0]).home / "contracts"
        (path,) = kept.glob(f"{made['address'].lower()}.json")
        path.write_text(path.read_text().replace("Thief", name))
    sent = run_json("contract", "call", "MoneyToken", "transfer", here.names[1], "5", "--send")
    to = sent["events"][0]["values"]["to"].lower()
    assert to == f"0x{here.household(1).address.hex()}"
    assert run_json("contract", "call", "Market", "fund")["address"].endswith("0107")
    args = ("contract", "deploy", artifact, "Name", here.names[0], "0", "--name", "../x")
    assert "--name must be an identifier" in run(*args, code=ExitCode.USAGE).stderr


def test_a_past_block_is_looked_at(here):
    name, before = here.names[1], here.chain.height
    here.send(here.household(0), "MoneyToken", "transfer", here.household(1).address, 11)
    args = ("contract", "call", "MoneyToken", "balanceOf", name)
    now = run_json(*args)["result"]
    assert run_json(*args, "--block", before)["result"] == now - 11
    text = run(*args, "--block", "99999", code=ExitCode.REFUSED).stderr
    assert text.startswith("Error: the chain has no such block yet")
    assert "hearth chain head" in text
