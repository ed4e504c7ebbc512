"""`hearth contract call` of native contracts, against a chain in this process."""

import json

from cli.errors import ExitCode
from market.abi import ADDRESSES
from tests.cli.street import run, run_json

EUR = 10**8


def test_a_view_of_a_native_contract_by_names(here):
    answer = run_json("contract", "call", "MoneyToken", "balanceOf", here.names[1])
    assert answer["result"] == 200 * EUR
    assert answer["contract"] == "MoneyToken"
    assert not answer["sent"]
    text = run("contract", "call", "MoneyToken", "symbol").stdout
    assert text == "hEUR\n"


def test_rows_are_a_table_and_results_with_names_are_fields(here):
    members = run_json("contract", "call", "Membership", "members")["result"]
    assert [row["account"].lower() for row in members] == [
        "0x" + member.account.hex() for member in here.genesis.members
    ]
    assert "nodeKey" in run("contract", "call", "Membership", "members").stdout
    assert "retail" in run("contract", "call", "Market", "parameters").stdout


def test_a_transaction_is_sent_and_its_events_shown(here):
    height = here.chain.height
    sent = run_json("contract", "call", "MoneyToken", "approve", here.names[2], "5e8", "--send")
    assert sent["block"] == height + 1
    assert sent["gas_used"] > 21_000
    (event,) = sent["events"]
    assert (event["event"], event["values"]["value"]) == ("Approval", 5 * EUR)
    owner, spender = here.names[0], here.names[2]
    assert (
        run("contract", "call", "MoneyToken", "allowance", owner, spender).stdout == "500000000\n"
    )
    text = run("contract", "call", "MoneyToken", "approve", here.names[2], "0", "--send").stdout
    assert "Sent, and sealed" in text
    assert "Approval" in text


def test_without_send_nothing_is_sent(here):
    height = here.chain.height
    shown = run("contract", "call", "MoneyToken", "approve", here.names[2], "1")
    assert shown.stdout == "true\n"
    run("contract", "call", "Registry", "revokeAgent", here.names[3], code=ExitCode.REFUSED)
    assert here.chain.height == height


def test_another_account_of_the_testnet_sends(here):
    args = ("contract", "call", "MoneyToken", "approve", here.names[0], "3", "--send")
    (event,) = run_json(*args, "--from", here.names[3])["events"]
    assert event["values"]["owner"].lower() == f"0x{here.household(3).address.hex()}"
    (event,) = run_json(*args, "--from", "operator")["events"]
    assert event["values"]["owner"].lower() == f"0x{here.service(0).address.hex()}"
    text = run(*args, "--from", "nobody", code=ExitCode.USAGE).stderr
    assert "'nobody' is neither a household nor a service" in text


def test_why_the_chain_refuses_is_said(here):
    args = ("MoneyToken", "transfer", here.names[1], "1e18")
    for more in ((), ("--send",)):
        text = run("contract", "call", *args, *more, code=ExitCode.REFUSED).stderr
        assert "reverts: INSUFFICIENT_FUNDS: " in text


def test_a_call_that_fails_only_in_its_block_is_explained(here):
    """The state has changed between the estimate and the block."""
    args = ("contract", "call", "MoneyToken", "transfer", here.names[1], "1", "--send")
    text = run(*args, "--gas", "25000", code=ExitCode.REFUSED).stderr
    assert "failed when its block was made: OUT_OF_GAS" in text
    assert "hearth chain trace 0x" in text


def test_wrong_arguments_are_named(here):
    text = run("contract", "call", "MoneyToken", "transfer", "h999", "1", code=2).stderr
    assert "to: 'h999' is neither an address nor one of" in text
    text = run("contract", "call", "MoneyToken", "transfer", here.names[1], "-1", code=2).stderr
    assert "amount: must be a uint256, got -1" in text
    text = run("contract", "call", "MoneyToken", "transfer", code=2).stderr
    assert "ARGS: got 0, the function takes 2: address to, uint256 amount" in text
    text = run("contract", "call", "MoneyToken", "buy", code=2).stderr
    assert "there is no function 'buy'; there are DOMAIN_SEPARATOR," in text
    text = run("contract", "call", "MoneyToken", "name", "--block", "x", code=2).stderr
    assert "--block must be a height" in text
    text = run("contract", "call", "MoneyToken", "name", "--block", "1", "--send", code=2).stderr
    assert "--block looks at the past" in text


def test_the_abi_is_given_in_every_way(here, tmp_path):
    address = "0x" + ADDRESSES["MoneyToken"].hex()
    for more in (("symbol",), ("symbol", "--native", "EnergyToken"), ("symbol()(string)",)):
        assert run("contract", "call", address, *more).stdout == "hEUR\n"
    file = tmp_path / "abi.json"
    entry = {"type": "function", "name": "symbol", "outputs": [{"type": "string"}]}
    file.write_text(json.dumps([entry]))
    assert run("contract", "call", address, "symbol", "--abi", file).stdout == "hEUR\n"
    args = ("contract", "call", address, "symbol", "--abi", file, "--native", "Ramp")
    assert "either --abi or --native" in run(*args, code=2).stderr
    file.write_text("[{}]")
    text = run("contract", "call", address, "symbol", "--abi", file, code=1).stderr
    assert "abi.json[0].name: must be text" in text


def test_what_is_not_known_is_said(here):
    text = run("contract", "call", "Toket", "symbol", code=2).stderr
    assert "'Toket' is neither an address nor one of" in text
    assert "MoneyToken" in text
    assert here.names[0] in text
    stranger = "0x" + "77" * 20
    text = run("contract", "call", stranger, "symbol", code=2).stderr
    assert "is not known here" in text
    assert "give --abi FILE" in text
    text = run("contract", "call", stranger, "symbol()(string)", code=ExitCode.FAILED).stderr
    assert "there is no contract" in text
    text = run("contract", "call", stranger, "symbol(", code=2).stderr
    assert "must be name(types)" in text
    text = run("contract", "call", "MoneyToken", "symbol()(uint8)", code=1).stderr
    assert "is not what symbol() returns" in text
