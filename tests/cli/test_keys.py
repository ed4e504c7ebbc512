"""`hearth keys`: files, words, public parts; nothing secret where it does not belong."""

import json

import pytest

from crypto.keystore import HouseholdKeys, MeterKeys
from node.home import Home
from node.storage.vote_log import VoteLogFile
from tests.cli.street import run, run_json

PASSWORDS = "correct horse\ncorrect horse\nbattery staple\nbattery staple\n"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr("cli.keys.COST", "min")


@pytest.fixture
def home(tmp_path):
    run("keys", "new", "--home", tmp_path / "home", input=PASSWORDS)
    return tmp_path / "home"


def test_new_makes_two_files_under_two_passwords(tmp_path):
    result = run("keys", "new", "--home", tmp_path / "home", input=PASSWORDS)
    home = tmp_path / "home"
    household = HouseholdKeys.load(home / "household.keys", "correct horse")
    meter = MeterKeys.load(home / "meter" / "meter.keys", "battery staple")
    assert f"0x{household.node.public.hex()}" in result.stdout
    assert household.account.address != meter.account.address
    for file in (home / "household.keys", home / "meter" / "meter.keys"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o077 == 0
    words = household.words().split()
    shown = " ".join(result.stdout.split())
    assert all(f"{place} {word}" in shown for place, word in enumerate(words, 1))
    assert "correct horse" not in result.output


def test_real_keys_cost_a_second_to_guess(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.keys.COST", "moderate")
    run("keys", "new", "--home", tmp_path, "--only", "meter", input="long enough\nlong enough\n")
    kdf = json.loads((tmp_path / "meter" / "meter.keys").read_text())["kdf"]
    assert kdf["memory_bytes"] == 256 << 20


def test_only_one_file(tmp_path):
    run("keys", "new", "--home", tmp_path, "--only", "household", input=PASSWORDS)
    assert (tmp_path / "household.keys").exists()
    assert not (tmp_path / "meter").exists()


def test_nothing_is_overwritten(home):
    before = (home / "household.keys").read_bytes()
    for command in ("new", "restore"):
        text = run("keys", command, "--home", home, input=PASSWORDS, code=2).stderr
        assert "never overwritten" in text
    assert (home / "household.keys").read_bytes() == before


def test_short_and_different_passwords_are_refused(tmp_path):
    text = run("keys", "new", "--home", tmp_path, input="short\nshort\n", code=2).stderr
    assert "at least 8 characters" in text
    run("keys", "new", "--home", tmp_path, input="correct horse\ncorrect hores\n", code=1)
    assert not (tmp_path / "household.keys").exists()


def test_show_asks_for_the_password_and_tells_public_parts_only(home):
    result = run("keys", "show", "--home", home, "--json", input="correct horse\n")
    keys = HouseholdKeys.load(home / "household.keys", "correct horse")
    parts = json.loads(result.stdout)
    assert parts["node_key"] == f"0x{keys.node.public.hex()}"
    assert set(parts) == {"account", "node_key", "ring_key", "wallet", "seller", "buyer"}
    for secret in (keys.ring_seed, keys.wallet_spend, keys.wallet_view, keys.account.secret):
        assert secret.hex() not in result.output
    meter = run("keys", "show", "--home", home, "--meter", input="battery staple\n").stdout
    assert "meter_ring_key" in meter


def test_a_wrong_password_is_said(home):
    text = run("keys", "show", "--home", home, input="wrong horse\n", code=2).stderr
    assert "wrong password" in text


def test_keys_that_are_not_there(tmp_path):
    text = run("keys", "words", "--home", tmp_path, code=2).stderr
    assert "hearth keys new" in text


def test_words_bring_the_keys_back(home, tmp_path):
    keys = HouseholdKeys.load(home / "household.keys", "correct horse")
    words = keys.words()
    shown = run("keys", "words", "--home", home, input="correct horse\n").stdout
    assert words.split()[23] in shown
    other = tmp_path / "other"
    run("keys", "restore", "--home", other, input=f"{words}\nnew password\nnew password\n")
    again = HouseholdKeys.load(other / "household.keys", "new password")
    assert again.node.public == keys.node.public


def test_only_a_key_that_is_new_begins_its_log(home, tmp_path):
    """Rule 25: the log of a key that comes back from words may lack what the key has signed."""

    def is_unproven(folder):
        log = VoteLogFile(Home(folder).votes)
        log.close()
        return log.is_unproven

    assert not is_unproven(home)
    words = HouseholdKeys.load(home / "household.keys", "correct horse").words()
    (home / "household.keys").unlink()
    for folder in (home, tmp_path / "other"):
        run("keys", "restore", "--home", folder, input=f"{words}\nnew password\nnew password\n")
        assert is_unproven(folder)


def test_a_wrong_word_is_named(tmp_path):
    text = run("keys", "restore", "--home", tmp_path, input="abandon " * 23 + "hearthh\n", code=2)
    assert "'hearthh', is not in the list" in text.stderr
    assert not (tmp_path / "household.keys").exists()


def test_member_writes_a_record_with_nothing_secret(home, tmp_path):
    out = tmp_path / "me.json"
    args = ("--name", "no 4", "--endpoint", "192.0.2.7:26600", "--meter-id", "1EMH0012345678")
    answers = "correct horse\nbattery staple\n"
    run("keys", "member", "--home", home, *args, "--out", out, input=answers)
    record = json.loads(out.read_text())
    keys = HouseholdKeys.load(home / "household.keys", "correct horse")
    assert record["node_key"] == keys.node.public.hex()
    assert record["meter"]["meter_id"] == "1EMH0012345678"
    assert record["meter"]["valid_until_window"] == 8 * 8_766
    text = run("keys", "member", "--home", home, *args, "--out", out, input=answers, code=2)
    assert "exists" in text.stderr


def test_a_testnet_household_needs_no_password(here):
    parts = run_json("keys", "show")
    assert parts["account"].lower() == f"0x{here.household(0).address.hex()}"
