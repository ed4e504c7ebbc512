"""`hearth genesis` and `hearth node init`: a community founds a chain from its public records."""

import json
from dataclasses import replace

import pytest

from cli.errors import Unusable
from cli.genesis import parse_settings, parse_time
from crypto.keystore import HouseholdKeys, MeterKeys
from node.home import Home, load_config, load_genesis, load_token
from testnet.genesis import make_member
from tests.cli.street import run, run_json
from vm.genesis import member_from_json, member_to_json

OPERATOR = "0x" + "11" * 20
EXTERNAL = "0x" + "22" * 20
SERVICES = ("--service", f"operator={OPERATOR}", "--service", f"external_market={EXTERNAL}")
NAME = ("--name", "lindenweg")


def entropy(label, i):
    return f"{label} {i}".encode().ljust(32, b".")


def member(i):
    return make_member(
        name=f"no {i}",
        endpoint=f"192.0.2.{i + 1}:2660{i}",
        household=HouseholdKeys.from_entropy(entropy("household", i)),
        meter=MeterKeys.from_entropy(entropy("meter", i)),
    )


@pytest.fixture
def records(tmp_path):
    paths = []
    for i in range(4):
        path = tmp_path / f"no{i}.member.json"
        path.write_text(json.dumps(member_to_json(member(i))))
        paths.append(path)
    return paths


@pytest.fixture
def genesis(tmp_path, records):
    path = tmp_path / "genesis.json"
    start = ("--start", "2026-12-01T00:00:00Z", "--set", "market.retail=32000")
    run("genesis", "new", *records, *NAME, *SERVICES, *start, "--out", path)
    return path


def test_a_members_record_is_read_back():
    assert member_from_json(member_to_json(member(0))) == member(0)


def test_new_makes_a_file_that_a_node_takes(genesis):
    loaded = load_genesis(genesis)
    assert loaded.members == tuple(member(i) for i in range(4))
    assert loaded.contracts["market"]["retail"] == 32_000
    assert loaded.contracts["market"]["feed_in"] == 8_000
    assert (loaded.time_ms, loaded.window_ms) == (1_796_083_200_000, 3_600_000)
    assert dict(loaded.services)["operator"].hex() == "11" * 20


def test_new_never_overwrites(genesis, records):
    text = run("genesis", "new", *records, *NAME, *SERVICES, "--out", genesis, code=2).stderr
    assert "exists" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*NAME, *SERVICES[:2]), "--service external_market=ADDRESS is missing"),
        ((*NAME, *SERVICES, "--service", f"operator={OPERATOR}"), "each name once"),
        ((*NAME, *SERVICES, "--service", "third=0x12"), "--service third"),
        ((*NAME, *SERVICES, "--set", "retail=1"), "CONTRACT.KEY=VALUE"),
        ((*NAME, *SERVICES, "--set", "market.retial=1"), "retial"),
        ((*NAME, *SERVICES, "--set", "market.retail=7999"), "feed_in"),
        ((*NAME, *SERVICES, "--window-ms", "0"), "window_ms"),
        ((*NAME, *SERVICES, "--start", "tomorrow"), "--start must be like"),
        ((*NAME, *SERVICES, "--start", "2026-12-01T00:00:00"), "time zone"),
    ],
)
def test_bad_terms_are_named_and_nothing_is_written(tmp_path, records, options, words):
    out = tmp_path / "genesis.json"
    assert words in run("genesis", "new", *records, *options, "--out", out, code=2).stderr
    assert not out.exists()


def rewrite(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(ring_proof="00" * 64), "ring_proof"),
        (lambda r: r.update(certificate="00" * 300), "certificate"),
        (lambda r: r.update(node_key="00" * 31), "node_key"),
        (lambda r: r.pop("wallet"), "wallet"),
        (lambda r: r.update(color="red"), "color"),
        (lambda r: r.update(endpoint="192.0.2.2:26601"), "must be distinct"),
        (lambda r: r["meter"].update(valid_until_window="soon"), "valid_until_window"),
    ],
)
def test_a_bad_record_is_named(tmp_path, records, change, words):
    rewrite(records[0], change)
    out = tmp_path / "genesis.json"
    result = run("genesis", "new", *records, *NAME, *SERVICES, "--out", out, code=2)
    assert words in result.stderr
    assert not out.exists()


def test_three_households_found_nothing(tmp_path, records):
    out = tmp_path / "genesis.json"
    text = run("genesis", "new", *records[:3], *NAME, *SERVICES, "--out", out, code=2).stderr
    assert "members" in text


def test_show_and_check(genesis):
    loaded = load_genesis(genesis)
    shown = run_json("genesis", "show", genesis)
    assert shown["hash"] == f"0x{loaded.hash.hex()}"
    assert [m["name"] for m in shown["members"]] == ["no 0", "no 1", "no 2", "no 3"]
    checked = run_json("genesis", "check", genesis)
    assert (checked["ok"], checked["chain_id"]) == (True, loaded.chain_id)
    assert "no 3" in run("genesis", "show", genesis).stdout
    assert checked["block_0"] in run("genesis", "check", genesis).stdout


def test_check_refuses_what_a_node_refuses(genesis):
    text = genesis.read_text()
    genesis.write_text(text.replace('"retail": 32000', '"retail": 1'))
    assert "feed_in" in run("genesis", "check", genesis, code=2).stderr
    genesis.write_text(text[:-10])
    assert "JSON" in run("genesis", "show", genesis, code=2).stderr


def test_without_a_file_the_testnets_genesis_is_meant(here):
    assert run_json("genesis", "check")["hash"] == f"0x{here.genesis.hash.hex()}"
    assert run_json("genesis", "check")["block_0"] == f"0x{here.store.digest(0).hex()}"


def test_times_and_settings():
    assert parse_time("2026-12-01T01:00:00+01:00") == 1_796_083_200_000
    assert parse_settings(["market.k=15", "x.name=y"])["x"] == {"name": "y"}
    with pytest.raises(Unusable):
        parse_settings(["market.k"])
    with pytest.raises(Unusable, match="at most 20 digits"):
        parse_settings(["market.k=" + "9" * 5_000])


# node init ---------------------------------------------------------------------------------------


def test_init_prepares_a_home_that_a_node_takes(tmp_path, genesis):
    home = tmp_path / "home"
    peer = ("--peer", "no 3=[2001:db8::3]:26603")
    result = run("node", "init", "--home", home, "--genesis", genesis, "--name", "no 2", *peer)
    paths = Home(home)
    config = load_config(paths, load_genesis(paths.genesis))
    assert (config.name, str(config.p2p_listen)) == ("no 2", "0.0.0.0:26602")
    assert str(config.rpc_listen) == "127.0.0.1:8545"
    assert {name: str(at) for name, at in config.peers.items()} == {"no 3": "[2001:db8::3]:26603"}
    assert not config.testnet
    assert paths.token.stat().st_mode & 0o777 == 0o600
    assert len(load_token(paths)) == 64
    assert paths.genesis.read_bytes() == genesis.read_bytes()
    assert "hearth keys new" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", "no 9"), "'no 9' is not in the genesis file"),
        (("--name", "no 1", "--peer", "x=1.2.3.4:5"), "'x' is not in the genesis file"),
        (("--name", "no 1", "--rpc", "localhost"), "--rpc"),
        (("--name", "no 1", "--p2p", "0.0.0.0:0"), "--p2p"),
    ],
)
def test_init_names_what_is_wrong(tmp_path, genesis, options, words):
    args = ("--home", tmp_path / "home", "--genesis", genesis)
    assert words in run("node", "init", *args, *options, code=2).stderr
    assert not (tmp_path / "home").exists()


def test_init_overwrites_nothing(tmp_path, genesis):
    args = ("--home", tmp_path / "home", "--genesis", genesis, "--name", "no 1")
    run("node", "init", *args)
    assert "nothing is overwritten" in run("node", "init", *args, code=2).stderr


def test_keys_and_record_and_genesis_and_home_fit_together(tmp_path, records, monkeypatch):
    """What a community does in the order in which it does it."""
    monkeypatch.setattr("cli.keys.COST", "min")
    home, record, out = tmp_path / "home", tmp_path / "mine.json", tmp_path / "genesis.json"
    run("keys", "new", "--home", home, input="correct horse\n" * 2 + "battery staple\n" * 2)
    args = ("--name", "mine", "--endpoint", "192.0.2.9:26609", "--meter-id", "1EMH1")
    answers = "correct horse\nbattery staple\n"
    run("keys", "member", "--home", home, *args, "--out", record, input=answers)
    run("genesis", "new", *records[1:], record, *NAME, *SERVICES, "--out", out)
    run("node", "init", "--home", home, "--genesis", out, "--name", "mine")
    genesis = load_genesis(home / "genesis.json")
    mine = next(m for m in genesis.members if m.name == "mine")
    keys = HouseholdKeys.load(home / "household.keys", "correct horse")
    assert mine == replace(mine, account=keys.account.address, node_key=keys.node.public)
