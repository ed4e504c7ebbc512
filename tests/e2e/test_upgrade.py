"""An upgrade by vote on real processes: three of four install it, the fourth forgets to.

Version 2 is what `docs/spec/upgrades.md` says: the same rules under another number, which every
header carries. What a node supports is told to its process, as a release would know it.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from cli.main import main
from testnet import processes
from testnet.cluster import Cluster
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout, rpc_port
from testnet.processes import node_label
from tests.e2e.community import Community

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BASE_PORT = 27_600
NEW_SOFTWARE = """
import sys
from pathlib import Path
from node.app import run
from node.natives import NATIVES
sys.exit(run(Path(sys.argv[-1]), NATIVES, protocols=(1, 2)))
"""
AHEAD = 60
TERM_BLOCKS = 16


@pytest.fixture
def options(tmp_path):
    yield UpOptions(
        name="u", root=tmp_path, base_port=BASE_PORT, window_ms=60_000, has_agents=False
    )
    layout = TestnetLayout.of("u", tmp_path)
    if layout.manifest.exists():
        Cluster(layout).reset()


def quiet(_line):
    """Progress is for people."""


async def hearth(*arguments, code=0):
    done = await asyncio.to_thread(
        CliRunner().invoke, main, [str(argument) for argument in arguments]
    )
    assert done.exit_code == code, (arguments, done.output)
    return " ".join(done.output.split())


async def fetch(i, path):
    """GET from a node's HTTP server; returns (status, text)."""

    def get():
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{rpc_port(i, BASE_PORT)}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    return await asyncio.to_thread(get)


class Street(Community):
    """Four households, each with one software or the other."""

    def home(self, i):
        return self.cluster.layout.household(self.cluster.names[i]).home

    def client(self, i):
        return self.cluster.client(self.cluster.names[i])

    async def restart(self, i, monkeypatch, *, is_new):
        name = self.cluster.names[i]
        self.cluster.stop([node_label(name)])
        with monkeypatch.context() as patch:
            if is_new:
                patch.setattr(processes, "COMMAND", (sys.executable, "-c", NEW_SOFTWARE))
            self.cluster.start_node(name)
        supported = [1, 2] if is_new else [1]
        await self.until(
            self.client(i),
            lambda s: s["protocolsSupported"] == supported and s["peersUp"] == 3,
            "does not come up",
        )

    async def votes(self, i):
        await self.until(
            self.client(i), lambda s: not s["isLearner"], "does not vote", timeout_s=60
        )

    async def grow(self, height):
        """Have blocks made up to a height, by the first household."""
        keys = self.cluster.keys(self.cluster.names[0])
        async with asyncio.timeout(120):
            while (await self.status(self.client(0)))["height"] < height:
                await self.send_any(keys)

    async def version(self, height, i=0):
        return (await self.client(i).call("hearth_getHeader", height))["version"]


async def propose_and_vote(street, height):
    said = await hearth("members", "upgrade", 2, "--height", height, "--home", street.home(0))
    assert "members vote" in said
    assert street.cluster.names[3] not in said, "its node has not named the version"
    id_ = await street.last_proposal()
    said = await hearth("members", "vote", id_, "yes", "--home", street.home(3), code=4)
    assert "supports protocol versions up to 1" in said
    for i in range(3):
        await hearth("members", "vote", id_, "yes", "--home", street.home(i))
    rows = json.loads(await hearth("members", "proposals", "--json", "--home", street.home(0)))
    assert rows[-1]["status"] == "active", rows


async def assert_warned(street, height):
    """Before the height everybody votes, and the one that is too old is told, by all."""
    status = await street.status(street.client(3))
    assert not status["isLearner"]
    assert status["nextProtocol"] == {"version": 2, "height": height}
    await street.says(street.client(3), "install newer software before")
    await street.says(street.client(0), f"at {street.cluster.names[3]} (up to 1)")


async def assert_rests(street, height):
    old = street.client(3)
    await street.says(old, "VERSION_TOO_OLD")
    why = " ".join(await old.call("hearth_why"))
    assert f"from block {height} on protocol version 2 is in force" in why
    assert "supports 1 only" in why
    assert "Install software that supports protocol version 2" in why
    assert "VERSION_TOO_OLD" in await hearth("node", "why", "--home", street.home(3))
    status = await street.status(old)
    assert (status["height"], status["isLearner"], status["peersUp"]) == (height - 1, True, 3)
    assert (status["protocol"], status["protocolsSupported"]) == (2, [1])
    code, text = await fetch(3, "/ready")
    assert code == 503
    assert "VERSION_TOO_OLD" in text
    code, text = await fetch(3, "/health")
    assert code == 200, "the process is well; to start it again would help nobody"
    assert json.loads(text)["status"] == "too old"
    _, text = await fetch(3, "/metrics")
    assert "\nprotocol_version 2.0\n" in text
    assert "\nprotocol_version_supported 1.0\n" in text
    assert "VERSION_TOO_OLD" in (street.home(3) / "node.log").read_text()


def test_three_of_four_go_on_and_the_fourth_waits_for_its_update(options, monkeypatch):
    async def run():
        async with await up(options, quiet) as cluster:
            street = Street(cluster, BASE_PORT)
            for i in range(3):
                await street.restart(i, monkeypatch, is_new=True)
                await street.votes(i)
            height = (await street.status(street.client(0)))["height"] + AHEAD
            await propose_and_vote(street, height)
            await assert_warned(street, height)
            await street.grow(height - 1)
            await street.until(
                street.client(3), lambda s: s["height"] == height - 1, "has not followed"
            )
            # Two terms more: the turn of the one that rests to propose comes, and goes.
            await street.grow(height + 2 * TERM_BLOCKS)
            assert [await street.version(h) for h in (height - 1, height, height + 1)] == [1, 2, 2]
            await assert_rests(street, height)
            assert "is in force" in " ".join(await street.client(0).call("hearth_why"))
            await street.restart(3, monkeypatch, is_new=False)
            await assert_rests(street, height)
            await street.restart(3, monkeypatch, is_new=True)
            await street.votes(3)
            await street.equal_heads([street.client(i) for i in range(4)])
            assert await street.version(height, i=3) == 2
            assert (await fetch(3, "/ready"))[0] == 200
            # Its vote is needed now: with another one down, it makes the quorum.
            cluster.stop([node_label(cluster.names[1])])
            await street.send_any(cluster.keys(cluster.names[0]))
            await street.close()

    asyncio.run(run())
