"""Processes of a testnet: started, found again, ended."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testnet import processes as module
from testnet.errors import NotRunning
from testnet.layout import TestnetLayout
from testnet.processes import Processes

QUICK = ("-c", "import time; time.sleep(60)")


@pytest.fixture
def processes(tmp_path, monkeypatch):
    layout = TestnetLayout(tmp_path)
    layout.logs.mkdir()
    monkeypatch.setattr(module, "COMMAND", module.COMMAND[:1])
    running = Processes(layout)
    yield running
    running.kill(running.labels())


def test_a_process_that_ends_between_the_two_signals_of_stop_is_no_error(processes, monkeypatch):
    """Found by `hearth testnet stop`: SIGTERM had ended it before SIGCONT was sent."""
    processes.start("one", QUICK)
    send = processes.signal

    def send_and_wait(label, number):
        send(label, number)
        until = time.monotonic() + 5
        while number is signal.SIGTERM and processes.pid(label) and time.monotonic() < until:
            pass

    monkeypatch.setattr(Processes, "signal", lambda _, label, number: send_and_wait(label, number))
    processes.stop(["one"])
    assert processes.pid("one") is None


def test_a_signal_to_a_process_that_does_not_run_is_refused(processes):
    with pytest.raises(NotRunning, match="one does not run"):
        processes.signal("one", signal.SIGTERM)


def test_a_process_has_a_session_of_its_own_and_prints_to_its_log(processes, tmp_path):
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    processes.start("one", ("-c", code))
    wait_until_ended(processes, "one")
    assert processes.log_tail("one") == "True ''"


def test_no_zombie_stays_of_a_process_that_ended(processes):
    processes.start("one", QUICK)
    pid = processes.pid("one")
    processes.kill(["one"])
    assert not Path(f"/proc/{pid}").exists()
    assert pid not in module._CHILDREN


def test_a_starter_ends_without_a_word_about_what_goes_on(tmp_path):
    """Found at the end of a test run: a handle that is dropped complains of what still runs."""
    layout = TestnetLayout(tmp_path)
    layout.logs.mkdir()
    code = f"""
from pathlib import Path
from testnet import processes
from testnet.layout import TestnetLayout
processes.COMMAND = processes.COMMAND[:1]
processes.Processes(TestnetLayout(Path({str(tmp_path)!r}))).start("one", {QUICK!r})
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("", "")
    found_again = Processes(layout)
    assert found_again.pid("one") is not None
    found_again.kill(["one"])


def wait_until_ended(processes, label):
    until = time.monotonic() + 10
    while processes.pid(label) is not None and time.monotonic() < until:
        time.sleep(0.01)
