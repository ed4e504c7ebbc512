"""`hearth wallet`, `ramp`, `members`, `meters`, `node`, `agent`, against the real contracts."""

import json
from pathlib import Path

import pytest

from cli.errors import ExitCode, Unusable
from cli.members import read_candidate
from cli.wallet import parse_amount
from crypto.keystore import HouseholdKeys, MeterKeys
from market.agents.devices.meter_record import (
    GENESIS_HASH,
    MeterRecord,
    Registers,
    to_ocmf,
)
from tests.cli.street import EUR, run, run_json


def money(here, i):
    row = run_json("wallet", "balance", "--node", i)["accounts"][0]
    return row["money_units"]


# wallet ------------------------------------------------------------------------------------------


def test_balances_of_all(here):
    rows = run_json("wallet", "balance", "--all")["accounts"]
    assert [row["name"] for row in rows] == [*here.names, "operator", "external_market"]
    assert rows[0]["money_eur"] == "200.0000"
    assert here.names[3] in run("wallet", "balance", "--all").stdout


def test_a_transfer_moves_exactly_the_amount(here):
    before = [money(here, i) for i in range(2)]
    sent = run_json("wallet", "send", here.names[1], "0.00000007")
    assert (sent["units"], sent["from"], sent["to"]) == (7, here.names[0], here.names[1])
    assert [money(here, i) for i in range(2)] == [before[0] - 7, before[1] + 7]
    assert "Sent, and sealed" in run("wallet", "send", here.names[1], "1").stdout


def test_bad_amounts_and_recipients_change_nothing(here):
    height = here.chain.height
    for amount in ("0", "1.000000001", "NaN", "one", "Infinity", "1e999"):
        assert "AMOUNT" in run("wallet", "send", here.names[1], amount, code=2).stderr
    assert "AMOUNT" in run("wallet", "send", here.names[1], "0.5", "--energy", code=2).stderr
    assert "neither an address" in run("wallet", "send", "nobody", "1", code=2).stderr
    assert "TO" in run("wallet", "send", "0x1234", "1", code=2).stderr
    text = run("wallet", "send", here.names[1], "1", "--energy", code=ExitCode.REFUSED).stderr
    assert "INSUFFICIENT_ENERGY" in text
    assert here.chain.height == height


@pytest.mark.parametrize(
    ("text", "units"), [("1", EUR), ("0.5", EUR // 2), ("1e-8", 1), ("2E1", 20 * EUR)]
)
def test_amounts_are_exact(text, units):
    assert parse_amount(text, EUR) == units


@pytest.mark.parametrize("text", ["-1", "", "0x10", str(2**128), "sNaN", "1e9999999", "1.5"])
def test_amounts_that_are_none(text):
    with pytest.raises(Unusable):
        parse_amount(text, 1)


# ramp --------------------------------------------------------------------------------------------


def test_money_comes_in_when_more_than_half_say_the_same(here):
    before = money(here, 3)
    attest = ("ramp", "attest", "SEPA 17", here.names[3], "12.50")
    assert run_json(*attest)["minted"] is False
    assert run_json("ramp", "deposit", "SEPA 17")["minted"] is False
    assert "ALREADY_VOTED" in run(*attest, code=ExitCode.REFUSED).stderr
    assert run_json(*attest, "--node", "1")["minted"] is False
    assert run_json(*attest, "--node", "2")["minted"] is True
    said = run_json("ramp", "deposit", "SEPA 17")
    assert (said["to"], said["amount_eur"]) == (here.names[3], "12.5000")
    assert money(here, 3) == before + 1250 * EUR // 100


def test_money_goes_out_and_the_payout_is_confirmed(here):
    before = money(here, 0)
    out = run_json("ramp", "withdraw", "25", "DE02 1203")
    assert money(here, 0) == before - 25 * EUR
    (row,) = run_json("ramp", "pending")
    assert (row["amount"], row["payout_hash"]) == (25 * EUR, out["payout_hash"])
    assert here.names[0] in run("ramp", "pending").stdout
    for node in ("0", "1", "2"):
        run("ramp", "confirm", row["id"], "SEPA 18", "--node", node)
    assert run_json("ramp", "pending") == []
    assert "PAYOUT must say" in run("ramp", "withdraw", "1", " ", code=2).stderr


def test_a_bank_file_that_is_minted_needs_no_vote(here):
    height = here.chain.height
    text = run("ramp", "attest-file", here.layout.bank).stderr
    assert text.count("minted before") == 5
    assert here.chain.height == height
    bad = here.layout.home / "bad.json"
    bad.write_text("{}")
    assert "is missing" in run("ramp", "attest-file", bad, code=1).stderr


# members -----------------------------------------------------------------------------------------


def test_members_and_who_is_up(here):
    rows = run_json("members", "list")
    assert sorted(row["name"] for row in rows) == sorted(here.names)
    assert [row["isUp"] for row in rows] == [True, True, True, False]
    assert "this node" in run("members", "list").stdout


def test_a_newcomer_is_proposed_and_voted_in(here, tmp_path):
    HouseholdKeys.generate().save(tmp_path / "household.keys", "one password", cost="min")
    MeterKeys.generate().save(tmp_path / "meter.keys", "two password", cost="min")
    file = tmp_path / "candidate.json"
    run(
        *("members", "candidate", tmp_path / "household.keys", tmp_path / "meter.keys"),
        *("--endpoint", "192.0.2.7:26600", "--meter-id", "1EMH00", "--out", file),
        *("--chain-id", here.genesis.chain_id, "--name", "Mill Lane 3"),
        input="one password\ntwo password\n",
    )
    assert "members vote" in run("members", "propose", file).stdout
    (row,) = run_json("members", "proposals")
    assert (row["kind"], row["needed"], row["status"]) == ("admit", 3, "open")
    for node in ("0", "1", "2"):
        run("members", "vote", row["id"], "yes", "--node", node)
    (row,) = run_json("members", "proposals")
    assert (row["yes"], row["status"]) == (3, "accepted")
    assert "accepted" in run("members", "proposals").stdout
    text = run("members", "vote", row["id"], "no", "--node", "3", code=ExitCode.REFUSED).stderr
    assert "PROPOSAL_DECIDED" in text


def test_an_upgrade_is_voted_for_by_households_whose_nodes_support_it(here, monkeypatch):
    height = here.chain.height + 50
    said = run("members", "upgrade", "2", "--height", height).stdout
    assert "none of which this node has heard" in said
    row = run_json("members", "proposals")[-1]
    assert f"members vote: hearth members vote {row['id']} yes" in said
    assert (row["kind"], row["name"]) == ("upgrade", f"protocol 2 from block {height}")
    assert (row["needed"], row["status"]) == (3, "open")
    text = run("members", "vote", row["id"], "yes", code=ExitCode.REFUSED).stderr
    assert "supports protocol versions up to 1" in text
    assert f"before block {height}" in text
    run("members", "vote", row["id"], "no", "--node", "3")
    monkeypatch.setattr(here.chain.machine, "protocols", (1, 2))
    for node in ("0", "1", "2"):
        run("members", "vote", row["id"], "yes", "--node", node)
    assert run_json("members", "proposals")[-1]["status"] == "active"
    status = run_json("node", "status")
    assert (status["protocol"], status["protocolsSupported"]) == (1, [1, 2])
    assert status["nextProtocol"] == {"version": 2, "height": height}
    assert f"1; 2 from block {height} on (this node supports 1, 2)" in " ".join(
        run("node", "status").stdout.split()
    )
    text = run("members", "upgrade", "3", "--height", height + 1, code=ExitCode.REFUSED).stderr
    assert "ALREADY_SCHEDULED" in text


def test_the_community_key_is_dealt_once_for_an_epoch(here):
    assert "epoch" in run("members", "rekey").stdout
    text = run("members", "rekey", "--node", "1", code=ExitCode.REFUSED).stderr
    assert "ALREADY_DEALT" in text


def test_an_eviction_is_a_proposal_too(here):
    run("members", "evict", here.names[3])
    row = run_json("members", "proposals")[-1]
    assert (row["kind"], row["name"]) == ("evict", here.names[3])
    assert "MEMBER" in run("members", "evict", "nobody", code=2).stderr


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"nodeKey": 1}', "x" * 9000, '{"nodeKey": "0xzz"}']
)
def test_a_bad_candidate_file_is_refused(tmp_path, text):
    file = tmp_path / "candidate.json"
    file.write_text(text)
    with pytest.raises(Unusable, match="candidate"):
        read_candidate(file)


# meters ------------------------------------------------------------------------------------------


def test_meters_and_their_certificates(here):
    rows = run_json("meters", "list")
    assert [row["meterId"] for row in rows] == [f"HEARTH-{name}" for name in here.names]
    assert "HEARTH-" in run("meters", "list").stdout


def test_the_operator_renews_and_revokes_and_certifies(here):
    operator = ("--operator", here.layout.service("operator").home)
    row = run_json("meters", "list")[3]
    run("meters", "audit", row["account"], "--until", "2000000", *operator)
    assert run_json("meters", "list")[3]["validUntilWindow"] == 2_000_000
    run("meters", "revoke", row["account"], *operator)
    assert len(run_json("meters", "list")) == 3
    other = MeterKeys.from_entropy(b"m" * 32).account.address
    ring = ("--ring-key", row["ringKey"], "--meter-id", "NEW-1", "--until", "99")
    new = ("meters", "certify", "0x" + other.hex(), here.names[3])
    text = run(*new, *ring[:1], "zz", *ring[2:], *operator, code=2).stderr
    assert "--ring-key" in text
    run(*new, *ring, *operator)
    assert run_json("meters", "list")[3]["meterId"] == "NEW-1"


def test_nobody_else_certifies(here):
    row = run_json("meters", "list")[0]
    stranger = ("--operator", here.layout.service("external_market").home)
    text = run("meters", "revoke", row["account"], *stranger, code=ExitCode.REFUSED).stderr
    assert "NOT_OPERATOR" in text


@pytest.fixture
def records(tmp_path):
    key = MeterKeys.from_entropy(b"k" * 32).account
    lines, previous = [], GENESIS_HASH
    for number in range(1, 5):
        record = MeterRecord.sign(
            key,
            meter_id="M-1",
            pagination=number,
            time_ms=1_700_000_000_000 + number * 900_000,
            registers=Registers(import_wh=10 * number, export_wh=number),
            previous=previous,
        )
        previous = record.hash
        lines.append(to_ocmf(record))
    path = tmp_path / "records.ocmf"
    path.write_text("\n".join(lines) + "\n")
    return path, "0x" + key.address.hex()


def test_a_chain_of_records_verifies(records):
    path, meter = records
    said = run_json("meters", "verify", path, "--meter", meter)
    assert (said["records"], said["import_wh"], said["export_wh"]) == (4, 40, 4)
    assert "whole chain verifies" in run("meters", "verify", path, "--meter", meter).stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [lines[0].replace("10", "11"), *lines[1:]],
        lambda lines: ["junk", *lines],
        lambda lines: [],
    ],
    ids=["first gone", "gap", "repeated", "altered", "junk", "empty"],
)
def test_a_broken_chain_does_not(records, change):
    path, meter = records
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))
    text = run("meters", "verify", path, "--meter", meter, code=ExitCode.FAILED).stderr
    assert "record" in text


def test_another_meters_records_do_not_verify(records):
    path, _ = records
    other = "0x" + "12" * 20
    assert "record 1" in run("meters", "verify", path, "--meter", other, code=1).stderr
    assert "METER" in run("meters", "verify", path, "--meter", "h39", code=2).stderr


# node, agent -------------------------------------------------------------------------------------


def test_status_and_why(here):
    status = run_json("node", "status")
    assert (status["height"], len(status["peers"])) == (here.chain.height, 3)
    text = run("node", "status").stdout
    assert "no: connection refused" in text
    assert "2 of 3 up" in text
    assert "Nothing is awaited" in run("node", "why").stdout
    here.why.append("h39 does not answer since 12 s")
    assert run_json("node", "why") == {"waiting_for": ["h39 does not answer since 12 s"]}
    assert "since 12 s" in run("node", "why").stdout
    here.why.clear()


def test_node_run_says_what_it_lacks(tmp_path):
    (tmp_path / "password").write_text("x\n")
    (tmp_path / "password").chmod(0o600)
    text = run("node", "run", "--home", tmp_path, code=ExitCode.USAGE).stderr
    assert "genesis.json" in text


def test_agents_run_for_one_or_the_other():
    assert "either --home or" in run("agent", "run", code=2).stderr
    text = run("agent", "run", "--home", "a", "--services", "b", code=2).stderr
    assert "either --home or" in text
    assert json.loads(run("agent", "strategies", "--json").stdout)[0]["name"] == "faratin"
    assert "faratin" in run("agent", "strategies").stdout


def test_processes_without_their_files_say_so(tmp_path):
    for args in (("agent", "run"), ("meters", "run")):
        text = run(*args, "--home", tmp_path, code=ExitCode.FAILED).stderr
        assert "cannot be read" in text
    assert not list(Path(tmp_path).iterdir())
