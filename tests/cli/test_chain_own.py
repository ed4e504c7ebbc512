"""`hearth chain` on contracts of one's own: what they did, and proofs of what they hold."""

import pytest

from cli.errors import ExitCode
from tests.cli.street import run, run_json
from tests.cli.test_contract_own import COUPON, EUR


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    pytest.importorskip("vyper")
    file = tmp_path_factory.mktemp("contract") / "Coupon.vy"
    file.write_text(COUPON)
    return file


@pytest.fixture
def coupon(here, source):
    """A contract that holds 7 EUR, and whose coupons the first household has."""
    made = run_json("contract", "deploy", source, "Kiosk", here.names[0], "1_000")
    run("contract", "call", "MoneyToken", "transfer", made["address"], "7e8", "--send")
    return made


def test_a_creation_is_shown(here, coupon):
    tx = run_json("chain", "tx", coupon["transaction"])
    assert (tx["to"], tx["created"], tx["call"]) == (None, coupon["address"], None)
    assert coupon["address"] in run("chain", "block", coupon["block"]).stdout
    assert f"creates {coupon['address']}" in run("chain", "tx", coupon["transaction"]).stdout


def test_a_call_of_ones_own_contract_is_shown_in_words(here, coupon):
    sent = run_json("contract", "call", coupon["address"], "spend", "400", "--send")
    tx = run_json("chain", "tx", sent["transaction"])
    call = {"contract": "Coupon", "function": "spend", "arguments": {"amount": 400}}
    assert tx["call"] == call
    assert tx["events"][0]["values"]["amount"] == 400
    assert "Coupon.spend" in run("chain", "block", sent["block"]).stdout
    (spent,) = run_json("chain", "logs", "--contract", coupon["address"], "--event", "Spent")
    assert spent["transaction"] == sent["transaction"]
    args = ("chain", "logs", "--contract", coupon["address"], "--event", "Paid")
    assert "there are Spent" in run(*args, code=ExitCode.USAGE).stderr


def test_without_the_home_an_abi_file_gives_the_words(here, coupon, source):
    """Another household knows the contract only by its ABI."""
    sent = run_json("contract", "call", coupon["address"], "spend", "1", "--send")
    other = ("--node", "1")
    tx = run_json("chain", "tx", sent["transaction"], *other)
    assert (tx["call"], tx["events"][0]["event"]) == (None, None)
    tx = run_json("chain", "tx", sent["transaction"], "--abi", source, *other)
    assert tx["call"]["function"] == "spend"
    assert tx["events"][0]["event"] == "Spent"


def test_the_calls_inside_a_transaction_are_a_tree(here, coupon):
    args = ("contract", "call", coupon["address"], "pay", here.names[3], "2e8", "--send")
    sent = run_json(*args)
    tree = run_json("chain", "trace", sent["transaction"])
    assert (tree["contract"], tree["call"]["function"]) == ("Coupon", "pay")
    (inner,) = tree["calls"]
    assert inner["call"]["contract"] == "MoneyToken"
    assert inner["call"]["arguments"]["amount"] == 2 * EUR
    assert inner["result"] is True
    (moved,) = inner["logs"]
    assert moved["values"]["value"] == 2 * EUR
    lines = run("chain", "trace", sent["transaction"]).stdout.splitlines()
    assert lines[0].startswith(f"CALL {here.names[0]} → Coupon.pay(to {here.names[3]}, amount 200")
    assert lines[1].startswith("└─ CALL Coupon → MoneyToken.transfer(")
    assert lines[2].startswith("   └─ event Transfer(source Coupon")
    assert len(lines) == 3


def test_a_trace_says_what_failed_and_where(here, coupon):
    args = ("contract", "call", coupon["address"], "pay", here.names[3], "9e8", "--send")
    run(*args, "--gas", "500000", code=ExitCode.REFUSED)
    pay = ("pay(address,uint256)", here.household(3).address, 9 * EUR)
    digest = here.submit_data(here.household(0), coupon["address"], *pay)
    here.seal()
    tx = run_json("chain", "tx", digest)
    assert not tx["ok"]
    assert tx["error"].startswith("INSUFFICIENT_FUNDS: ")
    lines = run("chain", "trace", digest).stdout.splitlines()
    assert "failed: reverted: INSUFFICIENT_FUNDS: " in lines[0]
    assert "failed: reverted: INSUFFICIENT_FUNDS: " in lines[1]


def test_a_halt_without_a_reason_is_traced(here, coupon):
    """Out of gas leaves no revert data: the trace says what the receipt cannot."""
    digest = here.submit_data(
        here.household(0), coupon["address"], "spend(uint256)", 1, gas_limit=23_000
    )
    here.seal()
    tx = run_json("chain", "tx", digest)
    assert tx["error"] == f"no reason was given: `hearth chain trace {digest}` says what happened"
    assert "failed: out of gas" in run("chain", "trace", digest).stdout


def test_a_creation_is_traced(here, coupon):
    tree = run_json("chain", "trace", coupon["transaction"])
    assert (tree["type"], tree["call"], tree["contract"]) == ("CREATE", None, "Coupon")
    assert run("chain", "trace", coupon["transaction"]).stdout.startswith("CREATE ")


def test_what_cannot_be_traced_is_said(here):
    text = run("chain", "trace", "0x" + "12" * 32, code=ExitCode.REFUSED).stderr
    assert "transaction not found" in text


def test_a_slot_of_a_contract_is_proven_without_the_node(here, coupon, tmp_path):
    """Slot 0 holds the length of Vyper's string, slot 1 its characters."""
    out = tmp_path / "proof.json"
    run("chain", "proof", "--slot", "Coupon", "0", "--out", out)
    here.is_reachable = False
    said = run_json("chain", "verify-proof", out, "--genesis", here.layout.genesis)
    assert (said["contract"], said["slot"]) == (coupon["address"], "0")
    assert said["number"] == str(len("Kiosk"))
    here.is_reachable = True
    run("chain", "proof", "--account", coupon["address"], "--out", out)
    said = run_json("chain", "verify-proof", out)
    assert said["nonce"] == 1
    assert len(said["code_hash"]) == 66
