"""An error of ours anywhere stops the node, loudly; nobody outside can make it stop."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from node.errors import CorruptStore
from node.failure import failure_in, spawn
from node.p2p.frames import Channel
from tests.node.homes import make_homes
from tests.node.p2p.rig import Host, endpoints, running


@pytest.mark.parametrize(
    "error", [KeyError("x"), AssertionError(), CorruptStore("damaged"), TypeError("no")]
)
def test_errors_of_ours_stop_the_node(error):
    assert failure_in({"message": "m", "exception": error, "handle": object()}) is error


@pytest.mark.parametrize(
    "context",
    [
        {"message": "Unclosed connection"},
        {"message": "m", "exception": ConnectionResetError()},
        {"message": "m", "exception": OSError(24, "Too many open files")},
        {"message": "m", "exception": aiohttp.ClientConnectionError()},
        {"message": "m", "exception": ValueError("a stranger's bytes"), "transport": object()},
        {"message": "m", "exception": asyncio.CancelledError()},
    ],
)
def test_what_strangers_and_broken_connections_cause_does_not(context):
    assert failure_in(context) is None


def test_a_failing_disk_stops_it_wherever_it_shows():
    error = CorruptStore("damaged")
    assert failure_in({"message": "m", "exception": error, "transport": object()}) is error


@pytest.mark.e2e
def test_a_task_that_is_kept_reports_its_error_at_once():
    async def scenario():
        seen = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

        async def fail():
            raise KeyError("x")

        task = spawn(fail(), "it failed")
        quiet = spawn(asyncio.sleep(9), "never")
        quiet.cancel()
        await asyncio.wait((task, quiet))
        await asyncio.sleep(0)
        assert [context["message"] for context in seen] == ["it failed"]

    asyncio.run(scenario())


@pytest.mark.e2e
@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("place", ["_on_up", "_on_down", "_on_frame"])
def test_a_failing_handler_of_links_is_reported(place, broken):
    """At both ends: one link is run by a task of ours, the other one by the web server."""

    async def scenario():
        seen = asyncio.Queue()
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: seen.put_nowait(context["exception"])
        )
        members = endpoints(2)
        hosts = [Host(i, members) for i in range(2)]
        whole = hosts[1 - broken]

        def fail(*_):
            raise KeyError("ours")

        setattr(hosts[broken].network, place, fail)
        async with asyncio.timeout(10), running(hosts[broken]):
            async with running(whole):
                await whole.until(lambda: whole.changes)
                whole.network.broadcast(Channel.RELAY, b"x")
                if place == "_on_frame":
                    assert isinstance(await seen.get(), KeyError)
            if place != "_on_frame":
                assert isinstance(await seen.get(), KeyError)

    asyncio.run(scenario())


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from node import app

def fail(*_):
    raise KeyError("a bug of ours")

place = sys.argv[2]
if place == "task":
    app.TEND_S = 0.05
    app.RelayService.expire = fail
else:
    start = app.Node.start
    async def start_and_plan(node):
        await start(node)
        asyncio.get_running_loop().call_later(0.05, fail)
    app.Node.start = start_and_plan
sys.exit(app.run(Path(sys.argv[1]), ()))
"""


@pytest.mark.e2e
@pytest.mark.parametrize("place", ["task", "timer"])
def test_a_bug_in_a_task_or_timer_ends_the_process_with_the_reason(tmp_path, place):
    _, homes = make_homes(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(homes[0]), place],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "house-0 stops: 'a bug of ours'" in ended.stderr
    assert "Traceback" in (homes[0] / "node.log").read_text()
