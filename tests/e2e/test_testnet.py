"""A testnet of real processes: up, broken on purpose, measured, stopped."""

import asyncio
import socket
from dataclasses import replace

import pytest

from testnet.bench.bed import Bed
from testnet.bench.quiet import idle, light
from testnet.bench.recovery import failover
from testnet.chaos import ChaosOptions, run_chaos
from testnet.cluster import Cluster
from testnet.demo import DemoOptions, run_demo
from testnet.errors import AlreadyExists, PortBusy, ProcessDied
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout, p2p_port
from testnet.load import prepare_accounts
from testnet.processes import node_label
from testnet.status import collect_status, wait_for_equal_heads

pytestmark = pytest.mark.e2e

BASE_PORT = 29_600


def quiet(_line):
    """Progress is for people."""


@pytest.fixture
def options(tmp_path):
    yield UpOptions(
        name="t", root=tmp_path, base_port=BASE_PORT, window_ms=60_000, has_agents=False
    )
    layout = TestnetLayout.of("t", tmp_path)
    if layout.manifest.exists():
        Cluster(layout).reset()


def test_a_testnet_seals_its_deposits_survives_chaos_and_is_measured(options):
    """Done when 4: equal heads, and nothing acknowledged is lost, after every kind of fault."""

    async def run():
        lines = []
        async with await up(options, lines.append) as cluster:
            assert any(line.startswith("block 1 sealed in ") for line in lines)
            # Three of four make a quorum: the fourth may just be about to catch up.
            height, _, _ = await wait_for_equal_heads(cluster, 20.0)
            assert height >= 1
            elsewhere = replace(options, base_port=BASE_PORT + 1_000)
            with pytest.raises(AlreadyExists):
                await up(elsewhere, quiet)
            report = await run_chaos(
                cluster, ChaosOptions(seconds=1.0, seed=1, fault_seconds=(0.3, 1.0)), quiet
            )
            assert report["ok"], report
            assert report["linearizable"], report["violations"]
            assert report["reads"] > 4 * 8, "the last ones and some meanwhile"
            assert set(report["faults"]) == {"kill", "pause", "partition", "cut_off", "kill_all"}
            assert report["acknowledged"] == report["submitted"] > 0
            await measure(cluster)
            victim = cluster.names[2]
            cluster.stop([node_label(victim)])
            assert victim not in cluster.living
            assert {row.name: row.status is None for row in await collect_status(cluster)}[victim]
        Cluster(TestnetLayout.of("t", options.root)).reset()
        assert not (options.root / "t").exists()

    asyncio.run(run())


async def measure(cluster):
    """The bench's parts, as short as they can be."""
    bed = Bed(cluster, await prepare_accounts(cluster, 2, "chaos"), quiet)
    assert 0 < (await light(bed, runs=8))["p50_ms"] < 5_000
    assert (await failover(bed, kills=1))["runs"] == 1
    figures = await idle(bed, 2.0)
    assert (figures["blocks"], figures["fsyncs"]) == (0, 0), "idle nodes write nothing"
    await wait_for_equal_heads(cluster, 10.0)


def test_a_busy_port_is_named_with_what_to_do(options):
    with socket.socket() as taken:
        # The testnet of the test before may have left connections in TIME_WAIT.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", p2p_port(3, BASE_PORT)))
        taken.listen()
        with pytest.raises(PortBusy, match=r"29603.*--base-port"):
            asyncio.run(up(options, quiet))
    assert not (options.root / "t").exists()


def test_a_node_that_cannot_start_ends_the_whole_start_with_its_words(options, monkeypatch):
    monkeypatch.setattr("testnet.processes.COMMAND", ("/bin/sh", "-c", "echo no such luck"))
    with pytest.raises(ProcessDied, match="no such luck"):
        asyncio.run(up(options, quiet))


def test_a_short_demo_ends_conserved_and_every_bill_is_the_change_of_money(tmp_path):
    """Two hours of night: nobody has anything to sell, everybody has a bill."""
    testnet = UpOptions(households=4, name="d", root=tmp_path, base_port=BASE_PORT, window_ms=6_000)
    report = run_demo(DemoOptions(testnet=testnet, windows=2, out=tmp_path / "out"), quiet)
    met = {name for name, condition in report["conditions"].items() if condition["ok"]}
    assert met >= {
        "windows_delivered_and_paid",
        "heads_equal",
        "conserved",
        "sold_out",
        "bills_equal_change_of_money",
        "money_adds_up",
    }, report["conditions"]
    assert report["bill_without_eur"] == report["bill_with_eur"] > 0
    assert (tmp_path / "out" / "report.json").exists()
    assert "h39" in (tmp_path / "out" / "report.html").read_text()
    assert not Cluster(TestnetLayout.of("d", tmp_path)).living
