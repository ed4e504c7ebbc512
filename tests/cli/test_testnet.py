"""`hearth testnet` as far as it starts no process; the rest is in tests/e2e."""

import pytest

from cli.errors import ExitCode
from tests.cli.street import Street, run, run_json


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A testnet of this test's own, which does not run."""
    street = Street(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEARTH_TESTNET", raising=False)
    yield street
    street.store.close()


def test_status_of_a_testnet_that_does_not_run(other):
    rows = run_json("testnet", "status")
    assert [row["name"] for row in rows] == other.names
    assert {row["node_pid"] for row in rows} == {None}
    assert "down" in run("testnet", "status").stdout


def test_logs_are_listed_and_shown(other):
    log = other.layout.log(f"node-{other.names[0]}")
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    assert log.stem in run("testnet", "logs").stdout
    assert run("testnet", "logs", log.stem, "-n", "2").stdout == "line 98\nline 99\n"
    text = run("testnet", "logs", "node-x", code=ExitCode.USAGE).stderr
    assert log.stem in text


def test_stop_keeps_the_files_and_reset_removes_them(other):
    assert "is stopped" in run("testnet", "stop").stdout
    assert other.layout.manifest.exists()
    assert "is gone" in run("testnet", "reset").stdout
    assert not other.layout.home.exists()
    assert "cannot be read" in run("testnet", "stop", code=ExitCode.FAILED).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-n", "3"), "households"),
        (("-n", "65"), "households"),
        (("--name", "../up"), "name"),
        (("--day", "2017-01-01"), "day"),
        (("--base-port", "65530"), "base_port"),
        (("--base-port", "-7"), "base_port"),
    ],
)
def test_up_names_what_it_cannot_do(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = run("testnet", "up", *options, code=None)
    assert result.exit_code in (ExitCode.USAGE, ExitCode.FAILED)
    assert words in result.stderr
    assert not (tmp_path / ".hearth").exists()


def test_up_names_a_bad_term_of_the_chain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("testnet.launcher.check_ports", lambda *_: None)
    assert "record_ms" in run("testnet", "up", "--record-ms", "0", code=ExitCode.USAGE).stderr
    assert not (tmp_path / ".hearth").exists()


def test_up_starts_nothing_twice(other, monkeypatch):
    monkeypatch.setattr("testnet.launcher.check_ports", lambda *_: None)
    before = other.layout.manifest.read_bytes()
    text = run("testnet", "up", "-n", "4", code=ExitCode.FAILED).stderr
    assert "holds a testnet" in text
    assert other.layout.manifest.read_bytes() == before


def test_chaos_fails_when_something_is_lost(other, monkeypatch):
    async def fake(cluster, options, say):
        say("killing h39")
        return {"ok": options.seed == 1, "lost": [], "seconds": options.seconds}

    monkeypatch.setattr("testnet.chaos.run_chaos", fake)
    assert run_json("testnet", "chaos", "--seed", "1", "--seconds", "2")["seconds"] == 2.0
    result = run("testnet", "chaos", code=ExitCode.FAILED)
    assert "killing h39" in result.stderr
    assert "something was lost" in result.stderr
