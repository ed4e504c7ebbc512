"""`hearth recover`: each step by its command, and what it says when it must not be taken."""

import asyncio
import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from cli.chain_verify import lineage
from cli.epochs import fetch_hand_overs
from cli.errors import CommandError, Unusable
from cli.recover import record_of
from cli.recover_status import answers
from consensus.vote_log import encode_frame
from node.chain import Chain
from node.community import NodeRecord
from node.home import Home
from node.natives import NATIVES
from node.storage.block_store import ChainStore
from tests.cli.street import Street, run, run_json
from tests.consensus.test_vote_log import records_of
from tests.node.village import Village
from tests.vm.test_first_block import AFTER, SINCE
from vm.machine import Machine

PASSWORD = "only for tests"


class Four:
    """Four homes with real keys, of one chain; two of them will be gone."""

    def __init__(self, folder):
        self.street = street = Street(folder)
        street.send(street.household(0), "MoneyToken", "approve", b"\1" * 20, 1)
        self.names = street.names
        self.homes = {name: street.layout.household(name).home for name in self.names}
        street.store.close()
        for name in self.names:
            self.copy_chain(name)

    def copy_chain(self, name):
        target = Home(self.homes[name]).chain
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(self.street.store.path, target)

    def seal_one_more(self):
        street = self.street
        street.store = ChainStore(street.store.path, street.genesis.hash)
        machine = Machine(street.genesis, NATIVES)
        street.chain = Chain(machine, street.store, now_ms=lambda: street.now)
        street.send(street.household(0), "MoneyToken", "approve", b"\1" * 20, 2)
        street.store.close()


@pytest.fixture
def four(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.keys.COST", "min")
    monkeypatch.setattr("cli.recover_status.PROBE_S", 0.2)
    for name in ("HEARTH_HOME", "HEARTH_TESTNET"):
        monkeypatch.delenv(name, raising=False)
    four = Four(tmp_path)
    monkeypatch.chdir(tmp_path)
    return four


def newcomer(name, home):
    run("keys", "new", "--home", name, input=f"{PASSWORD}\n" * 4)
    args = ("keys", "member", "--home", name, "--name", name, "--endpoint", f"{name}.example:26600")
    run(*args, "--meter-id", f"M-{name}", input=f"{PASSWORD}\n" * 2)
    shutil.copy(home / "genesis.json", f"{name}/genesis.json")
    return ("--member", f"{name}.member.json")


def propose(four, *more):
    a, _, c, d = four.names
    gone = ("--missing", c, "--missing", d)
    late, later = newcomer("late", four.homes[a]), newcomer("later", four.homes[a])
    run("recover", "propose", "--home", four.homes[a], *gone, *late, *later, *more)


def test_two_of_four_go_on_with_two_newcomers(four):
    a, b, *_ = four.names
    propose(four)
    shutil.copy("recovery.json", "copy.json")
    shown = run("recover", "sign", "recovery.json", "--home", four.homes[a], input="y\n").stdout
    assert f"Still to sign: {b}" in shown
    run("recover", "sign", "copy.json", "--home", four.homes[b], "--yes")
    new = json.loads(
        run(
            *("recover", "apply", "recovery.json", "copy.json", "--home", four.homes[a]),
            *("--into", "anew", "--json"),
        ).stdout
    )
    assert set(new["members"]) == {a, b, "late", "later"}
    checked = run_json("genesis", "check", "anew/genesis.json")
    assert checked["hash"] == new["genesis"]
    assert checked["state_root"] == new["state_root"]
    assert (Path("anew") / "password").stat().st_mode & 0o077 == 0
    # The newcomer, whose settings are made here; its password is asked for.
    run("backup", "state", "--state-only", "--home", four.homes[a])
    run(
        *("recover", "apply", "recovery.json", "copy.json", "--home", "late", "--state", "state"),
        *("--into", "late-anew", "--p2p", "127.0.0.1:26700"),
        input=f"{PASSWORD}\n",
    )
    assert Path("late-anew/genesis.json").read_bytes() == Path("anew/genesis.json").read_bytes()
    assert 'name = "late"' in Path("late-anew/node.toml").read_text()
    # Whoever trusts the old genesis file follows.
    merged = Path("anew/recovery.json")
    run("recover", "genesis", merged, four.homes[a] / "genesis.json", "--out", "followed.json")
    assert Path("followed.json").read_bytes() == Path("anew/genesis.json").read_bytes()
    refused = run("recover", "genesis", "copy.json", four.homes[a] / "genesis.json", code=1)
    assert f"is not signed by {a}" in refused.output


def test_what_is_unsigned_is_followed_by_nobody(four):
    a, b, *_ = four.names
    propose(four)
    run("recover", "sign", "recovery.json", "--home", four.homes[a], "--yes")
    old = four.homes[a] / "genesis.json"
    refused = run("recover", "genesis", "recovery.json", old, "--out", "x.json", code=1)
    assert f"is not signed by {b}" in refused.output
    refused = run(
        *("recover", "apply", "recovery.json", "--home", four.homes[a], "--into", "x"), code=1
    )
    assert f"is not signed by {b}" in refused.output
    assert not Path("x").exists()
    assert not Path("x.json").exists()


def test_a_newer_block_refuses_to_be_left_out(four):
    b = four.names[1]
    propose(four)
    four.seal_one_more()
    four.copy_chain(b)
    refused = run("recover", "sign", "recovery.json", "--home", four.homes[b], "--yes", code=1)
    assert "the newest sealed block counts" in refused.output
    assert not Home(four.homes[b]).departure.exists()


def test_who_is_behind_signs_by_the_state_of_another(four):
    a, b, *_ = four.names
    four.seal_one_more()
    four.copy_chain(a)
    propose(four)
    refused = run("recover", "sign", "recovery.json", "--home", four.homes[b], "--yes", code=1)
    assert "name the backup" in refused.output
    run("backup", "state", "--state-only", "--home", four.homes[a])
    args = ("recover", "sign", "recovery.json", "--home", four.homes[b], "--yes")
    assert f"Still to sign: {a}" in run(*args, "--state", "state").stdout


def test_who_does_not_want_it_has_signed_nothing(four):
    a, *_ = four.names
    propose(four)
    before = Path("recovery.json").read_bytes()
    run("recover", "sign", "recovery.json", "--home", four.homes[a], input="n\n", code=1)
    assert Path("recovery.json").read_bytes() == before
    assert not Home(four.homes[a]).departure.exists()


def test_a_quorum_evicts_and_does_not_recover(four):
    a, *_, d = four.names
    late = newcomer("late", four.homes[a])
    args = ("recover", "propose", "--home", four.homes[a], "--missing", d, *late)
    assert "are a quorum: evict" in run(*args, code=1).output
    run(*args, "--although-a-quorum-is-left")
    refused = run("recover", "sign", "recovery.json", "--home", four.homes[a], "--yes", code=1)
    assert "are a quorum: evict" in refused.output


def test_who_answers_is_not_gone(four, monkeypatch):
    monkeypatch.setattr("cli.recover_status.answers", lambda node: node.name == four.names[3])
    a, _, c, d = four.names
    gone = ("--missing", c, "--missing", d)
    refused = run("recover", "propose", "--home", four.homes[a], *gone, code=1)
    assert f"{d} is to be left out, and something answers" in refused.output


def test_names_and_files_are_checked(four):
    a, *_ = four.names
    home = four.homes[a]
    shown = run("recover", "propose", "--home", home, "--missing", "nobody", code=2)
    assert "is no member; there are" in shown.output
    Path("recovery.json").write_text("{}")
    assert "exists" in run("recover", "propose", "--home", home, code=2).output
    assert (
        "must have exactly"
        in run("recover", "sign", "recovery.json", "--home", home, code=1).output
    )
    Path("empty").mkdir()
    assert "genesis.json" in run("recover", "status", "--home", "empty", code=2).output


def test_status_of_a_node_that_is_stopped(four, monkeypatch):
    a, b, c, _ = four.names
    up = [b]
    monkeypatch.setattr("cli.recover_status.answers", lambda node: node.name in up)
    status = run_json("recover", "status", "--home", four.homes[a])
    assert (status["there"], status["needed"], status["may_go_on"]) == (2, 3, 2)
    assert status["is_below_quorum"]
    assert status["voted_above"] is None
    shown = run("recover", "status", "--home", four.homes[a]).stdout
    assert "hearth recover propose" in shown
    up.append(c)
    shown = run("recover", "status", "--home", four.homes[a]).stdout
    assert "nothing is to be recovered" in shown
    up.clear()
    shown = run("recover", "status", "--home", four.homes[a]).stdout
    assert "Fewer than 2 cannot go on" in shown


def test_status_of_a_node_that_runs(here):
    home = here.layout.household(here.names[0]).home
    status = run_json("recover", "status", "--home", home)
    assert status["height"] == here.chain.height
    assert len(status["members"]) == 4


def test_a_node_that_listens_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        node = NodeRecord(
            account=bytes(20),
            node_key=bytes(32),
            endpoint=f"127.0.0.1:{port}",
            name="x",
            certificate=b"",
        )
        assert answers(node)
    assert not answers(node)


def test_a_chain_shows_which_one_it_follows(tmp_path):
    village = Village(tmp_path)
    village.work()
    file = village.signed(village.propose(village.settle(0), 3, 4, 5), 0, 1, 2)
    paths = {name: tmp_path / name for name in ("old", "file", "unsigned", "other")}
    paths["old"].write_bytes(village.genesis.to_json())
    paths["file"].write_bytes(file.to_json())
    paths["unsigned"].write_bytes(replace(file, signatures=()).to_json())
    new = file.genesis_after(village.genesis)
    assert lineage(village.genesis, None, paths["file"]) is None
    assert lineage(new, None, paths["file"])["is_shown"] is False
    shown = lineage(new, paths["old"], paths["file"])
    assert shown == {
        "genesis": "0x" + village.genesis.hash.hex(),
        "height": 3,
        "block": "0x" + file.header.hash.hex(),
        "is_shown": True,
    }
    for genesis, given, words in (
        (village.genesis, "file", "follows no other"),
        (new, "unsigned", "is not signed by"),
        (new, "nowhere", "cannot be read"),
        (replace(new, name="x"), "file", "to another chain"),
    ):
        with pytest.raises(CommandError, match=words):
            lineage(genesis, paths["old"], paths.get(given, tmp_path / given))


def test_a_survivor_that_is_no_founder_gives_its_record(four):
    """As the state has it: its node key may be another by now than in its record."""
    keys = four.street.genesis.members[1]
    node = NodeRecord(
        account=keys.account,
        node_key=b"\7" * 32,
        endpoint="192.0.2.9:1",
        name="came later",
        certificate=b"x",
    )
    found = record_of(four.street.genesis, node, [])
    assert (found.node_key, found.name, found.endpoint) == (b"\7" * 32, "came later", "192.0.2.9:1")
    assert (found.ring_key, found.ring_proof) == (keys.ring_key, keys.ring_proof)
    stranger = replace(node, account=b"\1" * 20)
    with pytest.raises(Unusable, match="came later is no founder"):
        record_of(four.street.genesis, stranger, [])
    given = replace(keys, account=b"\1" * 20)
    assert record_of(four.street.genesis, stranger, [given]).account == b"\1" * 20


def test_a_home_is_seeded_with_the_state_of_another(four):
    a, b, *_ = four.names
    run("backup", "state", "--state-only", "--home", four.homes[a])
    shutil.rmtree(Home(four.homes[b]).path / "data")
    shown = run("recover", "seed", "state", "--home", four.homes[b]).stdout
    assert "up to block 1" in shown
    again = run("recover", "seed", "state", "--home", four.homes[b], code=1)
    assert "is there already" in again.output


def test_a_block_that_may_be_sealed_elsewhere_is_named(four):
    home = Home(four.homes[four.names[0]])
    records = records_of(height=2)
    home.votes.write_bytes(encode_frame(records, 0))
    status = run_json("recover", "status", "--home", home.path)
    digest = records[2].certificate.digest
    assert status["voted_above"] == {"height": 2, "hash": "0x" + digest.hex()}
    assert (
        "Members who are gone may have sealed it"
        in run("recover", "status", "--home", home.path).stdout
    )


def test_nothing_is_overwritten_by_genesis(four):
    propose(four)
    old = four.homes[four.names[0]] / "genesis.json"
    Path("there.json").touch()
    refused = run("recover", "genesis", "recovery.json", old, "--out", "there.json", code=2)
    assert "there.json exists" in refused.output


def test_epochs_are_asked_for_from_the_first_of_a_recovered_chain():
    """Below it there are none, and block 0's own hand-over is no proof."""
    asked = []

    class Client:
        async def call(self, *args):
            asked.append(args)
            return []

    assert asyncio.run(fetch_hand_overs(Client(), AFTER)) == []
    assert asked == [("hearth_getEpochs", SINCE.epoch)]
