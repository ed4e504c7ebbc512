"""Processes of a testnet: started, found again, ended."""

import signal
import time

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
