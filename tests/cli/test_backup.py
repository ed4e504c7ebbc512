"""`hearth backup` and `restore`: what is in it is verified, and no old promise comes back."""

import io
import json
import random
import tarfile

import pytest

from cli.errors import ExitCode
from node.chain import Chain
from node.home import Home
from node.natives import NATIVES
from node.rpc.dispatch import Dispatcher
from node.rpc.handlers_snapshot import SnapshotMethods
from node.rpc.openrpc import SIGNATURES
from node.rpc.signature import bind
from node.snapshot_server import SnapshotServer
from node.storage.block_store import ChainStore
from node.storage.vote_log import VoteLogFile
from tests.cli.street import run
from vm.machine import Machine


@pytest.fixture
def running(here, monkeypatch):
    """The household's node, which serves its state for a backup."""
    server = SnapshotServer(here.chain)
    methods = bind(SnapshotMethods(server).table(), SIGNATURES)
    dispatcher = here.dispatcher
    monkeypatch.setattr(here, "dispatcher", Dispatcher(methods, lambda *_: None))
    yield here
    here.dispatcher = dispatcher
    server.close()


@pytest.fixture
def backup(running, tmp_path):
    file = tmp_path / "house.backup"
    run("backup", file)
    return file


def chain_in(home, genesis):
    store = ChainStore(Home(home).chain, genesis.hash)
    return Chain(Machine(genesis, NATIVES), store, now_ms=lambda: 0)


def test_a_running_node_comes_back(running, backup, tmp_path):
    restored = json.loads(run("restore", backup, "--home", tmp_path / "new", "--json").stdout)
    assert (restored["name"], restored["height"]) == (running.names[0], running.chain.height)
    home, old = Home(tmp_path / "new"), Home(running.layout.household(running.names[0]).home)
    for name in ("genesis.json", "node.toml", "household.keys"):
        assert (home.path / name).read_bytes() == (old.path / name).read_bytes()
        assert (home.path / name).stat().st_mode & 0o077 == 0
    chain = chain_in(home.path, running.genesis)
    assert chain.head == running.chain.head
    assert chain.tree.root == running.chain.tree.root
    assert chain.record(chain.height) == running.chain.record(chain.height)
    assert chain.membership() == running.chain.membership()
    chain.store.close()


def test_what_was_promised_does_not_come_back(running, backup, tmp_path):
    old = Home(running.layout.household(running.names[0]).home)
    run("restore", backup, "--home", tmp_path / "new")
    with tarfile.open(backup) as tar:
        names = tar.getnames()
    assert not [name for name in names if "vote" in name or "password" in name or "token" in name]
    assert old.password.exists()
    log = VoteLogFile(Home(tmp_path / "new").votes)
    assert log.records == ()
    assert log.is_unproven
    log.close()


def test_the_state_alone_is_for_others(running, tmp_path):
    shown = run("backup", tmp_path / "state.backup", "--state-only").stdout
    assert "No key is in it" in shown
    with tarfile.open(tmp_path / "state.backup") as tar:
        names = tar.getnames()
    assert names[:2] == ["backup.json", "genesis.json"]
    assert all(name.startswith("state/") for name in names[2:])


def test_a_node_that_is_stopped(running, backup, tmp_path, monkeypatch):
    run("restore", backup, "--home", tmp_path / "new")
    monkeypatch.setattr(running, "is_reachable", False)
    again = tmp_path / "again.backup"
    run("backup", again, "--home", tmp_path / "new")
    assert again.stat().st_mode & 0o077 == 0
    with tarfile.open(backup) as one, tarfile.open(again) as two:
        for name in one.getnames():
            assert one.extractfile(name).read() == two.extractfile(name).read(), name
    run("restore", again, "--home", tmp_path / "newer")


def test_the_chain_goes_on_while_it_is_backed_up(running, tmp_path, monkeypatch):
    """The state of one block, although each part is asked for after another one is sealed."""
    made = SnapshotMethods.part
    before = running.chain.head

    def part(self, args):
        if args.get(1) in (7, 8):
            running.submit(running.household(0), "Membership", "members")
            running.seal()
        return made(self, args)

    monkeypatch.setattr(SnapshotMethods, "part", part)
    server = SnapshotServer(running.chain)
    methods = bind(SnapshotMethods(server).table(), SIGNATURES)
    monkeypatch.setattr(running, "dispatcher", Dispatcher(methods, lambda *_: None))
    run("backup", tmp_path / "live.backup")
    assert running.chain.height == before.number + 2
    run("restore", tmp_path / "live.backup", "--home", tmp_path / "new")
    chain = chain_in(tmp_path / "new", running.genesis)
    assert chain.head == before
    chain.store.close()
    server.close()


def test_nothing_is_overwritten(running, backup, tmp_path):
    assert "exists" in run("backup", backup, code=ExitCode.FAILED).stderr
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    used = run("restore", backup, "--home", tmp_path / "used", code=ExitCode.USAGE)
    assert "is not empty" in used.stderr


def rewritten(backup, change):
    """The file with some of its members changed: name, data -> data, or None to leave it out."""
    out = io.BytesIO()
    with tarfile.open(backup) as tar, tarfile.open(fileobj=out, mode="w") as new:
        for member in tar:
            data = change(member.name, tar.extractfile(member).read())
            if data is not None:
                info = tarfile.TarInfo(member.name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "lie", "message"),
    [
        ("state/007", lambda _: None, "ends early"),
        ("state/007", lambda data: data + b"\0", "does not hold"),
        ("state/256", lambda data: b"\x90", "does not hold"),
        ("state/257", lambda data: data[:-1] + b"\x01", "does not hold"),
        ("state/258", lambda data: b"\x90", "does not hold"),
        ("backup.json", lambda _: None, "not a backup"),
        ("backup.json", lambda _: b"{}", "version"),
        ("backup.json", lambda data: data.replace(b'"view": 0', b'"view": 1'), "does not hold"),
        ("backup.json", lambda _: b"[" * 60_000, "backup.json"),
        ("genesis.json", lambda _: None, "no genesis file"),
        ("genesis.json", lambda _: b"{}", "cannot be used"),
        (
            "genesis.json",
            lambda data: data.replace(b'"name": "street"', b'"name": "streat"'),
            "another chain",
        ),
    ],
)
def test_a_backup_that_was_changed(backup, tmp_path, name, lie, message):
    data = rewritten(backup, lambda each, data: lie(data) if each == name else data)
    (tmp_path / "bent").write_bytes(data)
    done = run("restore", tmp_path / "bent", "--home", tmp_path / "new", code=ExitCode.FAILED)
    assert message in done.stderr
    assert not (tmp_path / "new").exists()


def test_files_that_do_not_belong_there(backup, tmp_path):
    numbers = ("state/x", f"state/{2**32}", f"state/{9:040}")
    for name in ("../evil", "/etc/passwd", "votes.log", *numbers):
        out = io.BytesIO(rewritten(backup, lambda _, data: data))
        with tarfile.open(fileobj=out, mode="a") as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        (tmp_path / "bent").write_bytes(out.getvalue())
        done = run("restore", tmp_path / "bent", "--home", tmp_path / "new", code=ExitCode.FAILED)
        assert "none of a backup's" in done.stderr
    link = tarfile.TarInfo("genesis.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    out = io.BytesIO(rewritten(backup, lambda name, data: data if name == "backup.json" else None))
    with tarfile.open(fileobj=out, mode="a") as tar:
        tar.addfile(link)
    (tmp_path / "bent").write_bytes(out.getvalue())
    done = run("restore", tmp_path / "bent", "--home", tmp_path / "new", code=ExitCode.FAILED)
    assert "not a plain file" in done.stderr


def test_damage_is_noticed_wherever_it_is(running, backup, tmp_path):
    """A flipped byte: refused, or where nothing depends on it, the same state."""
    rng, data = random.Random(5), backup.read_bytes()
    refused = 0
    for turn in range(25):
        at = rng.randrange(len(data))
        bent = data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
        (tmp_path / "bent").write_bytes(bent)
        home = tmp_path / f"new{turn}"
        done = run("restore", tmp_path / "bent", "--home", home, code=None)
        if done.exit_code:
            refused += 1
            assert not home.exists()
            continue
        chain = chain_in(home, running.genesis)
        assert chain.tree.root == running.chain.tree.root
        chain.store.close()
    assert refused
    (tmp_path / "bent").write_bytes(data[: len(data) // 2])
    run("restore", tmp_path / "bent", "--home", tmp_path / "half", code=ExitCode.FAILED)
