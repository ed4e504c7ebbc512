"""`hearth testnet dev` as a developer runs it: a process, driven by web3.py."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import structlog
from web3 import Web3
from web3.exceptions import ContractLogicError

from cli.interfaces import json_abi
from testnet.dev import app
from testnet.dev.community import make_community
from tests.testnet.dev.rig import INIT

pytestmark = pytest.mark.e2e

HEARTH = Path(sys.executable).with_name("hearth")
SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(*options):
    """Yield (what --json says, a web3 client, the process); Ctrl-C must end it cleanly."""
    port = free_port()
    process = subprocess.Popen(
        [HEARTH, "testnet", "dev", "--json", "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        while not lines or lines[-1] != "}\n":  # The object is indented; its end is not.
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        said = json.loads("".join(lines))
        yield said, Web3(Web3.HTTPProvider(said["rpc"])), process
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def ask(w3, method, *params):
    answer = w3.provider.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def test_a_contract_is_deployed_called_reverted_and_moved_in_time():
    with running("--freeze-time") as (said, w3, _):
        assert said["chainId"] == w3.eth.chain_id == make_community().genesis.chain_id
        assert w3.eth.block_number == said["block"] == 1
        key = said["accounts"][0]["privateKey"]
        account = w3.eth.account.from_key(key)
        assert account.address == said["accounts"][0]["address"] == w3.eth.accounts[0]

        made = {"data": INIT, "nonce": 0, "gas": 1_000_000, "chainId": said["chainId"]}
        made |= {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0, "value": 0}
        signed = account.sign_transaction(made)
        receipt = w3.eth.wait_for_transaction_receipt(
            w3.eth.send_raw_transaction(signed.raw_transaction), timeout=0.1
        )
        contract = receipt["contractAddress"]
        assert contract == "0x5FbDB2315678afecb367f032d93F642f64180aa3"

        def count():
            answer = w3.eth.call({"to": contract, "data": "0x01"})
            return int.from_bytes(answer[:32], "big"), int.from_bytes(answer[32:], "big")

        snapshot, before, head = ask(w3, "evm_snapshot"), count(), w3.eth.get_block("latest")
        blocks = w3.eth.filter("latest")
        w3.eth.send_transaction({"from": account.address, "to": contract, "gas": 100_000})
        ask(w3, "evm_increaseTime", 86_400)
        ask(w3, "evm_mine")
        assert count() == (1, before[1] + 86_400)
        assert len(blocks.get_new_entries()) == 2
        assert ask(w3, "evm_revert", snapshot) is True
        assert count() == before
        assert w3.eth.get_block("latest") == head
        assert w3.eth.get_transaction_count(account.address) == 1
        ask(w3, "evm_setNextBlockTimestamp", before[1] + 5)
        ask(w3, "evm_mine")
        assert w3.eth.get_block("latest")["timestamp"] == before[1] + 5
        assert blocks.get_new_entries() == [w3.eth.get_block("latest")["hash"]]


def test_the_tokens_are_there_and_refuse_in_words():
    with running() as (said, w3, _):
        money = w3.eth.contract(said["contracts"]["money_token"], abi=json_abi("MoneyToken"))
        energy = w3.eth.contract(said["contracts"]["energy_token"], abi=json_abi("EnergyToken"))
        for account in w3.eth.accounts:
            assert money.functions.balanceOf(account).call() == said["moneyPerAccount"]
            assert energy.functions.balanceOf(account).call() == said["energyPerAccount"]
        first, second = w3.eth.accounts[:2]
        digest = money.functions.transfer(second, 5).transact({"from": first})
        assert w3.eth.get_transaction_receipt(digest)["status"] == 1
        assert money.functions.balanceOf(second).call() == said["moneyPerAccount"] + 5
        with pytest.raises(ContractLogicError):
            money.functions.transfer(second, 2**60).transact({"from": first})
        faucet = w3.eth.contract(said["contracts"]["faucet"], abi=ask(w3, "hearth_abi", "faucet"))
        faucet.functions.give(second, 7, 8).transact({"from": first})
        assert energy.functions.balanceOf(second).call() == said["energyPerAccount"] + 8


def test_a_subscriber_sees_what_takes_the_place_of_what_was_taken_back():
    async def follow(url):
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:

            async def call(method, *params):
                asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                await socket.send_json(asked)
                heads = []
                while True:
                    said = await socket.receive_json(timeout=5)
                    if "id" in said:
                        return said["result"], heads
                    heads.append(said["params"]["result"])

            async def next_head():
                return (await socket.receive_json(timeout=5))["params"]["result"]

            await call("eth_subscribe", "newHeads")
            snapshot, _ = await call("evm_snapshot")
            _, heads = await call("evm_mine")
            first = heads[0] if heads else await next_head()
            assert (await call("evm_revert", snapshot))[0] is True
            await call("evm_increaseTime", 60)
            _, heads = await call("evm_mine")
            second = heads[0] if heads else await next_head()
            return first, second

    with running("--freeze-time") as (said, _, _process):
        first, second = asyncio.run(follow(said["ws"]))
    assert first["number"] == second["number"] == "0x2"
    assert first["parentHash"] == second["parentHash"]
    assert first["hash"] != second["hash"]
    assert int(second["timestamp"], 16) == int(first["timestamp"], 16) + 60


def test_receipts_are_not_held_for_ethers():
    """Ten of them would be held for three seconds by a node."""
    with running() as (said, w3, _):
        accounts = w3.eth.accounts
        begin_s = time.monotonic()
        for _ in range(10):
            digest = w3.eth.send_transaction({"from": accounts[0], "to": accounts[1]})
            assert w3.eth.get_transaction_receipt(digest)["status"] == 1
        assert time.monotonic() - begin_s < 2.5
        assert said["block"] == w3.eth.block_number - 10


def test_a_trace_in_the_log_shows_no_values(capsys):
    """To draw what variables hold took minutes at the end of the stack, and nobody was answered."""

    def fails(depth):
        of_interest = "nobody's business"
        return fails(depth - 1) if depth else int(of_interest)

    app._log_plainly()
    try:
        fails(5)
    except ValueError:
        structlog.get_logger("dev").exception("stray error")
    finally:
        structlog.reset_defaults()
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "depth = 5" not in shown


def test_pages_of_this_machine_may_call_and_no_others():
    async def ask_as(url, origin):
        async with aiohttp.ClientSession(headers={"Origin": origin}) as session:
            async with session.options(url) as asked:
                pass
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
            async with session.post(url, json=body) as said:
                return asked, said

    allowed = "Access-Control-Allow-Origin"
    with running() as (said, _, _process):
        for origin, status in (("http://localhost:3000", 200), ("https://example.org", 403)):
            asked, answer = asyncio.run(ask_as(said["rpc"], origin))
            assert answer.status == status
            assert asked.status == (204 if status == 200 else 403)
            shown = [response.headers.get(allowed) for response in (asked, answer)]
            assert shown == [origin if status == 200 else None] * 2


def test_state_is_kept_in_a_file_only(tmp_path):
    state = tmp_path / "dev.state"
    for height in (2, 3):
        with running("--state", str(state)) as (_, w3, _process):
            w3.eth.send_transaction({"from": w3.eth.accounts[0], "to": w3.eth.accounts[1]})
            assert w3.eth.block_number == height
    with running() as (_, w3, _process):
        assert w3.eth.block_number == 1
    state.write_bytes(b"nothing")
    done = start("--state", str(state))
    assert done.returncode != 0
    assert "state: " in done.stderr
    assert "Traceback" not in done.stderr


def start(*options):
    """Run the command where it must end by itself."""
    return subprocess.run(
        [HEARTH, "testnet", "dev", *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_wrong_options_and_a_taken_port_are_refused_in_a_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options, says in (
            (("--port", port), "choose another with --port"),
            (("--port", "0"), "port must lie in"),
            (("--state", "/nowhere/at/all"), "its folder is not there"),
            (("--mnemonic", "a b c"), "mnemonic"),
            (("--window-ms", "0", "--port", port), "window_ms"),
        ):
            done = start(*options)
            assert done.returncode != 0
            assert says in done.stderr, done.stderr
            assert "Traceback" not in done.stderr


def test_a_proof_of_the_chain_verifies_and_the_banner_warns(tmp_path):
    home, proof, port = tmp_path / "home", tmp_path / "proof.json", free_port()
    process = subprocess.Popen(
        [
            HEARTH,
            "testnet",
            "dev",
            "--port",
            str(port),
            "--write-home",
            home,
            "--block-time",
            "0.1",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        banner = ""
        while "Ctrl-C" not in banner:
            line = process.stdout.readline()
            assert line, banner
            banner += line
        assert "these keys are public" in banner
        assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in banner
        time.sleep(0.5)
        for command, says in (
            (("chain", "proof", "--home", home, "--balance", "dev3", "--out", proof), "100000.0"),
            (("chain", "verify-proof", proof, "--genesis", home / "genesis.json"), "100000.0"),
            (("wallet", "send", "--home", home, "dev3", "1.50"), "dev3"),
            (("wallet", "balance", "--home", home), "99998.5"),
        ):
            done = subprocess.run([HEARTH, *command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert says in done.stdout, done.stdout
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "household.keys").write_text("somebody's")
        refused = start("--port", str(free_port()), "--write-home", tmp_path / "other")
        assert "holds something else" in refused.stderr
        assert (tmp_path / "other" / "household.keys").read_text() == "somebody's"
        process.terminate()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
