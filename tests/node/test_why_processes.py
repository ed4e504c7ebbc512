"""`/why` and `hearth node why` name the cause, on real processes: one test for each cause."""

import asyncio
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from node.config import load
from node.last_words import WORDS_BYTES, LastWords, stop_reason
from node.rpc.client import RpcError, Unreachable
from tests.node.test_processes import Processes

pytestmark = pytest.mark.e2e

_PROGRAM = """
import sys
from pathlib import Path
{patch}
from node.app import run
sys.exit(run(Path(sys.argv[1]), ()))
"""
FULL_AT_BYTES = 48 << 10
"""Of each file: a few blocks more."""
_CLOCK = "import node.app, time; node.app.wall_ms = lambda: time.time_ns() // 1_000_000 + {ms}"
_VERSION = """
import vm.versions
vm.versions.WIRE_VERSION -= 1
"""


class Odd(Processes):
    """The same processes; some of them are patched before they start."""

    def start_patched(self, i: int, patch: str) -> None:
        with (self.homes[i] / "output").open("a") as output:
            self.running[i] = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(patch=patch), str(self.homes[i])],
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
            )

    async def why(self, i: int) -> str:
        return " ".join(await self.clients[i].call("hearth_why"))

    async def why_says(self, i: int, *words: str, seconds: float = 60) -> None:
        """Wait until the node's answer holds all of the words."""
        said = ""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(Unreachable, RpcError):
                        said = await self.why(i)
                    if all(re.search(word, said) for word in words):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"{words} are not in: {said}")

    async def push(self, i: int) -> None:
        """Hand in a transaction without waiting for it."""
        await self.clients[i].call("eth_sendRawTransaction", self.next_tx(i))

    async def ended(self, i: int) -> int:
        """Wait until a node has ended by itself; return its exit code."""
        return await asyncio.to_thread(self.running.pop(i).wait, 60)

    def name(self, i: int) -> str:
        return load(self.homes[i] / "node.toml").name


def play(tmp_path, scenario, patches=None):
    async def main():
        processes = Odd(tmp_path)
        try:
            for i in range(4):
                if patches and i in patches:
                    processes.start_patched(i, patches[i])
                else:
                    processes.start(i)
            await scenario(processes)
        finally:
            await processes.close()

    asyncio.run(asyncio.wait_for(main(), 240))


def test_the_primary_is_dead(tmp_path):
    async def scenario(processes):
        await processes.ready()
        await processes.submit(0)
        primary = (await processes.clients[0].call("hearth_status"))["primary"]
        victim = next(i for i in range(4) if processes.name(i) == primary)
        other = (victim + 1) % 4
        processes.kill(victim)
        await processes.why_says(
            other, f"Not reachable from here: {primary}", "turn of|do without 0 more"
        )
        assert (await processes.submit(other))["status"] == "0x1", "the chain goes on"

    play(tmp_path, scenario)


def test_two_of_four_are_down(tmp_path):
    async def scenario(processes):
        await processes.ready()
        await processes.submit(0)
        processes.kill(2, 3)
        await processes.push(0)
        await processes.why_says(
            0,
            "Only 2 members can be reached, and 3 are needed",
            "1 more of the members must",
            processes.name(2),
            processes.name(3),
            "cannot connect|closed|lost",
        )

    play(tmp_path, scenario)


def test_the_network_is_cut(tmp_path):
    async def scenario(processes):
        await processes.ready()
        await processes.submit(0)
        names = [processes.name(i) for i in range(4)]
        for i, others in ((0, (2, 3)), (1, (2, 3)), (2, (0, 1)), (3, (0, 1))):
            token = (processes.homes[i] / "rpc.token").read_text().strip()
            processes.clients[i]._headers = {"Authorization": f"Bearer {token}"}
            await processes.clients[i].call("hearth_adminPartition", [names[j] for j in others])
        await processes.push(0)
        await processes.why_says(0, "Only 2 members", "network between here and there", names[2])
        await processes.push(2)
        await processes.why_says(2, "Only 2 members", names[0])

    play(tmp_path, scenario)


def test_the_disk_is_full(tmp_path):
    """By a limit on the size of files: what cannot grow fails as on a full disk."""

    async def scenario(processes):
        await processes.ready()
        await processes.submit(0)
        victim = processes.running[1]
        resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (FULL_AT_BYTES, FULL_AT_BYTES))
        # A block each: how many transactions a block has depends on how busy the machine is.
        async with asyncio.timeout(90):
            while victim.poll() is None:
                await processes.submit(0)
        assert await processes.ended(1) == 1
        said = ask_command(processes.homes[1])
        assert "The disk is full" in said, said
        assert "Make room" in said
        assert (await processes.submit(2))["status"] == "0x1", "the others go on"
        processes.start(1)  # There is room again.
        await processes.ready()
        assert len(await processes.heads()) == 1

    play(tmp_path, scenario)


def test_a_corrupt_vote_log_stops_the_node_and_says_so(tmp_path):
    """A bit that flipped on the disk: what was promised is unknown, so it must not vote."""

    async def scenario(processes):
        await processes.ready()
        for _ in range(3):
            await processes.submit(0)
        processes.kill(1)
        path = processes.homes[1] / "data" / "votes.log"
        log = bytearray(path.read_bytes())
        log[40] ^= 1
        path.write_bytes(bytes(log))
        processes.start(1)
        assert await processes.ended(1) != 0
        said = ask_command(processes.homes[1])
        assert "votes.log" in said
        assert "It has stopped" in said or "has stopped after an error" in said
        assert (await processes.submit(2))["status"] == "0x1", "the others go on"

    play(tmp_path, scenario)


def test_damage_in_the_chain_stops_the_node_and_says_so(tmp_path):
    async def scenario(processes):
        await processes.ready()
        for _ in range(3):
            await processes.submit(0)
        processes.kill(1)
        chain = processes.homes[1] / "data" / "chain"
        for path in chain.glob("MANIFEST-*"):
            path.write_bytes(b"noise" * 20)
        processes.start(1)
        assert await processes.ended(1) != 0
        said = ask_command(processes.homes[1])
        assert "stopped after an error" in said
        assert "chain" in said
        assert (await processes.submit(2))["status"] == "0x1", "the others go on"

    play(tmp_path, scenario)


def ask_command(home: Path) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from cli.main import main; main()",
            "node",
            "why",
            "--json",
            "--home",
            str(home),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    return " ".join(json.loads(done.stdout)["waiting_for"])


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_is_an_hour_off(tmp_path, hours):
    async def scenario(processes):
        await processes.ready()
        direction = "ahead of" if hours > 0 else "behind"
        words = f"clock is (59|60) min {direction}"
        # It compares clocks where it sees a proposal in time, and each primary leads for 16
        # blocks: on a busy machine it may only follow for a while.
        async with asyncio.timeout(150):
            while not re.search(words, await processes.why(3)):
                for sender in (0, 1, 2):
                    await processes.submit(sender)
        await processes.why_says(3, words, "NTP")
        for i in (0, 1, 2):
            assert "clock" not in await processes.why(i)

    play(tmp_path, scenario, {3: _CLOCK.format(ms=hours * 3_600_000)})


def test_the_version_is_too_old(tmp_path):
    async def scenario(processes):
        async with asyncio.timeout(60):
            while True:
                try:
                    if "isLearner" in await processes.clients[3].call("hearth_status"):
                        break
                except (Unreachable, RpcError):
                    await asyncio.sleep(0.1)
        await processes.why_says(3, "VERSION_TOO_OLD", "out of date", "install the version")
        assert (await processes.submit(0))["status"] == "0x1", "three of four go on"
        await processes.why_says(0, f"Older software runs at {processes.name(3)}")

    play(tmp_path, scenario, {3: _VERSION})


def test_last_words_fit_where_room_was_kept(tmp_path):
    words = LastWords(tmp_path / "stopped.txt")
    assert words.read() == ""
    words.reserve()
    size = words.path.stat().st_size
    assert (size, words.read()) == (WORDS_BYTES, "")
    words.say("x" * 3 * WORDS_BYTES)
    assert words.path.stat().st_size == size
    words.reserve()
    assert words.read() == ""


def test_a_full_disk_is_told_from_other_errors():
    assert stop_reason(OSError(28, "No space left on device")).startswith("The disk is full")
    wrapped = RuntimeError("cannot write")
    wrapped.__cause__ = OSError(27, "File too large")
    assert stop_reason(wrapped).startswith("The disk is full")
    assert "after an error: boom" in stop_reason(RuntimeError("boom"))
